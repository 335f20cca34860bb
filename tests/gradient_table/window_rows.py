"""Rows of convolution and of sliding windows."""

from __future__ import annotations

from typing import Any

import numpy as np

import retrograd as rg
from tests.gradient_table.table import Row, Shape, anywhere, curved, distinct, primitive

Pairs = tuple[tuple[int, int], ...]


def _conv(
    note: str,
    x: Shape,
    w: Shape,
    *,
    stride: Shape = (),
    padding: Pairs = (),
    input_dilation: Shape = (),
    kernel_dilation: Shape = (),
    feature_groups: int = 1,
    batch_groups: int = 1,
) -> Row:
    ones = (1,) * (len(x) - 2)
    function = primitive(
        "conv",
        stride=stride or ones,
        padding=padding or ((0, 0),) * len(ones),
        input_dilation=input_dilation or ones,
        kernel_dilation=kernel_dilation or ones,
        feature_groups=feature_groups,
        batch_groups=batch_groups,
    )
    return Row("conv", function, (anywhere, anywhere), (x, w), note)


CONVOLUTIONS: list[Row] = [
    _conv("plain", (2, 5, 3), (3, 3, 2)),
    _conv("size_one", (1, 1, 1), (1, 1, 1)),
    _conv("no_batch", (0, 4, 2), (3, 2, 1)),
    _conv("stride", (2, 7, 2), (3, 2, 2), stride=(2,)),
    _conv("stride_past_the_kernel", (1, 7, 2), (2, 2, 1), stride=(3,)),
    _conv("stride_leaves_rest", (1, 8, 1), (3, 1, 2), stride=(2,)),
    _conv("padding", (2, 4, 2), (3, 2, 2), padding=((2, 1),)),
    _conv("padding_past_the_kernel", (1, 3, 1), (2, 1, 1), padding=((3, 4),)),
    _conv("negative_padding", (2, 7, 2), (3, 2, 2), padding=((-1, -2),)),
    _conv("mixed_padding", (1, 5, 2), (2, 2, 2), padding=((-2, 3),), stride=(2,)),
    _conv("input_dilation", (2, 4, 2), (3, 2, 2), input_dilation=(2,)),
    _conv("kernel_dilation", (2, 7, 2), (3, 2, 2), kernel_dilation=(2,)),
    _conv("groups", (2, 5, 4), (3, 2, 6), feature_groups=2),
    _conv("depthwise", (2, 5, 3), (3, 1, 3), feature_groups=3),
    _conv("batch_groups", (4, 5, 2), (3, 2, 4), batch_groups=2),
    _conv(
        "all_with_groups",
        (2, 6, 4),
        (3, 2, 4),
        stride=(3,),
        padding=((2, -1),),
        input_dilation=(2,),
        kernel_dilation=(3,),
        feature_groups=2,
    ),
    _conv(
        "all_with_batch_groups",
        (4, 5, 2),
        (2, 2, 4),
        stride=(2,),
        padding=((1, 2),),
        input_dilation=(3,),
        kernel_dilation=(2,),
        batch_groups=2,
    ),
    _conv("images", (2, 5, 4, 2), (3, 2, 2, 3), padding=((1, 1), (0, 1))),
    _conv(
        "images_all",
        (2, 5, 4, 4),
        (2, 3, 2, 2),
        stride=(2, 1),
        padding=((1, -1), (0, 2)),
        input_dilation=(1, 2),
        kernel_dilation=(2, 1),
        feature_groups=2,
    ),
    _conv(
        "volumes",
        (1, 3, 4, 3, 1),
        (2, 2, 3, 1, 2),
        stride=(1, 2, 1),
        padding=((0, 0), (1, 0), (1, 1)),
        kernel_dilation=(1, 1, 1),
    ),
    Row(
        "conv",
        lambda x, w: rg.conv(x, w, stride=2, padding=1, dilation=2, groups=2),
        (anywhere, anywhere),
        ((2, 7, 6, 2), (3, 2, 1, 4)),
        "public",
    ),
    Row(
        "conv",
        lambda x, w: rg.conv_transpose(x, w, stride=2, padding=1, output_padding=1, groups=2),
        (anywhere, anywhere),
        ((1, 3, 3, 4), (3, 3, 4, 1)),
        "transposed",
    ),
    Row("conv", lambda x: rg.conv(x, x[0, :2, :, None]), (anywhere,), ((2, 5, 2),), "with_itself"),
]

WINDOWS: tuple[tuple[str, Shape, dict[str, Any]], ...] = (
    ("side_by_side", (2, 6, 2), {"size": (2,), "stride": (2,)}),
    ("rest", (1, 7, 1), {"size": (3,), "stride": (3,)}),
    ("overlapping", (2, 6, 2), {"size": (3,), "stride": (1,)}),
    ("overlapping_stride", (1, 7, 2), {"size": (3,), "stride": (2,)}),
    ("gaps", (1, 7, 2), {"size": (2,), "stride": (3,)}),
    ("padding", (2, 5, 1), {"size": (3,), "stride": (2,), "padding": ((1, 2),)}),
    ("cropping", (1, 7, 2), {"size": (2,), "stride": (2,), "padding": ((-1, -1),)}),
    ("dilation", (1, 7, 2), {"size": (3,), "stride": (2,), "padding": ((2, 1),), "dilation": (2,)}),
    ("size_one", (1, 1, 1), {"size": (1,), "stride": (1,)}),
    ("no_batch", (0, 4, 2), {"size": (2,), "stride": (2,)}),
    ("images", (2, 5, 4, 2), {"size": (2, 3), "stride": (2, 1), "padding": ((0, 1), (1, 1))}),
    ("volumes", (1, 4, 3, 4, 1), {"size": (2, 2, 3), "stride": (2, 1, 2)}),
)


def complete_options(options: dict[str, Any]) -> dict[str, Any]:
    rank = len(options["size"])
    return {"padding": ((0, 0),) * rank, "dilation": (1,) * rank, **options}


def _window_rows() -> list[Row]:
    rows = []
    for note, shape, given in WINDOWS:
        options = complete_options(given)
        total, largest = primitive("window_sum", **options), primitive("window_max", **options)
        rows += [
            Row("window_sum", total, (anywhere,), (shape,), note),
            Row("window_sum", curved(total), (anywhere,), (shape,), f"{note}_curved"),
            Row("window_max", largest, (distinct,), (shape,), note),
            Row(
                "window_max",
                lambda x, f=largest: f(x * x * x + x)[0],
                (distinct,),
                (shape,),
                f"{note}_curved",
            ),
        ]
        values = rg.array(np.random.default_rng(len(shape)).normal(size=shape))
        winner = largest(values)[1].numpy()
        scatter = primitive("window_scatter", after=[winner], space=shape[1:-1], **options)
        gather = primitive("window_gather", after=[winner], **options)
        rows += [
            Row("window_scatter", scatter, (anywhere,), (winner.shape,), note),
            Row("window_scatter", curved(scatter), (anywhere,), (winner.shape,), f"{note}_curved"),
            Row("window_gather", gather, (anywhere,), (shape,), note),
            Row("window_gather", curved(gather), (anywhere,), (shape,), f"{note}_curved"),
        ]
    rows += [
        Row(
            "window_max", lambda x: rg.max_pool(x, 2) * 2, (distinct,), ((2, 4, 4, 1),), "max_pool"
        ),
        Row(
            "window_sum",
            lambda x: rg.avg_pool(x * x, 3, 2, 1, count_include_pad=False),
            (anywhere,),
            ((2, 5, 5, 1),),
            "avg_pool",
        ),
    ]
    return rows


ROWS: list[Row] = [*CONVOLUTIONS, *_window_rows()]

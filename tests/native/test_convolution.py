"""Convolutions in machine code: forward and both gradients, against NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import retrograd as rg
from retrograd.errors import RetrogradError
from retrograd.ir.loops import LoopNest
from retrograd.ops.convolution import conv_p
from retrograd.passes.convolutions import cut_axis
from retrograd.trace import bind
from tests.native.terms import check_terms, compile_for, draw, narrower_target

Parameters = dict[str, Any]


def settings_of(rank: int, **given: Any) -> Parameters:
    parameters: Parameters = {
        "stride": (1,) * rank,
        "padding": ((0, 0),) * rank,
        "input_dilation": (1,) * rank,
        "kernel_dilation": (1,) * rank,
        "feature_groups": 1,
        "batch_groups": 1,
    }
    return parameters | given


def forward(parameters: Parameters) -> Callable[..., Any]:
    return lambda x, w: bind(conv_p, x, w, **parameters)[0]


def backward(parameters: Parameters) -> Callable[..., Any]:
    """Both gradients, from the rule: sums of products of x, w and the cotangent."""
    return lambda x, w, g: conv_p.backward(((x, w), ()), [g], (True, True), **parameters)


def check_all(x: Any, w: Any, parameters: Parameters) -> None:
    check_terms(forward(parameters), [x, w])
    shape = rg.compile(forward(parameters)).graph(rg.array(x), rg.array(w)).outputs[0].type.shape
    check_terms(backward(parameters), [x, w, draw(*shape, dtype=x.dtype, seed=2)])


CASES: list[tuple[str, tuple[int, ...], tuple[int, ...], Parameters]] = [
    ("3x3", (2, 9, 8, 5), (3, 3, 5, 7), settings_of(2, padding=((1, 1), (1, 1)))),
    ("one channel", (3, 14, 14, 1), (3, 3, 1, 16), settings_of(2, padding=((1, 1), (1, 1)))),
    ("one output channel", (2, 7, 7, 9), (3, 3, 9, 1), settings_of(2, padding=((1, 1), (1, 1)))),
    ("one of each", (2, 20, 21, 1), (3, 5, 1, 1), settings_of(2, padding=((1, 1), (2, 2)))),
    ("wide", (2, 4, 4, 33), (3, 3, 33, 70), settings_of(2, padding=((1, 1), (1, 1)))),
    ("many terms", (1, 3, 4, 300), (3, 3, 300, 20), settings_of(2, padding=((1, 1), (1, 1)))),
    ("many places", (3, 40, 40, 2), (3, 3, 2, 3), settings_of(2)),
    ("1x1", (2, 6, 5, 17), (1, 1, 17, 12), settings_of(2)),
    ("1x1 with stride", (2, 7, 8, 5), (1, 1, 5, 6), settings_of(2, stride=(2, 3))),
    ("stride", (2, 9, 10, 4), (3, 3, 4, 18),
     settings_of(2, stride=(2, 2), padding=((1, 0), (1, 1)))),
    ("patches", (2, 12, 8, 3), (4, 4, 3, 10), settings_of(2, stride=(4, 4))),
    ("stride beyond the kernel", (1, 11, 11, 3), (2, 2, 3, 4), settings_of(2, stride=(5, 4))),
    ("negative padding", (2, 9, 9, 3), (2, 3, 3, 4), settings_of(2, padding=((-2, 1), (0, -3)))),
    ("all padding", (1, 1, 1, 2), (1, 1, 2, 3), settings_of(2, padding=((4, 0), (0, 5)))),
    ("dilation", (2, 11, 9, 4), (3, 2, 4, 5), settings_of(2, kernel_dilation=(2, 3))),
    ("input dilation", (2, 5, 4, 4), (3, 3, 4, 5),
     settings_of(2, input_dilation=(2, 3), padding=((2, 1), (1, 2)))),
    ("both dilations", (2, 5, 5, 3), (3, 2, 3, 4),
     settings_of(2, input_dilation=(2, 4), kernel_dilation=(3, 2), padding=((3, 3), (1, 4)))),
    ("more phases than contractions", (1, 4, 4, 2), (3, 3, 2, 3),
     settings_of(2, input_dilation=(7, 8), kernel_dilation=(3, 5), padding=((9, 9), (12, 12)))),
    ("all steps", (2, 8, 7, 3), (2, 3, 3, 4),
     settings_of(2, stride=(3, 2), input_dilation=(2, 3), kernel_dilation=(2, 2),
                 padding=((1, -2), (-1, 3)))),
    ("groups", (2, 7, 6, 12), (3, 3, 4, 15), settings_of(2, feature_groups=3)),
    ("depthwise", (2, 9, 9, 20), (3, 3, 1, 20),
     settings_of(2, feature_groups=20, padding=((1, 1), (1, 1)))),
    ("depthwise, multiplied", (2, 9, 9, 6), (3, 3, 1, 12), settings_of(2, feature_groups=6)),
    ("depthwise, stride", (2, 9, 9, 18), (3, 3, 1, 18),
     settings_of(2, feature_groups=18, stride=(2, 2), padding=((1, 1), (1, 1)))),
    ("batch groups", (6, 7, 6, 4), (3, 3, 4, 9), settings_of(2, batch_groups=3)),
    ("rank 1", (3, 50, 4), (5, 4, 6), settings_of(1, padding=((2, 2),), stride=(2,))),
    ("rank 3", (2, 5, 6, 4, 3), (2, 3, 2, 3, 5),
     settings_of(3, stride=(1, 2, 1), padding=((1, 0), (1, 1), (0, 1)))),
    ("rank 4", (1, 3, 4, 3, 4, 2), (2, 2, 2, 2, 2, 3), settings_of(4)),
    ("no image", (0, 5, 5, 3), (3, 3, 3, 4), settings_of(2)),
    ("no channel", (2, 5, 5, 0), (3, 3, 0, 4), settings_of(2)),
    ("no output channel", (2, 5, 5, 3), (3, 3, 3, 0), settings_of(2)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name, x, w, parameters", CASES, ids=lambda v: v if type(v) is str else "")
def test_forward_and_gradients(
    name: str, x: Any, w: Any, parameters: Parameters, dtype: Any
) -> None:
    check_all(draw(*x, dtype=dtype), draw(*w, dtype=dtype, seed=1), parameters)


@pytest.mark.parametrize("name, x, w, parameters", CASES, ids=lambda v: v if type(v) is str else "")
def test_with_fewer_and_narrower_registers(
    name: str, x: Any, w: Any, parameters: Parameters
) -> None:
    target = narrower_target()
    if target is None:
        pytest.skip("this machine has no AVX2")
    with compile_for(target):
        check_all(draw(*x), draw(*w, seed=1), parameters)


@st.composite
def convolutions(draw_from: st.DrawFn) -> tuple[Any, Any, Parameters]:
    rank = draw_from(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw_from(st.integers(low, high)) for _ in range(rank))

    features, batches = draw_from(st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]))
    inner = draw_from(st.sampled_from([1, 2, 3, 5, 16]))
    outer = draw_from(st.sampled_from([1, 2, 5, 17])) * max(features, batches)
    batch = draw_from(st.integers(1, 3)) * batches
    lows, highs = each(-2, 3), each(-2, 3)
    parameters = settings_of(
        rank,
        stride=each(1, 3),
        padding=tuple(zip(lows, highs)),
        input_dilation=each(1, 4),
        kernel_dilation=each(1, 3),
        feature_groups=features,
        batch_groups=batches,
    )
    dtype = draw_from(st.sampled_from([np.float32, np.float64]))
    x = draw(batch, *each(1, 9), inner * features, dtype=dtype)
    return x, draw(*each(1, 4), inner, outer, dtype=dtype, seed=1), parameters


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_any_parameters(case: tuple[Any, Any, Parameters]) -> None:
    x, w, parameters = case
    try:
        conv_p.infer(rg.array(x).type, rg.array(w).type, **parameters)
    except RetrogradError:
        assume(False)
    check_all(x, w, parameters)


@given(
    *(st.integers(1, n) for n in (12, 6, 5, 4)), st.integers(-6, 6), st.integers(1, 9)
)  # fmt: skip
def test_pieces_meet_every_pair_once(
    count: int, kernel: int, stride: int, dilation: int, low: int, between: int
) -> None:
    """The pieces of an axis list exactly the outputs, and exactly the meetings there are."""
    outputs: list[int] = []
    met = set()
    for piece in cut_axis(count, kernel, stride, dilation, low, between):
        for run in range(piece.runs):
            for q in range(piece.count):
                output = piece.start + run + piece.step * q
                outputs.append(output)
                for j in range(piece.taps):
                    tap = piece.tap + piece.tap_run * run + piece.tap_step * j
                    met.add((output, tap, piece.first + piece.over_q * q + piece.over_j * j))
    assert sorted(outputs) == list(range(count))
    expected = set()
    for output in range(count):
        for tap in range(kernel):
            place = output * stride + tap * dilation - low
            if place % between == 0:
                expected.add((output, tap, place // between))
    assert met == expected


def test_the_gradient_of_a_stride_multiplies_no_zeros() -> None:
    """Its contractions have as many multiply-adds as the forward convolution."""
    parameters = settings_of(2, stride=(2, 2), padding=((1, 1), (1, 1)))
    x, w = draw(2, 8, 8, 3), draw(3, 3, 3, 4, seed=1)
    one = check_terms(forward(parameters), [x, w])
    g = draw(2, 4, 4, 4, seed=2)
    rule = lambda w, g: conv_p.backward(  # noqa: E731
        ((rg.array(x), w), ()), [g], (True, False), **parameters
    )[0]
    other = check_terms(rule, [w, g])
    sizes = [
        sum(int(np.prod(k.extents)) for k in p.schedule.kernels if hasattr(k, "panel"))
        for p in (one, other)
    ]
    assert sizes[0] == sizes[1]


def test_a_computed_input_is_written_with_its_padding() -> None:
    """No copy: x and the cotangent are computed into memory that has the zeros around already."""
    parameters = settings_of(2, padding=((1, 1), (1, 1)))

    def function(x: Any, w: Any, v: Any) -> Any:
        inner = bind(conv_p, x * x, w, **parameters)[0]
        outer = bind(conv_p, inner * 2.0, v, **parameters)[0]
        return outer, rg.sum(inner * 2.0, axis=0)

    arrays = [draw(2, 6, 5, 3), draw(3, 3, 3, 4, seed=1), draw(3, 3, 4, 17, seed=2)]
    program = check_terms(function, arrays)
    copies = [
        kernel
        for kernel in program.schedule.kernels
        if isinstance(kernel, LoopNest) and [e.kind for e in kernel.expressions] == ["load"]
        if not any(store.reduction for store in kernel.stores)
    ]
    assert not copies

    def gradients(x: Any, w: Any, v: Any) -> Any:
        return rg.vjp(function, x, w, v)[1]((rg.ones((2, 6, 5, 17)), rg.ones((6, 5, 4))))

    check_terms(gradients, arrays)


@pytest.mark.parametrize("low, high", [((0, 1), (2, 0)), ((3, 1), (3, 1)), ((0, 0), (0, 4))])
def test_uneven_padding_around_a_computed_input(low: Any, high: Any) -> None:
    parameters = settings_of(2, padding=tuple(zip(low, high)))
    wider = settings_of(2, padding=((4, 1), (1, 5)))

    def function(x: Any, w: Any) -> Any:
        y = x * x
        return [bind(conv_p, y, w, **p)[0] for p in (parameters, wider, settings_of(2))]

    check_terms(function, [draw(2, 4, 6, 3), draw(3, 2, 3, 5, seed=1)])

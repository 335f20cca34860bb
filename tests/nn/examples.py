"""For each layer: how to build it, what it takes and gives, and what it must refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import retrograd as rg
from retrograd import nn
from tests.nn.helpers import draw


@dataclass(frozen=True)
class Example:
    """How to build a layer, what it takes and gives, and what it must refuse."""

    arguments: dict[str, Any]
    input: tuple[int, ...]
    output: tuple[int, ...]
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)
    buffers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    wrong_inputs: tuple[tuple[int, ...], ...] = ()
    wrong_arguments: tuple[dict[str, Any], ...] = ()
    random: bool = False
    name: str = ""

    def shaped(self, dtype: str = "float64", seed: int = 1) -> Any:
        # Away from corners of activations, and no ties for a maximum.
        return draw(*self.input, seed=seed, dtype=dtype) * 1.7 + 0.013


def activation(**arguments: Any) -> Example:
    return Example(arguments, (3, 4), (3, 4))


SIZES = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
BAD_SIZES = (
    {**SIZES, "kernel_size": 0},
    {**SIZES, "kernel_size": 2.5},
    {**SIZES, "in_channels": True},
    {**SIZES, "out_channels": -1},
    {**SIZES, "stride": 0},
    {**SIZES, "dilation": 0},
    {**SIZES, "groups": 3},
    {**SIZES, "groups": 0},
    {**SIZES, "bias": 1},
    {**SIZES, "init": "he"},
    {**SIZES, "init": 3},
    {**SIZES, "init": nn.init.Zeros},
    {**SIZES, "padding": "full"},
    {**SIZES, "padding": "same", "stride": 2},
)

TABLE: dict[str, list[Example]] = {
    "AvgPool1d": [
        Example({"kernel_size": 2}, (2, 7, 3), (2, 3, 3), wrong_inputs=((2, 7), (2, 1, 3))),
        Example({"kernel_size": 3, "stride": 2, "padding": 1}, (2, 7, 3), (2, 4, 3)),
        Example(
            {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
            (2, 7, 3),
            (2, 4, 3),
            wrong_arguments=(
                {"kernel_size": 2, "padding": 2},
                {"kernel_size": 0},
                {"kernel_size": 2, "count_include_pad": 1},
            ),
        ),
    ],
    "AvgPool2d": [
        Example({"kernel_size": 2}, (2, 4, 6, 3), (2, 2, 3, 3), wrong_inputs=((2, 4, 6), (4,))),
        Example(
            {"kernel_size": [3, 2], "stride": 1, "padding": [1, 0]}, (2, 4, 5, 2), (2, 4, 4, 2)
        ),
    ],
    "BatchNorm": [
        Example(
            {"features": 3},
            (5, 3),
            (5, 3),
            {"bias": (3,), "weight": (3,)},
            {"running_mean": (3,), "running_var": (3,)},
            wrong_inputs=((5, 4), (), (1, 3), (0, 3)),
            wrong_arguments=(
                {"features": 0},
                {"features": 3, "momentum": 2.0},
                {"features": 3, "eps": -1.0},
                {"features": 3, "momentum": float("nan")},
                {"features": 3, "momentum": None},
            ),
        ),
        Example(
            {"features": 2, "momentum": 0.3, "eps": 1e-3},
            (3, 2, 4, 2),
            (3, 2, 4, 2),
            {"bias": (2,), "weight": (2,)},
            {"running_mean": (2,), "running_var": (2,)},
        ),
    ],
    "Conv1d": [
        Example(
            SIZES,
            (2, 7, 4),
            (2, 5, 6),
            {"bias": (6,), "weight": (3, 4, 6)},
            wrong_inputs=((2, 7, 5), (7, 4), (2, 4, 7), (2, 2, 4)),
            wrong_arguments=BAD_SIZES,
        ),
        Example(
            {**SIZES, "stride": 2, "padding": [[1, 0]], "dilation": 2, "groups": 2, "bias": False},
            (2, 8, 4),
            (2, 3, 6),
            {"weight": (3, 2, 6)},
        ),
    ],
    "Conv2d": [
        Example(
            {**SIZES, "padding": "same"},
            (2, 4, 5, 4),
            (2, 4, 5, 6),
            {"bias": (6,), "weight": (3, 3, 4, 6)},
            wrong_inputs=((2, 4, 5, 3), (4, 5, 4), (2, 4, 5, 6, 4)),
            wrong_arguments=BAD_SIZES,
        ),
        Example(
            {
                **SIZES,
                "kernel_size": [3, 2],
                "stride": [2, 1],
                "padding": [1, 0],
                "groups": 2,
                "init": "he_normal",
            },
            (2, 5, 4, 4),
            (2, 3, 3, 6),
            {"bias": (6,), "weight": (3, 2, 2, 6)},
        ),
    ],
    "Conv3d": [
        Example(
            {**SIZES, "in_channels": 2, "out_channels": 2, "kernel_size": 2, "stride": 2},
            (1, 4, 3, 2, 2),
            (1, 2, 1, 1, 2),
            {"bias": (2,), "weight": (2, 2, 2, 2, 2)},
            wrong_inputs=((1, 4, 3, 2, 3), (4, 3, 2, 2)),
            wrong_arguments=BAD_SIZES,
        ),
    ],
    "ConvTranspose2d": [
        Example(
            {**SIZES, "stride": 2, "padding": 1, "output_padding": 1},
            (2, 3, 2, 4),
            (2, 6, 4, 6),
            {"bias": (6,), "weight": (3, 3, 4, 6)},
            wrong_inputs=((2, 3, 2, 3), (3, 2, 4)),
            wrong_arguments=(*BAD_SIZES, {**SIZES, "output_padding": 1}),
        ),
        Example(
            {**SIZES, "groups": 2, "bias": False, "dilation": 2},
            (1, 2, 2, 4),
            (1, 6, 6, 6),
            {"weight": (3, 3, 4, 3)},
        ),
    ],
    "Dropout": [
        Example(
            {"p": 0.4},
            (6, 5),
            (6, 5),
            random=True,
            wrong_arguments=({"p": -0.1}, {"p": 1.1}, {"p": "0.5"}, {"p": float("nan")}),
        ),
        Example({"p": 0.0}, (3,), (3,)),
        Example({"p": 1.0}, (3,), (3,), random=True),
    ],
    "ELU": [
        activation(),
        Example({"alpha": 0.5}, (4,), (4,), wrong_arguments=({"alpha": "a"},)),
    ],
    "Embedding": [
        Example(
            {"n": 7, "features": 3},
            (2, 4),
            (2, 4, 3),
            {"weight": (7, 3)},
            wrong_arguments=({"n": 0, "features": 3}, {"n": 3, "features": 1.5}),
        ),
        Example({"n": 7, "features": 2, "init": "zeros"}, (), (2,), {"weight": (7, 2)}),
        Example(
            {"n": 9, "features": 2, "padding_index": 8, "sparse": True},
            (2, 3),
            (2, 3, 2),
            {"weight": (9, 2)},
            wrong_arguments=(
                {"n": 3, "features": 1, "padding_index": 3},
                {"n": 3, "features": 1, "padding_index": -1},
                {"n": 3, "features": 1, "sparse": 1},
            ),
        ),
    ],
    "Flatten": [
        Example({}, (2, 3, 4), (2, 12), wrong_inputs=((),)),
        Example({}, (2,), (2, 1)),
        Example({}, (0, 3, 2), (0, 6)),
    ],
    "GELU": [
        activation(),
        Example({"approximate": "tanh"}, (4,), (4,), wrong_arguments=({"approximate": "yes"},)),
    ],
    "HardSigmoid": [activation()],
    "HardSwish": [activation()],
    "HardTanh": [activation()],
    "Identity": [activation()],
    "LayerNorm": [
        Example(
            {"features": 4},
            (2, 3, 4),
            (2, 3, 4),
            {"bias": (4,), "weight": (4,)},
            wrong_inputs=((2, 3), ()),
            wrong_arguments=({"features": -1}, {"features": 3, "eps": float("inf")}),
        ),
        Example({"features": 4}, (0, 4), (0, 4), {"bias": (4,), "weight": (4,)}),
        Example({"features": 4, "bias": False}, (3, 4), (3, 4), {"weight": (4,)}),
    ],
    "LeakyReLU": [
        activation(),
        Example({"negative_slope": 0.3}, (4,), (4,), wrong_arguments=({"negative_slope": None},)),
    ],
    "Linear": [
        Example(
            {"in_features": 4, "out_features": 3},
            (5, 4),
            (5, 3),
            {"bias": (3,), "weight": (4, 3)},
            wrong_inputs=((5, 3), ()),
            wrong_arguments=(
                {"in_features": 0, "out_features": 3},
                {"in_features": 2, "out_features": 3.0},
                {"in_features": 2, "out_features": True},
                {"in_features": 2, "out_features": 3, "bias": None},
                {"in_features": 2, "out_features": 3, "init": "unknown"},
                {"in_features": 2, "out_features": 3, "init": lambda shape: np.zeros(shape[::-1])},
                {"in_features": 2, "out_features": 3, "init": {"name": "Linear"}},
            ),
        ),
        Example(
            {"in_features": 4, "out_features": 3, "bias": False, "init": "orthogonal"},
            (2, 1, 4),
            (2, 1, 3),
            {"weight": (4, 3)},
        ),
        Example(
            {"in_features": 4, "out_features": 3}, (4,), (3,), {"bias": (3,), "weight": (4, 3)}
        ),
        Example(
            {"in_features": 4, "out_features": 3}, (0, 4), (0, 3), {"bias": (3,), "weight": (4, 3)}
        ),
    ],
    "LogSoftmax": [activation(), activation(axis=0)],
    "MaxPool1d": [
        Example({"kernel_size": 2}, (2, 7, 3), (2, 3, 3), wrong_inputs=((2, 7), (2, 1, 3))),
        Example(
            {"kernel_size": 3, "stride": 1, "padding": 1},
            (2, 5, 2),
            (2, 5, 2),
            wrong_arguments=({"kernel_size": 2, "padding": -1}, {"kernel_size": 2, "stride": 0}),
        ),
    ],
    "MaxPool2d": [
        Example({"kernel_size": 2}, (2, 4, 6, 3), (2, 2, 3, 3), wrong_inputs=((2, 4, 6), (4,))),
        Example(
            {"kernel_size": [3, 2], "stride": 1, "padding": [1, 0]}, (2, 4, 5, 2), (2, 4, 4, 2)
        ),
    ],
    "Mish": [activation()],
    "PReLU": [
        Example({}, (3, 4), (3, 4), {"weight": (1,)}),
        Example(
            {"features": 4, "slope": 0.1},
            (3, 4),
            (3, 4),
            {"weight": (4,)},
            wrong_inputs=((4, 3),),
            wrong_arguments=({"features": 0}, {"slope": "a"}),
        ),
    ],
    "ReLU": [activation()],
    "ReLU6": [activation()],
    "Rescale": [
        Example({"scale": 2.0}, (3, 4), (3, 4)),
        Example(
            {"scale": [1.0, 2.0, 4.0], "offset": [0.5, 0.0, -1.0]},
            (2, 3),
            (2, 3),
            wrong_inputs=((2, 4), ()),
            wrong_arguments=({"scale": "1"}, {"scale": []}, {"scale": 1.0, "offset": float("inf")}),
        ),
    ],
    "SELU": [activation()],
    "Sequential": [
        Example(
            {"layers": [nn.Linear(4, 5), nn.tanh, nn.Linear(5, 2)]},
            (3, 4),
            (3, 2),
            {
                "layers.0.bias": (5,),
                "layers.0.weight": (4, 5),
                "layers.2.bias": (2,),
                "layers.2.weight": (5, 2),
            },
            wrong_inputs=((3, 5),),
            wrong_arguments=(
                {"layers": [nn.ReLU]},
                {"layers": [[nn.ReLU()]]},
                {"layers": [3]},
                {"layers": [None]},
                {"layers": [rg.array(1.0)]},
            ),
        ),
        Example({"layers": []}, (2,), (2,)),
    ],
    "SiLU": [activation()],
    "Sigmoid": [activation()],
    "Softmax": [
        activation(),
        Example({"axis": 0}, (3, 2), (3, 2), wrong_arguments=({"axis": 1.5},), wrong_inputs=((),)),
    ],
    "Softplus": [
        activation(),
        Example({"beta": 2.0}, (4,), (4,), wrong_arguments=({"beta": 0}, {"beta": -1})),
    ],
    "Softsign": [activation()],
    "Tanh": [activation()],
}

"""The examples of the recurrent layers and cells."""

from __future__ import annotations

from typing import Any

from tests.nn.examples import Example

SIZES = {"input_size": 3, "hidden_size": 4}
BAD = (
    {"input_size": 0, "hidden_size": 4},
    {"input_size": 3, "hidden_size": 2.5},
    {**SIZES, "bias": 1},
    {**SIZES, "init": "unknown"},
    {**SIZES, "recurrent_init": 3},
)
BAD_LAYERS = (
    *BAD,
    {**SIZES, "layers": 0},
    {**SIZES, "layers": 10**9},
    {**SIZES, "bidirectional": "yes"},
    {**SIZES, "dropout": 1.5},
    {**SIZES, "returns": "first"},
    {**SIZES, "truncate": 0},
    {**SIZES, "checkpoint_every": 2.5},
)
SEQUENCES = (2, 5, 3)
WRONG_SEQUENCES = ((2, 5, 4), (5, 3), (3,), (), (1, 2, 5, 3))


def cell(gates: int, inputs: int = 3, outputs: int = 4, bias: bool = True) -> dict[str, Any]:
    """The weights of a cell of hidden size 4."""
    width = gates * 4
    biases = {"hidden_bias": (width,), "input_bias": (width,)} if bias else {}
    return {**biases, "hidden_weight": (outputs, width), "input_weight": (inputs, width)}


def cells(*each: dict[str, Any]) -> dict[str, Any]:
    return {
        f"cells.{number}.{name}": shape
        for number, one in enumerate(each)
        for name, shape in sorted(one.items())
    }


def layer(gates: int, bad: tuple[dict[str, Any], ...] = ()) -> list[Example]:
    """One of each way to return, of stacking and of running in both directions."""
    both = [cell(gates), cell(gates), cell(gates, 8), cell(gates, 8)]
    return [
        Example(
            {**SIZES, "returns": "outputs"},
            SEQUENCES,
            (2, 5, 4),
            cells(cell(gates)),
            wrong_inputs=WRONG_SEQUENCES,
            wrong_arguments=(*BAD_LAYERS, *bad),
        ),
        Example(
            {
                **SIZES,
                "returns": "last",
                "layers": 2,
                "bidirectional": True,
                "checkpoint_every": 2,
            },
            (2, 3, 3),
            (2, 8),
            cells(*both),
        ),
        Example(
            {**SIZES, "bias": False, "init": "xavier_uniform", "recurrent_init": "orthogonal"},
            (2, 3, 3),
            (2, 3, 4),
            cells(cell(gates, bias=False)),
        ),
        Example({**SIZES, "returns": "outputs"}, (2, 0, 3), (2, 0, 4), cells(cell(gates))),
    ]


def alone(gates: int, bad: tuple[dict[str, Any], ...] = ()) -> list[Example]:
    """A cell with a batch, and with a single vector."""
    return [
        Example(
            SIZES,
            (2, 3),
            (2, 4),
            cell(gates),
            wrong_inputs=((2, 4), ()),
            wrong_arguments=(*BAD, *bad),
        ),
        Example({**SIZES, "bias": False}, (3,), (4,), cell(gates, bias=False)),
    ]


NO_FORGET_BIAS = {**SIZES, "bias": False, "forget_bias": 1.0}
BAD_LSTM = (NO_FORGET_BIAS, {**SIZES, "forget_bias": "1"}, {**SIZES, "projection": 0})
RELU = {**SIZES, "activation": "relu"}
WHOLE = {**SIZES, "forget_bias": 1.0, "peepholes": True, "projection": 2}
WHOLE_CELL = {
    **cell(4, outputs=2),
    "peephole_weight": (3, 4),
    "projection_weight": (4, 2),
}
RECURRENT: dict[str, list[Example]] = {
    "GRU": layer(3),
    "GRUCell": alone(3),
    "LSTM": [
        *layer(4, BAD_LSTM),
        Example(WHOLE, (2, 3, 3), (2, 3, 2), cells(WHOLE_CELL)),
    ],
    "LSTMCell": [*alone(4, BAD_LSTM), Example(WHOLE, (2, 3), (2, 2), WHOLE_CELL)],
    "RNN": [
        *layer(1, ({**SIZES, "activation": "sigmoid"},)),
        Example({**RELU, "returns": "outputs"}, (2, 3, 3), (2, 3, 4), cells(cell(1))),
    ],
    "RNNCell": [*alone(1), Example(RELU, (2, 3), (2, 4), cell(1))],
}

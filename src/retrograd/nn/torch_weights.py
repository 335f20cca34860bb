"""Weights of recurrent layers from and to PyTorch's names and layout. PyTorch is not needed.

PyTorch keeps for each cell `weight_ih` (gates * hidden, input), `weight_hh`, `bias_ih`, `bias_hh`
and with a projection `weight_hr`; in its layers with the suffix `_l0`, `_l0_reverse`, `_l1`, ...
The gates have our order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, ShapeError, suggest
from ..trace import Array
from .cell import Cell
from .module import Module
from .recurrent import Recurrent

NAMES = {
    "input_weight": "weight_ih",
    "hidden_weight": "weight_hh",
    "input_bias": "bias_ih",
    "hidden_bias": "bias_hh",
    "projection_weight": "weight_hr",
}


def torch_state(layer: Module) -> dict[str, Any]:
    """The weights of a recurrent layer or cell as PyTorch names and lays them out.

    Args:
        layer: an RNN, LSTM, GRU or a cell of theirs, without peepholes.

    Returns:
        NumPy arrays by name; `{k: torch.from_numpy(v) for k, v in ...}` is a state dict for
        PyTorch's module of the same name and sizes.

    Raises:
        ArgumentTypeError: another layer.
        ArgumentError: the layer has peepholes, which PyTorch's have not.

    Example:
        >>> from retrograd import nn
        >>> sorted(nn.torch_state(nn.GRU(2, 3)))
        ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
    """
    return {
        name: np.ascontiguousarray(np.asarray(getattr(cell, ours)).T)
        for name, cell, ours in _pairs(layer)
    }


def load_torch_state(layer: Module, state: Mapping[str, Any], prefix: str = "") -> None:
    """Give a recurrent layer or cell PyTorch's weights; nothing changes if they do not fit.

    Args:
        layer: an RNN, LSTM, GRU or a cell of theirs, without peepholes.
        state: NumPy arrays by PyTorch's names, for example from
            `{k: v.numpy() for k, v in module.state_dict().items()}` or `safetensors.numpy`.
        prefix: what the names of this layer begin with in a larger state dict ("encoder.rnn.");
            names that do not begin with it are left alone.

    Raises:
        ArgumentTypeError: another layer.
        ArgumentError: a name is missing, or unknown, or the layer has peepholes.
        ShapeError: an array does not have its shape.

    Example:
        >>> from retrograd import nn
        >>> a, b = nn.LSTM(2, 3, layers=2), nn.LSTM(2, 3, layers=2)
        >>> nn.load_torch_state(b, nn.torch_state(a))
        >>> bool((a.cells[1].input_weight == b.cells[1].input_weight).all())
        True
    """
    pairs = list(_pairs(layer))
    known = [prefix + name for name, _, _ in pairs]
    missing = [name for name in known if name not in state]
    unknown = [name for name in state if name.startswith(prefix) and name not in known]
    kind = type(layer).__name__
    if missing:
        raise ArgumentError(
            f"load_torch_state: {missing[0]!r} is missing for this {kind}. "
            f"{suggest(missing[0], state)}",
            fix="build the layer with as many layers and directions, and with or without biases "
            "and a projection, as PyTorch's; or pass the prefix of its names",
        )
    if unknown:
        raise ArgumentError(
            f"load_torch_state: this {kind} has no place for {unknown[0]!r}.",
            fix="build the layer with the sizes of PyTorch's, or pass the prefix of its names",
        )
    found = []
    for full, (_, cell, ours) in zip(known, pairs, strict=True):
        old, new = getattr(cell, ours), np.asarray(state[full]).T
        if new.shape != old.type.shape:
            raise ShapeError(
                f"load_torch_state: {full!r} has shape {new.T.shape}, expected "
                f"{tuple(reversed(old.type.shape))}."
            )
        found.append((cell, ours, Array(np.array(new, old.type.dtype, order="C"))))
    for cell, ours, array in found:
        setattr(cell, ours, array)


def _pairs(layer: Module) -> Iterator[tuple[str, Cell, str]]:
    """PyTorch's name, the cell and our name of each weight."""
    if isinstance(layer, Recurrent):
        cells = [
            (f"_l{number // layer.directions}{'_reverse' * (number % layer.directions)}", cell)
            for number, cell in enumerate(layer.cells)
        ]
    elif isinstance(layer, Cell):
        cells = [("", layer)]
    else:
        raise ArgumentTypeError(
            "PyTorch's names are known for RNN, LSTM, GRU and their cells, received "
            f"{type(layer).__name__}.",
            fix="pass the recurrent layer itself, e.g. model.layers[1]",
        )
    for suffix, cell in cells:
        if getattr(cell, "peephole_weight", None) is not None:
            raise ArgumentError("PyTorch's LSTM has no peepholes; this layer has.")
        for ours, theirs in NAMES.items():
            if getattr(cell, ours, None) is not None:
                yield theirs + suffix, cell, ours

"""Weights of layers from and to PyTorch's names and layout. PyTorch is not needed.

Matrices are (out, in) in PyTorch, (in, out) here. For recurrent layers PyTorch keeps for each cell
`weight_ih` (gates * hidden, input), `weight_hh`, `bias_ih`, `bias_hh` and with a projection
`weight_hr`; in its layers with the suffix `_l0`, `_l0_reverse`, `_l1`, ... The gates have our
order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, ShapeError, suggest
from ..trace import Array
from .attention import MultiHeadAttention
from .cell import Cell
from .linear import Linear
from .module import Module
from .normalisation import LayerNorm
from .recurrent import Recurrent
from .transformer import TransformerDecoder, TransformerEncoder
from .transformer_layers import TransformerDecoderLayer, TransformerParts

NAMES = {
    "input_weight": "weight_ih",
    "hidden_weight": "weight_hh",
    "input_bias": "bias_ih",
    "hidden_bias": "bias_hh",
    "projection_weight": "weight_hr",
}
PARTS = {
    "attention": "self_attn",
    "attention_norm": "norm1",
    "final_norm": "norm",
    "hidden": "linear1",
    "out": "linear2",
    "out_norm": "norm2",
}
PARTS_OF_DECODERS = {
    "memory_attention": "multihead_attn",
    "memory_norm": "norm2",
    "out_norm": "norm3",
}
PARTS_OF_ATTENTION = {
    "in_bias": "in_proj_bias",
    "in_weight": "in_proj_weight",
    "key_sink": "bias_k",
    "key_weight": "k_proj_weight",
    "out": "out_proj",
    "query_weight": "q_proj_weight",
    "value_sink": "bias_v",
    "value_weight": "v_proj_weight",
}
SINKS = ("key_sink", "value_sink")
TRANSFORMERS = (TransformerParts, TransformerDecoder, TransformerEncoder)


def torch_state(layer: Module) -> dict[str, Any]:
    """The weights of a layer as PyTorch names and lays them out.

    Args:
        layer: an RNN, LSTM, GRU or a cell of theirs, without peepholes; a MultiHeadAttention, a
            transformer layer or a stack of them; a Linear or LayerNorm.

    Returns:
        NumPy arrays by name; `{k: torch.from_numpy(v) for k, v in ...}` is a state dict for
        PyTorch's module of the same name and sizes.

    Raises:
        ArgumentTypeError: another layer.
        ArgumentError: the layer has what PyTorch's has not: peepholes, grouped queries, rotary
            positions.

    Example:
        >>> from retrograd import nn
        >>> sorted(nn.torch_state(nn.GRU(2, 3)))
        ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
    """
    return {
        name: _turn(np.asarray(getattr(module, ours)), ours) for name, module, ours in _pairs(layer)
    }


def _turn(x: Any, ours: str) -> Any:
    """A weight of ours in PyTorch's layout."""
    return np.ascontiguousarray(x.T if ours not in SINKS else x.reshape(1, 1, -1))


def load_torch_state(layer: Module, state: Mapping[str, Any], prefix: str = "") -> None:
    """Give a layer PyTorch's weights; nothing changes if they do not fit.

    Args:
        layer: one of the layers of `torch_state`.
        state: NumPy arrays by PyTorch's names, for example from
            `{k: v.numpy() for k, v in module.state_dict().items()}` or `safetensors.numpy`.
        prefix: what the names of this layer begin with in a larger state dict ("encoder.rnn.");
            names that do not begin with it are left alone.

    Raises:
        ArgumentTypeError: another layer.
        ArgumentError: a name is missing, or unknown, or the layer has what PyTorch's has not.
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
        old, theirs = getattr(cell, ours), np.asarray(state[full])
        expected = _turn(np.asarray(old), ours).shape
        if theirs.shape != expected:
            raise ShapeError(
                f"load_torch_state: {full!r} has shape {theirs.shape}, expected {expected}."
            )
        new = theirs.reshape(-1) if ours in SINKS else theirs.T
        found.append((cell, ours, Array(np.array(new, old.type.dtype, order="C"))))
    for cell, ours, array in found:
        setattr(cell, ours, array)


Pair = tuple[str, Module, str]
"""PyTorch's name of a weight, the Module that holds it, and its name there."""


def _pairs(layer: Module) -> Iterator[Pair]:
    """All weights of a layer."""
    if isinstance(layer, Recurrent):
        for number, cell in enumerate(layer.cells):
            backwards = "_reverse" * (number % layer.directions)
            yield from _pairs_of_cell(cell, f"_l{number // layer.directions}{backwards}")
    elif isinstance(layer, Cell):
        yield from _pairs_of_cell(layer, "")
    elif isinstance(layer, (Linear, LayerNorm, MultiHeadAttention, *TRANSFORMERS)):
        yield from _pairs_of_parts(layer)
    else:
        raise ArgumentTypeError(
            "PyTorch's names are known for recurrent layers and their cells, MultiHeadAttention, "
            f"transformer layers, Linear and LayerNorm; received {type(layer).__name__}.",
            fix="pass the layer itself, e.g. model.layers[1]",
        )


def _pairs_of_cell(cell: Cell, suffix: str) -> Iterator[Pair]:
    if getattr(cell, "peephole_weight", None) is not None:
        raise ArgumentError("PyTorch's LSTM has no peepholes; this layer has.")
    for ours, theirs in NAMES.items():
        if getattr(cell, ours, None) is not None:
            yield theirs + suffix, cell, ours


def _pairs_of_parts(layer: Module) -> Iterator[Pair]:
    """The weights of a layer that is made of others."""
    if isinstance(layer, MultiHeadAttention):
        if layer.key_value_heads != layer.heads:
            raise ArgumentError("PyTorch's MultiheadAttention has no grouped queries.")
        if layer.rotary is not None:
            raise ArgumentError("PyTorch's MultiheadAttention has no rotary positions.")
    decodes = isinstance(layer, TransformerDecoderLayer)
    for ours in vars(layer):
        theirs = PARTS.get(ours, ours)
        if isinstance(layer, TransformerParts):
            theirs = PARTS_OF_DECODERS.get(ours, theirs) if decodes else theirs
        elif isinstance(layer, MultiHeadAttention):
            theirs = PARTS_OF_ATTENTION.get(ours, theirs)
        value = getattr(layer, ours)
        if isinstance(value, Array):
            yield theirs, layer, ours
        for number, part in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(part, Module):
                middle = f"{theirs}.{number}" if isinstance(value, list) else theirs
                for name, module, last in _pairs_of_parts(part):
                    yield f"{middle}.{name}", module, last

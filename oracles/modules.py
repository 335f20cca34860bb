"""PyTorch's modules as our layers: one function for each class, with weights in our layout.

A function takes a PyTorch module and gives our layer, float64, with the same weights; it raises
Skip with a reason for what retrograd has no layer for. `RANKS` says which inputs have channels
first in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import retrograd as rg
from adapters.common import Skip, pair
from retrograd import nn

Converter = Callable[[Any], nn.Module]
CONVERTERS: dict[type, Converter] = {}
# The number of spatial axes; the others are not transposed.
RANKS: dict[type, int] = {}


def converts(*classes: type, rank: int | None = None) -> Callable[[Converter], Converter]:
    """Put a function into the table."""

    def register(function: Converter) -> Converter:
        for cls in classes:
            CONVERTERS[cls] = function
            if rank is not None:
                RANKS[cls] = rank
        return function

    return register


def to_array(tensor: torch.Tensor) -> rg.Array:
    return rg.array(tensor.detach().numpy().copy())


def need(condition: bool, reason: str) -> None:
    if not condition:
        raise Skip(reason)


def kernel_order(rank: int, transposed: bool = False) -> tuple[int, ...]:
    """The axes of PyTorch's kernel in our order: (*kernel, in, out)."""
    ends = (0, 1) if transposed else (1, 0)
    return (*range(2, rank + 2), *ends)


def set_weights(layer: Any, theirs: Any, order: tuple[int, ...]) -> Any:
    layer.weight = rg.transpose(to_array(theirs.weight), order)
    if theirs.bias is not None:
        layer.bias = to_array(theirs.bias)
    return layer


@converts(torch.nn.Linear)
def linear(theirs: Any) -> nn.Module:
    layer = nn.Linear(theirs.in_features, theirs.out_features, bias=theirs.bias is not None)
    return set_weights(layer, theirs, (1, 0))


def convolution(theirs: Any) -> nn.Module:
    need(theirs.padding_mode == "zeros", f"padding_mode {theirs.padding_mode}")
    rank = RANKS[type(theirs)]
    layer = getattr(nn, type(theirs).__name__)(
        theirs.in_channels,
        theirs.out_channels,
        theirs.kernel_size,
        stride=theirs.stride,
        padding=theirs.padding,
        dilation=theirs.dilation,
        groups=theirs.groups,
        bias=theirs.bias is not None,
    )
    return set_weights(layer, theirs, kernel_order(rank))


for _rank, _cls in enumerate((torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d), 1):
    converts(_cls, rank=_rank)(convolution)


@converts(torch.nn.ConvTranspose2d, rank=2)
def transposed_convolution(theirs: Any) -> nn.Module:
    layer = nn.ConvTranspose2d(
        theirs.in_channels,
        theirs.out_channels,
        theirs.kernel_size,
        stride=theirs.stride,
        padding=theirs.padding,
        output_padding=theirs.output_padding,
        groups=theirs.groups,
        bias=theirs.bias is not None,
        dilation=theirs.dilation,
    )
    return set_weights(layer, theirs, kernel_order(2, transposed=True))


def max_pool(theirs: Any) -> nn.Module:
    need(not theirs.ceil_mode, "ceil_mode")
    need(not theirs.return_indices, "return_indices")
    need(set(pair(theirs.dilation, 1)) == {1}, "a window with holes (dilation)")
    cls = getattr(nn, type(theirs).__name__)
    return cls(theirs.kernel_size, theirs.stride, theirs.padding)


def avg_pool(theirs: Any) -> nn.Module:
    need(not theirs.ceil_mode, "ceil_mode")
    need(not getattr(theirs, "divisor_override", None), "divisor_override")
    cls = getattr(nn, type(theirs).__name__)

    def plain(value: Any) -> Any:
        return value[0] if isinstance(value, tuple) and len(value) == 1 else value

    return cls(
        plain(theirs.kernel_size),
        plain(theirs.stride),
        plain(theirs.padding),
        theirs.count_include_pad,
    )


for _rank in (1, 2):
    converts(getattr(torch.nn, f"MaxPool{_rank}d"), rank=_rank)(max_pool)
    converts(getattr(torch.nn, f"AvgPool{_rank}d"), rank=_rank)(avg_pool)


def batch_norm(theirs: Any) -> nn.Module:
    need(theirs.affine and theirs.bias is not None, "no weight or bias")
    need(theirs.track_running_stats, "no running statistics")
    need(theirs.momentum is not None, "a cumulative average")
    layer: Any = nn.BatchNorm(theirs.num_features, theirs.momentum, theirs.eps)
    for ours in ("weight", "bias", "running_mean", "running_var"):
        setattr(layer, ours, to_array(getattr(theirs, ours)))
    return layer


converts(torch.nn.BatchNorm1d, rank=1)(batch_norm)
converts(torch.nn.BatchNorm2d, rank=2)(batch_norm)
converts(torch.nn.BatchNorm3d, rank=3)(batch_norm)


@converts(torch.nn.LayerNorm)
def layer_norm(theirs: Any) -> nn.Module:
    need(len(theirs.normalized_shape) == 1, "more than one axis")
    need(theirs.elementwise_affine, "no weight")
    has_bias = theirs.bias is not None
    layer: Any = nn.LayerNorm(theirs.normalized_shape[0], theirs.eps, bias=has_bias)
    layer.weight = to_array(theirs.weight)
    layer.bias = to_array(theirs.bias) if has_bias else None
    return layer


@converts(torch.nn.Embedding)
def embedding(theirs: Any) -> nn.Module:
    need(theirs.max_norm is None, "max_norm")
    layer: Any = nn.Embedding(
        theirs.num_embeddings, theirs.embedding_dim, padding_index=theirs.padding_idx
    )
    layer.weight = to_array(theirs.weight)
    return layer


@converts(torch.nn.PReLU, rank=0)
def prelu(theirs: Any) -> nn.Module:
    layer: Any = nn.PReLU(theirs.num_parameters)
    layer.weight = to_array(theirs.weight)
    return layer


@converts(torch.nn.Hardtanh)
def hard_tanh(theirs: Any) -> nn.Module:
    need((theirs.min_val, theirs.max_val) == (-1.0, 1.0), "other limits")
    return nn.HardTanh()


@converts(torch.nn.Softplus)
def softplus(theirs: Any) -> nn.Module:
    need(theirs.threshold == 20, "another threshold above which it is the identity")
    return nn.Softplus(theirs.beta)


converts(torch.nn.ELU)(lambda theirs: nn.ELU(theirs.alpha))
converts(torch.nn.GELU)(lambda theirs: nn.GELU(theirs.approximate))
converts(torch.nn.LeakyReLU)(lambda theirs: nn.LeakyReLU(theirs.negative_slope))
converts(torch.nn.LogSoftmax)(lambda theirs: nn.LogSoftmax(theirs.dim))
converts(torch.nn.Softmax)(lambda theirs: nn.Softmax(theirs.dim))
converts(torch.nn.Flatten)(lambda theirs: nn.Flatten())
for _name, _layer in {
    "Hardsigmoid": nn.HardSigmoid,
    "Hardswish": nn.HardSwish,
    "Identity": nn.Identity,
    "Mish": nn.Mish,
    "ReLU": nn.ReLU,
    "ReLU6": nn.ReLU6,
    "SELU": nn.SELU,
    "SiLU": nn.SiLU,
    "Sigmoid": nn.Sigmoid,
    "Softsign": nn.Softsign,
    "Tanh": nn.Tanh,
}.items():
    converts(getattr(torch.nn, _name))(lambda theirs, layer=_layer: layer())

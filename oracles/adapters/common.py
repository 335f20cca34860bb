"""What the adapters share: the table, the reasons to skip, PyTorch's way of naming axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import retrograd as rg

Adapter = Callable[..., Any]

# PyTorch's name of an operator (with its variant: "max.binary") -> the function that calls ours.
ADAPTERS: dict[str, Adapter] = {}

# Stands for an output of PyTorch that is not compared, such as positions counted in its layout.
IGNORED = object()


class Skip(Exception):
    """A sample that retrograd has no meaning for; the message says why."""


def adapts(*names: str) -> Callable[[Adapter], Adapter]:
    """Put a function into the table under these names."""

    def register(function: Adapter) -> Adapter:
        for name in names:
            if name in ADAPTERS:
                raise ValueError(f"two adapters for {name}")
            ADAPTERS[name] = function
        return function

    return register


def axes_of(x: rg.Array, dim: Any) -> Any:
    """PyTorch's `dim` as an axis or a tuple of axes; None is all of them.

    PyTorch lets a scalar have the dimension 0 or -1, and takes an empty tuple for all.
    """
    if dim is None or x.ndim == 0 or dim == () or dim == []:
        return None
    return tuple(dim) if isinstance(dim, (tuple, list, torch.Size)) else dim


def axis_of(x: rg.Array, dim: int) -> tuple[rg.Array, int]:
    """The array with at least one axis, and the axis counted from 0."""
    if x.ndim == 0:
        return x.reshape(1), 0
    return x, dim % x.ndim


def along_axis(
    function: Callable[..., Any], x: rg.Array, dim: int, *args: Any, **kwargs: Any
) -> Any:
    """A function that keeps the shape, along one axis; a scalar is taken as one element."""
    row, axis = axis_of(x, dim)
    return function(row, *args, axis=axis, **kwargs).reshape(x.shape)


def pair(value: Any, rank: int) -> tuple[int, ...]:
    """One number for each spatial axis."""
    if isinstance(value, (tuple, list)):
        return tuple(value) * rank if len(value) == 1 else tuple(value)
    return (value,) * rank


def need_float64(dtype: torch.dtype | None) -> None:
    """Skip a sample that asks for another dtype than the one that is compared."""
    if dtype not in (None, torch.float64):
        raise Skip(f"asks for {dtype}")


def reduce_loss(loss: rg.Array, reduction: str) -> rg.Array:
    """PyTorch's `reduction` of a loss for each element."""
    if reduction == "none":
        return loss
    return rg.mean(loss) if reduction == "mean" else rg.sum(loss)

"""Reductions, scans along an axis, sorting."""

from __future__ import annotations

from typing import Any

import torch

import retrograd as rg
from adapters.common import Skip, adapts, along_axis, axes_of, axis_of, need_float64


@adapts("sum")
def sum(x: Any, dim: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None) -> Any:
    need_float64(dtype)
    return rg.sum(x, axis=axes_of(x, dim), keepdims=keepdim)


@adapts("mean")
def mean(x: Any, dim: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None) -> Any:
    need_float64(dtype)
    return rg.mean(x, axis=axes_of(x, dim), keepdims=keepdim)


@adapts("prod")
def prod(x: Any, dim: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None) -> Any:
    need_float64(dtype)
    return rg.prod(x, axis=axes_of(x, dim), keepdims=keepdim)


@adapts("amax")
def amax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return rg.max(x, axis=axes_of(x, dim), keepdims=keepdim)


@adapts("amin")
def amin(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return rg.min(x, axis=axes_of(x, dim), keepdims=keepdim)


@adapts("aminmax")
def aminmax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return amin(x, dim, keepdim), amax(x, dim, keepdim)


@adapts("max.reduction_no_dim")
def max_of_all(x: Any) -> Any:
    return rg.max(x)


@adapts("min.reduction_no_dim")
def min_of_all(x: Any) -> Any:
    return rg.min(x)


@adapts("max.reduction_with_dim")
def max_with_position(x: Any, dim: int, keepdim: bool = False) -> Any:
    axis = axes_of(x, dim)
    return rg.max(x, axis=axis, keepdims=keepdim), rg.argmax(x, axis=axis, keepdims=keepdim)


@adapts("min.reduction_with_dim")
def min_with_position(x: Any, dim: int, keepdim: bool = False) -> Any:
    axis = axes_of(x, dim)
    return rg.min(x, axis=axis, keepdims=keepdim), rg.argmin(x, axis=axis, keepdims=keepdim)


def _degrees(unbiased: bool | None, correction: float | None) -> int:
    if unbiased is not None:
        return int(unbiased)
    if correction is None:
        return 1
    if int(correction) != correction or correction < 0:
        raise Skip("a correction that is no whole number from 0")
    return int(correction)


@adapts("var", "var.unbiased")
def var(
    x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: Any = None
) -> Any:
    if isinstance(dim, bool):  # torch.var(x, unbiased)
        dim, unbiased = None, dim
    degrees = _degrees(unbiased, correction)
    return rg.var(x, axis=axes_of(x, dim), ddof=degrees, keepdims=keepdim)


@adapts("std", "std.unbiased")
def std(
    x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: Any = None
) -> Any:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    degrees = _degrees(unbiased, correction)
    return rg.std(x, axis=axes_of(x, dim), ddof=degrees, keepdims=keepdim)


@adapts("var_mean", "var_mean.unbiased")
def var_mean(x: Any, *args: Any, **kwargs: Any) -> Any:
    variance = var(x, *args, **kwargs)
    dim = args[0] if args and not isinstance(args[0], bool) else kwargs.get("dim")
    return variance, mean(x, dim, kwargs.get("keepdim", False))


@adapts("std_mean", "std_mean.unbiased")
def std_mean(x: Any, *args: Any, **kwargs: Any) -> Any:
    deviation = std(x, *args, **kwargs)
    dim = args[0] if args and not isinstance(args[0], bool) else kwargs.get("dim")
    return deviation, mean(x, dim, kwargs.get("keepdim", False))


@adapts("logsumexp")
def logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Any:
    return rg.logsumexp(x, axis=axes_of(x, dim), keepdims=keepdim)


@adapts("trace")
def trace(x: Any) -> Any:
    size = min(x.shape)
    return rg.sum(x[:size, :size] * rg.eye(size, dtype="float64"))


@adapts("cumsum")
def cumsum(x: Any, dim: int, dtype: torch.dtype | None = None) -> Any:
    need_float64(dtype)
    return along_axis(rg.cumsum, x, dim)


@adapts("sort")
def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    row, axis = axis_of(x, dim)
    # The samples have no ties: the order is a function of the values.
    values = rg.sort(row, axis=axis, descending=descending)
    positions = rg.argsort(row, axis=axis, descending=descending)
    return values.reshape(x.shape), positions.reshape(x.shape)


@adapts("msort")
def msort(x: Any) -> Any:
    return rg.sort(x, axis=0)


@adapts("topk")
def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    if not largest:
        raise Skip("the smallest elements")
    if not sorted:
        raise Skip("unsorted: PyTorch's order is not defined")
    row, axis = axis_of(x, dim)
    values, positions = rg.top_k(row, k, axis=axis)
    return (values.reshape(()), positions.reshape(())) if x.ndim == 0 else (values, positions)


@adapts("diff")
def diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    if n == 0:
        return x
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        x = rg.concatenate(parts, axis=dim)
    x = rg.moveaxis(x, dim, -1)
    for _ in range(min(n, x.shape[-1])):
        x = x[..., 1:] - x[..., :-1]
    return rg.moveaxis(x, -1, dim)


@adapts("argmax")
def argmax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return rg.argmax(x, axis=axes_of(x, dim), keepdims=keepdim)


@adapts("argmin")
def argmin(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return rg.argmin(x, axis=axes_of(x, dim), keepdims=keepdim)

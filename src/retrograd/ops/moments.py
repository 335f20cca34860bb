"""Mean and variance together, which a kernel reads once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ir import ArrayType, declare
from ..ir.types import float32
from ..trace import Array, bind
from . import batch_rules
from .promotion import as_array, convert
from .reduce import spread, sum_p
from .shape import Sizes, check_axes, reshape


def _count(type: ArrayType, axes: Sizes) -> int:
    count = 1
    for axis in axes:
        count *= type.shape[axis]
    return count


def _infer(type: ArrayType, *, axes: Sizes) -> tuple[ArrayType, ArrayType]:
    if not type.floating:
        raise DTypeError(f"mean and variance of {type.dtype.name}: cast it to a float first.")
    if _count(type, axes) == 0:
        raise ShapeError(f"mean and variance over no elements: axes {axes} of shape {type.shape}.")
    kept = type.with_shape(tuple(size for a, size in enumerate(type.shape) if a not in axes))
    return kept, kept


def _evaluate(x: Any, *, axes: Sizes) -> tuple[Any, Any]:
    """In two passes, so that nothing cancels, and in float64: NumPy adds rows one by one."""
    center = np.mean(x, axis=axes, keepdims=True, dtype=np.float64)
    variance = np.mean(np.square(x - center), axis=axes)
    return np.squeeze(center, axes).astype(x.dtype), variance.astype(x.dtype)


def _mean(x: Array, axes: Sizes, factor: float) -> Array:
    return bind(sum_p, x, axes=axes)[0] * (factor / _count(x.type, axes))


def _jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    outputs: Sequence[Array],
    *,
    axes: Sizes,
) -> list[Array | None]:
    tangent = tangents[0]
    if tangent is None:
        return [None, None]
    x = primals[0]
    centred = x - spread(outputs[0], x.type, axes)
    return [_mean(tangent, axes, 1.0), _mean(tangent * centred, axes, 2.0)]


def _backward(
    residuals: Any, cotangents: Sequence[Array | None], needed: Sequence[bool], *, axes: Sizes
) -> list[Array | None]:
    """`(g_mean + 2 g_variance (x - mean)) / n`; what is the same for all terms is done once."""
    (x,), (center, _) = residuals
    share = 1.0 / _count(x.type, axes)
    of_mean, of_variance = cotangents
    result: Array | None = None
    if of_variance is not None:
        slope = spread(of_variance * (2.0 * share), x.type, axes)
        result = slope * (x - spread(center, x.type, axes))
    if of_mean is not None:
        moved = spread(of_mean * share, x.type, axes)
        result = moved if result is None else result + moved
    return [result]


moments_p = declare(
    "moments",
    infer=_infer,
    evaluate=_evaluate,
    jvp=_jvp,
    backward=_backward,
    batch=batch_rules.several_axes,
)


def moments(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Array, Array]:
    """Mean and variance over axes: `m = mean(x)` and `mean((x - m)^2)`, read once.

    Integers give float32.

    Args:
        x: the array.
        axis: an axis or a tuple of axes; None for all.
        keepdims: keep the axes, with size 1.

    Returns:
        The mean and the variance (divided by the number of terms).

    Raises:
        ShapeError: there are no terms.

    Example:
        >>> import retrograd as rg
        >>> from retrograd.ops.moments import moments
        >>> [float(value) for value in moments(rg.array([1.0, 3.0]))]
        [2.0, 1.0]

    Source: T. Chan, G. Golub, R. LeVeque, Algorithms for computing the sample variance, 1983.
    """
    value = as_array(x)
    if not value.type.floating:
        value = convert(value, float32)
    axes = check_axes(axis, value.type.ndim, "moments")
    if not axes:
        return value, value - value
    center, variance = bind(moments_p, value, axes=axes)
    if keepdims:
        kept = tuple(1 if a in axes else size for a, size in enumerate(value.type.shape))
        return reshape(center, kept), reshape(variance, kept)
    return center, variance


__all__ = ["moments"]

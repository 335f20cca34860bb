"""Reductions: sum, prod, max, min, argmax, argmin."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ir import NONDIFFERENTIABLE, ArrayType, Primitive, declare
from ..ir.types import int32, int64
from ..trace import Array, bind
from . import batch_rules, comparison
from .promotion import as_array, convert
from .shape import Sizes, broadcast_p, check_axes, check_axis, declare_linear, reshape, slice_axis


def _reduced(type: ArrayType, axes: Sizes) -> ArrayType:
    return type.with_shape(tuple(size for axis, size in enumerate(type.shape) if axis not in axes))


def spread(x: Array, type: ArrayType, axes: Sizes) -> Array:
    """Broadcast a reduced array back over the reduced axes."""
    return bind(broadcast_p, x, shape=type.shape, axes=axes)[0]


def _infer_sum(type: ArrayType, *, axes: Sizes) -> tuple[ArrayType]:
    return (_reduced(type, axes),)


sum_p = declare_linear(
    "sum",
    _infer_sum,
    lambda x, *, axes: np.sum(x, axis=axes, dtype=x.dtype),
    lambda g, type, *, axes: spread(g, type, axes),
    batch_rules.several_axes,
)


# -- max and min: equal values share the gradient -------------------------------------------------


def _infer_extremum(type: ArrayType, *, axes: Sizes) -> tuple[ArrayType]:
    if 0 in [type.shape[axis] for axis in axes]:
        raise ShapeError(f"max or min over an empty axis of {type.shape}.")
    return (_reduced(type, axes),)


def _winners(x: Array, out: Array, axes: Sizes) -> Array:
    """For each element its share of the extremum's gradient."""
    hits = convert(comparison.equal(x, spread(out, x.type, axes)), x.type.dtype)
    return hits / spread(bind(sum_p, hits, axes=axes)[0], x.type, axes)


def _extremum_jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    outputs: Sequence[Array],
    *,
    axes: Sizes,
) -> list[Array | None]:
    if tangents[0] is None:
        return [None]
    shares = _winners(primals[0], outputs[0], axes)
    return [bind(sum_p, tangents[0] * shares, axes=axes)[0]]


def _extremum_backward(
    residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool], *, axes: Sizes
) -> list[Array | None]:
    (x,), (out,) = residuals
    return [spread(cotangents[0], x.type, axes) * _winners(x, out, axes)]


def _declare_extremum(name: str, meaning: Any) -> Primitive:
    return declare(
        name,
        infer=_infer_extremum,
        evaluate=lambda x, *, axes: (meaning(x, axis=axes),),
        jvp=_extremum_jvp,
        backward=_extremum_backward,
        batch=batch_rules.several_axes,
    )


max_p = _declare_extremum("max", np.max)
min_p = _declare_extremum("min", np.min)


# -- prod: right at zeros too -------------------------------------------------------------------


def _infer_prod(type: ArrayType, *, axis: int) -> tuple[ArrayType]:
    return (_reduced(type, (axis,)),)


def _others(x: Array, axis: int) -> Array:
    """For each element the product of all the others along the axis, without division.

    Products of the elements before and after it, by doubling: log2(n) steps.
    """
    return _running(x, axis, forward=True) * _running(x, axis, forward=False)


def _running(x: Array, axis: int, forward: bool) -> Array:
    """The product of all elements before (or after) each one along the axis."""
    size = x.type.shape[axis]
    result = _shift(x, axis, 1, forward)
    reach = 1
    while reach < size:
        result = result * _shift(result, axis, reach, forward)
        reach *= 2
    return result


def _shift(x: Array, axis: int, count: int, forward: bool) -> Array:
    """Elements moved along the axis by `count`; ones come in."""
    from .joining import concatenate

    size = x.type.shape[axis]
    count = builtins.min(count, size)  # `min` is ours here
    shape = tuple(count if a == axis else n for a, n in enumerate(x.type.shape))
    ones = Array(np.broadcast_to(np.ones((), x.type.dtype), shape))
    if forward:
        return concatenate([ones, slice_axis(x, axis, 0, size - count)], axis)
    return concatenate([slice_axis(x, axis, count, size), ones], axis)


def _prod_jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    outputs: Sequence[Array],
    *,
    axis: int,
) -> list[Array | None]:
    if tangents[0] is None:
        return [None]
    return [bind(sum_p, tangents[0] * _others(primals[0], axis), axes=(axis,))[0]]


def _prod_backward(
    residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool], *, axis: int
) -> list[Array | None]:
    (x,), _ = residuals
    return [spread(cotangents[0], x.type, (axis,)) * _others(x, axis)]


prod_p = declare(
    "prod",
    infer=_infer_prod,
    evaluate=lambda x, *, axis: (np.prod(x, axis=axis, dtype=x.dtype),),
    jvp=_prod_jvp,
    backward=_prod_backward,
    batch=batch_rules.one_axis,
)


# -- argmax, argmin: the first one on ties --------------------------------------------------------


def _infer_position(type: ArrayType, *, axis: int) -> tuple[ArrayType]:
    if type.shape[axis] == 0:
        raise ShapeError(f"argmax or argmin over the empty axis {axis} of {type.shape}.")
    return (_reduced(type, (axis,)).with_dtype(int32),)


argmax_p = declare(
    "argmax",
    infer=_infer_position,
    evaluate=lambda x, *, axis: (np.argmax(x, axis=axis).astype(np.int32),),
    jvp=NONDIFFERENTIABLE,
    backward=NONDIFFERENTIABLE,
    batch=batch_rules.one_axis,
)
argmin_p = declare(
    "argmin",
    infer=_infer_position,
    evaluate=lambda x, *, axis: (np.argmin(x, axis=axis).astype(np.int32),),
    jvp=NONDIFFERENTIABLE,
    backward=NONDIFFERENTIABLE,
    batch=batch_rules.one_axis,
)


# -- what users call ----------------------------------------------------------------------------


def _keep(x: Array, result: Array, axes: Sizes, keepdims: bool) -> Array:
    if not keepdims:
        return result
    return reshape(result, tuple(1 if a in axes else n for a, n in enumerate(x.type.shape)))


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """Sum over axes. Bools and integers are summed as int64.

    Args:
        x: the array.
        axis: an axis or a tuple of axes; None for all.
        keepdims: keep the summed axes, with size 1.

    Example:
        >>> import retrograd as rg
        >>> rg.sum(rg.ones((2, 3)), axis=0).numpy()
        array([2., 2., 2.], dtype=float32)
    """
    value = as_array(x)
    if value.type.dtype.kind != "f":
        value = convert(value, int64)
    axes = check_axes(axis, value.type.ndim, "sum")
    result = bind(sum_p, value, axes=axes)[0] if axes else value
    return _keep(value, result, axes, keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """Arithmetic mean over axes. Integers give float32.

    Example:
        >>> import retrograd as rg
        >>> float(rg.mean(rg.array([1, 2])))
        1.5
    """
    value = as_array(x)
    if value.type.dtype.kind != "f":
        value = convert(value, as_array(1.0).type.dtype)
    axes = check_axes(axis, value.type.ndim, "mean")
    count = 1
    for a in axes:
        count *= value.type.shape[a]
    if count == 0:
        raise ShapeError(f"mean over no elements: axes {axes} of shape {value.type.shape}.")
    return sum(value, axes, keepdims) * (1.0 / count)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """Largest element over axes; equal ones share the gradient.

    Example:
        >>> import retrograd as rg
        >>> rg.max(rg.array([[1.0, 5.0], [7.0, 3.0]]), axis=1).numpy()
        array([5., 7.], dtype=float32)
    """
    return _extremum(max_p, x, axis, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """Smallest element over axes; equal ones share the gradient.

    Example:
        >>> import retrograd as rg
        >>> rg.min(rg.array([[1.0, 5.0], [7.0, 3.0]]), axis=1).numpy()
        array([1., 3.], dtype=float32)
    """
    return _extremum(min_p, x, axis, keepdims)


def _extremum(primitive: Primitive, x: Any, axis: Any, keepdims: bool) -> Array:
    value = as_array(x)
    axes = check_axes(axis, value.type.ndim, primitive.name)
    result = bind(primitive, value, axes=axes)[0] if axes else value
    return _keep(value, result, axes, keepdims)


def prod(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """Product over axes; the gradient is right where elements are zero, too.

    Example:
        >>> import retrograd as rg
        >>> float(rg.prod(rg.array([2.0, 3.0, 4.0])))
        24.0
    """
    value = as_array(x)
    if value.type.dtype.kind != "f":
        value = convert(value, int64)
    axes = check_axes(axis, value.type.ndim, "prod")
    result = value
    for a in reversed(axes):
        result = bind(prod_p, result, axis=a)[0]
    return _keep(value, result, axes, keepdims)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Array:
    """Position of the largest element along an axis (the first one on ties), as int32.

    Args:
        axis: the axis; None for the position in the flattened array.

    Example:
        >>> import retrograd as rg
        >>> rg.argmax(rg.array([[1, 5], [7, 3]]), axis=1).numpy()
        array([1, 0], dtype=int32)
    """
    return _position(argmax_p, x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Array:
    """Position of the smallest element along an axis (the first one on ties), as int32.

    Example:
        >>> import retrograd as rg
        >>> rg.argmin(rg.array([[1, 5], [7, 3]]), axis=1).numpy()
        array([0, 1], dtype=int32)
    """
    return _position(argmin_p, x, axis, keepdims)


def _position(primitive: Primitive, x: Any, axis: int | None, keepdims: bool) -> Array:
    value = as_array(x)
    if axis is None:
        flat = bind(primitive, reshape(value, (-1,)), axis=0)[0]
        return reshape(flat, (1,) * value.type.ndim) if keepdims else flat
    checked = check_axis(axis, value.type.ndim, primitive.name)
    return _keep(value, bind(primitive, value, axis=checked)[0], (checked,), keepdims)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """Whether all elements are true over axes.

    Example:
        >>> import retrograd as rg
        >>> bool(rg.all(rg.array([True, False])))
        False
    """
    return comparison.equal(sum(comparison.logical_not(x), axis, keepdims), 0)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """Whether any element is true over axes.

    Example:
        >>> import retrograd as rg
        >>> bool(rg.any(rg.array([True, False])))
        True
    """
    return comparison.greater(sum(comparison.as_bool(x), axis, keepdims), 0)


__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "max",
    "mean",
    "min",
    "prod",
    "spread",
    "sum",
]

"""Order along an axis: cumsum, sort, argsort, top_k.

sort and top_k return the positions of their values as well; their gradients go through these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ir import ArrayType, Primitive, declare
from ..ir.types import int32, int64
from ..trace import Array, bind
from . import batch_rules
from .index import gather_along_p, scatter_add_along_p
from .promotion import as_array, convert
from .shape import check_axis, declare_linear, flip_p, reshape

# -- cumsum: its transpose runs the other way -----------------------------------------------------


def _infer_cumsum(type: ArrayType, *, axis: int, reverse: bool) -> tuple[ArrayType]:
    if not 0 <= axis < type.ndim:
        raise ShapeError(f"cumsum: axis {axis} is out of range for shape {type.shape}.")
    return (type,)


def _evaluate_cumsum(x: Any, *, axis: int, reverse: bool) -> Any:
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
    source = np.flip(x, axis) if reverse else x
    total = np.cumsum(source, axis, dtype=wide).astype(x.dtype, copy=False)
    return np.flip(total, axis) if reverse else total


def _transpose_cumsum(g: Array, type: ArrayType, *, axis: int, reverse: bool) -> Array:
    return bind(cumsum_p, g, axis=axis, reverse=not reverse)[0]


cumsum_p = declare_linear(
    "cumsum", _infer_cumsum, _evaluate_cumsum, _transpose_cumsum, batch_rules.one_axis
)


# -- sort and top_k: values and their positions ---------------------------------------------------


def _infer_sort(type: ArrayType, *, axis: int) -> tuple[ArrayType, ArrayType]:
    if not 0 <= axis < type.ndim:
        raise ShapeError(f"sort: axis {axis} is out of range for shape {type.shape}.")
    return type, type.with_dtype(int32)


def _evaluate_sort(x: Any, *, axis: int) -> tuple[Any, Any]:
    if x.ndim == 1 and x.dtype.kind == "f":
        # NumPy's quick sort is several times faster than its stable one. Where all elements
        # differ there is only one order; NaN differs from itself, and stands at the end.
        places = np.argsort(x)
        ordered = x[places]
        if (ordered[1:] > ordered[:-1]).all():
            return ordered, places.astype(np.int32)
    places = np.argsort(x, axis=axis, kind="stable")
    return np.take_along_axis(x, places, axis), places.astype(np.int32)


def _infer_top_k(type: ArrayType, *, k: int, axis: int) -> tuple[ArrayType, ArrayType]:
    if not 0 <= axis < type.ndim:
        raise ShapeError(f"top_k: axis {axis} is out of range for shape {type.shape}.")
    if not 0 <= k <= type.shape[axis]:
        raise ShapeError(f"top_k: cannot take {k} of axis {axis} of shape {type.shape}.")
    result = type.with_shape((*type.shape[:axis], k, *type.shape[axis + 1 :]))
    return result, result.with_dtype(int32)


def _evaluate_top_k(x: Any, *, k: int, axis: int) -> tuple[Any, Any]:
    # Sorted backwards and read backwards, equal elements keep their order.
    places = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    places = x.shape[axis] - 1 - np.flip(places, axis)
    places = places[(slice(None),) * axis + (slice(k),)]
    return np.take_along_axis(x, places, axis), places.astype(np.int32)


def _declare_ordered(name: str, infer: Any, evaluate: Any) -> Primitive:
    """Declare a primitive that returns elements of its input and their positions."""

    def jvp(
        primals: Sequence[Array],
        tangents: Sequence[Array | None],
        outputs: Sequence[Array],
        *,
        axis: int,
        **parameters: Any,
    ) -> list[Array | None]:
        if tangents[0] is None:
            return [None, None]
        return [bind(gather_along_p, tangents[0], outputs[1], axis=axis)[0], None]

    def backward(
        residuals: Any,
        cotangents: Sequence[Array],
        needed: Sequence[bool],
        *,
        axis: int,
        **parameters: Any,
    ) -> list[Array | None]:
        (x,), (_, places) = residuals
        size = x.type.shape[axis]
        return [bind(scatter_add_along_p, cotangents[0], places, axis=axis, size=size)[0]]

    return declare(
        name, infer=infer, evaluate=evaluate, jvp=jvp, backward=backward, batch=batch_rules.one_axis
    )


sort_p = _declare_ordered("sort", _infer_sort, _evaluate_sort)
top_k_p = _declare_ordered("top_k", _infer_top_k, _evaluate_top_k)


# -- what users call ------------------------------------------------------------------------------


def _flatten(x: Any, axis: int | None, operation: str) -> tuple[Array, int]:
    value = as_array(x)
    if axis is None:
        return reshape(value, (value.type.size,)), 0
    return value, check_axis(axis, value.type.ndim, operation)


def cumsum(x: Any, axis: int | None = None) -> Array:
    """Running sums along an axis: `out[i] = x[0] + ... + x[i]`. Bools and integers give int64.

    Args:
        x: the array.
        axis: the axis; None sums up the flattened array.

    Example:
        >>> import retrograd as rg
        >>> rg.cumsum(rg.array([1.0, 2.0, 3.0])).numpy()
        array([1., 3., 6.], dtype=float32)
    """
    value, axis = _flatten(x, axis, "cumsum")
    if value.type.dtype.kind != "f":
        value = convert(value, int64)
    return bind(cumsum_p, value, axis=axis, reverse=False)[0]


def _sort(x: Any, axis: int | None, descending: bool, operation: str) -> tuple[Array, Array]:
    value, axis = _flatten(x, axis, operation)
    if not descending:
        values, places = bind(sort_p, value, axis=axis)
        return values, places
    # Sorted backwards and read backwards, equal elements keep their order.
    backwards = bind(flip_p, value, axes=(axis,))[0]
    values, places = (
        bind(flip_p, item, axes=(axis,))[0] for item in bind(sort_p, backwards, axis=axis)
    )
    return values, value.type.shape[axis] - 1 - places


def sort(x: Any, axis: int | None = -1, descending: bool = False) -> Array:
    """The elements in ascending order along an axis; the gradient goes to where each came from.

    Args:
        x: the array.
        axis: the axis; None sorts the flattened array.
        descending: the largest first. NaN counts as the largest, as in NumPy.

    Example:
        >>> import retrograd as rg
        >>> rg.sort(rg.array([3.0, 1.0, 2.0])).numpy()
        array([1., 2., 3.], dtype=float32)
    """
    return _sort(x, axis, descending, "sort")[0]


def argsort(x: Any, axis: int | None = -1, descending: bool = False) -> Array:
    """The positions (int32) that sort an array; equal elements keep their order.

    Args:
        x: the array.
        axis: the axis; None sorts the flattened array.
        descending: the largest first. NaN counts as the largest, as in NumPy.

    Example:
        >>> import retrograd as rg
        >>> rg.argsort(rg.array([3.0, 1.0, 2.0])).numpy()
        array([1, 2, 0], dtype=int32)
    """
    return _sort(x, axis, descending, "argsort")[1]


def top_k(x: Any, k: int, axis: int = -1) -> tuple[Array, Array]:
    """The k largest elements along an axis, the largest first, and their positions.

    Of equal elements the one with the lower position comes first. NaN counts as the largest.

    Args:
        x: the array.
        k: how many.
        axis: the axis.

    Returns:
        The values and their positions (int32), both of size k along the axis.

    Raises:
        ArgumentError: k is negative or more than the size of the axis.

    Example:
        >>> import retrograd as rg
        >>> values, positions = rg.top_k(rg.array([3.0, 1.0, 5.0]), 2)
        >>> values.numpy(), positions.numpy()
        (array([5., 3.], dtype=float32), array([2, 0], dtype=int32))
    """
    value = as_array(x)
    axis = check_axis(axis, value.type.ndim, "top_k")
    if isinstance(k, (bool, float)) or not hasattr(k, "__index__"):
        raise ArgumentTypeError(f"top_k: k must be an integer, received {k!r:.40}.")
    count, size = int(k.__index__()), value.type.shape[axis]
    if not 0 <= count <= size:
        raise ArgumentError(
            f"top_k: k must be between 0 and {size}, the size of axis {axis} of "
            f"{value.type.shape}; received {count}."
        )
    values, positions = bind(top_k_p, value, k=count, axis=axis)
    return values, positions

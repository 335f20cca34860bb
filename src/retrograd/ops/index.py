"""Reading and adding at integer positions: gather, scatter_add and their forms along an axis.

Each pair is closed under differentiation: the gradient of a gather adds the cotangents up at the
places that were read, and the gradient of that reads them back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..ir import ArrayType, Primitive, as_dtype, declare
from ..ir.types import float32, int64
from ..trace import Array, Tracer, bind
from . import comparison
from .index_batching import batch_along, batch_gather, batch_scatter_add
from .promotion import as_array, broadcast_shapes, convert
from .shape import broadcast_to, check_axis, expand_dims, reshape

Rule = Callable[..., Any]


def check_dtype(indices: ArrayType, operation: str) -> None:
    if indices.dtype.kind not in "iu":
        raise DTypeError(
            f"{operation}: indices must be integers, received {indices.dtype.name}.",
            fix="convert them with .astype('int32')"
            if indices.dtype.kind == "f"
            else "use rg.where(mask, x, 0), or the positions: np.flatnonzero(mask)",
        )


def check_range(indices: Any, size: int, operation: str, low: int = 0) -> None:
    """Raise IndexRangeError for the first of these indices (an ndarray) outside [low, size)."""
    if indices.size == 0 or (indices.min() >= low and indices.max() < size):
        return
    place = tuple(int(p) for p in np.argwhere((indices < low) | (indices >= size))[0])
    position = f" (at {place} of the indices)" if place else ""
    limits = f"valid are {low} to {size - 1}" if size else "the axis is empty"
    raise IndexRangeError(
        f"{operation}: index {int(indices[place])}{position} is out of range for size {size}.",
        fix=f"{limits}; check the labels or token numbers, or make the array larger",
    )


# -- gather and scatter_add: whole rows along one axis --------------------------------------------


def _infer_gather(x: ArrayType, indices: ArrayType, *, axis: int) -> tuple[ArrayType]:
    check_dtype(indices, "gather")
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"gather: axis {axis} is out of range for shape {x.shape}.")
    return (x.with_shape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :]),)


def _evaluate_gather(x: Any, indices: Any, *, axis: int) -> tuple[Any]:
    check_range(indices, x.shape[axis], "gather")
    return (np.take(x, indices, axis=axis),)


def _infer_scatter_add(
    updates: ArrayType, indices: ArrayType, *, axis: int, size: int
) -> tuple[ArrayType]:
    check_dtype(indices, "scatter_add")
    end = axis + indices.ndim
    if axis < 0 or updates.shape[axis:end] != indices.shape or size < 0:
        raise ShapeError(
            f"scatter_add: updates {updates.shape} do not hold the axes {indices.shape} of the "
            f"indices from axis {axis} on, or size {size} is negative."
        )
    return (updates.with_shape((*updates.shape[:axis], size, *updates.shape[end:])),)


def _evaluate_scatter_add(updates: Any, indices: Any, *, axis: int, size: int) -> tuple[Any]:
    check_range(indices, size, "scatter_add")
    before, after = updates.shape[:axis], updates.shape[axis + indices.ndim :]
    result = np.zeros((*before, size, *after), updates.dtype)
    rows = updates.reshape(*before, indices.size, *after)
    if rows.size == 0:
        return (result,)
    flat = indices.ravel()
    if rows.size == indices.size:
        return (_add_up(flat, rows.ravel(), size, updates.dtype).reshape(result.shape),)
    # Sorted by place, equal places form runs, which are summed at once, in the order given.
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    sums = np.add.reduceat(np.take(rows, order, axis), starts, axis, updates.dtype)
    result[(slice(None),) * axis + (ordered[starts],)] = sums
    return (result,)


def _add_up(places: Any, values: Any, size: int, dtype: Any) -> Any:
    """Sums of the values at each of `size` places, in order; floats are summed in float64."""
    if dtype.kind == "f":
        return np.bincount(places.astype(np.intp), values, size).astype(dtype)
    result = np.zeros(size, dtype)
    np.add.at(result, places, values)
    return result


# -- gather_along and scatter_add_along: one index for each element -------------------------------


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _infer_gather_along(x: ArrayType, indices: ArrayType, *, axis: int) -> tuple[ArrayType]:
    check_dtype(indices, "take_along_axis")
    same = x.ndim == indices.ndim and _without(x.shape, axis) == _without(indices.shape, axis)
    if not same:
        raise ShapeError(
            f"take_along_axis: shapes {x.shape} and {indices.shape} must agree on all axes but "
            f"axis {axis}."
        )
    return (x.with_shape(indices.shape),)


def _evaluate_gather_along(x: Any, indices: Any, *, axis: int) -> tuple[Any]:
    check_range(indices, x.shape[axis], "take_along_axis")
    return (np.take_along_axis(x, indices.astype(np.intp), axis),)


def _infer_scatter_add_along(
    updates: ArrayType, indices: ArrayType, *, axis: int, size: int
) -> tuple[ArrayType]:
    check_dtype(indices, "scatter_add_along")
    if updates.shape != indices.shape or not 0 <= axis < updates.ndim or size < 0:
        raise ShapeError(
            f"scatter_add_along: updates {updates.shape} and indices {indices.shape} must have "
            f"one shape with an axis {axis}, and size {size} cannot be negative."
        )
    shape = updates.shape
    return (updates.with_shape((*shape[:axis], size, *shape[axis + 1 :])),)


def _evaluate_scatter_add_along(updates: Any, indices: Any, *, axis: int, size: int) -> tuple[Any]:
    check_range(indices, size, "scatter_add_along")
    places = np.moveaxis(indices, axis, -1).astype(np.intp)
    rows = places.shape[:-1]
    offsets = np.arange(math.prod(rows), dtype=np.intp) * size
    flat = (places + offsets.reshape(*rows, 1)).ravel()
    values = np.moveaxis(updates, axis, -1).ravel()
    result = _add_up(flat, values, math.prod(rows) * size, updates.dtype)
    return (np.moveaxis(result.reshape(*rows, size), -1, axis),)


# -- the pairs ------------------------------------------------------------------------------------


def _declare_reader(name: str, infer: Rule, evaluate: Rule, batch: Rule, adder: str) -> Primitive:
    """Declare gather or gather_along, whose transpose is the primitive that `adder` names."""

    def jvp(
        primals: Sequence[Array],
        tangents: Sequence[Array | None],
        outputs: Sequence[Array],
        *,
        axis: int,
    ) -> list[Array | None]:
        if tangents[0] is None:
            return [None]
        return [bind(primitive, tangents[0], primals[1], axis=axis)[0]]

    def backward(
        residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool], *, axis: int
    ) -> list[Array | None]:
        (x, indices), _ = residuals
        transpose = scatter_add_p if adder == "scatter_add" else scatter_add_along_p
        size = x.type.shape[axis]
        return [bind(transpose, cotangents[0], indices, axis=axis, size=size)[0], None]

    primitive = declare(
        name, infer=infer, evaluate=evaluate, jvp=jvp, backward=backward, batch=batch
    )
    return primitive


def _declare_adder(
    name: str, infer: Rule, evaluate: Rule, batch: Rule, reader: Primitive
) -> Primitive:
    """Declare the transpose of `reader`."""

    def jvp(
        primals: Sequence[Array],
        tangents: Sequence[Array | None],
        outputs: Sequence[Array],
        *,
        axis: int,
        size: int,
    ) -> list[Array | None]:
        if tangents[0] is None:
            return [None]
        return [bind(primitive, tangents[0], primals[1], axis=axis, size=size)[0]]

    def backward(
        residuals: Any,
        cotangents: Sequence[Array],
        needed: Sequence[bool],
        *,
        axis: int,
        size: int,
    ) -> list[Array | None]:
        (_, indices), _ = residuals
        return [bind(reader, cotangents[0], indices, axis=axis)[0], None]

    primitive = declare(
        name, infer=infer, evaluate=evaluate, jvp=jvp, backward=backward, batch=batch
    )
    return primitive


gather_p = _declare_reader("gather", _infer_gather, _evaluate_gather, batch_gather, "scatter_add")
scatter_add_p = _declare_adder(
    "scatter_add", _infer_scatter_add, _evaluate_scatter_add, batch_scatter_add, gather_p
)
gather_along_p = _declare_reader(
    "gather_along", _infer_gather_along, _evaluate_gather_along, batch_along, "scatter_add_along"
)
scatter_add_along_p = _declare_adder(
    "scatter_add_along",
    _infer_scatter_add_along,
    _evaluate_scatter_add_along,
    batch_along,
    gather_along_p,
)


# -- what users call ------------------------------------------------------------------------------


def as_indices(value: Any, operation: str) -> Array:
    """The operand as an Array of integers; an empty list is one too."""
    empty = isinstance(value, (list, tuple)) and np.size(value) == 0
    indices = Array(np.zeros(np.shape(value), np.int32)) if empty else as_array(value)
    check_dtype(indices.type, operation)
    return indices


def wrap_indices(indices: Array, size: int, operation: str) -> Array:
    """Negative indices counted from the end.

    Known indices are checked at once. Those of a traced program that are out of range stay what
    they are, so that the primitive's error names the number that was given.
    """
    dtype = indices.type.dtype
    if not isinstance(indices, Tracer):
        known = indices.concrete()
        check_range(known, size, operation, low=0 if dtype.kind == "u" else -size)
        if dtype.kind == "u" or known.size == 0 or known.min() >= 0:
            return indices
        return Array(np.asarray(np.where(known < 0, known.astype(np.int64) + size, known), dtype))
    if dtype.kind == "u":
        return indices
    wide = convert(indices, int64) if size > np.iinfo(dtype).max else indices
    from_end = comparison.logical_and(
        comparison.less(wide, 0), comparison.greater_equal(wide, -size)
    )
    return comparison.where(from_end, wide + size, wide)


def check_indices(indices: Array, size: int, operation: str) -> Array:
    """The same indices, which are an error outside [0, size): also in a compiled program."""
    if not isinstance(indices, Tracer):
        check_range(indices.concrete(), size, operation)
        return indices
    # A lookup in the table 0, 1, 2, ... gives the index back, and refuses those out of range.
    return bind(gather_p, iota(size), indices, axis=0)[0]


def iota(size: int) -> Array:
    """The numbers 0, 1, ..., size - 1, as int32 where they fit."""
    dtype = np.int32 if size <= np.iinfo(np.int32).max else np.int64
    return Array(np.arange(size, dtype=dtype))


def take(x: Any, indices: Any, axis: int | None = None) -> Array:
    """Rows of an array at integer positions along an axis: `out[i] = x[indices[i]]`.

    Args:
        x: the array.
        indices: integers of any shape; negative ones count from the end.
        axis: the axis to read along; None reads from the flattened array.

    Returns:
        An array of shape `x.shape[:axis] + indices.shape + x.shape[axis + 1:]`. Its gradient adds
        up where an index occurs more than once.

    Raises:
        IndexRangeError: an index is outside [-size, size).
        DTypeError: the indices are not integers.

    Example:
        >>> import retrograd as rg
        >>> rg.take(rg.array([10.0, 20.0, 30.0]), [2, 0, -1]).numpy()
        array([30., 10., 30.], dtype=float32)
    """
    value = as_array(x)
    if axis is None:
        value, axis = reshape(value, (-1,) if value.type.size else (0,)), 0
    axis = check_axis(axis, value.type.ndim, "take")
    places = wrap_indices(as_indices(indices, "take"), value.type.shape[axis], "take")
    return bind(gather_p, value, places, axis=axis)[0]


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Array:
    """Elements at one position for each row: `out[i, j] = x[i, indices[i, j]]` for axis 1.

    Args:
        x: the array.
        indices: integers with as many axes as x; their other axes broadcast with those of x.
        axis: the axis to read along; None reads from the flattened array.

    Raises:
        IndexRangeError: an index is outside [-size, size).
        ShapeError: the other axes do not go together.
        DTypeError: the indices are not integers.

    Example:
        >>> import retrograd as rg
        >>> x = rg.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        >>> rg.take_along_axis(x, [[2], [0]], axis=1).numpy()
        array([[3.],
               [4.]], dtype=float32)
    """
    value, places = as_array(x), as_indices(indices, "take_along_axis")
    if axis is None:
        value, axis = reshape(value, (value.type.size,)), 0
    axis = check_axis(axis, value.type.ndim, "take_along_axis")
    if places.type.ndim != value.type.ndim:
        raise ShapeError(
            f"take_along_axis: x has {value.type.ndim} axes {value.type.shape} and the indices "
            f"have {places.type.ndim} {places.type.shape}; the numbers must be equal.",
            fix="add an axis to the indices, e.g. labels[:, None]",
        )
    size, count = value.type.shape[axis], places.type.shape[axis]
    shape = list(
        broadcast_shapes(
            _without(value.type.shape, axis),
            _without(places.type.shape, axis),
            operation="take_along_axis",
        )
    )
    value = broadcast_to(value, (*shape[:axis], size, *shape[axis:]))
    places = broadcast_to(places, (*shape[:axis], count, *shape[axis:]))
    return bind(gather_along_p, value, wrap_indices(places, size, "take_along_axis"), axis=axis)[0]


def one_hot(indices: Any, classes: int, dtype: Any = float32) -> Array:
    """Ones at the labels, zeros elsewhere: `out[..., c] = 1 if indices[...] == c else 0`.

    Args:
        indices: integer labels of any shape, from 0 to classes - 1.
        classes: the number of classes, the size of the new last axis.
        dtype: the dtype of the result.

    Raises:
        IndexRangeError: a label is outside [0, classes); also in a compiled program, when it runs.
        DTypeError: the labels are not integers.

    Example:
        >>> import retrograd as rg
        >>> rg.one_hot([2, 0], 3).numpy()
        array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32)
    """
    labels = as_indices(indices, "one_hot")
    if isinstance(classes, (bool, float)) or not hasattr(classes, "__index__") or classes < 1:
        raise ArgumentError(f"one_hot: classes must be a positive integer, received {classes!r}.")
    count = classes.__index__()
    positions = iota(count)
    checked = convert(check_indices(labels, count, "one_hot"), positions.type.dtype)
    hits = comparison.equal(expand_dims(checked, -1), positions)
    return convert(hits, as_dtype(dtype))

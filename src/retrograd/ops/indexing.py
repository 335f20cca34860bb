"""x[...]: integers, slices with steps, None, Ellipsis, and integer arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, IndexRangeError
from ..trace import Array, bind
from .promotion import as_array
from .shape import flip_p, reshape, slice_p


def get_item(x: Array, key: Any) -> Array:
    """`x[key]` with NumPy's meaning.

    Integers, slices (steps of either sign), None, Ellipsis, and integer arrays, which index one
    axis, or several axes together when they stand side by side.

    Raises:
        IndexRangeError: an integer is out of range, or there are too many indices.
        ArgumentTypeError: a bool mask, whose result would have no fixed shape.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    parts = [_as_index(part) for part in parts]
    used = sum(part is not None and part is not Ellipsis for part in parts)
    if used > x.type.ndim:
        raise IndexRangeError(f"{used} indices for an array of {x.type.ndim} axes {x.type.shape}.")
    dots = [position for position, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexRangeError("An index can hold only one Ellipsis (...).")
    place = dots[0] if dots else len(parts)
    fill = [slice(None)] * (x.type.ndim - used)
    parts = parts[:place] + fill + parts[place + len(dots) :]
    return _apply(x, parts)


def _as_index(part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, (slice, int)) and part not in (
        True, False,
    ):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        return part
    if isinstance(part, np.integer):
        return int(part)
    if isinstance(part, (bool, np.bool_)):
        raise _mask_error()
    if isinstance(part, (Array, np.ndarray, list)):
        array = as_array(part) if not isinstance(part, list) or part else as_array(np.zeros(0, int))
        if array.type.dtype.kind == "b":
            raise _mask_error()
        if array.type.dtype.kind not in "iu":
            raise ArgumentTypeError(
                f"An index must be integers, received dtype {array.type.dtype.name}.",
                fix="convert it with .astype('int32')",
            )
        return array
    raise ArgumentTypeError(f"{type(part).__name__} {part!r:.40} cannot be an index.")


def _mask_error() -> ArgumentTypeError:
    return ArgumentTypeError(
        "An Array cannot be indexed by bools: the shape of the result would depend on values.",
        fix="use rg.where(mask, x, 0), or index by integers: x[np.flatnonzero(mask)]",
    )


def _apply(x: Array, parts: list[Any]) -> Array:
    starts, stops, steps, reversed_axes = [], [], [], []
    shape: list[int] = []  # the result's shape before array indices are applied
    arrays: list[tuple[int, Array]] = []  # (axis of that result, index)
    axis = 0
    for part in parts:
        if part is None:
            shape.append(1)
            continue
        size = x.type.shape[axis]
        start, stop, step = 0, size, 1
        if isinstance(part, int):
            if not -size <= part < size:
                raise IndexRangeError(
                    f"Index {part} is out of range for axis {axis} of size {size} "
                    f"(shape {x.type.shape})."
                )
            start, stop = part % size, part % size + 1
        elif isinstance(part, slice):
            start, stop, step, backwards = _resolve_slice(part, size)
            if backwards:
                reversed_axes.append(axis)
            shape.append(-(-(stop - start) // step))
        else:
            arrays.append((len(shape), part))
            shape.append(size)
        starts.append(start)
        stops.append(stop)
        steps.append(step)
        axis += 1
    result = x
    if (starts, stops, steps) != ([0] * axis, list(x.type.shape), [1] * axis):
        result = bind(
            slice_p, x, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps)
        )[0]
    if reversed_axes:
        result = bind(flip_p, result, axes=tuple(reversed_axes))[0]
    result = reshape(result, tuple(shape))
    return _apply_arrays(result, arrays) if arrays else result


def _resolve_slice(part: slice, size: int) -> tuple[int, int, int, bool]:
    """Start, stop and positive step of a slice, and whether it runs backwards."""
    try:
        start, stop, step = part.indices(size)
    except TypeError:
        raise ArgumentTypeError(f"The parts of a slice are integers, received {part}.") from None
    except ValueError as error:
        raise ArgumentTypeError(f"{part}: {error}.") from None
    count = len(range(start, stop, step))
    if count == 0:
        return 0, 0, 1, False
    if step > 0:
        return start, start + (count - 1) * step + 1, step, False
    return start + (count - 1) * step, start + 1, -step, True


def _apply_arrays(x: Array, arrays: list[tuple[int, Array]]) -> Array:
    from .index import take

    axes = [axis for axis, _ in arrays]
    if len(arrays) == 1:
        return take(x, arrays[0][1], axis=axes[0])
    if axes != list(range(axes[0], axes[0] + len(axes))):
        raise ArgumentTypeError(
            "Integer arrays that index several axes must stand side by side.",
            fix="move the axes together with rg.moveaxis first",
        )
    sizes = x.type.shape[axes[0] : axes[0] + len(axes)]
    flat = None
    for (_, index), size in zip(arrays, sizes, strict=True):
        inside = _wrap(index, size)
        flat = inside if flat is None else flat * size + inside
    shape = x.type.shape
    merged = reshape(x, (*shape[: axes[0]], -1, *shape[axes[0] + len(axes) :]))
    return take(merged, flat, axis=axes[0])


def _wrap(index: Array, size: int) -> Array:
    """Negative indices counted from the end; those out of range stay out of range."""
    from .comparison import greater_equal, less, logical_or, where

    wrapped = where(less(index, 0), index + size, index)
    outside = logical_or(less(wrapped, 0), greater_equal(wrapped, size))
    return where(outside, np.iinfo(np.int32).max // 2, wrapped)

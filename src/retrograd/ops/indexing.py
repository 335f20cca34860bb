"""x[...]: integers, slices with steps, None, Ellipsis, and integer arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, IndexRangeError
from ..ir.types import int32, int64
from ..trace import Array, Tracer, bind
from .index import as_indices, check_indices, gather_p, take, wrap_indices
from .promotion import as_array, broadcast_shapes, convert
from .shape import broadcast_to, flip_p, reshape, slice_p, transpose


def get_item(x: Array, key: Any) -> Array:
    """`x[key]` with NumPy's meaning.

    Integers, slices (steps of either sign), None, Ellipsis, integer arrays, which index one
    axis, or several axes together, and bool masks whose values are known.

    Raises:
        IndexRangeError: an integer is out of range, or there are too many indices.
        ShapeError: index arrays that do not broadcast together.
        ArgumentTypeError: a bool mask that is being traced: the result would have no fixed shape.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    parts = [index for part in parts for index in _as_indices(part)]
    used = sum(part is not None and part is not Ellipsis for part in parts)
    if used > x.type.ndim:
        raise IndexRangeError(f"{used} indices for an array of {x.type.ndim} axes {x.type.shape}.")
    dots = [position for position, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexRangeError("An index can hold only one Ellipsis (...).")
    # NumPy's rule: beside an index array, an integer counts as one; what stands between them
    # (also an Ellipsis of no axes) sends their axes to the front.
    fancy = [position for position, part in enumerate(parts) if isinstance(part, (int, Array))]
    together = not fancy or fancy[-1] - fancy[0] == len(fancy) - 1
    place = dots[0] if dots else len(parts)
    fill = [slice(None)] * (x.type.ndim - used)
    parts = parts[:place] + fill + parts[place + len(dots) :]
    return _apply(x, parts, together)


def _as_indices(part: Any) -> list[Any]:
    """The indices that one part stands for: a mask of n axes is n integer arrays."""
    mask = isinstance(part, (Array, np.ndarray)) and part.dtype == np.bool_ and part.ndim > 0
    if mask and not isinstance(part, Tracer):
        return [as_array(places) for places in np.nonzero(np.asarray(part))]
    return [_as_index(part)]


def _as_index(part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if isinstance(part, (bool, np.bool_)):
        raise _mask_error()
    if isinstance(part, (int, np.integer)):
        return int(part)
    if isinstance(part, (Array, np.ndarray, list)):
        if isinstance(part, list) and np.size(part) == 0:
            return as_indices(part, "x[...]")
        array = as_array(part)
        if array.type.dtype.kind == "b":
            raise _mask_error()
        if array.type.dtype.kind not in "iu":
            raise ArgumentTypeError(
                f"An index must be integers, received dtype {array.type.dtype.name}.",
                fix="convert it with .astype('int32')",
            )
        return array
    raise ArgumentTypeError(
        f"{type(part).__name__} {part!r:.40} cannot be an index.",
        fix="use integers, slices, None, ... or integer arrays",
    )


def _mask_error() -> ArgumentTypeError:
    return ArgumentTypeError(
        "An Array cannot be indexed by bools that are being traced: the shape of the result would "
        "depend on values.",
        fix="use rg.where(mask, x, 0), or a mask that does not depend on traced values",
    )


def _apply(x: Array, parts: list[Any], together: bool) -> Array:
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
        result = bind(slice_p, x, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))[0]
    if reversed_axes:
        result = bind(flip_p, result, axes=tuple(reversed_axes))[0]
    result = reshape(result, tuple(shape))
    return _apply_arrays(result, arrays, together) if arrays else result


def _resolve_slice(part: slice, size: int) -> tuple[int, int, int, bool]:
    """Start, stop and positive step of a slice, and whether it runs backwards."""
    try:
        start, stop, step = part.indices(size)
    except TypeError:
        raise ArgumentTypeError(
            f"The parts of a slice are integers, received {part}.",
            fix="inside rg.compile numbers that are arguments are not known: take the size from "
            "x.shape or from outside, or use rg.where on rg.arange",
        ) from None
    except ValueError as error:
        raise ArgumentTypeError(f"{part}: {error}.") from None
    count = len(range(start, stop, step))
    if count == 0:
        return 0, 0, 1, False
    if step > 0:
        return start, start + (count - 1) * step + 1, step, False
    return start + (count - 1) * step, start + 1, -step, True


def _apply_arrays(x: Array, arrays: list[tuple[int, Array]], together: bool) -> Array:
    """Read at the index arrays, whose axes they replace: in place, or in front if not together."""
    axes = [axis for axis, _ in arrays]
    if not together:
        rest = [axis for axis in range(x.type.ndim) if axis not in axes]
        x, axes = transpose(x, (*axes, *rest)), list(range(len(axes)))
    if len(arrays) == 1:
        return take(x, arrays[0][1], axis=axes[0])
    shape = x.type.shape
    first, last = axes[0], axes[-1] + 1
    sizes = shape[first:last]
    common = broadcast_shapes(*(index.type.shape for _, index in arrays), operation="x[...]")
    # One index into the merged axes. Each is checked by itself: a sum would hide what is wrong.
    wide = int64 if math.prod(sizes) > np.iinfo(np.int32).max else int32
    flat = Array(np.zeros((), wide))
    for (_, index), size in zip(arrays, sizes, strict=True):
        inside = check_indices(wrap_indices(index, size, "x[...]"), size, "x[...]")
        flat = flat * size + broadcast_to(convert(inside, wide), common)
    merged = reshape(x, (*shape[:first], math.prod(sizes), *shape[last:]))
    return bind(gather_p, merged, flat, axis=first)[0]

"""Rearrangements written with the primitives: moveaxis, split, tile, repeat, pad, roll, tril."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..trace import Array, bind
from . import comparison
from .index import take
from .joining import concatenate
from .promotion import as_array, convert
from .shape import (
    broadcast_to,
    check_axes,
    check_axis,
    flip_p,
    pad_p,
    reshape,
    slice_axis,
    transpose,
)


def as_integer(value: Any, name: str, operation: str) -> int:
    """A Python integer from anything that is one; an error that names the operation otherwise."""
    if isinstance(value, (bool, float)) or not hasattr(value, "__index__"):
        raise ArgumentTypeError(f"{operation}: {name} must be an integer, received {value!r:.40}.")
    return int(value.__index__())


def as_integers(value: Any, name: str, operation: str) -> tuple[int, ...]:
    """Python integers from one integer or a sequence of them."""
    plain = isinstance(value, (Array, np.ndarray)) and len(value.shape) > 0
    items = value if isinstance(value, (tuple, list)) or plain else (value,)
    return tuple(as_integer(item, name, operation) for item in items)


def moveaxis(x: Any, source: Any, destination: Any) -> Array:
    """Axes moved to other places; the rest keep their order.

    Args:
        x: the array.
        source: an axis, or several.
        destination: the place of each in the result.

    Example:
        >>> import retrograd as rg
        >>> rg.moveaxis(rg.zeros((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    value = as_array(x)
    ndim = value.type.ndim
    given = [axes if isinstance(axes, (tuple, list)) else (axes,) for axes in (source, destination)]
    start, end = ([check_axis(axis, ndim, "moveaxis") for axis in axes] for axes in given)
    if len(start) != len(end) or len(set(start)) != len(start) or len(set(end)) != len(end):
        raise ShapeError(
            f"moveaxis: source {source} and destination {destination} must name the same number "
            "of axes, each once."
        )
    order = [axis for axis in range(ndim) if axis not in start]
    for place, axis in sorted(zip(end, start, strict=True)):
        order.insert(place, axis)
    return transpose(value, tuple(order))


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """An array cut into pieces along an axis.

    Args:
        x: the array.
        indices_or_sections: a number of equal pieces, or the positions to cut at.
        axis: the axis to cut.

    Raises:
        ShapeError: the axis cannot be cut into that many equal pieces.

    Example:
        >>> import retrograd as rg
        >>> [part.shape for part in rg.split(rg.zeros((6, 2)), 3)]
        [(2, 2), (2, 2), (2, 2)]
        >>> [part.shape for part in rg.split(rg.zeros((6, 2)), [1, 4])]
        [(1, 2), (3, 2), (2, 2)]
    """
    value = as_array(x)
    axis = check_axis(axis, value.type.ndim, "split")
    size = value.type.shape[axis]
    if isinstance(indices_or_sections, (tuple, list, np.ndarray)) and np.ndim(indices_or_sections):
        cuts = as_integers(indices_or_sections, "each index", "split")
        # Bounds are those of slices: negative ones count from the end, wide ones are cut short.
        bounds = [
            slice(a, b).indices(size)[:2] for a, b in zip((0, *cuts), (*cuts, size), strict=True)
        ]
        return [slice_axis(value, axis, a, max(a, b)) for a, b in bounds]
    sections = as_integer(indices_or_sections, "the number of pieces", "split")
    if sections < 1 or size % sections:
        raise ShapeError(
            f"split: axis {axis} of {value.type.shape} cannot be cut into {sections} equal pieces.",
            fix="pass the positions to cut at, e.g. [2, 5]",
        )
    step = size // sections
    return [slice_axis(value, axis, n * step, (n + 1) * step) for n in range(sections)]


def unstack(x: Any, axis: int = 0) -> list[Array]:
    """The slices of an array along an axis, without that axis.

    Example:
        >>> import retrograd as rg
        >>> [row.numpy().tolist() for row in rg.unstack(rg.array([[1, 2], [3, 4]]))]
        [[1, 2], [3, 4]]
    """
    value = as_array(x)
    axis = check_axis(axis, value.type.ndim, "unstack")
    shape = value.type.shape
    rest = shape[:axis] + shape[axis + 1 :]
    return [reshape(slice_axis(value, axis, n, n + 1), rest) for n in range(shape[axis])]


def tile(x: Any, reps: Any) -> Array:
    """The array laid side by side: `reps` times along each axis.

    Args:
        x: the array.
        reps: one number an axis, counted from the last; more numbers than axes add axes in front.

    Example:
        >>> import retrograd as rg
        >>> rg.tile(rg.array([1, 2]), 2).numpy()
        array([1, 2, 1, 2], dtype=int32)
    """
    value = as_array(x)
    counts = as_integers(reps, "reps", "tile")
    if any(count < 0 for count in counts):
        raise ArgumentError(f"tile: reps cannot be negative, received {counts}.")
    ndim = max(len(counts), value.type.ndim)
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - value.type.ndim) + value.type.shape
    apart = reshape(value, tuple(n for size in shape for n in (1, size)))
    pairs = zip(counts, shape, strict=True)
    spread = broadcast_to(apart, tuple(n for pair in pairs for n in pair))
    return reshape(spread, tuple(c * n for c, n in zip(counts, shape, strict=True)))


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Array:
    """Each element repeated, one after the other.

    Args:
        x: the array.
        repeats: how often: one number, or one for each element along the axis.
        axis: the axis; None repeats the elements of the flattened array.

    Example:
        >>> import retrograd as rg
        >>> rg.repeat(rg.array([1, 2]), 2).numpy()
        array([1, 1, 2, 2], dtype=int32)
    """
    value = as_array(x)
    if axis is None:
        value, axis = reshape(value, (value.type.size,)), 0
    axis = check_axis(axis, value.type.ndim, "repeat")
    shape = value.type.shape
    size = shape[axis]
    counts = as_integers(repeats, "repeats", "repeat")
    if any(count < 0 for count in counts):
        raise ArgumentError(f"repeat: repeats cannot be negative, received {counts}.")
    if len(counts) == 1:
        apart = reshape(value, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
        spread = broadcast_to(apart, (*shape[: axis + 1], counts[0], *shape[axis + 1 :]))
        return reshape(spread, (*shape[:axis], size * counts[0], *shape[axis + 1 :]))
    if len(counts) != size:
        raise ShapeError(
            f"repeat: {len(counts)} numbers of repeats for axis {axis} of size {size}."
        )
    return take(value, np.repeat(np.arange(size, dtype=np.int32), counts), axis)


def flip(x: Any, axis: Any = None) -> Array:
    """The elements in reverse order along axes.

    Args:
        x: the array.
        axis: an axis or a tuple of axes; None for all.

    Example:
        >>> import retrograd as rg
        >>> rg.flip(rg.array([1, 2, 3])).numpy()
        array([3, 2, 1], dtype=int32)
    """
    value = as_array(x)
    axes = check_axes(axis, value.type.ndim, "flip")
    return bind(flip_p, value, axes=axes)[0] if axes else value


def _pad_widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    """(before, after) for each axis, by NumPy's rules for pad_width."""
    message = (
        f"pad: pad_width must be a number, a pair (before, after), or one pair for each of the "
        f"{ndim} axes; received {pad_width!r:.60}."
    )
    if ndim == 0 and pad_width in ([], ()):
        return []
    try:
        given = np.array(pad_width)
        widths = np.broadcast_to(given, (ndim, 2)) if given.dtype != object else None
    except ValueError:
        widths = None
    if widths is None or (widths.size and widths.dtype.kind not in "iu"):
        raise ShapeError(message, fix="e.g. 1, (1, 2) or ((0, 0), (1, 2))")
    if widths.size and widths.min() < 0:
        raise ArgumentError(
            f"pad: widths cannot be negative, received {pad_width!r:.60}.",
            fix="cut with a slice: x[1:-1]",
        )
    return [(int(before), int(after)) for before, after in widths]


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Array:
    """The array with a border of one value.

    Args:
        x: the array.
        pad_width: elements before and after each axis: a number for all, a pair
            (before, after) for all axes, or a pair for each axis.
        mode: only "constant".
        constant_values: the value of the border, one number.

    Raises:
        ArgumentError: a width is negative, or the mode is another one.
        ShapeError: the widths do not fit the axes.

    Example:
        >>> import retrograd as rg
        >>> rg.pad(rg.array([1, 2]), (1, 2)).numpy()
        array([0, 1, 2, 0, 0], dtype=int32)
    """
    value = as_array(x)
    ndim = value.type.ndim
    if mode != "constant":
        raise ArgumentError(f'pad: mode must be "constant", received {mode!r}.')
    widths = _pad_widths(pad_width, ndim)
    border = as_array(constant_values)
    if border.type.size != 1:
        raise ArgumentError(
            f"pad: constant_values must be one number, received shape {border.type.shape}."
        )
    if not any(map(any, widths)):
        return value
    low, high = tuple(before for before, _ in widths), tuple(after for _, after in widths)
    result = bind(pad_p, value, low=low, high=high, interior=(0,) * ndim)[0]
    if isinstance(constant_values, (bool, int, float)) and constant_values == 0:
        return result
    number = constant_values if isinstance(constant_values, (bool, int, float)) else border
    filling = reshape(convert(number, value.type.dtype), ())
    for axis, (before, after) in enumerate(widths):
        if before or after:
            # One small mask an axis, not one of the array's size.
            size = value.type.shape[axis]
            inside = np.zeros((before + size + after, *(1,) * (ndim - 1 - axis)), bool)
            inside[before : before + size] = True
            result = comparison.where(Array(inside), result, filling)
    return result


def roll(x: Any, shift: Any, axis: Any = None) -> Array:
    """Elements moved along axes; those that leave at one end come in at the other.

    Args:
        x: the array.
        shift: by how many places; several for several axes.
        axis: the axis or axes; None rolls the flattened array and gives it its shape back.

    Example:
        >>> import retrograd as rg
        >>> rg.roll(rg.array([1, 2, 3]), 1).numpy()
        array([3, 1, 2], dtype=int32)
    """
    value = as_array(x)
    if axis is None:
        total = sum(as_integers(shift, "shift", "roll"))
        return reshape(roll(reshape(value, (value.type.size,)), total, 0), value.type.shape)
    axes = [
        check_axis(a, value.type.ndim, "roll")
        for a in (axis if isinstance(axis, (tuple, list)) else (axis,))
    ]
    shifts = as_integers(shift, "shift", "roll")
    if len(axes) == 1:
        axes = axes * len(shifts)
    if len(shifts) == 1:
        shifts = shifts * len(axes)
    if len(shifts) != len(axes):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes.")
    for a, places in zip(axes, shifts, strict=True):
        size = value.type.shape[a]
        cut = -places % size if size else 0
        if cut:
            parts = [slice_axis(value, a, cut, size), slice_axis(value, a, 0, cut)]
            value = concatenate(parts, a)
    return value


def tril(x: Any, k: int = 0) -> Array:
    """The lower triangle of matrices, zeros above the diagonal k.

    Args:
        x: an array of at least two axes; the last two are the matrices.
        k: the diagonal: 0 the main one, positive above it, negative below.

    Example:
        >>> import retrograd as rg
        >>> rg.tril(rg.ones((2, 2))).numpy()
        array([[1., 0.],
               [1., 1.]], dtype=float32)
    """
    return _triangle(x, k, "tril")


def triu(x: Any, k: int = 0) -> Array:
    """The upper triangle of matrices, zeros below the diagonal k.

    Args:
        x: an array of at least two axes; the last two are the matrices.
        k: the diagonal: 0 the main one, positive above it, negative below.

    Example:
        >>> import retrograd as rg
        >>> rg.triu(rg.ones((2, 2))).numpy()
        array([[1., 1.],
               [0., 1.]], dtype=float32)
    """
    return _triangle(x, k, "triu")


def _triangle(x: Any, k: Any, operation: str) -> Array:
    value = as_array(x)
    if value.type.ndim < 2:
        raise ShapeError(f"{operation} needs at least two axes, received {value.type.shape}.")
    diagonal = as_integer(k, "k", operation)
    rows, columns = value.type.shape[-2:]
    lower = np.tri(rows, columns, diagonal if operation == "tril" else diagonal - 1, dtype=bool)
    kept = lower if operation == "tril" else ~lower
    return comparison.where(Array(kept), value, convert(0, value.type.dtype))

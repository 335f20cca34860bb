"""Memory with zeros around a value, which convolutions read without looking for borders.

A value that is computed for a convolution is written inside of such memory at once; one that is
already there is copied. Either is done once, whoever needs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..ir import Atom
from ..ir.loops import Guard, writes
from .nests import Affine, IndexMap, NestBuilder, View, row_major
from .values import Values

Sides = tuple[tuple[int, int], ...]
"""Zeros before and after, for each axis."""


def write_bordered(values: Values, atom: Atom, sides: Sides) -> View:
    """Compute a value into the inside of memory with zeros around."""
    shape = atom.type.shape
    whole = values.new(
        atom.type.dtype, tuple(low + n + high for (low, high), n in zip(sides, shape))
    )
    offset = sum(low * step for (low, _), step in zip(sides, whole.strides))
    inside = View(whole.buffer, offset, whole.strides, shape, whole.dtype)
    kernels = values.schedule.kernels
    values.write(atom, inside)
    values.known[id(atom)] = inside
    source, low, high, order = standard(inside, *zip(*sides))
    memory = tuple(whole.strides[axis] for axis in order)
    values.padded[source] = (
        View(whole.buffer, offset, memory, source.shape, whole.dtype),
        tuple(zip(low, high)),
    )
    place = max(n for n, kernel in enumerate(kernels) if whole.buffer in writes(kernel))
    count = len(kernels)
    for border in list_borders(whole, sides):
        fill_zeros(values, border)
    # Before the inside, so that it can still be merged with what reads it.
    borders = kernels[count:]
    del kernels[count:]
    kernels[place:place] = borders
    return inside


def list_borders(whole: View, sides: Sides) -> list[View]:
    """Views that cover what lies outside; both sides of an axis in one if they are equal."""
    found = []
    offset = 0
    shape = list(whole.shape)
    for axis, (low, high) in enumerate(sides):
        step = whole.strides[axis]
        size = whole.shape[axis] - low - high
        before = (tuple(shape[:axis]), tuple(whole.strides[:axis]))
        after = (tuple(shape[axis + 1 :]), tuple(whole.strides[axis + 1 :]))
        pieces = [(0, 2, low)] if low == high else [(0, 1, low), (low + size, 1, high)]
        for start, twice, width in pieces:
            if width:
                found.append(
                    View(
                        whole.buffer,
                        offset + start * step,
                        (*before[1], (low + size) * step, step, *after[1]),
                        (*before[0], twice, width, *after[0]),
                        whole.dtype,
                    )
                )
        offset += low * step
        shape[axis] = size
    return found


def fill_zeros(values: Values, target: View) -> None:
    """Zeros in a view, by a kernel of their own."""
    values.fill(
        target, lambda builder, index: builder.add("constant", target.dtype, value=0), merge=False
    )


def standard(
    x: View, low: Sequence[int], high: Sequence[int]
) -> tuple[View, tuple[int, ...], tuple[int, ...], list[int]]:
    """x and its padding with axes in the order of memory, and that order.

    The strides of axes of size 1 say nothing: these axes come last, all alike, but for those that
    get longer.
    """
    sizes = [n + a + b for n, a, b in zip(x.shape, low, high)]
    steps = [abs(step) if size > 1 else 0 for step, size in zip(x.strides, sizes)]
    order = sorted(range(len(x.shape)), key=lambda axis: (-steps[axis], low[axis], high[axis]))
    view = View(
        x.buffer,
        x.offset,
        tuple(x.strides[axis] if x.shape[axis] > 1 else 0 for axis in order),
        tuple(x.shape[axis] for axis in order),
        x.dtype,
    )
    return view, tuple(low[axis] for axis in order), tuple(high[axis] for axis in order), order


def pad_view(values: Values, x: View, low: tuple[int, ...], high: tuple[int, ...]) -> View:
    """x with zeros around: what there is already, or a copy in the order of memory that x has."""
    if not any(low) and not any(high):
        return x
    source, lows, highs, order = standard(x, low, high)
    known = values.padded.get(source)
    if known is None or not covers(known[1], tuple(zip(lows, highs))):
        known = values.padded[source] = _pad(values, source, tuple(zip(lows, highs)))
    inside = known[0]
    # The memory's own strides, also along axes of size 1.
    strides = [0] * len(order)
    for place, axis in enumerate(order):
        strides[axis] = inside.strides[place]
    offset = inside.offset - sum(n * step for n, step in zip(low, strides))
    shape = tuple(a + size + b for a, size, b in zip(low, x.shape, high))
    return View(inside.buffer, offset, tuple(strides), shape, x.dtype)


def find_padded(values: Values, x: View, low: tuple[int, ...], high: tuple[int, ...]) -> bool:
    """Whether x needs no zeros around that are not there already."""
    if not any(low) and not any(high):
        return True
    source, lows, highs, _ = standard(x, low, high)
    known = values.padded.get(source)
    return known is not None and covers(known[1], tuple(zip(lows, highs)))


def covers(there: Sides, wanted: Sides) -> bool:
    """Whether there are at least as many zeros as wanted on every side."""
    return all(a >= x and b >= y for (a, b), (x, y) in zip(there, wanted))


def _pad(values: Values, x: View, sides: Sides) -> tuple[View, Sides]:
    """A padded copy: its inside, and the zeros around."""
    shape = tuple(low + size + high for (low, high), size in zip(sides, x.shape))
    target = values.new(x.dtype, shape)
    flat_x, flat_sides, flat_shape = flatten_rows(x, sides, shape)
    into = View(target.buffer, 0, row_major(flat_shape), flat_shape, x.dtype)

    def read(builder: NestBuilder, index: IndexMap) -> int:
        moved: list[Affine] = []
        guards = []
        for affine, (low, high), size in zip(index, flat_sides, flat_x.shape):
            shifted = affine.scaled(1, -low)
            moved.append(shifted)
            if low or high:
                guards.append(Guard(shifted.offset, shifted.coefficients, size))
        return builder.load(flat_x, tuple(moved), tuple(guards))

    values.fill(into, read, merge=False)
    offset = sum(low * step for (low, _), step in zip(sides, target.strides))
    return View(target.buffer, offset, target.strides, x.shape, x.dtype), sides


def flatten_rows(
    x: View, sides: tuple[tuple[int, int], ...], shape: tuple[int, ...]
) -> tuple[View, tuple[tuple[int, int], ...], tuple[int, ...]]:
    """The innermost padded axis and all axes inside as one, where x lies so: longer rows."""
    last = max(axis for axis, pair in enumerate(sides) if any(pair))
    inside = math.prod(x.shape[last + 1 :])
    whole = row_major((1, *x.shape[last + 1 :]))
    if x.strides[last:] != whole and x.shape[last] != 1:
        return x, sides, shape
    if x.strides[last + 1 :] != whole[1:]:
        return x, sides, shape
    flat = View(
        x.buffer, x.offset, (*x.strides[:last], 1), (*x.shape[:last], x.shape[last] * inside),
        x.dtype,
    )  # fmt: skip
    low, high = sides[last]
    return (
        flat,
        (*sides[:last], (low * inside, high * inside)),
        (*shape[:last], shape[last] * inside),
    )


def dilate_view(values: Values, x: View, between: list[int]) -> View:
    """x with zeros written between its elements."""
    shape = tuple((size - 1) * step + 1 for size, step in zip(x.shape, between))
    target = values.new(x.dtype, shape)
    fill_zeros(values, target)
    strides = tuple(stride * step for stride, step in zip(target.strides, between))
    inner = View(target.buffer, 0, strides, x.shape, x.dtype)
    values.fill(inner, lambda builder, index: builder.load(x, index), merge=False)
    return target

"""Convolutions of large images with few channels: read where they lie, without zeros around them.

The copy with zeros would cost as much as a good part of the arithmetic. Instead, guards tell the
generator which terms there are. Terms in the padding are left out, not multiplied: there an
infinite weight gives no NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..ir.loops import Contraction
from .contractions import merge_axes, pack_rows
from .contractions import simplify as simplify_axes
from .values import Values

LARGE = 1 << 18
"""Bytes of an image from which on a copy of it leaves no room in the nearer caches."""
MOST_WORK = 640
"""Multiply-adds with an element, at the most, beside which the copy counts."""
LEAST_LANES = 8
"""Elements along an axis that gives lanes."""
MOST_TERMS, MOST_TAPS = 1024, 7
"""Terms of a sum and taps along an axis, at the most, where tiles run along the image."""


def is_worth(c: Contraction, size: int) -> bool:
    """Whether the copy of an image of so many elements would count."""
    return size * c.dtype.itemsize >= LARGE and math.prod(c.extents) <= MOST_WORK * size


def arrange_unpadded(c: Contraction) -> tuple[Contraction, int] | None:
    """The contraction as the generator likes it, and an axis along which b must be contiguous.

    Args:
        c: its a is the image, with guards.

    Returns:
        None if there are no lanes that the guards leave alone.
    """
    c = simplify_axes(c)
    if not all(_ties_two(c, guard.strides) for guard in c.a.guards):
        return None
    tied = {axis for guard in c.a.guards for axis, stride in enumerate(guard.strides) if stride}
    beside = [axis for axis, extent in enumerate(c.extents) if axis not in tied]
    beside = [axis for axis in beside if c.extents[axis] >= LEAST_LANES]
    together = [axis for axis in beside if c.a.strides[axis] == 1]
    if not together:
        return None
    outer = not c.reduced[together[0]]
    if not outer:
        terms = math.prod(n for n, is_reduced in zip(c.extents, c.reduced) if is_reduced)
        taps = [n for axis, n in enumerate(c.extents) if axis in tied and c.reduced[axis]]
        if terms > MOST_TERMS or min(taps) > MOST_TAPS:
            return None
    for axis in beside:
        if c.out.strides[axis] == 1 and c.b.strides[axis] and not c.a.strides[axis]:
            return c, axis
    if not outer and c.b.strides[together[0]]:
        return replace(c, a=c.b, b=c.a), together[0]
    return None


def _ties_two(c: Contraction, strides: Sequence[int]) -> bool:
    """Whether a guard is about an axis of the output and, step by step, a reduced one."""
    kept = [s for s, is_reduced in zip(strides, c.reduced) if s and not is_reduced]
    taps = [s for s, is_reduced in zip(strides, c.reduced) if s and is_reduced]
    return len(kept) == 1 and taps == [1] and kept[0] > 0


def append_unpadded(values: Values, c: Contraction, axis: int) -> None:
    """Add what `arrange_unpadded` gave, with the operand without guards packed if need be."""
    if c.a.guards:
        if c.b.strides[axis] != 1:
            c = replace(c, b=pack_rows(values, c, c.b, axis))
    elif c.a.strides[axis] != 1:
        c = replace(c, a=pack_rows(values, c, c.a, axis))
    values.schedule.kernels.append(merge_axes(c))

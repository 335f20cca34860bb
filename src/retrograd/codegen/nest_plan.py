"""How a loop nest is walked: the order of loops, lanes, sums side by side, chunks of sums.

All of it follows from the shape and the width of vectors. The extent of one axis, the outermost, is
left out of the machine code where that is possible: it is given at run time, so that another batch
size runs the same code. What is decided here is decided from the whole shape, so that sums have the
same order whether their extent is in the code or not.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.loops import LoopNest
from .axes import choose_vector_axis, dependences

CHUNK = 128
"""Terms that are added one after the other before their sum joins the sum of sums."""

COPIES = 4
"""Accumulators that run side by side in a reduction, at the most."""

UNROLLED = 64
"""Expressions in the body of an unrolled loop, at the most."""


@dataclass(frozen=True, slots=True)
class NestPlan:
    """The walk through a nest.

    Args:
        vector: the axis along which lanes lie; None for scalar code.
        width: the number of lanes.
        order: the axes, outermost loop first; the reduced ones come last.
        first_reduced: the place of the first reduced axis in `order`.
        unrolled: the axis along which copies of the body lie.
        most: the number of copies.
        chunk: the place in `order` whose loops add up a chunk; its length where the innermost axis
            alone is walked in chunks; None where there is one chunk.
        free: the axis whose extent is given at run time.
        tail: whether lanes may be left over along that axis.
    """

    vector: int | None
    width: int
    order: tuple[int, ...]
    first_reduced: int
    unrolled: int | None
    most: int
    chunk: int | None
    free: int | None = None
    tail: bool = True

    def step(self, axis: int) -> int:
        """How far apart the copies of an axis are."""
        return self.width if axis == self.vector else 1

    def at_once(self, axis: int) -> int:
        """Elements of a reduced axis that go to different sums."""
        return self.step(axis) * (self.most if axis == self.unrolled else 1)


def plan_nest(nest: LoopNest, vector_bytes: int, uneven: bool = False) -> NestPlan:
    """The walk through a nest.

    Args:
        nest: the loops.
        vector_bytes: the width of vectors.
        uneven: whether the extent of the first axis must be given at run time.
    """
    axes_of = dependences(nest)
    free = 0 if nest.extents and nest.extents[0] > 1 else None
    vector = choose_vector_axis(nest)
    whole = vector == free and free is not None and not any(nest.reduced)
    width = 1 if vector is None else _count_lanes(nest, axes_of, vector, vector_bytes, whole)
    if width == 1:
        vector = None
    axes = range(len(nest.extents))
    parallel = [a for a in axes if not nest.reduced[a] and a != vector]
    reduced = [a for a in axes if nest.reduced[a] and a != vector]
    if vector is not None:
        among = reduced if nest.reduced[vector] else parallel
        # A single vector goes outside: what depends on it alone is then computed once.
        among.insert(0 if nest.extents[vector] <= width else len(among), vector)
    order = (*parallel, *reduced)
    unrolled, most = None, 1
    if vector is not None and reduced:
        unrolled, most = _choose_sums(nest, axes_of, vector, width, order[-1])
    elif vector is not None and len(order) > 1:
        inner = next(axis for axis in reversed(order) if axis != vector)
        if not (uneven and inner == free):
            unrolled, most = _choose_short(nest, inner)
    if unrolled == free and not reduced:
        free = None  # its few turns are written out
    plan = NestPlan(vector, width, order, len(parallel), unrolled, most, None, free)
    tail = free is None or free != vector or nest.extents[free] % width != 0
    chunk = _find_chunk(nest, plan) if reduced else None
    return NestPlan(vector, width, order, len(parallel), unrolled, most, chunk, free, tail)


def _count_lanes(
    nest: LoopNest, axes_of: list[set[int]], vector: int, vector_bytes: int, whole: bool
) -> int:
    """Lanes for the widest dtype that is computed with along the vector axis.

    Args:
        whole: not less than a vector, whatever the extent.
    """
    moving = [
        e.dtype.itemsize
        for e, axes in zip(nest.expressions, axes_of, strict=True)
        if vector in axes
    ]
    lanes = vector_bytes // max([4, *moving])
    while lanes > 1 and lanes // 2 >= nest.extents[vector] and not whole:
        lanes //= 2
    return lanes


def _choose_sums(
    nest: LoopNest, axes_of: list[set[int]], vector: int, width: int, innermost: int
) -> tuple[int | None, int]:
    """The axis to unroll, and how often: reductions need several sums at once."""
    most = COPIES
    within = {axis for axis, flag in enumerate(nest.reduced) if flag}
    body = sum(bool(axes & within) for axes in axes_of)
    while most > 1 and most * body > UNROLLED:
        most //= 2
    vectors = nest.extents[vector] // width
    if vectors > 1 or innermost == vector:
        axis, count = vector, vectors
    else:
        axis, count = innermost, nest.extents[innermost]
    while most > 1 and most > count:
        most //= 2
    return (axis, most) if most > 1 else (None, 1)


def _choose_short(nest: LoopNest, axis: int) -> tuple[int | None, int]:
    """A loop of a few turns around the vectors is better written out."""
    count = nest.extents[axis]
    short = count <= COPIES and count * len(nest.expressions) <= UNROLLED
    return (axis, count) if short else (None, 1)


def _find_chunk(nest: LoopNest, plan: NestPlan) -> int | None:
    """The outermost level whose loops inside add at most CHUNK terms; None without need."""
    first = plan.first_reduced
    terms = 1
    found = None
    for level in reversed(range(first, len(plan.order))):
        axis = plan.order[level]
        terms *= -(-nest.extents[axis] // plan.at_once(axis))
        if terms > CHUNK:
            break
        found = level
    if found == first:
        return None
    return len(plan.order) if found is None else found

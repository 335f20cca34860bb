"""Elementwise work on the result of a contraction becomes its epilogue.

The sums are then read from registers, and where nothing else wants them they never reach memory:
a bias and an activation, the mask of a gradient, a residual, the update of the weights.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from ..ir.checks import find_last_failure
from ..ir.loops import (
    EPILOGUE_TERMS,
    Access,
    Callback,
    Contraction,
    Epilogue,
    Expression,
    Kernel,
    LoopNest,
    Schedule,
    Store,
    reads,
    writes,
)
from .values import COST_OF_COSTLY, COSTLY

LONGEST = 64
"""Expressions of an epilogue, at the most."""
SHORT = 12
"""Work on one result, in multiples of an addition, in a short epilogue."""
FEW_SHORT, FEW_LONG = 1 << 12, 1 << 17
"""On fewer results an epilogue saves less than LLVM takes for it, a short one and a long one."""
NOT_ELEMENTWISE = {"gather", "index", "inside", "sum"}


def fuse_epilogues(schedule: Schedule) -> Schedule:
    """The Schedule with each contraction doing the elementwise work that reads its result."""
    work = [Touched(kernel) for kernel in schedule.kernels]
    writers = Counter(number for one in work for number in one.writes)
    failure = find_last_failure(schedule)
    watched = schedule.kernels[failure] if failure >= 0 else None
    for one in list(work):
        c = one.kernel
        if (
            isinstance(c, Contraction)
            and writers[c.out.buffer] == 1
            and _terms(c) <= EPILOGUE_TERMS
        ):
            _fuse(schedule, work, one, c, watched)
    schedule.kernels = [one.kernel for one in work]
    return schedule


class Touched:
    """A kernel and the buffers that it reads and writes."""

    __slots__ = ("kernel", "reads", "writes")

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.reads = reads(kernel)
        self.writes = writes(kernel)


def _terms(c: Contraction) -> int:
    return math.prod(extent for extent, reduced in zip(c.extents, c.reduced) if reduced)


def _fuse(
    schedule: Schedule, work: list[Touched], one: Touched, c: Contraction, watched: Kernel | None
) -> None:
    """Absorb the first kernel that reads the result, if that can be."""
    number, start = c.out.buffer, work.index(one)
    readers = [place for place, other in enumerate(work) if number in other.reads]
    if not readers or readers[0] < start:
        return
    stop = readers[0]
    nest = work[stop].kernel
    if not isinstance(nest, LoopNest):
        return
    fused = absorb(c, nest, kept=len(readers) > 1 or number in schedule.outputs)
    if fused is None:
        return
    between = work[start + 1 : stop]
    place = _find_place(schedule, one, work[stop], nest, between, watched)
    if place is not None:
        work[start : stop + 1] = [*between[:place], Touched(fused), *between[place:]]


def _find_place(
    schedule: Schedule,
    one: Touched,
    other: Touched,
    nest: LoopNest,
    between: list[Touched],
    watched: Kernel | None,
) -> int | None:
    """How many of the kernels between the two run before both together; None if it cannot be.

    The contraction may move down past what leaves its operands alone, the nest up past what has
    nothing to do with it. Where it replaces an input, it moves past nothing that reads that input,
    nor past the last kernel that may fail (`watched`): its result could not be written over the
    input any more.
    """
    stored = {(store.access.offset, store.access.strides) for store in nest.stores}
    replaced = {
        e.access.buffer
        for e in nest.expressions
        if e.access is not None
        and (e.access.offset, e.access.strides) in stored
        and schedule.buffers[e.access.buffer].kind == "input"
    }
    place = 0
    for count, kernel in enumerate(between, 1):
        if kernel.writes & (other.reads | other.writes) or kernel.reads & (other.writes | replaced):
            place = count
        if replaced and kernel.kernel is watched:
            place = count
    for kernel in between[:place]:
        if isinstance(kernel.kernel, Callback):
            return None
        if kernel.writes & (one.reads | one.writes) or kernel.reads & one.writes:
            return None
    return place


# -- the contraction that does both ---------------------------------------------------------------


def absorb(c: Contraction, nest: LoopNest, kept: bool) -> Contraction | None:
    """The contraction with a nest as its epilogue; None where that cannot be.

    Args:
        c: it has no epilogue.
        nest: it reads the result.
        kept: whether the result is wanted in memory, too.
    """
    if any(nest.reduced) or len(nest.expressions) > LONGEST:
        return None
    if any(e.kind in NOT_ELEMENTWISE for e in nest.expressions):
        return None
    if any(s.reduction is not None or s.index is not None for s in nest.stores):
        return None
    work = sum(COST_OF_COSTLY if e.kind in COSTLY else 1 for e in nest.expressions)
    if math.prod(nest.extents) < (FEW_SHORT if work <= SHORT else FEW_LONG):
        return None
    loads = [e.access for e in nest.expressions if e.access is not None]
    accesses = {*loads, *(store.access for store in nest.stores)}
    if any(access.guards for access in accesses):
        return None
    sources = {access for access in loads if access.buffer == c.out.buffer}
    if len(sources) != 1:
        return None
    source = sources.pop()
    moved = align(c, nest.extents, source, accesses)
    if moved is None or not _suits(c, [moved[s.access] for s in nest.stores], moved):
        return None
    expressions = tuple(_move(e, source, moved) for e in nest.expressions)
    stores = [replace(store, access=moved[store.access]) for store in nest.stores]
    out = stores[0].access
    if kept:
        out = c.out
        total = next(n for n, e in enumerate(expressions) if e.kind == "sum")
        stores.append(Store(out, total))
    return replace(c, out=out, epilogue=Epilogue(expressions, tuple(stores)))


def _move(expression: Expression, source: Access, moved: dict[Access, Access]) -> Expression:
    if expression.access is None:
        return expression
    if expression.access == source:
        return Expression("sum", expression.dtype)
    return replace(expression, access=moved[expression.access])


def _suits(c: Contraction, stores: list[Access], moved: dict[Access, Access]) -> bool:
    """Whether vectors of the output are vectors of everything: contiguous, or all of one value."""
    lanes = [
        axis
        for axis, stride in enumerate(c.out.strides)
        if stride == 1 and not c.reduced[axis] and c.extents[axis] > 1
    ]
    if len(lanes) != 1:
        return False
    lane = lanes[0]
    panel = c.panel is not None and c.panel[0] == lane
    if not panel and 1 not in (c.a.strides[lane], c.b.strides[lane]):
        return False  # one element after the other: lanes lie along the sum
    if any(access.strides[lane] not in (0, 1) for access in moved.values()):
        return False
    kept = [axis for axis, extent in enumerate(c.extents) if not c.reduced[axis] and extent > 1]
    return all(
        access.strides[lane] == 1 and all(access.strides[axis] for axis in kept)
        for access in stores
    )


def align(
    c: Contraction, extents: tuple[int, ...], source: Access, accesses: set[Access]
) -> dict[Access, Access] | None:
    """The accesses of a nest over the axes of the contraction whose result it reads at `source`.

    An axis of the nest may be several of the contraction; several of the nest may be one of the
    contraction if every access walks them as one.
    """
    if source.offset != c.out.offset:
        return None
    kept = [axis for axis, extent in enumerate(c.extents) if not c.reduced[axis] and extent > 1]
    kept.sort(key=lambda axis: c.out.strides[axis])
    axes = [axis for axis, extent in enumerate(extents) if extent > 1]
    axes.sort(key=lambda axis: source.strides[axis])
    steps: dict[int, tuple[int, int]] = {}  # for each axis of c: (axis of the nest, its step)
    waiting = list(axes)
    left, step = 1, 1  # what is left of the first axis that waits, and the step to get there
    for axis in kept:
        size, stride = c.extents[axis], c.out.strides[axis]
        if left == 1:
            if not waiting:
                return None
            left, step = extents[waiting[0]], 1
        current = waiting[0]
        if source.strides[current] * step != stride:
            return None
        steps[axis] = current, step
        while size > left:
            if size % left or len(waiting) < 2:
                return None
            inner, outer = waiting[0], waiting[1]
            if any(x.strides[outer] != x.strides[inner] * step * left for x in accesses):
                return None
            waiting.pop(0)
            size //= left
            left, step = extents[outer], 1
        if left % size:
            return None
        left, step = left // size, step * size
        if left == 1:
            waiting.pop(0)
    if waiting:
        return None
    moved = {}
    for access in accesses:
        strides = [0] * len(c.extents)
        for axis, (origin, factor) in steps.items():
            strides[axis] = access.strides[origin] * factor
        moved[access] = Access(access.buffer, access.offset, tuple(strides))
    return moved

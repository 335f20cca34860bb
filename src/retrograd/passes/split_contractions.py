"""Contractions over very many terms are summed in parts, which threads can share.

The gradient of a convolution by its kernel is such a contraction: its terms are the places of all
images of a batch. Its results are few. With one channel and 3x3 places threads cannot share them;
with more channels each thread would read an operand again. The parts follow from the shape alone:
results are the same bits on any number of threads. A part has as many terms for most batch sizes,
so that these have one machine code.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..ir.loops import Access, Buffer, Contraction, Kernel, LoopNest, Schedule, Store
from ..ir.types import DType
from .merging import merge_nests
from .nests import NestBuilder, View, collapse, identity, row_major

MOST_RESULTS = 1 << 16
"""Each part has its own in memory."""
LEAST = 1 << 19
"""Multiply-adds of a contraction from which on it is cut."""
TERMS = 2048
"""Terms of a part, at the least."""
LEAST_PARTS, MOST_PARTS = 4, 16


def split_contractions(schedule: Schedule) -> Schedule:
    """The pass over all kernels."""
    buffers, origins = list(schedule.buffers), dict(schedule.origins)
    kernels: list[Kernel] = []
    result = replace(schedule, buffers=buffers, kernels=kernels, origins=origins)
    summed = False  # whether the last kernel adds up parts
    for kernel in schedule.kernels:
        if summed and isinstance(kernel, LoopNest):
            before = kernels[-1]
            assert isinstance(before, LoopNest)
            merged = merge_nests(before, kernel)
            if merged is not None:
                kernels[-1] = merged
                continue
        axis = _find_axis(kernel) if isinstance(kernel, Contraction) else None
        summed = axis is not None
        if axis is None:
            kernels.append(kernel)
        else:
            assert isinstance(kernel, Contraction)
            kernels += _split(result, kernel, axis)
    return result


def _find_axis(c: Contraction) -> int | None:
    """The reduced axis that is cut: the one whose elements lie the farthest apart."""
    results = math.prod(n for n, reduced in zip(c.extents, c.reduced, strict=True) if not reduced)
    if c.epilogue is not None or results > MOST_RESULTS or math.prod(c.extents) < LEAST:
        return None
    guards = (*c.a.guards, *c.b.guards)
    found = [
        axis
        for axis, reduced in enumerate(c.reduced)
        if reduced and not any(guard.strides[axis] for guard in guards)
    ]
    axis = max(found, key=lambda x: max(abs(c.a.strides[x]), abs(c.b.strides[x])), default=None)
    if axis is None or c.extents[axis] < LEAST_PARTS * _choose_part(c, axis):
        return None
    return axis


def _choose_part(c: Contraction, axis: int) -> int:
    """How much of the axis a part has: a power of two, the same for most extents."""
    inner = math.prod(n for x, n in enumerate(c.extents) if c.reduced[x] and x != axis)
    part = 1
    while part * inner < TERMS or c.extents[axis] // part > MOST_PARTS:
        part *= 2
    return part


def _split(schedule: Schedule, c: Contraction, axis: int) -> list[Kernel]:
    """The parts as one contraction, what is left over as another, and the nest that adds them."""
    part = _choose_part(c, axis)
    count, rest = divmod(c.extents[axis], part)
    # The parts lie as the result does, so that their sum is walked in its order.
    kept = [x for x, reduced in enumerate(c.reduced) if not reduced]
    kept.sort(key=lambda x: -abs(c.out.strides[x]))
    shape = tuple(c.extents[x] for x in kept)
    number = len(schedule.buffers)
    schedule.buffers.append(Buffer(c.dtype, (count + (rest > 0), *shape), "arena"))
    if c.out.buffer in schedule.origins:
        schedule.origins[number] = schedule.origins[c.out.buffer]
    strides, size = row_major(shape), math.prod(shape)
    along = dict(zip(kept, strides, strict=True))
    inner = tuple(along.get(x, 0) for x in range(len(c.extents)))
    kernels: list[Kernel] = [
        Contraction(
            (count, *_with(c.extents, axis, part)),
            (False, *c.reduced),
            c.dtype,
            _wider(c.a, axis, part),
            _wider(c.b, axis, part),
            Access(number, 0, (size, *inner)),
            None if c.panel is None else (c.panel[0] + 1, c.panel[1]),
        )
    ]
    if rest:
        kernels.append(
            replace(
                c,
                extents=_with(c.extents, axis, rest),
                a=_moved(c.a, axis, count * part),
                b=_moved(c.b, axis, count * part),
                out=Access(number, count * size, inner),
            )
        )
    last = NestBuilder(shape, [False] * len(shape))
    parts = [
        last.load(View(number, place * size, strides, shape, c.dtype), identity(shape))
        for place in range(count + (rest > 0))
    ]
    out = View(c.out.buffer, c.out.offset, tuple(c.out.strides[x] for x in kept), shape, c.dtype)
    last.stores.append(Store(last.access(out, identity(shape)), _add_up(last, parts, c.dtype)))
    return [*kernels, collapse(last.build())]


def _with(extents: tuple[int, ...], axis: int, extent: int) -> tuple[int, ...]:
    return (*extents[:axis], extent, *extents[axis + 1 :])


def _wider(access: Access, axis: int, part: int) -> Access:
    """The same place, with the axis walked as two, the parts first."""
    guards = tuple(replace(guard, strides=(0, *guard.strides)) for guard in access.guards)
    strides = (access.strides[axis] * part, *access.strides)
    return replace(access, strides=strides, guards=guards)


def _moved(access: Access, axis: int, steps: int) -> Access:
    return replace(access, offset=access.offset + steps * access.strides[axis])


def _add_up(last: NestBuilder, parts: list[int], dtype: DType) -> int:
    """The sum of the parts in pairs."""
    while len(parts) > 1:
        pairs = [parts[place : place + 2] for place in range(0, len(parts), 2)]
        parts = [last.add("add", dtype, tuple(p)) if len(p) > 1 else p[0] for p in pairs]
    return parts[0]

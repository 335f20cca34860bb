"""How contractions are walked that read an operand without zeros around it.

A guard ties an output axis to a reduced one: place p of the output and tap j of a window meet only
where `0 <= offset + step * p + j < limit`. There are three ways to leave the other terms out:

- a loop over j whose bounds follow from p, which is then no axis of the tile;
- a tile with every p: what is not the same for all of them is written out around the loop;
- all taps written out, and tiles along p at known places, so that each of them has the terms that
  it needs. Neighbouring terms then share what is loaded.
"""

from __future__ import annotations

import math
from functools import lru_cache

from ..ir.loops import Contraction, Guard
from .tiles import (
    CHUNK,
    LOOP,
    Plan,
    cost_of_tile,
    count_loads,
    count_steps,
    cut_reduction,
    find_vector_axes,
    list_tiles,
    order_outputs,
)

MOST_TAPS = 7
"""Terms that are written out, at the most."""
MOST_EDGES = 4
"""Steps before and after a loop, at the most, in which some terms of a tile are left out."""


def list_guards(c: Contraction) -> tuple[Guard, ...]:
    """The guards of both operands."""
    return (*c.a.guards, *c.b.guards)


def axes_of(guard: Guard, c: Contraction) -> tuple[int, int]:
    """The output axis and the reduced axis that a guard ties together."""
    axes = [axis for axis, stride in enumerate(guard.strides) if stride]
    (kept,) = (axis for axis in axes if not c.reduced[axis])
    (taps,) = (axis for axis in axes if c.reduced[axis])
    return kept, taps


def find_written(c: Contraction) -> Guard | None:
    """The guard whose taps are written out; it follows from the shape alone."""
    found = []
    terms = math.prod(n for n, is_reduced in zip(c.extents, c.reduced) if is_reduced)
    for guard in list_guards(c):
        kept, taps = axes_of(guard, c)
        if c.extents[taps] <= MOST_TAPS < c.extents[kept] and terms <= CHUNK:
            found.append((abs(c.out.strides[kept]), guard))
    return min(found, key=lambda item: item[0])[1] if found else None


@lru_cache(maxsize=1024)
def plan_guarded(c: Contraction, vector_bytes: int, registers: int) -> Plan:
    """The cheapest walk, by the same model of the inner loop as without guards."""
    chosen = find_written(c)
    written = None if chosen is None else axes_of(chosen, c)[1]
    pairs = {guard: axes_of(guard, c) for guard in list_guards(c)}
    tied = {axis for pair in pairs.values() for axis in pair}
    others = [guard for guard in pairs if guard is not chosen]
    looped = tuple(r and axis != written for axis, r in enumerate(c.reduced))
    best: Plan | None = None
    best_cost = math.inf
    for vector, across in find_vector_axes(c):
        if vector in tied:
            vector, across = None, False
        lanes = 1
        if vector is not None:
            lanes = vector_bytes // c.dtype.itemsize
            while lanes > 1 and lanes // 2 >= c.extents[vector]:
                lanes //= 2
        loops = Contraction(c.extents, looped, c.dtype, c.a, c.b, c.out)
        reduced, level, strip = cut_reduction(loops, vector if across else None, lanes)
        early = [place for place in range(level) if reduced[place] in tied]
        if early:  # bounds are those of loops inside of a tile
            level, strip = early[0], 1
        cut = bool(reduced) and count_steps(c, reduced[level], vector, across, lanes) > strip
        entries = math.prod(c.extents[axis] for axis in reduced[:-1])
        for tile in list_tiles(c, vector, across, lanes, registers):
            inner = None if not reduced or (cut and level == len(reduced) - 1) else reduced[-1]
            if not all(_can_tile(c, guard, tile, inner) for guard in others):
                continue
            if not _fits(c, tile, written, registers):
                continue
            terms = [] if written is None else [written]
            cost = cost_of_tile(c, vector, across, lanes, tile, terms)
            cost += LOOP * entries * _count_tiles(c, tile, None if across else vector, lanes)
            if cost < best_cost:
                best_cost = cost
                order = order_outputs(c, None if across else vector, tile)
                once = bool(reduced) and across and c.extents[vector or 0] == lanes
                best = Plan(
                    vector,
                    across,
                    lanes,
                    tile,
                    order,
                    tuple(reduced),
                    level,
                    strip,
                    int(once),
                    cut,
                    written=written,
                )
    assert best is not None
    return best


def find_whole(c: Contraction, guard: Guard) -> range:
    """The elements along the reduced axis of a guard that meet every place of the output axis."""
    kept, taps = axes_of(guard, c)
    places = [guard.offset + guard.strides[kept] * place for place in range(c.extents[kept])]
    first, last = max(0, -min(places)), min(c.extents[taps], guard.limit - max(places))
    return range(first, last)


def _can_tile(c: Contraction, guard: Guard, tile: tuple[int, ...], inner: int | None) -> bool:
    """Whether bounds of a loop do for a tile: one place, or all of them in the innermost loop."""
    kept, taps = axes_of(guard, c)
    if tile[kept] == 1:
        return True
    whole = find_whole(c, guard)
    edges = c.extents[taps] - len(whole)
    return tile[kept] == c.extents[kept] and taps == inner and bool(whole) and edges <= MOST_EDGES


def _fits(c: Contraction, tile: tuple[int, ...], written: int | None, registers: int) -> bool:
    """Whether sums, what all taps want of the operand that is held, and one more fit."""
    if written is None:
        return True
    a, b = count_loads(c, tile)
    return math.prod(tile) + min(a, b, 2) * c.extents[written] + 1 <= registers or max(tile) == 1


def _count_tiles(c: Contraction, tile: tuple[int, ...], vector: int | None, lanes: int) -> int:
    count = 1
    for axis, extent in enumerate(c.extents):
        if not c.reduced[axis]:
            count *= -(-extent // (tile[axis] * (lanes if axis == vector else 1)))
    return count

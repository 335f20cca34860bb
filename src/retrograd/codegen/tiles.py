"""How a contraction is walked: which axis gives the lanes, and how much of the output is a tile.

The choice follows from the shape and the target alone, never from timing: it decides nothing about
the order of sums except where they are cut into chunks, which is the same for every target.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from operator import mul

from ..ir.loops import Contraction

CHUNK = 1024
"""Terms that are added one after the other (in each lane) before their sum joins the output."""
LATENCY = 4.0
"""Cycles from a multiply-add to the next one on the same register; two are done in a cycle."""
NEAR = 24 * 1024
"""Bytes of b that stay in the first cache while the rows pass by."""
FAR_VECTOR = 2.7 / 64
"""Cycles for a byte of b that comes from the second cache."""
SPREAD = 0.03
"""Cycles for each doubling of the distance between the rows of a tile."""
LOOP = 8.0
"""Cycles to enter and leave a loop."""
UNROLL, UNROLLED = 12, 128
"""Terms of a reduction, and multiply-adds, that are written one after the other at the most."""
LINE, SETS, WAYS = 64, 64, 8
"""Of the first cache: bytes of a line, sets, and lines of a that a set can hold beside others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the axes of a contraction are walked.

    Args:
        vector: the axis along which lanes lie; None for scalars.
        across: whether that axis is reduced: then the lanes are added at the end.
        lanes: elements in a vector.
        tile: for each axis the elements in a tile (vectors, for a vector axis of the output).
        order: the output axes, outermost loop first.
        reduced: the reduced axes, outermost loop first.
        level: the place in `reduced` of the axis that is cut into strips; the axes before it are
            walked one element at a time, outside of all tiles.
        strip: elements of that axis in a strip.
        unrolled: how many of the innermost reduced axes are written out, not looped over.
        cut: whether there are several strips.
        free: the axis whose extent is given at run time; with strips along it their length is, too.
        fetched: what memory is asked for while sums are made; see fetching.py.
        written: the reduced axis whose terms are written out inside of all loops; see
            guarded_plan.py.
    """

    vector: int | None
    across: bool
    lanes: int
    tile: tuple[int, ...]
    order: tuple[int, ...]
    reduced: tuple[int, ...]
    level: int
    strip: int
    unrolled: int
    cut: bool = False
    free: int | None = None
    fetched: str = ""
    written: int | None = None

    @property
    def chunked(self) -> bool:
        """Whether the output holds the sum so far while further chunks are added."""
        return self.cut or self.level > 0


@lru_cache(maxsize=1024)
def plan_contraction(c: Contraction, vector_bytes: int, registers: int) -> Plan:
    """The cheapest walk for a contraction, by a model of the inner loop."""
    best: Plan | None = None
    best_cost = math.inf
    for vector, across in find_vector_axes(c):
        lanes = 1
        if vector is not None:
            lanes = vector_bytes // c.dtype.itemsize
            while lanes > 1 and lanes // 2 >= c.extents[vector]:
                lanes //= 2
        reduced, level, strip = cut_reduction(c, vector if across else None, lanes)
        inside = inner_steps(c, reduced, level, strip, lanes if across else 1)
        cut = bool(reduced) and count_steps(c, reduced[level], vector, across, lanes) > strip
        for tile in list_tiles(c, vector, across, lanes, registers):
            unrolled = count_unrolled(c, tile, reduced, inside, registers)
            terms = reduced[len(reduced) - unrolled :]
            cost = cost_of_tile(c, vector, across, lanes, tile, terms)
            cost += LOOP * count_loops(c, tile, inside, unrolled, lanes, vector, across)
            if cost < best_cost and crowds_a_set(c, tile):
                cost *= 1.4
            if cost < best_cost:
                order = order_outputs(c, None if across else vector, tile)
                best_cost = cost
                best = Plan(
                    vector, across, lanes, tile, order, tuple(reduced), level, strip, unrolled, cut
                )
    assert best is not None
    return best


def count_steps(c: Contraction, axis: int, vector: int | None, across: bool, lanes: int) -> int:
    """Elements of a reduced axis in whole steps; lanes that are left over come after."""
    extent = c.extents[axis]
    return extent // lanes * lanes if across and axis == vector else extent


def cost_of_plan(c: Contraction, plan: Plan) -> float:
    """Cycles for the whole contraction by a plan that may be made for another extent."""
    inside = inner_steps(
        c, list(plan.reduced), plan.level, plan.strip, plan.lanes if plan.across else 1
    )
    terms = list(plan.reduced[len(plan.reduced) - plan.unrolled :])
    cost = cost_of_tile(c, plan.vector, plan.across, plan.lanes, plan.tile, terms)
    loops = count_loops(c, plan.tile, inside, plan.unrolled, plan.lanes, plan.vector, plan.across)
    return (cost + LOOP * loops) * (1.4 if crowds_a_set(c, plan.tile) else 1.0)


def find_vector_axes(c: Contraction) -> list[tuple[int | None, bool]]:
    """The axes along which both operands are contiguous or constant, and whether it is reduced."""
    found: list[tuple[int | None, bool]] = []
    for axis, extent in enumerate(c.extents):
        a, b, out = c.a.strides[axis], c.b.strides[axis], c.out.strides[axis]
        if c.panel is not None and axis == c.panel[0]:
            b = 1
        if extent < 2 or a not in (0, 1) or b not in (0, 1) or a + b == 0:
            continue
        if c.reduced[axis] or out == 1:
            found.append((axis, c.reduced[axis]))
    if c.panel is not None:
        return [item for item in found if item[0] == c.panel[0]]
    return found or [(None, False)]


def cut_reduction(c: Contraction, across: int | None, lanes: int) -> tuple[list[int], int, int]:
    """The reduced axes in the order of loops, and where they are cut into chunks."""
    reduced = [axis for axis, is_reduced in enumerate(c.reduced) if is_reduced]
    if across is not None:
        reduced.remove(across)
        reduced.append(across)
    inside = 1
    for level in reversed(range(len(reduced))):
        axis = reduced[level]
        unit = lanes if axis == across else 1
        steps = -(-c.extents[axis] // unit)
        if inside * steps > CHUNK:
            most = max(1, CHUNK // inside)
            strips = -(-steps // most)
            return reduced, level, -(-steps // strips) * unit
        inside *= steps
    return reduced, 0, c.extents[reduced[0]] if reduced else 1


def inner_steps(
    c: Contraction, reduced: list[int], level: int, strip: int, lanes: int
) -> list[int]:
    """Steps along the reduced axes from the innermost out, as far as they are whole in a chunk.

    An axis that is cut, or that leaves some lanes over, ends the list with 0.
    """
    steps = []
    for place in reversed(range(level, len(reduced))):
        extent = c.extents[reduced[place]]
        unit = lanes if place == len(reduced) - 1 else 1
        steps.append(extent // unit if extent % unit == 0 else 0)
    if steps and c.extents[reduced[level]] > strip:
        steps[-1] = 0
    return steps


def count_unrolled(
    c: Contraction,
    tile: tuple[int, ...],
    reduced: list[int],
    inside: list[int],
    registers: int,
) -> int:
    """How many of the innermost reduced axes are written out.

    Where neighbouring terms share elements of a (a window that slides), each is loaded once and
    kept: then these need registers too.
    """
    cells = math.prod(tile)
    terms = 1
    kept = count_loads(c, tile)[0]
    for count, steps in enumerate(inside):
        terms *= steps
        if not 0 < terms <= UNROLL or terms * cells > UNROLLED:
            return count
        before, kept = kept, count_elements(c, tile, reduced[len(reduced) - 1 - count :])
        if kept < steps * before and cells + kept + 1 > registers:
            return count
    return len(inside)


def count_elements(c: Contraction, tile: tuple[int, ...], terms: list[int]) -> int:
    """Different elements (or vectors) of a in a tile over all terms along some reduced axes."""
    axes = [axis for axis, stride in enumerate(c.a.strides) if stride and tile[axis] > 1]
    ranges = [range(tile[axis]) for axis in axes] + [range(c.extents[axis]) for axis in terms]
    strides = [c.a.strides[axis] for axis in (*axes, *terms)]
    return len({sum(map(mul, place, strides)) for place in product(*ranges)})


def count_loops(
    c: Contraction,
    tile: tuple[int, ...],
    inside: list[int],
    unrolled: int,
    lanes: int,
    vector: int | None,
    across: bool,
) -> float:
    """How often a loop over a reduced axis is entered, over all tiles."""
    tiles = 1.0
    for axis, extent in enumerate(c.extents):
        if not c.reduced[axis]:
            unit = lanes if axis == vector and not across else 1
            tiles *= -(-extent // (tile[axis] * unit))
    entries = 0.0
    outside = 1
    for steps in reversed(inside[unrolled:]):
        entries += outside
        outside *= max(steps, 1)
    return tiles * entries


def list_tiles(
    c: Contraction, vector: int | None, across: bool, lanes: int, registers: int
) -> Iterator[tuple[int, ...]]:
    """The tiles that fit into the registers: along the vectors and at most two other axes."""
    free = [
        axis
        for axis, extent in enumerate(c.extents)
        if not c.reduced[axis] and extent > 1 and (across or axis != vector)
    ]
    widths = [1]
    if vector is not None and not across:
        total = -(-c.extents[vector] // lanes)
        widths = [n for n in (1, 2, 3, 4, 6, 8) if n <= total]
        if c.panel is not None:
            widths = [n for n in widths if c.panel[1] % (n * lanes) == 0]
    ones = [1] * len(c.extents)
    for width in widths:
        tile = list(ones)
        if vector is not None and not across:
            tile[vector] = width
        for first in [None, *free]:
            most = 1 if first is None else min(c.extents[first], registers)
            for count in range(1, most + 1):
                if first is not None:
                    tile[first] = count
                if not fits(c, tile, registers):
                    break
                yield tuple(tile)
                # A second axis in one with a first that is covered, or in another operand.
                for second in free:
                    if first is None or second == first or (across and second < first):
                        continue
                    if not across and count < c.extents[first]:
                        continue
                    for more in range(2, min(c.extents[second], registers) + 1):
                        tile[second] = more
                        if not fits(c, tile, registers):
                            break
                        yield tuple(tile)
                    tile[second] = 1
            if first is not None:
                tile[first] = 1


def count_loads(c: Contraction, tile: tuple[int, ...] | list[int]) -> tuple[int, int]:
    """Different elements or vectors of a and of b in one step of a tile."""
    a = b = 1
    for count, in_a, in_b in zip(tile, c.a.strides, c.b.strides):
        if count > 1:
            a *= count if in_a else 1
            b *= count if in_b else 1
    return a, b


def fits(c: Contraction, tile: list[int], registers: int) -> bool:
    """Whether sums, the smaller operand and one element of the other have registers."""
    return math.prod(tile) + min(count_loads(c, tile)) + 1 <= registers


def cost_of_tile(
    c: Contraction,
    vector: int | None,
    across: bool,
    lanes: int,
    tile: tuple[int, ...],
    unrolled: list[int],
) -> float:
    """Cycles for the whole contraction, about."""
    terms = math.prod(n for n, is_reduced in zip(c.extents, c.reduced) if is_reduced)
    steps = -(-terms // lanes) if across else terms
    chunks = -(-steps // CHUNK)
    tiles = 1
    for axis, extent in enumerate(c.extents):
        if not c.reduced[axis] and axis != vector:
            tiles *= -(-extent // tile[axis])
    if vector is None or across:
        return tiles * _cycles(c, tile, steps, chunks, across, lanes, unrolled)
    total = -(-c.extents[vector] // lanes)
    whole, rest = divmod(total, tile[vector])
    cost = whole * _cycles(c, tile, steps, chunks, across, lanes, unrolled)
    if rest:
        narrow = (*tile[:vector], rest, *tile[vector + 1 :])
        # Another variant of the code is worth avoiding.
        cost += 1.02 * _cycles(c, narrow, steps, chunks, across, lanes, unrolled)
    return tiles * cost


def _cycles(
    c: Contraction,
    tile: tuple[int, ...],
    steps: int,
    chunks: int,
    across: bool,
    lanes: int,
    unrolled: list[int],
) -> float:
    """Cycles for one tile: the inner loop, the sums of lanes, and beginning and end."""
    cells = math.prod(tile)
    a: float
    a, b = count_loads(c, tile)
    if unrolled and not across:
        a = count_elements(c, tile, unrolled[-1:]) / c.extents[unrolled[-1]]
    width = b * lanes * c.dtype.itemsize
    step = max(cells / 2, (a + b) / 2, LATENCY) + 0.02 * (a + b)
    if width * min(steps, CHUNK) > NEAR and cells > b:
        step = max(step, width * FAR_VECTOR)
    # Rows that lie close together are read and written in order.
    reach = max((abs(s) for n, s in zip(tile, c.a.strides) if n > 1), default=0)
    step += SPREAD * reach.bit_length()
    # Most of what begins and ends a tile goes on while the next one is under way.
    return steps * step + cells * (1 + chunks) * (6 if across else 0.5) + 4 * chunks


def crowds_a_set(c: Contraction, tile: tuple[int, ...]) -> bool:
    """Whether what one step of a tile reads falls into few sets of the first cache."""
    size = c.dtype.itemsize
    for access in (c.a, c.b):
        axes = [axis for axis, stride in enumerate(access.strides) if stride and tile[axis] > 1]
        strides = [access.strides[axis] * size for axis in axes]
        if all(stride % 512 for stride in strides):
            continue
        places = product(*(range(tile[axis]) for axis in axes))
        lines = {sum(map(mul, place, strides)) // LINE for place in places}
        crowd = Counter(line % SETS for line in lines)
        if max(crowd.values()) > WAYS:
            return True
    return False


def order_outputs(c: Contraction, vector: int | None, tile: tuple[int, ...]) -> tuple[int, ...]:
    """The loops over the output, outermost first: batches, columns, rows.

    So a panel of b stays in cache while the rows of a pass by. Where both operands have the
    vector axis (depthwise), b is small, and rows come first.
    """

    def rank(axis: int) -> tuple[int, int, int]:
        a, b = c.a.strides[axis], c.b.strides[axis]
        kind = 0 if a and b else 1 if b else 2
        if vector is not None and c.a.strides[vector] and c.b.strides[vector]:
            kind = 2 if tile[axis] > 1 and axis != vector else 1 if axis == vector else 0
        return kind, int(axis != vector), -abs(c.out.strides[axis])

    return tuple(sorted((x for x, reduced in enumerate(c.reduced) if not reduced), key=rank))

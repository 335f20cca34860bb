"""How a contraction is walked: which axis gives the lanes, and how much of the output is a tile.

The choice follows from the shape and the target alone, never from timing: it decides nothing about
the order of sums except where they are cut into chunks, which is the same for every target.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..ir.loops import Contraction

CHUNK = 1024
"""Terms that are added one after the other (in each lane) before their sum joins the output."""
LATENCY = 4.0
"""Cycles from a multiply-add to the next one on the same register; two are done in a cycle."""
PAGE = 4096
WAYS = 8
"""Rows whose addresses are equal modulo a page and that still stay in the first cache together."""


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
        panel: columns that lie together in b; 0 where rows of b are whole.
    """

    vector: int | None
    across: bool
    lanes: int
    tile: tuple[int, ...]
    order: tuple[int, ...]
    reduced: tuple[int, ...]
    level: int
    strip: int
    panel: int


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
        for tile in list_tiles(c, vector, across, lanes, registers):
            cost = cost_of_tile(c, vector, across, lanes, tile)
            if cost < best_cost:
                order = order_outputs(c, None if across else vector, tile)
                panel = 0 if c.panel is None else c.panel[1]
                best_cost = cost
                best = Plan(vector, across, lanes, tile, order, tuple(reduced), level, strip, panel)
    assert best is not None
    return best


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
    a = math.prod(n for n, stride in zip(tile, c.a.strides) if stride)
    b = math.prod(n for n, stride in zip(tile, c.b.strides) if stride)
    return a, b


def fits(c: Contraction, tile: list[int], registers: int) -> bool:
    """Whether sums, the smaller operand and one element of the other have registers."""
    return math.prod(tile) + min(count_loads(c, tile)) + 1 <= registers


def cost_of_tile(
    c: Contraction, vector: int | None, across: bool, lanes: int, tile: tuple[int, ...]
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
        return tiles * _cycles(c, tile, steps, chunks, across)
    total = -(-c.extents[vector] // lanes)
    whole, rest = divmod(total, tile[vector])
    cost = whole * _cycles(c, tile, steps, chunks, across)
    if rest:
        narrow = (*tile[:vector], rest, *tile[vector + 1 :])
        # Another variant of the code is worth avoiding.
        cost += 1.02 * _cycles(c, narrow, steps, chunks, across)
    return tiles * cost


def _cycles(c: Contraction, tile: tuple[int, ...], steps: int, chunks: int, across: bool) -> float:
    cells = math.prod(tile)
    a, b = count_loads(c, tile)
    step = max(cells / 2, (a + b) / 2, LATENCY) + 0.02 * (a + b)
    for operand in (c.a, c.b):
        for axis, stride in enumerate(operand.strides):
            distance = abs(stride) * c.dtype.itemsize
            if tile[axis] > WAYS and distance and distance % PAGE == 0:
                step *= 1.3
    return steps * step + cells * (1 + chunks) * (6 if across else 1) + 12 * chunks


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

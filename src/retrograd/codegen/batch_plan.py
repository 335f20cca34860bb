"""Plans of contractions that are good for many batch sizes.

The axis of the batch is left out of the machine code: its extent is given at run time. The tile is
that of a usual extent where it costs hardly more than the best one; so most batch sizes share one
machine code. The order of sums follows from the whole shape, as it does without that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..ir.loops import Contraction
from .epilogue import is_done_once
from .fetching import choose_fetching, find_row_axis
from .guarded_plan import list_guards, plan_guarded
from .tiles import Plan, cost_of_plan, plan_contraction

USUAL = (64, 16)
"""Extents whose tiles are tried, in this order."""
ROUND = 8
"""Extents that people choose on purpose are multiples of it."""
WORTH, WORTH_ROUND = 1.06, 1.01
"""The cost of a shared tile, at the most, in that of the best one; that of a round extent. What is
left over at the end of an epoch runs once in an epoch: compiling for it would take longer."""


def find_batch_axis(c: Contraction) -> int | None:
    """The axis that lies outermost in two operands at least; None if there is none."""
    votes = [0] * len(c.extents)
    tied = {x for g in (*c.a.guards, *c.b.guards) for x, stride in enumerate(g.strides) if stride}
    for access in (c.a, c.b, c.out):
        if any(access.strides):
            votes[max(range(len(votes)), key=lambda axis: abs(access.strides[axis]))] += 1
    axis = max(range(len(votes)), key=lambda axis: votes[axis], default=0)
    found = votes and votes[axis] > 1 and c.extents[axis] > 1 and axis not in tied
    return axis if found else None


def plan_batch(c: Contraction, vector_bytes: int, registers: int, least: int | None) -> Plan:
    """The walk through a contraction.

    Args:
        c: the contraction.
        vector_bytes: the width of vectors.
        registers: the number of vector registers.
        least: the least extent of the batch axis, where threads share it unevenly.
    """
    plan = _choose(c, vector_bytes, registers, least)
    axis = plan.free
    if axis is not None and plan.tile[axis] > 1 and c.epilogue is not None:
        # An epilogue that must not be done twice leaves rows out, and no others.
        if is_done_once(c.epilogue) and find_row_axis(plan) != axis:
            plan = replace(plan, tile=(*plan.tile[:axis], 1, *plan.tile[axis + 1 :]))
    return replace(plan, fetched=choose_fetching(c, plan))


def _choose(c: Contraction, vector_bytes: int, registers: int, least: int | None) -> Plan:
    axis = find_batch_axis(c)
    if axis is not None and least is not None:
        c = _resize(c, axis, least)
    if list_guards(c):
        plan = plan_guarded(c, vector_bytes, registers)
        return plan if axis == plan.vector else replace(plan, free=axis)
    plan = plan_contraction(c, vector_bytes, registers)
    if axis is None or axis == plan.vector:
        return plan
    if _is_written_out(plan, axis):
        return plan
    best = cost_of_plan(c, plan) * (WORTH if c.extents[axis] % ROUND else WORTH_ROUND)
    for other in _list_others(c, axis, vector_bytes, registers):
        # What decides about the order of sums stays.
        shared = replace(plan, tile=other.tile, order=other.order, unrolled=other.unrolled)
        same = (other.vector, other.across, other.lanes) == (plan.vector, plan.across, plan.lanes)
        fits = same and other.reduced == plan.reduced and other.tile[axis] <= c.extents[axis]
        if fits and not _is_written_out(shared, axis) and cost_of_plan(c, shared) <= best:
            plan = shared
            break
    return replace(plan, free=axis)


def _list_others(c: Contraction, axis: int, vector_bytes: int, registers: int) -> Iterator[Plan]:
    """Plans for extents near by or usual."""
    extent = c.extents[axis]
    if extent % ROUND:
        next_ = _resize(c, axis, extent + ROUND - extent % ROUND)
        yield _choose(next_, vector_bytes, registers, None)
    for usual in USUAL:
        if usual <= extent:
            yield plan_contraction(_resize(c, axis, usual), vector_bytes, registers)


def _is_written_out(plan: Plan, axis: int) -> bool:
    """Whether there are so few terms along a reduced axis that there is no loop."""
    return axis in plan.reduced[len(plan.reduced) - plan.unrolled :]


def _resize(c: Contraction, axis: int, extent: int) -> Contraction:
    extents = list(c.extents)
    extents[axis] = extent
    return replace(c, extents=tuple(extents))

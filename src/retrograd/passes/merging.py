"""Puts loop nests over the same space into one, so that values pass through registers."""

from __future__ import annotations

from dataclasses import replace

from ..ir.loops import Access, Callback, LoopNest, Schedule, reads, writes

LIMIT = 200
"""Expressions in one nest, at the most: beyond, registers run out and compiling takes long."""


def append_nest(schedule: Schedule, nest: LoopNest, merge: bool = True) -> None:
    """Add a nest: merged into an earlier one where nothing in between stands against it."""
    kernels = schedule.kernels
    needed = reads(nest)
    if merge and "merge_nests" not in schedule.without:
        for position in reversed(range(max(0, len(kernels) - 64), len(kernels))):
            earlier = kernels[position]
            if isinstance(earlier, LoopNest):
                merged = merge_nests(earlier, nest)
                if merged is not None:
                    kernels[position] = merged
                    return
            if writes(earlier) & (needed | writes(nest)) or isinstance(earlier, Callback):
                break
    kernels.append(nest)


def merge_nests(first: LoopNest, second: LoopNest) -> LoopNest | None:
    """One nest that does the work of both; None where that cannot be."""
    if first.extents != second.extents or first.reduced != second.reduced:
        return None
    if len(first.expressions) + len(second.expressions) > LIMIT:
        return None
    stored: dict[Access, int] = {}
    for store in first.stores:
        if store.reduction is None and store.index is None:
            stored[store.access] = store.expression
    written = writes(first)
    if written & writes(second):
        return None
    for expression in second.expressions:
        access = expression.access
        if access is None or access.buffer not in written:
            continue
        if expression.kind != "load" or access not in stored:
            return None
    expressions = list(first.expressions)
    known = {expression: position for position, expression in enumerate(expressions)}
    place: dict[int, int] = {}
    for position, expression in enumerate(second.expressions):
        if expression.kind == "load" and expression.access in stored:
            place[position] = stored[expression.access]
            continue
        moved = replace(expression, inputs=tuple(place[p] for p in expression.inputs))
        if moved not in known:
            known[moved] = len(expressions)
            expressions.append(moved)
        place[position] = known[moved]
    stores = [*first.stores]
    stores += [store.moved(store.access, place.__getitem__) for store in second.stores]
    return LoopNest(first.extents, first.reduced, tuple(expressions), tuple(stores))

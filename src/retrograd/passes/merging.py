"""Puts loop nests over the same space into one, so that values pass through registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..ir.loops import Access, Callback, LoopNest, Schedule, Store, reads, writes

LIMIT = 200
"""Expressions in one nest, at the most: beyond, registers run out and compiling takes long."""

UNRELATED = 48
"""The same for nests that read nothing of each other, and no array both: alone they are the same
machine code for arrays of all sizes, as the updates of an optimizer."""


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
    total = len(first.expressions) + len(second.expressions)
    if total > LIMIT or (total > UNRELATED and not _meet(first, second)):
        return None
    stored: dict[Access, int] = {}
    for store in first.stores:
        if store.reduction is None and store.index is None:
            stored[store.access] = store.expression
    written = writes(first)
    if not all(
        _are_apart(one, two, first.extents) for one in first.stores for two in second.stores
    ):
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


def _are_apart(first: Store, second: Store, extents: Sequence[int]) -> bool:
    """Whether two stores of a nest never write the same element: other memory, or other columns.

    The parts of a joined value are columns of the same rows.
    """
    one, two = first.access, second.access
    if one.buffer != two.buffer:
        return True
    if first.index is not None or second.index is not None or one.strides != two.strides:
        return False
    axes = [axis for axis, extent in enumerate(extents) if extent > 1 and one.strides[axis]]
    axes.sort(key=lambda axis: abs(one.strides[axis]))
    width = 0  # of a column: the elements that the inner axes walk over
    for place, axis in enumerate(axes):
        row = one.strides[axis]
        starts = one.offset % row if row > 0 else 0, two.offset % row if row > 0 else 0
        rows = all(one.strides[outer] % row == 0 for outer in axes[place:])
        if row > 0 and rows and abs(starts[0] - starts[1]) > width < row - max(starts):
            return True
        if row < 0:
            return False
        width += (extents[axis] - 1) * row
    return abs(one.offset - two.offset) > width


def _meet(first: LoopNest, second: LoopNest) -> bool:
    """Whether the second nest loads elements that the first one loads or stores."""
    held = {e.access for e in first.expressions if e.access is not None and any(e.access.strides)}
    held |= {store.access for store in first.stores}
    return any(expression.access in held for expression in second.expressions)

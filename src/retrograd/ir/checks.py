"""Which kernels may end a step: by a bad index, an error in Python, or Ctrl-C in a loop; and which
need not be feared since another looked before.

A step that fails must change nothing: what it writes over must be written after the last kernel
that may fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .loops import Callback, Grid, Kernel, LoopNest, Repeat, Schedule, writes

Check = tuple[object, ...]
"""What is checked: where the index comes from, and its limit. Equal ones fail together."""


def can_fail(kernel: Kernel) -> bool:
    """Whether a kernel may meet an index out of range, or Python an error, or be stopped."""
    if isinstance(kernel, Repeat) and (kernel.open or kernel.length > 1):
        return True
    if isinstance(kernel, (Repeat, Grid)):
        return any(map(can_fail, kernel.body.schedule.kernels))
    if not isinstance(kernel, LoopNest):
        return isinstance(kernel, Callback)
    return any(True for _ in _list_indices(kernel))


def find_last_failure(schedule: Schedule) -> int:
    """The number of the last kernel that may fail where none before it fails; -1 for none."""
    last, known = -1, set[Check]()
    written = _count_writes(schedule.kernels)
    for time, kernel in enumerate(schedule.kernels):
        if isinstance(kernel, LoopNest):
            checks = {_check(kernel, *index, written) for index in _list_indices(kernel)}
            if not checks <= known:
                last = time
            known |= checks
        elif can_fail(kernel):
            last = time
    return last


def _count_writes(kernels: Sequence[Kernel]) -> dict[int, int]:
    """How many kernels write each buffer."""
    counts: dict[int, int] = {}
    for kernel in kernels:
        for number in writes(kernel):
            counts[number] = counts.get(number, 0) + 1
    return counts


def _list_indices(nest: LoopNest) -> Iterator[tuple[int, int]]:
    """The expressions of a nest that are checked as indices, and the limit of each."""
    for expression in nest.expressions:
        if expression.kind == "gather" and expression.value[2]:
            yield expression.inputs[0], expression.value[1]
    for store in nest.stores:
        if store.index is not None and not store.replaces:
            yield store.index, store.limit


def _check(nest: LoopNest, position: int, limit: int, written: dict[int, int]) -> Check:
    """The check of one index; one that is computed in the nest is like no other."""
    expression = nest.expressions[position]
    while expression.kind == "cast" and nest.expressions[expression.inputs[0]].dtype.kind in "iu":
        expression = nest.expressions[expression.inputs[0]]
    access = expression.access
    plain = expression.kind == "load" and access is not None and not access.guards
    if access is None or not plain or written.get(access.buffer, 0) > 1:
        return (id(nest), position)
    return (access.buffer, access.offset, _describe_walk(access.strides, nest.extents), limit)


def _describe_walk(strides: Sequence[int], extents: Sequence[int]) -> Check:
    """Which elements are read, however the axes are joined and ordered."""
    walk: list[tuple[int, int]] = []
    for stride, extent in sorted(zip(strides, extents), reverse=True):
        if not stride or extent == 1:
            continue
        if walk and walk[-1][0] == stride * extent:
            walk[-1] = (stride, walk[-1][1] * extent)
        else:
            walk.append((stride, extent))
    return tuple(walk)

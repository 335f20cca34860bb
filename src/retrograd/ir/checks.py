"""Which kernels may meet a bad index, and which need not be feared since another looked before.

A step that fails must change nothing: what it writes over must be written after the last kernel
that may fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .loops import Callback, Contraction, Grid, Kernel, LoopNest, Repeat, Routine, Schedule, writes

Check = tuple[object, ...]
"""What is checked: where the index comes from, and its limit. Equal ones fail together."""


def find_last_failure(schedule: Schedule) -> int:
    """The number of the last kernel that may fail where none before it fails; -1 for none."""
    last, known = -1, set[Check]()
    written = _count_writes(schedule.kernels)
    for time, kernel in enumerate(schedule.kernels):
        if isinstance(kernel, (Contraction, Routine)):
            continue
        if isinstance(kernel, Callback):
            last = time
        elif isinstance(kernel, (Repeat, Grid)):
            if find_last_failure(kernel.body.schedule) >= 0:
                last = time
        else:
            checks = set(_list_checks(kernel, written))
            if not checks <= known:
                last = time
            known |= checks
    return last


def _count_writes(kernels: Sequence[Kernel]) -> dict[int, int]:
    """How many kernels write each buffer."""
    counts: dict[int, int] = {}
    for kernel in kernels:
        for number in writes(kernel):
            counts[number] = counts.get(number, 0) + 1
    return counts


def _list_checks(nest: LoopNest, written: dict[int, int]) -> Iterator[Check]:
    """The checks of a nest; one whose index is computed in the nest is like no other."""
    for expression in nest.expressions:
        if expression.kind == "gather" and expression.value[2]:
            yield _check(nest, expression.inputs[0], expression.value[1], written)
    for store in nest.stores:
        if store.index is not None and not store.replaces:
            yield _check(nest, store.index, store.limit, written)


def _check(nest: LoopNest, position: int, limit: int, written: dict[int, int]) -> Check:
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

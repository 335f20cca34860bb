"""Which outputs may be written over the inputs that they replace.

A training step gives new parameters and new moments for old ones. Where nobody else holds the old
Array, its memory serves for the new one: half the memory traffic, and no allocation.
"""

from __future__ import annotations

from collections import Counter

from ..ir.lifetimes import Lifetimes
from ..ir.loops import Kernel, LoopNest, Schedule, reads, writes


def find_lifetimes(schedule: Schedule) -> Lifetimes:
    """When inputs are read for the last time, and outputs are written."""
    last: dict[int, int] = {}
    writers: dict[int, list[int]] = {}
    for time, kernel in enumerate(schedule.kernels):
        last.update(dict.fromkeys(reads(kernel), time))
        for number in writes(kernel):
            writers.setdefault(number, []).append(time)
    kept = Counter(schedule.outputs)
    count = 1 + max((buffer.position for buffer in schedule.buffers), default=-1)
    inputs: list[tuple[int, int] | None] = [None] * count
    ends: dict[int, list[tuple[int, int]]] = {}  # the inputs that a kernel is the last to read
    for number, buffer in enumerate(schedule.buffers):
        if buffer.kind == "input" and number not in kept:
            end = last.get(number, -1)
            inputs[buffer.position] = (buffer.bytes, end)
            ends.setdefault(end, []).append((buffer.position, number))
    outputs: list[tuple[int, int] | None] = []
    matched = set()
    for position, number in enumerate(schedule.outputs):
        buffer, times = schedule.buffers[number], writers.get(number, [])
        if kept[number] > 1 or buffer.kind != "arena" or len(times) != 1:
            outputs.append(None)
            continue
        outputs.append((buffer.bytes, times[0]))
        kernel = schedule.kernels[times[0]]
        for source, old in ends.get(times[0], []):
            same = schedule.buffers[old].bytes == buffer.bytes
            if same and _reads_where_it_writes(kernel, old, number):
                matched.add((source, position))
    return Lifetimes(tuple(inputs), tuple(outputs), frozenset(matched))


def _reads_where_it_writes(kernel: Kernel, old: int, new: int) -> bool:
    """Whether a nest reads the old value only at the place where it stores the new one."""
    if not isinstance(kernel, LoopNest):
        return False
    places = {
        (store.access.offset, store.access.strides)
        for store in kernel.stores
        if store.access.buffer == new and store.reduction is None
    }
    if len(places) != 1:
        return False
    return all(
        expression.kind == "load"
        and not expression.access.guards
        and (expression.access.offset, expression.access.strides) in places
        for expression in kernel.expressions
        if expression.access is not None and expression.access.buffer == old
    )

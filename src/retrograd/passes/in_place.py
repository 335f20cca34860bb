"""Which outputs may be written over the inputs that they replace.

A training step gives new parameters and new moments for old ones. Where nobody else holds the old
Array, its memory serves for the new one: half the memory traffic, and no allocation.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir.loops import Kernel, LoopNest, Schedule
from .merging import reads, writes


def find_in_place(schedule: Schedule, pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """The pairs that are safe.

    Args:
        schedule: the kernels, in order.
        pairs: (position of an input, position of the output that replaces it).

    Returns:
        The pairs in which the input's last use is in the kernel that writes the output, and is
        read there only at the place that is written, or before that kernel.
    """
    inputs = {
        buffer.position: number
        for number, buffer in enumerate(schedule.buffers)
        if buffer.kind == "input"
    }
    kept = set(schedule.outputs)
    found = set()
    for source, target in pairs:
        old, new = inputs[source], schedule.outputs[target]
        same = schedule.buffers[old].bytes == schedule.buffers[new].bytes
        alone = schedule.outputs.count(new) == 1 and schedule.buffers[new].kind == "arena"
        if same and alone and old not in kept and _is_safe(schedule.kernels, old, new):
            found.add((source, target))
    return found


def _is_safe(kernels: list[Kernel], old: int, new: int) -> bool:
    writers = [time for time, kernel in enumerate(kernels) if new in writes(kernel)]
    readers = [time for time, kernel in enumerate(kernels) if old in reads(kernel)]
    if len(writers) != 1 or any(time > writers[0] for time in readers):
        return False
    if writers[0] not in readers:
        return True
    return _reads_where_it_writes(kernels[writers[0]], old, new)


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

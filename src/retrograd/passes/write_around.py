"""Results that no cache can hold are written around the caches.

A usual store reads the line that it writes into from memory first, and pushes out of the caches
what others have there. It is decided by the size of the result; that it lies where whole lines can
be written, and not over what is read, is seen when the kernel runs.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir.loops import AROUND, LINE, Kernel, LoopNest, Schedule, Store


def write_around(schedule: Schedule) -> Schedule:
    """The pass over all kernels."""
    kernels: list[Kernel] = []
    for kernel in schedule.kernels:
        if isinstance(kernel, LoopNest) and any(_is_large(schedule, s) for s in kernel.stores):
            stores = (replace(s, around=_is_large(schedule, s)) for s in kernel.stores)
            kernel = replace(kernel, stores=tuple(stores))
        kernels.append(kernel)
    return replace(schedule, kernels=kernels)


def _is_large(schedule: Schedule, store: Store) -> bool:
    """Whether a store writes whole lines one after the other, and many."""
    buffer, access = schedule.buffers[store.access.buffer], store.access
    if buffer.bytes < AROUND or store.reduction is not None or store.index is not None:
        return False
    size = buffer.dtype.itemsize
    steps = [access.offset, *(stride for stride in access.strides if stride != 1)]
    whole = size > 1 and all(step * size % LINE == 0 for step in steps)
    return whole and not access.guards and access.strides.count(1) == 1

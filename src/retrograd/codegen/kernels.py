"""Kernels without their places: when two are the same."""

from __future__ import annotations

from dataclasses import replace

from ..ir.loops import Access, Callback, Contraction, Grid, Kernel, LoopNest, Repeat, Routine
from .loops import list_accesses


def can_fail(kernel: Kernel) -> bool:
    """Whether a kernel may meet an index that is out of range, or Python an error."""
    if isinstance(kernel, (Repeat, Grid)):
        return any(map(can_fail, kernel.body.schedule.kernels))
    if not isinstance(kernel, LoopNest):
        return isinstance(kernel, Callback)
    gathers = any(e.kind == "gather" and e.value[2] for e in kernel.expressions)
    return gathers or any(s.index is not None and not s.replaces for s in kernel.stores)


def normalise(kernel: Kernel) -> tuple[Kernel, list[Access]]:
    """The kernel with its pointers numbered, so that equal kernels are equal; and its accesses."""
    if isinstance(kernel, Contraction):
        accesses = [kernel.a, kernel.b, kernel.out]
        local = [replace(a, buffer=i, offset=0) for i, a in enumerate(accesses)]
        return replace(kernel, a=local[0], b=local[1], out=local[2]), accesses
    if isinstance(kernel, Routine):
        accesses = [*kernel.inputs, *kernel.outputs]
        local = [replace(a, buffer=i, offset=0) for i, a in enumerate(accesses)]
        count = len(kernel.inputs)
        normal = replace(kernel, inputs=tuple(local[:count]), outputs=tuple(local[count:]))
        return normal, accesses
    assert isinstance(kernel, LoopNest)
    found = list_accesses(kernel)
    local_of = {a: replace(a, buffer=i, offset=0) for i, a in enumerate(found)}
    expressions = tuple(
        e if e.access is None else replace(e, access=local_of[e.access]) for e in kernel.expressions
    )
    stores = tuple(replace(s, access=local_of[s.access]) for s in kernel.stores)
    return replace(kernel, expressions=expressions, stores=stores), found

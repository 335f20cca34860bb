"""One kernel as a function of pointers: which generator writes it, and when two are the same."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from ..ir.loops import (
    Access,
    Callback,
    Contraction,
    Expression,
    Grid,
    Guard,
    Kernel,
    LoopNest,
    Repeat,
    Routine,
    Store,
)
from .contraction import ContractionEmitter
from .emit import Function
from .loops import LoopEmitter, list_accesses
from .routines import emit_routine
from .tiles import plan_contraction
from .transposition import TranspositionEmitter, plan_transposition


def can_fail(kernel: Kernel) -> bool:
    """Whether a kernel may meet an index that is out of range, or Python an error."""
    if isinstance(kernel, (Repeat, Grid)):
        return any(map(can_fail, kernel.body.schedule.kernels))
    if not isinstance(kernel, LoopNest):
        return isinstance(kernel, Callback)
    gathers = any(expression.kind == "gather" for expression in kernel.expressions)
    return gathers or any(store.index is not None for store in kernel.stores)


def name_kernel(kernel: Kernel, target: Any) -> str:
    """The name of a normalised kernel's function: it follows from what the kernel does."""
    content = repr((_plain(kernel), target.vector_bytes, target.registers))
    return f"k{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def _plain(value: Any) -> Any:
    """Dataclasses as tuples: those are quickly printed."""
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    fields = FIELDS.get(type(value))
    if fields is not None:
        return (type(value).__name__, *(_plain(getattr(value, name)) for name in fields))
    return value.str if isinstance(value, np.dtype) else value


FIELDS = {
    kind: kind.__slots__
    for kind in (Access, Contraction, Expression, Guard, LoopNest, Routine, Store)
}


def emit_kernel(kernel: Kernel, name: str, target: Any) -> Function:
    """The machine code of a kernel, as text."""
    if isinstance(kernel, LoopNest):
        turn = plan_transposition(kernel, target.vector_bytes)
        if turn is not None:
            return TranspositionEmitter(kernel, turn, name).emit()
        return LoopEmitter(kernel, name, target.vector_bytes).emit()
    if isinstance(kernel, Routine):
        return emit_routine(kernel, name, target.vector_bytes)
    assert isinstance(kernel, Contraction)
    plan = plan_contraction(kernel, target.vector_bytes, target.registers)
    return ContractionEmitter(kernel, plan, name).emit()


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

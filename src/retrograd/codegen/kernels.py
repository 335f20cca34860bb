"""Kernels without their places: when two are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from ..ir.loops import (
    Access,
    Contraction,
    Epilogue,
    Kernel,
    LoopNest,
    Routine,
)
from .loops import list_accesses

Work = TypeVar("Work", LoopNest, Epilogue)


def normalise(kernel: Kernel) -> tuple[Kernel, list[Access]]:
    """The kernel with its pointers numbered, so that equal kernels are equal; and its accesses."""
    if isinstance(kernel, Contraction):
        return _normalise_contraction(kernel)
    if isinstance(kernel, Routine):
        accesses = [*kernel.inputs, *kernel.outputs]
        local = [replace(a, buffer=i, offset=0) for i, a in enumerate(accesses)]
        count = len(kernel.inputs)
        normal = replace(kernel, inputs=tuple(local[:count]), outputs=tuple(local[count:]))
        return normal, accesses
    assert isinstance(kernel, LoopNest)
    found = list_accesses(kernel)
    return _rename(kernel, {a: replace(a, buffer=i, offset=0) for i, a in enumerate(found)}), found


def _normalise_contraction(c: Contraction) -> tuple[Contraction, list[Access]]:
    outside = [c.out] if c.epilogue is None else list_accesses(c.epilogue)
    accesses = [c.a, c.b, *outside]
    local = [replace(a, buffer=i, offset=0) for i, a in enumerate(accesses)]
    local_of = dict(zip(outside, local[2:], strict=True))
    epilogue = None if c.epilogue is None else _rename(c.epilogue, local_of)
    return replace(c, a=local[0], b=local[1], out=local_of[c.out], epilogue=epilogue), accesses


def _rename(work: Work, local_of: dict[Access, Access]) -> Work:
    """The same work with other accesses."""
    expressions = tuple(
        e if e.access is None else replace(e, access=local_of[e.access]) for e in work.expressions
    )
    stores = tuple(replace(s, access=local_of[s.access]) for s in work.stores)
    return replace(work, expressions=expressions, stores=stores)

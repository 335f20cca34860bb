"""What the machine code of a kernel depends on, and what is given to it at run time.

A kernel's words are its pointers, then numbers: the extent of the axis that is left out of the
code, and constants of a nest that may follow from the batch size, such as 1 / 64 in a mean. Kernels
that differ in these alone have one form, and so one function.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..ir.loops import (
    Access,
    Contraction,
    Epilogue,
    Expression,
    Guard,
    Kernel,
    LoopNest,
    Routine,
    Store,
)
from .batch_plan import plan_batch
from .contraction import ContractionEmitter
from .emit import Function
from .guarded import GuardedEmitter
from .guarded_plan import list_guards
from .loops import LoopEmitter, without_reduction
from .nest_plan import NestPlan, plan_nest
from .routines import emit_routine
from .tiles import Plan
from .transposition import TranspositionEmitter, Turn, plan_transposition

Decisions = NestPlan | Turn | Plan | None

SIMPLE = (0.0, 1.0, 2.0, 0.5)
"""Constants that stay in the code, with either sign: LLVM makes less work of them."""
TAKEN = frozenset(("add", "subtract", "multiply", "divide"))
"""What may be done with a constant that is given at run time."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the machine code of a kernel depends on.

    Args:
        kernel: without its places, numbers and the extent that is given at run time (0).
        plan: what is decided from the whole shape.
    """

    kernel: Kernel
    plan: Decisions

    @property
    def free(self) -> int | None:
        """The axis whose extent is given at run time."""
        return getattr(self.plan, "free", None)

    def name(self, target: Any) -> str:
        """The name of the function: it follows from what it does."""
        content = repr((_plain(self.kernel), self.plan, target.vector_bytes, target.registers))
        return f"k{hashlib.sha256(content.encode()).hexdigest()[:32]}"

    def emit(self, name: str, target: Any) -> Function:
        """The machine code, as text."""
        kernel, plan = self.kernel, self.plan
        if isinstance(kernel, LoopNest):
            if isinstance(plan, Turn):
                return TranspositionEmitter(kernel, plan, name).emit()
            assert isinstance(plan, NestPlan)
            return LoopEmitter(kernel, plan, name).emit()
        if isinstance(kernel, Routine):
            return emit_routine(kernel, name, target.vector_bytes)
        assert isinstance(kernel, Contraction) and isinstance(plan, Plan)
        emitter = GuardedEmitter if list_guards(kernel) else ContractionEmitter
        return emitter(kernel, plan, name).emit()


def find_form(kernel: Kernel, target: Any, least: int | None = None) -> tuple[Form, list[int]]:
    """The form of a normalised kernel, and its numbers.

    Args:
        kernel: as `normalise` gives it.
        target: the CPU.
        least: the least extent of the free axis, where it must be given at run time.
    """
    if isinstance(kernel, LoopNest):
        kernel = _squeeze(kernel)
        turn = plan_transposition(kernel, target.vector_bytes, least)
        if turn is not None:
            return _set_free(kernel, turn, [])
        nest, numbers = _take_numbers(without_reduction(kernel))
        return _set_free(nest, plan_nest(nest, target.vector_bytes, least is not None), numbers)
    if isinstance(kernel, Contraction):
        plan = plan_batch(kernel, target.vector_bytes, target.registers, least)
        if plan.cut and plan.reduced[plan.level] == plan.free:
            return _set_free(kernel, replace(plan, strip=0), [plan.strip])
        return _set_free(kernel, plan if plan.cut else replace(plan, strip=0), [])
    if isinstance(kernel, Routine) and kernel.name == "random_bits":
        return Form(replace(kernel, parameters=()), None), list(kernel.parameters)
    if isinstance(kernel, Routine) and kernel.name == "cumsum":
        dtype, outer, *others = kernel.parameters
        return Form(replace(kernel, parameters=(dtype, *others)), None), [outer]
    return Form(kernel, None), []


def _set_free(
    kernel: LoopNest | Contraction, plan: NestPlan | Turn | Plan, numbers: list[int]
) -> tuple[Form, list[int]]:
    """Take the extent of the free axis out of a kernel."""
    if plan.free is None:
        return Form(kernel, plan), numbers
    extents = list(kernel.extents)
    extent, extents[plan.free] = extents[plan.free], 0
    return Form(replace(kernel, extents=tuple(extents)), plan), [extent, *numbers]


def _squeeze(nest: LoopNest) -> LoopNest:
    """The nest without kept axes of one element: strides along them make no difference."""
    kept = [a for a, extent in enumerate(nest.extents) if extent != 1 or nest.reduced[a]]
    if len(kept) == len(nest.extents):
        return nest

    def pick(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[axis] for axis in kept)

    def guard(old: Guard) -> Guard:
        return replace(old, strides=pick(old.strides))

    def access(old: Access) -> Access:
        return replace(old, strides=pick(old.strides), guards=tuple(map(guard, old.guards)))

    expressions = []
    for old in nest.expressions:
        new = old if old.access is None else replace(old, access=access(old.access))
        if old.kind == "inside":
            new = replace(new, value=tuple(map(guard, old.value)))
        if old.kind == "index" and old.value not in kept:
            new = Expression("constant", old.dtype, value=0)
        elif old.kind == "index":
            new = replace(new, value=kept.index(old.value))
        expressions.append(new)
    stores = tuple(replace(store, access=access(store.access)) for store in nest.stores)
    return LoopNest(pick(nest.extents), pick(nest.reduced), tuple(expressions), stores)


def _take_numbers(nest: LoopNest) -> tuple[LoopNest, list[int]]:
    """Take the constants out of a nest that cost nothing when they are given at run time."""
    taken = {p for p, e in enumerate(nest.expressions) if e.kind == "constant" and _is_number(e)}
    for expression in nest.expressions:
        for order, position in enumerate(expression.inputs):
            if expression.kind not in TAKEN:
                taken.discard(position)
            elif expression.kind == "divide" and order == 1 and position in taken:
                # Division by a power of two is a multiplication, if LLVM knows the number.
                if math.frexp(nest.expressions[position].value)[0] in (0.5, -0.5):
                    taken.discard(position)
    for store in nest.stores:
        taken -= {store.expression, store.position}
    expressions = list(nest.expressions)
    numbers = []
    for order, position in enumerate(sorted(taken)):
        old = expressions[position]
        expressions[position] = Expression("given", old.dtype, value=order)
        word = np.zeros(8 // old.dtype.itemsize, old.dtype)
        word[0] = old.value
        numbers.append(int(word.view(np.int64)[0]))
    return replace(nest, expressions=tuple(expressions)), numbers


def _is_number(expression: Expression) -> bool:
    value = expression.value
    return (
        expression.dtype.kind == "f"
        and expression.dtype.itemsize in (4, 8)
        and math.isfinite(value)
        and abs(value) not in SIMPLE
    )


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
    for kind in (Access, Contraction, Epilogue, Expression, Guard, LoopNest, Routine, Store)
}

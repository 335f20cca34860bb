"""What a reduction keeps in registers while it runs, and how two partial results become one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ir.loops import LoopNest, Store
from ..ir.types import DType, bool_
from .elementwise import emit_elementwise
from .emit import Function, scalar_type, vector_of
from .vectors import Value, VectorMath

NEUTRAL = {
    "sum": 0,
    "prod": 1,
    "max": -math.inf,
    "min": math.inf,
    "argmax": -math.inf,
    "argmin": math.inf,
}
COMBINE = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}
COMBINE_BOOLS = {
    "sum": "logical_or",
    "max": "logical_or",
    "prod": "logical_and",
    "min": "logical_and",
}


class Accumulator:
    """The running result of one store: its value, and for argmax and argmin the position."""

    def __init__(self, nest: LoopNest, store: Store, function: Function) -> None:
        self.store = store
        self.f = function
        self.reduction = store.reduction or "sum"
        self.parts = [store.expression]
        if store.position is not None:
            self.parts.append(store.position)
        self.dtypes = [nest.expressions[part].dtype for part in self.parts]

    def reserve(self, lanes: int) -> list[str]:
        """Variables for the parts."""
        return [self.f.reserve(vector_of(scalar_type(d), lanes)) for d in self.dtypes]

    def neutral(self, lanes: int) -> list[Value]:
        """What changes nothing."""
        math_ = VectorMath(self.f, lanes)
        values = [math_.constant(limit_of(NEUTRAL[self.reduction], self.dtypes[0]), self.dtypes[0])]
        values += [math_.constant(np.iinfo(d).max, d) for d in self.dtypes[1:]]
        return values

    def write(self, slots: list[str], values: list[Value]) -> None:
        for slot, value in zip(slots, values, strict=True):
            self.f.do(f"store {value.kind} {value.name}, ptr {slot}, align 64")

    def read(self, slots: list[str], lanes: int) -> list[Value]:
        values = []
        for slot, dtype in zip(slots, self.dtypes, strict=True):
            kind = vector_of(scalar_type(dtype), lanes)
            values.append(Value(self.f.emit(f"load {kind}, ptr {slot}, align 64"), dtype, lanes))
        return values

    def only(self, mask: str, values: list[Value]) -> list[Value]:
        """The values where the mask holds, elsewhere what changes nothing."""
        lanes = values[0].lanes
        math_ = VectorMath(self.f, lanes)
        test = Value(mask, bool_, lanes)
        return [math_.select(test, v, n) for v, n in zip(values, self.neutral(lanes), strict=True)]

    def combine(self, a: list[Value], b: list[Value]) -> list[Value]:
        """One partial result from two."""
        math_ = VectorMath(self.f, a[0].lanes)
        if len(a) == 1:
            names = COMBINE_BOOLS if a[0].dtype.kind == "b" else COMBINE
            return [emit_elementwise(math_, names[self.reduction], a[0].dtype, [a[0], b[0]])]
        better = self._wins(math_, a, b)
        return [math_.select(better, y, x) for x, y in zip(a, b, strict=True)]

    def _wins(self, math_: VectorMath, a: list[Value], b: list[Value]) -> Value:
        """Whether b is better: NaN before numbers, then the value, then the lower position."""
        condition = "gt" if self.reduction == "argmax" else "lt"
        better = math_.compare(condition, b[0], a[0], bool_)
        equal = math_.compare("eq", b[0], a[0], bool_)
        if a[0].dtype.kind == "f":
            old, new = (math_.compare("ne", x[0], x[0], bool_) for x in (a, b))
            number = emit_elementwise(math_, "logical_not", bool_, [old])
            better = math_.binary(
                "or", math_.binary("and", better, number), math_.binary("and", new, number)
            )
            equal = math_.binary("or", equal, math_.binary("and", old, new))
        first = math_.compare("lt", b[1], a[1], bool_)
        return math_.binary("or", better, math_.binary("and", equal, first))

    def across(self, values: list[Value]) -> list[Value]:
        """Combine the lanes in a fixed tree of halves."""
        while values[0].lanes > 1:
            half = values[0].lanes // 2
            low = [self._part(value, 0, half) for value in values]
            high = [self._part(value, half, half) for value in values]
            values = self.combine(low, high)
        return values

    def _part(self, value: Value, start: int, count: int) -> Value:
        numbers = ", ".join(f"i32 {n}" for n in range(start, start + count))
        text = f"shufflevector {value.kind} {value.name}, {value.kind} poison, "
        name = self.f.emit(text + f"<{count} x i32> <{numbers}>")
        if count == 1:
            name = self.f.emit(f"extractelement <1 x {scalar_type(value.dtype)}> {name}, i64 0")
        return Value(name, value.dtype, count)


def limit_of(value: Any, dtype: DType) -> Any:
    """A neutral value in a dtype: infinities become the largest and the smallest integers."""
    if isinstance(value, float) and dtype.kind in "iub":
        if dtype.kind == "b":
            return value > 0
        limits = np.iinfo(dtype)
        return int(limits.max if value > 0 else limits.min)
    return value

"""Machine code for loop nests: explicit vectors, constant masks, a fixed order of sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ir.loops import Access, Expression, LoopNest, Store
from ..ir.types import DType, bool_
from .elementwise import emit_elementwise
from .emit import Function, scalar_type, vector_of
from .memory import MemoryEmitter
from .vectors import Value, VectorMath

CHUNK = 1024
"""Terms that are added one after the other before their sum joins the sum of sums."""

NEUTRAL = {"sum": 0, "prod": 1, "max": -math.inf, "min": math.inf}


def choose_vector_axis(nest: LoopNest) -> int | None:
    """The axis along which most accesses are contiguous."""
    best, best_score = None, 0
    for axis, extent in enumerate(nest.extents):
        if extent < 2:
            continue
        score = 0
        for expression in nest.expressions:
            if expression.access is not None:
                score += _score(expression.access.strides[axis], 4)
        for store in nest.stores:
            score += _score(store.access.strides[axis], 8)
        score = score * 16 + min(extent, 15)
        if score >= best_score:
            best, best_score = axis, score
    return best


def _score(stride: int, weight: int) -> int:
    return weight if stride == 1 else 1 if stride == 0 else -weight


class LoopEmitter:
    """Emits one LoopNest as a function of one pointer for each access."""

    def __init__(self, nest: LoopNest, name: str, vector_bytes: int) -> None:
        self.nest = nest
        self.accesses = list_accesses(nest)
        self.pointers = {access: f"%p{order}" for order, access in enumerate(self.accesses)}
        arguments = [("ptr", f"%p{order}") for order in range(len(self.accesses))]
        self.f = Function(name, [*arguments, ("ptr", "%status")], linkage="internal")
        self.vector = choose_vector_axis(nest)
        self.width = self._lanes(vector_bytes)
        if self.vector is None or self.width == 1:
            self.vector, self.width = None, 1
        axes = range(len(nest.extents))
        parallel = [a for a in axes if not nest.reduced[a] and a != self.vector]
        reduced = [a for a in axes if nest.reduced[a] and a != self.vector]
        if self.vector is not None:
            (reduced if nest.reduced[self.vector] else parallel).append(self.vector)
        self.order = [*parallel, *reduced]
        self.first_reduced = len(parallel)
        self.axes_of = self._dependences()
        self.memory = MemoryEmitter(nest, self.f, self.pointers, self.vector)
        self.values: dict[int, Value] = {}
        self.lanes = 1
        self.accumulators: dict[int, tuple[str, str | None]] = {}

    def _lanes(self, vector_bytes: int) -> int:
        """Lanes for the widest dtype that is computed with."""
        size = 1
        for expression in self.nest.expressions:
            size = max(size, expression.dtype.itemsize)
        size = max(size, 4)
        lanes = vector_bytes // size
        extent = 1 if self.vector is None else self.nest.extents[self.vector]
        while lanes > 1 and lanes // 2 >= extent:
            lanes //= 2
        return lanes

    def _dependences(self) -> list[set[int]]:
        result: list[set[int]] = []
        for expression in self.nest.expressions:
            axes: set[int] = set()
            if expression.access is not None:
                axes.update(_axes(expression.access.strides))
                for guard in expression.access.guards:
                    axes.update(_axes(guard.strides))
            if expression.kind == "index":
                axes.add(expression.value)
            for position in expression.inputs:
                axes |= result[position]
            result.append(axes)
        return result

    # -- loops --------------------------------------------------------------------------------

    def emit(self) -> Function:
        self._level(-1)
        self.f.do("ret void")
        return self.f

    def _level(self, level: int) -> None:
        """Emit what becomes known at this level, then the loops inside."""
        emitted = self._emit_expressions(level)
        following = level + 1
        if following == self.first_reduced and following < len(self.order):
            self._reduce(following)
        elif following == len(self.order):
            self._finish()
        elif following > self.first_reduced:
            self._open_reduced(following)
        else:
            self._open(following)
        for position in emitted:
            del self.values[position]

    def _open(self, level: int) -> None:
        axis = self.order[level]
        extent = self.nest.extents[axis]
        if axis != self.vector:
            self._range(level, axis, 0, extent, 1)
            return
        whole = extent // self.width * self.width
        if whole:
            self.lanes, self.memory.mask = self.width, None
            self._range(level, axis, 0, whole, self.width)
        if extent > whole:
            self.lanes, self.memory.mask = self.width, extent - whole
            self.memory.index[axis] = str(whole)
            self._level(level)
        self.lanes, self.memory.mask = 1, None

    def _range(self, level: int, axis: int, start: int, stop: int, step: int) -> None:
        if stop - start <= step:
            self.memory.index[axis] = str(start)
            self._level(level)
            return
        with self.f.loop(str(start), str(stop), step, f"i{axis}_") as index:
            self.memory.index[axis] = index
            self._level(level)

    # -- reductions ---------------------------------------------------------------------------

    def _reduce(self, level: int) -> None:
        """Accumulate over the reduced axes, then store."""
        vector_inside = self.vector is not None and self.nest.reduced[self.vector]
        outside_lanes, outside_mask = self.lanes, self.memory.mask
        lanes = self.width if vector_inside else self.lanes
        self.chunk_level = self._find_chunk_level(level)
        for order, store in enumerate(self.nest.stores):
            dtype = self.nest.expressions[store.expression].dtype
            kind = vector_of(scalar_type(dtype), lanes)
            inner = self.f.reserve(kind)
            outer = self.f.reserve(kind) if self.chunk_level is not None else None
            self.accumulators[order] = (inner, outer)
            self._reset(store, inner, lanes)
            if outer is not None:
                self._reset(store, outer, lanes)
        self._open_reduced(level)
        self.lanes, self.memory.mask = outside_lanes, outside_mask
        for order, store in enumerate(self.nest.stores):
            inner, outer = self.accumulators[order]
            dtype = self.nest.expressions[store.expression].dtype
            value = self._load_slot(outer or inner, dtype, lanes)
            if vector_inside:
                value = self._across(store.reduction or "sum", value)
            self.memory.store(store.access, value)

    def _find_chunk_level(self, first: int) -> int | None:
        """The outermost level whose loops inside add at most CHUNK terms; None without need."""
        terms = 1
        found = None
        for level in reversed(range(first, len(self.order))):
            axis = self.order[level]
            extent = self.nest.extents[axis]
            terms *= -(-extent // self.width) if axis == self.vector else extent
            if terms > CHUNK:
                break
            found = level
        if found == first:
            return None
        return len(self.order) if found is None else found

    def _open_reduced(self, level: int) -> None:
        """The loops over reduced axes, with partial sums moved on at the chunk level."""
        if level == self.chunk_level and level < len(self.order):
            self._open(level)
            self._flush()
        elif self.chunk_level == len(self.order) and level == len(self.order) - 1:
            self._open_strips(level)
        else:
            self._open(level)

    def _open_strips(self, level: int) -> None:
        """The innermost axis alone exceeds a chunk: it is walked in strips."""
        axis = self.order[level]
        extent = self.nest.extents[axis]
        step = CHUNK * (self.width if axis == self.vector else 1)
        whole = extent // step * step
        unit = self.width if axis == self.vector else 1
        if axis == self.vector:
            self.lanes, self.memory.mask = self.width, None
        if whole:
            with self.f.loop("0", str(whole), step, "strip") as start:
                stop = self.f.emit(f"add i64 {start}, {step}")
                with self.f.loop(start, stop, unit, f"i{axis}_") as index:
                    self.memory.index[axis] = index
                    self._level(level)
                self._flush()
        rest = extent - whole
        full = rest // unit * unit
        if full:
            self._range(level, axis, whole, whole + full, unit)
        if rest > full:
            self.memory.mask = rest - full
            self.memory.index[axis] = str(whole + full)
            self._level(level)
        self._flush()
        self.lanes, self.memory.mask = 1, None

    def _flush(self) -> None:
        """Add the inner partial results to the outer ones."""
        for order, store in enumerate(self.nest.stores):
            inner, outer = self.accumulators[order]
            assert outer is not None
            dtype = self.nest.expressions[store.expression].dtype
            lanes = self.width if self._vector_reduced() else self.lanes
            a, b = self._load_slot(outer, dtype, lanes), self._load_slot(inner, dtype, lanes)
            total = self._combine(store.reduction or "sum", a, b)
            self.f.do(f"store {total.kind} {total.name}, ptr {outer}, align 64")
            self._reset(store, inner, lanes)

    def _vector_reduced(self) -> bool:
        return self.vector is not None and self.nest.reduced[self.vector]

    def _reset(self, store: Store, slot: str, lanes: int) -> None:
        dtype = self.nest.expressions[store.expression].dtype
        neutral = VectorMath(self.f, lanes).constant(neutral_of(store, dtype), dtype)
        self.f.do(f"store {neutral.kind} {neutral.name}, ptr {slot}, align 64")

    def _load_slot(self, slot: str, dtype: DType, lanes: int) -> Value:
        kind = vector_of(scalar_type(dtype), lanes)
        return Value(self.f.emit(f"load {kind}, ptr {slot}, align 64"), dtype, lanes)

    def _combine(self, reduction: str, a: Value, b: Value) -> Value:
        math_ = VectorMath(self.f, a.lanes)
        name = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}[reduction]
        return emit_elementwise(math_, name, a.dtype, [a, b])

    def _across(self, reduction: str, value: Value) -> Value:
        """Combine the lanes of a vector in a fixed tree of halves."""
        while value.lanes > 1:
            half = value.lanes // 2
            parts = []
            for start in (0, half):
                numbers = ", ".join(f"i32 {n}" for n in range(start, start + half))
                text = f"shufflevector {value.kind} {value.name}, {value.kind} poison, "
                name = self.f.emit(text + f"<{half} x i32> <{numbers}>")
                if half == 1:
                    element = vector_of(scalar_type(value.dtype), 1)
                    name = self.f.emit(f"extractelement <1 x {element}> {name}, i64 0")
                parts.append(Value(name, value.dtype, half))
            value = self._combine(reduction, parts[0], parts[1])
        return value

    # -- expressions --------------------------------------------------------------------------

    def _emit_expressions(self, level: int) -> list[int]:
        known = set(self.order[: level + 1])
        emitted = []
        for position, expression in enumerate(self.nest.expressions):
            if position in self.values or not self.axes_of[position] <= known:
                continue
            self.values[position] = self._expression(position, expression)
            emitted.append(position)
        return emitted

    def _expression(self, position: int, expression: Expression) -> Value:
        lanes = self.lanes if self.vector in self.axes_of[position] else 1
        math_ = VectorMath(self.f, lanes)
        if expression.kind == "constant":
            return math_.constant(expression.value, expression.dtype)
        if expression.kind == "index":
            return math_.cast(self.memory.index_value(expression.value, lanes), expression.dtype)
        if expression.kind == "load":
            assert expression.access is not None
            return self.memory.load(expression.access, expression.dtype, lanes)
        if expression.kind == "gather":
            return self.memory.gather(
                expression, self._widen(self.values[expression.inputs[0]], lanes), lanes
            )
        inputs = [self._widen(self.values[p], lanes) for p in expression.inputs]
        return emit_elementwise(math_, expression.kind, expression.dtype, inputs)

    def _widen(self, value: Value, lanes: int) -> Value:
        if value.lanes == lanes:
            return value
        return VectorMath(self.f, lanes).splat(value.name, value.dtype)

    # -- results ------------------------------------------------------------------------------

    def _finish(self) -> None:
        """At the innermost point: accumulate or store."""
        for order, store in enumerate(self.nest.stores):
            value = self._widen(self.values[store.expression], self.lanes)
            if store.reduction is None:
                self.memory.store(store.access, value)
                continue
            inner, _ = self.accumulators[order]
            if self.memory.mask is not None and self._vector_reduced():
                math_ = VectorMath(self.f, self.lanes)
                neutral = math_.constant(neutral_of(store, value.dtype), value.dtype)
                tail = Value(self.memory.tail(self.lanes) or "", bool_, self.lanes)
                value = math_.select(tail, value, neutral)
            total = self._combine(
                store.reduction, self._load_slot(inner, value.dtype, self.lanes), value
            )
            self.f.do(f"store {total.kind} {total.name}, ptr {inner}, align 64")


def neutral_of(store: Store, dtype: DType) -> Any:
    """What changes nothing in a reduction of this dtype."""
    value = NEUTRAL[store.reduction or "sum"]
    if isinstance(value, float) and dtype.kind in "iub":
        if dtype.kind == "b":
            return value > 0
        limits = np.iinfo(dtype)
        return limits.max if value > 0 else limits.min
    return value


def list_accesses(nest: LoopNest) -> list[Access]:
    """The different accesses in the order in which the kernel takes their pointers."""
    found: dict[Access, None] = {}
    for expression in nest.expressions:
        if expression.access is not None:
            found[expression.access] = None
    for store in nest.stores:
        found[store.access] = None
    return list(found)


def _axes(strides: tuple[int, ...]) -> set[int]:
    return {axis for axis, stride in enumerate(strides) if stride}

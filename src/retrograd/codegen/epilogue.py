"""Machine code for what follows a contraction while a tile of its sums is in registers.

The same rows and the same loads and stores as in loop nests, at the cells of a tile. A short
epilogue is written out for every cell. A longer one is a loop over the rows of the tile, which
waits on the stack meanwhile: text, and the time that LLVM takes, stay small.
"""

from __future__ import annotations

from contextlib import ExitStack

from ..ir.loops import Access, Contraction, Epilogue, LoopNest
from .axes import dependences
from .elementwise import emit_elementwise
from .emit import Function
from .fetching import find_row_axis
from .memory import MemoryEmitter
from .tiles import Plan
from .vectors import Value, VectorMath

Cell = tuple[int, ...]

WRITTEN_OUT = 96
"""Expressions times cells, at the most, that are written out."""


def is_done_once(epilogue: Epilogue) -> bool:
    """Whether an array may be written over one that is read at the same places: once only."""
    places = {store.access.strides for store in epilogue.stores}
    return any(access.strides in places for access in epilogue.loads)


class EpilogueEmitter:
    """Emits the epilogue of one contraction, tile by tile.

    Args:
        contraction: it has an epilogue.
        plan: how it is walked.
        function: where the text goes.
        pointers: the name of the pointer of each access.
    """

    def __init__(
        self,
        contraction: Contraction,
        plan: Plan,
        function: Function,
        pointers: dict[Access, str],
    ) -> None:
        epilogue = contraction.epilogue
        assert epilogue is not None
        self.f = function
        self.plan = plan
        self.dtype = contraction.dtype
        self.lane_axis = None if plan.across else plan.vector
        self.lanes = 1 if plan.across else plan.lanes
        c = contraction
        self.nest = LoopNest(c.extents, c.reduced, epilogue.expressions, epilogue.stores)
        self.axes_of = dependences(self.nest)
        self.memory = MemoryEmitter(self.nest, function, pointers, self.lane_axis)
        self.row_axis = find_row_axis(plan)
        self.only_once = is_done_once(epilogue)
        self.values: dict[int, Value] = {}

    def tile(
        self,
        index: dict[int, str],
        size: list[int],
        sums: dict[Cell, str],
        tail: int | None,
        skipped: str | None,
    ) -> None:
        """The epilogue of a tile.

        Args:
            index: where the tile begins along each axis.
            size: what it covers, in vectors along the lanes.
            sums: the variables that hold the sums, by their places along `plan.order`.
            tail: the lanes that count in the last vector; None for all.
            skipped: rows at the beginning that an earlier tile has done already.
        """
        self.size, self.sums, self.tail = size, sums, tail
        axis = self.row_axis
        work = len(sums) * len(self.nest.expressions)
        looped = axis is not None and size[axis] > 1 and (skipped or work > WRITTEN_OUT)
        self.looped = axis if looped else None
        first = axis if looped else self.lane_axis
        self.order = [x for x in (first,) if x is not None]
        self.order += [x for x in self.plan.order if x != first]
        if looped:
            self._put_aside()
        with ExitStack() as stack:
            for x in self.plan.order:
                stack.enter_context(self.memory.at(x, index[x]))
            self._level(0, dict.fromkeys(self.plan.order, 0), skipped)

    def _put_aside(self) -> None:
        """The sums in an array on the stack, row after row."""
        kind = VectorMath(self.f, self.lanes).constant(0, self.dtype).kind
        self.kind = kind
        self.aside = self.f.reserve(f"[{len(self.sums)} x {kind}]")
        for cell, slot in self.sums.items():
            value = self.f.emit(f"load {kind}, ptr {slot}, align 64")
            places = dict(zip(self.plan.order, cell, strict=True))
            row = places[self.looped] if self.looped is not None else 0
            number = row * (len(self.sums) // self.size[self.looped or 0]) + self._within(places)
            place = self.f.emit(f"getelementptr {kind}, ptr {self.aside}, i64 {number}")
            self.f.do(f"store {kind} {value}, ptr {place}")

    def _within(self, places: dict[int, int]) -> int:
        """The number of a cell in its row."""
        number = 0
        for axis in self.plan.order:
            if axis != self.looped:
                number = number * self.size[axis] + places[axis]
        return number

    def _level(self, level: int, places: dict[int, int], skipped: str | None) -> None:
        """What is known at this level, then the loops inside, at last the stores."""
        emitted = self._emit_expressions(set(self.order[:level]), places)
        if level == len(self.order):
            for store in self.nest.stores:
                self.memory.store(store.access, self._value(store.expression, self.lanes))
        elif self.order[level] == self.looped:
            axis = self.order[level]
            with self.f.loop(skipped or "0", str(self.size[axis]), 1, "row") as row:
                self.row = row
                with self.memory.at(axis, row):
                    self._level(level + 1, places, None)
        else:
            axis = self.order[level]
            unit = self.lanes if axis == self.lane_axis else 1
            for place in range(self.size[axis]):
                if axis == self.lane_axis and self.tail and place == self.size[axis] - 1:
                    self.memory.set_mask(self.tail, self.lanes)
                with self.memory.at(axis, str(place * unit)):
                    self._level(level + 1, {**places, axis: place}, None)
            if axis == self.lane_axis:
                self.memory.mask = None
        for position in emitted:
            del self.values[position]

    def _emit_expressions(self, known: set[int], places: dict[int, int]) -> list[int]:
        emitted = []
        for position, axes in enumerate(self.axes_of):
            if position not in self.values and axes <= known:
                lanes = self.lanes if self.lane_axis in axes else 1
                self.values[position] = self._expression(position, lanes, places)
                emitted.append(position)
        return emitted

    def _expression(self, position: int, lanes: int, places: dict[int, int]) -> Value:
        expression = self.nest.expressions[position]
        math_ = VectorMath(self.f, lanes)
        if expression.kind == "sum":
            return Value(self._sum(places), self.dtype, lanes)
        if expression.kind == "constant":
            return math_.constant(expression.value, expression.dtype)
        if expression.kind == "load":
            assert expression.access is not None
            return self.memory.load(expression.access, expression.dtype, lanes)
        inputs = [self._value(p, lanes) for p in expression.inputs]
        return emit_elementwise(math_, expression.kind, expression.dtype, inputs)

    def _sum(self, places: dict[int, int]) -> str:
        if self.looped is None:
            slot = self.sums[tuple(places[axis] for axis in self.plan.order)]
            kind = VectorMath(self.f, self.lanes).constant(0, self.dtype).kind
            return self.f.emit(f"load {kind}, ptr {slot}, align 64")
        width = len(self.sums) // self.size[self.looped]
        row = self.f.emit(f"mul nuw nsw i64 {self.row}, {width}")
        number = self.f.emit(f"add nuw nsw i64 {row}, {self._within(places)}")
        place = self.f.emit(f"getelementptr {self.kind}, ptr {self.aside}, i64 {number}")
        return self.f.emit(f"load {self.kind}, ptr {place}")

    def _value(self, position: int, lanes: int) -> Value:
        """The value of an expression in as many lanes as are wanted."""
        value = self.values[position]
        if value.lanes == lanes:
            return value
        return VectorMath(self.f, lanes).splat(value.name, value.dtype)

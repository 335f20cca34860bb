"""Machine code for contractions: a tile of the output lives in registers across the reduction.

Lanes lie along the output's contiguous axis, where an operand is read as vectors if it is
contiguous there and as one element for all lanes if it is constant: any affine address will do for
that. Or they lie along a reduced axis and are added at the end. Bounds are met by smaller tiles,
tiles that overlap and constant masks, not by tests in the inner loop.

A long reduction is cut into chunks; the loop over chunks is the outermost, so that what a chunk
reads stays in cache, and the output holds the sum so far. With an epilogue, which needs the whole
sum, it is the innermost around a tile, and the stack holds the sum so far.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import product

from ..ir.loops import Contraction
from .addresses import Addresses, Cell
from .emit import Function, kernel_function, scalar_type, vector_of
from .epilogue import EpilogueEmitter
from .fetching import Fetcher
from .lane_sums import add_lanes_of
from .loops import list_accesses
from .tiles import Plan, count_steps
from .vectors import Value, VectorMath, add_lanes, load_vector, store_vector


class ContractionEmitter:
    """Emits one contraction as a function of pointers: a, b, the output and the status.

    With an epilogue, its accesses stand in the place of the output.
    """

    def __init__(self, contraction: Contraction, plan: Plan, name: str) -> None:
        self.c = contraction
        self.plan = plan
        outside = {contraction.out: "%out"}
        if contraction.epilogue is not None:
            accesses = list_accesses(contraction.epilogue)
            outside = {access: f"%p{order}" for order, access in enumerate(accesses)}
        self.f = kernel_function(name, ("%a", "%b", *outside.values()))
        self.epilogue: EpilogueEmitter | None = None
        if contraction.epilogue is not None:
            self.epilogue = EpilogueEmitter(contraction, plan, self.f, outside)
        self.element = scalar_type(contraction.dtype)
        self.math = VectorMath(self.f, plan.lanes)
        self.kind = vector_of(self.element, plan.lanes)
        self.lane_axis = None if plan.across else plan.vector
        # Where a tile begins along each axis, and how much of it the tile covers.
        self.index: dict[int, str] = {}
        self.at = Addresses(contraction, plan, self.f, self.index)
        self.fetcher: Fetcher | None = None
        if plan.fetched:
            self.fetcher = Fetcher(contraction, plan, self.f, self.at, outside)
        self.size = [1] * len(contraction.extents)
        self.tail: int | None = None
        # The range of the axis that is cut into strips, while a strip is walked.
        self.strip: tuple[str, str] | None = None
        self.begun: list[str] = []
        # What is given at run time: the extent of an axis, and the strips along it.
        first = 2 * (2 + len(outside))
        self.extent = self.f.number(first) if plan.free is not None else ""
        self.length = str(plan.strip)
        if plan.cut and plan.reduced[plan.level] == plan.free:
            self.length = self.f.number(first + 1)
        # Rows of a tile that the one before has done: all of them, or the sums of this chunk.
        self.skipped: str | None = None
        self.done: str | None = None

    def emit(self) -> Function:
        self._batches(0) if self.epilogue is None else self._outputs(0)
        self.f.do("ret void")
        return self.f

    def _batches(self, position: int) -> None:
        """Axes of both operands lie outside of the chunks: their sums so far stay in the cache."""
        axis = next(iter(self.plan.order[position:]), None)
        if axis is None or not self._is_batch(axis):
            self._chunks(0, lambda: self._outputs(position))
            return
        with self.f.loop("0", self._steps_end(axis), 1, f"x{axis}_") as self.index[axis]:
            self._batches(position + 1)

    def _is_batch(self, axis: int) -> bool:
        operands = (self.c.a, self.c.b)
        tied = any(guard.strides[axis] for x in operands for guard in x.guards)
        free = axis != self.lane_axis and self.plan.tile[axis] == 1 and not tied
        return free and all(x.strides[axis] for x in operands)

    # -- chunks of the reduction ------------------------------------------------------------------

    def _chunks(self, level: int, inside: Callable[[], None]) -> None:
        """The loops over chunks."""
        if level == self.plan.level and not self.plan.cut:
            inside()
            return
        axis = self.plan.reduced[level]
        if level < self.plan.level:
            with self.f.loop("0", self._steps_end(axis), 1, f"x{axis}_") as index:
                self.index[axis] = index
                self.begun.append(index)
                self._chunks(level + 1, inside)
                self.begun.pop()
            return
        end = self._steps_end(axis)
        with self.f.loop("0", end, self.length, "strip") as start:
            stop = self.f.emit(f"add i64 {start}, {self.length}")
            if axis == self.plan.free or int(end) % self.plan.strip:
                stop = self._least(stop, end)
            self.strip = start, stop
            self.begun.append(start)
            inside()
            self.begun.pop()
            self.strip = None

    def _steps_end(self, axis: int) -> str:
        """Where the whole steps along an axis end; terms that are left over come after."""
        if axis == self.plan.free:
            return self.extent
        plan = self.plan
        return str(count_steps(self.c, axis, plan.vector, plan.across, plan.lanes))

    def _least(self, value: str, limit: str) -> str:
        return self.f.call("i64", "llvm.umin.i64", ("i64", value), ("i64", limit))

    # -- the output -------------------------------------------------------------------------------

    def _outputs(self, position: int) -> None:
        """The loops over the output, outermost first; then one tile."""
        if position == len(self.plan.order):
            self._tile()
            return
        axis = self.plan.order[position]
        if axis == self.lane_axis:
            self._columns(position)
            return
        if axis == self.plan.free:
            self._rows(axis, position)
            return
        extent = self.c.extents[axis]
        count = min(self.plan.tile[axis], extent)
        whole = extent // count * count
        # A last tile that overlaps the one before spares a variant of the code. It gives the same
        # values again, but a sum over chunks must not be added to twice, and what an epilogue
        # reads may be gone: that is done by rows, and leaves those out that were done before.
        overlap = whole < extent and (self.epilogue is not None or not self.plan.chunked)
        skips = overlap and self.epilogue is not None and self.epilogue.only_once
        if skips and self.epilogue is not None and axis != self.epilogue.row_axis:
            overlap = skips = False
        stop = extent if overlap else whole
        if stop == count:
            self._place(axis, "0", count, position)
        else:
            with self.f.loop("0", str(stop), count, f"x{axis}_") as index:
                start = self._least(index, str(extent - count)) if overlap else index
                if skips:
                    self.skipped = self.f.emit(f"sub i64 {index}, {start}")
                self._place(axis, start, count, position)
                if skips:
                    self.skipped = None
        if stop < extent:
            self._place(axis, str(whole), extent - whole, position)

    def _rows(self, axis: int, position: int) -> None:
        """Tiles up to an extent that is given at run time; it is not less than a tile.

        The last tile overlaps the one before. Where chunks are added to the output, it leaves the
        rows alone that have been added to; where an epilogue must not be done twice, it leaves
        them out.
        """
        count = self.plan.tile[axis]
        with self.f.loop("0", self.extent, count, f"x{axis}_") as index:
            start = index
            if count > 1:
                start = self._least(index, self.f.emit(f"sub i64 {self.extent}, {count}"))
                before = self.f.emit(f"sub i64 {index}, {start}")
                if self.epilogue is None:
                    self.done = before if self.plan.chunked else None
                elif self.epilogue.only_once:
                    self.skipped = before
            self._place(axis, start, count, position)
            self.done = self.skipped = None

    def _place(self, axis: int, start: str, size: int, position: int) -> None:
        self.index[axis], self.size[axis] = start, size
        self._outputs(position + 1)

    def _columns(self, position: int) -> None:
        """Tiles along the lanes: whole ones in a loop, then the rest, masked."""
        axis, lanes = self.plan.order[position], self.plan.lanes
        extent, vectors = self.c.extents[axis], self.plan.tile[axis]
        width = lanes * vectors
        whole = extent // width * width
        if whole == width:
            self._place(axis, "0", vectors, position)
        elif whole:
            with self.f.loop("0", str(whole), width, "n") as index:
                self._place(axis, index, vectors, position)
        rest = extent - whole
        if rest:
            vectors = -(-rest // lanes)
            tail = rest - (vectors - 1) * lanes
            self.tail = None if tail == lanes else tail
            self._place(axis, str(whole), vectors, position)
            self.tail = None

    # -- one tile ---------------------------------------------------------------------------------

    def _tile(self) -> None:
        free = self.plan.order
        cells = list(product(*(range(self.size[axis]) for axis in free)))
        slots = {cell: self.f.reserve(self.kind) for cell in cells}
        if self.epilogue is None or not self.plan.chunked:
            self._sum_chunk(slots)
        else:
            before = {cell: self.f.reserve(self.kind) for cell in cells}
            self._chunks(0, lambda: self._add_chunk(slots, before))
        self._finish(cells, slots)

    def _sum_chunk(self, slots: dict[Cell, str]) -> None:
        """The sums over one chunk."""
        for slot in slots.values():
            zero = self.math.constant(0, self.c.dtype)
            self.f.do(f"store {self.kind} {zero.name}, ptr {slot}, align 64")
        outside = (*self.plan.order, *self.plan.reduced[: self.plan.level])
        a = self.at.base("%a", self.c.a, outside)
        b = self.at.base("%b", self.c.b, outside)
        self._reduce(self.plan.level, a, b, slots)

    def _add_chunk(self, slots: dict[Cell, str], before: dict[Cell, str]) -> None:
        """The sums over one more chunk, with those of earlier ones.

        These are volatile: they would take registers from the inner loop.
        """
        self._sum_chunk(slots)
        with self.f.when(self._later_chunk()):
            for cell, slot in slots.items():
                one = self.f.emit(f"load volatile {self.kind}, ptr {before[cell]}, align 64")
                two = self.f.emit(f"load {self.kind}, ptr {slot}, align 64")
                total = self.f.emit(f"fadd {self.kind} {one}, {two}")
                self.f.do(f"store {self.kind} {total}, ptr {slot}, align 64")
        for cell, slot in slots.items():
            total = self.f.emit(f"load {self.kind}, ptr {slot}, align 64")
            self.f.do(f"store volatile {self.kind} {total}, ptr {before[cell]}, align 64")

    # -- the reduction ----------------------------------------------------------------------------

    def _reduce(self, level: int, a: str, b: str, slots: dict[Cell, str]) -> None:
        """The loops over reduced axes that lie inside a chunk."""
        if level == len(self.plan.reduced):
            self._step(a, b, slots, None)
            return
        axis = self.plan.reduced[level]
        lanes = self.plan.lanes if self.plan.across and axis == self.plan.vector else 1
        end = self._steps_end(axis)
        start, stop = ("0", end) if self.strip is None else self.strip
        if level != self.plan.level:
            start, stop = "0", end
        if level >= len(self.plan.reduced) - self.plan.unrolled:
            for place in range(0, int(end), lanes):
                self._go_inside(level, str(place), a, b, slots)
        elif end != "0":
            with self._terms(axis, start, stop, lanes) as index:
                self._go_inside(level, index, a, b, slots)
        rest = 0 if axis == self.plan.free else self.c.extents[axis] - int(end)
        if rest and stop.isdigit():
            self._left_over(axis, end, rest, a, b, slots)
        elif rest:
            last = self.f.emit(f"icmp eq i64 {stop}, {end}")
            with self.f.when(last):
                self._left_over(axis, end, rest, a, b, slots)

    def _terms(self, axis: int, start: str, stop: str, lanes: int) -> AbstractContextManager[str]:
        if self.fetcher is None:
            return self.f.loop(start, stop, lanes, f"k{axis}_")
        terms = stop if self.strip is None else self.length
        return self.fetcher.loop(axis, start, stop, lanes, terms, self.size)

    def _go_inside(self, level: int, index: str, a: str, b: str, slots: dict[Cell, str]) -> None:
        axis = self.plan.reduced[level]
        self.index[axis] = index
        a, b = self.at.base(a, self.c.a, (axis,)), self.at.base(b, self.c.b, (axis,))
        self._reduce(level + 1, a, b, slots)

    def _left_over(
        self, axis: int, end: str, rest: int, a: str, b: str, slots: dict[Cell, str]
    ) -> None:
        """The last lanes of a reduced axis, masked."""
        self.index[axis] = end
        a, b = self.at.base(a, self.c.a, (axis,)), self.at.base(b, self.c.b, (axis,))
        self._step(a, b, slots, rest)

    def _step(self, a: str, b: str, slots: dict[Cell, str], mask: int | None) -> None:
        """One term for every cell. The operand with fewer elements is held, the other streams."""
        offsets = {cell: (self.at.offset(self.c.a, cell), self.at.offset(self.c.b, cell))
                   for cell in slots}  # fmt: skip
        held_a = len({x for x, _ in offsets.values()}) <= len({y for _, y in offsets.values()})
        order = sorted(slots, key=lambda cell: offsets[cell][held_a])
        loaded: dict[tuple[bool, int], Value] = {}
        for cell in order:
            x, y = offsets[cell]
            for is_b, offset in ((False, x), (True, y)):
                if (is_b, offset) not in loaded:
                    loaded[is_b, offset] = self._operand(is_b, b if is_b else a, offset, cell, mask)
            slot = slots[cell]
            before = self.f.emit(f"load {self.kind}, ptr {slot}, align 64")
            total = Value(before, self.c.dtype, self.plan.lanes)
            after = self.math.fma(loaded[False, x], loaded[True, y], total)
            self.f.do(f"store {self.kind} {after.name}, ptr {slot}, align 64")

    def _operand(self, is_b: bool, base: str, offset: int, cell: Cell, mask: int | None) -> Value:
        """A vector where the operand is contiguous along the lanes, else one element in each."""
        access = self.c.b if is_b else self.c.a
        dtype, vector = self.c.dtype, self.plan.vector
        place = self.at.moved(base, offset)
        if vector is None or not access.strides[vector]:
            scalar = self.f.emit(f"load {self.element}, ptr {place}, align {dtype.itemsize}")
            value = self.math.splat(scalar, dtype)
            # Lanes that do not count hold zero in the other operand; here infinity would spoil it.
            return value if mask is None else self.math.keep(value, mask)
        if mask is None and not (is_b and self.c.panel is not None):
            mask = self._tail_of(cell)
        return Value(
            load_vector(self.f, place, dtype, self.plan.lanes, mask), dtype, self.plan.lanes
        )

    def _tail_of(self, cell: Cell) -> int | None:
        """The lanes that count in the vector of a cell; None for all."""
        if self.tail is None or self.lane_axis is None:
            return None
        place = cell[self.plan.order.index(self.lane_axis)]
        return self.tail if place == self.size[self.lane_axis] - 1 else None

    # -- results ----------------------------------------------------------------------------------

    def _finish(self, cells: list[Cell], slots: dict[Cell, str]) -> None:
        """Add the lanes where they are terms, add what earlier chunks gave, and store."""
        lanes = 1 if self.plan.across else self.plan.lanes
        kind = vector_of(self.element, lanes)
        row = self._find_row()
        if row is not None:
            self._store_sums(cells, slots, row)
            return
        if self.plan.across and self.plan.lanes > 1:
            for cell in cells:
                name = self.f.emit(f"load {self.kind}, ptr {slots[cell]}, align 64")
                total = add_lanes(self.f, self.element, name, self.plan.lanes)
                slots[cell] = self.f.reserve(kind)
                self.f.do(f"store {kind} {total}, ptr {slots[cell]}, align 64")
        if self.epilogue is not None:
            self.epilogue.tile(self.index, self.size, slots, self.tail, self.skipped)
            return
        out = self.at.base("%out", self.c.out, self.plan.order)
        if self.plan.chunked:
            with self.f.when(self._later_chunk()):
                for cell in cells:
                    place = self.at.moved(out, self.at.offset(self.c.out, cell))
                    before = load_vector(self.f, place, self.c.dtype, lanes, self._tail_of(cell))
                    name = self.f.emit(f"load {kind}, ptr {slots[cell]}, align 64")
                    total = self.f.emit(f"fadd {kind} {before}, {name}")
                    if self.done is not None and self.plan.free is not None:
                        row = cell[self.plan.order.index(self.plan.free)]
                        new = self.f.emit(f"icmp ule i64 {self.done}, {row}")
                        total = self.f.emit(f"select i1 {new}, {kind} {total}, {kind} {before}")
                    self.f.do(f"store {kind} {total}, ptr {slots[cell]}, align 64")
        for cell in cells:
            name = self.f.emit(f"load {kind}, ptr {slots[cell]}, align 64")
            place = self.at.moved(out, self.at.offset(self.c.out, cell))
            store_vector(self.f, Value(name, self.c.dtype, lanes), place, self._tail_of(cell))

    def _find_row(self) -> int | None:
        """The axis of a tile along which sums of lanes lie together in the output; None if none."""
        plan = self.plan
        if not plan.across or plan.lanes == 1 or plan.chunked or self.epilogue is not None:
            return None
        found = [x for x in plan.order if self.c.out.strides[x] == 1 and self.size[x] > 1]
        return found[0] if found else None

    def _store_sums(self, cells: list[Cell], slots: dict[Cell, str], row: int) -> None:
        """Add the lanes of neighbouring cells together, and store vectors."""
        lanes, dtype, size = self.plan.lanes, self.c.dtype, self.size[row]
        out, along = self.at.base("%out", self.c.out, self.plan.order), self.plan.order.index(row)
        for start in [cell for cell in cells if cell[along] % lanes == 0]:
            count = min(lanes, size - start[along])
            places = range(start[along], start[along] + count)
            rows = [slots[*start[:along], place, *start[along + 1 :]] for place in places]
            names = [self.f.emit(f"load {self.kind}, ptr {slot}, align 64") for slot in rows]
            total = add_lanes_of(self.f, self.element, names, lanes, dtype.itemsize)
            place = self.at.moved(out, self.at.offset(self.c.out, start))
            tail = None if count == lanes else count
            store_vector(self.f, Value(total, dtype, lanes), place, tail)

    def _later_chunk(self) -> str:
        """Whether this chunk is not the first."""
        either = self.begun[0]
        for index in self.begun[1:]:
            either = self.f.emit(f"or i64 {either}, {index}")
        return self.f.emit(f"icmp ne i64 {either}, 0")

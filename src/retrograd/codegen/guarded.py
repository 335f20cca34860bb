"""Machine code for contractions whose terms are left out where an operand has no element."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ..ir.loops import Contraction, Guard
from .addresses import Cell
from .contraction import ContractionEmitter
from .guarded_plan import axes_of, find_whole, list_guards
from .tiles import Plan
from .vectors import Value


class GuardedEmitter(ContractionEmitter):
    """As the contraction without guards; see guarded_plan.py."""

    def __init__(self, contraction: Contraction, plan: Plan, name: str) -> None:
        super().__init__(contraction, plan, name)
        self.written: Guard | None = None
        self.along = self.taps = -1
        self.bounds: dict[int, list[tuple[Guard, int]]] = {}
        self.peeled: Guard | None = None
        for guard in list_guards(contraction):
            kept, taps = axes_of(guard, contraction)
            if taps == plan.written:
                self.written, self.along, self.taps = guard, kept, taps
            elif plan.tile[kept] > 1:
                self.peeled = guard
            else:
                self.bounds.setdefault(taps, []).append((guard, kept))
        # Where the tile begins along the axis whose terms are written out; None for any place
        # where nothing is left out.
        self.start: int | None = None
        # The place in the innermost loop, before or after the part that all of a tile has.
        self.edge: int | None = None

    # -- bounds of loops --------------------------------------------------------------------------

    @contextmanager
    def _terms(self, axis: int, start: str, stop: str, lanes: int) -> Iterator[str]:
        """The loop over those taps that meet an element."""
        with ExitStack() as stack:
            for guard, kept in self.bounds.get(axis, ()):
                extent = self.c.extents[axis]
                step = guard.strides[kept]
                scaled = self.f.emit(f"mul nsw i64 {self.index[kept]}, {step}")
                low = self.f.emit(f"sub nsw i64 {-guard.offset}, {scaled}")
                high = self.f.emit(f"sub nsw i64 {guard.limit - guard.offset}, {scaled}")
                start = self.f.call("i64", "llvm.smax.i64", ("i64", start), ("i64", low))
                stop = self.f.call("i64", "llvm.smin.i64", ("i64", stop), ("i64", high))
                places = [guard.offset + step * place for place in range(self.c.extents[kept])]
                empty = any(max(0, -p) >= min(extent, guard.limit - p) for p in places)
                if empty or (self.plan.cut and axis == self.plan.reduced[self.plan.level]):
                    some = self.f.emit(f"icmp slt i64 {start}, {stop}")
                    stack.enter_context(self.f.when(some))
            yield stack.enter_context(super()._terms(axis, start, stop, lanes))

    def _reduce(self, level: int, a: str, b: str, slots: dict[Cell, str]) -> None:
        axis = self.plan.reduced[level] if level < len(self.plan.reduced) else -1
        if self.peeled is None or axis != axes_of(self.peeled, self.c)[1]:
            super()._reduce(level, a, b, slots)
            return
        if self.fetcher is not None:
            self.fetcher.enter(axis, self.length)
        whole = find_whole(self.c, self.peeled)
        self._edges(level, range(whole.start), a, b, slots)
        with self.f.loop(str(whole.start), str(whole.stop), 1, f"k{axis}_") as index:
            self._go_inside(level, index, a, b, slots)
        self._edges(level, range(whole.stop, self.c.extents[axis]), a, b, slots)

    def _edges(self, level: int, places: range, a: str, b: str, slots: dict[Cell, str]) -> None:
        """Steps with the cells that have a term there."""
        for place in places:
            self.edge = place
            self._go_inside(level, str(place), a, b, slots)
        self.edge = None

    def _meets_edge(self, cell: Cell) -> bool:
        guard = self.peeled
        assert guard is not None and self.edge is not None
        kept, _ = axes_of(guard, self.c)
        position = guard.offset + guard.strides[kept] * cell[self.plan.order.index(kept)]
        return 0 <= position + self.edge < guard.limit

    # -- tiles at known places --------------------------------------------------------------------

    def _outputs(self, position: int) -> None:
        if position == len(self.plan.order) or self.plan.order[position] != self.along:
            super()._outputs(position)
            return
        extent = self.c.extents[self.along]
        count = min(self.plan.tile[self.along], extent)
        tiles = [(start, count) for start in range(0, extent - count + 1, count)]
        rest = extent % count
        if rest and (self.epilogue is None or not self.epilogue.only_once):
            tiles.append((extent - count, count))
        elif rest:
            tiles.append((extent - rest, rest))
        inner = [start for start, size in tiles[: extent // count] if self._is_inside(start, size)]
        for start, size in tiles:
            if start in inner[1:] and len(inner) > 1 and size == count and start % count == 0:
                continue
            self.start = start
            if start not in inner or len(inner) == 1 or start % count:
                self._place(self.along, str(start), size, position)
                continue
            self.start = None
            end = str(inner[-1] + 1)
            with self.f.loop(str(start), end, count, f"x{self.along}_") as index:
                self._place(self.along, index, size, position)
        self.start = None

    def _is_inside(self, start: int, size: int) -> bool:
        """Whether a tile has all terms."""
        taps = range(self.c.extents[self.taps])
        return all(self._meets(start + n, tap) for n in range(size) for tap in taps)

    def _meets(self, place: int, tap: int) -> bool:
        guard = self.written
        assert guard is not None
        position = guard.offset + guard.strides[self.along] * place
        return 0 <= position + guard.strides[self.taps] * tap < guard.limit

    def _step(self, a: str, b: str, slots: dict[Cell, str], mask: int | None) -> None:
        """The terms of all taps for every cell, in the order of the elements that they share."""
        if self.edge is not None:
            slots = {cell: slot for cell, slot in slots.items() if self._meets_edge(cell)}
        if self.written is None:
            super()._step(a, b, slots, mask)
            return
        order = self.plan.order.index(self.along)
        step_a, step_b = self.c.a.strides[self.taps], self.c.b.strides[self.taps]
        slides = self.written in self.c.b.guards
        terms = []
        for cell in slots:
            x, y = self.at.offset(self.c.a, cell), self.at.offset(self.c.b, cell)
            for tap in range(self.c.extents[self.taps]):
                if self.start is None or self._meets(self.start + cell[order], tap):
                    pair = (x + tap * step_a, y + tap * step_b)
                    terms.append((pair, cell))
        sign = -1 if (step_a, step_b)[slides] < 0 else 1
        terms.sort(key=lambda term: (sign * term[0][slides], term[0][not slides]))
        loaded: dict[tuple[bool, int], Value] = {}
        for pair, cell in terms:
            for is_b, offset in enumerate(pair):
                key = (bool(is_b), offset)
                if key not in loaded:
                    loaded[key] = self._operand(bool(is_b), b if is_b else a, offset, cell, mask)
            slot = slots[cell]
            before = self.f.emit(f"load {self.kind}, ptr {slot}, align 64")
            total = Value(before, self.c.dtype, self.plan.lanes)
            after = self.math.fma(loaded[False, pair[0]], loaded[True, pair[1]], total)
            self.f.do(f"store {self.kind} {after.name}, ptr {slot}, align 64")

"""Mean and variance in one read: sums of distances from a value that follows the mean.

With distances d from a shift s, S = sum(d) and Q = sum(d^2), the mean is s + S / n and the variance
(Q - S^2 / n) / n. What cancels in the difference is n times the square of the distance between
shift and mean. So the shift starts at a term, and after each chunk moves by t to the mean of all
terms so far: S becomes S - n t, and Q becomes Q - t (S + (S - n t)), Welford's rule for many terms.
From then on a chunk that lies far from the shift adds as much to the true variance as to Q.

Source: T. Chan, G. Golub, R. LeVeque, Algorithms for computing the sample variance, 1983.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.loops import Store
from ..ir.types import DType, bool_, int64
from .elementwise import emit_elementwise
from .emit import Function, scalar_type, vector_of
from .vectors import Value, VectorMath


class Moments:
    """The running mean and variance of one expression, for stores of either.

    Args:
        function: where the text goes.
        stores: where the results go.
        shifts: where the shift starts, for each copy that is kept.
        copies: how many run side by side.
        folded: whether copies are of a reduced axis.
        across: whether lanes are.
        chunked: whether there are chunks.
    """

    def __init__(
        self,
        function: Function,
        stores: list[Store],
        shifts: Sequence[Value],
        copies: int,
        folded: bool,
        across: bool,
        chunked: bool,
    ) -> None:
        self.f, self.stores, self.chunked = function, stores, chunked
        self.parts = [stores[0].expression]
        self.folded, self.across = folded, across
        self.dtype: DType = shifts[0].dtype
        self.lanes = shifts[0].lanes
        self.kept = 1 if across else self.lanes
        self.count = self._reserve(Value("0", int64, 1))
        self.shifts = [self._reserve(shift) for shift in shifts]
        zero = VectorMath(function, self.lanes).constant(0.0, self.dtype)
        self.near = [(self._reserve(zero), self._reserve(zero)) for _ in range(copies)]
        zero = VectorMath(function, self.kept).constant(0.0, self.dtype)
        self.far = [(self._reserve(zero), self._reserve(zero)) for _ in shifts]

    def _reserve(self, start: Value) -> str:
        slot = self.f.reserve(vector_of(scalar_type(start.dtype), start.lanes))
        self._write(slot, start)
        return slot

    def _write(self, slot: str, value: Value) -> None:
        self.f.do(f"store {value.kind} {value.name}, ptr {slot}, align 64")

    def _read(self, slot: str, lanes: int, dtype: DType | None = None) -> Value:
        kind = vector_of(scalar_type(dtype or self.dtype), lanes)
        name = self.f.emit(f"load {kind}, ptr {slot}, align 64")
        return Value(name, dtype or self.dtype, lanes)

    # -- while the loops run --------------------------------------------------------------------

    def add(self, copy: int, values: list[Value], tail: str | None, terms: int | str) -> None:
        math_ = VectorMath(self.f, self.lanes)
        shift = self._read(self.shifts[0 if self.folded else copy], self.lanes)
        distance = math_.binary("fsub", values[0], shift)
        if tail is not None:
            zero = math_.constant(0.0, self.dtype)
            distance = math_.select(Value(tail, bool_, self.lanes), distance, zero)
        for slot, next_ in zip(
            self.near[copy],
            (
                lambda total: math_.binary("fadd", total, distance),
                lambda total: math_.fma(distance, distance, total),
            ),
            strict=True,
        ):
            self._write(slot, next_(self._read(slot, self.lanes)))
        if self.folded or not copy:
            count = self._read(self.count, 1, int64)
            more = self.f.emit(f"add i64 {count.name}, {terms}")
            self._write(self.count, Value(more, int64, 1))

    def flush(self) -> None:
        """Move the shift to the mean of all terms so far, where that is finite."""
        math_ = VectorMath(self.f, self.kept)
        count = self._count()
        for order, slots in enumerate(self.far):
            total, squares = self._sums(order)
            self._clear(order)
            shift = self._first_lane(self._read(self.shifts[order], self.lanes))
            moved = math_.binary("fadd", shift, math_.binary("fdiv", total, count))
            finite = emit_elementwise(math_, "is_finite", bool_, [moved])
            moved = math_.select(finite, moved, shift)
            step = math_.binary("fsub", moved, shift)
            minus = self._negative(step)
            rest = math_.fma(self._negative(count), step, total)
            both = math_.binary("fadd", total, rest)
            self._write(slots[0], rest)
            self._write(slots[1], math_.fma(minus, both, squares))
            if self.across:
                moved = VectorMath(self.f, self.lanes).splat(moved.name, self.dtype)
            self._write(self.shifts[order], moved)

    def results(self) -> list[list[Value]]:
        math_ = VectorMath(self.f, self.kept)
        count = self._count()
        results: list[list[Value]] = [[] for _ in self.stores]
        for order, slots in enumerate(self.far):
            if self.chunked:
                total, squares = (self._read(slot, self.kept) for slot in slots)
            else:
                total, squares = self._sums(order)
            share = math_.binary("fdiv", total, count)
            for store, found in zip(self.stores, results, strict=True):
                if store.reduction == "mean":
                    shift = self._first_lane(self._read(self.shifts[order], self.lanes))
                    found.append(math_.binary("fadd", shift, share))
                    continue
                spread = math_.fma(self._negative(share), total, squares)
                spread = emit_elementwise(
                    math_, "maximum", self.dtype, [spread, math_.constant(0.0, self.dtype)]
                )
                found.append(math_.binary("fdiv", spread, count))
        return results

    # -- parts ----------------------------------------------------------------------------------

    def _sums(self, order: int) -> tuple[Value, Value]:
        """S and Q of all terms: those of the chunk, and those before."""
        copies = self.near if self.folded else self.near[order : order + 1]
        sums = []
        for part, far in enumerate(self.far[order]):
            values = [self._read(slots[part], self.lanes) for slots in copies]
            while len(values) > 1:
                values = [self._add(a, b) for a, b in zip(values[::2], values[1::2], strict=True)]
            total = values[0]
            while self.across and total.lanes > 1:
                half = total.lanes // 2
                total = self._add(self._lanes(total, 0, half), self._lanes(total, half, half))
            sums.append(self._add(self._read(far, self.kept), total) if self.chunked else total)
        return sums[0], sums[1]

    def _clear(self, order: int) -> None:
        zero = VectorMath(self.f, self.lanes).constant(0.0, self.dtype)
        for slots in self.near if self.folded else self.near[order : order + 1]:
            for slot in slots:
                self._write(slot, zero)

    def _count(self) -> Value:
        """How many terms there have been, in every lane."""
        count = self._read(self.count, 1, int64)
        single = VectorMath(self.f, 1).cast(count, self.dtype)
        return VectorMath(self.f, self.kept).splat(single.name, self.dtype)

    def _add(self, a: Value, b: Value) -> Value:
        return VectorMath(self.f, a.lanes).binary("fadd", a, b)

    def _negative(self, a: Value) -> Value:
        return Value(self.f.emit(f"fneg {a.kind} {a.name}"), a.dtype, a.lanes)

    def _first_lane(self, a: Value) -> Value:
        """What all lanes hold where lanes are of a reduced axis; else the value itself."""
        return self._lanes(a, 0, 1) if self.across and a.lanes > 1 else a

    def _lanes(self, a: Value, start: int, count: int) -> Value:
        if count == 1:
            name = self.f.emit(f"extractelement {a.kind} {a.name}, i64 {start}")
        else:
            numbers = ", ".join(f"i32 {n}" for n in range(start, start + count))
            text = f"shufflevector {a.kind} {a.name}, {a.kind} poison, "
            name = self.f.emit(text + f"<{count} x i32> <{numbers}>")
        return Value(name, a.dtype, count)

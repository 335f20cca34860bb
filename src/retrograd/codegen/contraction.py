"""Machine code for contractions: a tile of the output lives in registers across the reduction.

One operand (`b`) is read as vectors along the output's contiguous axis, the other (`a`) as scalars
that are broadcast: any affine address will do for it. Bounds are met by smaller tiles and constant
masks, not by tests in the inner loop.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.loops import Access, Contraction
from .emit import Function, scalar_type, vector_of
from .vectors import Value, VectorMath

CHUNK = 1024
"""Terms that are added one after the other before their sum joins the sum of sums."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the axes of a contraction are walked.

    Args:
        vector: the output axis along which b and the output are contiguous.
        row: the output axis whose elements share a vector of b; None if there is none.
        outer: the other output axes.
        reduced: the reduced axes, outermost first.
        lanes: elements in a vector.
        vectors: vectors in a tile.
        rows: rows in a tile.
    """

    vector: int
    row: int | None
    outer: tuple[int, ...]
    reduced: tuple[int, ...]
    lanes: int
    vectors: int
    rows: int


def plan_contraction(contraction: Contraction, vector_bytes: int, registers: int) -> Plan | None:
    """The walk for a contraction, or None where no axis suits vectors."""
    axes = range(len(contraction.extents))
    free = [axis for axis in axes if not contraction.reduced[axis]]
    suits = [
        axis
        for axis in free
        if contraction.out.strides[axis] == 1
        and contraction.b.strides[axis] == 1
        and contraction.a.strides[axis] == 0
        and contraction.extents[axis] > 1
    ]
    if not suits:
        return None
    vector = max(suits, key=lambda axis: contraction.extents[axis])
    rows = [
        axis
        for axis in free
        if contraction.b.strides[axis] == 0 and contraction.a.strides[axis] != 0
    ]
    row = max(rows, key=lambda axis: contraction.extents[axis], default=None)
    lanes = vector_bytes // contraction.dtype.itemsize
    while lanes > 1 and lanes // 2 >= contraction.extents[vector]:
        lanes //= 2
    vectors, count = choose_tile(
        contraction.extents[vector],
        1 if row is None else contraction.extents[row],
        lanes,
        registers,
    )
    reduced = tuple(axis for axis in axes if contraction.reduced[axis])
    outer = tuple(axis for axis in free if axis not in (vector, row))
    return Plan(vector, row, outer, reduced, lanes, vectors, count)


def choose_tile(columns: int, rows: int, lanes: int, registers: int) -> tuple[int, int]:
    """Vectors and rows of a tile, by a model of the inner loop's cost.

    For each step of the reduction a tile of `v` vectors and `r` rows loads `v` vectors and `r`
    scalars for `v * r` multiply-adds; two of each go in a cycle.
    """
    total = -(-columns // lanes)
    best, best_cost = (1, 1), float("inf")
    for vectors in (1, 2, 3, 4):
        if vectors > total:
            break
        limit = (registers - 1 - vectors) // vectors
        tiles = -(-rows // limit)
        height = -(-rows // tiles)
        columns_of_tiles = -(-total // vectors)
        latency = 8.0
        per_tile = max(vectors * height, vectors + height, latency)
        cost = columns_of_tiles * tiles * (per_tile + 0.25 * (vectors + height))
        if cost < best_cost:
            best, best_cost = (vectors, height), cost
    return best


class ContractionEmitter:
    """Emits one contraction as a function of three pointers: a, b and the output."""

    def __init__(self, contraction: Contraction, plan: Plan, name: str) -> None:
        self.c = contraction
        self.plan = plan
        self.f = Function(
            name,
            [("ptr", "%a"), ("ptr", "%b"), ("ptr", "%out"), ("ptr", "%status")],
            linkage="internal",
        )
        self.element = scalar_type(contraction.dtype)
        self.index: dict[int, str] = {}
        self.math = VectorMath(self.f, plan.lanes)
        self.kind = vector_of(self.element, plan.lanes)

    def emit(self) -> Function:
        self._outer(0)
        self.f.do("ret void")
        return self.f

    # -- the output -----------------------------------------------------------------------------

    def _outer(self, position: int) -> None:
        if position == len(self.plan.outer):
            self._columns()
            return
        axis = self.plan.outer[position]
        extent = self.c.extents[axis]
        if extent == 1:
            self.index[axis] = "0"
            self._outer(position + 1)
            return
        with self.f.loop("0", str(extent), 1, f"o{axis}_") as index:
            self.index[axis] = index
            self._outer(position + 1)

    def _columns(self) -> None:
        """Tiles along the vector axis: whole ones in a loop, then the rest."""
        plan, extent = self.plan, self.c.extents[self.plan.vector]
        width = plan.lanes * plan.vectors
        whole = extent // width * width
        if whole == width:
            self.index[plan.vector] = "0"
            self._rows(plan.vectors, None)
        elif whole:
            with self.f.loop("0", str(whole), width, "n") as index:
                self.index[plan.vector] = index
                self._rows(plan.vectors, None)
        rest = extent - whole
        if rest:
            self.index[plan.vector] = str(whole)
            vectors = -(-rest // plan.lanes)
            tail = rest - (vectors - 1) * plan.lanes
            self._rows(vectors, None if tail == plan.lanes else tail)

    def _rows(self, vectors: int, tail: int | None) -> None:
        axis, count = self.plan.row, self.plan.rows
        if axis is None:
            self._tile(1, vectors, tail)
            return
        extent = self.c.extents[axis]
        whole = extent // count * count
        if whole == count:
            self.index[axis] = "0"
            self._tile(count, vectors, tail)
        elif whole:
            with self.f.loop("0", str(whole), count, "m") as index:
                self.index[axis] = index
                self._tile(count, vectors, tail)
        if extent > whole:
            self.index[axis] = str(whole)
            self._tile(extent - whole, vectors, tail)

    # -- one tile -------------------------------------------------------------------------------

    def _tile(self, rows: int, vectors: int, tail: int | None) -> None:
        cells = [(row, vector) for row in range(rows) for vector in range(vectors)]
        slots = {cell: self.f.reserve(self.kind) for cell in cells}
        for slot in slots.values():
            self._clear(slot)
        terms = 1
        for axis in self.plan.reduced:
            terms *= self.c.extents[axis]
        totals = {cell: self.f.reserve(self.kind) for cell in cells} if terms > CHUNK else None
        if totals is not None:
            for slot in totals.values():
                self._clear(slot)
        a = self._base("%a", self.c.a, (*self.plan.outer, self.plan.row))
        b = self._base("%b", self.c.b, (*self.plan.outer, self.plan.vector))
        self._reduce(0, terms, a, b, slots, totals, vectors, tail)
        out = self._base("%out", self.c.out, (*self.plan.outer, self.plan.row, self.plan.vector))
        for (row, vector), slot in (slots if totals is None else totals).items():
            value = self.f.emit(f"load {self.kind}, ptr {slot}, align 64")
            place = out
            stride = 0 if self.plan.row is None else self.c.out.strides[self.plan.row]
            offset = row * stride + vector * self.plan.lanes
            if offset:
                place = self.f.emit(f"getelementptr {self.element}, ptr {out}, i64 {offset}")
            self._store(value, place, tail if vector == vectors - 1 else None)

    def _clear(self, slot: str) -> None:
        zero = self.math.constant(0, self.c.dtype)
        self.f.do(f"store {self.kind} {zero.name}, ptr {slot}, align 64")

    def _base(self, pointer: str, access: Access, axes: tuple[int | None, ...]) -> str:
        """The address at the current place of the given axes."""
        for axis in axes:
            if axis is None or not access.strides[axis] or self.index[axis] == "0":
                continue
            offset = self.f.emit(f"mul nsw i64 {self.index[axis]}, {access.strides[axis]}")
            pointer = self.f.emit(f"getelementptr {self.element}, ptr {pointer}, i64 {offset}")
        return pointer

    def _reduce(
        self,
        level: int,
        terms: int,
        a: str,
        b: str,
        slots: dict[tuple[int, int], str],
        totals: dict[tuple[int, int], str] | None,
        vectors: int,
        tail: int | None,
    ) -> None:
        """The loops over reduced axes. Where a loop's body adds about CHUNK terms, sums move on."""
        if level == len(self.plan.reduced):
            self._step(a, b, slots, vectors, tail)
            return
        axis = self.plan.reduced[level]
        extent = self.c.extents[axis]
        inside = terms // extent if extent else 0
        flush_here = totals is not None and inside <= CHUNK
        if flush_here and terms > CHUNK and inside * extent > CHUNK:
            strip = max(1, CHUNK // max(inside, 1))
            self._strips(level, inside, strip, a, b, slots, totals, vectors, tail)
            return
        self._walk(level, inside, "0", str(extent), extent, a, b, slots, totals, vectors, tail)
        if totals is not None and terms <= CHUNK and level == 0:
            self._flush(slots, totals)

    def _strips(
        self,
        level: int,
        inside: int,
        strip: int,
        a: str,
        b: str,
        slots: dict[tuple[int, int], str],
        totals: dict[tuple[int, int], str] | None,
        vectors: int,
        tail: int | None,
    ) -> None:
        extent = self.c.extents[self.plan.reduced[level]]
        whole = extent // strip * strip
        assert totals is not None
        if whole:
            with self.f.loop("0", str(whole), strip, "strip") as start:
                stop = self.f.emit(f"add i64 {start}, {strip}")
                self._walk(level, inside, start, stop, strip, a, b, slots, None, vectors, tail)
                self._flush(slots, totals)
        if extent > whole:
            self._walk(
                level,
                inside,
                str(whole),
                str(extent),
                extent - whole,
                a,
                b,
                slots,
                None,
                vectors,
                tail,
            )
            self._flush(slots, totals)

    def _walk(
        self,
        level: int,
        inside: int,
        start: str,
        stop: str,
        count: int,
        a: str,
        b: str,
        slots: dict[tuple[int, int], str],
        totals: dict[tuple[int, int], str] | None,
        vectors: int,
        tail: int | None,
    ) -> None:
        axis = self.plan.reduced[level]
        if count == 1:
            self.index[axis] = start
            inner_a, inner_b = self._base(a, self.c.a, (axis,)), self._base(b, self.c.b, (axis,))
            self._reduce(level + 1, inside, inner_a, inner_b, slots, totals, vectors, tail)
            return
        with self.f.loop(start, stop, 1, f"k{axis}_") as index:
            self.index[axis] = index
            inner_a, inner_b = self._base(a, self.c.a, (axis,)), self._base(b, self.c.b, (axis,))
            self._reduce(level + 1, inside, inner_a, inner_b, slots, totals, vectors, tail)

    def _flush(self, slots: dict[tuple[int, int], str], totals: dict[tuple[int, int], str]) -> None:
        for cell, slot in slots.items():
            part = self.f.emit(f"load {self.kind}, ptr {slot}, align 64")
            total = self.f.emit(f"load {self.kind}, ptr {totals[cell]}, align 64")
            both = self.f.emit(f"fadd {self.kind} {total}, {part}")
            self.f.do(f"store {self.kind} {both}, ptr {totals[cell]}, align 64")
            self._clear(slot)

    def _step(
        self, a: str, b: str, slots: dict[tuple[int, int], str], vectors: int, tail: int | None
    ) -> None:
        """One term: vectors of b times broadcast elements of a."""
        lanes, dtype = self.plan.lanes, self.c.dtype
        loaded = []
        for vector in range(vectors):
            place = b
            if vector:
                place = self.f.emit(f"getelementptr {self.element}, ptr {b}, i64 {vector * lanes}")
            mask = tail if vector == vectors - 1 else None
            loaded.append(Value(self._load(place, mask), dtype, lanes))
        rows = 1 + max(row for row, _ in slots)
        stride = 0 if self.plan.row is None else self.c.a.strides[self.plan.row]
        for row in range(rows):
            place = a
            if row:
                place = self.f.emit(f"getelementptr {self.element}, ptr {a}, i64 {row * stride}")
            scalar = self.f.emit(f"load {self.element}, ptr {place}, align {dtype.itemsize}")
            spread = self.math.splat(scalar, dtype)
            for vector in range(vectors):
                slot = slots[row, vector]
                before = self.f.emit(f"load {self.kind}, ptr {slot}, align 64")
                after = self.math.fma(spread, loaded[vector], Value(before, dtype, lanes))
                self.f.do(f"store {self.kind} {after.name}, ptr {slot}, align 64")

    # -- memory ---------------------------------------------------------------------------------

    def _load(self, place: str, tail: int | None) -> str:
        align, lanes = self.c.dtype.itemsize, self.plan.lanes
        if tail is None or lanes == 1:
            return self.f.emit(f"load {self.kind}, ptr {place}, align {align}")
        return self.f.call(
            self.kind,
            f"llvm.masked.load.{self._suffix()}.p0",
            ("ptr", f"align {align} {place}"),
            (f"<{lanes} x i1>", self._mask(tail)),
            (self.kind, "zeroinitializer"),
        )

    def _store(self, value: str, place: str, tail: int | None) -> None:
        align, lanes = self.c.dtype.itemsize, self.plan.lanes
        if tail is None or lanes == 1:
            self.f.do(f"store {self.kind} {value}, ptr {place}, align {align}")
            return
        name = f"llvm.masked.store.{self._suffix()}.p0"
        self.f.intrinsics.add(f"declare void @{name}({self.kind}, ptr, <{lanes} x i1>)")
        self.f.do(
            f"call void @{name}({self.kind} {value}, ptr align {align} {place}, "
            f"<{lanes} x i1> {self._mask(tail)})"
        )

    def _mask(self, tail: int) -> str:
        bits = ", ".join(f"i1 {'true' if n < tail else 'false'}" for n in range(self.plan.lanes))
        return f"<{bits}>"

    def _suffix(self) -> str:
        return f"v{self.plan.lanes}{'f32' if self.element == 'float' else 'f64'}"

"""Machine code for copies that exchange the contiguous axis: square blocks turned in registers.

A loop nest would read (or write) each element from another cache line. Here a block of as many
rows as there are lanes is read as vectors, turned by shuffles of halves, quarters, and so on, and
written as vectors. Extents that blocks do not divide end with a block that overlaps the one before.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.loops import Access, LoopNest
from .emit import Function, kernel_function, memory_type, vector_of

LEAST = 4
"""Lanes below which a loop nest does as well."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A copy that can be done in blocks.

    Args:
        read: the axis along which the source is contiguous.
        write: the axis along which the target is contiguous.
        outer: the other axes, outermost loop first.
        lanes: rows and columns of a block.
        free: the axis whose extent is given at run time.
    """

    read: int
    write: int
    outer: tuple[int, ...]
    lanes: int
    free: int | None = None


def plan_transposition(nest: LoopNest, vector_bytes: int, least: int | None = None) -> Turn | None:
    """How a loop nest is done in blocks; None if it is anything else than such a copy.

    Args:
        nest: the loops.
        vector_bytes: the width of vectors.
        least: the least extent of the first axis, where it is given at run time.
    """
    if len(nest.expressions) != 1 or len(nest.stores) != 1 or any(nest.reduced):
        return None
    expression, store = nest.expressions[0], nest.stores[0]
    source, target = expression.access, store.access
    if expression.kind != "load" or source is None or source.guards or target.guards:
        return None
    if store.reduction is not None or store.index is not None or expression.dtype.itemsize < 4:
        return None
    read = _contiguous(nest, source, target)
    write = _contiguous(nest, target, source)
    if read is None or write is None:
        return None
    lanes = vector_bytes // expression.dtype.itemsize
    smallest = min(nest.extents[read], nest.extents[write])
    if least is not None and 0 in (read, write):
        smallest = min(smallest, least)
    while lanes > smallest:
        lanes //= 2
    if lanes < LEAST:
        return None
    others = [axis for axis in range(len(nest.extents)) if axis not in (read, write)]
    others.sort(key=lambda axis: -abs(target.strides[axis]))
    return Turn(read, write, tuple(others), lanes, 0)


def _contiguous(nest: LoopNest, one: Access, other: Access) -> int | None:
    """The longest axis along which one access is contiguous and the other is not."""
    axes = [
        axis
        for axis, extent in enumerate(nest.extents)
        if extent > 1 and one.strides[axis] == 1 and other.strides[axis] not in (0, 1)
    ]
    return max(axes, key=lambda axis: nest.extents[axis], default=None)


class TranspositionEmitter:
    """Emits a copy as a function of three pointers: the source, the target and the status."""

    def __init__(self, nest: LoopNest, turn: Turn, name: str) -> None:
        self.nest = nest
        self.turn = turn
        source = nest.expressions[0].access
        assert source is not None
        self.source, self.target = source, nest.stores[0].access
        dtype = nest.expressions[0].dtype
        self.element, self.size = memory_type(dtype), dtype.itemsize
        self.f = kernel_function(name, ("%p0", "%p1"))
        self.extent = self.f.number(4) if turn.free is not None else ""

    def emit(self) -> Function:
        self._loops((*self.turn.outer, self.turn.write, self.turn.read), "%p0", "%p1")
        self.f.do("ret void")
        return self.f

    def _loops(self, axes: tuple[int, ...], source: str, target: str) -> None:
        if not axes:
            self._block(source, target)
            return
        axis, rest = axes[0], axes[1:]
        extent = self.nest.extents[axis]
        stop = self.extent if axis == self.turn.free else str(extent)
        step = self.turn.lanes if axis in (self.turn.read, self.turn.write) else 1
        if stop == str(step):
            self._loops(rest, source, target)
            return
        last = str(extent - step)
        if axis == self.turn.free and step > 1:
            last = self.f.emit(f"sub i64 {stop}, {step}")
        with self.f.loop("0", stop, step, f"x{axis}_") as index:
            if step > 1 and (axis == self.turn.free or extent % step):
                limit = ("i64", last)
                index = self.f.call("i64", "llvm.umin.i64", ("i64", index), limit)
            self._loops(
                rest,
                self._moved(source, index, self.source.strides[axis]),
                self._moved(target, index, self.target.strides[axis]),
            )

    def _moved(self, pointer: str, index: str, stride: int) -> str:
        offset = index if stride == 1 else self.f.emit(f"mul nsw i64 {index}, {stride}")
        return self.f.emit(f"getelementptr {self.element}, ptr {pointer}, i64 {offset}")

    def _block(self, source: str, target: str) -> None:
        """One block, by a function that all copies of a program share."""
        name = f"turn_{self.turn.lanes}_{self.element}"
        self.f.helpers.add(write_turn(name, self.element, self.turn.lanes, self.size))
        over_rows = self.source.strides[self.turn.write]
        over_columns = self.target.strides[self.turn.read]
        listed = f"ptr {source}, i64 {over_rows}, ptr {target}, i64 {over_columns}"
        self.f.do(f"call void @{name}({listed})")


def write_turn(name: str, element: str, lanes: int, size: int) -> str:
    """A function that turns a square block: (source, stride of its rows, target, stride of its).

    LLVM takes its time for so many shuffles, hence there is one such function in a program.
    """
    arguments = [("ptr", "%source"), ("i64", "%over_rows"), ("ptr", "%target"), ("i64", "%over")]
    f = Function(name, arguments, linkage="internal")
    kind = vector_of(element, lanes)
    rows = [
        f.emit(f"load {kind}, ptr {place}, align {size}")
        for place in _places(f, element, lanes, "%source", "%over_rows")
    ]
    half = lanes // 2
    while half:
        for row in range(lanes):
            if not row & half:
                rows[row], rows[row + half] = _exchange(
                    f, kind, lanes, rows[row], rows[row + half], half
                )
        half //= 2
    for turned, place in zip(rows, _places(f, element, lanes, "%target", "%over"), strict=True):
        f.do(f"store {kind} {turned}, ptr {place}, align {size}")
    f.do("ret void")
    return f.text()


def _places(f: Function, element: str, lanes: int, pointer: str, stride: str) -> list[str]:
    places = [pointer]
    while len(places) < lanes:
        places.append(f.emit(f"getelementptr {element}, ptr {places[-1]}, i64 {stride}"))
    return places


def _exchange(
    f: Function, kind: str, lanes: int, first: str, second: str, half: int
) -> tuple[str, str]:
    """The odd blocks of `half` lanes of the first for the even blocks of the second."""
    low = [n + lanes - half if n & half else n for n in range(lanes)]
    high = [n + lanes if n & half else n + half for n in range(lanes)]
    results = []
    for mask in (low, high):
        numbers = ", ".join(f"i32 {n}" for n in mask)
        results.append(
            f.emit(f"shufflevector {kind} {first}, {kind} {second}, <{lanes} x i32> <{numbers}>")
        )
    return results[0], results[1]

"""Memory that a contraction will need is asked for while sums are made.

The processor foresees streams. It does not foresee the short pieces that a tile reads and writes at
its end, the first reads of the next tile of a convolution, nor that the next strip of a reduction
begins elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..ir.loops import Access, Contraction
from .addresses import Addresses
from .emit import Function
from .tiles import LINE, Plan

FAR = 1 << 18
"""Bytes from which on they are expected to come from far away."""
TERMS = 8
"""Terms for each row of a tile, at the least: there must be time to wait."""
LINES = 4
"""Lines of an operand that are asked for at once, at the most."""


def find_row_axis(plan: Plan) -> int | None:
    """The axis of the rows of a tile: the longest one besides that of the lanes."""
    rows = [axis for axis in plan.order if plan.across or axis != plan.vector]
    return max(rows, key=lambda axis: plan.tile[axis], default=None)


def choose_fetching(c: Contraction, plan: Plan) -> str:
    """What is asked for: "tiles", "strips" or nothing."""
    if plan.across or plan.vector is None or find_row_axis(plan) is None:
        return ""
    if _wants_tiles(c, plan):
        return "tiles"
    return "strips" if _wants_strips(c, plan) else ""


def _wants_tiles(c: Contraction, plan: Plan) -> bool:
    """Whether a tile reads or writes enough at its end, and has a loop in which to wait."""
    if plan.unrolled or not plan.reduced or (len(plan.reduced) > 1 and plan.chunked):
        return False
    if any(guard.strides[plan.reduced[-1]] for guard in (*c.a.guards, *c.b.guards)):
        return False
    if c.epilogue is None and not _find_ahead(c, plan):
        return False
    size = math.prod(n for n, reduced in zip(c.extents, c.reduced) if not reduced)
    if size * c.dtype.itemsize * len(_list_ends(c, plan)) < FAR:
        return False
    terms = plan.strip if plan.cut else math.prod(c.extents[axis] for axis in plan.reduced)
    terms *= 1 if plan.written is None else c.extents[plan.written]
    return terms >= TERMS * plan.tile[find_row_axis(plan) or 0]


def _list_ends(c: Contraction, plan: Plan) -> dict[Access, int]:
    """What the end of a tile reads (0) or writes (1), once for all tiles."""
    stores = [c.out] if c.epilogue is None else [store.access for store in c.epilogue.stores]
    written = {access.strides for access in stores}
    loads = () if c.epilogue is None else c.epilogue.loads
    return {
        access: int(access.strides in written)
        for access in (*loads, *stores)
        if all(access.strides[axis] for axis in plan.order)
    }


def _find_ahead(c: Contraction, plan: Plan) -> int:
    """Bytes of a that each row of the next tile is the first to read; 0 if that is not known.

    The rows of a window that slides overlap, but for the last place of its outer axes.
    """
    step = c.a.strides[find_row_axis(plan) or 0] * c.dtype.itemsize
    inner = plan.reduced[-1] if plan.reduced else 0
    span = c.a.strides[inner] * c.extents[inner] * c.dtype.itemsize
    if len(plan.reduced) < 2 or not 0 < step <= span:
        return 0
    return step if len(_list_new_places(c, plan)) * step <= 2 * LINES * LINE else 0


def _list_new_places(c: Contraction, plan: Plan) -> list[int]:
    """Where the outer axes of a window are when it reads a row of a for the first time."""
    places = [0]
    for axis in plan.reduced[:-1]:
        step, extent = c.a.strides[axis], c.extents[axis]
        moves = [c.a.strides[x] // step for x in plan.order if step and not c.a.strides[x] % step]
        new = min((n for n in moves if 0 < n < extent), default=extent)
        places = [old + place * step for old in places for place in range(extent - new, extent)]
    return places


def _wants_strips(c: Contraction, plan: Plan) -> bool:
    """Whether the operands of the next strip are asked for: at each entry of the innermost loop.

    Many tiles share the work. Where there are few, each would have to ask for much at once, and the
    first one reads so much of a strip that the processor foresees the rest.
    """
    if not plan.cut or _find_entry(plan) <= plan.level or c.panel is not None:
        return False
    counted = _list_counted(c, plan)
    streams = _list_streams(c, plan)
    if not streams or plan.free in counted:
        return False
    tiles = math.prod(count for _, count in counted.values())
    sizes = [
        math.prod(n for n, stride in zip(c.extents, access.strides) if stride)
        for _, access, _ in streams
    ]
    few = all(-(-lines // tiles) <= LINES for _, _, lines in streams)
    return few and max(sizes) * c.dtype.itemsize >= FAR


def _list_counted(c: Contraction, plan: Plan) -> dict[int, tuple[int, int]]:
    """The axes along which the tiles of a strip lie: elements of a tile, and how many there are."""
    found = {}
    for axis in plan.order:
        lanes = plan.lanes if axis == plan.vector else 1
        if axis == plan.vector or not _is_fixed(c, plan, axis):
            unit = plan.tile[axis] * lanes
            found[axis] = unit, -(-c.extents[axis] // unit)
    return found


def _is_fixed(c: Contraction, plan: Plan, axis: int) -> bool:
    """Whether all tiles of a strip are at the same place of an axis."""
    return c.reduced[axis] or (
        plan.tile[axis] == 1 and bool(c.a.strides[axis] and c.b.strides[axis])
    )


def _find_entry(plan: Plan) -> int:
    """The place in `plan.reduced` of the innermost axis that is looped over."""
    return len(plan.reduced) - 1 - plan.unrolled


def _list_streams(c: Contraction, plan: Plan) -> list[tuple[str, Access, int]]:
    """Operands that every strip has others of: pointer, access, and lines of an innermost loop."""
    found = []
    for pointer, access in (("%a", c.a), ("%b", c.b)):
        inner = plan.reduced[_find_entry(plan)]
        span = access.strides[inner] * c.extents[inner] * c.dtype.itemsize
        if access.strides[plan.reduced[plan.level]] > 0 and span > 0:
            found.append((pointer, access, -(-span // LINE)))
    return found


class Fetcher:
    """Emits the requests of one contraction.

    Args:
        contraction: what is computed.
        plan: how it is walked.
        function: where the text goes.
        addresses: of the operands and the output.
        pointers: the names of the pointers to what an epilogue reads and writes, or to the output.
    """

    def __init__(
        self,
        contraction: Contraction,
        plan: Plan,
        function: Function,
        addresses: Addresses,
        pointers: dict[Access, str],
    ) -> None:
        self.c, self.plan, self.f, self.at = contraction, plan, function, addresses
        self.pointers = pointers
        row_axis = find_row_axis(plan)
        assert row_axis is not None and plan.vector is not None
        self.row_axis, self.lane_axis = row_axis, plan.vector
        self.entry = _find_entry(plan)

    @contextmanager
    def loop(
        self, axis: int, start: str, stop: str, lanes: int, terms: str, size: Sequence[int]
    ) -> Iterator[str]:
        """A loop over terms, with the requests that belong to it.

        Args:
            axis: the reduced axis.
            start, stop: its range.
            lanes: the step.
            terms: how many there are in a whole strip.
            size: of the tile.
        """
        if self.plan.fetched == "tiles" and axis == self.plan.reduced[self.entry]:
            with (
                self._spread(start, stop, terms, size) as (first, last),
                self.f.loop(first, last, lanes, f"k{axis}_") as index,
            ):
                yield index
            return
        self.enter(axis, terms)
        with self.f.loop(start, stop, lanes, f"k{axis}_") as index:
            yield index

    def enter(self, axis: int, length: str) -> None:
        """Before a loop over terms; the length is that of a strip."""
        if self.plan.fetched == "strips" and axis == self.plan.reduced[self.entry]:
            self._fetch_strip(length)

    # -- tiles ----------------------------------------------------------------------------------

    @contextmanager
    def _spread(
        self, start: str, stop: str, terms: str, size: Sequence[int]
    ) -> Iterator[tuple[str, str]]:
        """A loop over the innermost terms in parts, (first, last); each asks for a row of the tile.

        All rows at once would be more than the processor can wait for at a time. The last rows,
        too, need some time to arrive.
        """
        f, rows = self.f, size[self.row_axis]
        outer = self.plan.reduced[:-1]
        parts = -(-3 * rows // (2 * math.prod(self.c.extents[axis] for axis in outer)))
        if terms.isdigit():
            part = str(-(-int(terms) // parts))
        else:
            part = f.emit(f"udiv i64 {f.emit(f'add i64 {terms}, {parts - 1}')}, {parts}")
        with f.loop(start, stop, part, "part") as first:
            row = f.emit(f"udiv i64 {f.emit(f'sub i64 {first}, {start}')}, {part}")
            if outer:
                row = f.emit(f"add i64 {row}, {f.emit(f'mul i64 {self._number(outer)}, {parts}')}")
            row = f.call("i64", "llvm.umin.i64", ("i64", row), ("i64", str(rows - 1)))
            self._fetch_row(row, size)
            after = f.emit(f"add i64 {first}, {part}")
            yield first, f.call("i64", "llvm.umin.i64", ("i64", after), ("i64", stop))

    def _number(self, axes: Sequence[int]) -> str:
        """The number of the current place among all along some axes."""
        total = self.at.index[axes[0]]
        for axis in axes[1:]:
            scaled = self.f.emit(f"mul i64 {total}, {self.c.extents[axis]}")
            total = self.f.emit(f"add i64 {scaled}, {self.at.index[axis]}")
        return total

    def _fetch_row(self, row: str, size: Sequence[int]) -> None:
        """Ask for a row of this tile, and for what that of the next one is the first to read."""
        order = self.plan.order
        width = size[self.lane_axis] * self.plan.lanes * self.c.dtype.itemsize
        for access, kind in _list_ends(self.c, self.plan).items():
            place = self.at.base(self.pointers[access], access, order)
            self._ask(self._at_row(place, access, row), width, kind)
        ahead = _find_ahead(self.c, self.plan)
        if ahead:
            a = self.c.a
            place = self._at_row(self.at.base("%a", a, order), a, row)
            for further in _list_new_places(self.c, self.plan):
                further += size[self.row_axis] * a.strides[self.row_axis]
                self._ask(self.at.moved(place, further), ahead, 0)

    def _at_row(self, place: str, access: Access, row: str) -> str:
        step = self.f.emit(f"mul i64 {row}, {access.strides[self.row_axis]}")
        return self.f.emit(f"getelementptr {self.at.element}, ptr {place}, i64 {step}")

    # -- strips ---------------------------------------------------------------------------------

    def _fetch_strip(self, length: str) -> None:
        """Ask for a part of the next strip, before the innermost loop.

        The tiles of a strip share what that loop reads there: each asks for its part.

        Args:
            length: of a strip.
        """
        f, c, plan = self.f, self.c, self.plan
        number, tiles = "0", 1
        for axis, (unit, count) in _list_counted(c, plan).items():
            place = f.emit(f"udiv i64 {self.at.index[axis]}, {unit}")
            number = f.emit(f"add i64 {f.emit(f'mul i64 {number}, {count}')}, {place}")
            tiles *= count
        around = [x for x in (*plan.order, *plan.reduced[: self.entry]) if _is_fixed(c, plan, x)]
        for pointer, access, lines in _list_streams(c, plan):
            first = f.emit(f"udiv i64 {f.emit(f'mul i64 {number}, {lines}')}, {tiles}")
            place = self.at.base(pointer, access, tuple(around))
            stride = access.strides[plan.reduced[plan.level]] * c.dtype.itemsize
            step = f.emit(f"mul i64 {length}, {stride}")
            step = f.emit(f"add i64 {step}, {f.emit(f'mul i64 {first}, {LINE}')}")
            place = f.emit(f"getelementptr i8, ptr {place}, i64 {step}")
            self._ask(place, LINE * -(-lines // tiles), 0)

    def _ask(self, place: str, width: int, kind: int) -> None:
        self.f.intrinsics.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        for start in range(0, width, LINE):
            line = self.f.emit(f"getelementptr i8, ptr {place}, i64 {start}") if start else place
            self.f.do(f"call void @llvm.prefetch.p0(ptr {line}, i32 {kind}, i32 3, i32 1)")

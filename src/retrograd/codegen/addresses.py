"""Addresses of the operands and the output of a contraction at the place of a tile."""

from __future__ import annotations

from ..ir.loops import Access, Contraction
from .emit import Function, scalar_type
from .tiles import Plan

Cell = tuple[int, ...]
"""The place of a sum in a tile, along the output axes in the order of their loops."""


class Addresses:
    """Emits the addresses of one contraction.

    Args:
        contraction: what is computed.
        plan: how it is walked.
        function: where the text goes.
        index: where the tile begins along each axis; it is filled while loops are opened.
    """

    def __init__(
        self, contraction: Contraction, plan: Plan, function: Function, index: dict[int, str]
    ) -> None:
        self.c, self.plan, self.f, self.index = contraction, plan, function, index
        self.element = scalar_type(contraction.dtype)
        self.lane_axis = None if plan.across else plan.vector

    def base(self, pointer: str, access: Access, axes: tuple[int, ...]) -> str:
        """The address at the current place of the given axes."""
        constant = 0
        total: str | None = None
        for axis in axes:
            stride, place = access.strides[axis], self.index[axis]
            if access is self.c.b and self.c.panel is not None and axis == self.c.panel[0]:
                place, within = self._split_panel(place)
                total = self._sum(total, within)
            if not stride:
                continue
            if place.isdigit():
                constant += int(place) * stride
            else:
                term = self.f.emit(f"mul nsw i64 {place}, {stride}") if stride != 1 else place
                total = self._sum(total, term)
        if total is not None:
            pointer = self.f.emit(f"getelementptr {self.element}, ptr {pointer}, i64 {total}")
        return self.moved(pointer, constant)

    def _split_panel(self, place: str) -> tuple[str, str]:
        """The panel of a column, and its place in there."""
        assert self.c.panel is not None
        width = self.c.panel[1]
        if place.isdigit():
            return str(int(place) // width), str(int(place) % width)
        panel = self.f.emit(f"udiv i64 {place}, {width}")
        return panel, self.f.emit(f"urem i64 {place}, {width}")

    def _sum(self, total: str | None, term: str) -> str:
        return term if total is None else self.f.emit(f"add nsw i64 {total}, {term}")

    def moved(self, pointer: str, elements: int) -> str:
        """So many elements further."""
        if not elements:
            return pointer
        return self.f.emit(f"getelementptr {self.element}, ptr {pointer}, i64 {elements}")

    def offset(self, access: Access, cell: Cell) -> int:
        """How far a cell's element of an operand is from that of the tile's first cell."""
        total = 0
        for axis, place in zip(self.plan.order, cell):
            stride = access.strides[axis]
            if axis == self.lane_axis:
                place *= self.plan.lanes
                if access is self.c.b and self.c.panel is not None:
                    stride = 1
            total += place * stride
        return total

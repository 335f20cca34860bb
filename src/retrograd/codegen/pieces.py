"""How a kernel is cut into pieces for several threads, and where threads must wait.

A piece is the same kernel over a part of one output axis. The cut follows from the shape alone, so
that results are the same bits on any number of threads; threads take pieces in a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..ir.loops import (
    Access,
    Contraction,
    Grid,
    Kernel,
    LoopNest,
    Repeat,
    Schedule,
    reads,
    writes,
)
from .batch_plan import find_batch_axis

MOST_PIECES = 8
CYCLES_OF_A_PIECE = 4_000
"""Estimated cycles that a piece of a nest is worth: below, threads wait longer than they work."""
CYCLES_OF_CONTRACTIONS = ((8, 4_000_000), (4, 800_000), (2, 8_000))
"""Pieces of a contraction, and the cycles from which on: each piece reads an operand again."""
CYCLES_TO_SHARE = 60_000
"""Estimated cycles from which a program is worth several threads."""
LANES = 16
"""Pieces of a contiguous axis are whole vectors of every target."""
LEAST_GUARDED = 8
"""Elements of a piece, at the least, where terms are left out."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A kernel cut along an axis.

    Args:
        kernel: one piece, the last; its accesses are those of the first piece.
        count: the number of pieces.
        axis: the axis that is cut.
        unit: elements of the axis that stay together.
        total: the extent of the axis. Piece p has the units from p * units // count on.
    """

    kernel: Kernel
    count: int
    axis: int
    unit: int
    total: int

    @property
    def units(self) -> int:
        """How many there are; the last one may be smaller."""
        return -(-self.total // self.unit)

    @property
    def uneven(self) -> bool:
        """Whether pieces differ in their extents."""
        return self.total % (self.count * self.unit) != 0

    @property
    def least(self) -> int | None:
        """The extent of the smallest piece where they differ."""
        if not self.uneven:
            return None
        last = self.kernel.extents[self.axis]  # type: ignore[union-attr]
        return int(min(last, self.units // self.count * self.unit))

    def move(self, access: Access) -> int:
        """Elements from the place of one unit to that of the next."""
        steps = self.unit
        if isinstance(self.kernel, Contraction) and self.kernel.panel is not None:
            axis, width = self.kernel.panel
            if axis == self.axis and access is self.kernel.b:
                steps //= width
        return access.strides[self.axis] * steps


def estimate_cycles(kernel: Kernel) -> float:
    """Roughly how long a kernel takes on one thread."""
    if isinstance(kernel, Contraction):
        return _product(kernel.extents) / 32
    if isinstance(kernel, LoopNest):
        return _product(kernel.extents) * (len(kernel.expressions) + 4) / LANES
    if isinstance(kernel, (Grid, Repeat)) and is_shared(kernel):
        return kernel.runs * _estimate_all(kernel.body.schedule)
    return 0.0


def is_shared(kernel: Kernel) -> bool:
    """Whether several threads work on an inner program: at different places, or all on each kernel.

    In a loop that is not cut they meet at every step, which must be worth it.
    """
    if not isinstance(kernel, Repeat):
        return isinstance(kernel, Grid)
    return kernel.pieces > 1 or (not kernel.open and is_worth_sharing(kernel.body.schedule))


def _estimate_all(schedule: Schedule) -> float:
    """The same for all kernels of a body, loops around programs included."""
    total = 0.0
    for kernel in schedule.kernels:
        if isinstance(kernel, Repeat):
            total += kernel.runs * _estimate_all(kernel.body.schedule)
        else:
            total += estimate_cycles(kernel)
    return total


def is_worth_sharing(schedule: Schedule) -> bool:
    """Whether a program runs on several threads."""
    return sum(estimate_cycles(kernel) for kernel in schedule.kernels) > CYCLES_TO_SHARE


def cut(kernel: Kernel) -> Pieces | None:
    """The kernel in pieces; None where it is too small, or nothing can be cut."""
    if not isinstance(kernel, (Contraction, LoopNest)):
        return None
    cycles = estimate_cycles(kernel)
    if isinstance(kernel, Contraction):
        counts = [count for count, least in CYCLES_OF_CONTRACTIONS if cycles >= least]
    else:
        counts = [n for n in (8, 4, 2) if n <= min(cycles / CYCLES_OF_A_PIECE, MOST_PIECES)]
    for count in counts:
        units = {axis: _find_unit(kernel, axis, count) for axis in range(len(kernel.extents))}
        axes = [axis for axis, unit in units.items() if unit]
        if axes:
            axis = min(axes, key=lambda axis: _read_again(kernel, axis))
            extents, unit, total = list(kernel.extents), units[axis], kernel.extents[axis]
            extents[axis] -= (count - 1) * -(-total // unit) // count * unit
            return Pieces(replace(kernel, extents=tuple(extents)), count, axis, unit, total)
    return None


def _find_unit(kernel: Contraction | LoopNest, axis: int, count: int) -> int:
    """Elements that stay together where an axis is cut; 0 where it cannot be."""
    extent = kernel.extents[axis]
    # Where the extent is given to the code at run time, pieces need not be equal.
    if isinstance(kernel, Contraction):
        guards = (*kernel.a.guards, *kernel.b.guards)
        if any(guard.strides[axis] for guard in guards):
            return 0
        # Other axes of the output have few places in a tile then.
        if guards and axis != find_batch_axis(kernel) and extent < count * LEAST_GUARDED:
            return 0
        if axis == find_batch_axis(kernel) and kernel.out.strides[axis] > 1 and extent >= count:
            return int(not kernel.reduced[axis])
    elif axis == 0:
        unit = LANES if any(store.access.strides[0] == 1 for store in kernel.stores) else 1
        return unit if extent >= count * unit and _can_cut(kernel, axis, unit) else 0
    part = extent // count
    return part if extent % count == 0 and _can_cut(kernel, axis, part) else 0


def _read_again(kernel: Contraction | LoopNest, axis: int) -> float:
    """Elements of the operands that every piece reads, as they do not depend on the axis."""
    if not isinstance(kernel, Contraction):
        return 0.0
    return sum(
        _product(tuple(n for n, stride in zip(kernel.extents, access.strides) if stride))
        for access in (kernel.a, kernel.b)
        if not access.strides[axis]
    )


def _can_cut(kernel: Contraction | LoopNest, axis: int, part: int) -> bool:
    """Whether pieces along an axis are independent and differ in their addresses alone."""
    if kernel.reduced[axis]:
        return False
    if isinstance(kernel, Contraction):
        if kernel.panel is not None and kernel.panel[0] == axis and part % kernel.panel[1]:
            return False
        contiguous = kernel.out.strides[axis] == 1
        return bool(kernel.out.strides[axis]) and (part % LANES == 0 or not contiguous)
    for store in kernel.stores:
        stride = store.access.strides[axis]
        if store.index is not None or not stride or (stride == 1 and part % LANES):
            return False
        if any(guard.strides[axis] for guard in store.access.guards):
            return False
    for expression in kernel.expressions:
        if expression.kind == "index" and expression.value == axis:
            return False
        guards = expression.access.guards if expression.access is not None else ()
        if expression.kind == "inside":
            guards = expression.value
        if any(guard.strides[axis] for guard in guards):
            return False
    return True


def _product(extents: tuple[int, ...]) -> float:
    result = 1.0
    for extent in extents:
        result *= extent
    return result


Region = tuple[str, int, int]
"""Memory that a kernel touches: a kind, and from where to where."""


class Hazards:
    """Finds where a kernel touches what another thread may still be working on.

    Args:
        schedule: the program.
        places: where buffers lie in the arena.
    """

    def __init__(self, schedule: Schedule, places: dict[int, int]) -> None:
        self._schedule = schedule
        self._places = places
        self._past: list[tuple[bool, list[Region], list[Region]]] = []

    def must_wait(self, kernel: Kernel, shared: bool) -> bool:
        """Whether all threads have to arrive before this kernel starts; it is then noted.

        Args:
            kernel: the next kernel.
            shared: whether all threads work on it; else the first one does alone.
        """
        mine = [self._region(number) for number in reads(kernel)]
        made = [self._region(number) for number in writes(kernel)]
        conflict = any(
            (shared or was_shared) and self._conflict(mine, made, read, written)
            for was_shared, read, written in self._past
        )
        if conflict:
            self.clear()
        self._past.append((shared, mine, made))
        return conflict

    def clear(self) -> None:
        """All threads have met."""
        self._past = []

    @property
    def pending(self) -> bool:
        """Whether anything was done since they met."""
        return bool(self._past)

    def _region(self, number: int) -> Region:
        place = self._places.get(number)
        size = self._schedule.buffers[number].bytes
        if place is not None:
            return "arena", place, place + size
        kind = "input" if self._schedule.buffers[number].kind == "input" else "other"
        return f"{kind} {number}", 0, size

    def _conflict(
        self, mine: list[Region], made: list[Region], read: list[Region], written: list[Region]
    ) -> bool:
        if _meet(mine, written) or _meet(made, written) or _meet(made, read):
            return True
        # An output may be written over an input of its size.
        sizes = {region[2] for region in read if region[0].startswith("input")}
        return any(region[0].startswith("other") and region[2] in sizes for region in made)


def _meet(first: list[Region], second: list[Region]) -> bool:
    return any(a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a in first for b in second)

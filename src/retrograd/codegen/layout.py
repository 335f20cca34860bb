"""Where the pointers of a program stand in its table, and its records as words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from ..ir.loops import Access, Body, Grid, Repeat, Schedule, aligned, reads, writes
from .table import ARENA, FIRST

Calls = list[str | int]
"""Functions by name, each followed by its own words up to what it calls."""


class Layout:
    """The table of a program, or that of an inner one.

    Args:
        schedule: the kernels.
        places: where buffers lie in the arena.
        body: the inner program that it is.
    """

    def __init__(
        self, schedule: Schedule, places: dict[int, int], body: Body | None = None
    ) -> None:
        self.schedule = schedule
        self.places = places
        self.slots: dict[int, int] = {-1: ARENA}
        self.size = FIRST
        used = set(schedule.outputs)  # memory that passes have spared has no place
        for kernel in schedule.kernels:
            used.update(reads(kernel), writes(kernel))
        for number, buffer in enumerate(schedule.buffers):
            spared = buffer.kind == "arena" and number not in used
            if number not in places and not spared and (body is None or buffer.kind != "constant"):
                self.slots[number] = self._next()
        # Constants of inner programs, of those inside of them too: whose, and which.
        self.constants: dict[tuple[int, int], int] = {}
        self.values: list[tuple[int, Any]] = []  # of these: slot and array
        for inner in chain([] if body is None else [body], find_bodies(schedule)):
            self._place_constants(inner)
        if body is not None:
            for (whose, number), slot in self.constants.items():
                if whose == id(body):
                    self.slots[number] = slot

    def _next(self) -> int:
        self.size += 1
        return self.size - 1

    def _place_constants(self, body: Body) -> None:
        for number, buffer in enumerate(body.schedule.buffers):
            if buffer.kind == "constant":
                slot = self.constants[id(body), number] = self._next()
                self.values.append((slot, buffer.value))

    def pointer(self, number: int, offset: int = 0) -> list[int]:
        """An element of a buffer: its slot and the offset, in bytes."""
        place = self.places.get(number)
        start = offset * self.schedule.buffers[number].dtype.itemsize
        return [8 * self.slots[-1 if place is not None else number], (place or 0) + start]

    def pointers(self, accesses: Sequence[Access]) -> list[int]:
        """The places of accesses, one after the other."""
        return [word for access in accesses for word in self.pointer(access.buffer, access.offset)]


class Records:
    """Records of a step, as words; addresses are filled in when the program is loaded.

    Args:
        layout: the table that they work on.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.words: list[int] = []
        self.links: list[tuple[int, str]] = []  # positions of addresses, and whose

    def add(self, calls: Calls, words: Sequence[int], looks: bool = False) -> None:
        """One record.

        Args:
            calls: what is called; what that one calls stands among its words, by name.
            words: what is given to the last one.
            looks: whether the status is looked at afterwards.
        """
        start = len(self.words)
        size = 8 * (1 + len(calls) + len(words))
        for order, call in enumerate(calls):
            if isinstance(call, str):
                self.links.append((start + order + (order > 0), call))
        self.words += [0, size + looks]
        self.words += [0 if isinstance(call, str) else call for call in calls[1:]]
        self.words += words


def encode_repeat(layout: Layout, kernel: Repeat, inner: Layout, start: int) -> list[int]:
    """The words of a loop around a program, as steps.py tells.

    Args:
        layout: the table of the program around it.
        kernel: the loop.
        inner: the table of the inner program.
        start: where its records begin among all words.
    """
    body = kernel.body
    room = layout.schedule.buffers[kernel.workspace].bytes // kernel.pieces
    moving: list[list[int]] = [[0, *layout.pointer(kernel.workspace), 0, room]]
    carried: list[list[int]] = []
    inputs = {
        buffer.position: (number, buffer.bytes)
        for number, buffer in enumerate(body.schedule.buffers)
        if buffer.kind == "input"
    }
    place = body.size
    for order, number in enumerate(kernel.inputs):
        own, size = inputs[order]
        piece = size if order in kernel.cut else 0
        slot = 8 * inner.slots[own]
        if kernel.constants <= order < kernel.constants + kernel.carry:
            carry = order - kernel.constants
            target = 8 * inner.slots[body.schedule.outputs[carry]]
            last = kernel.outputs[carry]
            bytes_ = aligned(size)
            slot_, near = layout.pointer(kernel.workspace)
            between = [slot_, near + place, slot_, near + place + bytes_]
            place += 2 * bytes_
            ends = [*layout.pointer(number), *layout.pointer(last)]
            carried.append([slot, target, *ends, *between, piece, room])
        else:
            whole = layout.schedule.buffers[number].bytes // kernel.length
            stride = 0 if order < kernel.constants else whole
            moving.append([slot, *layout.pointer(number), stride, piece])
    for order in range(kernel.carry, len(kernel.outputs)):
        own = body.schedule.outputs[order]
        target = kernel.outputs[order]
        stride = layout.schedule.buffers[target].bytes // kernel.length
        piece = body.schedule.buffers[own].bytes if kernel.pieces > 1 else 0
        moving.append([8 * inner.slots[own], *layout.pointer(target), stride, piece])
    for key, slot in inner.constants.items():
        moving.append([8 * slot, 8 * layout.constants[key], 0, 0, 0])
    head = [8 * start, kernel.length, int(kernel.reverse), inner.size, len(moving), len(carried)]
    head.append(kernel.pieces)
    return [*head, *(word for row in (*moving, *carried) for word in row)]


def encode_grid(layout: Layout, kernel: Grid, inner: Layout, start: int) -> list[int]:
    """The words of a program at every place of a grid, as steps.py tells.

    Args:
        layout: the table of the program around it.
        kernel: the grid.
        inner: the table of the inner program.
        start: where its records begin among all words.
    """
    schedule = kernel.body.schedule
    numbers = {b.position: n for n, b in enumerate(schedule.buffers) if b.kind == "input"}
    owns = [numbers[position] for position in range(len(kernel.inputs))] + schedule.outputs
    moving: list[list[int]] = []
    for own, access in zip(owns, (*kernel.inputs, *kernel.outputs), strict=True):
        size = layout.schedule.buffers[access.buffer].dtype.itemsize
        strides = [step * size for step in access.strides]
        place = layout.pointer(access.buffer, access.offset)
        moving.append([8 * inner.slots[own], *place, *strides])
    for key, slot in inner.constants.items():
        moving.append([8 * slot, 8 * layout.constants[key], 0, 0, 0])
    head = [8 * start, kernel.pieces, *kernel.extents, inner.size, len(moving)]
    head += [*layout.pointer(kernel.workspace), kernel.body.size]
    return [*head, *(word for row in moving for word in row)]


def encode_open(layout: Layout, kernel: Repeat, inner: Layout, start: int) -> list[int]:
    """The words of a loop whose number of steps is not known; see `encode_repeat`."""
    body = kernel.body
    inputs = {
        buffer.position: (number, buffer.bytes)
        for number, buffer in enumerate(body.schedule.buffers)
        if buffer.kind == "input"
    }
    fixed: list[list[int]] = [[0, *layout.pointer(kernel.workspace)]]
    carried: list[list[int]] = []
    workspace, place = layout.pointer(kernel.workspace)
    place += body.size
    for order, number in enumerate(kernel.inputs):
        own, size = inputs[order]
        slot = 8 * inner.slots[own]
        if order < kernel.constants:
            fixed.append([slot, *layout.pointer(number)])
            continue
        output = order - kernel.constants
        target = 8 * inner.slots[body.schedule.outputs[output]]
        ends = [*layout.pointer(number), *layout.pointer(kernel.outputs[output])]
        room = aligned(size)
        carried.append([slot, target, *ends, workspace, place, workspace, place + room, size])
        place += 2 * room
    for key, slot in inner.constants.items():
        fixed.append([8 * slot, 8 * layout.constants[key], 0])
    head = [8 * start, inner.size, len(fixed), len(carried)]
    return [*head, *(word for row in (*fixed, *carried) for word in row)]


def find_bodies(schedule: Schedule) -> Iterator[Body]:
    """All inner programs, each once, those inside of inner programs included."""
    seen: set[int] = set()
    waiting = [schedule]
    while waiting:
        for kernel in waiting.pop().kernels:
            if isinstance(kernel, (Repeat, Grid)) and id(kernel.body) not in seen:
                seen.add(id(kernel.body))
                waiting.append(kernel.body.schedule)
                yield kernel.body

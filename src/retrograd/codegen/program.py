"""Turns a program into records of its kernels, and the kernels that are new into LLVM text.

Kernels have names that follow from what they do: a kernel that any program of this process has
compiled, or that lies in the cache, is not written again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..ir.checks import can_fail
from ..ir.loops import Body, Callback, Grid, Kernel, Repeat, Schedule
from .clock import END, Clock
from .emit import Module
from .forms import Form, find_form
from .kernels import normalise
from .layout import Calls, Layout, Records, encode_grid, encode_open, encode_repeat
from .pieces import Hazards, Pieces, cut, is_worth_sharing


class ProgramWriter:
    """Writes the records of a program.

    Args:
        schedule: the kernels.
        places: where buffers lie in the arena.
        target: the CPU.
        clock: counts the ticks of each kernel, for a profile.
    """

    def __init__(
        self,
        schedule: Schedule,
        places: dict[int, int],
        target: Any,
        clock: Clock | None = None,
    ) -> None:
        self.target = target
        self.clock = clock
        self.schedule = schedule
        self.shared = is_worth_sharing(schedule)
        self.layout = Layout(schedule, places)
        self.slots, self.constants = self.layout.slots, self.layout.values
        self.callbacks: list[Callback] = []
        self.kernels: dict[str, Form] = {}  # by name
        self.words: list[int] = []
        self.links: dict[str, list[int]] = {}
        self._names: dict[tuple[Kernel, int | None], tuple[str, list[int]]] = {}
        self._bodies: dict[int, tuple[Layout, int]] = {}
        self.start = self._write()

    def text(self, names: Collection[str] | None = None) -> str:
        """The module of these kernels, or of all."""
        module = Module()
        for name, form in self.kernels.items():
            if names is None or name in names:
                module.functions.append(form.emit(name, self.target))
        return module.text()

    # -- records --------------------------------------------------------------------------------

    def _write(self) -> int:
        """The records of the step; gives where they begin."""
        records = Records(self.layout)
        hazards = Hazards(self.schedule, self.layout.places)
        alone: Calls = ["alone"] if self.shared else []
        if self.clock is not None:
            records.add([*alone, "begin"], [])
        for kernel in self.schedule.kernels:
            timed = self._time(kernel)
            if not self.shared:
                self._add_kernel(records, kernel, timed)
                continue
            pieces = cut(kernel)
            loop = isinstance(kernel, Repeat) and kernel.pieces > 1
            together = loop or pieces is not None or isinstance(kernel, Grid)
            if hazards.must_wait(kernel, shared=together):
                records.add([*self._time(kernel, waiting=True), "meet"], [])
            if loop:
                self._add_kernel(records, kernel, timed, shared=True)
            elif pieces is not None:
                self._add_pieces(records, pieces, timed)
            elif isinstance(kernel, Grid):
                self._add_grid(records, kernel, [*timed, "grid_shared"])
            else:
                self._add_kernel(records, kernel, [*timed, "alone"])
            if can_fail(kernel) or isinstance(kernel, (Callback, Repeat)):
                hazards.clear()  # threads meet to look at the status
        if self.shared:
            records.add([*self._time(None, waiting=True), "meet"], [])
        if self.clock is not None:
            records.add([*alone, "end"], [])
        return self._append(records)

    def _time(self, kernel: Kernel | None, waiting: bool = False) -> Calls:
        """What stands before a function whose ticks are counted in a profile.

        Args:
            kernel: whose time it is; None at the end of the step.
            waiting: whether it is time for which other threads are waited for.
        """
        if self.clock is None:
            return []
        place = END if kernel is None else self.clock.place_of(kernel, waiting)
        return ["timed_shared" if self.shared else "timed", place]

    def _append(self, records: Records) -> int:
        """Put the records behind those that are there; gives where they begin."""
        start = len(self.words)
        for position, name in records.links:
            self.links.setdefault(name, []).append(start + position)
        self.words += [*records.words, 0]
        return start

    def _add_kernel(
        self, records: Records, kernel: Kernel, before: Calls, shared: bool = False
    ) -> None:
        """The record of a whole kernel; `before` are the functions that call it."""
        layout = records.layout
        if isinstance(kernel, Callback):
            buffers = (*kernel.inputs, *kernel.outputs)
            words = [len(self.callbacks), len(buffers)]
            self.callbacks.append(kernel)
            for number in buffers:
                words += layout.pointer(number)
            records.add([*before, "call_python"], words, looks=True)
        elif isinstance(kernel, Repeat):
            inner, start = self._write_body(kernel.body)
            function, encode = "repeat_shared" if shared else "repeat", encode_repeat
            if kernel.open:
                function, encode = "repeat_open", encode_open
            calls = [*before]
            if kernel.condition is not None:
                number, expected = kernel.condition
                calls += ["when", *layout.pointer(number), int(expected)]
            calls.append(function)
            first = len(records.words) + 1 + len(calls)
            words = encode(layout, kernel, inner, start)
            records.add(calls, words, looks=True)
            records.links.append((first, ""))
        elif isinstance(kernel, Grid):
            self._add_grid(records, kernel, [*before, "grid"])
        else:
            normal, accesses = normalise(kernel)
            name, numbers = self._name(normal)
            words = [*layout.pointers(accesses), *numbers]
            records.add([*before, name], words, looks=can_fail(kernel))

    def _add_pieces(self, records: Records, pieces: Pieces, before: Calls) -> None:
        """The record of a kernel that threads share."""
        normal, accesses = normalise(pieces.kernel)
        name, numbers = self._name(normal, pieces.least)
        words = [*records.layout.pointers(accesses), *numbers]
        moves = [
            pieces.move(access) * self.schedule.buffers[access.buffer].dtype.itemsize
            for access in accesses
        ]
        place = 2 * len(accesses) if pieces.uneven else -1
        head = [pieces.count, pieces.units, pieces.unit, pieces.total, place]
        head += [len(accesses), len(words), *moves]
        looks = can_fail(pieces.kernel)
        records.add([*before, "share", name], [*head, *words], looks)

    def _add_grid(self, records: Records, kernel: Grid, calls: Calls) -> None:
        """The record of a program at every place of a grid."""
        inner, start = self._write_body(kernel.body)
        words = encode_grid(records.layout, kernel, inner, start)
        first = len(records.words) + 1 + len(calls)
        records.add(calls, words, looks=can_fail(kernel))
        records.links.append((first, ""))

    def _write_body(self, body: Body) -> tuple[Layout, int]:
        """The table of an inner program, and where its records begin."""
        if id(body) not in self._bodies:
            layout = Layout(body.schedule, body.places, body)
            records = Records(layout)
            for kernel in body.schedule.kernels:
                timed: Calls = []
                if self.clock is not None:
                    timed = ["timed", self.clock.place_of(kernel)]
                self._add_kernel(records, kernel, timed)
            self._bodies[id(body)] = layout, self._append(records)
        return self._bodies[id(body)]

    def _name(self, kernel: Kernel, least: int | None = None) -> tuple[str, list[int]]:
        """The name of a normalised kernel's function, and its numbers."""
        found = self._names.get((kernel, least))
        if found is None:
            form, numbers = find_form(kernel, self.target, least)
            name = form.name(self.target)
            self.kernels.setdefault(name, form)
            found = self._names[kernel, least] = name, numbers
        return found

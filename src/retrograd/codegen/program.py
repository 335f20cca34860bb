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
from .pieces import Hazards, Pieces, cut, is_shared, is_worth_sharing


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
        self._bodies: dict[tuple[int, bool], tuple[Layout, int]] = {}
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
        alone: Calls = ["alone"] if self.shared else []
        if self.clock is not None:
            records.add([*alone, "begin"], [])
        self._add_kernels(records, self.shared)
        if self.clock is not None:
            records.add([*alone, "end"], [])
        return self._append(records)

    def _add_kernels(self, records: Records, shared: bool) -> None:
        """The records of all kernels of a program; where threads share it, they meet at its end."""
        schedule = records.layout.schedule
        if not shared:
            for kernel in schedule.kernels:
                self._add_kernel(records, kernel, self._time(kernel))
            return
        hazards = Hazards(schedule, records.layout.places)
        for kernel in schedule.kernels:
            timed = self._time(kernel, shared)
            pieces = cut(kernel)
            together = pieces is not None or is_shared(kernel)
            if hazards.must_wait(kernel, shared=together):
                records.add([*self._time(kernel, shared, waiting=True), "meet"], [])
            if pieces is not None:
                self._add_pieces(records, pieces, timed)
            elif isinstance(kernel, Grid):
                self._add_grid(records, kernel, [*timed, "grid_shared"])
            elif together:
                self._add_kernel(records, kernel, timed, shared=True)
            else:
                self._add_kernel(records, kernel, [*timed, "alone"])
            if can_fail(kernel) or isinstance(kernel, (Callback, Repeat)):
                hazards.clear()  # threads meet to look at the status
        step = schedule is self.schedule
        if step or hazards.pending:  # else threads have just met to look at the status
            last = None if step else schedule.kernels[0]
            records.add([*self._time(last, shared, waiting=True), "meet"], [])

    def _time(self, kernel: Kernel | None, shared: bool = False, waiting: bool = False) -> Calls:
        """What stands before a function whose ticks are counted in a profile.

        Args:
            kernel: whose time it is; None at the end of the step.
            shared: whether threads share the program that it is in.
            waiting: whether it is time for which other threads are waited for.
        """
        if self.clock is None:
            return []
        place = END if kernel is None else self.clock.place_of(kernel, waiting)
        return ["timed_shared" if shared else "timed", place]

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
            self._add_loop(records, kernel, before, shared)
        elif isinstance(kernel, Grid):
            self._add_grid(records, kernel, [*before, "grid"])
        else:
            normal, accesses = normalise(kernel)
            name, numbers = self._name(normal)
            words = [*layout.pointers(accesses), *numbers]
            records.add([*before, name], words, looks=can_fail(kernel))

    def _add_loop(self, records: Records, kernel: Repeat, before: Calls, shared: bool) -> None:
        """The record of a loop around a program, or of a program that runs where a bool says so."""
        layout = records.layout
        together = shared and kernel.pieces == 1
        inner, start = self._write_body(kernel.body, together)
        function, encode = "repeat", encode_repeat
        if kernel.open:
            function, encode = "repeat_open", encode_open
        elif shared:
            function = "repeat_together" if together else "repeat_shared"
        calls = [*before]
        if kernel.condition is not None:
            number, expected = kernel.condition
            calls += ["when_shared" if shared else "when", *layout.pointer(number), int(expected)]
        calls.append(function)
        first = len(records.words) + 1 + len(calls)
        records.add(calls, encode(layout, kernel, inner, start), looks=True)
        records.links.append((first, ""))

    def _add_pieces(self, records: Records, pieces: Pieces, before: Calls) -> None:
        """The record of a kernel that threads share."""
        normal, accesses = normalise(pieces.kernel)
        name, numbers = self._name(normal, pieces.least)
        words = [*records.layout.pointers(accesses), *numbers]
        moves = [
            pieces.move(access) * records.layout.schedule.buffers[access.buffer].dtype.itemsize
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

    def _write_body(self, body: Body, shared: bool = False) -> tuple[Layout, int]:
        """The table of an inner program, and where its records begin."""
        key = (id(body), shared)
        if key not in self._bodies:
            layout = Layout(body.schedule, body.places, body)
            records = Records(layout)
            self._add_kernels(records, shared)
            self._bodies[key] = layout, self._append(records)
        return self._bodies[key]

    def _name(self, kernel: Kernel, least: int | None = None) -> tuple[str, list[int]]:
        """The name of a normalised kernel's function, and its numbers."""
        found = self._names.get((kernel, least))
        if found is None:
            form, numbers = find_form(kernel, self.target, least)
            name = form.name(self.target)
            self.kernels.setdefault(name, form)
            found = self._names[kernel, least] = name, numbers
        return found

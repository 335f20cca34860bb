"""Writes a whole program: the step that calls its kernels in order, and the loops inside.

The step gets one table of pointers: the arena, the buffers outside of it, the constants of inner
programs, the status, and the function that calls Python back. An inner program is a function of
that table and of one of its own: its part of the arena, its inputs and its outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..ir.loops import (
    Body,
    Callback,
    Kernel,
    Repeat,
    Schedule,
)
from .clock import END, STEP, Clock
from .emit import Function, Module
from .kernels import can_fail, emit_kernel, normalise
from .pieces import is_worth_sharing
from .shared_step import SharedStep


class Frame:
    """A function whose kernels work on the buffers of one Schedule.

    Args:
        function: where the text goes.
        schedule: the kernels.
        places: where buffers lie in the arena.
        slots: where the pointers to the other buffers are: (name of the table, position); that
            of the arena has the number -1.
    """

    def __init__(
        self,
        function: Function,
        schedule: Schedule,
        places: dict[int, int],
        slots: dict[int, tuple[str, int]],
    ) -> None:
        self.f = function
        self.schedule = schedule
        self.places = places
        self.slots = slots
        self._bases: dict[tuple[str, int], str] = {}

    def entry(self, table: str, position: int) -> str:
        """A pointer that a table holds."""
        place = self.f.emit(f"getelementptr ptr, ptr {table}, i64 {position}")
        return self.f.emit(f"load ptr, ptr {place}")

    def forget(self) -> None:
        """Load the pointers anew where they are used next."""
        self._bases.clear()

    def pointer(self, number: int, offset: int = 0) -> str:
        """The address of an element of a buffer."""
        place = self.places.get(number)
        slot = self.slots[-1 if place is not None else number]
        if slot not in self._bases:
            self._bases[slot] = self.entry(*slot)
        start = (place or 0) + offset * self.schedule.buffers[number].dtype.itemsize
        if not start:
            return self._bases[slot]
        return self.f.emit(f"getelementptr i8, ptr {self._bases[slot]}, i64 {start}")


class ProgramWriter:
    """Writes the module of a program.

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
        self.shared = is_worth_sharing(schedule)
        self.schedule = schedule
        self.places = places
        self.slots: dict[int, int] = {-1: 0}
        for number in range(len(schedule.buffers)):
            if number not in places:
                self.slots[number] = len(self.slots)
        self.constants: list[tuple[int, Any]] = []  # of inner programs: slot and array
        self._constant_slots: dict[tuple[int, int], int] = {}
        for body in find_bodies(schedule):
            for number, buffer in enumerate(body.schedule.buffers):
                if buffer.kind == "constant":
                    slot = len(self.slots) + len(self.constants)
                    self.constants.append((slot, buffer.value))
                    self._constant_slots[id(body), number] = slot
        self.status_slot = len(self.slots) + len(self.constants)
        self.callback_slot = self.status_slot + 1
        self.callbacks: list[Callback] = []
        self.known: dict[Any, str] = {}
        self._bodies: dict[int, str] = {}
        self._module = Module()

    def write(self) -> str:
        """The module's text; its function `step` takes the table and returns the status."""
        arguments = [("ptr", "%table")]
        if self.shared:
            arguments += [("i64", "%thread"), ("i64", "%threads"), ("ptr", "%team")]
        step = Function("step", arguments, result="i64")
        slots = {number: ("%table", slot) for number, slot in self.slots.items()}
        frame = Frame(step, self.schedule, self.places, slots)
        with self.timed(step):
            if self.shared:
                self._module.functions.append(SharedStep(self, frame).write())
            else:
                self.write_kernels(frame)
        if self.clock is not None:
            self._module.globals.append(self.clock.declare())
        step.do(f"ret i64 {step.emit('load i64, ptr %status')}")
        self._module.functions.append(step)
        return self._module.text()

    def write_kernels(self, frame: Frame) -> None:
        """The kernels one after the other, on one thread."""
        self.write_status(frame)
        for kernel in frame.schedule.kernels:
            with self.timed(frame.f, kernel):
                self.write_kernel(frame, kernel)
            if can_fail(kernel):
                stop_on_error(frame.f)

    def timed(
        self, f: Function, kernel: Kernel | None = None, waiting: bool = False
    ) -> AbstractContextManager[None]:
        """What is written inside is timed in a profile.

        Args:
            f: the function.
            kernel: whose time it is; None for the step itself.
            waiting: whether it is time for which other threads are waited for.
        """
        if self.clock is None:
            return nullcontext()
        place = END if waiting else STEP
        if kernel is not None:
            place = self.clock.place_of(kernel, waiting)
        # Inner programs are functions that one thread calls.
        thread = "%thread" if self.shared and "@step(" in f.header else None
        return self.clock.count(f, place, thread)

    def write_status(self, frame: Frame) -> None:
        """The address of the status."""
        frame.f.lines.append(f"  %status = getelementptr i64, ptr %table, i64 {self.status_slot}")

    def write_kernel(self, frame: Frame, kernel: Kernel) -> None:
        """The whole of a kernel."""
        if isinstance(kernel, Callback):
            self._write_callback(frame, kernel)
        elif isinstance(kernel, Repeat):
            self._write_repeat(frame, kernel)
        else:
            normal, accesses = normalise(kernel)
            pointers = [frame.pointer(access.buffer, access.offset) for access in accesses]
            self.call(frame.f, normal, pointers)

    def call(self, f: Function, normal: Kernel, pointers: list[str]) -> None:
        """Call the function of a normalised kernel."""
        listed = ", ".join(f"ptr {pointer}" for pointer in [*pointers, "%status"])
        f.do(f"call void @{self._name_of(normal)}({listed})")

    def _name_of(self, kernel: Kernel) -> str:
        """The function of a kernel; equal kernels share it."""
        name = self.known.get(kernel)
        if name is None:
            name = self.known[kernel] = f"kernel{len(self.known)}"
            self._module.functions.append(emit_kernel(kernel, name, self.target))
        return name

    def _write_callback(self, frame: Frame, kernel: Callback) -> None:
        """Call Python with the number of the callback and the addresses of its arrays."""
        f, number = frame.f, len(self.callbacks)
        self.callbacks.append(kernel)
        pointers = [frame.pointer(buffer) for buffer in (*kernel.inputs, *kernel.outputs)]
        listed = f.reserve(f"[{max(len(pointers), 1)} x ptr]")
        for order, pointer in enumerate(pointers):
            store_entry(f, listed, order, pointer)
        address = frame.entry("%table", self.callback_slot)
        f.do(f"call void {address}(i64 {number}, ptr {listed})")
        stop_on_error(f)

    # -- loops around programs ------------------------------------------------------------------

    def _write_repeat(self, frame: Frame, kernel: Repeat) -> None:
        """Call the body for every step, with its inputs and outputs in a table of its own."""
        f, body = frame.f, kernel.body
        name = self._name_of_body(body)
        count = len(kernel.inputs) + len(kernel.outputs)
        table = f.reserve(f"[{count + 1} x ptr]")
        workspace = frame.pointer(kernel.workspace)
        store_entry(f, table, 0, workspace)
        inputs = [frame.pointer(number) for number in kernel.inputs]
        outputs = [frame.pointer(number) for number in kernel.outputs]
        moving = kernel.constants + kernel.carry
        for order in range(kernel.constants):
            store_entry(f, table, 1 + order, inputs[order])
        carried = self._place_carry(frame, kernel, workspace)
        with f.loop("0", str(kernel.length), 1, "step") as step:
            at = f.emit(f"sub i64 {kernel.length - 1}, {step}") if kernel.reverse else step
            for order, (near, far) in enumerate(carried):
                place = kernel.constants + order
                self._write_carry(f, table, step, kernel, order, near, far, inputs[place], outputs)
            for order in range(moving, len(inputs)):
                size = body_bytes(body, "input", order)
                store_entry(f, table, 1 + order, _part(f, inputs[order], at, size))
            for order in range(kernel.carry, len(outputs)):
                size = body.schedule.buffers[body.schedule.outputs[order]].bytes
                slot = 1 + len(inputs) + order
                store_entry(f, table, slot, _part(f, outputs[order], at, size))
            f.do(f"call void @{name}(ptr %table, ptr {table})")
            stop_on_error(f)

    def _place_carry(self, frame: Frame, kernel: Repeat, workspace: str) -> list[tuple[str, str]]:
        """Two places for each carried value, behind the body's own part of the workspace."""
        start = kernel.body.size
        pairs = []
        for number in kernel.outputs[: kernel.carry]:
            pair = []
            for _ in range(2):
                pair.append(frame.f.emit(f"getelementptr i8, ptr {workspace}, i64 {start}"))
                start += aligned(frame.schedule.buffers[number].bytes)
            pairs.append((pair[0], pair[1]))
        return pairs

    def _write_carry(
        self,
        f: Function,
        table: str,
        step: str,
        kernel: Repeat,
        order: int,
        near: str,
        far: str,
        first: str,
        outputs: list[str],
    ) -> None:
        """Read where the step before wrote, write to the other place; the last step writes out."""
        odd = f.emit(f"trunc i64 {step} to i1")
        begins = f.emit(f"icmp eq i64 {step}, 0")
        ends = f.emit(f"icmp eq i64 {step}, {kernel.length - 1}")
        before = f.emit(f"select i1 {odd}, ptr {near}, ptr {far}")
        after = f.emit(f"select i1 {odd}, ptr {far}, ptr {near}")
        source = f.emit(f"select i1 {begins}, ptr {first}, ptr {before}")
        target = f.emit(f"select i1 {ends}, ptr {outputs[order]}, ptr {after}")
        store_entry(f, table, 1 + kernel.constants + order, source)
        store_entry(f, table, 1 + len(kernel.inputs) + order, target)

    def _name_of_body(self, body: Body) -> str:
        name = self._bodies.get(id(body))
        if name is not None:
            return name
        name = self._bodies[id(body)] = f"body{len(self._bodies)}"
        arguments = [("ptr", "%table"), ("ptr", "%own")]
        function = Function(name, arguments, linkage="internal")
        slots = {-1: ("%own", 0)}
        count = sum(buffer.kind == "input" for buffer in body.schedule.buffers)
        for number, buffer in enumerate(body.schedule.buffers):
            if buffer.kind == "input":
                slots[number] = ("%own", 1 + buffer.position)
            elif buffer.kind == "constant":
                slots[number] = ("%table", self._constant_slots[id(body), number])
        for order, number in enumerate(body.schedule.outputs):
            slots[number] = ("%own", 1 + count + order)
        self.write_kernels(Frame(function, body.schedule, body.places, slots))
        function.do("ret void")
        self._module.functions.append(function)
        return name


def stop_on_error(f: Function) -> None:
    """Return at once when a kernel has set the status: nothing may be changed after that."""
    status = f.emit("load i64, ptr %status")
    failed = f.emit(f"icmp ne i64 {status}, 0")
    with f.when(failed):
        f.do("ret void" if "define internal" in f.header else f"ret i64 {status}")
        f.block(f.new_label("unreachable"))


def _part(f: Function, base: str, step: str, size: int) -> str:
    """The address of one step of a sequence."""
    offset = f.emit(f"mul i64 {step}, {size}")
    return f.emit(f"getelementptr i8, ptr {base}, i64 {offset}")


def store_entry(f: Function, table: str, position: int, pointer: str) -> None:
    """Put a pointer into a table."""
    place = f.emit(f"getelementptr ptr, ptr {table}, i64 {position}")
    f.do(f"store ptr {pointer}, ptr {place}")


def aligned(size: int) -> int:
    """A number of bytes rounded up to whole cache lines; at least one."""
    return -(-max(size, 1) // 64) * 64


def body_bytes(body: Body, kind: str, position: int) -> int:
    """The bytes of an input of a body."""
    for buffer in body.schedule.buffers:
        if buffer.kind == kind and buffer.position == position:
            return buffer.bytes
    raise KeyError(position)


def find_bodies(schedule: Schedule) -> Iterator[Body]:
    """All inner programs, each once, those inside of inner programs included."""
    seen: set[int] = set()
    waiting = [schedule]
    while waiting:
        for kernel in waiting.pop().kernels:
            if isinstance(kernel, Repeat) and id(kernel.body) not in seen:
                seen.add(id(kernel.body))
                waiting.append(kernel.body.schedule)
                yield kernel.body

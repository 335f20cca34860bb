"""Many calls of a compiled function in one native call: the steps of an epoch.

What the function changes goes from step to step without coming back to Python: its memory is
written over where nobody else holds it and where the program has read the old value before;
otherwise two pieces of memory take turns. Results are kept for every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from .binding import Binding, list_replaced
from .codegen.series import Job
from .native import NativeProgram, OutOfRange
from .quick import find_address, is_alone, look
from .runtime.buffers import empty_state
from .staging import AMBIENT, Call
from .trace import Array

NumpyArray = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Feed:
    """An argument that is another batch of rows in each step.

    Args:
        batch: the argument: memory for one batch, (batch, ...).
        data: the rows, (samples, ...), contiguous, of the same dtype.
    """

    batch: Array
    data: NumpyArray


@dataclass(slots=True)
class Carry:
    """A value that goes from step to step.

    Args:
        number: the buffer of the program's output.
        inputs: the positions of the inputs that it replaces; of tied leaves it is one.
        places: where the Array stands in the caller's objects.
        ambient: the pieces of hidden state of the library that it is.
        in_place: whether the program may write it over what it replaces.
    """

    number: int
    inputs: list[int] = field(default_factory=list)
    places: list[tuple[Any, Any]] = field(default_factory=list)
    ambient: list[int] = field(default_factory=list)
    in_place: bool = False

    def current(self) -> Array:
        """The value before the first step."""
        if self.places:
            held, key = self.places[0]
            array: Array = held[key]
            return array
        return AMBIENT[self.ambient[0]].read()

    def take(self) -> tuple[Array, bool]:
        """The same, and whether nobody else holds the Array, so that it may be written over."""
        if not self.places or not self.in_place:
            return self.current(), False
        arrays, found = look(self.places[:1])
        return arrays[0], is_alone(found[0], len(self.places))

    def write(self, array: Array) -> None:
        """Put a new value into all places."""
        for held, key in self.places:
            array.owner = held[key].owner
            held[key] = array
        for index in self.ambient:
            AMBIENT[index].write(array)


@final
class Series:
    """A native program with the places of its state, to be run many times in one call.

    Args:
        program: the machine code.
        binding: the places of the arguments.
        call: the call, taken apart; its plain arguments keep their Arrays.
    """

    def __init__(self, program: NativeProgram, binding: Binding, call: Call) -> None:
        self.program = program
        self.binding = binding
        staged = binding.staged
        self._slot_of = {position: slot for slot, position in program.inputs}
        self._fixed: dict[int, Array] = {}
        self._held: dict[int, tuple[Any, Any]] = {}
        for position, (index, (place, key)) in enumerate(
            zip(staged.input_leaves, binding.sources, strict=True)
        ):
            if place is None:
                self._fixed[position] = call.leaves[index].as_array()
            else:
                self._held[position] = (place, key)
        own = len(staged.input_leaves)
        self._ambient = {own + order: index for order, index in enumerate(staged.ambient_inputs)}
        self.carries = self._find_carries()

    @staticmethod
    def can_run(program: NativeProgram, binding: Binding) -> bool:
        """Whether every change is a buffer of its own, and no result is one of them."""
        staged = binding.staged
        changed = set(staged.change_outputs) | {output for _, output in staged.ambient_outputs}
        kinds = [program.buffers[number].kind for number in program.outputs]
        if any(kinds[output] != "arena" for output in changed):
            return False
        numbers = {program.outputs[output] for output in changed}
        others = set(range(len(program.outputs))) - changed
        return all(kinds[o] != "input" and program.outputs[o] not in numbers for o in others)

    def _find_carries(self) -> list[Carry]:
        staged, program = self.binding.staged, self.program
        found: dict[int, Carry] = {}
        replaced: dict[int, set[int]] = {}
        outputs: dict[int, int] = {}
        for output, position in list_replaced(staged):
            replaced.setdefault(program.outputs[output], set()).add(position)
        for output, places in self.binding.targets.items():
            number = program.outputs[output]
            outputs[number] = output
            found.setdefault(number, Carry(number)).places += places
        for index, output in staged.ambient_outputs:
            number = program.outputs[output]
            outputs[number] = output
            found.setdefault(number, Carry(number)).ambient.append(index)
            for position, other in self._ambient.items():
                if other == index:
                    replaced.setdefault(number, set()).add(position)
        lifetimes = program.plan.lifetimes
        for number, carry in found.items():
            carry.inputs = sorted(replaced.get(number, ()))
            if len(carry.inputs) == 1:
                carry.in_place = bool(lifetimes.select([(carry.inputs[0], outputs[number])]))
        return list(found.values())

    def run(
        self, steps: int, feeds: Sequence[Feed], rows: NumpyArray | None, start: int, batch: int
    ) -> Any:
        """Run the program on batches one after the other.

        Args:
            steps: how many.
            feeds: the arguments that are batches.
            rows: the numbers of all rows, int64, in the order in which they are used; None as
                they lie. Each is a row of every feed.
            start: the position of the first row of the first batch.
            batch: the number of rows in a batch.

        Returns:
            The function's result, with an axis in front of each Array: the steps.

        Raises:
            IndexRangeError: an index is out of range; the steps before are done.
        """
        program = self.program
        job = Job(steps, batch)
        with program.lock:
            program.ready_for = None
            taken = [(carry, *carry.take()) for carry in self.carries]  # held until the end,
            inputs = self._list_inputs()  # as these are: their memory must stay
            made = [(c, self._place(c, array, alone, job)) for c, array, alone in taken]
            for position, array in inputs:
                job.set(self._slot_of.get(position), array.address or find_address(array))
            stacks = self._make_results(steps, job)
            for feed in feeds:
                self._feed(feed, rows is not None, start, job)
            if rows is not None:
                job.rows = rows.ctypes.data + start * rows.itemsize
            failed = False
            try:
                program.run_job(job)
            except OutOfRange:
                failed = True
            finally:
                for carry, memory in made:
                    if memory is not None:
                        carry.write(Array(memory[job.done % len(memory)]))
            if failed:
                raise program.explain(self._read_inputs(job, feeds, rows, start))
        staged = self.binding.staged
        outputs = [None if stack is None else stack[: job.done] for stack in stacks]
        return staged.rebuild(outputs)

    def _list_inputs(self) -> list[tuple[int, Array]]:
        """The Arrays that all steps read."""
        carried = {position for carry in self.carries for position in carry.inputs}
        found = list(self._fixed.items())
        found += [(position, held[key]) for position, (held, key) in self._held.items()]
        found += [(position, AMBIENT[index].read()) for position, index in self._ambient.items()]
        return [(position, array) for position, array in found if position not in carried]

    def _read_inputs(
        self, job: Job, feeds: Sequence[Feed], rows: NumpyArray | None, start: int
    ) -> list[NumpyArray]:
        """What the step that failed was given."""
        first = start + job.done * job.batch
        chosen = slice(first, first + job.batch)
        batches = {
            id(feed.batch): feed.data[chosen if rows is None else rows[chosen]] for feed in feeds
        }
        found = {p: batches.get(id(a), a.concrete()) for p, a in self._fixed.items()}
        found |= {p: held[key].concrete() for p, (held, key) in self._held.items()}
        found |= {p: AMBIENT[index].read().concrete() for p, index in self._ambient.items()}
        return [found[position] for position in range(len(found))]

    def _place(self, carry: Carry, array: Array, alone: bool, job: Job) -> list[NumpyArray] | None:
        """Memory for a carried value; None where it is written over."""
        slot = self.program.slots[carry.number]
        slots = [self._slot_of[position] for position in carry.inputs if position in self._slot_of]
        address = array.address or find_address(array)
        if alone and array.writable:
            for place in (slot, *slots):
                job.set(place, address)
            return None
        value = array.concrete()
        memory = [empty_state(value.shape, value.dtype)]
        memory[0][...] = value
        if not carry.in_place:
            memory.append(empty_state(value.shape, value.dtype))
        first, last = memory[0].ctypes.data, memory[-1].ctypes.data
        for source in slots:
            job.move(source, first, 0, last - first)
        job.move(slot, last, 0, first - last)
        return memory

    def _make_results(self, steps: int, job: Job) -> list[NumpyArray | None]:
        """Memory for the results of all steps; None for what is carried."""
        program = self.program
        carried = {carry.number for carry in self.carries}
        made: dict[int, NumpyArray] = {}
        for number in program.outputs:
            buffer = program.buffers[number]
            if number in carried or number in made:
                continue
            if buffer.kind == "constant":
                made[number] = np.broadcast_to(buffer.value, (steps, *buffer.shape))
                continue
            stack = made[number] = np.empty((steps, *buffer.shape), buffer.dtype)
            job.move(program.slots[number], stack.ctypes.data, buffer.bytes, 0)
        return [made.get(number) for number in program.outputs]

    def _feed(self, feed: Feed, gather: bool, start: int, job: Job) -> None:
        """Where the batches come from: copied together, or read where they lie."""
        size = feed.data[:1].nbytes
        for position, array in self._fixed.items():
            if array is not feed.batch:
                continue
            if gather:
                job.gather(feed.data.ctypes.data, array.address, size)
            else:
                address = feed.data.ctypes.data + start * size
                job.move(self._slot_of.get(position), address, size * job.batch, 0)

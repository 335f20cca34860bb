"""Native calls with the same objects again and again: pointers in a table, memory used again.

Where nobody else holds an Array that a step replaces, its memory is written over and the Array
stays the same object: nothing is allocated, nothing is written back.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from .native import NativeProgram, OutOfRange
from .runtime.buffers import empty_state, may_be_written
from .trace import Array

Place = tuple[Any, Any]
Found = list[tuple[int, int, int]]


def look(places: Sequence[Place]) -> tuple[list[Array], Found]:
    """The Array at each place; its address, the references to it and those to its memory.

    Whoever uses an address holds the Array until the end: another thread, or a signal handler,
    may put another one at its place, and memory that nobody holds is given back.
    """
    arrays = [held[key] for held, key in places]
    return arrays, [(a.address, getrefcount(a), getrefcount(a._value)) for a in arrays]


def _alone() -> tuple[int, int]:
    """The counts for an Array that stands in one place and nowhere else."""
    held = {"array": Array(np.zeros(1))}
    _, found = look([(held, "array")])
    return found[0][1:]


ALONE = _alone()


def is_alone(found: tuple[int, int, int], places: int) -> bool:
    """Whether an Array that stands in so many places is held by nobody else."""
    return found[1] == ALONE[0] + places - 1 and found[2] == ALONE[1]


class QuickCall:
    """A native program bound to the places of its inputs.

    Args:
        program: the machine code.
        sources: for each input the place where its Array stands; None for an argument.
        replaces: for each output that is a new value of an input, the position of that input.
        places: for each such output all places of the Array (several when it is tied).
    """

    def __init__(
        self,
        program: NativeProgram,
        sources: Sequence[Place | None],
        replaces: dict[int, int],
        places: dict[int, list[Place]],
    ) -> None:
        self.program = program
        self.mark = object()  # stands for this call, which the program must not keep alive
        safe = program.plan.lifetimes.select([(i, o) for o, i in replaces.items()])
        self.steady = {o: i for i, o in safe if sources[i] is not None}
        self.copies = {i: len(places[o]) for o, i in self.steady.items()}
        slot_of = {position: slot for slot, position in program.inputs}
        self.input_slots = [slot_of.get(position) for position in range(len(sources))]
        self.given = [position for position, place in enumerate(sources) if place is None]
        self.placed = [
            (position, place) for position, place in enumerate(sources) if place is not None
        ]
        self.places = [place for _, place in self.placed]
        self.fresh = [
            (position, number)
            for position, number in enumerate(program.outputs)
            if program.buffers[number].kind == "arena"
        ]
        self.others = [
            (position, program.buffers[number])
            for position, number in enumerate(program.outputs)
            if program.buffers[number].kind != "arena"
        ]
        # What the table of pointers is ready for: a call after which all that the program
        # replaces was written over, and stands where it stood.
        self.settled: list[tuple[int, int, int]] | None = None

    def run(self, arguments: Sequence[Array | None]) -> list[Array | None]:
        """Run with these Arrays for the inputs that are arguments.

        Returns:
            For each output a new Array, or None where the Array at its place was written over.
        """
        program = self.program
        with program.lock:
            arrays, found = look(self.places)
            for position in self.given:
                array = arguments[position]
                assert array is not None
                self._point(self.input_slots[position], array)
            results: list[Array | None] = [None] * len(program.outputs)
            ready = program.ready_for is self.mark and found == self.settled
            alone = self.steady if ready else self._settle(arrays, found)
            live: dict[int, Any] = {}
            made: dict[int, Array] = {}
            for position, number in self.fresh:
                if position in alone:
                    continue
                if number not in made:
                    buffer = program.buffers[number]
                    make = empty_state if position in self.steady else np.empty
                    value = live[number] = make(buffer.shape, buffer.dtype)
                    made[number] = Array(value)
                    program.table[program.slots[number]] = find_address(made[number])
                results[position] = made[number]
            try:
                program.execute(live)
            except OutOfRange:
                raise program.explain(self._read(arguments)) from None
            if self.others:
                values = self._read(arguments)
                for position, buffer in self.others:
                    source = buffer.value if buffer.kind == "constant" else values[buffer.position]
                    results[position] = Array(np.array(source))
        return results

    def _settle(self, arrays: Sequence[Array], found: Found) -> dict[int, int]:
        """Point at the inputs that stand in places, and at the outputs that are written over them.

        Returns:
            For each of those outputs the position of its input.
        """
        program, free = self.program, set()
        program.ready_for = None  # until all pointers are those of this call: it may be broken off
        addresses = {}
        for array, seen, (position, _) in zip(arrays, found, self.placed, strict=True):
            self._point(self.input_slots[position], array)
            if position in self.copies and is_alone(seen, self.copies[position]):
                if array.writable:
                    free.add(position)
            addresses[position] = array.address
        alone = {output: source for output, source in self.steady.items() if source in free}
        for output, source in alone.items():
            program.table[program.slots[program.outputs[output]]] = addresses[source]
        whole = len(alone) == len(self.steady)
        self.settled = (
            [(addresses[p], *seen[1:]) for seen, (p, _) in zip(found, self.placed)]
            if whole
            else None
        )
        program.ready_for = self.mark if whole else None
        return alone

    def _point(self, slot: int | None, array: Array) -> None:
        if slot is not None:
            self.program.table[slot] = array.address or find_address(array)

    def _read(self, arguments: Sequence[Array | None]) -> list[Any]:
        """The values of all inputs, as they are now."""
        found: list[Any] = list(arguments)
        for position, (held, key) in self.placed:
            found[position] = held[key]
        return [array.concrete() for array in found]


def find_address(array: Array) -> int:
    """The address of an Array's elements, which are brought into row-major order if need be."""
    if not array._value.flags.c_contiguous:
        array._value = np.ascontiguousarray(array._value)
        array._value.flags.writeable = False
    array.address = array._value.__array_interface__["data"][0]
    array.writable = may_be_written(array._value)
    return array.address

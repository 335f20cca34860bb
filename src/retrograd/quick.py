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
from .trace import Array

Place = tuple[Any, Any]


def count_references(held: Any, key: Any) -> tuple[int, int]:
    """How many references there are to the Array at a place, and to its memory, by our count."""
    array = held[key]
    return getrefcount(array), getrefcount(array._value)


def _alone() -> tuple[int, int]:
    """The counts for an Array that stands in one place and nowhere else."""
    held = {"array": Array(np.zeros(1))}
    return count_references(held, "array")


ALONE = _alone()


def expect_references(places: int) -> tuple[int, int]:
    """What `count_references` gives where an Array stands in so many places and nowhere else."""
    return ALONE[0] + places - 1, ALONE[1]


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
        safe = program.plan.lifetimes.select([(i, o) for o, i in replaces.items()])
        self.steady = {o: i for i, o in safe if sources[i] is not None}
        self.expected = {i: expect_references(len(places[o])) for o, i in self.steady.items()}
        slot_of = {position: slot for slot, position in program.inputs}
        self.input_slots = [slot_of.get(position) for position in range(len(sources))]
        self.sources = list(sources)
        outputs = program.outputs
        self.fresh = [
            (position, number)
            for position, number in enumerate(outputs)
            if program.buffers[number].kind == "arena"
        ]

    def run(self, arguments: Sequence[Array | None]) -> list[Array | None]:
        """Run with these Arrays for the inputs that are arguments.

        Returns:
            For each output a new Array, or None where the Array at its place was written over.
        """
        program = self.program
        table, buffers = program.table, program.buffers
        outputs = program.outputs
        with program.lock:
            alone: set[int] = set()
            held: list[Array] = []
            for position, place in enumerate(self.sources):
                if place is None:
                    array = arguments[position]
                    assert array is not None
                else:
                    wanted = self.expected.get(position)
                    if wanted is not None and count_references(*place) == wanted:
                        alone.add(position)
                    array = place[0][place[1]]
                slot = self.input_slots[position]
                if slot is not None:
                    address = array.address or find_address(array)
                    if table[slot] != address:
                        table[slot] = address
                held.append(array)
            results: list[Array | None] = [None] * len(outputs)
            live: dict[int, Any] = {}
            made: dict[int, Array] = {}
            for position, number in self.fresh:
                source = self.steady.get(position)
                slot = program.slots[number]
                if source is not None and source in alone and held[source].writable:
                    table[slot] = held[source].address
                    continue
                if number not in made:
                    value = np.empty(buffers[number].shape, buffers[number].dtype)
                    live[number] = value
                    made[number] = Array(value)
                    table[slot] = find_address(made[number])
                results[position] = made[number]
            try:
                program.execute(live)
            except OutOfRange:
                raise program.explain([array.concrete() for array in held]) from None
        for position, number in enumerate(outputs):
            buffer = buffers[number]
            if buffer.kind == "input":
                results[position] = Array(np.array(held[buffer.position]._value))
            elif buffer.kind == "constant":
                results[position] = Array(np.array(buffer.value))
        return results


def find_address(array: Array) -> int:
    """The address of an Array's elements, which are brought into row-major order if need be."""
    if not array._value.flags.c_contiguous:
        array._value = np.ascontiguousarray(array._value)
        array._value.flags.writeable = False
    array.address = array._value.__array_interface__["data"][0]
    array.writable = array._value.base is None and array._value.flags.owndata
    return array.address

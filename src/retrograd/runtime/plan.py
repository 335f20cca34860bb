"""What it takes to call a compiled program: memory, pointers, constants and callbacks.

A Plan can be written as bytes and read again: JSON with the bytes of constants behind it. Reading
executes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir import Node, Variable
from ..ir.lifetimes import Lifetimes
from ..ir.loops import Buffer, Callback
from ..ir.primitive import PRIMITIVES
from ..ir.types import DTYPES, ArrayType

NumpyArray = np.ndarray[Any, Any]

KINDS = ("input", "output", "constant", "arena")


class NotWritable(Exception):
    """A value has no form outside of this process."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A program as its caller sees it.

    Args:
        buffers: the memory that it works on.
        outputs: the buffers that are its results.
        places: where buffers lie in the arena, in bytes.
        size: the bytes of the arena.
        slots: where in the table the pointers to buffers are; that of the arena has number -1.
        constants: more arrays whose addresses stand in the table: (slot, array).
        callbacks: the nodes that run in Python.
        table_size: the words of the table.
        shared: whether several threads run the program together.
        lifetimes: when inputs and outputs are used.
        distinct: the number of different kernels.
        start: where the records of the step begin among the words.
        words: the records, with 0 or a place among the words in the place of addresses.
        links: the positions of addresses: of each function by its name, of words by "".
        libraries: the names of the libraries in which the kernels are.
    """

    buffers: list[Buffer]
    outputs: list[int]
    places: dict[int, int]
    size: int
    slots: dict[int, int]
    constants: list[tuple[int, NumpyArray]]
    callbacks: list[Callback]
    table_size: int
    shared: bool
    lifetimes: Lifetimes
    distinct: int
    start: int
    words: NumpyArray
    links: dict[str, list[int]]
    libraries: list[str]

    def link(self, addresses: dict[str, int]) -> NumpyArray:
        """The words with addresses in them; they must stay where they are.

        Args:
            addresses: of functions, by name.

        Raises:
            KeyError: a function is missing.
        """
        return link(self.words, self.links, addresses)

    def write(self, known: Sequence[NumpyArray]) -> bytes | None:
        """The plan as bytes; None if a callback has a parameter that cannot be written.

        Args:
            known: arrays that the reader will have too; they are named by their position.
        """
        store = _Arrays(known)
        try:
            fields = {
                "buffers": [
                    [b.dtype.name, b.shape, KINDS.index(b.kind), b.position, store.put(b.value)]
                    for b in self.buffers
                ],
                "outputs": self.outputs,
                "places": list(self.places.items()),
                "size": self.size,
                "slots": list(self.slots.items()),
                "constants": [
                    [slot, array.dtype.name, array.shape, store.put(array)]
                    for slot, array in self.constants
                ],
                "callbacks": [_write_node(callback.node) for callback in self.callbacks],
                "table_size": self.table_size,
                "shared": self.shared,
                "inputs_read": self.lifetimes.inputs,
                "outputs_made": self.lifetimes.outputs,
                "matched": sorted(self.lifetimes.matched),
                "distinct": self.distinct,
                "start": self.start,
                "words": [self.words.dtype.name, self.words.shape, store.put(self.words)],
                "links": self.links,
                "libraries": self.libraries,
            }
        except NotWritable:
            return None
        text = json.dumps(fields, separators=(",", ":")).encode()
        return len(text).to_bytes(8, "little") + text + b"".join(store.parts)


def link(words: NumpyArray, links: dict[str, list[int]], addresses: dict[str, int]) -> NumpyArray:
    """A copy of records in which addresses stand; see `Plan.link`."""
    linked = words.copy()
    for name, positions in links.items():
        if name:
            linked[positions] = addresses[name]
        else:
            linked[positions] += linked.ctypes.data
    return linked


def read_plan(content: bytes, known: Sequence[NumpyArray]) -> Plan:
    """The plan, from what `Plan.write` gave.

    Raises:
        ValueError, KeyError, IndexError, TypeError: the content is something else.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    fields = json.loads(content[8:start])
    raw = content[start:]

    def get(dtype: str, shape: Sequence[int], place: Any) -> NumpyArray:
        return _get(known, raw, DTYPES[dtype], tuple(shape), place)

    buffers = [
        Buffer(
            DTYPES[dtype],
            tuple(shape),
            KINDS[kind],
            position,
            None if place is None else get(dtype, shape, place),
        )
        for dtype, shape, kind, position, place in fields["buffers"]
    ]
    lifetimes = Lifetimes(
        tuple(None if pair is None else tuple(pair) for pair in fields["inputs_read"]),
        tuple(None if pair is None else tuple(pair) for pair in fields["outputs_made"]),
        frozenset((source, target) for source, target in fields["matched"]),
    )
    return Plan(
        buffers=buffers,
        outputs=fields["outputs"],
        places=dict(fields["places"]),
        size=fields["size"],
        slots=dict(fields["slots"]),
        constants=[(slot, get(*rest)) for slot, *rest in fields["constants"]],
        callbacks=[Callback(_read_node(node), (), ()) for node in fields["callbacks"]],
        table_size=fields["table_size"],
        shared=fields["shared"],
        lifetimes=lifetimes,
        distinct=fields["distinct"],
        start=fields["start"],
        words=get(*fields["words"]),
        links={str(name): list(map(int, places)) for name, places in fields["links"].items()},
        libraries=fields["libraries"],
    )


# -- arrays -------------------------------------------------------------------------------------


class _Arrays:
    """Arrays as places: [position among the known ones], [bytes of all elements], or
    [start, size] in the bytes that follow the JSON."""

    def __init__(self, known: Sequence[NumpyArray]) -> None:
        self.parts: list[bytes] = []
        self._size = 0
        self._known = {id(array): position for position, array in enumerate(known)}

    def put(self, array: NumpyArray | None) -> list[Any] | None:
        if array is None:
            return None
        if id(array) in self._known:
            return [self._known[id(array)]]
        raw = np.ascontiguousarray(array).reshape(-1)
        if raw.size > 1:
            bits = raw.view(np.uint8).reshape(raw.size, raw.itemsize)
            if (bits == bits[0]).all():
                return [bits[0].tobytes().hex()]
        content = raw.tobytes()
        self.parts.append(content)
        self._size += len(content)
        return [self._size - len(content), len(content)]


def _get(
    known: Sequence[NumpyArray],
    raw: bytes,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    place: Sequence[Any],
) -> NumpyArray:
    if len(place) == 2:
        start, size = place
        array = np.frombuffer(raw[start : start + size], dtype).reshape(shape).copy()
    elif isinstance(place[0], str):
        array = np.empty(shape, dtype)
        array[...] = np.frombuffer(bytes.fromhex(place[0]), dtype)[0]
    else:
        array = np.asarray(known[place[0]], order="C")
        if array.dtype != dtype or array.shape != shape:
            raise ValueError("a constant of another type")
    array.flags.writeable = False
    return array


# -- callbacks ----------------------------------------------------------------------------------


def _write_node(node: Node) -> list[Any]:
    types = [[(a.type.dtype.name, a.type.shape) for a in atoms] for atoms in _sides(node)]
    parameters = {key: _write_parameter(value) for key, value in node.parameters.items()}
    return [node.primitive.name, *types, parameters]


def _sides(node: Node) -> tuple[Sequence[Any], Sequence[Any]]:
    return node.inputs, node.outputs


def _read_node(fields: Sequence[Any]) -> Node:
    name, inputs, outputs, parameters = fields
    sides = [
        tuple(Variable(ArrayType(DTYPES[dtype], tuple(shape))) for dtype, shape in side)
        for side in (inputs, outputs)
    ]
    read = {key: _read_parameter(value) for key, value in parameters.items()}
    return Node(PRIMITIVES[name], sides[0], read, sides[1])


def _write_parameter(value: Any) -> Any:
    """Plain values as they are; tuples and dtypes as lists with a word for what they are."""
    if type(value) in (bool, int, float, str, type(None)):
        return value
    if type(value) is tuple:
        return ["tuple", *(_write_parameter(item) for item in value)]
    if isinstance(value, np.dtype) and DTYPES.get(value.name) == value:
        return ["dtype", value.name]
    raise NotWritable(type(value).__name__)


def _read_parameter(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    kind, *items = value
    if kind == "dtype":
        return DTYPES[items[0]]
    return tuple(_read_parameter(item) for item in items)

"""What is remembered of a call, so that the next one with the same objects is quick.

Taking Modules and Optimizers apart at each call costs more than a small training step. A Binding
keeps the places (dict and key) of all their Arrays. It is valid as long as the structure of the
objects is the same: they count the changes of their attributes, and the identities of what their
lists and dicts hold are compared.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .held import Program
from .staging import Call, Staged, find_place
from .staging.describe import array_from_number, array_from_numpy
from .trace import Array
from .tree import Stateful

PLAIN = (bool, str, type(None))


def make_key(arguments: Sequence[Any], keywords: dict[str, Any]) -> tuple[Any, ...] | None:
    """What identifies a call quickly; None for arguments that need the long way."""
    if keywords:
        return None
    parts: list[Any] = []
    for value in arguments:
        kind = type(value)
        if kind is Array:
            concrete = value._value
            parts.append((Array, concrete.dtype, concrete.shape))
        elif kind is np.ndarray:
            parts.append((kind, value.dtype, value.shape))
        elif kind is float or kind is int:
            parts.append(kind)
        elif isinstance(value, Stateful):
            parts.append(id(value))
        elif kind in PLAIN:
            parts.append((kind, value))
        else:
            return None
    return tuple(parts)


class Binding:
    """The places of all inputs and changes of one call.

    Args:
        call: the call, taken apart.
        program: what runs it.
        arguments: the positional arguments.
        forget: called when an object of the call is gone.
    """

    def __init__(
        self,
        call: Call,
        program: Program,
        arguments: Sequence[Any],
        forget: Callable[[], None],
    ) -> None:
        self.program = program
        self.staged = staged = program.staged
        self.execute = program.execute
        self.quick: Any = None
        self.roots = [
            (position, weakref.ref(value, lambda _: forget()))
            for position, value in enumerate(arguments)
            if isinstance(value, Stateful)
        ]
        objects = call.description.objects
        self.versions = [(o.__dict__, o.__dict__.get("_version")) for o in objects]
        self.containers = [(c, _identities(c)) for c in call.description.containers]
        self.sources: list[tuple[Any, Any]] = []
        for index in staged.input_leaves:
            leaf = call.leaves[index]
            if leaf.in_object:
                assert leaf.place is not None
                self.sources.append(leaf.place)
            else:
                self.sources.append((None, leaf.argument))
        self.targets: dict[int, list[tuple[Any, Any]]] = {}
        for change, output in zip(staged.changes, staged.change_outputs, strict=True):
            place = find_place(objects[change.object], change)
            assert place is not None
            self.targets.setdefault(output, []).append(place)

    @staticmethod
    def can_bind(call: Call, staged: Staged) -> bool:
        """Whether a call can be told from its key, and its leaves have places."""
        plain = all(template[0] != "container" for template in call.arguments)
        return plain and Binding.has_places(call, staged)

    @staticmethod
    def has_places(call: Call, staged: Staged) -> bool:
        """Whether every leaf in an object has a place, and nothing else changes."""
        if staged.static_changes or staged.captured or call.keywords:
            return False
        for leaf in call.leaves:
            if leaf.in_object and leaf.place is None:
                return False
            if not leaf.in_object and not isinstance(leaf.argument, int):
                return False
        objects = call.description.objects
        return all(find_place(objects[c.object], c) is not None for c in staged.changes)

    def bind_native(self, program: Any) -> None:
        """Let a native program use the memory of the Arrays directly."""
        from .quick import QuickCall

        replaces = find_replaced(self.staged)
        sources: list[Any] = [
            None if place is None else (place, key) for place, key in self.sources
        ]
        sources += [None] * len(self.staged.ambient_inputs)
        self.quick = QuickCall(program, sources, replaces, self.targets)

    def run_quick(self, arguments: Sequence[Any], ambient: Sequence[Array]) -> list[Any]:
        """Run the native program; outputs are None where an Array was written over."""
        given = [
            _as_array(arguments[key]) if place is None else None for place, key in self.sources
        ]
        return self.quick.run([*given, *ambient])

    def is_valid(self, arguments: Sequence[Any]) -> bool:
        """Whether the objects are the same and have the structure that they had."""
        for position, reference in self.roots:
            if reference() is not arguments[position]:
                return False
        for attributes, version in self.versions:
            if attributes.get("_version") != version:
                return False
        return all(_identities(held) == identities for held, identities in self.containers)

    def read(self, arguments: Sequence[Any]) -> list[Any]:
        """The values of the inputs as NumPy arrays, in order."""
        return [
            (_as_array(arguments[key]) if place is None else place[key]).concrete()
            for place, key in self.sources
        ]

    def write(self, output: int, array: Array) -> None:
        """Put a changed Array into all its places."""
        for place, key in self.targets[output]:
            array.owner = place[key].owner
            place[key] = array


def list_replaced(staged: Staged) -> Iterator[tuple[int, int]]:
    """Each output that is the new value of an input, with the position of that input."""
    order = {leaf: position for position, leaf in enumerate(staged.input_leaves)}
    for change, output in zip(staged.changes, staged.change_outputs, strict=True):
        if change.leaf in order:
            yield output, order[change.leaf]


def find_replaced(staged: Staged) -> dict[int, int]:
    """For each output that is the new value of one input, the position of that input."""
    replaced: dict[int, set[int]] = {}
    for output, position in list_replaced(staged):
        replaced.setdefault(output, set()).add(position)
    # A value that takes the place of several leaves cannot be written over one of them.
    return {output: min(found) for output, found in replaced.items() if len(found) == 1}


def _as_array(value: Any) -> Array:
    """An argument as an Array; the caller's NumPy array stays writable."""
    if type(value) is Array:
        return value
    if type(value) is np.ndarray:
        if not value.dtype.isnative:
            return array_from_numpy(value)
        return Array(value.view())
    return array_from_number(value)


def _identities(held: Any) -> tuple[Any, ...]:
    """What a list or dict holds; Arrays count by their type, as steps replace them."""
    if isinstance(held, dict):
        return (tuple(held), _identities(list(held.values())))
    return tuple([value.type if type(value) is Array else id(value) for value in held])

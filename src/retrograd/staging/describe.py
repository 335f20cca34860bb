"""Takes the arguments of a call apart: templates, leaves and stateful objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError
from ..ir import ArrayType, as_dtype
from ..ir.types import DTYPES, float64, int64
from ..trace import Array, Tracer
from ..tree import Container, Keys, Stateful, join_path, open_container

Template = tuple[Any, ...]


class Static:
    """A value that is part of the program, compared when a program is looked up."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Static):
            return NotImplemented
        if self.value is other.value:
            return True
        if type(self.value) is not type(other.value):
            return False
        if isinstance(self.value, (np.ndarray, Array)):
            return False
        try:
            return bool(self.value == other.value)
        except Exception:
            return False

    def __hash__(self) -> int:
        try:
            return hash(self.value)
        except TypeError:
            return hash(type(self.value))

    def __repr__(self) -> str:
        return repr(self.value)


Place = tuple[Any, Any]
"""A dict or list, and the key or index of a value in it."""


@dataclass(slots=True)
class Leaf:
    """A value in the arguments that can be an input of the program."""

    value: Any
    path: str
    kind: str  # "array", "ndarray" or "number"
    in_object: bool
    trainable: bool
    argument: int | str
    place: Place | None = None  # where it stands inside an object

    def as_array(self) -> Array:
        """The leaf as an Array (a Python number as a 0-d float64 or int64)."""
        if self.kind == "array":
            return self.value
        if self.kind == "ndarray":
            return array_from_numpy(self.value)
        return array_from_number(self.value)


def array_from_number(value: int | float) -> Array:
    """A Python number as a 0-d float64 or int64."""
    try:
        return Array(np.array(value, float64 if isinstance(value, float) else int64))
    except OverflowError:
        raise ArgumentTypeError(
            f"The whole number {value} does not fit into 64 bits.", fix="pass a float"
        ) from None


def array_from_numpy(value: Any) -> Array:
    """A NumPy array as an Array of its dtype, a supported one, in this machine's byte order."""
    if value.dtype.name not in DTYPES:
        as_dtype(value.dtype)
    return Array(np.array(value, value.dtype.newbyteorder("=")))


class Description:
    """The arguments of a call, taken apart: templates, leaves and stateful objects."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.objects: list[Stateful] = []
        self.object_paths: list[str] = []
        self.containers: list[Any] = []  # the dicts and lists inside of objects
        self.orders: list[tuple[Any, ...]] = []  # of the keys of each dict, as it is iterated
        self._object_index: dict[int, int] = {}
        self._tied: dict[int, int] = {}

    def visit(
        self,
        value: Any,
        path: str,
        argument: int | str,
        inside: bool,
        trainable: bool,
        place: Place | None = None,
    ) -> Template:
        """The template of a value; its leaves and objects are collected."""
        if isinstance(value, Array):
            if isinstance(value, Tracer):
                value.recorder.check_alive()
            if inside and id(value) in self._tied:
                return ("leaf", self._tied[id(value)])
            leaf = Leaf(value, path, "array", inside, trainable, argument)
            leaf.place = place
            index = self._add_leaf(leaf)
            if inside:
                self._tied[id(value)] = index
            return ("leaf", index)
        if isinstance(value, Stateful):
            return self._visit_object(value, path, argument)
        if not inside:
            if isinstance(value, (np.ndarray, np.generic)):
                array = np.asarray(value)
                leaf = Leaf(array, path, "ndarray", False, True, argument)
                return ("leaf", self._add_leaf(leaf))
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return ("leaf", self._add_leaf(Leaf(value, path, "number", False, True, argument)))
        container = open_container(value)
        if container is None:
            return ("static", Static(value))
        keys = _keys_of(container)
        if isinstance(keys, Keys):
            self.orders.append(keys.order)
        if inside and keys is not None:
            self.containers.append(value)
        children = tuple(
            self.visit(
                child,
                join_path(path, name),
                argument,
                inside,
                trainable,
                None if keys is None else (value, keys[order]),
            )
            for order, (name, child) in enumerate(
                zip(container.names, container.children, strict=True)
            )
        )
        return ("container", container.kind, children)

    def _add_leaf(self, leaf: Leaf) -> int:
        self.leaves.append(leaf)
        return len(self.leaves) - 1

    def _visit_object(self, value: Stateful, path: str, argument: int | str) -> Template:
        known = self._object_index.get(id(value))
        if known is not None:
            return ("seen", known)
        index = self.register(value, path)
        attributes = tuple(
            (
                name,
                self.visit(
                    item, join_path(path, name), argument, True, trainable, (value.__dict__, name)
                ),
            )
            for name, item, trainable in value.state_items()
        )
        return ("object", index, type(value), attributes)

    def register(self, value: Stateful, path: str) -> int:
        index = len(self.objects)
        self.objects.append(value)
        self.object_paths.append(path)
        self._object_index[id(value)] = index
        return index


def _keys_of(container: Container) -> Sequence[Any] | None:
    """The keys or indices of a container whose values can be replaced; None for a tuple."""
    form = container.kind[0]
    if form == "dict":
        return container.kind[2]
    return range(len(container.children)) if form == "list" else None


@dataclass(slots=True)
class Call:
    """One call of a transformed function, taken apart."""

    description: Description
    arguments: tuple[Template, ...]
    keywords: tuple[tuple[str, Template], ...]

    @property
    def leaves(self) -> list[Leaf]:
        return self.description.leaves

    def key(self) -> tuple[Any, ...]:
        """What a program depends on: the structure and the type of every leaf."""
        types = tuple(
            (type(leaf.value),)
            if leaf.kind == "number"
            else (leaf.kind, leaf.value.type if leaf.kind == "array" else _type_of(leaf.value))
            for leaf in self.leaves
        )
        return (self.arguments, self.keywords, types, tuple(self.description.orders))


def _type_of(value: Any) -> ArrayType:
    return ArrayType(value.dtype, value.shape)


def describe(arguments: Sequence[Any], keywords: dict[str, Any], names: Sequence[str] = ()) -> Call:
    """Take the arguments of a call apart.

    Args:
        arguments: positional arguments.
        keywords: keyword arguments.
        names: the parameter names of the function, for paths in messages and programs.
    """
    description = Description()
    objects = sum(
        isinstance(value, Stateful) and value.describe_path("x") == ""
        for value in {id(v): v for v in (*arguments, *keywords.values())}.values()
    )

    def root(value: Any, name: str) -> str:
        if isinstance(value, Stateful) and objects == 1:
            return value.describe_path(name)
        return name

    templates = []
    for position, value in enumerate(arguments):
        name = names[position] if position < len(names) else str(position)
        templates.append(description.visit(value, root(value, name), position, False, True))
    named = tuple(
        (name, description.visit(keywords[name], root(keywords[name], name), name, False, True))
        for name in sorted(keywords)
    )
    return Call(description, tuple(templates), named)

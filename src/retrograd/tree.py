"""Nested parameters: flatten, unflatten and map over dicts, lists, tuples and dataclasses.

A tree is any nesting of dicts, lists, tuples, named tuples and dataclass instances. None is a
tree without leaves. Everything else is a leaf. `Stateful` objects (Modules, Optimizers, random
generators) are leaves here; the transforms look inside them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from .errors import ArgumentError

__all__ = ["Stateful", "flatten", "leaves", "map", "paths", "unflatten"]


class Stateful:
    """An object with an identity whose attributes hold Arrays that functions may change.

    Transforms trace a structural copy of it and write the changes back once.
    """

    def state_items(self) -> list[tuple[str, Any, bool]]:
        """All attributes, as (name, value, whether its floating Arrays are trainable)."""
        raise NotImplementedError

    def describe_path(self, name: str) -> str:
        """The path of this object when it is the argument `name` of a transformed function."""
        return name

    def check_owner(self, model: Any) -> None:
        """An error if what this object holds belongs to another Module."""

    def set_owner(self, model: Any) -> None:
        """Say which Module what this object holds belongs to."""

    def row_tables(self) -> dict[str, int | None]:
        """The attributes whose gradient is a RowGradient, and a row of each that has none."""
        return {}


class Keys(tuple[Any, ...]):
    """The keys of a dict, sorted; `order` is that of the dict itself, which no comparison sees.

    So two dicts with the same keys are one structure, and a rebuilt dict is iterated like the
    first: layers that are kept in a dict are called in the order in which they were written.
    """

    order: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """One opened container: what it is (hashable), the names of its parts, and the parts."""

    kind: tuple[Any, ...]
    names: tuple[str, ...]
    children: tuple[Any, ...]


def open_container(value: Any) -> Container | None:
    """The parts of a dict, list, tuple, dataclass or None; None itself if `value` is a leaf."""
    if value is None:
        return Container(("none",), (), ())
    if isinstance(value, dict):
        order = tuple(value)
        keys = Keys(sorted(order) if all(isinstance(key, str) for key in order) else order)
        keys.order = order
        return Container(
            ("dict", type(value), keys),
            tuple(str(key) for key in keys),
            tuple(value[key] for key in keys),
        )
    if isinstance(value, list):
        return Container(("list", type(value)), _numbers(len(value)), tuple(value))
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None) or _numbers(len(value))
        return Container(("tuple", type(value), len(value)), tuple(names), tuple(value))
    if (
        dataclasses.is_dataclass(value)
        and not isinstance(value, type)
        and not isinstance(value, Stateful)
    ):
        names = tuple(field.name for field in dataclasses.fields(value))
        children = tuple(getattr(value, name) for name in names)
        return Container(("dataclass", type(value), names), names, children)
    return None


def rebuild_container(kind: tuple[Any, ...], children: Sequence[Any]) -> Any:
    """The container of this kind with other parts."""
    form = kind[0]
    if form == "none":
        return None
    if form == "dict":
        parts = dict(zip(kind[2], children, strict=True))
        built = {key: parts[key] for key in kind[2].order}
        return built if kind[1] is dict else kind[1](built)
    if form == "list":
        return list(children) if kind[1] is list else kind[1](children)
    if form == "tuple":
        if kind[1] is tuple:
            return tuple(children)
        if hasattr(kind[1], "_fields"):
            return kind[1](*children)
        return kind[1](children)
    instance = object.__new__(kind[1])
    for name, child in zip(kind[2], children, strict=True):
        object.__setattr__(instance, name, child)
    return instance


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(index) for index in range(count))


@dataclasses.dataclass(frozen=True, slots=True)
class Structure:
    """The shape of a tree without its leaves. Hashable; equal for trees of the same form."""

    kind: tuple[Any, ...] | None
    children: tuple[Structure, ...] = ()
    count: int = 1


LEAF = Structure(None)
IsLeaf = Callable[[Any], bool]


def flatten(tree: Any, is_leaf: IsLeaf | None = None) -> tuple[list[Any], Structure]:
    """The leaves of a tree, in order, and its structure.

    Args:
        tree: nested dicts (by sorted key), lists, tuples, dataclasses.
        is_leaf: containers for which it is true are leaves.

    Returns:
        `(leaves, structure)`, such that `unflatten(structure, leaves)` gives an equal tree.

    Example:
        >>> from retrograd import tree
        >>> tree.flatten({"b": 1, "a": [2, 3]})[0]
        [2, 3, 1]
    """
    collected: list[Any] = []
    structure = _flatten_into(tree, collected, is_leaf)
    return collected, structure


def _flatten_into(tree: Any, collected: list[Any], is_leaf: IsLeaf | None) -> Structure:
    container = None if is_leaf is not None and is_leaf(tree) else open_container(tree)
    if container is None:
        collected.append(tree)
        return LEAF
    before = len(collected)
    children = tuple(_flatten_into(child, collected, is_leaf) for child in container.children)
    return Structure(container.kind, children, len(collected) - before)


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree, in order.

    Example:
        >>> from retrograd import tree
        >>> tree.leaves({"b": 1, "a": (2, None)})
        [2, 1]
    """
    return flatten(tree)[0]


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """The tree of this structure with these leaves.

    Raises:
        ArgumentError: the number of leaves is not the structure's.

    Example:
        >>> from retrograd import tree
        >>> structure = tree.flatten({"a": 1, "b": 2})[1]
        >>> tree.unflatten(structure, [10, 20])
        {'a': 10, 'b': 20}
    """
    if len(leaves) != structure.count:
        raise ArgumentError(f"The tree has {structure.count} leaves, received {len(leaves)}.")
    return _build(structure, list(leaves), 0)


def _build(structure: Structure, values: list[Any], start: int) -> Any:
    if structure.kind is None:
        return values[start]
    children = []
    for child in structure.children:
        children.append(_build(child, values, start))
        start += child.count
    return rebuild_container(structure.kind, children)


def map(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """The tree with `function` applied to each leaf (and to the same leaf of further trees).

    Raises:
        ArgumentError: the trees do not have the same structure.

    Example:
        >>> from retrograd import tree
        >>> tree.map(lambda a, b: a + b, {"w": 1}, {"w": 2})
        {'w': 3}
    """
    first, structure = flatten(tree)
    columns = [first]
    for position, other in enumerate(rest, start=2):
        other_leaves, other_structure = flatten(other)
        if other_structure != structure:
            raise ArgumentError(
                f"Tree {position} does not have the structure of the first: "
                f"its leaves are {paths(other)}, those of the first {paths(tree)}."
            )
        columns.append(other_leaves)
    return unflatten(structure, [function(*row) for row in zip(*columns, strict=True)])


def paths(tree: Any, is_leaf: IsLeaf | None = None) -> list[str]:
    """The path of each leaf, its parts joined by dots; `is_leaf` as for `flatten`.

    Example:
        >>> from retrograd import tree
        >>> tree.paths({"layers": [{"weight": 1}, {"weight": 2}]})
        ['layers.0.weight', 'layers.1.weight']
    """
    collected: list[str] = []

    def visit(value: Any, path: str) -> None:
        container = None if is_leaf is not None and is_leaf(value) else open_container(value)
        if container is None:
            collected.append(path)
            return
        for name, child in zip(container.names, container.children, strict=True):
            visit(child, join_path(path, name))

    visit(tree, "")
    return collected


def join_path(path: str, name: str) -> str:
    """`path.name`, or `name` at the root."""
    return f"{path}.{name}" if path else name

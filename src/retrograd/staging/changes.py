"""Copies of stateful objects, what a function changed in them, and how it is written back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import StateError
from ..trace import Array
from ..tree import Stateful, join_path, open_container, rebuild_container
from .describe import Call, Description, Place, Template


class Builder:
    """Builds the copies that a function is traced with."""

    def __init__(self, description: Description, values: Sequence[Any], level: int) -> None:
        self.values = values
        self.paths = description.object_paths
        self.level = level
        self.copies: dict[int, Stateful] = {}
        self.templates: dict[int, Template] = {}
        self._given: list[tuple[Any, tuple[Any, ...]]] = []

    def build_argument(self, template: Template) -> Any:
        """The copy of an argument; dicts and lists in it are watched."""
        if template[0] != "container":
            return self.build(template)
        children = [self.build_argument(child) for child in template[2]]
        copy = rebuild_container(template[1], children)
        self._given.append((copy, tuple(children)))
        return copy

    def check_arguments(self) -> None:
        """Dicts and lists that were passed must be as before: changes of a copy would be lost."""
        for copy, children in self._given:
            container = open_container(copy)
            now = () if container is None else container.children
            if len(now) != len(children) or any(
                a is not b for a, b in zip(now, children, strict=True)
            ):
                raise StateError(
                    f"The function changed a {type(copy).__name__} that it received; a transformed "
                    "function gets a copy, and the change would be lost.",
                    fix="return the new values, or keep them in an nn.Module",
                )

    def build(self, template: Template) -> Any:
        form = template[0]
        if form == "leaf":
            return self.values[template[1]]
        if form == "static":
            return template[1].value
        if form == "container":
            return rebuild_container(template[1], [self.build(child) for child in template[2]])
        if form == "seen":
            return self.copies[template[1]]
        _, index, kind, attributes = template
        copy = object.__new__(kind)
        self.copies[index] = copy
        self.templates[index] = template
        for name, child in attributes:
            copy.__dict__[name] = self.build(child)
        copy.__dict__["_path"] = self.paths[index]
        copy.__dict__["_level"] = self.level
        copy.__dict__["_version"] = 0
        return copy


@dataclass(slots=True)
class Change:
    """A leaf of a stateful object that the function replaced."""

    object: int
    attribute: str
    keys: tuple[int, ...]  # positions in nested containers
    value: Array
    leaf: int  # its position among the leaves of the call


def find_changes(
    builder: Builder, values: Sequence[Any], call: Call, abstract: str | None
) -> tuple[list[Change], list[tuple[int, str, Any]]]:
    """Compare the copies with what they were given."""
    after = Description()
    for index in sorted(builder.copies):
        after.register(builder.copies[index], builder.paths[index])
    changes: list[Change] = []
    static_changes: list[tuple[int, str, Any]] = []
    for index in sorted(builder.copies):
        copy = builder.copies[index]
        attributes = dict(builder.templates[index][3])
        now = {name: (value, trainable) for name, value, trainable in copy.state_items()}
        for name in sorted(set(attributes) - set(now)):
            _refuse_structure(call, index, name, "was deleted")
        for name, (value, trainable) in now.items():
            place = join_path(builder.paths[index], name)
            template = after.visit(value, place, 0, True, trainable)
            if name not in attributes:
                if template[0] == "static" and abstract is None:
                    static_changes.append((index, name, value))
                    continue
                _refuse_structure(call, index, name, "was added")
            verdict = _compare(attributes[name], template, values, after, (), changes, index, name)
            if verdict == "static" and abstract is None:
                static_changes.append((index, name, value))
            elif verdict == "static":
                shown = place.replace("_training", "training").replace("_frozen", "frozen")
                raise StateError(
                    f"The Python value {shown!r} was changed to {value!r} inside {abstract}: it "
                    "would change while tracing only, not at each call.",
                    fix="keep it as an nn.Buffer, or change it outside (model.train(), "
                    "model.eval(), ...)",
                )
            elif verdict == "structure":
                _refuse_structure(call, index, name, "changed its structure")
    return changes, static_changes


def _refuse_structure(call: Call, index: int, name: str, what: str) -> None:
    owner = type(call.description.objects[index]).__name__
    raise StateError(
        f"Attribute {name!r} of {owner} {what} inside a traced function.",
        fix="create every parameter, Buffer and Module in __init__; return intermediate values "
        "(value_and_grad has has_aux=True) instead of storing them",
    )


def _compare(
    old: Template,
    new: Template,
    values: Sequence[Any],
    after: Description,
    keys: tuple[int, ...],
    changes: list[Change],
    index: int,
    name: str,
) -> str:
    if old[0] == "leaf" and new[0] == "leaf":
        given, now = values[old[1]], after.leaves[new[1]].value
        if given is not now:
            if given.type != now.type:
                raise StateError(
                    f"{after.leaves[new[1]].path!r} was {given.type} and was changed to "
                    f"{now.type} inside a traced function.",
                    fix="keep dtype and shape: .astype(...) or .reshape(...) the new value",
                )
            changes.append(Change(index, name, keys, now, old[1]))
        return "same"
    if old[0] == "static" and new[0] == "static":
        return "same" if old[1] == new[1] else "static"
    if old[0] in ("object", "seen") and new[0] == "seen":
        return "same" if old[1] == new[1] else "structure"
    if old[0] == "container" and new[0] == "container" and old[1] == new[1]:
        verdicts = [
            _compare(left, right, values, after, (*keys, position), changes, index, name)
            for position, (left, right) in enumerate(zip(old[2], new[2], strict=True))
        ]
        for verdict in ("structure", "static"):
            if verdict in verdicts:
                return verdict
        return "same"
    return "structure"


def find_place(target: Stateful, change: Change) -> Place | None:
    """The dict or list, and the key in it, where a changed leaf stands; None inside a tuple."""
    held: Any = target.__dict__
    key: Any = change.attribute
    for position in change.keys:
        value = held[key]
        container = open_container(value)
        assert container is not None
        form = container.kind[0]
        if form in ("dict", "list"):
            held, key = value, container.kind[2][position] if form == "dict" else position
        else:
            held, key = container.children, position
    return None if isinstance(held, tuple) else (held, key)


def write_change(target: Stateful, change: Change, value: Array) -> None:
    """Put a new value into the caller's object, in its place."""
    place = find_place(target, change)
    if place is not None:
        held, key = place
        value.owner = held[key].owner
        held[key] = value
        return
    current = getattr(target, change.attribute)
    setattr(target, change.attribute, _replace(current, change.keys, value))


def _replace(value: Any, keys: tuple[int, ...], leaf: Array) -> Any:
    if not keys:
        return leaf
    container = open_container(value)
    assert container is not None
    children = list(container.children)
    children[keys[0]] = _replace(children[keys[0]], keys[1:], leaf)
    return rebuild_container(container.kind, children)

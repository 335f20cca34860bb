"""What every Module does behind the scenes: finds its Arrays, and tells where it is called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..trace import Array, module_path
from ..tree import Stateful, open_container, rebuild_container


def collect_value(value: Any, trainable: bool, kept: bool) -> Any:
    """The Arrays in an attribute, in its dicts and lists; None where there are none."""
    if hasattr(value, "collect_state"):
        return value.collect_state(trainable)
    if isinstance(value, Array):
        return value if kept and (not trainable or value.type.floating) else None
    container = None if isinstance(value, Stateful) else open_container(value)
    if container is None or not container.children:
        return None
    parts = [collect_value(child, trainable, kept) for child in container.children]
    if all(part is None for part in parts):
        return None
    filled = [{} if part is None else part for part in parts]
    if container.kind[0] in ("list", "tuple"):
        return filled
    return {
        name: part for name, part in zip(container.names, parts, strict=True) if part is not None
    }


def replace_in(value: Any, replacements: dict[int, Array]) -> Any:
    if isinstance(value, Array):
        return replacements.get(id(value), value)
    if isinstance(value, Stateful):
        return value
    container = open_container(value)
    if container is None:
        return value
    children = [replace_in(child, replacements) for child in container.children]
    if all(new is old for new, old in zip(children, container.children, strict=True)):
        return value
    return rebuild_container(container.kind, children)


def call_with_path(method: Callable[..., Any]) -> Callable[..., Any]:
    """`__call__` that tells the recorder which Module its nodes belong to."""

    @functools.wraps(method)
    def called(self: Any, *arguments: Any, **keywords: Any) -> Any:
        path = self.__dict__.get("_path")
        if path is None:
            return method(self, *arguments, **keywords)
        with module_path(path):
            return method(self, *arguments, **keywords)

    return called

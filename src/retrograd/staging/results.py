"""Takes the result of a traced function apart, and puts it together with other values."""

from __future__ import annotations

import functools
import io
from collections import deque
from collections.abc import ItemsView, Iterator, KeysView, Sequence, ValuesView
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError
from ..ir.types import DTYPES
from ..trace import Array, Recorder, Tracer
from ..tree import Stateful, open_container, rebuild_container
from .describe import Static, Template, array_from_numpy


def describe_result(value: Any, outputs: list[Array]) -> Template:
    """The template of a result; its Arrays are appended to `outputs`."""
    if isinstance(value, Array):
        outputs.append(value)
        return ("leaf", len(outputs) - 1)
    if isinstance(value, np.ndarray) and value.dtype.name in DTYPES:
        outputs.append(array_from_numpy(value))
        return ("leaf", len(outputs) - 1)
    if isinstance(value, Stateful):
        raise ArgumentTypeError(
            f"The function returned a {type(value).__name__}; a transformed function returns "
            "Arrays (in dicts, lists, tuples).",
            fix="return model.parameters() or the outputs; changes of a Module that was passed "
            "are kept without returning it",
        )
    container = open_container(value)
    if container is None:
        return ("static", Static(value))
    children = tuple(describe_result(child, outputs) for child in container.children)
    return ("container", container.kind, children)


HOLDERS = (set, frozenset, deque, KeysView, ValuesView, ItemsView)
MOST_PARTS = 1000
"""How many objects are searched for traced values."""


def check_result(template: Template, recorder: Recorder) -> None:
    """An error for a result in which values of the program would leave that are no outputs.

    Raises:
        ArgumentTypeError: it holds an iterator, which would go on after the end of the tracing, or
            a function or object that holds such a value.
    """
    if template[0] == "container":
        for child in template[2]:
            check_result(child, recorder)
    if template[0] != "static":
        return
    value = template[1].value
    if isinstance(value, Iterator) and not isinstance(value, io.IOBase):
        raise ArgumentTypeError(
            f"The function returned an iterator ({type(value).__name__}): it would go on when the "
            "tracing has ended, with values that are gone.",
            fix="return a list or a tuple: [... for ...], list(map(...)), rg.unstack(x)",
        )
    found = _find_tracer(value, recorder)
    if found is not None:
        kind = "function" if callable(value) else type(value).__name__
        raise ArgumentTypeError(
            f"The function returned a {kind} that holds a value of the traced program "
            f"({found.type}), which is gone when the tracing has ended.",
            fix="return the Arrays themselves, in dicts, lists, tuples or dataclasses, and build "
            "other objects from them outside",
        )


def _find_tracer(value: Any, recorder: Recorder) -> Tracer | None:
    """A value of this program, or of one that has ended, in what is no tree."""
    waiting, seen = deque([value]), {id(value)}
    while waiting:
        for part in _parts_of(waiting.popleft()):
            if isinstance(part, Tracer) and (part.recorder is recorder or not part.recorder.alive):
                return part
            if id(part) not in seen and len(seen) < MOST_PARTS:
                seen.add(id(part))
                waiting.append(part)
    return None


def _parts_of(value: Any) -> Iterator[Any]:
    """What an object holds."""
    if isinstance(value, FunctionType):
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # a variable that was not assigned yet
                continue
        yield from value.__defaults__ or ()
        yield from (value.__kwdefaults__ or {}).values()
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, MethodType) or hasattr(value, "__self__"):
        yield value.__self__
    elif isinstance(value, HOLDERS):
        yield from value
    elif isinstance(value, (dict, list, tuple)):
        container = open_container(value)
        yield from () if container is None else container.children
    elif not isinstance(value, (type, ModuleType)):
        yield from getattr(value, "__dict__", {}).values()


def build_result(template: Template, outputs: Sequence[Any]) -> Any:
    """The result of this template with these leaves."""
    if template[0] == "leaf":
        return outputs[template[1]]
    if template[0] == "static":
        return template[1].value
    children = [build_result(child, outputs) for child in template[2]]
    return rebuild_container(template[1], children)

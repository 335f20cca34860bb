"""Takes the result of a traced function apart, and puts it together with other values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError
from ..ir.types import DTYPES
from ..trace import Array
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


def build_result(template: Template, outputs: Sequence[Any]) -> Any:
    """The result of this template with these leaves."""
    if template[0] == "leaf":
        return outputs[template[1]]
    if template[0] == "static":
        return template[1].value
    children = [build_result(child, outputs) for child in template[2]]
    return rebuild_container(template[1], children)

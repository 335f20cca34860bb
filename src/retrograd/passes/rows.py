"""What happens to each row of a value by itself: nodes whose results have the rows of their inputs.

Rows are the elements of axis 0, such as the steps of a loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ir import Node

REDUCTIONS = frozenset(("sum", "max", "min", "prod", "argmax", "argmin"))


def find_rows(node: Node, count: int) -> tuple[bool, ...] | None:
    """For each input whether a row of the results needs that row of it; else all of it is needed.

    None where a row of a result needs several rows, or the results do not have so many.
    """
    if any(variable.type.shape[:1] != (count,) for variable in node.outputs):
        return None
    name, parameters = node.primitive.name, node.parameters
    if node.primitive.elementwise:
        found = (True,) * len(node.inputs)
    elif name == "dot":
        return _find_rows_of_dot(node)
    elif name == "broadcast" and 0 in parameters["axes"]:
        return (False,)
    elif name in ("broadcast", "reshape"):
        found = (True,)
    elif name == "transpose":
        found = (parameters["axes"][0] == 0,)
    elif name == "slice":
        cut = [parameters[key][0] for key in ("starts", "stops", "steps")]
        found = (cut == [0, count, 1],)
    elif name in REDUCTIONS:
        axes = parameters["axes"] if "axes" in parameters else (parameters["axis"],)
        found = (0 not in axes,)
    elif name == "concatenate":
        found = (parameters["axis"] != 0,) * len(node.inputs)
    else:
        return None
    same = all(atom.type.shape[:1] == (count,) for atom in node.inputs)
    return found if all(found) and same else None


def _find_rows_of_dot(node: Node) -> tuple[bool, ...] | None:
    """The first axis of the result is the first batch axis, else the first one that is free."""
    contract, batch = node.parameters["contract"], node.parameters["batch"]
    if batch[0]:
        return (True, True) if (batch[0][0], batch[1][0]) == (0, 0) else None
    for side in (0, 1):
        free = [a for a in range(node.inputs[side].type.ndim) if a not in contract[side]]
        if free:
            return (side == 0, side == 1) if free[0] == 0 else None
    return None


def adds_rows(node: Node) -> bool:
    """Whether the result is a sum over the rows of all inputs."""
    if node.primitive.name == "sum":
        return 0 in node.parameters["axes"]
    if node.primitive.name != "dot" or not node.outputs[0].type.floating:
        return False
    return (0, 0) in zip(*node.parameters["contract"], strict=True)


def with_rows(node: Node, count: int) -> Mapping[str, Any]:
    """The parameters of a node for so many rows."""
    parameters = dict(node.parameters)
    key = {"broadcast": "shape", "reshape": "shape", "slice": "stops"}.get(node.primitive.name)
    if key is not None:
        parameters[key] = (count, *parameters[key][1:])
    return parameters

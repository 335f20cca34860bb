"""From a Graph to kernels: one rule for each primitive, NumPy for those without."""

from __future__ import annotations

from collections.abc import Callable

from ..ir import Graph, Node
from ..ir.loops import Callback, Schedule
from .contractions import lower_dot
from .convolutions import lower_conv
from .indexing import lower_gather, lower_scatter_along
from .movement import lower_concatenate, lower_movement, lower_pad, lower_reshape
from .reductions import POSITIONS, REDUCTIONS, lower_position, lower_reduction
from .values import Values
from .windows import (
    lower_window_gather,
    lower_window_max,
    lower_window_scatter,
    lower_window_sum,
)

Rule = Callable[[Values, Node], bool]

RULES: dict[str, Rule] = {
    **dict.fromkeys(REDUCTIONS, lower_reduction),
    **dict.fromkeys(POSITIONS, lower_position),
    "window_sum": lower_window_sum,
    "window_max": lower_window_max,
    "window_gather": lower_window_gather,
    "window_scatter": lower_window_scatter,
    **dict.fromkeys(("transpose", "broadcast", "slice", "flip"), lower_movement),
    "reshape": lower_reshape,
    "pad": lower_pad,
    "concatenate": lower_concatenate,
    "dot": lower_dot,
    "conv": lower_conv,
    "gather": lower_gather,
    "gather_along": lower_gather,
    "scatter_add_along": lower_scatter_along,
}
"""How each primitive that is not elementwise is lowered; a rule gives False if it cannot."""


def lower(graph: Graph, elementwise: frozenset[str]) -> Schedule:
    """The kernels of a Graph.

    Args:
        graph: the program.
        elementwise: the names of the elementwise primitives that there is machine code for.
    """
    values = Values(graph)
    for node in graph.nodes:
        name = node.primitive.name
        if name in RULES and RULES[name](values, node):
            continue
        if node.primitive.elementwise and name in elementwise:
            values.later(node)
        else:
            call_back(values, node)
    for atom in graph.outputs:
        values.schedule.outputs.append(values.materialise_output(atom))
    return values.schedule


def call_back(values: Values, node: Node) -> None:
    """Let NumPy compute a node."""
    inputs = tuple(values.whole(atom) for atom in node.inputs)
    outputs = [values.new(variable.type.dtype, variable.type.shape) for variable in node.outputs]
    numbers = tuple(view.buffer for view in outputs)
    values.schedule.kernels.append(Callback(node, inputs, numbers))
    for variable, view in zip(node.outputs, outputs, strict=True):
        values.known[id(variable)] = view

"""From a Graph to kernels: one rule for each primitive, NumPy for those without."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir import Graph, Node
from ..ir.loops import Callback, LoopNest, Schedule
from .attention import lower_attention, lower_attention_gradient
from .branches import lower_cond, lower_while
from .contractions import lower_dot
from .convolutions import lower_conv, plan_borders
from .indexing import (
    lower_gather,
    lower_narrow,
    lower_put_rows,
    lower_scatter,
    lower_scatter_along,
    lower_take_rows,
)
from .inner_programs import lower_call, lower_scan
from .movement import lower_concatenate, lower_movement, lower_pad, lower_reshape
from .nests import collapse
from .pipeline import SCHEDULE_PASSES
from .placement import place_parts
from .reductions import (
    POSITIONS,
    REDUCTIONS,
    lower_moments,
    lower_position,
    lower_reduction,
)
from .routines import lower_cumsum, lower_random_bits, lower_random_fold
from .values import Values
from .window_scatter import lower_window_scatter
from .windows import (
    lower_window_gather,
    lower_window_max,
    lower_window_sum,
)

Strides = tuple[int, ...]
Rule = Callable[[Values, Node], bool]

RULES: dict[str, Rule] = {
    **dict.fromkeys(REDUCTIONS, lower_reduction),
    **dict.fromkeys(POSITIONS, lower_position),
    "moments": lower_moments,
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
    "narrow": lower_narrow,
    "scatter_add": lower_scatter,
    "scatter_add_along": lower_scatter_along,
    "take_rows": lower_take_rows,
    "put_rows": lower_put_rows,
    "cumsum": lower_cumsum,
    "random_bits": lower_random_bits,
    "random_fold": lower_random_fold,
    "scan": lower_scan,
    "checkpoint": lower_call,
    "cond": lower_cond,
    "while_loop": lower_while,
    "attention": lower_attention,
    "attention_gradient": lower_attention_gradient,
}
"""How each primitive that is not elementwise is lowered; a rule gives False if it cannot."""


def lower(
    graph: Graph,
    elementwise: frozenset[str],
    separate: bool = False,
    without: frozenset[str] = frozenset(),
    strides: tuple[Sequence[Strides], Sequence[Strides]] | None = None,
) -> Schedule:
    """The kernels of a Graph.

    Args:
        graph: the program.
        elementwise: the names of the elementwise primitives that there is machine code for.
        separate: whether each output needs a buffer of its own (it may not be an input, a
            constant or another output).
        without: names of what is left out.
        strides: how the elements of inputs and outputs lie; in row-major order if None.
    """
    values = Values(graph, without)
    if strides is not None:
        values.place_inputs(strides[0])
        values.place_outputs(strides[1])
    place_parts(values)
    plan_borders(values)
    values.lower_inside = lambda inner: lower(inner, elementwise, True, without)
    values.lower_placed = lambda inner, *others: lower(inner, elementwise, False, without, others)
    for node in graph.nodes:
        values.node = node
        name = node.primitive.name
        if name in RULES and RULES[name](values, node):
            continue
        if node.primitive.elementwise and name in elementwise:
            values.later(node)
        else:
            call_back(values, node)
    schedule, values.node = values.schedule, None
    if strides is not None:
        values.write_outputs(strides[1])
    for atom in graph.outputs if strides is None else ():
        number = values.materialise_output(atom)
        if separate and (number in schedule.outputs or schedule.buffers[number].kind != "arena"):
            number = values.copy(values.view(number)).buffer
        schedule.outputs.append(number)
    schedule.kernels = [collapse(k) if isinstance(k, LoopNest) else k for k in schedule.kernels]
    for apply in SCHEDULE_PASSES:
        if apply.__name__ not in without:
            schedule = apply(schedule)
    return schedule


def call_back(values: Values, node: Node) -> None:
    """Let NumPy compute a node."""
    inputs = tuple(values.whole(atom) for atom in node.inputs)
    outputs = [values.new(variable.type.dtype, variable.type.shape) for variable in node.outputs]
    numbers = tuple(view.buffer for view in outputs)
    values.schedule.kernels.append(Callback(node, inputs, numbers))
    for variable, view in zip(node.outputs, outputs, strict=True):
        values.known[id(variable)] = view

"""Lowering of what has a routine of its own in the code generator."""

from __future__ import annotations

import math

from ..ir import Node
from ..ir.loops import Access, Routine
from .values import Values


def _append(values: Values, node: Node, parameters: tuple[object, ...]) -> bool:
    """A routine that reads whole inputs and writes whole outputs."""
    inputs = tuple(Access(values.whole(atom), 0, ()) for atom in node.inputs)
    outputs = []
    for variable in node.outputs:
        view = values.new(variable.type.dtype, variable.type.shape)
        values.known[id(variable)] = view
        outputs.append(Access(view.buffer, 0, ()))
    if any(variable.type.size for variable in node.outputs):
        name = node.primitive.name
        values.schedule.kernels.append(Routine(name, parameters, inputs, tuple(outputs)))
    return True


def lower_random_bits(values: Values, node: Node) -> bool:
    return _append(values, node, (node.outputs[0].type.size,))


def lower_random_fold(values: Values, node: Node) -> bool:
    return _append(values, node, (node.inputs[1].type.dtype,))


def lower_cumsum(values: Values, node: Node) -> bool:
    """The axes before and behind the one that is summed along count as one each."""
    shape, axis = node.inputs[0].type.shape, node.parameters["axis"]
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    dtype = node.outputs[0].type.dtype
    return _append(values, node, (dtype, outer, shape[axis], inner, node.parameters["reverse"]))

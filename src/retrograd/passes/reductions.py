"""Lowering of reductions: a loop nest with the reduced axes inside."""

from __future__ import annotations

from ..ir import Node
from ..ir.loops import Store
from ..ir.types import int32
from .merging import append_nest
from .nests import NestBuilder, identity
from .values import Values

REDUCTIONS = ("sum", "max", "min", "prod")
POSITIONS = ("argmax", "argmin")


def lower_reduction(values: Values, node: Node) -> bool:
    """Sum, product and extremes; over no elements there is only the neutral element."""
    atom, output = node.inputs[0], node.outputs[0]
    reduction, parameters = node.primitive.name, node.parameters
    axes = parameters["axes"] if "axes" in parameters else (parameters["axis"],)
    shape = atom.type.shape
    target = values.new(output.type.dtype, output.type.shape)
    values.known[id(output)] = target
    if 0 in shape:
        neutral = 1 if reduction == "prod" else 0
        values.fill(target, lambda b, index: b.add("constant", target.dtype, value=neutral))
        return True
    builder = NestBuilder(shape, [axis in axes for axis in range(len(shape))])
    position = values.express(builder, atom, identity(shape))
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    access = builder.access(target, identity(shape, kept))
    builder.stores.append(Store(access, position, reduction))
    append_nest(values.schedule, builder.build())
    return True


def lower_position(values: Values, node: Node) -> bool:
    """argmax and argmin: the best value travels with its index."""
    atom, output = node.inputs[0], node.outputs[0]
    axis, shape = node.parameters["axis"], atom.type.shape
    target = values.new(int32, output.type.shape)
    values.known[id(output)] = target
    if 0 in shape:
        return True
    builder = NestBuilder(shape, [a == axis for a in range(len(shape))])
    value = values.express(builder, atom, identity(shape))
    here = builder.add("index", int32, value=axis)
    kept = [a for a in range(len(shape)) if a != axis]
    access = builder.access(target, identity(shape, kept))
    builder.stores.append(Store(access, value, node.primitive.name, position=here))
    append_nest(values.schedule, builder.build())
    return True

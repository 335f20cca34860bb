"""Lowering of gathers and scatters."""

from __future__ import annotations

from ..ir import Node
from ..ir.types import bool_, int64
from .nests import Affine, IndexMap, NestBuilder
from .values import EXPRESSIONS, Values


def lower_gather(values: Values, node: Node) -> bool:
    """Rows by number: the table must be in memory."""
    if 0 in node.outputs[0].type.shape:
        return False
    values.materialise(node.inputs[0])
    values.later(node)
    return True


def lower_scatter_along(values: Values, node: Node) -> bool:
    """One row number for each place: compared with the index, instead of scattered."""
    updates, indices = node.inputs
    axis, output = node.parameters["axis"], node.outputs[0]
    if updates.type.shape[axis] != 1 or 0 in output.type.shape:
        return False
    source, numbers = values.materialise(updates), values.materialise(indices)
    target = values.new(output.type.dtype, output.type.shape)
    values.known[id(output)] = target

    def choose(builder: NestBuilder, index: IndexMap) -> int:
        zero = Affine(0, (0,) * len(builder.extents))
        still = tuple(zero if a == axis else affine for a, affine in enumerate(index))
        wanted = builder.add("cast", int64, (builder.load(numbers, still),))
        here = builder.add("index", int64, value=axis)
        hit = builder.add("equal", bool_, (wanted, here))
        nothing = builder.add("constant", target.dtype, value=0)
        return builder.add("where", target.dtype, (hit, builder.load(source, still), nothing))

    values.fill(target, choose)
    return True


def express_gather(values: Values, builder: NestBuilder, node: Node, index: IndexMap) -> int:
    table, indices = node.inputs
    axis = node.parameters["axis"]
    view = values.materialise(table)
    zero = Affine(0, (0,) * len(builder.extents))
    if node.primitive.name == "gather":
        count = indices.type.ndim
        number = values.express(builder, indices, index[axis : axis + count])
        place = (*index[:axis], zero, *index[axis + count :])
    else:
        number = values.express(builder, indices, index)
        place = (*index[:axis], zero, *index[axis + 1 :])
    access = builder.access(view, place)
    return builder.add(
        "gather", view.dtype, (number,), access, (view.strides[axis], view.shape[axis])
    )


EXPRESSIONS.update(gather=express_gather, gather_along=express_gather)

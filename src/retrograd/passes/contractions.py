"""Lowering of reductions and of dot."""

from __future__ import annotations

from ..ir import Node
from ..ir.loops import Access, Contraction, Store
from .merging import append_nest
from .nests import NestBuilder, View, identity
from .values import Values

REDUCTIONS = ("sum", "max", "min", "prod")


def lower_reduction(values: Values, node: Node) -> bool:
    """A loop nest with the reduced axes inside."""
    atom, output = node.inputs[0], node.outputs[0]
    reduction = node.primitive.name
    if output.type.dtype.kind == "b":
        return False
    axes = node.parameters["axes"] if "axes" in node.parameters else (node.parameters["axis"],)
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


def lower_dot(values: Values, node: Node) -> bool:
    """A contraction; the operand that has the output's last axis is read as vectors."""
    a, b = node.inputs
    if not node.outputs[0].type.floating:
        return False
    contract, batch = node.parameters["contract"], node.parameters["batch"]
    free_a = [x for x in range(a.type.ndim) if x not in contract[0] and x not in batch[0]]
    free_b = [x for x in range(b.type.ndim) if x not in contract[1] and x not in batch[1]]
    output = node.outputs[0]
    extents = [*output.type.shape, *(a.type.shape[x] for x in contract[0])]
    if 0 in extents:
        return False
    left, right = values.materialise(a), values.materialise(b)
    target = values.new(output.type.dtype, output.type.shape)
    count, rows = len(batch[0]), len(free_a)
    order_a = {axis: place for place, axis in enumerate(batch[0])}
    order_a.update({axis: count + place for place, axis in enumerate(free_a)})
    order_b = {axis: place for place, axis in enumerate(batch[1])}
    order_b.update({axis: count + rows + place for place, axis in enumerate(free_b)})
    for place, (x, y) in enumerate(zip(*contract, strict=True)):
        order_a[x] = order_b[y] = len(output.type.shape) + place
    access_a = spread(left, order_a, len(extents))
    access_b = spread(right, order_b, len(extents))
    out = Access(target.buffer, 0, (*target.strides, *([0] * len(contract[0]))))
    reduced = tuple(axis >= output.type.ndim for axis in range(len(extents)))
    if not free_b:
        access_a, access_b = access_b, access_a
    access_b = pack(values, access_b, extents, out)
    values.schedule.kernels.append(
        Contraction(tuple(extents), reduced, output.type.dtype, access_a, access_b, out)
    )
    values.known[id(output)] = target
    return True


def pack(values: Values, b: Access, extents: list[int], out: Access) -> Access:
    """The vector operand copied, where its elements along the output's last axis lie apart."""
    vector = max(
        (axis for axis in range(len(extents)) if out.strides[axis] == 1 and b.strides[axis]),
        default=None,
    )
    if vector is None or b.strides[vector] == 1:
        return b
    axes = [axis for axis in range(len(extents)) if b.strides[axis] and axis != vector]
    axes.append(vector)
    shape = tuple(extents[axis] for axis in axes)
    dtype = values.schedule.buffers[b.buffer].dtype
    source = View(b.buffer, b.offset, tuple(b.strides[axis] for axis in axes), shape, dtype)
    target = values.copy(source)
    strides = [0] * len(extents)
    for axis, stride in zip(axes, target.strides, strict=True):
        strides[axis] = stride
    return Access(target.buffer, 0, tuple(strides))


def spread(view: View, order: dict[int, int], count: int) -> Access:
    """The access of a view whose axis x is loop axis order[x]."""
    strides = [0] * count
    for axis, stride in enumerate(view.strides):
        if view.shape[axis] != 1:
            strides[order[axis]] = stride
    return Access(view.buffer, view.offset, tuple(strides))

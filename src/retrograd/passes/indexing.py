"""Lowering of gathers and scatters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..ir import Atom, Node
from ..ir.loops import Access, Routine, Store
from ..ir.types import bool_, int64
from .merging import append_nest
from .nests import Affine, IndexMap, NestBuilder, View, identity
from .values import EXPRESSIONS, Values


def lower_gather(values: Values, node: Node) -> bool:
    """Rows by number: the table must be in memory."""
    output, indices = node.outputs[0], node.inputs[1]
    if 0 in output.type.shape:
        if indices.type.size:
            return False  # there is nothing to read, but the indices may still be out of range
        values.known[id(output)] = values.new(output.type.dtype, output.type.shape)
        return True
    values.materialise(node.inputs[0])
    values.later(node)
    return True


def lower_narrow(values: Values, node: Node) -> bool:
    """As gather, from a table of one row: a number that does not fit is no row of it."""
    if node.outputs[0].type.size:
        values.materialise(node.inputs[0])
    values.later(node)
    return True


def lower_scatter(values: Values, node: Node) -> bool:
    """Rows added to a table of zeros, one after the other in the order of the indices."""
    updates, indices = node.inputs
    axis, count = node.parameters["axis"], indices.type.ndim
    target = _zeros(values, node)

    def place(index: IndexMap) -> tuple[IndexMap, IndexMap]:
        still = Affine(0, (0,) * len(index))
        return index[axis : axis + count], (*index[:axis], still, *index[axis + count :])

    _add_up(values, updates, indices, target, place, axis)
    return True


def lower_scatter_along(values: Values, node: Node) -> bool:
    """One row number for each element; a single one is compared, instead of scattered."""
    updates, indices = node.inputs
    axis, output = node.parameters["axis"], node.outputs[0]
    if updates.type.shape[axis] == 1 and output.type.size:
        return _compare(values, node)

    def place(index: IndexMap) -> tuple[IndexMap, IndexMap]:
        still = Affine(0, (0,) * len(index))
        return index, (*index[:axis], still, *index[axis + 1 :])

    _add_up(values, updates, indices, _zeros(values, node), place, axis)
    return True


def lower_take_rows(values: Values, node: Node) -> bool:
    """As gather; no index is out of range."""
    output = node.outputs[0]
    if not node.inputs[0].type.size:
        return False
    if not output.type.size:
        values.known[id(output)] = values.new(output.type.dtype, output.type.shape)
        return True
    values.materialise(node.inputs[0])
    values.later(node)
    return True


def lower_put_rows(values: Values, node: Node) -> bool:
    """Rows written into the memory of the table, where that may be; else into a copy of it."""
    table, rows, indices = node.inputs
    output = node.outputs[0]
    if not output.type.size:
        values.known[id(output)] = values.new(output.type.dtype, output.type.shape)
        return True
    # All that is read lies in memory of its own, before the table changes.
    source, numbers = values.materialise(rows), values.materialise(indices)
    before = values.whole(table)
    target = values.new(output.type.dtype, output.type.shape)
    values.known[id(output)] = target
    size = values.schedule.buffers[target.buffer].bytes
    values.schedule.kernels.append(
        Routine("keep", (size,), (Access(before, 0, ()),), (Access(target.buffer, 0, ()),))
    )
    shape = rows.type.shape
    if 0 in shape:
        return True
    builder = NestBuilder(shape, [False] * len(shape))
    index = identity(shape)
    value, number = builder.load(source, index), builder.load(numbers, index[:1])
    still = Affine(0, (0,) * len(shape))
    access = builder.access(target, (still, *index[1:]))
    scale, limit = target.strides[0], target.shape[0]
    builder.stores.append(
        Store(access, value, index=number, scale=scale, limit=limit, replaces=True)
    )
    append_nest(values.schedule, builder.build(), merge=False)
    return True


def _zeros(values: Values, node: Node) -> View:
    output = node.outputs[0]
    target = values.new(output.type.dtype, output.type.shape)
    values.known[id(output)] = target
    values.fill(target, lambda builder, index: builder.add("constant", target.dtype, value=0))
    return target


def _add_up(
    values: Values,
    updates: Atom,
    indices: Atom,
    target: View,
    place: Callable[[IndexMap], tuple[IndexMap, IndexMap]],
    axis: int,
) -> None:
    """A nest over the updates; `place` gives where their index is read, and where they go."""
    shape = updates.type.shape
    if 0 in shape:
        return
    numbers, source = values.materialise(indices), values.materialise(updates)
    builder = NestBuilder(shape, [False] * len(shape))
    index = identity(shape)
    read, write = place(index)
    value = builder.load(source, index)
    number = builder.load(numbers, read)
    access = builder.access(target, write)
    scale, limit = target.strides[axis], target.shape[axis]
    builder.stores.append(Store(access, value, index=number, scale=scale, limit=limit))
    append_nest(values.schedule, builder.build(), merge=False)


def _compare(values: Values, node: Node) -> bool:
    """One row number for each place: compared with the index."""
    updates, indices = node.inputs
    axis, output = node.parameters["axis"], node.outputs[0]
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
        "gather", view.dtype, (number,), access, (view.strides[axis], view.shape[axis], True)
    )


def express_narrow(values: Values, builder: NestBuilder, node: Node, index: IndexMap) -> int:
    source, dtype = node.inputs[0], node.outputs[0].type.dtype
    view, limits, held = values.materialise(source), np.iinfo(dtype), np.iinfo(source.type.dtype)
    value = builder.load(view, index)
    inside = builder.add("constant", bool_, value=True)
    for name, limit in (("greater_equal", limits.min), ("less_equal", limits.max)):
        if held.min <= limit <= held.max:
            bound = builder.add("constant", view.dtype, value=int(limit))
            test = builder.add(name, bool_, (value, bound))
            inside = builder.add("logical_and", bool_, (inside, test))
    rows = [builder.add("constant", int64, value=row) for row in (0, 1)]
    number = builder.add("where", int64, (inside, *rows))
    found = builder.add("gather", view.dtype, (number,), builder.access(view, index), (0, 1, True))
    return builder.add("cast", dtype, (found,))


def express_take_rows(values: Values, builder: NestBuilder, node: Node, index: IndexMap) -> int:
    table, indices = node.inputs
    view = values.materialise(table)
    number = values.express(builder, indices, index[:1])
    access = builder.access(view, (Affine(0, (0,) * len(builder.extents)), *index[1:]))
    walk = (view.strides[0], view.shape[0], False)
    return builder.add("gather", view.dtype, (number,), access, walk)


EXPRESSIONS.update(
    gather=express_gather,
    gather_along=express_gather,
    narrow=express_narrow,
    take_rows=express_take_rows,
)

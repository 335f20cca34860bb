"""Lowering of primitives that move elements: views where that is possible, else copies."""

from __future__ import annotations

from ..ir import Constant, Node
from ..ir.loops import Guard
from .nests import Affine, IndexMap, NestBuilder, View, reshape_view
from .placement import is_same_place, list_parts
from .values import COST_TO_SHARE, EXPRESSIONS, Lazy, Values


def lower_movement(values: Values, node: Node) -> bool:
    """A view where the input is in memory, else computed where it is used."""
    atom, output = node.inputs[0], node.outputs[0]
    if node.primitive.name == "broadcast" and values.uses.get(id(output), 0) > 1:
        if values.cost_of(atom) > COST_TO_SHARE:
            values.materialise(atom)  # rather than all that it is repeated to
    if isinstance(atom, Constant) and not any(atom.value.strides):
        values.later(node)
    elif isinstance(values.known.get(id(atom)), View) or isinstance(atom, Constant):
        values.known[id(output)] = move_view(values.materialise(atom), node)
    else:
        values.later(node)
    return True


def lower_reshape(values: Values, node: Node) -> bool:
    """The same memory with another shape; only axes of size 1 can change where it is used."""
    atom, output = node.inputs[0], node.outputs[0]
    ones = tuple(n for n in atom.type.shape if n != 1)
    same = ones == tuple(n for n in output.type.shape if n != 1)
    uniform = isinstance(atom, Constant) and not any(atom.value.strides)
    if same and (uniform or isinstance(values.known.get(id(atom)), Lazy)):
        values.later(node)
        return True
    source = values.materialise(atom)
    view = reshape_view(source, output.type.shape)
    if view is None:
        view = reshape_view(values.copy(source), output.type.shape)
    assert view is not None
    values.known[id(output)] = view
    return True


def lower_pad(values: Values, node: Node) -> bool:
    """Guards where it is used; padding between elements gets memory of its own."""
    if any(node.parameters["interior"]):
        _dilate(values, node)
        return True
    values.materialise(node.inputs[0])
    values.later(node)
    return True


def _dilate(values: Values, node: Node) -> None:
    """Zeros, then the elements in their places."""
    output, parameters = node.outputs[0], node.parameters
    target = values.new(output.type.dtype, output.type.shape)
    values.known[id(output)] = target
    values.fill(target, lambda builder, index: builder.add("constant", target.dtype, value=0))
    offset, strides, starts, shape = 0, [], [], []
    for size, low, high, between, stride in zip(
        node.inputs[0].type.shape,
        parameters["low"],
        parameters["high"],
        parameters["interior"],
        target.strides,
        strict=True,
    ):
        step = between + 1
        first = max(0, -(low // step)) if low < 0 else 0
        last = min(size, -(-((size - 1) * step + 1 + min(high, 0)) // step))
        starts.append(first)
        shape.append(max(last - first, 0))
        offset += (low + first * step) * stride
        strides.append(step * stride)
    if 0 in shape:
        return
    inner = View(target.buffer, offset, tuple(strides), tuple(shape), target.dtype)

    def shifted(builder: NestBuilder, index: IndexMap) -> int:
        moved = tuple(a.scaled(1, start) for a, start in zip(index, starts, strict=True))
        return values.express(builder, node.inputs[0], moved)

    values.fill(inner, shifted, merge=False)


def lower_concatenate(values: Values, node: Node) -> bool:
    """Each input is computed into its part of the output, where it is not there already."""
    output = node.outputs[0]
    target = values.place(output)
    for atom, part in zip(node.inputs, list_parts(target, node), strict=True):
        known = values.known.get(id(atom))
        if not (isinstance(known, View) and is_same_place(known, part)):
            values.write(atom, part)
    values.known[id(output)] = target
    return True


def express_pad(values: Values, builder: NestBuilder, node: Node, index: IndexMap) -> int:
    atom, parameters = node.inputs[0], node.parameters
    view = values.materialise(atom)
    guards = []
    moved = []
    for affine, low, high, size in zip(
        index, parameters["low"], parameters["high"], atom.type.shape, strict=True
    ):
        shifted = affine.scaled(1, -low)
        moved.append(shifted)
        if low > 0 or high > 0:
            guards.append(Guard(shifted.offset, shifted.coefficients, size))
    return builder.load(view, tuple(moved), tuple(guards))


def express_reshape(values: Values, builder: NestBuilder, node: Node, index: IndexMap) -> int:
    atom = node.inputs[0]
    zero = Affine(0, (0,) * len(builder.extents))
    kept = iter(a for a, n in zip(index, node.outputs[0].type.shape) if n != 1)
    moved = tuple(zero if size == 1 else next(kept) for size in atom.type.shape)
    return values.express(builder, atom, moved)


def express_transpose(values: Values, builder: NestBuilder, node: Node, index: IndexMap) -> int:
    places = sorted(range(len(index)), key=lambda place: node.parameters["axes"][place])
    return values.express(builder, node.inputs[0], tuple(index[place] for place in places))


def express_broadcast(values: Values, builder: NestBuilder, node: Node, index: IndexMap) -> int:
    new = node.parameters["axes"]
    kept = tuple(affine for axis, affine in enumerate(index) if axis not in new)
    return values.express(builder, node.inputs[0], kept)


def express_slice(values: Values, builder: NestBuilder, node: Node, index: IndexMap) -> int:
    pairs = zip(node.parameters["starts"], node.parameters["steps"], strict=True)
    moved = tuple(
        affine.scaled(step, start) for affine, (start, step) in zip(index, pairs, strict=True)
    )
    return values.express(builder, node.inputs[0], moved)


def express_flip(values: Values, builder: NestBuilder, node: Node, index: IndexMap) -> int:
    atom = node.inputs[0]
    moved = tuple(
        affine.scaled(-1, atom.type.shape[axis] - 1) if axis in node.parameters["axes"] else affine
        for axis, affine in enumerate(index)
    )
    return values.express(builder, atom, moved)


EXPRESSIONS.update(
    pad=express_pad,
    reshape=express_reshape,
    transpose=express_transpose,
    broadcast=express_broadcast,
    slice=express_slice,
    flip=express_flip,
)


def move_view(view: View, node: Node) -> View:
    """Transpose, broadcast, slice and flip as other strides."""
    parameters, name = node.parameters, node.primitive.name
    shape = node.outputs[0].type.shape
    if name == "transpose":
        strides = tuple(view.strides[axis] for axis in parameters["axes"])
        return View(view.buffer, view.offset, strides, shape, view.dtype)
    if name == "broadcast":
        kept = iter(view.strides)
        strides = tuple(
            0 if axis in parameters["axes"] else next(kept) for axis in range(len(shape))
        )
        return View(view.buffer, view.offset, strides, shape, view.dtype)
    offset = view.offset
    strides_list = list(view.strides)
    if name == "slice":
        for axis, (start, step) in enumerate(
            zip(parameters["starts"], parameters["steps"], strict=True)
        ):
            offset += start * view.strides[axis]
            strides_list[axis] *= step
    else:
        for axis in parameters["axes"]:
            offset += (view.shape[axis] - 1) * view.strides[axis]
            strides_list[axis] *= -1
    return View(view.buffer, offset, tuple(strides_list), shape, view.dtype)

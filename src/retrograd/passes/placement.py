"""Parts of a joined value are made in their places, so that joining them moves nothing.

The inputs of a concatenation that a product or attention computes, and that nothing else reads, get
memory inside of the result's; also through transpositions and reshapes.
"""

from __future__ import annotations

from ..ir import Atom, Node, Variable
from .nests import View, reshape_view
from .values import Values

MAKERS = ("dot", "attention", "attention_gradient")
"""Primitives that write their results where they are told."""


def place_parts(values: Values) -> None:
    """Find these parts; `values.placed` then says where they go."""
    if "place_parts" in values.schedule.without:
        return
    makers = {id(variable): node for node in values.graph.nodes for variable in node.outputs}
    for node in reversed(values.graph.nodes):
        if node.primitive.name != "concatenate" or 0 in node.outputs[0].type.shape:
            continue
        output = node.outputs[0]
        sources = [_find_source(values, makers, atom) for atom in node.inputs]
        if not any(sources):
            continue
        whole = values.placed.get(id(output))
        if whole is None:
            whole = values.new(output.type.dtype, output.type.shape)
        placed = dict(values.placed)
        for atom, part, source in zip(node.inputs, list_parts(whole, node), sources):
            if source is None:
                continue
            view = _turn_back(part, source[1], atom)
            if view is not None and view.strides[-1] == 1:
                placed[id(source[0])] = view
        if len(placed) > len(values.placed):
            values.placed = {**placed, id(output): whole}


def list_parts(whole: View, node: Node) -> list[View]:
    """Where the inputs of a concatenation go."""
    axis, offset, parts = node.parameters["axis"], whole.offset, []
    for atom in node.inputs:
        shape = atom.type.shape
        parts.append(View(whole.buffer, offset, whole.strides, shape, whole.dtype))
        offset += shape[axis] * whole.strides[axis]
    return parts


def is_same_place(a: View, b: View) -> bool:
    """Whether two views of one shape have each element in the same place."""
    steps = zip(a.strides, b.strides, a.shape, strict=True)
    same = all(one == two or size == 1 for one, two, size in steps)
    return a.buffer == b.buffer and a.offset == b.offset and a.shape == b.shape and same


def _find_source(
    values: Values, makers: dict[int, Node], atom: Atom
) -> tuple[Variable, list[Node]] | None:
    """The value that is moved into an input of a concatenation, and the nodes that move it."""
    moves: list[Node] = []
    while isinstance(atom, Variable) and values.uses.get(id(atom)) == 1:
        node = makers.get(id(atom))
        if node is None or 0 in atom.type.shape or not atom.type.shape:
            return None
        if node.primitive.name in MAKERS:
            return atom, moves
        if node.primitive.name not in ("transpose", "reshape"):
            return None
        moves.append(node)
        atom = node.inputs[0]
    return None


def _turn_back(view: View, moves: list[Node], atom: Atom) -> View | None:
    """The place of a value, from that of what it is moved to."""
    for node in moves:
        shape = node.inputs[0].type.shape
        if node.primitive.name == "reshape":
            turned = reshape_view(view, shape)
            if turned is None:
                return None
            view = turned
        else:
            steps = [0] * len(shape)
            for place, axis in enumerate(node.parameters["axes"]):
                steps[axis] = view.strides[place]
            view = View(view.buffer, view.offset, tuple(steps), shape, view.dtype)
    return view

"""What is the same all over is repeated inside of a loop, for nothing, instead of read there."""

from __future__ import annotations

from dataclasses import replace

from ..ir import Atom, Graph, Node, Variable
from .rewriting import make_uniform, uniform_value


def take_in_repeated(node: Node, made: dict[int, Node]) -> Node:
    """A scan without inputs that are only repeated: along their axes, or from step to step.

    Args:
        node: the scan.
        made: the node that makes each value, by the value's id.
    """
    body, constants = node.parameters["body"], node.parameters["constants"]
    first = constants + node.parameters["carry"]
    fixed: list[tuple[Atom, Variable]] = []
    sequences: list[tuple[Atom, Variable]] = []
    front: list[Node] = []
    known: dict[int, Atom] = {}  # what stands for an input of the body
    for position, (atom, variable) in enumerate(zip(node.inputs, body.inputs, strict=True)):
        if constants <= position < first:
            continue
        moves = position >= first
        source, value = made.get(id(atom)), uniform_value(atom)
        axes = () if source is None else source.parameters.get("axes", ())
        if moves and value is not None:
            known[id(variable)] = make_uniform(value, variable.type)
        elif source is None or source.primitive.name != "broadcast" or (moves and 0 not in axes):
            (sequences if moves else fixed).append((atom, variable))
        else:
            given = Variable(source.inputs[0].type, variable.name)
            fixed.append((source.inputs[0], given))
            # The axis of the steps is the first one.
            inner = tuple(axis - 1 for axis in axes if axis) if moves else axes
            if inner:
                parameters = {"shape": variable.type.shape, "axes": inner}
                front.append(
                    replace(source, inputs=(given,), parameters=parameters, outputs=(variable,))
                )
            else:
                known[id(variable)] = given
    if not (front or known):
        return node
    nodes = [
        replace(inner, inputs=tuple(known.get(id(a), a) for a in inner.inputs))
        if any(id(a) in known for a in inner.inputs)
        else inner
        for inner in body.nodes
    ]
    outputs = tuple(known.get(id(atom), atom) for atom in body.outputs)
    state = list(zip(node.inputs, body.inputs, strict=True))[constants:first]
    pairs = [*fixed, *state, *sequences]
    inner = Graph(tuple(v for _, v in pairs), (*front, *nodes), outputs, body.name)
    parameters = {**node.parameters, "body": inner, "constants": len(fixed)}
    return replace(node, inputs=tuple(a for a, _ in pairs), parameters=parameters)

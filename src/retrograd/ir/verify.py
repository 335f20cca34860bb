"""Checks that a Graph keeps the rules of the program form."""

from __future__ import annotations

from ..errors import RetrogradError, VerificationError
from .graph import Constant, Graph, Node
from .text import format_node


def verify(graph: Graph, stage: str = "") -> None:
    """Check that every value is defined before use, once, and has the type its rule gives.

    Args:
        graph: the program, checked with the Graphs inside its nodes.
        stage: what made it, named in the message (a pass, a transform).

    Raises:
        VerificationError: names the stage and the node.
    """
    after = f" after {stage}" if stage else ""
    defined: set[int] = set()
    for variable in graph.inputs:
        if id(variable) in defined:
            raise VerificationError(f"{graph.name}{after}: one Variable is two inputs.")
        defined.add(id(variable))
    for node in graph.nodes:
        _verify_node(graph, node, defined, after)
        for inner in node.graphs():
            verify(inner, stage)
    for position, atom in enumerate(graph.outputs):
        if not isinstance(atom, Constant) and id(atom) not in defined:
            raise VerificationError(f"{graph.name}{after}: output {position} is not defined.")


def _verify_node(graph: Graph, node: Node, defined: set[int], after: str) -> None:
    place = f"{graph.name}{after}, node `{format_node(node)}`"
    for position, atom in enumerate(node.inputs):
        if isinstance(atom, Constant):
            value = atom.value
            if value.dtype != atom.type.dtype or value.shape != atom.type.shape:
                raise VerificationError(f"{place}: constant input {position} is not {atom.type}.")
        elif id(atom) not in defined:
            raise VerificationError(f"{place}: input {position} is used before it is defined.")
    try:
        expected = node.primitive.infer(*(atom.type for atom in node.inputs), **node.parameters)
    except RetrogradError as error:
        raise VerificationError(f"{place}: the type rule refuses it: {error}") from error
    actual = tuple(variable.type for variable in node.outputs)
    if tuple(expected) != actual:
        raise VerificationError(
            f"{place}: the type rule gives {', '.join(map(str, expected))}, "
            f"the node says {', '.join(map(str, actual))}."
        )
    for variable in node.outputs:
        if id(variable) in defined:
            raise VerificationError(f"{place}: an output is defined twice.")
        defined.add(id(variable))

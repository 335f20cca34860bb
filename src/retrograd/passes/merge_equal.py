"""Nodes that compute the same from the same inputs, as one (common subexpressions).

Draws of random numbers are functions of their key: those from one state are equal, those from
different states are not. What `checkpoint` computes again lies in a Graph of its own and is never
merged with what lies outside; nodes that hold Graphs are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..ir import Atom, Constant, Graph, Node
from .rewriting import inside_too, uniform_value

SMALL = 64
"""Bytes of a constant that is compared by value; larger ones are compared by identity."""


@inside_too
def merge_equal(graph: Graph) -> Graph:
    """One node in the place of several with the same primitive, parameters and inputs."""
    known: dict[Any, Node] = {}
    names: dict[int, Any] = {}  # what a value is compared by
    replaced: dict[int, Atom] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = node.inputs
        if replaced and any(id(atom) in replaced for atom in inputs):
            inputs = tuple(replaced.get(id(atom), atom) for atom in inputs)
            node = replace(node, inputs=inputs)
        if node.primitive.holds_graphs:
            nodes.append(node)
            continue
        key = (
            node.primitive.name,
            tuple([_name(a, names) if isinstance(a, Constant) else id(a) for a in inputs]),
            _describe(node.parameters) if node.parameters else None,
        )
        try:
            first = known.setdefault(key, node)
        except TypeError:  # a parameter that cannot be compared
            first = node
        if first is node:
            nodes.append(node)
        else:
            replaced.update((id(v), w) for v, w in zip(node.outputs, first.outputs, strict=True))
    if not replaced:
        return graph
    outputs = tuple(replaced.get(id(atom), atom) for atom in graph.outputs)
    return Graph(graph.inputs, tuple(nodes), outputs, graph.name)


def _describe(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """The parameters in order; floats by their digits, as 0 and -0 are equal."""
    return tuple(
        [
            (key, repr(value) if type(value) is float else value)
            for key, value in sorted(parameters.items())
        ]
    )


def _name(atom: Constant, names: dict[int, Any]) -> Any:
    """What a constant is compared by: its value where that is small, else its identity."""
    name = names.get(id(atom))
    if name is None:
        value, type = atom.value, atom.type
        scalar = uniform_value(atom)
        if scalar is not None:
            name = (type.dtype.char, type.shape, scalar.tobytes())
        elif value.nbytes <= SMALL:
            name = (type.dtype.char, type.shape, value.tobytes(), None)
        else:
            name = id(atom)
        names[id(atom)] = name
    return name

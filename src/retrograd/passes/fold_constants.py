"""What depends on constants only is computed once, by NumPy, when the program is made.

The bits may change where NumPy's functions and those of the machine code round differently.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import RetrogradError
from ..ir import Atom, Constant, Graph, Node
from ..ir.types import ArrayType
from .rewriting import inside_too, make_uniform, uniform_value

MOST_ELEMENTS = 4096
"""Of inputs and outputs: beyond, a program would grow by what it holds."""
MOVES = ("reshape", "transpose", "broadcast", "slice", "flip")


@inside_too
def fold_constants(graph: Graph) -> Graph:
    """Nodes whose inputs are all constant, as constants."""
    folded: dict[int, Constant] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if not node.inputs:
            nodes.append(node)
            continue
        inputs: list[Atom] = [folded.get(id(atom), atom) for atom in node.inputs]
        values = [atom for atom in inputs if isinstance(atom, Constant)]
        results = _fold(node, values) if len(values) == len(inputs) else None
        if results is not None:
            folded.update((id(v), c) for v, c in zip(node.outputs, results, strict=True))
        elif folded and any(id(atom) in folded for atom in node.inputs):
            moved = tuple(inputs)
            nodes.append(replace(node, inputs=moved))
        else:
            nodes.append(node)
    if not folded:
        return graph
    outputs = tuple(folded.get(id(atom), atom) for atom in graph.outputs)
    return Graph(graph.inputs, tuple(nodes), outputs, graph.name)


def _fold(node: Node, inputs: list[Constant]) -> list[Constant] | None:
    """The outputs of a node; None where it is too large, or NumPy refuses it."""
    if node.primitive.holds_graphs:
        return None
    types = [variable.type for variable in node.outputs]
    scalars = [uniform_value(atom) for atom in inputs]
    try:
        if all(scalar is not None for scalar in scalars) and types[0].size:
            if node.primitive.name in MOVES:
                return [make_uniform(scalars[0], types[0])]
            if node.primitive.elementwise:
                results = _evaluate(node, [np.asarray(scalar) for scalar in scalars])
                return [make_uniform(r, t) for r, t in zip(results, types, strict=True)]
        if any(type.size > MOST_ELEMENTS for type in (*types, *(atom.type for atom in inputs))):
            return None
        return [
            _constant(result, type)
            for result, type in zip(
                _evaluate(node, [atom.value for atom in inputs]), types, strict=True
            )
        ]
    except RetrogradError:  # an index out of range: the program says so when it runs
        return None


def _evaluate(node: Node, arrays: list[Any]) -> Any:
    with np.errstate(all="ignore"):
        return node.primitive.evaluate(*arrays, **node.parameters)


def _constant(result: Any, type: ArrayType) -> Constant:
    value = np.array(result, type.dtype, order="C").reshape(type.shape)
    value.flags.writeable = False
    return Constant(value, type)

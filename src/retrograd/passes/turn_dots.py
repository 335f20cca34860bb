"""A dot whose result is only used transposed is computed in that order.

The gradient of the weights of a linear layer is such a dot. What reads it then finds its elements
side by side.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ..ir import Graph, Node
from .rewriting import inside_too


@inside_too
def turn_dots(graph: Graph) -> Graph:
    """`transpose(dot(a, b))` as `dot(b, a)` where that is the transposition."""
    uses = Counter(id(atom) for node in graph.nodes for atom in node.inputs)
    uses.update(id(atom) for atom in graph.outputs)
    dots = {
        id(node.outputs[0]): node
        for node in graph.nodes
        if node.primitive.name == "dot" and uses[id(node.outputs[0])] == 1
    }
    turned: dict[int, Node] = {}
    gone: set[int] = set()
    for node in graph.nodes:
        dot = dots.get(id(node.inputs[0])) if node.primitive.name == "transpose" else None
        if dot is None or node.parameters["axes"] != _exchange(dot):
            continue
        a, b = dot.inputs
        parameters = dict(dot.parameters)
        for name in ("contract", "batch"):
            parameters[name] = tuple(reversed(parameters[name]))
        turned[id(node)] = replace(dot, inputs=(b, a), parameters=parameters, outputs=node.outputs)
        gone.add(id(dot))
    if not turned:
        return graph
    nodes = tuple(turned.get(id(node), node) for node in graph.nodes if id(node) not in gone)
    return Graph(graph.inputs, nodes, graph.outputs, graph.name)


def _exchange(dot: Node) -> tuple[int, ...]:
    """The transposition of the result that exchanging the operands means."""
    a, b = dot.inputs
    batch = len(dot.parameters["batch"][0])
    contract = len(dot.parameters["contract"][0])
    rows = a.type.ndim - batch - contract
    columns = b.type.ndim - batch - contract
    first = batch + rows
    return (*range(batch), *range(first, first + columns), *range(batch, first))

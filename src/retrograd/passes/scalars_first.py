"""Single numbers that depend on the inputs alone are computed before all else.

The factors of an optimizer are such numbers. Computed where they are first needed, they would
stand between loops over the same elements, which then could not become one.
"""

from __future__ import annotations

from ..ir import Constant, Graph, Node
from .rewriting import inside_too


@inside_too
def scalars_first(graph: Graph) -> Graph:
    """The Graph with such nodes in front, in their order."""
    ready = {id(variable) for variable in graph.inputs if variable.type.size == 1}
    front: list[Node] = []
    rest: list[Node] = []
    for node in graph.nodes:
        if (
            not node.primitive.holds_graphs
            and all(variable.type.size == 1 for variable in node.outputs)
            and all(isinstance(atom, Constant) or id(atom) in ready for atom in node.inputs)
        ):
            ready.update([id(variable) for variable in node.outputs])
            front.append(node)
        else:
            rest.append(node)
    nodes = (*front, *rest)
    if all(new is old for new, old in zip(nodes, graph.nodes, strict=True)):
        return graph
    return Graph(graph.inputs, nodes, graph.outputs, graph.name)

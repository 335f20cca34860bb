"""Without what no output depends on: nodes, and outputs, carries and inputs of inner programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..ir import Graph, Node, Variable, prune

Shrunk = dict[tuple[int, tuple[int, ...]], tuple[Graph, Graph]]


def remove_dead_code(graph: Graph) -> Graph:
    """The Graph without nodes whose results are not used; its inputs and outputs stay."""
    return _clean(graph, {})


def _clean(graph: Graph, known: Shrunk) -> Graph:
    """From the last node to the first, so that what an inner program drops is dropped here too."""
    needed = {id(atom) for atom in graph.outputs}
    kept: list[Node] = []
    same = True
    for node in reversed(graph.nodes):
        used = tuple(p for p, variable in enumerate(node.outputs) if id(variable) in needed)
        if not used:
            same = False
            continue
        if node.primitive.holds_graphs:
            smaller = _shrink(node, used, known)
            same = same and smaller is node
            node = smaller
        kept.append(node)
        needed.update([id(atom) for atom in node.inputs])
    if same:
        return graph
    return Graph(graph.inputs, tuple(reversed(kept)), graph.outputs, graph.name)


def _shrink(node: Node, used: tuple[int, ...], known: Shrunk) -> Node:
    if node.primitive.name == "scan":
        return _shrink_scan(node, used, known)
    if node.primitive.name == "checkpoint":
        body = _select(node.parameters["body"], used, known)
        inputs = _find_used(body)
        return _rebuild(node, used, body, inputs, {}, known)
    parameters = {
        key: _select(value, tuple(range(len(value.outputs))), known)
        if isinstance(value, Graph)
        else value
        for key, value in node.parameters.items()
    }
    if all(parameters[key] is value for key, value in node.parameters.items()):
        return node
    return replace(node, parameters=parameters)


def _shrink_scan(node: Node, used: tuple[int, ...], known: Shrunk) -> Node:
    """A carry is needed if its last value is, or a later step reads it for what is needed."""
    body: Graph = node.parameters["body"]
    constants, carry = node.parameters["constants"], node.parameters["carry"]
    wanted = set(used)
    while True:
        outputs = tuple(sorted(wanted))
        smaller = _select(body, outputs, known)
        inputs = _find_used(smaller)
        carried = {p - constants for p in inputs if constants <= p < constants + carry}
        if carried <= wanted:
            break
        wanted |= carried
    carried = {p for p in outputs if p < carry}
    fixed = [p for p in inputs if p < constants]
    sequences = [p for p in inputs if p >= constants + carry]
    counts = {"constants": len(fixed), "carry": len(carried)}
    order = [*fixed, *(constants + p for p in sorted(carried)), *sequences]
    return _rebuild(node, outputs, smaller, order, counts, known)


def _select(body: Graph, outputs: tuple[int, ...], known: Shrunk) -> Graph:
    """The body with some of its outputs, cleaned; one Graph however many nodes hold it."""
    key = (id(body), outputs)
    if key not in known:
        chosen = body
        if len(outputs) < len(body.outputs):
            chosen = Graph(
                body.inputs, body.nodes, tuple(body.outputs[p] for p in outputs), body.name
            )
        known[key] = (body, _clean(prune(chosen), known))
    return known[key][1]


def _find_used(body: Graph) -> list[int]:
    read = {id(atom) for node in body.nodes for atom in node.inputs}
    read.update(id(atom) for atom in body.outputs)
    return [p for p, variable in enumerate(body.inputs) if id(variable) in read]


def _rebuild(
    node: Node,
    outputs: Sequence[int],
    body: Graph,
    inputs: Sequence[int],
    counts: dict[str, int],
    known: Shrunk,
) -> Node:
    """The node with some of its inputs and outputs; the same one where nothing is dropped."""
    if len(inputs) < len(body.inputs):
        key = (id(body), tuple(-1 - p for p in inputs))  # inputs, as outputs are not negative
        if key not in known:
            chosen: tuple[Variable, ...] = tuple(body.inputs[p] for p in inputs)
            known[key] = (body, Graph(chosen, body.nodes, body.outputs, body.name))
        body = known[key][1]
    elif body is node.parameters["body"]:
        return node
    return Node(
        node.primitive,
        tuple(node.inputs[p] for p in inputs),
        {**node.parameters, "body": body, **counts},
        tuple(node.outputs[p] for p in outputs),
        node.source,
        node.path,
    )

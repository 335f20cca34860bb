"""Programs inside of programs: scan and checkpoint become loops around a schedule of their own."""

from __future__ import annotations

from dataclasses import replace

from ..ir import Atom, Graph, Node, Variable
from ..ir.loops import Body, Callback, Repeat, aligned
from ..ir.types import DTYPES
from .arena import plan_arena
from .loop_pieces import cut_loop
from .rewriting import inside_too
from .values import Values


@inside_too
def inline(graph: Graph) -> Graph:
    """The graph with the bodies of custom_gradient in the place of the nodes that hold them."""
    if not any(node.primitive.name == "custom_gradient" for node in graph.nodes):
        return graph
    nodes: list[Node] = []
    known = _copy_nodes(graph, {}, nodes)
    outputs = tuple(known.get(id(atom), atom) for atom in graph.outputs)
    return Graph(graph.inputs, tuple(nodes), outputs, graph.name)


def _copy_nodes(graph: Graph, known: dict[int, Atom], nodes: list[Node]) -> dict[int, Atom]:
    """Append the nodes with new Variables; `known` says what stands for the old ones."""
    for node in graph.nodes:
        inputs = tuple(known.get(id(atom), atom) for atom in node.inputs)
        if node.primitive.name == "custom_gradient":
            body = node.parameters["body"]
            arguments = {id(v): atom for v, atom in zip(body.inputs, inputs, strict=True)}
            inside = _copy_nodes(body, arguments, nodes)
            for variable, atom in zip(node.outputs, body.outputs, strict=True):
                known[id(variable)] = inside.get(id(atom), atom)
            continue
        outputs = tuple(Variable(v.type, v.name) for v in node.outputs)
        known.update((id(old), new) for old, new in zip(node.outputs, outputs, strict=True))
        nodes.append(replace(node, inputs=inputs, outputs=outputs))
    return known


def lower_scan(values: Values, node: Node) -> bool:
    """A loop over the steps; without a step the carry leaves as it came."""
    parameters = node.parameters
    constants, carry, length = (parameters[name] for name in ("constants", "carry", "length"))
    if not length:
        for variable, atom in zip(node.outputs, node.inputs[constants:], strict=False):
            values.known[id(variable)] = values.materialise(atom)
        for variable in node.outputs[carry:]:
            values.known[id(variable)] = values.new(variable.type.dtype, variable.type.shape)
        return True
    pieces, body, cut = cut_loop(parameters["body"], constants, carry, length)
    reverse = parameters["reverse"]
    _repeat(values, node, body, length, reverse, constants, carry, pieces, cut)
    return True


def lower_call(values: Values, node: Node) -> bool:
    """checkpoint: one step, all of whose inputs are constants. Nothing is fused across it."""
    _repeat(values, node, node.parameters["body"], 1, False, len(node.inputs), 0)
    return True


def _repeat(
    values: Values,
    node: Node,
    graph: Graph,
    length: int,
    reverse: bool,
    constants: int,
    carry: int,
    pieces: int = 1,
    cut: frozenset[int] = frozenset(),
) -> None:
    body = lower_body(values, graph)
    if any(isinstance(kernel, Callback) for kernel in body.schedule.kernels):
        # Python is called from one thread, and for all examples at once.
        graph, pieces, cut = node.parameters["body"], 1, frozenset()
        body = lower_body(values, graph)
    inputs = tuple(values.whole(atom) for atom in node.inputs)
    outputs = [values.new(variable.type.dtype, variable.type.shape) for variable in node.outputs]
    numbers = tuple(view.buffer for view in outputs)
    size = body.size
    for number in body.schedule.outputs[:carry]:
        size += 2 * aligned(body.schedule.buffers[number].bytes)
    workspace = values.new(DTYPES["uint8"], (pieces * aligned(size),)).buffer
    values.schedule.kernels.append(
        Repeat(body, length, reverse, constants, carry, inputs, numbers, workspace, pieces, cut)
    )
    for variable, view in zip(node.outputs, outputs, strict=True):
        values.known[id(variable)] = view


def lower_body(values: Values, graph: Graph) -> Body:
    """The kernels of a Graph inside of a node, and their memory; lowered once."""
    key = ",".join(["body", *sorted(values.schedule.without)])
    body = graph.cache.get(key)
    if body is None:
        schedule = values.lower_inside(graph)
        arena = plan_arena(schedule)
        body = graph.cache[key] = Body(schedule, arena.places, arena.size)
    assert isinstance(body, Body)
    return body

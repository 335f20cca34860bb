"""Programs in which nothing fails where they are not wanted.

Many examples at once run both branches of a cond, and the body of a while_loop for those that are
done. What these examples compute there is thrown away, so that it may not be an error either: an
index counts as 0, and a loop does not begin.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import PRIMITIVES, ArrayType, Graph, Node
from ..ir.types import bool_
from ..trace import Array, Recorder, bind, origin_of, read_atom, recording, replay
from .comparison import logical_and_p, where_p
from .elementwise import zeros_like

CHECKED = {
    "gather": 1,
    "gather_along": 1,
    "scatter_add": 1,
    "scatter_add_along": 1,
    "narrow": 0,
}
"""The primitives that refuse values, and the position of the input that is refused."""


def needs_guard(graph: Graph) -> bool:
    """Whether a program may fail, or not end, for some values of its inputs."""
    return any(map(_may_fail, graph.nodes))


def _may_fail(node: Node) -> bool:
    name = node.primitive.name
    return name in CHECKED or name == "while_loop" or any(map(needs_guard, node.graphs()))


def guard(graph: Graph) -> Graph:
    """The program with one more input in front, a bool: whether its outputs are wanted."""
    if "guarded" not in graph.cache:
        recorder = Recorder(graph.name, abstract="a branch")
        with recording(recorder):
            wanted = recorder.add_input(ArrayType(bool_, ()), "wanted")
            values: dict[int, Array] = {
                id(variable): recorder.add_input(variable.type, variable.name)
                for variable in graph.inputs
            }
            for node in graph.nodes:
                inputs = [read_atom(values, atom) for atom in node.inputs]
                with origin_of(node):
                    results = _apply(node, inputs, wanted)
                values.update(
                    (id(variable), result)
                    for variable, result in zip(node.outputs, results, strict=True)
                )
            outputs = [read_atom(values, atom) for atom in graph.outputs]
            graph.cache["guarded"] = recorder.finish(outputs)
    return graph.cache["guarded"]  # type: ignore[no-any-return]


def _apply(node: Node, inputs: Sequence[Array], wanted: Array) -> list[Array]:
    given, parameters = list(inputs), dict(node.parameters)
    name = node.primitive.name
    if name in CHECKED:
        place = CHECKED[name]
        given[place] = _or_zero(given[place], wanted)
    elif _may_fail(node):
        place = {"cond": 1, "custom_gradient": len(given)}.get(name, 0)
        given.insert(place, wanted)
        for key, value in node.parameters.items():
            if isinstance(value, Graph):
                parameters[key] = guard(value)
        if name == "custom_gradient":
            parameters["body"] = _move_last(parameters["body"])
        if name == "while_loop":
            parameters["condition"] = _and_wanted(parameters["condition"])
        if "constants" in parameters:
            parameters["constants"] += 1
    return bind(node.primitive, *given, **parameters)


def _or_zero(indices: Array, wanted: Array) -> Array:
    shape = indices.type.shape
    if shape:
        axes = tuple(range(len(shape)))
        wanted = bind(PRIMITIVES["broadcast"], wanted, shape=shape, axes=axes)[0]
    return bind(where_p, wanted, indices, zeros_like(indices))[0]


def _move_last(graph: Graph) -> Graph:
    """The program whose first input is its last one: it counts as a captured value there."""
    first, *others = graph.inputs
    return Graph((*others, first), graph.nodes, graph.outputs, graph.name)


def _and_wanted(condition: Graph) -> Graph:
    """The condition of a loop that ends at once where it is not wanted."""
    recorder = Recorder(condition.name, abstract="a loop")
    with recording(recorder):
        given: list[Array] = [recorder.add_input(v.type, v.name) for v in condition.inputs]
        alive = replay(condition, given)[0]
        return recorder.finish(bind(logical_and_p, given[0], alive))

"""Many examples at once: the program for one example becomes the program for all of them.

Source: the idea of a batching rule at each primitive is that of vmap in R. Frostig, M. Johnson,
C. Leary, Compiling machine learning programs via high-level tracing, SysML 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

from .ir import Graph, prune
from .ops.batch_rules import repeat, run_node
from .trace import Array, Recorder, read_atom, recording


def run_batched(
    graph: Graph, inputs: Sequence[Array], mapped: Sequence[bool], size: int
) -> tuple[list[Array], list[bool]]:
    """Run the program for all examples: a node without mapped inputs runs once.

    Args:
        graph: the program for one example.
        inputs: one value for each input; the mapped ones have the examples along axis 0.
        mapped: which inputs have one value for each example.
        size: the number of examples.

    Returns:
        The outputs, and which of them have the examples along axis 0.
    """
    values: dict[int, Array] = dict(zip(map(id, graph.inputs), inputs, strict=True))
    moving = {id(v) for v, flag in zip(graph.inputs, mapped, strict=True) if flag}
    for node in graph.nodes:
        arguments = [read_atom(values, atom) for atom in node.inputs]
        flags = [id(atom) in moving for atom in node.inputs]
        outputs, leaving = run_node(node, arguments, flags, size)
        for variable, output, flag in zip(node.outputs, outputs, leaving, strict=True):
            values[id(variable)] = output
            if flag:
                moving.add(id(variable))
    outputs = [read_atom(values, atom) for atom in graph.outputs]
    return outputs, [id(atom) in moving for atom in graph.outputs]


def batch_graph(
    graph: Graph, mapped: Sequence[bool], size: int, wanted: Sequence[bool] = ()
) -> tuple[Graph, tuple[bool, ...]]:
    """The program for all examples, see `Transforms.batch`."""
    recorder = Recorder(f"{graph.name}_batched", abstract="a batched program")
    with recording(recorder):
        inputs: list[Array] = [
            recorder.add_input(v.type.with_shape((size, *v.type.shape)) if flag else v.type, v.name)
            for v, flag in zip(graph.inputs, mapped, strict=True)
        ]
        outputs, leaving = run_batched(graph, inputs, mapped, size)
        for position, flag in enumerate(wanted):
            if flag and not leaving[position]:
                outputs[position], leaving[position] = repeat(outputs[position], size), True
        return prune(recorder.finish(outputs)), tuple(leaving)

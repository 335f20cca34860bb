"""Forward mode: tangents travel with the values, node by node, in the order of the program."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import NotDifferentiableError
from .ir import Graph, Variable, prune
from .ops.elementwise import zeros_like
from .trace import Array, Recorder, bind, get_transforms, origin_of, read_atom, recording


def push_forward(
    graph: Graph, inputs: Sequence[Array], tangents: Sequence[Array | None]
) -> tuple[list[Array], list[Array | None]]:
    """Run the program on values and tangents side by side.

    Args:
        graph: the program.
        inputs: one value for each input.
        tangents: one tangent for each input; None is zero.

    Returns:
        The outputs and their tangents; None is zero.
    """
    values: dict[int, Array] = dict(zip(map(id, graph.inputs), inputs, strict=True))
    moving: dict[int, Array | None] = dict(zip(map(id, graph.inputs), tangents, strict=True))
    for node in graph.nodes:
        arguments = [read_atom(values, atom) for atom in node.inputs]
        arriving = [moving.get(id(atom)) for atom in node.inputs]
        with origin_of(node):
            primitive = node.primitive
            moves = primitive.differentiable and any(t is not None for t in arriving)
            if moves and primitive.holds_graphs:
                outputs, leaving = primitive.jvp(  # type: ignore[operator]
                    arguments, arriving, **node.parameters, transforms=get_transforms()
                )
            else:
                outputs = bind(primitive, *arguments, **node.parameters)
                leaving = [None] * len(outputs)
                if moves:
                    if isinstance(primitive.jvp, str):
                        raise NotDifferentiableError(
                            f"{primitive.name} has no forward-mode derivative."
                        )
                    leaving = primitive.jvp(arguments, arriving, outputs, **node.parameters)
        for variable, output, tangent in zip(node.outputs, outputs, leaving, strict=True):
            values[id(variable)] = output
            moving[id(variable)] = tangent
    outputs = [read_atom(values, atom) for atom in graph.outputs]
    leaving = [
        moving.get(id(atom)) if isinstance(atom, Variable) else None for atom in graph.outputs
    ]
    return outputs, leaving


def jvp_graph(graph: Graph, active: Sequence[int]) -> tuple[Graph, tuple[int, ...]]:
    """The program that also carries tangents.

    Args:
        graph: a program.
        active: positions of the inputs that have tangents.

    Returns:
        A program from the inputs, then one tangent for each active input, to the outputs, then
        one tangent for each floating output; and the positions of the floating outputs.
    """
    recorder = Recorder(f"{graph.name}_jvp", abstract="a gradient program")
    with recording(recorder):
        inputs: list[Array] = [recorder.add_input(v.type, v.name) for v in graph.inputs]
        tangents: list[Array | None] = [None] * len(inputs)
        for position in active:
            tangents[position] = recorder.add_input(graph.inputs[position].type, "tangent")
        outputs, leaving = push_forward(graph, inputs, tangents)
        floating = tuple(i for i, output in enumerate(outputs) if output.type.floating)
        moved = [zeros_like(outputs[i]) if (t := leaving[i]) is None else t for i in floating]
        return prune(recorder.finish([*outputs, *moved])), floating

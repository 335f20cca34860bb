"""Backpropagation: the chain rule, applied to a recorded program from its outputs to its inputs.

For every node `y = f(x)` on a path from the wanted inputs to the outputs, the cotangent of x is the
sum over all uses of `J_f(x)^T` times the cotangent of y. The forward walk applies the first half of
each backward rule, which keeps what the gradient needs (the residuals); the backward walk visits
the nodes in reverse order and applies the second half. Both walks go through `bind`, so that the
result is an ordinary program.

Source: S. Linnainmaa, The representation of the cumulative rounding error of an algorithm as a
Taylor expansion of the local rounding errors (1970); D. Rumelhart, G. Hinton, R. Williams,
Learning representations by back-propagating errors, Nature 323 (1986).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .ir import Constant, Graph, Node, Variable, prune
from .ir.residuals import compute_late
from .ops.arithmetic import accumulate
from .ops.elementwise import zeros_like
from .trace import (
    Array,
    Recorder,
    Tracer,
    bind,
    get_transforms,
    origin_of,
    read_atom,
    recording,
)


@dataclass(slots=True)
class Step:
    """One node on the way of the gradient, with what its backward rule needs."""

    node: Node
    needed: list[bool]
    residuals: Any
    outputs: list[Array]


def find_active(graph: Graph, wanted: Sequence[Variable]) -> set[int]:
    """The ids of the variables that depend on a wanted one in a differentiable way."""
    active = {id(variable) for variable in wanted}
    for node in graph.nodes:
        if node.primitive.differentiable and any(id(atom) in active for atom in node.inputs):
            active.update(id(output) for output in node.outputs if output.type.floating)
    return active


def walk_forward(
    graph: Graph, inputs: Sequence[Array], wanted: Sequence[Variable]
) -> tuple[list[Array], list[Step]]:
    """Run the program forward; nodes that the gradient passes keep their residuals.

    Returns:
        The outputs, and the steps for `walk_backward`.
    """
    active = find_active(graph, wanted)
    values: dict[int, Array] = dict(zip(map(id, graph.inputs), inputs, strict=True))
    steps: list[Step] = []
    for node in graph.nodes:
        arguments = [read_atom(values, atom) for atom in node.inputs]
        needed = [id(atom) in active for atom in node.inputs]
        passes = node.primitive.differentiable and any(needed)
        with origin_of(node):
            if passes:
                outputs, residuals = apply_first_half(node, arguments, needed)
                steps.append(Step(node, needed, residuals, outputs))
            else:
                outputs = bind(node.primitive, *arguments, **node.parameters)
        values.update(zip(map(id, node.outputs), outputs, strict=True))
    return [read_atom(values, atom) for atom in graph.outputs], steps


def apply_first_half(
    node: Node, arguments: Sequence[Array], needed: Sequence[bool]
) -> tuple[list[Array], Any]:
    """The outputs of a node and the residuals of its gradient."""
    rule = node.primitive.forward_with_residuals
    if rule is None:
        outputs = bind(node.primitive, *arguments, **node.parameters)
        return outputs, (tuple(arguments), tuple(outputs))
    extra = {"transforms": get_transforms()} if node.primitive.holds_graphs else {}
    return rule(arguments, needed, **node.parameters, **extra)  # type: ignore[no-any-return]


def walk_backward(
    graph: Graph,
    steps: Sequence[Step],
    cotangents: Sequence[Array | None],
    wanted: Sequence[Variable],
) -> list[Array | None]:
    """Carry cotangents from the outputs back to the wanted variables.

    Args:
        graph: the program.
        steps: what `walk_forward` kept.
        cotangents: one for each output; None is zero.
        wanted: inputs of the program, or values inside of it.

    Returns:
        One cotangent for each wanted variable; None is zero.
    """
    flowing: dict[int, Array | None] = {}
    for atom, cotangent in zip(graph.outputs, cotangents, strict=True):
        if isinstance(atom, Variable) and atom.type.floating:
            flowing[id(atom)] = accumulate(flowing.get(id(atom)), cotangent)
    for step in reversed(steps):
        arriving = [flowing.get(id(variable)) for variable in step.node.outputs]
        if all(cotangent is None for cotangent in arriving):
            continue
        with origin_of(step.node):
            leaving = apply_second_half(step, arriving)
            for atom, needed, cotangent in zip(step.node.inputs, step.needed, leaving, strict=True):
                if needed and cotangent is not None and not isinstance(atom, Constant):
                    flowing[id(atom)] = accumulate(flowing.get(id(atom)), cotangent)
    return [flowing.get(id(variable)) for variable in wanted]


def apply_second_half(step: Step, arriving: Sequence[Array | None]) -> list[Array | None]:
    """The cotangents of a node's inputs."""
    node = step.node
    filled = [
        zeros_like(output) if cotangent is None and output.type.floating else cotangent
        for output, cotangent in zip(step.outputs, arriving, strict=True)
    ]
    extra = {"transforms": get_transforms()} if node.primitive.holds_graphs else {}
    rule = node.primitive.backward
    assert callable(rule)
    leaving: list[Array | None] = rule(
        step.residuals, filled, step.needed, **node.parameters, **extra
    )
    for atom, cotangent in zip(node.inputs, leaving, strict=True):
        if cotangent is not None and cotangent.type != atom.type:
            raise AssertionError(
                f"the backward rule of {node.primitive.name} gives {cotangent.type} for an input "
                f"of type {atom.type}"
            )
    return leaving


def differentiate(graph: Graph, wanted: Sequence[int | Variable]) -> Graph:
    """The program that also computes gradients.

    Args:
        graph: a program.
        wanted: what to differentiate by: positions of inputs, or values inside of the program.

    Returns:
        A program from the inputs, then one cotangent for each floating output, to the outputs,
        then one cotangent for each wanted variable.
    """
    recorder = Recorder(f"{graph.name}_gradient", abstract="a gradient program")
    with recording(recorder):
        inputs: list[Array] = [recorder.add_input(v.type, v.name) for v in graph.inputs]
        variables = [graph.inputs[w] if isinstance(w, int) else w for w in wanted]
        outputs, steps = walk_forward(graph, inputs, variables)
        cotangents = add_cotangent_inputs(recorder, graph)
        gradients = fill_zeros(variables, walk_backward(graph, steps, cotangents, variables))
        return prune(recorder.finish([*outputs, *gradients]))


def split(graph: Graph, positions: Sequence[int], once: bool = False) -> tuple[Graph, Graph, int]:
    """The gradient by some of the inputs as two programs, see `Transforms.split`.

    The backward half is recorded inside the forward half: the forward values that it captures
    are the residuals. Where it runs `once` for each run of the forward half, it computes for
    itself what is cheap to compute from other residuals.
    """
    wanted = [graph.inputs[position] for position in positions]
    forward = Recorder(f"{graph.name}_forward", abstract="a gradient program")
    with recording(forward):
        inputs: list[Array] = [forward.add_input(v.type, v.name) for v in graph.inputs]
        outputs, steps = walk_forward(graph, inputs, wanted)
        own = len(forward.nodes)
        backward = Recorder(f"{graph.name}_backward", abstract="a gradient program")
        with recording(backward):
            cotangents = add_cotangent_inputs(backward, graph)
            anchored = [c for c in cotangents if c is not None]
            gradients = walk_backward(graph, steps, cotangents, wanted)
            half = backward.finish(fill_zeros(wanted, gradients))
        captured = [(array.atom, name) for array, name in backward.captured.values()]
        nodes: list[Node] = []
        if once:
            repeated = [n for n in forward.nodes[:own] if n.primitive.name == "broadcast"]
            late, atoms = forward.nodes[own:], [forward.lift(output) for output in outputs]
            nodes, captured = compute_late([*repeated, *late], atoms, captured)
        residuals = [Tracer(forward, value) for value, _ in captured]
        given = (*(name for _, name in captured), *half.inputs[: len(anchored)])
        backward_graph = prune(Graph(given, (*nodes, *half.nodes), half.outputs, half.name))
        forward_graph = prune(forward.finish([*outputs, *residuals]))
    return forward_graph, backward_graph, len(residuals)


def add_cotangent_inputs(recorder: Recorder, graph: Graph) -> list[Array | None]:
    """One new input for each floating output; None for the others."""
    return [
        recorder.add_input(atom.type, "cotangent") if atom.type.floating else None
        for atom in graph.outputs
    ]


def fill_zeros(wanted: Sequence[Variable], gradients: Sequence[Array | None]) -> list[Array]:
    """Gradients with zeros in the place of None."""
    from .ops.elementwise import zeros_of

    return [
        zeros_of(variable.type) if gradient is None else gradient
        for variable, gradient in zip(wanted, gradients, strict=True)
    ]

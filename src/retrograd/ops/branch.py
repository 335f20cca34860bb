"""cond: a node that holds two Graphs, of which one runs.

Its inputs are `[predicate, operands]`; both Graphs take the operands and give outputs of the same
types. Its gradient is a cond again, over what each branch keeps for its own gradient: the branch
that did not run leaves zeros in the places of its residuals. Branches share these places where
types allow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentTypeError, DTypeError, ShapeError
from ..ir import ArrayType, Constant, Graph, Primitive, Transforms, Variable, declare
from ..ir.types import bool_
from ..trace import Array, Recorder, bind, recording, replay
from .batch_rules import Batched, repeat_unmapped
from .comparison import logical_not_p, where_p
from .elementwise import zeros_of
from .guarding import guard, needs_guard

Branches = tuple[Graph, Graph]


def _infer(
    predicate: ArrayType, *types: ArrayType, on_true: Graph, on_false: Graph
) -> tuple[ArrayType, ...]:
    if predicate.shape != ():
        raise ShapeError(
            f"cond: the predicate must be one bool, received shape {predicate.shape}.",
            fix="use rg.where to choose element by element, or .all() or .any() first",
        )
    if predicate.dtype != bool_:
        raise DTypeError(
            f"cond: the predicate must be a bool, received {predicate.dtype.name}.",
            fix="compare first, e.g. rg.cond(x.sum() > 0, ...)",
        )
    for graph in (on_true, on_false):
        if types != graph.input_types:
            raise ArgumentTypeError(f"{graph.name} takes {graph.input_types}, received {types}.")
    return on_true.output_types


def _evaluate(
    predicate: Any, *arrays: Any, on_true: Graph, on_false: Graph, transforms: Transforms
) -> list[Any]:
    return transforms.evaluate(on_true if predicate else on_false, arrays)


def _jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    *,
    on_true: Graph,
    on_false: Graph,
    transforms: Transforms,
) -> tuple[list[Array], list[Array | None]]:
    active = [order for order, tangent in enumerate(tangents[1:]) if tangent is not None]
    (first, floating), (second, _) = (
        transforms.jvp(graph, active) for graph in (on_true, on_false)
    )
    moving = [tangent for tangent in tangents[1:] if tangent is not None]
    results = bind(cond_p, *primals, *moving, on_true=first, on_false=second)
    count = len(on_true.outputs)
    leaving: list[Array | None] = [None] * count
    for order, position in enumerate(floating):
        leaving[position] = results[count + order]
    return results[:count], leaving


# -- the gradient ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Kept:
    """What the backward rule needs.

    Args:
        inputs: the predicate and the operands.
        places: the values that the branch that ran has kept.
        halves: the backward half of each branch.
        sources: where each branch finds its residuals: ("input", position), ("place", number) or
            ("constant", Array).
        wanted: the operands that are differentiated by.
    """

    inputs: list[Array]
    places: list[Array]
    halves: Branches
    sources: tuple[list[tuple[str, Any]], list[tuple[str, Any]]]
    wanted: list[int]


def _forward(
    inputs: Sequence[Array],
    needed: Sequence[bool],
    *,
    on_true: Graph,
    on_false: Graph,
    transforms: Transforms,
) -> tuple[list[Array], _Kept]:
    wanted = [order for order, flag in enumerate(needed[1:]) if flag]
    total = len(on_true.outputs)
    types: list[ArrayType] = []  # of the places
    halves, sources, chosen = [], [], []
    for graph in (on_true, on_false):
        forward, backward, count = transforms.split(graph, wanted)
        free = list(range(len(types)))
        found: list[tuple[str, Any]] = []
        atoms: dict[int, Any] = {}  # what stands in each place
        given = {id(variable): order for order, variable in enumerate(forward.inputs)}
        known: dict[int, int] = {}
        for atom in forward.outputs[total : total + count]:
            if isinstance(atom, Constant):
                found.append(("constant", Array(atom.value)))
            elif id(atom) in given:
                found.append(("input", given[id(atom)]))
            else:
                place = known.get(id(atom))
                if place is None:
                    place = next((p for p in free if types[p] == atom.type), len(types))
                    if place == len(types):
                        types.append(atom.type)
                    else:
                        free.remove(place)
                    known[id(atom)] = place
                atoms[place] = atom
                found.append(("place", place))
        halves.append(backward)
        sources.append(found)
        chosen.append((forward, atoms))
    steps = []
    for forward, atoms in chosen:
        kept = tuple(
            atoms.get(place) or Constant(zeros_of(type).concrete(), type)
            for place, type in enumerate(types)
        )
        outputs = (*forward.outputs[:total], *kept)
        steps.append(Graph(forward.inputs, forward.nodes, outputs, forward.name))
    results = bind(cond_p, *inputs, on_true=steps[0], on_false=steps[1])
    residuals = _Kept(
        list(inputs), results[total:], (halves[0], halves[1]), (sources[0], sources[1]), wanted
    )
    return results[:total], residuals


def _backward(
    residuals: _Kept,
    cotangents: Sequence[Array | None],
    needed: Sequence[bool],
    *,
    on_true: Graph,
    on_false: Graph,
    transforms: Transforms,
) -> list[Array | None]:
    predicate, *operands = residuals.inputs
    arriving = [cotangent for cotangent in cotangents if cotangent is not None]
    arguments = [*operands, *residuals.places, *arriving]
    count = len(operands)
    last = count + len(residuals.places)
    graphs = []
    for half, sources in zip(residuals.halves, residuals.sources, strict=True):
        recorder = Recorder(half.name, abstract="a gradient program")
        with recording(recorder):
            given: list[Array] = [recorder.add_input(value.type) for value in arguments]
            starts = {"input": 0, "place": count}
            kept = [
                where if kind == "constant" else given[starts[kind] + where]
                for kind, where in sources
            ]
            graphs.append(recorder.finish(replay(half, [*kept, *given[last:]])))
    results = bind_branches(predicate, arguments, (graphs[0], graphs[1]))
    leaving: list[Array | None] = [None] * len(needed)
    for order, value in zip(residuals.wanted, results, strict=True):
        leaving[1 + order] = value
    return leaving


def bind_branches(predicate: Array, operands: Sequence[Array], graphs: Branches) -> list[Array]:
    """A cond without the operands that neither branch reads."""
    read = [_find_read(graph) for graph in graphs]
    used = [p for p in range(len(operands)) if p in read[0] or p in read[1]]
    first, second = (
        Graph(tuple(graph.inputs[p] for p in used), graph.nodes, graph.outputs, graph.name)
        for graph in graphs
    )
    return bind(cond_p, predicate, *(operands[p] for p in used), on_true=first, on_false=second)


def _find_read(graph: Graph) -> set[int]:
    atoms = {id(atom) for node in graph.nodes for atom in node.inputs}
    atoms.update(map(id, graph.outputs))
    return {p for p, variable in enumerate(graph.inputs) if id(variable) in atoms}


# -- many examples ---------------------------------------------------------------------------------


def _batch(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    on_true: Graph,
    on_false: Graph,
    transforms: Transforms,
) -> Batched:
    """A predicate for each example: both branches run, and each example takes its own.

    Nothing fails in a branch for the examples that do not take it.
    """
    flags = mapped[1:]
    if not mapped[0]:
        either = [False] * len(on_true.outputs)
        for graph in (on_true, on_false):
            leaving = transforms.batch(graph, flags, size)[1]
            either = [a or b for a, b in zip(either, leaving, strict=True)]
        first, second = (
            transforms.batch(graph, flags, size, either)[0] for graph in (on_true, on_false)
        )
        return bind(primitive, *inputs, on_true=first, on_false=second), either
    results = []
    for graph, taken in ((on_true, True), (on_false, False)):
        given, arriving = list(inputs[1:]), list(flags)
        if needs_guard(graph):
            wanted = inputs[0] if taken else bind(logical_not_p, inputs[0])[0]
            graph, given, arriving = guard(graph), [wanted, *given], [True, *arriving]
        batched, leaving = transforms.batch(graph, arriving, size)
        results.append(repeat_unmapped(replay(batched, given), leaving, size))
    return choose(inputs[0], *results), [True] * len(on_true.outputs)


def choose(predicates: Array, first: Sequence[Array], second: Sequence[Array]) -> list[Array]:
    """For each example the first values or the second ones."""
    from .shape import broadcast_p

    chosen = []
    for a, b in zip(first, second, strict=True):
        condition = predicates
        axes = tuple(range(1, a.type.ndim))
        if axes:
            condition = bind(broadcast_p, predicates, shape=a.type.shape, axes=axes)[0]
        chosen.append(bind(where_p, condition, a, b)[0])
    return chosen


cond_p = declare(
    "cond",
    infer=_infer,
    evaluate=_evaluate,
    jvp=_jvp,
    backward=_backward,
    forward_with_residuals=_forward,
    batch=_batch,
    holds_graphs=True,
)


def share_inputs(graphs: Sequence[Graph], counts: Sequence[int]) -> list[Graph]:
    """Graphs that all take the same inputs: their own, then what each of them has captured.

    Args:
        graphs: their last inputs are captured values.
        counts: how many of these each has.
    """
    own = len(graphs[0].inputs) - counts[0]
    result = []
    for graph in graphs:
        inputs = list(graph.inputs[:own])
        for other, count in zip(graphs, counts, strict=True):
            captured = other.inputs[len(other.inputs) - count :] if count else ()
            mine = other is graph
            inputs += captured if mine else [Variable(v.type, v.name) for v in captured]
        result.append(Graph(tuple(inputs), graph.nodes, graph.outputs, graph.name))
    return result

"""The node of while_loop: two Graphs, a condition and a body; the number of steps is not known.

Its inputs are `[constants, carry]`, its outputs the last carry. Both Graphs take all inputs; the
condition gives one bool, the body the next carry. There is no gradient: what it needs would be as
many residuals as there are steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from ..errors import ArgumentTypeError, NotDifferentiableError
from ..ir import ArrayType, Graph, Primitive, Transforms, declare, prune
from ..trace import Array, Recorder, bind, recording, replay
from .batch_rules import Batched, as_shape, repeat
from .branch import choose
from .elementwise import zeros_like
from .guarding import guard, needs_guard


def _infer(
    *types: ArrayType, condition: Graph, body: Graph, constants: int
) -> tuple[ArrayType, ...]:
    for graph in (condition, body):
        if types != graph.input_types:
            raise ArgumentTypeError(f"{graph.name} takes {graph.input_types}, received {types}.")
    return types[constants:]


def _evaluate(
    *arrays: Any, condition: Graph, body: Graph, constants: int, transforms: Transforms
) -> list[Any]:
    fixed, state = arrays[:constants], list(arrays[constants:])
    while transforms.evaluate(condition, [*fixed, *state])[0]:
        state = transforms.evaluate(body, [*fixed, *state])
    return state


def _jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    *,
    condition: Graph,
    body: Graph,
    constants: int,
    transforms: Transforms,
) -> tuple[list[Array], list[Array | None]]:
    """The tangents of the carry are carried beside it."""
    count = len(primals)
    active = [
        position
        for position, variable in enumerate(body.inputs)
        if variable.type.floating and (position >= constants or tangents[position] is not None)
    ]
    graph, floating = transforms.jvp(body, active)
    fixed = [order for order, position in enumerate(active) if position < constants]
    moving = [order for order, position in enumerate(active) if position >= constants]
    own = [*range(constants), *(count + k for k in fixed)]
    state = [*range(constants, count), *(count + k for k in moving)]
    order = [*own, *state]
    outputs = [*range(len(body.outputs)), *(len(body.outputs) + k for k in range(len(floating)))]
    step = Graph(
        tuple(graph.inputs[p] for p in order),
        graph.nodes,
        tuple(graph.outputs[p] for p in outputs),
        graph.name,
    )
    values = dict(enumerate(primals))
    for k, position in enumerate(active):
        tangent = tangents[position]
        values[count + k] = zeros_like(primals[position]) if tangent is None else tangent
    given = [values[p] for p in order]
    results = bind(
        while_p,
        *given,
        condition=_widen(condition, order, [value.type for value in given]),
        body=step,
        constants=len(own),
    )
    total = len(body.outputs)
    leaving: list[Array | None] = [None] * total
    for k, position in enumerate(floating):
        leaving[position] = results[total + k]
    return results[:total], leaving


def _widen(condition: Graph, order: Sequence[int], types: Sequence[ArrayType]) -> Graph:
    """The condition with inputs that it does not read; `order` says which are its own."""
    recorder = Recorder(condition.name, abstract="a loop")
    with recording(recorder):
        given: list[Array] = [recorder.add_input(type) for type in types]
        own = dict(zip(order, given, strict=True))
        arguments = [own[position] for position in range(len(condition.inputs))]
        return recorder.finish(replay(condition, arguments))


def _backward(*arguments: Any, **parameters: Any) -> NoReturn:
    raise NotDifferentiableError(
        "while_loop has no gradient: the number of its steps is not known, so that there is no "
        "room for what each of them would have to keep.",
        fix="use rg.scan with a number of steps that is enough (rg.where keeps the carry of a loop "
        "that is done), rg.stop_gradient around the loop, or rg.jvp",
    )


def _batch(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    condition: Graph,
    body: Graph,
    constants: int,
    transforms: Transforms,
) -> Batched:
    """It runs while any example goes on; those that are done keep their values."""
    fixed, carried = list(mapped[:constants]), list(mapped[constants:])
    while True:
        flags = [*fixed, *carried]
        going, (apart,) = transforms.batch(condition, flags, size)
        if apart:
            carried = [True] * len(carried)
            flags = [*fixed, *carried]
            going = transforms.batch(condition, flags, size)[0]
        # The step of an example that is done is thrown away, and may not fail.
        guards = apart and needs_guard(body)
        step, leaving = (
            transforms.batch(guard(body), [True, *flags], size, carried)
            if guards
            else transforms.batch(body, flags, size, carried)
        )
        if list(leaving) == carried:
            break
        carried = list(leaving)
    given = [
        repeat(value, size) if wanted and not flag else value
        for value, wanted, flag in zip(inputs, flags, mapped, strict=True)
    ]
    if apart:
        types = [value.type for value in given]
        going, step = _keep_finished(going, step, types, constants, guards)
    return bind(primitive, *given, condition=going, body=step, constants=constants), carried


def _keep_finished(
    going: Graph, step: Graph, types: Sequence[ArrayType], constants: int, guards: bool
) -> tuple[Graph, Graph]:
    """The condition that any example goes on, and the step in which only those do.

    Args:
        guards: whether the step takes first which examples go on.
    """
    from .reduce import any as any_of

    graphs = []
    for kind in ("condition", "body"):
        recorder = Recorder(f"{step.name}_{kind}", abstract="a loop")
        with recording(recorder):
            given: list[Array] = [recorder.add_input(type) for type in types]
            alive = replay(going, given)[0]
            if kind == "condition":
                outputs = [as_shape(any_of(alive), ())]
            else:
                after = replay(step, [alive, *given] if guards else given)
                outputs = choose(alive, after, given[constants:])
            graphs.append(prune(recorder.finish(outputs)))
    return graphs[0], graphs[1]


while_p = declare(
    "while_loop",
    infer=_infer,
    evaluate=_evaluate,
    jvp=_jvp,
    backward=_backward,
    batch=_batch,
    holds_graphs=True,
)

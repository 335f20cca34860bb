"""Long scans as scans of short ones: only the carry between these is kept for the gradient."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import PRIMITIVES, Graph
from ..trace import Array, Recorder, bind, recording
from .scan import scan_p
from .shape import reshape, slice_axis


def run_steps(
    body: Graph,
    constants: Sequence[Array],
    carry: Sequence[Array],
    sequences: Sequence[Array],
    length: int,
    reverse: bool,
    every: int,
) -> list[Array]:
    """The final carry and the stacked outputs of a loop.

    Args:
        body: one step, as in scan.py.
        constants, carry, sequences: the inputs of the loop.
        length: the number of steps.
        reverse: from the last step to the first.
        every: after how many steps the carry is kept; the steps between are computed again.
    """
    if every >= length:
        return _bind(body, constants, carry, sequences, length, reverse)
    count, rest = divmod(length, every)
    # In the order in which steps run, whole chunks come first.
    first, last = (rest, length) if reverse else (0, count * every)
    whole = [slice_axis(x, 0, first, last) if rest else x for x in sequences]
    chunks = [reshape(x, (count, every, *x.type.shape[1:])) for x in whole]
    fixed, moving = len(constants), len(carry)
    step = _chunk(body, fixed, moving, every, reverse)
    results = _bind(step, constants, carry, chunks, count, reverse)
    state = results[: len(carry)]
    stacked = [reshape(y, (count * every, *y.type.shape[2:])) for y in results[len(carry) :]]
    if not rest:
        return [*state, *stacked]
    left = [slice_axis(x, 0, *((0, rest) if reverse else (last, length))) for x in sequences]
    checkpoint = PRIMITIVES["checkpoint"]
    ending = _chunk(body, fixed, moving, rest, reverse).nodes[0].parameters["body"]
    results = bind(checkpoint, *constants, *state, *left, body=ending)
    concatenate = PRIMITIVES["concatenate"]
    joined = [
        bind(concatenate, *((b, a) if reverse else (a, b)), axis=0)[0]
        for a, b in zip(stacked, results[len(carry) :], strict=True)
    ]
    return [*results[: len(carry)], *joined]


def _bind(
    body: Graph,
    constants: Sequence[Array],
    carry: Sequence[Array],
    sequences: Sequence[Array],
    length: int,
    reverse: bool,
) -> list[Array]:
    return bind(
        scan_p,
        *constants,
        *carry,
        *sequences,
        body=body,
        constants=len(constants),
        carry=len(carry),
        length=length,
        reverse=reverse,
    )


def _chunk(body: Graph, constants: int, carry: int, length: int, reverse: bool) -> Graph:
    """Some steps as one: a checkpoint around a shorter loop."""
    inner = Recorder(body.name, abstract="a scan")
    with recording(inner):
        given: list[Array] = [
            inner.add_input(
                v.type if p < constants + carry else v.type.with_shape((length, *v.type.shape))
            )
            for p, v in enumerate(body.inputs)
        ]
        state = given[constants : constants + carry]
        outputs = _bind(body, given[:constants], state, given[constants + carry :], length, reverse)
        steps = inner.finish(outputs)
    outer = Recorder(body.name, abstract="a scan")
    with recording(outer):
        arguments: list[Array] = [outer.add_input(v.type) for v in steps.inputs]
        return outer.finish(bind(PRIMITIVES["checkpoint"], *arguments, body=steps))

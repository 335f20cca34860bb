"""scan: a loop over the leading axis, whose gradient is the reverse loop over stored residuals.

A scan node holds the Graph of one step. Its inputs are `[constants, carry, xs]`, its outputs
`[carry, ys]`; the Graph takes `[constants, carry, x]` and gives `[carry, y]`. Backpropagation
through it is backpropagation through time: the forward loop also stacks the residuals of each
step, the backward loop runs over them in reverse.

Source: P. Werbos, Backpropagation through time: what it does and how to do it, Proceedings of
the IEEE 78 (1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ir import ArrayType, Constant, Graph, Primitive, Transforms, declare, prune
from ..trace import Array, Recorder, bind, recording, replay
from .arithmetic import add_p
from .batch_rules import Batched, move_axis, repeat
from .elementwise import zeros_like


def _infer_scan(
    *types: ArrayType, body: Graph, constants: int, carry: int, length: int, reverse: bool
) -> tuple[ArrayType, ...]:
    expected = list(body.input_types)
    for position, type in enumerate(types):
        given = type
        if position >= constants + carry:
            if type.ndim == 0 or type.shape[0] != length:
                raise ShapeError(
                    f"scan: an input of shape {type.shape} does not have {length} "
                    "steps on its leading axis."
                )
            given = type.with_shape(type.shape[1:])
        if given != expected[position]:
            raise ShapeError(f"scan: the step takes {expected[position]}, received {given}.")
    outputs = body.output_types
    return (
        *outputs[:carry],
        *(type.with_shape((length, *type.shape)) for type in outputs[carry:]),
    )


def _evaluate_scan(
    *arrays: Any,
    body: Graph,
    constants: int,
    carry: int,
    length: int,
    reverse: bool,
    transforms: Transforms,
) -> tuple[Any, ...]:
    fixed, state = list(arrays[:constants]), list(arrays[constants : constants + carry])
    sequences = arrays[constants + carry :]
    stacked = [np.empty((length, *type.shape), type.dtype) for type in body.output_types[carry:]]
    for step in reversed(range(length)) if reverse else range(length):
        results = transforms.evaluate(body, [*fixed, *state, *(x[step] for x in sequences)])
        state = results[:carry]
        for whole, part in zip(stacked, results[carry:], strict=True):
            whole[step] = part
    return (*state, *stacked)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which inputs of the step are constants, carry and xs, and which take part in gradients."""

    body: Graph
    constants: int
    carry: int

    def group(self, position: int) -> str:
        if position < self.constants:
            return "constant"
        return "carry" if position < self.constants + self.carry else "x"

    def active(self, needed: Sequence[bool]) -> list[int]:
        """Inputs with gradients: the needed ones and, as the state mixes, all floating carry."""
        return [
            position
            for position, variable in enumerate(self.body.inputs)
            if variable.type.floating and (needed[position] or self.group(position) == "carry")
        ]


def _jvp_scan(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    *,
    body: Graph,
    constants: int,
    carry: int,
    length: int,
    reverse: bool,
    transforms: Transforms,
) -> tuple[list[Array], list[Array | None]]:
    layout = _Layout(body, constants, carry)
    active = layout.active([tangent is not None for tangent in tangents])
    graph, floating = transforms.jvp(body, active)
    count_in, count_out = len(body.inputs), len(body.outputs)
    values = dict(enumerate(primals))
    for order, position in enumerate(active):
        tangent = tangents[position]
        values[count_in + order] = zeros_like(primals[position]) if tangent is None else tangent
    groups: dict[str, list[int]] = {"constant": [], "carry": [], "x": []}
    for position in range(count_in):
        groups[layout.group(position)].append(position)
    for order, position in enumerate(active):
        groups[layout.group(position)].append(count_in + order)
    carry_out = [*range(carry), *(count_out + k for k, p in enumerate(floating) if p < carry)]
    y_out = [
        *range(carry, count_out),
        *(count_out + k for k, p in enumerate(floating) if p >= carry),
    ]
    order_in = [*groups["constant"], *groups["carry"], *groups["x"]]
    order_out = [*carry_out, *y_out]
    arranged = _arrange(graph, order_in, order_out)
    results = bind(
        scan_p,
        *(values[p] for p in order_in),
        body=arranged,
        constants=len(groups["constant"]),
        carry=len(carry_out),
        length=length,
        reverse=reverse,
    )
    by_position = dict(zip(order_out, results, strict=True))
    outputs = [by_position[position] for position in range(count_out)]
    leaving: list[Array | None] = [None] * count_out
    for order, position in enumerate(floating):
        leaving[position] = by_position[count_out + order]
    return outputs, leaving


def _arrange(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
    """The graph with its inputs and outputs in another order. Remembered, so that it is one."""
    key = f"arranged {tuple(inputs)} {tuple(outputs)}"
    if key not in graph.cache:
        graph.cache[key] = Graph(
            tuple(graph.inputs[p] for p in inputs),
            graph.nodes,
            tuple(graph.outputs[p] for p in outputs),
            graph.name,
        )
    return graph.cache[key]  # type: ignore[no-any-return]


# -- the gradient: forward with residuals, then backward -----------------------------------------


@dataclass(slots=True)
class _Residuals:
    """What the backward loop needs."""

    layout: _Layout
    backward: Graph
    active: list[int]
    invariant: dict[int, Array]  # residuals that do not depend on the step
    stacked: dict[int, Array]
    count: int


def _scan_forward(
    inputs: Sequence[Array],
    needed: Sequence[bool],
    *,
    body: Graph,
    constants: int,
    carry: int,
    length: int,
    reverse: bool,
    transforms: Transforms,
) -> tuple[list[Array], _Residuals]:
    layout = _Layout(body, constants, carry)
    active = layout.active(needed)
    forward, backward, count = transforms.split(body, active)
    total = len(body.outputs)
    fixed = set(map(id, forward.inputs[:constants]))
    for node in forward.nodes:
        if all(isinstance(atom, Constant) or id(atom) in fixed for atom in node.inputs):
            fixed.update(map(id, node.outputs))
    x_inputs = {
        id(variable): inputs[constants + carry + order]
        for order, variable in enumerate(forward.inputs[constants + carry :])
    }
    invariant: dict[int, Array] = {}
    stacked: dict[int, Array] = {}
    loose: list[int] = []
    once: list[int] = []
    for order in range(count):
        atom = forward.outputs[total + order]
        if isinstance(atom, Constant) or id(atom) in fixed:
            once.append(order)
        elif id(atom) in x_inputs:
            stacked[order] = x_inputs[id(atom)]
        else:
            loose.append(order)
    if once:
        outside = prune(_arrange(forward, range(len(forward.inputs)), [total + k for k in once]))
        hoisted = Graph(outside.inputs[:constants], outside.nodes, outside.outputs, outside.name)
        invariant.update(zip(once, replay(hoisted, inputs[:constants]), strict=True))
    step = _arrange(
        forward, range(len(forward.inputs)), [*range(total), *(total + k for k in loose)]
    )
    results = bind(
        scan_p,
        *inputs,
        body=step,
        constants=constants,
        carry=carry,
        length=length,
        reverse=reverse,
    )
    stacked.update(zip(loose, results[total:], strict=True))
    return results[:total], _Residuals(layout, backward, active, invariant, stacked, count)


def _scan_backward(
    residuals: _Residuals,
    cotangents: Sequence[Array | None],
    needed: Sequence[bool],
    *,
    body: Graph,
    constants: int,
    carry: int,
    length: int,
    reverse: bool,
    transforms: Transforms,
) -> list[Array | None]:
    layout, active = residuals.layout, residuals.active
    once, stacked = sorted(residuals.invariant), sorted(residuals.stacked)
    out_types = body.output_types
    carry_out = [p for p in range(carry) if out_types[p].floating]
    y_out = [p for p in range(carry, len(out_types)) if out_types[p].floating]
    sums = [p for p in active if layout.group(p) == "constant"]
    start: list[Array] = [_given(cotangents[p]) for p in carry_out]
    start += [_zeros(body.inputs[p].type) for p in sums]
    sequences = [residuals.stacked[k] for k in stacked]
    sequences += [_given(cotangents[p]) for p in y_out]
    fixed = [residuals.invariant[k] for k in once]
    step = _backward_step(residuals, carry_out, y_out, sums, once, stacked)
    results = bind(
        scan_p,
        *fixed,
        *start,
        *sequences,
        body=step,
        constants=len(fixed),
        carry=len(start),
        length=length,
        reverse=not reverse,
    )
    leaving: list[Array | None] = [None] * len(body.inputs)
    carried = [p for p in active if layout.group(p) == "carry"]
    xs = [p for p in active if layout.group(p) == "x"]
    for position, value in zip([*carried, *sums, *xs], results, strict=True):
        leaving[position] = value if needed[position] else None
    return leaving


def _backward_step(
    residuals: _Residuals,
    carry_out: list[int],
    y_out: list[int],
    sums: list[int],
    once: list[int],
    stacked: list[int],
) -> Graph:
    """One step backwards: cotangents of the carry and running sums in, the same and x's out."""
    backward, layout, active = residuals.backward, residuals.layout, residuals.active
    key = f"step {once} {stacked}"
    if key in backward.cache:
        return backward.cache[key]  # type: ignore[no-any-return]
    body = layout.body
    recorder = Recorder(f"{backward.name}_step", abstract="a gradient program")
    with recording(recorder):
        values: dict[int, Array] = {}
        for order in once:
            values[order] = recorder.add_input(backward.inputs[order].type)
        arriving: dict[int, Array] = {}
        for position in carry_out:
            arriving[position] = recorder.add_input(body.outputs[position].type, "carry")
        totals = {p: recorder.add_input(body.inputs[p].type, "sum") for p in sums}
        for order in stacked:
            values[order] = recorder.add_input(backward.inputs[order].type)
        for position in y_out:
            arriving[position] = recorder.add_input(body.outputs[position].type, "y")
        arguments = [values[order] for order in range(residuals.count)]
        arguments += [arriving[position] for position in sorted(arriving)]
        leaving = dict(zip(active, replay(backward, arguments), strict=True))
        carried = [leaving[p] for p in active if layout.group(p) == "carry"]
        added = [bind(add_p, totals[p], leaving[p])[0] for p in sums]
        xs = [leaving[p] for p in active if layout.group(p) == "x"]
        backward.cache[key] = prune(recorder.finish([*carried, *added, *xs]))
    return backward.cache[key]  # type: ignore[no-any-return]


def _given(cotangent: Array | None) -> Array:
    assert cotangent is not None
    return cotangent


def _zeros(type: ArrayType) -> Array:
    return Array(np.zeros(type.shape, type.dtype))


def _batch_scan(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    body: Graph,
    constants: int,
    carry: int,
    length: int,
    reverse: bool,
    transforms: Transforms,
) -> Batched:
    """The steps stay on the leading axis; the carry is mapped where the step makes it so."""
    end = constants + carry
    carried = list(mapped[constants:end])
    while True:
        flags = [*mapped[:constants], *carried, *mapped[end:]]
        step, leaving = transforms.batch(body, flags, size, carried)
        if list(leaving[:carry]) == carried:
            break
        carried = list(leaving[:carry])
    given = list(inputs)
    for position, (wanted, flag) in enumerate(zip(flags, mapped, strict=True)):
        if position >= end and flag:
            given[position] = move_axis(inputs[position], 0, 1)
        elif wanted and not flag:
            given[position] = repeat(inputs[position], size)
    results = bind(
        primitive,
        *given,
        body=step,
        constants=constants,
        carry=carry,
        length=length,
        reverse=reverse,
    )
    for position in range(carry, len(results)):
        if leaving[position]:
            results[position] = move_axis(results[position], 1, 0)
    return results, list(leaving)


scan_p = declare(
    "scan",
    infer=_infer_scan,
    evaluate=_evaluate_scan,
    jvp=_jvp_scan,
    backward=_scan_backward,
    forward_with_residuals=_scan_forward,
    batch=_batch_scan,
    holds_graphs=True,
)

"""Lowering of the gradient of a window maximum: every element asks which windows it has won."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from ..ir import Node
from ..ir.loops import Guard, Store
from ..ir.types import bool_, int32
from .merging import append_nest
from .nests import Affine, IndexMap, NestBuilder, View, identity
from .values import EXPRESSIONS, MATERIALISERS, SPLITS, Lazy, Values
from .windows import WRITTEN_OUT, Window, number_of

EXPRESSIONS_AT_ONCE = 120
"""Expressions after which the phases of a scatter go on in another nest."""


@dataclass(frozen=True, slots=True)
class Phase:
    """The elements `start + stride * q` of an axis, and the places of windows that they meet.

    Term j is place `k + j * k_step` of window `q + p - j * p_step`.
    """

    start: int
    count: int
    terms: int
    k: int = 0
    k_step: int = 0
    p: int = 0
    p_step: int = 0


def list_phases(window: Window, axis: int) -> list[Phase]:
    """The elements of an axis, by the remainder of the stride."""
    stride, dilation, low = window.stride[axis], window.dilation[axis], window.low[axis]
    phases = []
    for start in range(min(stride, window.space[axis])):
        count = -(-(window.space[axis] - start) // stride)
        met = [k for k in range(window.size[axis]) if (start + low - k * dilation) % stride == 0]
        if not met:
            phases.append(Phase(start, count, 0))
            continue
        k_step = met[1] - met[0] if len(met) > 1 else 0
        p = (start + low - met[0] * dilation) // stride
        phases.append(Phase(start, count, len(met), met[0], k_step, p, k_step * dilation // stride))
    return phases


def lower_window_scatter(values: Values, node: Node) -> bool:
    """Where the windows tile the image, each element asks its window when it is needed."""
    for atom in node.inputs:
        values.materialise(atom)
    if _tiles(node) and values.uses.get(id(node.outputs[0]), 0) == 1:
        values.known[id(node.outputs[0])] = Lazy(node, 2)
    else:
        _scatter_now(values, node)
    return True


def _window_of_scatter(node: Node) -> Window:
    space = node.outputs[0].type.shape[1:-1]
    return Window.of(node.parameters, space, node.inputs[0].type.shape[1:-1])


def _tiles(node: Node) -> bool:
    """Whether every element is in one window, and the windows lie side by side from the start."""
    window = _window_of_scatter(node)
    covered = tuple(count * n for count, n in zip(window.count, window.size, strict=True))
    plain = not any(window.low) and set(window.dilation) == {1} and min(window.size) > 1
    return plain and window.size == window.stride and covered == window.space


def express_window_scatter(
    values: Values, builder: NestBuilder, node: Node, index: IndexMap
) -> int:
    """One element, where the loops go over windows and places; else the image in memory."""
    window = _window_of_scatter(node)
    windows, places = [], []
    for affine, n, count in zip(index[1:-1], window.size, window.count, strict=True):
        loops = {c: loop for loop, c in enumerate(affine.coefficients) if c}
        used = sum(map(bool, affine.coefficients))
        if affine.offset or set(loops) != {1, n} or used != 2:
            return builder.load(values.materialise(node.outputs[0]), index)
        if (builder.extents[loops[n]], builder.extents[loops[1]]) != (count, n):
            return builder.load(values.materialise(node.outputs[0]), index)
        unit = [int(loop == loops[n]) for loop in range(len(builder.extents))]
        windows.append(Affine(0, tuple(unit)))
        places.append(loops[1])
    source, winners = (values.materialise(atom) for atom in node.inputs)
    at = (index[0], *windows, index[-1])
    return _won(builder, window, at, number_of(builder, window, places), source, winners)


def _scatter_now(values: Values, node: Node) -> None:
    g, winner = node.inputs
    output = node.outputs[0]
    shape = output.type.shape
    target = values.new(output.type.dtype, shape)
    values.known[id(output)] = target
    if 0 in shape:
        return
    window = _window_of_scatter(node)
    source, winners = values.materialise(g), values.materialise(winner)
    groups: dict[tuple[int, ...], list[tuple[Phase, ...]]] = {}
    for phases in product(*(list_phases(window, axis) for axis in range(window.rank))):
        groups.setdefault(tuple(phase.count for phase in phases), []).append(phases)
    for counts, together in groups.items():
        extents = (shape[0], *counts, shape[-1])
        builder = NestBuilder(extents, [False] * len(extents))
        for phases in together:
            if math.prod(phase.terms for phase in phases) > WRITTEN_OUT:
                _scatter_in_loops(values, window, phases, (source, winners, target))
                continue
            if len(builder.expressions) > EXPRESSIONS_AT_ONCE:
                append_nest(values.schedule, builder.build())
                builder = NestBuilder(extents, [False] * len(extents))
            _scatter_written_out(builder, window, phases, (source, winners, target))
        if builder.stores:
            append_nest(values.schedule, builder.build())


EXPRESSIONS["window_scatter"] = express_window_scatter
MATERIALISERS["window_scatter"] = _scatter_now
SPLITS["window_scatter"] = lambda node: dict(enumerate(_window_of_scatter(node).size, 1))


def _scatter_written_out(
    builder: NestBuilder,
    window: Window,
    phases: tuple[Phase, ...],
    views: tuple[View, View, View],
) -> None:
    source, winners, target = views
    index = identity(builder.extents)
    nothing = builder.add("constant", target.dtype, value=0)
    total: int | None = None
    for terms in product(*(range(phase.terms) for phase in phases)):
        pairs = list(zip(phases, terms, strict=True))
        windows = [
            q.scaled(1, phase.p - j * phase.p_step)
            for (phase, j), q in zip(pairs, index[1:-1], strict=True)
        ]
        number = window.number([phase.k + j * phase.k_step for phase, j in pairs])
        wanted = builder.add("constant", int32, value=number)
        term = _won(builder, window, (*index[:1], *windows, *index[-1:]), wanted, source, winners)
        total = term if total is None else builder.add("add", target.dtype, (total, term))
    starts = [
        q.scaled(step, phase.start)
        for phase, q, step in zip(phases, index[1:-1], window.stride, strict=True)
    ]
    access = builder.access(target, (*index[:1], *starts, *index[-1:]))
    builder.stores.append(Store(access, nothing if total is None else total))


def _scatter_in_loops(
    values: Values, window: Window, phases: tuple[Phase, ...], views: tuple[View, View, View]
) -> None:
    """As above, with a reduced axis for the terms along each axis."""
    source, winners, target = views
    shape = (target.shape[0], *(phase.count for phase in phases), target.shape[-1])
    terms = tuple(phase.terms for phase in phases)
    extents = (*shape, *terms)
    builder = NestBuilder(extents, [axis >= len(shape) for axis in range(len(extents))])
    index = identity(extents, range(len(shape)))
    windows, starts = [], []
    number = builder.add("constant", int32, value=window.number([phase.k for phase in phases]))
    weight = window.places
    for axis, (phase, q) in enumerate(zip(phases, index[1:-1], strict=True)):
        steps = list(q.coefficients)
        steps[len(shape) + axis] -= phase.p_step
        windows.append(Affine(phase.p, tuple(steps)))
        starts.append(q.scaled(window.stride[axis], phase.start))
        weight //= window.size[axis]
        j = builder.add("index", int32, value=len(shape) + axis)
        factor = builder.add("constant", int32, value=weight * phase.k_step)
        number = builder.add("add", int32, (number, builder.add("multiply", int32, (j, factor))))
    term = _won(builder, window, (*index[:1], *windows, *index[-1:]), number, source, winners)
    access = builder.access(target, (*index[:1], *starts, *index[-1:]))
    builder.stores.append(Store(access, term, "sum"))
    append_nest(values.schedule, builder.build(), merge=False)


def _won(
    builder: NestBuilder,
    window: Window,
    at: IndexMap,
    wanted: int,
    source: View,
    winners: View,
) -> int:
    """The cotangent of a window whose winner has this number; zero for all other windows.

    Outside of the windows both loads give zero.
    """
    guards = tuple(
        Guard(p.offset, p.coefficients, count) for p, count in zip(at[1:-1], window.count)
    )
    hit = builder.add("equal", bool_, (builder.load(winners, at, guards), wanted))
    nothing = builder.add("constant", source.dtype, value=0)
    return builder.add("where", source.dtype, (hit, builder.load(source, at, guards), nothing))

"""Lowering of windows: small ones written out, large ones as loops over their places."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..ir import Atom, Node
from ..ir.loops import Guard, Store
from ..ir.types import DType, bool_, int32
from .merging import append_nest
from .nests import Affine, IndexMap, NestBuilder, View, identity
from .values import Values

WRITTEN_OUT = 16
"""Places of a window that are written out, at the most."""


@dataclass(frozen=True, slots=True)
class Window:
    """The geometry of a window primitive, for an image of `space`.

    Along each axis, place k of window p meets the element `p * stride + k * dilation - low`.
    """

    space: tuple[int, ...]
    count: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    low: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(cls, parameters: Any, space: Sequence[int], count: Sequence[int]) -> Window:
        low = tuple(sides[0] for sides in parameters["padding"])
        size, stride, dilation = (parameters[name] for name in ("size", "stride", "dilation"))
        return cls(tuple(space), tuple(count), size, stride, low, dilation)

    @property
    def places(self) -> int:
        return math.prod(self.size)

    @property
    def apart(self) -> bool:
        """Whether no window reaches outside, and no element is in two windows."""
        spans = [(n - 1) * d + 1 for n, d in zip(self.size, self.dilation, strict=True)]
        return all(
            step >= span and low <= 0 and (count - 1) * step - low + span <= extent
            for step, span, low, count, extent in zip(
                self.stride, spans, self.low, self.count, self.space, strict=True
            )
        )

    @property
    def rank(self) -> int:
        return len(self.size)

    def number(self, place: Sequence[int]) -> int:
        """The place of an element in its window, counted in row-major order."""
        result = 0
        for k, n in zip(place, self.size, strict=True):
            result = result * n + k
        return result

    def meet(self, windows: IndexMap, places: IndexMap) -> tuple[IndexMap, tuple[Guard, ...]]:
        """The element that meets a place of a window, and what keeps it inside of the image."""
        moved, guards = [], []
        for axis, (p, k) in enumerate(zip(windows, places, strict=True)):
            steps = zip(p.coefficients, k.coefficients, strict=True)
            stride, dilation = self.stride[axis], self.dilation[axis]
            at = Affine(
                p.offset * stride + k.offset * dilation - self.low[axis],
                tuple(a * stride + b * dilation for a, b in steps),
            )
            moved.append(at)
            guards.append(Guard(at.offset, at.coefficients, self.space[axis]))
        return tuple(moved), tuple(guards)


class Reader:
    """Reads an image at the places of windows, in a nest over (batch, *windows, channels).

    Where the windows are large, the nest has one more axis, reduced, for each axis of a place.
    Where no element is in two windows, an image that is still to be computed is computed there.
    """

    def __init__(self, values: Values, window: Window, image: Atom, shape: tuple[int, ...]) -> None:
        self.values, self.window, self.image = values, window, image
        self.at_once = window.apart and values.cost_of(image) > 0
        if not self.at_once:
            self.view = values.materialise(image)
        self.loops = window.places > WRITTEN_OUT
        places = window.size if self.loops else ()
        reduced = [False] * len(shape) + [True] * len(places)
        self.builder = NestBuilder((*shape, *places), reduced)
        self.index = identity(self.builder.extents, range(len(shape)))

    def places(self) -> Iterator[IndexMap]:
        """The places to write out: all, or one that the loops go over."""
        extents = self.builder.extents
        if self.loops:
            yield identity(extents, range(len(extents) - self.window.rank, len(extents)))
            return
        still = (0,) * len(extents)
        for place in product(*map(range, self.window.size)):
            yield tuple(Affine(k, still) for k in place)

    def number(self, place: IndexMap) -> int:
        """The expression of a place's number."""
        if not self.loops:
            value = self.window.number([k.offset for k in place])
            return self.builder.add("constant", int32, value=value)
        first = len(self.builder.extents) - self.window.rank
        return number_of(self.builder, self.window, range(first, first + self.window.rank))

    def read(self, place: IndexMap) -> tuple[int, int | None]:
        """The element at a place (zero outside), and whether it is inside; None if it must be."""
        moved, guards = self.window.meet(self.index[1:-1], place)
        at = (self.index[0], *moved, self.index[-1])
        if self.at_once:
            return self.values.express(self.builder, self.image, at), None
        access = self.builder.access(self.view, at, guards)
        value = self.builder.add("load", self.view.dtype, access=access)
        if not access.guards:
            return value, None
        return value, self.builder.add("inside", bool_, value=access.guards)

    def store(self, target: View, expression: int, reduction: str, position: int | None) -> None:
        access = self.builder.access(target, self.index)
        chosen = reduction if self.loops else None
        self.builder.stores.append(
            Store(access, expression, chosen, position if self.loops else None)
        )


def number_of(builder: NestBuilder, window: Window, axes: Sequence[int]) -> int:
    """The number of the place that loop axes stand for, as int32."""
    total: int | None = None
    weight = window.places
    for axis, n in zip(axes, window.size, strict=True):
        weight //= n
        index = builder.add("index", int32, value=axis)
        factor = builder.add("constant", int32, value=weight)
        term = builder.add("multiply", int32, (index, factor))
        total = term if total is None else builder.add("add", int32, (total, term))
    assert total is not None
    return total


def least(dtype: DType) -> Any:
    return -math.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def lower_window_sum(values: Values, node: Node) -> bool:
    output = node.outputs[0]
    shape, space = output.type.shape, node.inputs[0].type.shape[1:-1]
    target = values.new(output.type.dtype, shape)
    values.known[id(output)] = target
    if 0 in shape:
        return True
    window = Window.of(node.parameters, space, shape[1:-1])
    reader = Reader(values, window, node.inputs[0], shape)
    total: int | None = None
    for place in reader.places():
        value, _ = reader.read(place)
        together = (total, value) if total is not None else None
        total = value if together is None else reader.builder.add("add", target.dtype, together)
    assert total is not None
    reader.store(target, total, "sum", None)
    append_nest(values.schedule, reader.builder.build())
    return True


def lower_window_max(values: Values, node: Node) -> bool:
    """The winner is the first of the largest; NaN is larger than all numbers."""
    x, (output, winner) = node.inputs[0], node.outputs
    dtype, shape = output.type.dtype, output.type.shape
    target, places = values.new(dtype, shape), values.new(int32, shape)
    values.known[id(output)], values.known[id(winner)] = target, places
    if 0 in shape:
        return True
    window = Window.of(node.parameters, x.type.shape[1:-1], shape[1:-1])
    reader = Reader(values, window, x, shape)
    add = reader.builder.add
    lowest = add("constant", dtype, value=least(dtype))
    nobody = add("constant", int32, value=int(np.iinfo(np.int32).max))
    best: int | None = None
    first, met_before = nobody, False
    for place in reader.places():
        value, inside = reader.read(place)
        number = reader.number(place)
        if inside is not None:
            value = add("where", dtype, (inside, value, lowest))
        if best is None:
            best = value
            first = number if inside is None else add("where", int32, (inside, number, nobody))
            met_before = inside is None
            continue
        if dtype.kind == "f":
            below = add("less_equal", bool_, (value, best))
            number_yet = add("equal", bool_, (best, best))
            better = add("logical_not", bool_, (below,))
            better = add("logical_and", bool_, (better, number_yet))
        else:
            better = add("greater", bool_, (value, best))
        if not met_before:  # the least number of all is better than nobody
            met = add("equal", bool_, (first, nobody))
            if inside is not None:
                met = add("logical_and", bool_, (inside, met))
            better = add("logical_or", bool_, (better, met))
            met_before = inside is None
        best = add("where", dtype, (better, value, best))
        first = add("where", int32, (better, number, first))
    assert best is not None
    reader.store(target, best, "max", None)
    if values.uses.get(id(winner), 0):
        reader.store(places, best if reader.loops else first, "argmax", first)
    append_nest(values.schedule, reader.builder.build())
    return True


def lower_window_gather(values: Values, node: Node) -> bool:
    """The element of each window that the winner names."""
    x, winner = node.inputs
    output = node.outputs[0]
    dtype, shape = output.type.dtype, output.type.shape
    target = values.new(dtype, shape)
    values.known[id(output)] = target
    if 0 in shape:
        return True
    window = Window.of(node.parameters, x.type.shape[1:-1], shape[1:-1])
    chosen = values.materialise(winner)
    reader = Reader(values, window, x, shape)
    add = reader.builder.add
    wanted = reader.builder.load(chosen, reader.index)
    result = add("constant", dtype, value=0)
    for place in reader.places():
        value, _ = reader.read(place)
        hit = add("equal", bool_, (wanted, reader.number(place)))
        result = add("where", dtype, (hit, value, result))
    reader.store(target, result, "sum", None)
    append_nest(values.schedule, reader.builder.build())
    return True

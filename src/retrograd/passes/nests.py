"""Builds one loop nest: the expressions that a value needs, read through index maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.loops import Access, Expression, Guard, LoopNest, Store
from ..ir.types import DType


@dataclass(frozen=True, slots=True)
class Affine:
    """An index: `offset + sum(coefficients * loop indices)`."""

    offset: int
    coefficients: tuple[int, ...]

    def scaled(self, step: int, start: int) -> Affine:
        """`start + step * self`."""
        return Affine(start + step * self.offset, tuple(step * c for c in self.coefficients))


IndexMap = tuple[Affine, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A value in memory: a buffer read with an offset and one stride for each axis."""

    buffer: int
    offset: int
    strides: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: DType


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of an array whose elements lie in row-major order."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def identity(extents: Sequence[int], axes: Sequence[int] | None = None) -> IndexMap:
    """The map in which axis i of a value is loop axis `axes[i]`."""
    chosen = range(len(extents)) if axes is None else axes
    return tuple(
        Affine(0, tuple(int(other == axis) for other in range(len(extents)))) for axis in chosen
    )


def split_axes(shape: Sequence[int], inner: dict[int, int]) -> tuple[tuple[int, ...], IndexMap]:
    """The extents of loops over a shape, and its index there.

    Axis a becomes two loops where `inner` has its size of the inner one.
    """
    extents: list[int] = []
    steps: list[list[tuple[int, int]]] = []  # for each axis: (loop, step)
    for axis, size in enumerate(shape):
        part = inner.get(axis, 1)
        steps.append([(len(extents), part)])
        extents.append(size // part)
        if axis in inner:
            steps[-1].append((len(extents), 1))
            extents.append(part)
    index = []
    for pairs in steps:
        coefficients = [0] * len(extents)
        for loop, step in pairs:
            coefficients[loop] = step
        index.append(Affine(0, tuple(coefficients)))
    return tuple(extents), tuple(index)


def is_contiguous(view: View) -> bool:
    """Whether the view reads its elements in row-major order without gaps."""
    expected = row_major(view.shape)
    return all(
        stride == wanted or size == 1
        for stride, wanted, size in zip(view.strides, expected, view.shape)
    )


def reshape_view(view: View, shape: tuple[int, ...]) -> View | None:
    """The view with another shape, if its strides allow that."""
    if is_contiguous(view):
        return View(view.buffer, view.offset, row_major(shape), shape, view.dtype)
    carrier = np.lib.stride_tricks.as_strided(
        np.empty(1, np.int8), view.shape, view.strides, writeable=False
    )
    try:
        other = carrier.view()
        other.shape = shape
    except (AttributeError, ValueError):
        return None
    return View(view.buffer, view.offset, tuple(other.strides), shape, view.dtype)


class NestBuilder:
    """Collects the expressions of one loop nest, each once."""

    def __init__(self, extents: Sequence[int], reduced: Sequence[bool]) -> None:
        self.extents = tuple(extents)
        self.reduced = tuple(reduced)
        self.expressions: list[Expression] = []
        self.stores: list[Store] = []
        self._known: dict[Expression, int] = {}

    def add(
        self,
        kind: str,
        dtype: DType,
        inputs: tuple[int, ...] = (),
        access: Access | None = None,
        value: Any = None,
    ) -> int:
        """The position of an expression, added if it is new."""
        expression = Expression(kind, dtype, inputs, access, value)
        known = self._known.get(expression)
        if known is None:
            known = self._known[expression] = len(self.expressions)
            self.expressions.append(expression)
        return known

    def load(self, view: View, index: IndexMap, guards: tuple[Guard, ...] = ()) -> int:
        """A view read at an index."""
        return self.add("load", view.dtype, access=self.access(view, index, guards))

    def access(self, view: View, index: IndexMap, guards: tuple[Guard, ...] = ()) -> Access:
        """The address of a view's element at an index; guards that always hold are left out."""
        offset = view.offset
        strides = [0] * len(self.extents)
        for affine, stride in zip(index, view.strides, strict=True):
            offset += stride * affine.offset
            for axis, coefficient in enumerate(affine.coefficients):
                strides[axis] += stride * coefficient
        for axis, extent in enumerate(self.extents):
            if extent == 1:
                strides[axis] = 0
        needed = tuple(guard for guard in guards if not self._always_holds(guard))
        return Access(view.buffer, offset, tuple(strides), needed)

    def _always_holds(self, guard: Guard) -> bool:
        reach = [s * (n - 1) for s, n in zip(guard.strides, self.extents, strict=True)]
        low = guard.offset + sum(step for step in reach if step < 0)
        high = guard.offset + sum(step for step in reach if step > 0)
        return low >= 0 and high < guard.limit

    def build(self) -> LoopNest:
        return LoopNest(self.extents, self.reduced, tuple(self.expressions), tuple(self.stores))


def collapse(nest: LoopNest) -> LoopNest:
    """The nest without axes of size 1, and with axes merged that are walked as one."""
    keep = [axis for axis, extent in enumerate(nest.extents) if extent != 1]
    groups: list[list[int]] = []
    for axis in keep:
        if groups and _merges(nest, groups[-1][-1], axis):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    if all(len(group) == 1 for group in groups) and len(groups) == len(nest.extents):
        return nest
    extents = tuple(int(np.prod([nest.extents[a] for a in group])) for group in groups)
    reduced = tuple(nest.reduced[group[-1]] for group in groups)
    place = {group[-1]: order for order, group in enumerate(groups)}
    last = [group[-1] for group in groups]

    def shrink(access: Access | None) -> Access | None:
        if access is None:
            return None
        guards = shrink_guards(access.guards)
        return Access(access.buffer, access.offset, tuple(access.strides[a] for a in last), guards)

    def shrink_guards(guards: tuple[Guard, ...]) -> tuple[Guard, ...]:
        return tuple(Guard(g.offset, tuple(g.strides[a] for a in last), g.limit) for g in guards)

    expressions = []
    for expression in nest.expressions:
        kind, value = expression.kind, expression.value
        if kind == "index":
            if value in place:
                value = place[value]
            else:  # an axis of size 1
                kind, value = "constant", 0
        elif kind == "inside":
            value = shrink_guards(value)
        expressions.append(
            Expression(kind, expression.dtype, expression.inputs, shrink(expression.access), value)
        )
    stores = []
    for store in nest.stores:
        access = shrink(store.access)
        assert access is not None
        stores.append(store.moved(access, lambda position: position))
    return LoopNest(extents, reduced, tuple(expressions), tuple(stores))


def _merges(nest: LoopNest, outer: int, inner: int) -> bool:
    """Whether two axes can be walked as one: every address moves alike."""
    if nest.reduced[outer] != nest.reduced[inner]:
        return False
    if any(e.kind == "index" and e.value in (outer, inner) for e in nest.expressions):
        return False
    size = nest.extents[inner]
    accesses = [e.access for e in nest.expressions if e.access is not None]
    accesses += [store.access for store in nest.stores]
    guards = [guard for access in accesses for guard in access.guards]
    for expression in nest.expressions:
        if expression.kind == "inside":
            guards += expression.value
    strides = [x.strides for x in accesses] + [guard.strides for guard in guards]
    return all(steps[outer] == steps[inner] * size for steps in strides)

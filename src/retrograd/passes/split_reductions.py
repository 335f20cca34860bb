"""Cuts reductions over a long outer axis into parts, which threads can share.

The parts follow from the shape alone: results are the same bits on any number of threads. A second
nest adds them up in a fixed tree; it is small, and takes in the small nest that follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..ir.loops import Access, Buffer, Expression, Guard, Kernel, LoopNest, Schedule, Store
from ..ir.types import DType
from .merging import merge_nests
from .nests import NestBuilder, View, identity, row_major

PARTS = 8
LEAST = 1 << 15
"""Points of a nest from which on it is cut."""
MOST_KEPT = 256
"""Results, at the most: where there are more of them, threads share those."""
COMBINE = {"sum": "add", "max": "maximum", "min": "minimum"}
TOGETHER = ("mean", "variance")


def split_reductions(schedule: Schedule) -> Schedule:
    """The pass over all kernels."""
    buffers, origins = list(schedule.buffers), dict(schedule.origins)
    kernels: list[Kernel] = []
    result = replace(schedule, buffers=buffers, kernels=kernels, origins=origins)
    for kernel in schedule.kernels:
        if isinstance(kernel, LoopNest) and _can_split(kernel):
            kernels += _Split(result, kernel).write()
            continue
        before = kernels[-1] if kernels else None
        if isinstance(kernel, LoopNest) and isinstance(before, LoopNest) and len(kernels) > 1:
            behind = kernels[-2]
            if isinstance(behind, LoopNest) and _is_split(behind, before):
                merged = merge_nests(before, kernel)
                if merged is not None:
                    kernels[-1] = merged
                    continue
        kernels.append(kernel)
    return result


def _can_split(nest: LoopNest) -> bool:
    points, kept = 1, 1
    for extent, reduced in zip(nest.extents, nest.reduced, strict=True):
        points *= extent
        kept *= 1 if reduced else extent
    if points < LEAST or kept > MOST_KEPT or not nest.reduced[0] or nest.extents[0] % PARTS:
        return False
    for store in nest.stores:
        dtype = nest.expressions[store.expression].dtype
        if store.index is not None or dtype.kind == "b":
            return False
        if store.reduction is not None and store.reduction not in (*COMBINE, *TOGETHER):
            return False
    return not any(e.kind == "index" and e.value == 0 for e in nest.expressions)


def _is_split(first: LoopNest, second: LoopNest) -> bool:
    """Whether the second nest adds up the parts that the first one has made."""
    parts = {store.access.buffer for store in first.stores if store.reduction is not None}
    loads = {e.access.buffer for e in second.expressions if e.access is not None}
    return first.extents[:1] == (PARTS,) and not any(second.reduced) and bool(parts & loads)


class _Split:
    """One nest that becomes two."""

    def __init__(self, schedule: Schedule, nest: LoopNest) -> None:
        self.schedule, self.nest = schedule, nest
        self.part = nest.extents[0] // PARTS
        self.kept = [axis for axis, flag in enumerate(nest.reduced) if not flag]
        self.shape = tuple(nest.extents[axis] for axis in self.kept)
        self.last = NestBuilder(self.shape, [False] * len(self.shape))
        self.expressions = [self._moved(expression) for expression in nest.expressions]
        self.stores: list[Store] = []

    def write(self) -> Iterator[LoopNest]:
        nest = self.nest
        moments: dict[tuple[int, int | None], list[Store]] = {}
        for store in nest.stores:
            if store.reduction is None:
                self.stores.append(replace(store, access=self._wider(store.access)))
            elif store.reduction in TOGETHER:
                moments.setdefault((store.expression, store.position), []).append(store)
            else:
                found = self._combine(COMBINE[store.reduction], self._parts_of(store))
                self._finish(store, found)
        for stores in moments.values():
            self._merge_moments(stores)
        extents = (PARTS, self.part, *nest.extents[1:])
        yield LoopNest(extents, (False, *nest.reduced), tuple(self.expressions), tuple(self.stores))
        yield self.last.build()

    # -- the parts ------------------------------------------------------------------------------

    def _wider(self, access: Access) -> Access:
        """The same place, with the first axis walked as two."""
        guards = tuple(replace(guard, strides=self._two(guard.strides)) for guard in access.guards)
        return replace(access, strides=self._two(access.strides), guards=guards)

    def _two(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        return (strides[0] * self.part, *strides)

    def _moved(self, expression: Expression) -> Expression:
        access, value = expression.access, expression.value
        if access is not None:
            access = self._wider(access)
        if expression.kind == "index":
            value += 1
        elif expression.kind == "inside":
            value = tuple(Guard(g.offset, self._two(g.strides), g.limit) for g in value)
        return replace(expression, access=access, value=value)

    def _stride_of(self, access: Access) -> int:
        """How the terms that an access reads one of are walked along the first axis."""
        nest = self.nest
        for expression in nest.expressions:
            other = expression.access
            if other is None or other.buffer != access.buffer or other.guards:
                continue
            same = all(other.strides[axis] == access.strides[axis] for axis in self.kept)
            steps = [s for s, reduced in zip(other.strides, nest.reduced, strict=True) if reduced]
            away = access.offset - other.offset
            if same and other.strides[0] > 0 and away in [k * s for k in range(3) for s in steps]:
                return other.strides[0]
        return access.strides[0]

    # -- their sum ------------------------------------------------------------------------------

    def _parts_of(self, store: Store) -> list[int]:
        """The results of a store for each part, kept in memory and loaded again."""
        dtype = self.expressions[store.expression].dtype
        number = len(self.schedule.buffers)
        self.schedule.buffers.append(Buffer(dtype, (PARTS, *self.shape), "arena"))
        if store.access.buffer in self.schedule.origins:
            self.schedule.origins[number] = self.schedule.origins[store.access.buffer]
        strides = row_major((PARTS, *self.shape))
        of_axis = dict(zip(self.kept, strides[1:], strict=True))
        inner = [of_axis.get(axis, 0) for axis in range(len(self.nest.extents))]
        self.stores.append(replace(store, access=Access(number, 0, (strides[0], *inner))))
        index = identity(self.shape)
        return [
            self.last.load(View(number, p * strides[0], strides[1:], self.shape, dtype), index)
            for p in range(PARTS)
        ]

    def _finish(self, store: Store, position: int) -> None:
        self.last.stores.append(Store(self._narrower(store.access), position))

    def _combine(self, name: str, found: list[int]) -> int:
        """A power of two of values combined in pairs."""
        dtype = self.last.expressions[found[0]].dtype
        while len(found) > 1:
            pairs = zip(found[::2], found[1::2], strict=True)
            found = [self.last.add(name, dtype, pair) for pair in pairs]
        return found[0]

    def _merge_moments(self, stores: list[Store]) -> None:
        """Mean of the means; mean of the variances, and the variance of the means.

        All are of the distances from one value: far from 0, means would not tell the parts apart.
        """
        term, near = stores[0].expression, stores[0].position
        assert near is not None
        dtype = self.nest.expressions[term].dtype
        add = self._adder(dtype)
        distance = self._add(Expression("subtract", dtype, (term, near)))
        start = self._add(Expression("subtract", dtype, (self._near_part(near), near)))
        parts = replace(stores[0], expression=distance, position=start)
        means = self._parts_of(replace(parts, reduction="mean"))
        share = self.last.add("constant", dtype, value=1.0 / PARTS)
        center = add("multiply", self._combine("add", means), share)
        for store in stores:
            if store.reduction == "mean":
                self._finish(store, add("add", self._outside(near), center))
                continue
            within = self._combine("add", self._parts_of(replace(parts, reduction="variance")))
            rest = [add("subtract", one, center) for one in means]
            between = self._combine("add", [add("multiply", one, one) for one in rest])
            self._finish(store, add("multiply", add("add", within, between), share))

    def _add(self, expression: Expression) -> int:
        self.expressions.append(expression)
        return len(self.expressions) - 1

    def _near_part(self, position: int) -> int:
        """As an expression that is the same for all terms, from the first terms of each part."""
        expression = self.nest.expressions[position]
        access = expression.access
        inputs = tuple(self._near_part(other) for other in expression.inputs)
        moved = replace(self._moved(expression), inputs=inputs)
        if access is not None and not access.guards and moved.access is not None:
            strides = (self._stride_of(access) * self.part, *access.strides)
            moved = replace(moved, access=replace(moved.access, strides=strides))
        return self._add(moved)

    def _outside(self, position: int) -> int:
        """An expression that is the same for all terms, in the second nest."""
        expression = self.nest.expressions[position]
        access, value = expression.access, expression.value
        inputs = tuple(self._outside(other) for other in expression.inputs)
        if access is not None:
            access = self._narrower(access)
        if expression.kind == "index":
            value = self.kept.index(value)
        elif expression.kind == "inside":
            value = tuple(replace(g, strides=self._of_kept(g.strides)) for g in value)
        return self.last.add(expression.kind, expression.dtype, inputs, access, value)

    def _narrower(self, access: Access) -> Access:
        guards = tuple(replace(g, strides=self._of_kept(g.strides)) for g in access.guards)
        return replace(access, strides=self._of_kept(access.strides), guards=guards)

    def _of_kept(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(strides[axis] for axis in self.kept)

    def _adder(self, dtype: DType) -> Callable[..., int]:
        return lambda name, *inputs: self.last.add(name, dtype, inputs)

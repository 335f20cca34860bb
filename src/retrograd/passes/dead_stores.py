"""Leaves out what no kernel reads and nobody is given.

When loop nests are merged, a value goes from one to the other in registers; the memory that was
meant to carry it is then written for nobody.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir.loops import Expression, Kernel, LoopNest, Schedule, Store, reads


def drop_dead_stores(schedule: Schedule) -> Schedule:
    """The Schedule without stores to arena buffers that are not read, and what they needed."""
    while True:
        wanted = set(schedule.outputs)
        for kernel in schedule.kernels:
            wanted |= reads(kernel)
        kernels: list[Kernel] = []
        for kernel in schedule.kernels:
            kept = _drop(kernel, wanted) if isinstance(kernel, LoopNest) else kernel
            if kept is not None:
                kernels.append(kept)
        same = len(kernels) == len(schedule.kernels) and all(
            a is b for a, b in zip(kernels, schedule.kernels, strict=True)
        )
        schedule.kernels = kernels
        if same:
            return schedule


def _drop(nest: LoopNest, wanted: set[int]) -> LoopNest | None:
    """The nest with its wanted stores alone; None if there are none left.

    A store that may find an index out of range says so even when nobody reads it.
    """
    stores = tuple(s for s in nest.stores if s.access.buffer in wanted or s.index is not None)
    gathers = any(e.kind == "gather" for e in nest.expressions)
    if len(stores) == len(nest.stores) or gathers:
        return nest
    if not stores:
        return None
    return keep_needed(nest, stores)


def keep_needed(nest: LoopNest, stores: tuple[Store, ...]) -> LoopNest:
    """The nest with these stores, and the expressions that they need."""
    needed: set[int] = set()
    waiting = [
        place
        for store in stores
        for place in (store.expression, store.position, store.index)
        if place is not None
    ]
    while waiting:
        place = waiting.pop()
        if place not in needed:
            needed.add(place)
            waiting.extend(nest.expressions[place].inputs)
    order = {old: new for new, old in enumerate(sorted(needed))}
    expressions: list[Expression] = []
    for old in order:
        expression = nest.expressions[old]
        inputs = tuple(order[place] for place in expression.inputs)
        expressions.append(replace(expression, inputs=inputs))
    moved = tuple(store.moved(store.access, order.__getitem__) for store in stores)
    return replace(nest, expressions=tuple(expressions), stores=moved)

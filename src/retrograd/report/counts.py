"""What a kernel computes and moves: FLOPs, and bytes of memory that it must touch.

FLOPs are operations whose result is a floating-point number: a multiply-add is two, and a function
such as exp counts as one. Bytes are the elements that the kernel reads and those that it writes,
each once, however often it comes back to them. Of two branches of which one runs, the one with more
counts; of a loop whose steps are not known, one step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from ..ir.loops import (
    Access,
    Callback,
    Contraction,
    Expression,
    Grid,
    Kernel,
    LoopNest,
    Repeat,
    Routine,
    Schedule,
    reads,
    writes,
)

NO_ARITHMETIC = frozenset(
    ("load", "gather", "constant", "index", "inside", "sum", "cast", "where", "stop_gradient")
)
"""Expressions that move or choose numbers."""


def count_flops(kernel: Kernel) -> int:
    """The floating-point operations of one run of a kernel; those in NumPy are not known: 0."""
    if isinstance(kernel, Contraction):
        products = 2 * math.prod(kernel.extents)
        return products if kernel.epilogue is None else products + _count_in_nest(_follow(kernel))
    if isinstance(kernel, LoopNest):
        return _count_in_nest(kernel)
    if isinstance(kernel, (Repeat, Grid)):
        return kernel.runs * add_up(kernel.body.schedule.kernels, count_flops)
    return 0


def count_bytes(kernel: Kernel, schedule: Schedule) -> int:
    """The bytes that one run of a kernel must move; what a loop around kernels moves is their sum.

    Args:
        kernel: one of the schedule.
        schedule: has the buffers.
    """
    if isinstance(kernel, (Repeat, Grid)):
        inside = kernel.body.schedule
        return kernel.runs * add_up(inside.kernels, lambda inner: count_bytes(inner, inside))
    if isinstance(kernel, Routine) and kernel.name == "keep":
        return 0  # where the table is written in place; only that is in steps that are measured
    if isinstance(kernel, (Callback, Routine)):
        return sum(schedule.buffers[n].bytes for part in (reads, writes) for n in part(kernel))
    if isinstance(kernel, Contraction):
        loads, stores = [kernel.a, kernel.b], [kernel.out]
        if kernel.epilogue is not None:
            loads += kernel.epilogue.loads
            stores = [store.access for store in kernel.epilogue.stores]
        scattered = 0
    else:
        loads = [e.access for e in kernel.expressions if e.kind == "load" and e.access is not None]
        stores = [store.access for store in kernel.stores if store.index is None]
        scattered = _count_scattered(kernel, schedule)
    extents = kernel.extents
    return _sum_bytes(loads, extents, schedule) + _sum_bytes(stores, extents, schedule) + scattered


def add_up(kernels: Sequence[Kernel], count: Callable[[Kernel], int]) -> int:
    """What kernels take together: of the branches of a cond, the one that takes more."""
    total = 0
    branches: dict[int, list[int]] = {}  # by the bool in memory that chooses
    for kernel in kernels:
        amount = count(kernel)
        if isinstance(kernel, Repeat) and kernel.condition is not None:
            flag, expected = kernel.condition
            branches.setdefault(flag, [0, 0])[expected] += amount
        else:
            total += amount
    return total + sum(map(max, branches.values()))


def find_width(kernel: Kernel) -> int:
    """Bytes of the numbers that a kernel computes with: float64 has half of the peak."""
    if isinstance(kernel, Contraction):
        return kernel.dtype.itemsize
    if isinstance(kernel, LoopNest):
        return max((e.dtype.itemsize for e in kernel.expressions if _is_arithmetic(e)), default=4)
    if isinstance(kernel, (Repeat, Grid)):
        return max((find_width(inner) for inner in kernel.body.schedule.kernels), default=4)
    return 4


def _follow(c: Contraction) -> LoopNest:
    """The epilogue of a contraction as a loop over its output."""
    assert c.epilogue is not None
    extents = tuple(1 if reduced else n for n, reduced in zip(c.extents, c.reduced))
    flat = (False,) * len(extents)
    return LoopNest(extents, flat, c.epilogue.expressions, c.epilogue.stores)


def _is_arithmetic(expression: Expression) -> bool:
    return expression.kind not in NO_ARITHMETIC and expression.dtype.kind == "f"


def _count_in_nest(nest: LoopNest) -> int:
    """Each expression counts once for each index of the axes that it depends on."""
    axes: list[frozenset[int]] = []
    total = 0
    for expression in nest.expressions:
        own = frozenset().union(*(axes[place] for place in expression.inputs))
        if expression.access is not None:
            own |= _axes_of(expression.access)
        if expression.kind == "sum":
            own |= frozenset(range(len(nest.extents)))
        elif expression.kind == "index":
            own |= {expression.value}
        elif expression.kind == "inside":
            own |= {a for guard in expression.value for a, s in enumerate(guard.strides) if s}
        axes.append(own)
        if _is_arithmetic(expression):
            total += math.prod(nest.extents[axis] for axis in own)
    reduced = {axis for axis, is_reduced in enumerate(nest.reduced) if is_reduced}
    for store in nest.stores:
        adds = store.index is not None and not store.replaces
        combines = store.reduction is not None or adds
        if combines and nest.expressions[store.expression].dtype.kind == "f":
            own = axes[store.expression] | reduced | _axes_of(store.access)
            total += math.prod(nest.extents[axis] for axis in own)
    return total


def _axes_of(access: Access) -> frozenset[int]:
    strides = [access.strides, *(guard.strides for guard in access.guards)]
    return frozenset(axis for steps in strides for axis, stride in enumerate(steps) if stride)


def _sum_bytes(accesses: Iterable[Access], extents: tuple[int, ...], schedule: Schedule) -> int:
    """The elements of each buffer that the accesses reach; never more than it has."""
    reached: dict[int, int] = {}
    for access in set(accesses):
        steps = [(s, n) for s, n in zip(access.strides, extents) if s]
        span = 1 + sum(abs(stride) * (extent - 1) for stride, extent in steps)
        elements = min(math.prod(extent for _, extent in steps), span)
        reached[access.buffer] = reached.get(access.buffer, 0) + elements
    total = 0
    for number, elements in reached.items():
        buffer = schedule.buffers[number]
        total += min(elements, buffer.size) * buffer.dtype.itemsize
    return total


def _count_scattered(nest: LoopNest, schedule: Schedule) -> int:
    """Elements at places that are computed: each is read, or read and written back."""
    points = math.prod(nest.extents)
    total = 0
    for expression in nest.expressions:
        if expression.kind == "gather" and expression.access is not None:
            total += points * schedule.buffers[expression.access.buffer].dtype.itemsize
    for store in nest.stores:
        if store.index is not None:
            times = 1 if store.replaces else 2
            total += times * points * schedule.buffers[store.access.buffer].dtype.itemsize
    return total

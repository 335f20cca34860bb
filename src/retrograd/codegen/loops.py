"""Machine code for loop nests: explicit vectors, constant masks, a fixed order of sums."""

from __future__ import annotations

from dataclasses import replace

from ..ir.loops import Access, Expression, LoopNest, Store
from .axes import choose_vector_axis, dependences
from .elementwise import emit_elementwise
from .emit import Function, kernel_function
from .memory import MemoryEmitter
from .running import Running, start_reductions
from .vectors import Value, VectorMath

CHUNK = 128
"""Terms that are added one after the other before their sum joins the sum of sums."""

COPIES = 4
"""Accumulators that run side by side in a reduction, at the most."""

UNROLLED = 64
"""Expressions in the body of an unrolled loop, at the most."""


class LoopEmitter:
    """Emits one LoopNest as a function of one pointer for each access.

    The loops over kept axes lie outside, those over reduced axes inside, the vector axis last
    among its own. One axis may be unrolled: its `copies` run side by side.
    """

    def __init__(self, nest: LoopNest, name: str, vector_bytes: int) -> None:
        self.nest = nest = without_reduction(nest)
        self.accesses = list_accesses(nest)
        pointers = {access: f"%p{order}" for order, access in enumerate(self.accesses)}
        self.f = kernel_function(name, list(pointers.values()))
        self.axes_of = dependences(nest)
        self.vector = choose_vector_axis(nest)
        self.width = self._lanes(vector_bytes)
        if self.vector is None or self.width == 1:
            self.vector, self.width = None, 1
        axes = range(len(nest.extents))
        parallel = [a for a in axes if not nest.reduced[a] and a != self.vector]
        reduced = [a for a in axes if nest.reduced[a] and a != self.vector]
        if self.vector is not None:
            among = reduced if nest.reduced[self.vector] else parallel
            # A single vector goes outside: what depends on it alone is then computed once.
            among.insert(0 if nest.extents[self.vector] <= self.width else len(among), self.vector)
        self.order = [*parallel, *reduced]
        self.first_reduced = len(parallel)
        self.unrolled, self.most = self._choose_unrolled()
        self.memory = MemoryEmitter(nest, self.f, pointers, self.vector, self.unrolled)
        self.values: dict[int, list[Value]] = {}
        self.lanes, self.copies = 1, 1
        self.running: list[Running] = []

    def _lanes(self, vector_bytes: int) -> int:
        """Lanes for the widest dtype that is computed with along the vector axis."""
        moving = [
            e.dtype.itemsize
            for e, axes in zip(self.nest.expressions, self.axes_of, strict=True)
            if self.vector in axes
        ]
        size = max([4, *moving])
        lanes = vector_bytes // size
        extent = 1 if self.vector is None else self.nest.extents[self.vector]
        while lanes > 1 and lanes // 2 >= extent:
            lanes //= 2
        return lanes

    def _choose_unrolled(self) -> tuple[int | None, int]:
        """The axis to unroll, and how often: reductions need several sums at once."""
        nest = self.nest
        if self.vector is None:
            return None, 1
        if not any(nest.reduced):
            return self._choose_short()
        most = COPIES
        within = {axis for axis, flag in enumerate(nest.reduced) if flag}
        body = sum(bool(axes & within) for axes in self.axes_of)
        while most > 1 and most * body > UNROLLED:
            most //= 2
        vectors = nest.extents[self.vector] // self.width
        innermost = self.order[-1]
        if vectors > 1 or innermost == self.vector:
            axis, count = self.vector, vectors
        else:
            axis, count = innermost, nest.extents[innermost]
        while most > 1 and most > count:
            most //= 2
        return (axis, most) if most > 1 else (None, 1)

    def _choose_short(self) -> tuple[int | None, int]:
        """A loop of a few turns around the vectors is better written out."""
        if len(self.order) < 2:
            return None, 1
        axis = next(axis for axis in reversed(self.order) if axis != self.vector)
        count = self.nest.extents[axis]
        short = count <= COPIES and count * len(self.nest.expressions) <= UNROLLED
        return (axis, count) if short else (None, 1)

    def _step(self, axis: int) -> int:
        """How far apart the copies of an axis are."""
        return self.width if axis == self.vector else 1

    # -- loops --------------------------------------------------------------------------------

    def emit(self) -> Function:
        self._level(-1)
        self.f.do("ret void")
        return self.f

    def _level(self, level: int) -> None:
        """Emit what becomes known at this level, then the loops inside."""
        emitted = self._emit_expressions(level)
        following = level + 1
        if following == self.first_reduced and following < len(self.order):
            self._reduce(following)
        elif following == len(self.order):
            self._finish()
        elif following > self.first_reduced:
            self._open_reduced(following)
        else:
            self._open(following, 0, self.nest.extents[self.order[following]])
        for position in emitted:
            del self.values[position]

    def _open(self, level: int, start: int, stop: int) -> None:
        """A loop over [start, stop) of an axis: unrolled, then plain, then a masked tail."""
        axis = self.order[level]
        before = self.lanes, self.copies, self.memory.mask
        step = self._step(axis)
        if axis == self.vector:
            self.lanes, self.memory.mask = self.width, None
        if axis == self.unrolled:
            whole = start + (stop - start) // (step * self.most) * step * self.most
            self.copies = self.most
            self._range(level, axis, start, whole, step * self.most)
            self.copies, start = 1, whole
        whole = start + (stop - start) // step * step
        self._range(level, axis, start, whole, step)
        if stop > whole:
            self.memory.mask = stop - whole
            with self.memory.at(axis, str(whole)):
                self._level(level)
        self.lanes, self.copies, self.memory.mask = before

    def _range(self, level: int, axis: int, start: int, stop: int, step: int) -> None:
        if stop <= start:
            return
        if stop - start <= step:
            with self.memory.at(axis, str(start)):
                self._level(level)
            return
        with (
            self.f.loop(str(start), str(stop), step, f"i{axis}_") as index,
            self.memory.at(axis, index),
        ):
            self._level(level)

    # -- reductions ---------------------------------------------------------------------------

    def _reduce(self, level: int) -> None:
        """Accumulate over the reduced axes, then store."""
        outside = self.lanes, self.memory.mask
        lanes = self.width if self._is_reduced(self.vector) else self.lanes
        side_by_side = self.copies
        count = self.most if self._is_reduced(self.unrolled) else self.copies
        chunk = self.chunk_level = self._find_chunk_level(level)
        folded, across = self._is_reduced(self.unrolled), self._is_reduced(self.vector)
        chunked = chunk is not None
        self.running = start_reductions(
            self.nest, self.f, lanes, count, folded, across, chunked, self._value
        )
        self._open_reduced(level)
        self.lanes, self.memory.mask = outside
        self.copies = side_by_side
        for running in self.running:
            for store, values in zip(running.stores, running.results(), strict=True):
                for copy, value in enumerate(values):
                    self.memory.shift = copy * self.width
                    self.memory.store(store.access, value)
        self.memory.shift = 0

    def _is_reduced(self, axis: int | None) -> bool:
        return axis is not None and self.nest.reduced[axis]

    def _find_chunk_level(self, first: int) -> int | None:
        """The outermost level whose loops inside add at most CHUNK terms; None without need."""
        terms = 1
        found = None
        for level in reversed(range(first, len(self.order))):
            axis = self.order[level]
            terms *= -(-self.nest.extents[axis] // self._terms_at_once(axis))
            if terms > CHUNK:
                break
            found = level
        if found == first:
            return None
        return len(self.order) if found is None else found

    def _terms_at_once(self, axis: int) -> int:
        """Elements of a reduced axis that go to different sums."""
        return self._step(axis) * (self.most if axis == self.unrolled else 1)

    def _open_reduced(self, level: int) -> None:
        """The loops over reduced axes, with partial sums moved on at the chunk level."""
        extent = self.nest.extents[self.order[level]]
        if level == self.chunk_level and level < len(self.order):
            self._open(level, 0, extent)
            self._flush()
        elif self.chunk_level == len(self.order) and level == len(self.order) - 1:
            self._open_strips(level)
        else:
            self._open(level, 0, extent)

    def _open_strips(self, level: int) -> None:
        """The innermost axis alone exceeds a chunk: it is walked in strips."""
        axis = self.order[level]
        extent = self.nest.extents[axis]
        at_once = self._terms_at_once(axis)
        whole = extent // (CHUNK * at_once) * CHUNK * at_once
        before = self.lanes, self.copies
        if axis == self.vector:
            self.lanes, self.memory.mask = self.width, None
        if axis == self.unrolled:
            self.copies = self.most
        with self.f.loop("0", str(whole), CHUNK * at_once, "strip") as start:
            stop = self.f.emit(f"add i64 {start}, {CHUNK * at_once}")
            with (
                self.f.loop(start, stop, at_once, f"i{axis}_") as index,
                self.memory.at(axis, index),
            ):
                self._level(level)
            self._flush()
        self.lanes, self.copies = before
        if extent > whole:
            self._open(level, whole, extent)
            self._flush()

    def _flush(self) -> None:
        """The end of a chunk."""
        for running in self.running:
            running.flush()

    # -- expressions --------------------------------------------------------------------------

    def _emit_expressions(self, level: int) -> list[int]:
        known = set(self.order[: level + 1])
        emitted = []
        for position, expression in enumerate(self.nest.expressions):
            if position in self.values or not self.axes_of[position] <= known:
                continue
            axes = self.axes_of[position]
            copies = self.copies if self.unrolled in axes else 1
            lanes = self.lanes if self.vector in axes else 1
            values = []
            for copy in range(copies):
                self.memory.shift = copy * self._step(self.unrolled or 0) if copy else 0
                values.append(self._expression(expression, copy, lanes))
            self.memory.shift = 0
            self.values[position] = values
            emitted.append(position)
        return emitted

    def _value(self, position: int, copy: int, lanes: int) -> Value:
        """The value of an expression for a copy, in as many lanes as are wanted."""
        values = self.values[position]
        value = values[copy] if len(values) > 1 else values[0]
        if value.lanes == lanes:
            return value
        return VectorMath(self.f, lanes).splat(value.name, value.dtype)

    def _expression(self, expression: Expression, copy: int, lanes: int) -> Value:
        math_ = VectorMath(self.f, lanes)
        if expression.kind == "constant":
            return math_.constant(expression.value, expression.dtype)
        if expression.kind == "index":
            return self.memory.index_value(expression.value, lanes, expression.dtype)
        if expression.kind == "inside":
            inside = self.memory.guard_mask(expression.value, lanes)
            return inside or math_.constant(True, expression.dtype)
        if expression.kind == "load":
            assert expression.access is not None
            return self.memory.load(expression.access, expression.dtype, lanes)
        inputs = [self._value(p, copy, lanes) for p in expression.inputs]
        if expression.kind == "gather":
            return self.memory.gather(expression, inputs[0], lanes)
        return emit_elementwise(math_, expression.kind, expression.dtype, inputs)

    # -- results ------------------------------------------------------------------------------

    def _finish(self) -> None:
        """At the innermost point: accumulate or store."""
        for running in self.running:
            for copy in range(self.copies):
                self._accumulate(running, copy)
        for store in self.nest.stores:
            if store.reduction is not None:
                continue
            for copy in range(self.copies):
                value = self._value(store.expression, copy, self.lanes)
                self.memory.shift = copy * self._step(self.unrolled or 0) if copy else 0
                if store.index is not None:
                    self.memory.add_at(store, value, self._value(store.index, copy, self.lanes))
                else:
                    self.memory.store(store.access, value)
                self.memory.shift = 0

    def _accumulate(self, running: Running, copy: int) -> None:
        values = [self._value(part, copy, self.lanes) for part in running.parts]
        across = self._is_reduced(self.vector)
        tail = self.memory.tail(self.lanes) if across else None
        terms = (self.memory.mask or self.lanes) if across else 1
        running.add(copy, values, tail, terms)


def without_reduction(nest: LoopNest) -> LoopNest:
    """Where no axis is reduced, a reduction over one element is that element."""
    if any(nest.reduced):
        return nest
    stores: list[Store] = []
    for store in nest.stores:
        if store.reduction is None:
            stores.append(store)
        else:
            place = store.expression if store.position is None else store.position
            stores.append(Store(store.access, place))
    return replace(nest, stores=tuple(stores))


def list_accesses(nest: LoopNest) -> list[Access]:
    """The different accesses in the order in which the kernel takes their pointers."""
    found: dict[Access, None] = {}
    for expression in nest.expressions:
        if expression.access is not None:
            found[expression.access] = None
    for store in nest.stores:
        found[store.access] = None
    return list(found)

"""Machine code for loop nests: explicit vectors, constant masks, a fixed order of sums."""

from __future__ import annotations

from dataclasses import replace

from ..ir.loops import LINE, Access, Epilogue, Expression, LoopNest, Store
from .axes import dependences
from .elementwise import emit_elementwise
from .emit import Function, kernel_function, scalar_type
from .memory import MemoryEmitter
from .nest_plan import CHUNK, NestPlan
from .running import Running, start_reductions
from .vectors import Value, VectorMath


class LoopEmitter:
    """Emits one LoopNest as a function of one pointer for each access.

    The loops over kept axes lie outside, those over reduced axes inside, the vector axis last
    among its own. One axis may be unrolled: its `copies` run side by side.
    """

    def __init__(self, nest: LoopNest, plan: NestPlan, name: str) -> None:
        self.nest, self.plan = nest, plan
        self.accesses = list_accesses(nest)
        pointers = {access: f"%p{order}" for order, access in enumerate(self.accesses)}
        self.f = kernel_function(name, list(pointers.values()))
        # After the pointers come the extent that is given at run time, and the numbers.
        self.extent = self.f.number(2 * len(pointers)) if plan.free is not None else ""
        first = 2 * len(pointers) + (plan.free is not None)
        self.given = [
            self.f.number(first + order, scalar_type(dtype))
            for order, dtype in enumerate(e.dtype for e in nest.expressions if e.kind == "given")
        ]
        self.axes_of = dependences(nest)
        self.vector, self.width, self.order = plan.vector, plan.width, plan.order
        self.first_reduced, self.unrolled, self.most = plan.first_reduced, plan.unrolled, plan.most
        self.memory = MemoryEmitter(nest, self.f, pointers, self.vector, self.unrolled)
        self.values: dict[int, list[Value]] = {}
        self.lanes, self.copies = 1, 1
        self.running: list[Running] = []
        self.around = False  # whether what may be is written around the caches

    # -- loops --------------------------------------------------------------------------------

    def emit(self) -> Function:
        if any(store.around for store in self.nest.stores):
            self._emit_around()
        else:
            self._level(-1)
        self.f.do("ret void")
        return self.f

    def _emit_around(self) -> None:
        """The loops twice: with stores around the caches where these lie at whole lines, and not
        over what is read (an update in place has its lines in the cache anyway)."""
        f, pointers = self.f, self.memory.pointer
        targets = [pointers(store.access) for store in self.nest.stores if store.around]
        read = {e.access: 0 for e in self.nest.expressions if e.access is not None}
        wrong = []
        for target in targets:
            place = f.emit(f"ptrtoint ptr {target} to i64")
            rest = f.emit(f"and i64 {place}, {LINE - 1}")
            wrong.append(f.emit(f"icmp ne i64 {rest}, 0"))
            wrong += [f.emit(f"icmp eq ptr {target}, {pointers(access)}") for access in read]
        usual = wrong[0]
        for one in wrong[1:]:
            usual = f.emit(f"or i1 {usual}, {one}")
        with f.when(f.emit(f"xor i1 {usual}, true")):
            self.around = True
            self._level(-1)
            self.around = False
            # Such stores are not ordered with later ones, which tell other threads of them.
            f.do("fence seq_cst")
        with f.when(usual):
            self._level(-1)

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
            self._open_all(following)
        for position in emitted:
            del self.values[position]

    def _open_all(self, level: int) -> None:
        """A loop over the whole of an axis."""
        axis = self.order[level]
        if axis == self.plan.free:
            self._open_free(level, "0")
        else:
            self._open(level, 0, self.nest.extents[axis])

    def _open_free(self, level: int, start: str) -> None:
        """As `_open`, from a start up to the extent that is given at run time."""
        axis, f = self.order[level], self.f
        before = self.lanes, self.copies, self.memory.mask
        step = self.plan.step(axis)
        if axis == self.vector:
            self.lanes, self.memory.mask = self.width, None
        if axis == self.unrolled:
            whole = f.cut(self.extent, step * self.most)
            self.copies = self.most
            with f.when(f.emit(f"icmp ult i64 {start}, {whole}")):
                self._loop(level, axis, start, whole, step * self.most)
            self.copies, start = 1, whole
        stop = f.cut(self.extent, step)
        # There is at least one element: only then is the loop known to have a turn.
        if start == "0" and (step == 1 or not self.plan.tail):
            self._loop(level, axis, start, stop, step)
        else:
            with f.when(f.emit(f"icmp ult i64 {start}, {stop}")):
                self._loop(level, axis, start, stop, step)
        if step > 1 and self.plan.tail:
            with f.when(f.emit(f"icmp ult i64 {stop}, {self.extent}")):
                self.memory.set_mask(f.emit(f"sub i64 {self.extent}, {stop}"), self.width)
                with self.memory.at(axis, stop):
                    self._level(level)
        self.lanes, self.copies, self.memory.mask = before

    def _open(self, level: int, start: int, stop: int) -> None:
        """A loop over [start, stop) of an axis: unrolled, then plain, then a masked tail."""
        axis = self.order[level]
        before = self.lanes, self.copies, self.memory.mask
        step = self.plan.step(axis)
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
            self.memory.set_mask(stop - whole, self.width)
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
        self._loop(level, axis, str(start), str(stop), step)

    def _loop(self, level: int, axis: int, start: str, stop: str, step: int) -> None:
        with self.f.loop(start, stop, step, f"i{axis}_") as index, self.memory.at(axis, index):
            self._level(level)

    # -- reductions ---------------------------------------------------------------------------

    def _reduce(self, level: int) -> None:
        """Accumulate over the reduced axes, then store."""
        outside = self.lanes, self.memory.mask
        lanes = self.width if self._is_reduced(self.vector) else self.lanes
        side_by_side = self.copies
        count = self.most if self._is_reduced(self.unrolled) else self.copies
        folded, across = self._is_reduced(self.unrolled), self._is_reduced(self.vector)
        chunked = self.plan.chunk is not None
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

    def _open_reduced(self, level: int) -> None:
        """The loops over reduced axes, with partial sums moved on at the chunk level."""
        if level == self.plan.chunk and level < len(self.order):
            self._open_all(level)
            self._flush()
        elif self.plan.chunk == len(self.order) and level == len(self.order) - 1:
            self._open_strips(level)
        else:
            self._open_all(level)

    def _open_strips(self, level: int) -> None:
        """The innermost axis alone exceeds a chunk: it is walked in strips."""
        axis = self.order[level]
        free = axis == self.plan.free
        extent = self.nest.extents[axis]
        at_once = self.plan.at_once(axis)
        whole = str(extent // (CHUNK * at_once) * CHUNK * at_once)
        if free:
            whole = self.f.cut(self.extent, CHUNK * at_once)
        before = self.lanes, self.copies
        if axis == self.vector:
            self.lanes, self.memory.mask = self.width, None
        if axis == self.unrolled:
            self.copies = self.most
        with self.f.loop("0", whole, CHUNK * at_once, "strip") as start:
            stop = self.f.emit(f"add i64 {start}, {CHUNK * at_once}")
            with (
                self.f.loop(start, stop, at_once, f"i{axis}_") as index,
                self.memory.at(axis, index),
            ):
                self._level(level)
            self._flush()
        self.lanes, self.copies = before
        if free:
            with self.f.when(self.f.emit(f"icmp ult i64 {whole}, {self.extent}")):
                self._open_free(level, whole)
                self._flush()
        elif extent > int(whole):
            self._open(level, int(whole), extent)
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
                self.memory.shift = copy * self.plan.step(self.unrolled or 0) if copy else 0
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
        if expression.kind == "given":
            return Value(self.given[expression.value], expression.dtype, 1)
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
                self.memory.shift = copy * self.plan.step(self.unrolled or 0) if copy else 0
                if store.index is not None:
                    self.memory.store_at(store, value, self._value(store.index, copy, self.lanes))
                else:
                    self.memory.store(store.access, value, store.around and self.around)
                self.memory.shift = 0

    def _accumulate(self, running: Running, copy: int) -> None:
        values = [self._value(part, copy, self.lanes) for part in running.parts]
        across = self._is_reduced(self.vector)
        tail = self.memory.tail(self.lanes) if across else None
        terms = self.memory.count_lanes(self.lanes) if across else 1
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


def list_accesses(nest: LoopNest | Epilogue) -> list[Access]:
    """The different accesses in the order in which the kernel takes their pointers."""
    found: dict[Access, None] = {}
    for expression in nest.expressions:
        if expression.access is not None:
            found[expression.access] = None
    for store in nest.stores:
        found[store.access] = None
    return list(found)

"""Loads and stores of a loop nest: contiguous, strided, guarded and indexed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..ir.loops import Access, Expression, Guard, LoopNest, Store
from ..ir.types import DType, bool_, int32, int64
from .elementwise import emit_elementwise
from .emit import Function, memory_type, scalar_type, vector_of
from .vectors import Value, VectorMath


class MemoryEmitter:
    """The place of every access, and the instructions that read and write there.

    Args:
        nest: the loops.
        function: where the text goes.
        pointers: the name of the pointer of each access; its offset is in it already.
        vector: the axis along which lanes lie; None for scalar code.
        unrolled: the axis along which copies of the body lie.
    """

    def __init__(
        self,
        nest: LoopNest,
        function: Function,
        pointers: dict[Access, str],
        vector: int | None,
        unrolled: int | None = None,
    ) -> None:
        self.f = function
        self.vector = vector
        self.unrolled = unrolled
        self.shift = 0  # how far the copy that is written lies along the unrolled axis
        # The lanes of the tail that count: their mask and their number.
        self.mask: tuple[str, int | str] | None = None
        self._index: dict[int, str] = {}
        self._pointers = dict(pointers)
        self._places: dict[Guard, str] = {}  # the sum of a guard's strides times indices
        self._dtypes: dict[Access, DType] = {}
        for expression in nest.expressions:
            if expression.access is not None:
                self._dtypes[expression.access] = expression.dtype
                self._places.update(dict.fromkeys(expression.access.guards, "0"))
            if expression.kind == "inside":
                self._places.update(dict.fromkeys(expression.value, "0"))
        for store in nest.stores:
            place = store.expression if store.position is None else store.position
            self._dtypes[store.access] = nest.expressions[place].dtype

    @contextmanager
    def at(self, axis: int, index: str) -> Iterator[None]:
        """Inside, the index of an axis (of the first lane) is known, and every address moves."""
        pointers, places = dict(self._pointers), dict(self._places)
        steps: dict[int, str] = {}
        self._index[axis] = index
        for access, pointer in pointers.items():
            step = self._times(index, access.strides[axis], steps)
            if step != "0":
                element = memory_type(self._dtypes[access])
                text = f"getelementptr {element}, ptr {pointer}, i64 {step}"
                self._pointers[access] = self.f.emit(text)
        for guard, place in places.items():
            step = self._times(index, guard.strides[axis], steps)
            if step != "0":
                moved = step if place == "0" else self.f.emit(f"add nsw i64 {place}, {step}")
                self._places[guard] = moved
        yield
        self._pointers, self._places = pointers, places

    def pointer(self, access: Access) -> str:
        """The address of an access at the current place."""
        return self._pointers[access]

    def _times(self, index: str, stride: int, known: dict[int, str]) -> str:
        if not index.startswith("%"):
            return str(int(index) * stride)
        if stride in (0, 1):
            return index if stride else "0"
        if stride not in known:
            known[stride] = self.f.emit(f"mul nsw i64 {index}, {stride}")
        return known[stride]

    def index_value(self, axis: int, lanes: int, dtype: DType = int64) -> Value:
        """The loop index of an axis in a dtype."""
        math_ = VectorMath(self.f, lanes)
        index, shift = self._index[axis], self.shift if axis == self.unrolled else 0
        if not index.startswith("%"):
            index, shift = str(int(index) + shift), 0
        if shift:
            index = self.f.emit(f"add i64 {index}, {shift}")
        if axis != self.vector or lanes == 1:
            if not index.startswith("%"):
                return math_.constant(int(index), dtype)
            scalar = VectorMath(self.f, 1).cast(Value(index, int64, 1), dtype)
            return math_.splat(scalar.name, dtype)
        wide = dtype if dtype.kind in "iu" else int64
        base = VectorMath(self.f, 1).cast(Value(index, int64, 1), wide)
        first = math_.splat(base.name, wide)
        steps = ", ".join(f"{scalar_type(wide)} {n}" for n in range(lanes))
        name = self.f.emit(f"add {first.kind} {first.name}, <{steps}>")
        return math_.cast(Value(name, wide, lanes), dtype)

    def _address(self, access: Access) -> str:
        """The address of the first lane of the copy."""
        pointer = self._pointers[access]
        step = 0 if self.unrolled is None else self.shift * access.strides[self.unrolled]
        if not step:
            return pointer
        element = memory_type(self._dtypes[access])
        return self.f.emit(f"getelementptr {element}, ptr {pointer}, i64 {step}")

    def guard_mask(self, guards: Sequence[Guard], lanes: int) -> Value | None:
        """The lanes where all guards hold; None without guards."""
        math_ = VectorMath(self.f, lanes)
        result: Value | None = None
        for guard in guards:
            stride = guard.strides[self.vector] if self.vector is not None and lanes > 1 else 0
            offset = guard.offset
            if self.unrolled is not None:
                offset += guard.strides[self.unrolled] * self.shift
            place = self._places[guard]
            # Below zero is far above any limit without sign: one comparison is enough.
            if offset:
                place = self.f.emit(f"add i64 {place}, {offset}")
            if stride:
                first = math_.splat(place, int64)
                steps = ", ".join(f"i64 {n * stride}" for n in range(lanes))
                name = self.f.emit(f"add {first.kind} {first.name}, <{steps}>")
                limit = math_.constant(guard.limit, int64)
                text = f"icmp ult {first.kind} {name}, {limit.name}"
                inside = Value(self.f.emit(text), bool_, lanes)
            else:
                inside_scalar = self.f.emit(f"icmp ult i64 {place}, {guard.limit}")
                inside = math_.splat(inside_scalar, bool_)
            result = inside if result is None else math_.binary("and", result, inside)
        return result

    def set_mask(self, count: int | str, lanes: int) -> None:
        """So many lanes of the tail count: a constant, or the name of an i64."""
        if isinstance(count, int):
            bits = ", ".join(f"i1 {'true' if n < count else 'false'}" for n in range(lanes))
            self.mask = f"<{bits}>", count
            return
        short = self.f.emit(f"trunc i64 {count} to i32")
        spread = VectorMath(self.f, lanes).splat(short, int32)
        numbers = ", ".join(f"i32 {n}" for n in range(lanes))
        self.mask = self.f.emit(f"icmp ugt {spread.kind} {spread.name}, <{numbers}>"), count

    def tail(self, lanes: int) -> str | None:
        """The mask of the tail; None where all lanes count."""
        return None if self.mask is None or lanes == 1 else self.mask[0]

    def count_lanes(self, lanes: int) -> int | str:
        """The lanes that count."""
        return lanes if self.mask is None else self.mask[1]

    def _full_mask(self, access: Access, lanes: int) -> str | None:
        guards = self.guard_mask(access.guards, lanes)
        tail = self.tail(lanes)
        if guards is None:
            return tail
        if tail is None:
            return guards.name
        return self.f.emit(f"and {guards.kind} {guards.name}, {tail}")

    def load(self, access: Access, dtype: DType, lanes: int) -> Value:
        element = memory_type(dtype)
        if lanes == 1:
            name = self._load_scalar(access, element, self._full_mask(access, lanes))
        elif access.guards and not self._lanes_differ(access):
            name = self._load_inside(access, dtype, lanes)
        else:
            name = self._load_vector(access, dtype, lanes, self._full_mask(access, lanes))
        return self._from_memory(name, dtype, lanes)

    def _load_vector(self, access: Access, dtype: DType, lanes: int, mask: str | None) -> str:
        element = memory_type(dtype)
        stride = access.strides[self.vector or 0]
        if stride != 1:
            return self._strided(access, element, lanes, stride, mask)
        kind, address, align = vector_of(element, lanes), self._address(access), dtype.itemsize
        if mask is None:
            return self.f.emit(f"load {kind}, ptr {address}, align {align}")
        return self._masked_load(kind, address, mask, align, lanes)

    def _lanes_differ(self, access: Access) -> bool:
        """Whether the guards hold for some lanes of a vector and not for others."""
        axis = self.vector
        return axis is not None and any(guard.strides[axis] for guard in access.guards)

    def _load_inside(self, access: Access, dtype: DType, lanes: int) -> str:
        """A vector that is inside as a whole, or zeros.

        A load whose lanes are all masked out takes hundreds of cycles where its address lies in no
        page of the process: no such load is done.
        """
        inside = self.guard_mask(access.guards, 1)
        assert inside is not None
        kind = vector_of(memory_type(dtype), lanes)
        slot = self.f.reserve(kind)
        self.f.do(f"store {kind} zeroinitializer, ptr {slot}, align 64")
        with self.f.when(inside.name):
            found = self._load_vector(access, dtype, lanes, self.tail(lanes))
            self.f.do(f"store {kind} {found}, ptr {slot}, align 64")
        return self.f.emit(f"load {kind}, ptr {slot}, align 64")

    def _load_scalar(self, access: Access, element: str, mask: str | None) -> str:
        if mask is None:
            return self.f.emit(f"load {element}, ptr {self._address(access)}")
        slot = self.f.reserve(element, 8)
        self.f.do(f"store {element} zeroinitializer, ptr {slot}, align 8")
        with self.f.when(mask):
            inside = self.f.emit(f"load {element}, ptr {self._address(access)}")
            self.f.do(f"store {element} {inside}, ptr {slot}, align 8")
        return self.f.emit(f"load {element}, ptr {slot}, align 8")

    def _masked_load(self, kind: str, address: str, mask: str, align: int, lanes: int) -> str:
        element = kind.split(" x ")[1][:-1]
        name = f"llvm.masked.load.v{lanes}{_short(element)}.p0"
        return self.f.call(
            kind,
            name,
            ("ptr", f"align {align} {address}"),
            (f"<{lanes} x i1>", mask),
            (kind, "zeroinitializer"),
        )

    def _strided(
        self, access: Access, element: str, lanes: int, stride: int, mask: str | None
    ) -> str:
        """Lanes from addresses that are `stride` apart."""
        kind = vector_of(element, lanes)
        steps = ", ".join(f"i64 {n * stride}" for n in range(lanes))
        base = self._address(access)
        pointers = self.f.emit(f"getelementptr {element}, ptr {base}, <{lanes} x i64> <{steps}>")
        return self._gather_from(pointers, kind, element, lanes, mask)

    def _gather_from(
        self, pointers: str, kind: str, element: str, lanes: int, mask: str | None
    ) -> str:
        name = f"llvm.masked.gather.v{lanes}{_short(element)}.v{lanes}p0"
        chosen = mask or "splat (i1 true)"
        return self.f.call(
            kind,
            name,
            (f"<{lanes} x ptr>", pointers),
            (f"<{lanes} x i1>", chosen),
            (kind, "zeroinitializer"),
        )

    def gather(self, expression: Expression, number: Value, lanes: int) -> Value:
        """A load whose address depends on a value; out of range gives zero.

        If it is strict, that sets the status as well.
        """
        access, (scale, limit, strict) = expression.access, expression.value
        assert access is not None
        math_ = VectorMath(self.f, lanes)
        index = math_.cast(number, int64)
        low = math_.compare("ge", index, math_.constant(0, int64), bool_)
        high = math_.compare("lt", index, math_.constant(limit, int64), bool_)
        inside = math_.binary("and", low, high)
        if strict:
            self._report(inside, lanes)
        tail = self._full_mask(access, lanes)
        mask = inside.name
        if tail is not None:
            mask = self.f.emit(f"and {inside.kind} {inside.name}, {tail}")
        moved = math_.binary("mul", index, math_.constant(scale, int64))
        stride = access.strides[self.vector] if self.vector is not None and lanes > 1 else 0
        if stride:
            steps = ", ".join(f"i64 {n * stride}" for n in range(lanes))
            moved = Value(self.f.emit(f"add {moved.kind} {moved.name}, <{steps}>"), int64, lanes)
        element = memory_type(expression.dtype)
        pointer = self._address(access)
        if lanes == 1:
            slot = self.f.reserve(element, 8)
            self.f.do(f"store {element} zeroinitializer, ptr {slot}, align 8")
            with self.f.when(mask):
                place = self.f.emit(f"getelementptr {element}, ptr {pointer}, i64 {moved.name}")
                found = self.f.emit(f"load {element}, ptr {place}")
                self.f.do(f"store {element} {found}, ptr {slot}, align 8")
            name = self.f.emit(f"load {element}, ptr {slot}, align 8")
        else:
            pointers = self.f.emit(
                f"getelementptr {element}, ptr {pointer}, {moved.kind} {moved.name}"
            )
            name = self._gather_from(pointers, vector_of(element, lanes), element, lanes, mask)
        return self._from_memory(name, expression.dtype, lanes)

    def _report(self, inside: Value, lanes: int) -> None:
        """Set the status where a lane that counts is out of range."""
        outside = self.f.emit(
            f"xor {inside.kind} {inside.name}, " + ("true" if lanes == 1 else "splat (i1 true)")
        )
        tail = self.tail(lanes)
        if tail is not None:
            outside = self.f.emit(f"and {inside.kind} {outside}, {tail}")
        if lanes > 1:
            bits = self.f.emit(f"bitcast {inside.kind} {outside} to i{lanes}")
            outside = self.f.emit(f"icmp ne i{lanes} {bits}, 0")
        with self.f.when(outside):
            self.f.do("store i64 1, ptr %status, align 8")

    def _from_memory(self, name: str, dtype: DType, lanes: int) -> Value:
        if dtype.kind == "b":
            kind = vector_of("i8", lanes)
            zero = "0" if lanes == 1 else "zeroinitializer"
            name = self.f.emit(f"icmp ne {kind} {name}, {zero}")
        return Value(name, dtype, lanes)

    def store(self, access: Access, value: Value, around: bool = False) -> None:
        """Write a value; `around` the caches where that is possible."""
        lanes = value.lanes
        element = memory_type(value.dtype)
        kind = vector_of(element, lanes)
        name = value.name
        if value.dtype.kind == "b":
            name = self.f.emit(f"zext {value.kind} {name} to {kind}")
        if lanes == 1:
            self.f.do(f"store {element} {name}, ptr {self._address(access)}")
            return
        stride = access.strides[self.vector or 0]
        tail = self.tail(lanes)
        if stride == 1:
            align = value.dtype.itemsize
            address = self._address(access)
            if tail is None and around:
                self.f.helpers.add("!0 = !{i32 1}")
                align *= lanes
                self.f.do(f"store {kind} {name}, ptr {address}, align {align}, !nontemporal !0")
                return
            if tail is None:
                self.f.do(f"store {kind} {name}, ptr {address}, align {align}")
                return
            full = f"llvm.masked.store.v{lanes}{_short(element)}.p0"
            self._call_void(
                full, (kind, name), ("ptr", f"align {align} {address}"), (f"<{lanes} x i1>", tail)
            )
            return
        steps = ", ".join(f"i64 {n * stride}" for n in range(lanes))
        base = self._address(access)
        pointers = self.f.emit(f"getelementptr {element}, ptr {base}, <{lanes} x i64> <{steps}>")
        self._call_void(
            f"llvm.masked.scatter.v{lanes}{_short(element)}.v{lanes}p0",
            (kind, name),
            (f"<{lanes} x ptr>", pointers),
            (f"<{lanes} x i1>", tail or "splat (i1 true)"),
        )

    def store_at(self, store: Store, value: Value, index: Value) -> None:
        """Add a value to memory, or write it there, at an address given by one index."""
        access, lanes = store.access, value.lanes
        number = self._first_lane(index)
        place = VectorMath(self.f, 1).cast(number, int64).name
        inside = self.f.emit(f"icmp ult i64 {place}, {store.limit}")
        if not store.replaces:
            self._report(Value(inside, bool_, 1), 1)
        with self.f.when(inside):
            step = self.f.emit(f"mul nsw i64 {place}, {store.scale}")
            element = memory_type(value.dtype)
            base, pointer = self._pointers[access], self._address(access)
            self._pointers[access] = self.f.emit(
                f"getelementptr {element}, ptr {pointer}, i64 {step}"
            )
            shift, self.shift = self.shift, 0
            if not store.replaces:
                whole = Access(access.buffer, access.offset, access.strides)
                terms = [self.load(whole, value.dtype, lanes), value]
                value = emit_elementwise(VectorMath(self.f, lanes), "add", value.dtype, terms)
            self.store(access, value)
            self.shift, self._pointers[access] = shift, base

    def _first_lane(self, value: Value) -> Value:
        if value.lanes == 1:
            return value
        name = self.f.emit(f"extractelement {value.kind} {value.name}, i64 0")
        return Value(name, value.dtype, 1)

    def _call_void(self, intrinsic: str, *arguments: tuple[str, str]) -> None:
        kinds = ", ".join(kind for kind, _ in arguments)
        self.f.intrinsics.add(f"declare void @{intrinsic}({kinds})")
        listed = ", ".join(f"{kind} {value}" for kind, value in arguments)
        self.f.do(f"call void @{intrinsic}({listed})")


def _short(element: str) -> str:
    """The name of an element type in overloaded intrinsics."""
    return {"float": "f32", "double": "f64"}.get(element, element)

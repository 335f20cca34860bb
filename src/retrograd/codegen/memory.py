"""Loads and stores of a loop nest: contiguous, strided, guarded and indexed."""

from __future__ import annotations

from ..ir.loops import Access, Expression, LoopNest
from ..ir.types import DType, bool_, int64
from .emit import Function, memory_type, vector_of
from .vectors import Value, VectorMath


class MemoryEmitter:
    """The place of every access, and the instructions that read and write there.

    Args:
        nest: the loops.
        function: where the text goes.
        pointers: the name of the pointer of each access; its offset is in it already.
        vector: the axis along which lanes lie; None for scalar code.
    """

    def __init__(
        self, nest: LoopNest, function: Function, pointers: dict[Access, str], vector: int | None
    ) -> None:
        self.f = function
        self.pointers = pointers
        self.vector = vector
        self.index: dict[int, str] = {}
        self.mask: int | None = None  # the number of valid lanes in the tail
        self.dtypes: dict[Access, DType] = {}
        for expression in nest.expressions:
            if expression.access is not None:
                self.dtypes[expression.access] = expression.dtype
        for store in nest.stores:
            self.dtypes[store.access] = nest.expressions[store.expression].dtype

    def index_value(self, axis: int, lanes: int) -> Value:
        """The loop index of an axis as int64."""
        math_ = VectorMath(self.f, lanes)
        if axis != self.vector or lanes == 1:
            return math_.splat(self.index[axis], int64)
        steps = ", ".join(f"i64 {n}" for n in range(lanes))
        base = math_.splat(self.index[axis], int64)
        return Value(self.f.emit(f"add {base.kind} {base.name}, <{steps}>"), int64, lanes)

    def _affine(self, offset: int, strides: tuple[int, ...], skip: int | None = None) -> str:
        """`offset + sum(strides * index)` as a scalar int64."""
        total = None if not offset else str(offset)
        for axis, stride in enumerate(strides):
            if not stride or axis == skip:
                continue
            term = self.index[axis]
            if stride != 1:
                term = self.f.emit(f"mul nsw i64 {term}, {stride}")
            total = term if total is None else self.f.emit(f"add nsw i64 {total}, {term}")
        return "0" if total is None else total

    def _address(self, access: Access) -> str:
        """The address of the first lane. The offset is in the pointer already."""
        offset = self._affine(0, access.strides)
        pointer = self.pointers[access]
        if offset == "0":
            return pointer
        return self.f.emit(f"getelementptr {self._memory(access)}, ptr {pointer}, i64 {offset}")

    def _memory(self, access: Access) -> str:
        return memory_type(self.dtypes[access])

    def _guard_mask(self, access: Access, lanes: int) -> Value | None:
        """The lanes where all guards hold; None without guards."""
        math_ = VectorMath(self.f, lanes)
        result: Value | None = None
        for guard in access.guards:
            stride = guard.strides[self.vector] if self.vector is not None and lanes > 1 else 0
            place = math_.splat(
                self._affine(guard.offset, guard.strides, self.vector if stride else None), int64
            )
            if stride:
                index = self.index_value(self.vector or 0, lanes)
                place = math_.binary(
                    "add", place, math_.binary("mul", index, math_.constant(stride, int64))
                )
            low = math_.compare("ge", place, math_.constant(0, int64), bool_)
            high = math_.compare("lt", place, math_.constant(guard.limit, int64), bool_)
            both = math_.binary("and", low, high)
            result = both if result is None else math_.binary("and", result, both)
        return result

    def tail(self, lanes: int) -> str | None:
        """The constant mask of the tail; None where all lanes count."""
        if self.mask is None or lanes == 1:
            return None
        bits = ", ".join(f"i1 {'true' if n < self.mask else 'false'}" for n in range(lanes))
        return f"<{bits}>"

    def _full_mask(self, access: Access, lanes: int) -> str | None:
        guards = self._guard_mask(access, lanes)
        tail = self.tail(lanes)
        if guards is None:
            return tail
        if tail is None:
            return guards.name
        return self.f.emit(f"and {guards.kind} {guards.name}, {tail}")

    def load(self, access: Access, dtype: DType, lanes: int) -> Value:
        element = memory_type(dtype)
        kind = vector_of(element, lanes)
        mask = self._full_mask(access, lanes)
        if lanes == 1:
            name = self._load_scalar(access, element, mask)
        else:
            stride = access.strides[self.vector or 0]
            if stride == 1:
                address = self._address(access)
                align = dtype.itemsize
                if mask is None:
                    name = self.f.emit(f"load {kind}, ptr {address}, align {align}")
                else:
                    name = self._masked_load(kind, address, mask, align, lanes)
            else:
                name = self._strided(access, element, lanes, stride, mask)
        return self._from_memory(name, dtype, lanes)

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
        """A load whose address depends on a value; out of range gives zero and sets the status."""
        access, (scale, limit) = expression.access, expression.value
        assert access is not None
        math_ = VectorMath(self.f, lanes)
        index = math_.cast(number, int64)
        low = math_.compare("ge", index, math_.constant(0, int64), bool_)
        high = math_.compare("lt", index, math_.constant(limit, int64), bool_)
        inside = math_.binary("and", low, high)
        self._report(inside, lanes)
        tail = self._full_mask(access, lanes)
        mask = inside.name
        if tail is not None:
            mask = self.f.emit(f"and {inside.kind} {inside.name}, {tail}")
        moved = math_.binary("mul", index, math_.constant(scale, int64))
        stride = access.strides[self.vector] if self.vector is not None and lanes > 1 else 0
        if stride:
            steps = math_.binary(
                "mul", self.index_value(self.vector or 0, lanes), math_.constant(stride, int64)
            )
            moved = math_.binary("add", moved, steps)
        base = self._affine(0, access.strides, self.vector if stride else None)
        moved = math_.binary("add", moved, math_.splat(base, int64))
        element = memory_type(expression.dtype)
        pointer = self.pointers[access]
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

    def store(self, access: Access, value: Value) -> None:
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

    def _call_void(self, intrinsic: str, *arguments: tuple[str, str]) -> None:
        kinds = ", ".join(kind for kind, _ in arguments)
        self.f.intrinsics.add(f"declare void @{intrinsic}({kinds})")
        listed = ", ".join(f"{kind} {value}" for kind, value in arguments)
        self.f.do(f"call void @{intrinsic}({listed})")


def _short(element: str) -> str:
    """The name of an element type in overloaded intrinsics."""
    return {"float": "f32", "double": "f64"}.get(element, element)

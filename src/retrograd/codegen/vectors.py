"""Operations on vector values: what each elementwise primitive is in LLVM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.types import DTYPES, DType
from .emit import Function, literal, scalar_type, vector_of


@dataclass(frozen=True, slots=True)
class Value:
    """A value in registers: its name, its dtype and its number of lanes."""

    name: str
    dtype: DType
    lanes: int

    @property
    def kind(self) -> str:
        return vector_of(scalar_type(self.dtype), self.lanes)


class VectorMath:
    """Emits operations on Values of a fixed number of lanes."""

    def __init__(self, function: Function, lanes: int) -> None:
        self.f = function
        self.lanes = lanes

    def constant(self, value: Any, dtype: DType) -> Value:
        text = literal(value, dtype)
        if self.lanes > 1:
            text = f"splat ({scalar_type(dtype)} {text})"
        return Value(text, dtype, self.lanes)

    def splat(self, scalar: str, dtype: DType) -> Value:
        """A scalar in every lane."""
        if self.lanes == 1:
            return Value(scalar, dtype, 1)
        element = scalar_type(dtype)
        kind = vector_of(element, self.lanes)
        first = self.f.emit(f"insertelement {kind} poison, {element} {scalar}, i64 0")
        mask = f"<{self.lanes} x i32> zeroinitializer"
        spread = self.f.emit(f"shufflevector {kind} {first}, {kind} poison, {mask}")
        return Value(spread, dtype, self.lanes)

    def keep(self, value: Value, count: int) -> Value:
        """Zero but for the first `count` lanes."""
        zero = self.constant(0, value.dtype)
        mask = f"<{self.lanes} x i1> {mask_of(count, self.lanes)}"
        text = f"select {mask}, {value.kind} {value.name}, {zero.kind} {zero.name}"
        return Value(self.f.emit(text), value.dtype, value.lanes)

    def binary(self, operation: str, a: Value, b: Value) -> Value:
        return Value(self.f.emit(f"{operation} {a.kind} {a.name}, {b.name}"), a.dtype, a.lanes)

    def unary_intrinsic(self, name: str, a: Value) -> Value:
        result = self.f.call(a.kind, f"llvm.{name}.{self.suffix(a)}", (a.kind, a.name))
        return Value(result, a.dtype, a.lanes)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c, rounded once."""
        arguments = [(x.kind, x.name) for x in (a, b, c)]
        result = self.f.call(a.kind, f"llvm.fma.{self.suffix(a)}", *arguments)
        return Value(result, a.dtype, a.lanes)

    def suffix(self, a: Value) -> str:
        """The type suffix of an overloaded intrinsic."""
        element = {"float": "f32", "double": "f64"}.get(scalar_type(a.dtype), scalar_type(a.dtype))
        return element if a.lanes == 1 else f"v{a.lanes}{element}"

    def compare(self, condition: str, a: Value, b: Value, bool_: DType) -> Value:
        if a.dtype.kind == "f":
            ordered = {"ne": "une"}.get(condition, f"o{condition}")
            text = f"fcmp {ordered} {a.kind} {a.name}, {b.name}"
        else:
            sign = "u" if a.dtype.kind in "ub" else "s"
            code = {"eq": "eq", "ne": "ne"}.get(condition, f"{sign}{condition}")
            text = f"icmp {code} {a.kind} {a.name}, {b.name}"
        return Value(self.f.emit(text), bool_, a.lanes)

    def select(self, test: Value, a: Value, b: Value) -> Value:
        text = f"select {test.kind} {test.name}, {a.kind} {a.name}, {b.kind} {b.name}"
        return Value(self.f.emit(text), a.dtype, a.lanes)

    def bitcast(self, a: Value, dtype: DType) -> Value:
        target = vector_of(scalar_type(dtype), a.lanes)
        return Value(self.f.emit(f"bitcast {a.kind} {a.name} to {target}"), dtype, a.lanes)

    def cast(self, a: Value, dtype: DType) -> Value:
        """A conversion between dtypes; see `convert_values` in ops/promotion.py for its meaning."""
        source, target = a.dtype, dtype
        if source == target:
            return a
        kind = vector_of(scalar_type(target), a.lanes)
        if target.kind == "b":
            return self.compare("ne", a, self.constant(0, source), target)
        if source.kind == "f" and target.kind == "f":
            code = "fpext" if target.itemsize > source.itemsize else "fptrunc"
        elif source.kind == "f":
            return self._saturate(a, target)
        elif target.kind == "f":
            code = "uitofp" if source.kind in "ub" else "sitofp"
        else:
            width = 0 if source.kind == "b" else source.itemsize
            if target.itemsize == width:
                return Value(a.name, target, a.lanes)
            wider = target.itemsize > width
            code = ("zext" if source.kind in "ub" else "sext") if wider else "trunc"
        return Value(self.f.emit(f"{code} {a.kind} {a.name} to {kind}"), target, a.lanes)

    def _saturate(self, a: Value, target: DType) -> Value:
        """A float cut towards zero; the limits stand for what is beyond them, 0 for NaN.

        As llvm.fptosi.sat, which becomes scalar code for whole vectors.
        """
        limits, bool_ = np.iinfo(target), DTYPES["bool"]
        zero, low = (self.constant(float(n), a.dtype) for n in (0, limits.min))
        if target.kind == "i":
            a = self.select(self.compare("eq", a, a, bool_), a, zero)
        a = self.select(self.compare("gt", a, low, bool_), a, low)
        top = float(np.nextafter(a.dtype.type(limits.max + 1), a.dtype.type(0)))
        exact = limits.max <= 1 << np.finfo(a.dtype).nmant
        last = self.constant(float(limits.max) if exact else top, a.dtype)
        inside = self.compare("le", a, last, bool_)
        a = self.select(inside, a, last)
        if target.itemsize == 1:
            whole = self.cut(a, target)
        else:
            code = "fptosi" if target.kind == "i" else "fptoui"
            kind = vector_of(scalar_type(target), a.lanes)
            name = self.f.emit(f"{code} {a.kind} {a.name} to {kind}")
            whole = Value(name, target, a.lanes)
        if exact:
            return whole
        return self.select(inside, whole, self.constant(limits.max, target))

    def cut(self, a: Value, target: DType) -> Value:
        """A float that fits into int64 (int32 for bytes), cut towards zero; it may wrap then."""
        wide = vector_of("i32" if target.itemsize == 1 else "i64", a.lanes)
        whole = self.f.emit(f"fptosi {a.kind} {a.name} to {wide}")
        if target.itemsize == 8:
            return Value(whole, target, a.lanes)
        kind = vector_of(scalar_type(target), a.lanes)
        return Value(self.f.emit(f"trunc {wide} {whole} to {kind}"), target, a.lanes)


def add_lanes(f: Function, element: str, name: str, lanes: int) -> str:
    """The sum of the lanes of a float vector, in a fixed tree of halves."""
    while lanes > 1:
        half = lanes // 2
        parts = []
        for start in (0, half):
            numbers = ", ".join(f"i32 {n}" for n in range(start, start + half))
            kind = vector_of(element, lanes)
            text = f"shufflevector {kind} {name}, {kind} poison, <{half} x i32> <{numbers}>"
            if half == 1:
                text = f"extractelement {kind} {name}, i64 {start}"
            parts.append(f.emit(text))
        lanes = half
        name = f.emit(f"fadd {vector_of(element, lanes)} {parts[0]}, {parts[1]}")
    return name


def mask_of(count: int, lanes: int) -> str:
    """The constant mask of the first `count` lanes."""
    bits = ", ".join(f"i1 {'true' if n < count else 'false'}" for n in range(lanes))
    return f"<{bits}>"


def load_vector(f: Function, place: str, dtype: DType, lanes: int, tail: int | None) -> str:
    """Floats that lie together; with `tail` only so many are read, the others are zero."""
    element, align = scalar_type(dtype), dtype.itemsize
    kind = vector_of(element, lanes)
    if tail is None or lanes == 1:
        return f.emit(f"load {kind}, ptr {place}, align {align}")
    return f.call(
        kind,
        f"llvm.masked.load.v{lanes}f{8 * align}.p0",
        ("ptr", f"align {align} {place}"),
        (f"<{lanes} x i1>", mask_of(tail, lanes)),
        (kind, "zeroinitializer"),
    )


def store_vector(f: Function, value: Value, place: str, tail: int | None) -> None:
    """Write floats that lie together; with `tail` only so many."""
    align, kind, lanes = value.dtype.itemsize, value.kind, value.lanes
    if tail is None or lanes == 1:
        f.do(f"store {kind} {value.name}, ptr {place}, align {align}")
        return
    name = f"llvm.masked.store.v{lanes}f{8 * align}.p0"
    f.intrinsics.add(f"declare void @{name}({kind}, ptr, <{lanes} x i1>)")
    mask = f"<{lanes} x i1> {mask_of(tail, lanes)}"
    f.do(f"call void @{name}({kind} {value.name}, ptr align {align} {place}, {mask})")

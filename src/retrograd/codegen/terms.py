"""Formulas over vector values, written as formulas: `a * b + 1` emits the instructions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..ir.types import DType, bool_, float32, float64, int32, int64
from .vectors import Value, VectorMath

Row = Callable[[VectorMath, list[Value]], Value]


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """The bits of an IEEE format.

    Args:
        bits: the integer dtype of the same size.
        mantissa: bits after the leading one.
        bias: what is added to the exponent.
    """

    bits: DType
    mantissa: int
    bias: int

    @property
    def magic(self) -> float:
        """1.5 * 2^mantissa: what is added to it is rounded to a whole number in its low bits."""
        return 1.5 * 2.0**self.mantissa


FORMATS = {float32: FloatFormat(int32, 23, 127), float64: FloatFormat(int64, 52, 1023)}


class Term:
    """A Value that can be computed with: arithmetic rounds as its dtype does, nothing is fused.

    A Python number on either side becomes a constant of the dtype of the other operand.
    """

    __slots__ = ("m", "value")

    def __init__(self, m: VectorMath, value: Value) -> None:
        self.m = m
        self.value = value

    @property
    def dtype(self) -> DType:
        return self.value.dtype

    @property
    def format(self) -> FloatFormat:
        return FORMATS[self.value.dtype]

    def like(self, other: Any) -> Term:
        """A term, or a number as a constant of this dtype."""
        if isinstance(other, Term):
            return other
        return Term(self.m, self.m.constant(other, self.dtype))

    def _apply(self, float_code: str, int_code: str, a: Any, b: Any) -> Term:
        code = float_code if self.dtype.kind == "f" else int_code
        return Term(self.m, self.m.binary(code, self.like(a).value, self.like(b).value))

    def __add__(self, other: Any) -> Term:
        return self._apply("fadd", "add", self, other)

    def __radd__(self, other: Any) -> Term:
        return self._apply("fadd", "add", other, self)

    def __sub__(self, other: Any) -> Term:
        return self._apply("fsub", "sub", self, other)

    def __rsub__(self, other: Any) -> Term:
        return self._apply("fsub", "sub", other, self)

    def __mul__(self, other: Any) -> Term:
        return self._apply("fmul", "mul", self, other)

    def __rmul__(self, other: Any) -> Term:
        return self._apply("fmul", "mul", other, self)

    def __truediv__(self, other: Any) -> Term:
        return self._apply("fdiv", "", self, other)

    def __rtruediv__(self, other: Any) -> Term:
        return self._apply("fdiv", "", other, self)

    def __and__(self, other: Any) -> Term:
        return self._apply("", "and", self, other)

    def __or__(self, other: Any) -> Term:
        return self._apply("", "or", self, other)

    def __xor__(self, other: Any) -> Term:
        return self._apply("", "xor", self, other)

    def __lshift__(self, other: int) -> Term:
        return self._apply("", "shl", self, other)

    def __rshift__(self, other: int) -> Term:
        """Zeros move in from the left."""
        return self._apply("", "lshr", self, other)

    def shift_signed(self, count: int) -> Term:
        """A shift to the right in which the sign moves in from the left."""
        return self._apply("", "ashr", self, count)

    def __neg__(self) -> Term:
        if self.dtype.kind != "f":
            return 0 - self
        name = self.m.f.emit(f"fneg {self.value.kind} {self.value.name}")
        return Term(self.m, Value(name, self.dtype, self.value.lanes))

    def __abs__(self) -> Term:
        return Term(self.m, self.m.unary_intrinsic("fabs", self.value))

    def floor(self) -> Term:
        return Term(self.m, self.m.unary_intrinsic("floor", self.value))

    def _compare(self, condition: str, other: Any) -> Term:
        return Term(self.m, self.m.compare(condition, self.value, self.like(other).value, bool_))

    def __lt__(self, other: Any) -> Term:
        return self._compare("lt", other)

    def __le__(self, other: Any) -> Term:
        return self._compare("le", other)

    def __gt__(self, other: Any) -> Term:
        return self._compare("gt", other)

    def __ge__(self, other: Any) -> Term:
        return self._compare("ge", other)

    def equals(self, other: Any) -> Term:
        return self._compare("eq", other)

    def differs(self, other: Any) -> Term:
        return self._compare("ne", other)

    def choose(self, yes: Any, no: Any) -> Term:
        """`yes` where this bool holds, `no` elsewhere. One of them is a Term."""
        model = yes if isinstance(yes, Term) else no
        a, b = model.like(yes), model.like(no)
        return Term(self.m, self.m.select(self.value, a.value, b.value))

    def to_bits(self) -> Term:
        """The bits of a float as an integer."""
        return Term(self.m, self.m.bitcast(self.value, self.format.bits))

    def to_float(self) -> Term:
        """The float that has these bits."""
        target = float32 if self.dtype.itemsize == 4 else float64
        return Term(self.m, self.m.bitcast(self.value, target))

    def cast(self, dtype: DType) -> Term:
        return Term(self.m, self.m.cast(self.value, dtype))

    def cut(self, dtype: DType) -> Term:
        """A float that fits into int64 (int32 for bytes) as an integer, which may wrap."""
        return Term(self.m, self.m.cut(self.value, dtype))


def fma(a: Term, b: Any, c: Any) -> Term:
    """a * b + c, rounded once."""
    return Term(a.m, a.m.fma(a.value, a.like(b).value, a.like(c).value))


def horner(x: Term, coefficients: Sequence[float]) -> Term:
    """c0 + x (c1 + x (c2 + ...)), each step rounded once."""
    result = x.like(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = fma(result, x, coefficient)
    return result


def polynomial(x: Term, square: Term, coefficients: Sequence[float]) -> Term:
    """The same polynomial as even part + x * odd part, two chains of half the length in x^2.

    No more operations than Horner's rule where the square is needed anyway. Long polynomials are
    split once more.
    """
    if len(coefficients) < 4:
        return horner(x, coefficients)
    if len(coefficients) > 14:
        fourth = square * square
        odd = polynomial(square, fourth, coefficients[1::2])
        return fma(x, odd, polynomial(square, fourth, coefficients[::2]))
    return fma(x, horner(square, coefficients[1::2]), horner(square, coefficients[::2]))


def at_most(x: Term, limit: float) -> Term:
    """x, or the limit where x is above it. NaN stays NaN."""
    return (x > limit).choose(limit, x)


def at_least(x: Term, limit: float) -> Term:
    """x, or the limit where x is below it. NaN stays NaN."""
    return (x < limit).choose(limit, x)


def copy_sign(size: Term, sign: Term) -> Term:
    """`size`, which is not negative, with the sign of `sign`."""
    lowest = -(1 << (8 * size.dtype.itemsize - 1))
    return (size.to_bits() | (sign.to_bits() & lowest)).to_float()


def row(formula: Callable[..., Term]) -> Row:
    """A formula over Terms as a row of the table of elementwise primitives."""

    def emit(m: VectorMath, inputs: list[Value]) -> Value:
        return formula(*(Term(m, value) for value in inputs)).value

    return emit

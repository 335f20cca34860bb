"""One row for each elementwise primitive: what it is on vectors."""

from __future__ import annotations

from ..ir.types import DType, bool_
from .functions import FUNCTIONS
from .terms import Row
from .vectors import Value, VectorMath


def _arithmetic(float_code: str, int_code: str) -> Row:
    return lambda m, x: m.binary(float_code if x[0].dtype.kind == "f" else int_code, x[0], x[1])


def _comparison(condition: str) -> Row:
    return lambda m, x: m.compare(condition, x[0], x[1], bool_)


def _negative(m: VectorMath, x: list[Value]) -> Value:
    a = x[0]
    if a.dtype.kind == "f":
        return Value(m.f.emit(f"fneg {a.kind} {a.name}"), a.dtype, a.lanes)
    return m.binary("sub", m.constant(0, a.dtype), a)


def _extremum(better: str) -> Row:
    """NumPy's maximum and minimum: NaN wins."""

    def row(m: VectorMath, x: list[Value]) -> Value:
        a, b = x
        chosen = m.select(m.compare(better, a, b, bool_), a, b)
        if a.dtype.kind != "f":
            return chosen
        return m.select(m.compare("ne", a, a, bool_), a, chosen)

    return row


def _abs(m: VectorMath, x: list[Value]) -> Value:
    a = x[0]
    if a.dtype.kind == "f":
        return m.unary_intrinsic("fabs", a)
    if a.dtype.kind in "ub":
        return a
    below = m.compare("lt", a, m.constant(0, a.dtype), bool_)
    return m.select(below, _negative(m, x), a)


def _sign(m: VectorMath, x: list[Value]) -> Value:
    a = x[0]
    zero, one = m.constant(0, a.dtype), m.constant(1, a.dtype)
    above = m.compare("gt", a, zero, bool_)
    if a.dtype.kind == "u":
        return m.select(above, one, zero)
    below = m.compare("lt", a, zero, bool_)
    result = m.select(above, one, m.select(below, m.constant(-1, a.dtype), a))
    if a.dtype.kind == "f":
        return m.select(m.compare("eq", a, zero, bool_), zero, result)
    return result


def _rsqrt(m: VectorMath, x: list[Value]) -> Value:
    return m.binary("fdiv", m.constant(1.0, x[0].dtype), m.unary_intrinsic("sqrt", x[0]))


def _is_finite(m: VectorMath, x: list[Value]) -> Value:
    size = m.unary_intrinsic("fabs", x[0])
    return m.compare("lt", size, m.constant(float("inf"), size.dtype), bool_)


ROWS: dict[str, Row] = {
    "add": _arithmetic("fadd", "add"),
    "subtract": _arithmetic("fsub", "sub"),
    "multiply": _arithmetic("fmul", "mul"),
    "divide": _arithmetic("fdiv", "sdiv"),
    "negative": _negative,
    "maximum": _extremum("gt"),
    "minimum": _extremum("lt"),
    "abs": _abs,
    "sign": _sign,
    "floor": lambda m, x: m.unary_intrinsic("floor", x[0]),
    "sqrt": lambda m, x: m.unary_intrinsic("sqrt", x[0]),
    "rsqrt": _rsqrt,
    "equal": _comparison("eq"),
    "not_equal": _comparison("ne"),
    "less": _comparison("lt"),
    "less_equal": _comparison("le"),
    "greater": _comparison("gt"),
    "greater_equal": _comparison("ge"),
    "logical_and": lambda m, x: m.binary("and", x[0], x[1]),
    "logical_or": lambda m, x: m.binary("or", x[0], x[1]),
    "logical_xor": lambda m, x: m.binary("xor", x[0], x[1]),
    "logical_not": lambda m, x: m.binary("xor", x[0], m.constant(True, x[0].dtype)),
    "is_finite": _is_finite,
    "stop_gradient": lambda m, x: x[0],
    "where": lambda m, x: m.select(x[0], x[1], x[2]),
    **FUNCTIONS,
}


def emit_elementwise(m: VectorMath, name: str, dtype: DType, inputs: list[Value]) -> Value:
    """Apply an elementwise primitive to vectors."""
    if name == "cast":
        return m.cast(inputs[0], dtype)
    return ROWS[name](m, inputs)

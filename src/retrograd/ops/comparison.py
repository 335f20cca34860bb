"""Comparison, logic, selection, conversion of dtype, and stop_gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ir import NONDIFFERENTIABLE, ArrayType, as_dtype, declare
from ..ir.types import DType, bool_
from ..trace import Array, bind
from . import batch_rules
from .elementwise import apply, declare_comparison, declare_elementwise, zeros_like
from .promotion import (
    align,
    as_array,
    check_fits,
    convert,
    convert_values,
    make_strong,
    mark_weak,
)

equal_p = declare_comparison("equal", np.equal)
not_equal_p = declare_comparison("not_equal", np.not_equal)
less_p = declare_comparison("less", np.less)
less_equal_p = declare_comparison("less_equal", np.less_equal)
greater_p = declare_comparison("greater", np.greater)
greater_equal_p = declare_comparison("greater_equal", np.greater_equal)
logical_and_p = declare_elementwise("logical_and", np.logical_and, None, accepts="bool")
logical_or_p = declare_elementwise("logical_or", np.logical_or, None, accepts="bool")
logical_xor_p = declare_elementwise("logical_xor", np.logical_xor, None, accepts="bool")
logical_not_p = declare_elementwise("logical_not", np.logical_not, None, accepts="bool")
is_finite_p = declare_elementwise("is_finite", np.isfinite, None, accepts="float", result=bool_)
stop_gradient_p = declare_elementwise("stop_gradient", np.copy, None, accepts="any")


# -- where --------------------------------------------------------------------------------------


def _infer_where(condition: ArrayType, a: ArrayType, b: ArrayType) -> tuple[ArrayType]:
    if not condition.shape == a.shape == b.shape:
        raise ShapeError(f"where: shapes {condition.shape}, {a.shape}, {b.shape} are not equal.")
    if condition.dtype != bool_:
        raise DTypeError(
            f"where takes a bool condition, received {condition.dtype.name}.",
            fix="compare first, e.g. rg.where(x > 0, ...)",
        )
    if a.dtype != b.dtype:
        raise DTypeError(f"where: dtypes {a.dtype.name} and {b.dtype.name} are not equal.")
    return (a,)


def _where_jvp(
    primals: Sequence[Array], tangents: Sequence[Array | None], outputs: Sequence[Array]
) -> list[Array | None]:
    _, first, second = tangents
    if first is None and second is None:
        return [None]
    first = zeros_like(outputs[0]) if first is None else first
    second = zeros_like(outputs[0]) if second is None else second
    return [bind(where_p, primals[0], first, second)[0]]


def _where_backward(
    residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool]
) -> list[Array | None]:
    (condition, _, _), _ = residuals
    g = cotangents[0]
    zeros = zeros_like(g)
    return [
        None,
        bind(where_p, condition, g, zeros)[0] if needed[1] else None,
        bind(where_p, condition, zeros, g)[0] if needed[2] else None,
    ]


where_p = declare(
    "where",
    infer=_infer_where,
    evaluate=lambda condition, a, b: (np.where(condition, a, b),),
    jvp=_where_jvp,
    backward=_where_backward,
    batch=batch_rules.elementwise,
    elementwise=True,
)


# -- cast ---------------------------------------------------------------------------------------


def _infer_cast(type: ArrayType, *, dtype: DType) -> tuple[ArrayType]:
    return (type.with_dtype(dtype),)


def _cast_jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    outputs: Sequence[Array],
    *,
    dtype: DType,
) -> list[Array | None]:
    if dtype.kind != "f" or tangents[0] is None:
        return [None]
    return [convert(tangents[0], dtype)]


def _cast_backward(
    residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool], *, dtype: DType
) -> list[Array | None]:
    (x,), _ = residuals
    return [convert(cotangents[0], x.type.dtype) if needed[0] else None]


cast_p = declare(
    "cast",
    infer=_infer_cast,
    evaluate=lambda x, *, dtype: (convert_values(x, dtype),),
    jvp=_cast_jvp,
    backward=_cast_backward,
    batch=batch_rules.elementwise,
    elementwise=True,
)


# -- narrow -------------------------------------------------------------------------------------


def _infer_narrow(type: ArrayType, *, dtype: DType) -> tuple[ArrayType]:
    if type.dtype.kind not in "iu" or dtype.kind not in "iu":
        raise DTypeError(f"narrow takes integers to integers: {type.dtype.name} to {dtype.name}.")
    return (type.with_dtype(dtype),)


def _evaluate_narrow(x: Any, *, dtype: DType) -> tuple[Any]:
    if x.size:
        check_fits(int(x.min()), dtype)
        check_fits(int(x.max()), dtype)
    return (x.astype(dtype),)


# A Python number that a compiled function receives is an int64; where it meets an array of a
# narrower dtype it is an error, as it is without compilation, if it does not fit.
narrow_p = declare(
    "narrow",
    infer=_infer_narrow,
    evaluate=_evaluate_narrow,
    jvp=NONDIFFERENTIABLE,
    backward=NONDIFFERENTIABLE,
    batch=batch_rules.elementwise,
)


# -- what users call ----------------------------------------------------------------------------


def equal(a: Any, b: Any) -> Array:
    """Whether elements are equal: `a == b`.

    Example:
        >>> import retrograd as rg
        >>> rg.equal(rg.array([1, 2]), 2).numpy()
        array([False,  True])
    """
    return apply(equal_p, a, b)


def not_equal(a: Any, b: Any) -> Array:
    """Whether elements differ: `a != b`.

    Example:
        >>> import retrograd as rg
        >>> rg.not_equal(rg.array([1, 2]), 2).numpy()
        array([ True, False])
    """
    return apply(not_equal_p, a, b)


def less(a: Any, b: Any) -> Array:
    """Whether `a < b`, elementwise.

    Example:
        >>> import retrograd as rg
        >>> rg.less(rg.array([1, 2]), 2).numpy()
        array([ True, False])
    """
    return apply(less_p, a, b)


def less_equal(a: Any, b: Any) -> Array:
    """Whether `a <= b`, elementwise.

    Example:
        >>> import retrograd as rg
        >>> rg.less_equal(rg.array([1, 2]), 2).numpy()
        array([ True,  True])
    """
    return apply(less_equal_p, a, b)


def greater(a: Any, b: Any) -> Array:
    """Whether `a > b`, elementwise.

    Example:
        >>> import retrograd as rg
        >>> rg.greater(rg.array([1, 2]), 1).numpy()
        array([False,  True])
    """
    return apply(greater_p, a, b)


def greater_equal(a: Any, b: Any) -> Array:
    """Whether `a >= b`, elementwise.

    Example:
        >>> import retrograd as rg
        >>> rg.greater_equal(rg.array([1, 2]), 1).numpy()
        array([ True,  True])
    """
    return apply(greater_equal_p, a, b)


def logical_and(a: Any, b: Any) -> Array:
    """Whether both are true, elementwise. Numbers count as true when they are not 0.

    Example:
        >>> import retrograd as rg
        >>> rg.logical_and(rg.array([True, False]), True).numpy()
        array([ True, False])
    """
    return apply(logical_and_p, as_bool(a), as_bool(b))


def logical_or(a: Any, b: Any) -> Array:
    """Whether at least one is true, elementwise.

    Example:
        >>> import retrograd as rg
        >>> rg.logical_or(rg.array([True, False]), False).numpy()
        array([ True, False])
    """
    return apply(logical_or_p, as_bool(a), as_bool(b))


def logical_xor(a: Any, b: Any) -> Array:
    """Whether exactly one is true, elementwise.

    Example:
        >>> import retrograd as rg
        >>> rg.logical_xor(rg.array([True, False]), True).numpy()
        array([False,  True])
    """
    return apply(logical_xor_p, as_bool(a), as_bool(b))


def logical_not(x: Any) -> Array:
    """Whether it is false, elementwise.

    Example:
        >>> import retrograd as rg
        >>> rg.logical_not(rg.array([True, False])).numpy()
        array([False,  True])
    """
    return apply(logical_not_p, as_bool(x))


def is_finite(x: Any) -> Array:
    """Whether it is neither infinite nor NaN, elementwise.

    Example:
        >>> import retrograd as rg
        >>> rg.is_finite(rg.array([1.0, float("inf"), float("nan")])).numpy()
        array([ True, False, False])
    """
    value = as_array(x)
    if value.type.dtype.kind != "f":
        return equal(value, value)
    return apply(is_finite_p, value)


def is_nan(x: Any) -> Array:
    """Whether it is NaN, elementwise.

    Example:
        >>> import retrograd as rg
        >>> rg.is_nan(rg.array([1.0, float("nan")])).numpy()
        array([False,  True])
    """
    return not_equal(x, x)


def where(condition: Any, a: Any, b: Any) -> Array:
    """Elements of `a` where the condition holds, of `b` elsewhere.

    The gradient goes to the chosen one; the other gets 0, whatever its value.

    Args:
        condition: bools.
        a, b: arrays or numbers; all three shapes broadcast together.

    Example:
        >>> import retrograd as rg
        >>> rg.where(rg.array([True, False]), 1.0, 2.0).numpy()
        array([1., 2.], dtype=float32)
    """
    from .promotion import broadcast_shapes
    from .shape import broadcast_to

    test = as_bool(condition)
    (first, second), weak = align("where", a, b)
    shape = broadcast_shapes(test.type.shape, first.type.shape, operation="where")
    parts = [broadcast_to(part, shape) for part in (test, first, second)]
    return mark_weak(bind(where_p, *parts)[0], weak and test.weak)


def as_bool(x: Any) -> Array:
    """The operand as bools: numbers are true when they are not 0."""
    value = as_array(x)
    return value if value.type.dtype == bool_ else not_equal(value, 0)


def astype(x: Any, dtype: Any) -> Array:
    """The array with another dtype.

    Floats are cut off towards 0 when they become integers. Those beyond the limits of the integers
    become the nearest one, and NaN becomes 0. Integers become narrower ones by their lowest bits.

    Example:
        >>> import retrograd as rg
        >>> rg.astype(rg.array([1.7]), "int32").numpy()
        array([1], dtype=int32)
    """
    return make_strong(convert(as_array(x), as_dtype(dtype)))


def stop_gradient(x: Any) -> Array:
    """The value itself, through which no gradient flows.

    Example:
        >>> import retrograd as rg
        >>> float(rg.grad(lambda x: x * rg.stop_gradient(x))(3.0))
        3.0
    """
    return apply(stop_gradient_p, x)

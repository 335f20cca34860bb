"""Arithmetic: add, subtract, multiply, divide, power, maximum, minimum, abs, sign, floor, ..."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError
from ..trace import Array, bind
from . import comparison, transcendental
from .elementwise import apply, declare_elementwise, zeros_like
from .promotion import as_array, convert

add_p = declare_elementwise("add", np.add, [lambda g, a, b, out: g, lambda g, a, b, out: g])
subtract_p = declare_elementwise(
    "subtract", np.subtract, [lambda g, a, b, out: g, lambda g, a, b, out: -g]
)
multiply_p = declare_elementwise(
    "multiply", np.multiply, [lambda g, a, b, out: g * b, lambda g, a, b, out: g * a]
)
divide_p = declare_elementwise(
    "divide",
    np.divide,
    [lambda g, a, b, out: g / b, lambda g, a, b, out: -(g * (out / b))],
    accepts="float",
)
negative_p = declare_elementwise("negative", np.negative, [lambda g, a, out: -g])
sign_p = declare_elementwise("sign", np.sign, None)
floor_p = declare_elementwise("floor", np.floor, None, accepts="float")
abs_p = declare_elementwise("abs", np.abs, [lambda g, a, out: g * sign(a)])


def _floor_divide(a: Any, b: Any) -> Any:
    return np.floor_divide(a, np.where(b == 0, np.ones_like(b), b))


def _remainder(a: Any, b: Any) -> Any:
    """NumPy's remainder; an integer by 0 gives the integer, as `a - b * (a // b)` does."""
    if a.dtype.kind == "f":
        return np.remainder(a, b)
    return np.where(b == 0, a, np.remainder(a, np.where(b == 0, np.ones_like(b), b)))


def _times_quotient(g: Array, a: Array, b: Array, out: Array) -> Array:
    """The remainder falls by floor(a / b) for each step of b."""
    return -(g * ((a - out) / b))


remainder_p = declare_elementwise(
    "remainder", _remainder, [lambda g, a, b, out: g, _times_quotient]
)
floor_divide_p = declare_elementwise("floor_divide", _floor_divide, None, accepts="integer")


def _share_of_tie(g: Array, a: Array, b: Array, out: Array) -> Array:
    """The winner gets the gradient; equal values share it."""
    half = convert(0.5, g.type.dtype)
    share = comparison.where(comparison.equal(a, b), g * half, zeros_like(g))
    return comparison.where(
        comparison.equal(a, out),
        comparison.where(comparison.equal(b, out), share, g),
        zeros_like(g),
    )


maximum_p = declare_elementwise(
    "maximum",
    np.maximum,
    [
        lambda g, a, b, out: _share_of_tie(g, a, b, out),
        lambda g, a, b, out: _share_of_tie(g, b, a, out),
    ],
)
minimum_p = declare_elementwise(
    "minimum",
    np.minimum,
    [
        lambda g, a, b, out: _share_of_tie(g, a, b, out),
        lambda g, a, b, out: _share_of_tie(g, b, a, out),
    ],
)


def _power_base(g: Array, a: Array, b: Array, out: Array) -> Array:
    """b a^(b-1), and 0 where b is 0 (also for a = 0)."""
    zero = comparison.equal(b, 0)
    safe = comparison.where(zero, 1, b)
    return comparison.where(zero, zeros_like(g), g * (safe * power(a, safe - 1)))


def _power_exponent(g: Array, a: Array, b: Array, out: Array) -> Array:
    """a^b log a, and 0 where a is 0 and b is not negative."""
    at_zero = comparison.logical_and(comparison.equal(a, 0), comparison.greater_equal(b, 0))
    safe = comparison.where(at_zero, 1, a)
    return comparison.where(at_zero, zeros_like(g), g * out * transcendental.log(safe))


power_p = declare_elementwise("power", np.power, [_power_base, _power_exponent], accepts="float")


def add(a: Any, b: Any) -> Array:
    """Sum of two arrays, elementwise: `a + b`.

    Args:
        a, b: arrays or numbers whose shapes broadcast together.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> import retrograd as rg
        >>> rg.add(rg.array([1.0, 2.0]), 3).numpy()
        array([4., 5.], dtype=float32)
    """
    return apply(add_p, a, b) if not _both_bool(a, b) else comparison.logical_or(a, b)


def subtract(a: Any, b: Any) -> Array:
    """Difference of two arrays, elementwise: `a - b`.

    Example:
        >>> import retrograd as rg
        >>> rg.subtract(rg.array([1.0, 2.0]), 3).numpy()
        array([-2., -1.], dtype=float32)
    """
    return apply(subtract_p, a, b)


def multiply(a: Any, b: Any) -> Array:
    """Product of two arrays, elementwise: `a * b`.

    Example:
        >>> import retrograd as rg
        >>> rg.multiply(rg.array([1.0, 2.0]), 3).numpy()
        array([3., 6.], dtype=float32)
    """
    return apply(multiply_p, a, b) if not _both_bool(a, b) else comparison.logical_and(a, b)


def divide(a: Any, b: Any) -> Array:
    """Quotient of two arrays, elementwise: `a / b`. Integers give float32.

    Example:
        >>> import retrograd as rg
        >>> rg.divide(rg.array([1, 2]), 4).numpy()
        array([0.25, 0.5 ], dtype=float32)
    """
    return apply(divide_p, a, b, floating=True)


def floor_divide(a: Any, b: Any) -> Array:
    """Quotient rounded down, elementwise: `a // b`. An integer divided by 0 gives the integer.

    Example:
        >>> import retrograd as rg
        >>> rg.floor_divide(rg.array([7, -7]), 2).numpy()
        array([ 3, -4], dtype=int32)
    """
    first, second = as_array(a), as_array(b)
    if "f" in (first.type.dtype.kind, second.type.dtype.kind):
        rest = comparison.stop_gradient(remainder(a, b))
        quotient = divide(subtract(a, rest), b)  # whole, but for rounding
        down = floor(quotient)
        return comparison.where(quotient - down > 0.5, down + 1, down)
    return apply(floor_divide_p, a, b)


def remainder(a: Any, b: Any) -> Array:
    """Remainder of the division rounded down, elementwise, exact: `a - b * floor(a / b)`.

    Example:
        >>> import retrograd as rg
        >>> rg.remainder(rg.array([7, -7]), 3).numpy()
        array([1, 2], dtype=int32)
    """
    return apply(remainder_p, a, b)


def negative(x: Any) -> Array:
    """Negative, elementwise: `-x`.

    Example:
        >>> import retrograd as rg
        >>> rg.negative(rg.array([1.0, -2.0])).numpy()
        array([-1.,  2.], dtype=float32)
    """
    return apply(negative_p, x)


def abs(x: Any) -> Array:
    """Absolute value, elementwise; its gradient at 0 is 0.

    Example:
        >>> import retrograd as rg
        >>> rg.abs(rg.array([1.0, -2.0])).numpy()
        array([1., 2.], dtype=float32)
    """
    return apply(abs_p, x)


def sign(x: Any) -> Array:
    """Sign, elementwise: -1, 0 or 1.

    Example:
        >>> import retrograd as rg
        >>> rg.sign(rg.array([3.0, 0.0, -2.0])).numpy()
        array([ 1.,  0., -1.], dtype=float32)
    """
    return apply(sign_p, x)


def floor(x: Any) -> Array:
    """Largest integer not above x, elementwise, in the dtype of x.

    Example:
        >>> import retrograd as rg
        >>> rg.floor(rg.array([1.5, -1.5])).numpy()
        array([ 1., -2.], dtype=float32)
    """
    value = as_array(x)
    return apply(floor_p, value) if value.type.dtype.kind == "f" else value


def maximum(a: Any, b: Any) -> Array:
    """Larger of two arrays, elementwise; equal values share the gradient.

    Example:
        >>> import retrograd as rg
        >>> rg.maximum(rg.array([1.0, 5.0]), 3).numpy()
        array([3., 5.], dtype=float32)
    """
    return apply(maximum_p, a, b)


def minimum(a: Any, b: Any) -> Array:
    """Smaller of two arrays, elementwise; equal values share the gradient.

    Example:
        >>> import retrograd as rg
        >>> rg.minimum(rg.array([1.0, 5.0]), 3).numpy()
        array([1., 3.], dtype=float32)
    """
    return apply(minimum_p, a, b)


def square(x: Any) -> Array:
    """Square, elementwise: `x * x`.

    Example:
        >>> import retrograd as rg
        >>> rg.square(rg.array([1.0, -2.0])).numpy()
        array([1., 4.], dtype=float32)
    """
    value = as_array(x)
    return multiply(value, value)


def power(a: Any, b: Any) -> Array:
    """Power, elementwise: `a ** b`.

    Small whole exponents are written as products, which are exact for negative bases too.
    The gradient is `b a^(b-1)` for the base and `a^b log(a)` for the exponent.

    Raises:
        DTypeError: an integer to a negative integer power.

    Example:
        >>> import retrograd as rg
        >>> rg.power(rg.array([1.0, -2.0]), 3).numpy()
        array([ 1., -8.], dtype=float32)
    """
    if isinstance(b, (int, float)) and not isinstance(b, bool):
        base = as_array(a)
        if base.type.dtype.kind in "iu" and isinstance(b, int):
            return _integer_power(base, b)
        if b == 2:
            return multiply(base, base)
        if b == 1:
            return multiply(base, 1.0)
        if b == 0.5:
            return transcendental.sqrt(base)
        if b == -1:
            return divide(1.0, base)
    first, second = as_array(a), as_array(b)
    if first.type.dtype.kind in "iub" and second.type.dtype.kind in "iub":
        raise DTypeError(
            "power of integers by an array of integers is not supported.",
            fix="convert the base with .astype('float32')",
        )
    return apply(power_p, a, b, floating=True)


def _integer_power(base: Array, exponent: int) -> Array:
    if exponent < 0:
        raise DTypeError(
            f"Integers to a negative integer power ({exponent}) are not integers.",
            fix="convert the base with .astype('float32')",
        )
    result = Array(np.broadcast_to(np.ones((), base.type.dtype), base.type.shape))
    while exponent:
        if exponent & 1:
            result = multiply(result, base)
        exponent >>= 1
        if exponent:
            base = multiply(base, base)
    return result


def clip(x: Any, minimum: Any = None, maximum: Any = None) -> Array:
    """Values limited to [minimum, maximum], elementwise.

    The gradient is that of x inside the limits, the limits included, and 0 outside.

    Example:
        >>> import retrograd as rg
        >>> rg.clip(rg.array([-1.0, 0.5, 2.0]), 0, 1).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    value = as_array(x)
    if minimum is not None:
        value = comparison.where(comparison.less(value, minimum), minimum, value)
    if maximum is not None:
        value = comparison.where(comparison.greater(value, maximum), maximum, value)
    return value


def _both_bool(a: Any, b: Any) -> bool:
    return as_array(a).type.dtype.kind == "b" and as_array(b).type.dtype.kind == "b"


def accumulate(a: Array | None, b: Array | None) -> Array | None:
    """The sum of two gradients, of which None is zero."""
    if a is None:
        return b
    if b is None:
        return a
    return bind(add_p, a, b)[0]

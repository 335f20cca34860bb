"""Arrays from a shape or a range: zeros, ones, full, arange, linspace, eye and the *_like forms.

Constant arrays are views of one element (stride 0), so that they take no memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError
from ..ir import as_dtype
from ..ir.types import DType, float32, float64, int32, int64
from ..trace import Array, Tracer
from .promotion import as_array, convert
from .shape import as_sizes, broadcast_to


def _constant(shape: Any, value: int, dtype: Any, operation: str) -> Array:
    sizes = as_sizes(shape, operation)
    return Array(np.broadcast_to(np.asarray(value, as_dtype(dtype)), sizes))


def zeros(shape: Any, dtype: Any = float32) -> Array:
    """Zeros of a shape.

    Args:
        shape: a size or a tuple of sizes.
        dtype: the dtype of the elements.

    Raises:
        ShapeError: a size is negative.

    Example:
        >>> import retrograd as rg
        >>> rg.zeros((2, 2)).numpy()
        array([[0., 0.],
               [0., 0.]], dtype=float32)
    """
    return _constant(shape, 0, dtype, "zeros")


def ones(shape: Any, dtype: Any = float32) -> Array:
    """Ones of a shape.

    Args:
        shape: a size or a tuple of sizes.
        dtype: the dtype of the elements.

    Raises:
        ShapeError: a size is negative.

    Example:
        >>> import retrograd as rg
        >>> rg.ones(3).numpy()
        array([1., 1., 1.], dtype=float32)
    """
    return _constant(shape, 1, dtype, "ones")


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Array:
    """One value in a shape.

    Args:
        shape: a size or a tuple of sizes.
        fill_value: the value: a number, or an array that broadcasts to the shape.
        dtype: the dtype of the elements; by default that of the value (a Python float gives
            float32, a Python int int32).

    Raises:
        ShapeError: a size is negative, or the value does not broadcast to the shape.
        ArgumentTypeError: the value does not fit into the dtype.

    Example:
        >>> import retrograd as rg
        >>> rg.full((2,), 0.5).numpy()
        array([0.5, 0.5], dtype=float32)
    """
    sizes = as_sizes(shape, "full")
    if dtype is None:
        return broadcast_to(as_array(fill_value), sizes)
    wanted = as_dtype(dtype)
    if isinstance(fill_value, float) and wanted.kind in "iu":
        if not fill_value.is_integer():
            raise ArgumentTypeError(
                f"full: the value {fill_value} does not fit into {wanted.name}.",
                fix="give a whole number, or a floating dtype",
            )
        fill_value = int(fill_value)
    return broadcast_to(convert(_as_operand(fill_value), wanted), sizes)


def _as_operand(value: Any) -> Any:
    """Numbers as they are, so that `convert` checks their range; all else as an Array."""
    return value if isinstance(value, (bool, int, float)) else as_array(value)


def zeros_like(x: Any, dtype: Any = None) -> Array:
    """Zeros of the shape of x, and of its dtype if none is given.

    Example:
        >>> import retrograd as rg
        >>> rg.zeros_like(rg.array([1, 2])).numpy()
        array([0, 0], dtype=int32)
    """
    type = as_array(x).type
    return zeros(type.shape, type.dtype if dtype is None else dtype)


def ones_like(x: Any, dtype: Any = None) -> Array:
    """Ones of the shape of x, and of its dtype if none is given.

    Example:
        >>> import retrograd as rg
        >>> rg.ones_like(rg.array([1, 2])).numpy()
        array([1, 1], dtype=int32)
    """
    type = as_array(x).type
    return ones(type.shape, type.dtype if dtype is None else dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Array:
    """One value in the shape of x, and in its dtype if none is given.

    Raises:
        ArgumentTypeError: the value does not fit into the dtype.

    Example:
        >>> import retrograd as rg
        >>> rg.full_like(rg.array([1.0, 2.0]), 7).numpy()
        array([7., 7.], dtype=float32)
    """
    type = as_array(x).type
    return full(type.shape, fill_value, type.dtype if dtype is None else dtype)


def _as_number(value: Any, name: str, operation: str) -> int | float:
    """A finite Python number: sizes are fixed when a program is traced."""
    if isinstance(value, Tracer):
        raise ArgumentTypeError(
            f"{operation}: {name} is a traced value, but the size of the result must be known.",
            fix=f"pass a Python number, or scale a fixed range: {operation}(n) * step",
        )
    if isinstance(value, (Array, np.ndarray, np.generic)):
        known = value.concrete() if isinstance(value, Array) else np.asarray(value)
        value = known.item() if known.size == 1 and known.dtype.kind in "fiu" else value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(
            f"{operation}: {name} must be a number, received {type(value).__name__} {value!r:.40}."
        )
    if not math.isfinite(value):
        raise ArgumentError(f"{operation}: {name} must be finite, received {value}.")
    return value


def _as_count(value: Any, name: str, operation: str) -> int:
    if isinstance(value, (bool, float)) or not hasattr(value, "__index__"):
        raise ArgumentTypeError(f"{operation}: {name} must be an integer, received {value!r:.40}.")
    count = int(value.__index__())
    if count < 0:
        raise ArgumentError(f"{operation}: {name} cannot be negative, received {count}.")
    return count


def _fit(values: Any, dtype: DType, operation: str) -> Array:
    if dtype.kind in "iu" and values.size:
        limits = np.iinfo(dtype)
        low, high = values.min(), values.max()
        if low < limits.min or high > limits.max:
            raise ArgumentError(
                f"{operation}: {low} to {high} does not fit into {dtype.name} "
                f"({limits.min} to {limits.max}).",
                fix="choose a wider dtype",
            )
    return Array(values.astype(dtype))


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Array:
    """Numbers at equal steps: `start, start + step, ...`, as long as they are before `stop`.

    Args:
        start: the first number; with one argument it is the stop, and the range starts at 0.
        stop: the end, which does not belong to the range.
        step: the difference of two neighbours; may be negative.
        dtype: by default int32 (int64 where int32 is too narrow) for integers, else float32.

    Raises:
        ArgumentError: the step is 0, a number is not finite, or the range does not fit the dtype.
        ArgumentTypeError: an argument is not a number.

    Example:
        >>> import retrograd as rg
        >>> rg.arange(2, 8, 2).numpy()
        array([2, 4, 6], dtype=int32)
    """
    if stop is None:
        start, stop = 0, start
    first = _as_number(start, "start", "arange")
    last = _as_number(stop, "stop", "arange")
    difference = _as_number(step, "step", "arange")
    if difference == 0:
        raise ArgumentError("arange: the step cannot be 0.")
    values: np.ndarray[Any, Any]
    if isinstance(first, int) and isinstance(last, int) and isinstance(difference, int):
        span = range(first, last, difference)
        ends = (span[0], span[-1]) if span else (0, 0)
        if min(ends) < -(2**63) or max(ends) >= 2**63:
            raise ArgumentError(f"arange: {first} to {last} does not fit into int64.")
        # By position, so that a stop beyond int64 does no harm.
        values = ends[0] + difference * np.arange(len(span), dtype=np.int64)
        default = int64 if min(ends) < -(2**31) or max(ends) >= 2**31 else int32
    else:
        values = np.arange(first, last, difference, dtype=np.float64)
        default = float32
    return _fit(values, default if dtype is None else as_dtype(dtype), "arange")


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None
) -> Array:
    """Numbers at equal distances from start to stop.

    Args:
        start: the first number.
        stop: the last number, or the end of the range if `endpoint` is false.
        num: how many.
        endpoint: whether `stop` is one of them.
        dtype: by default float32.

    Raises:
        ArgumentError: `num` is negative, or a number is not finite.
        ArgumentTypeError: an argument is not a number.

    Example:
        >>> import retrograd as rg
        >>> rg.linspace(0, 1, 5).numpy()
        array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    first = _as_number(start, "start", "linspace")
    last = _as_number(stop, "stop", "linspace")
    values = np.linspace(
        first, last, _as_count(num, "num", "linspace"), endpoint=endpoint, dtype=float64
    )
    wanted = float32 if dtype is None else as_dtype(dtype)
    return _fit(np.floor(values) if wanted.kind in "iu" else values, wanted, "linspace")


def eye(N: Any, M: Any = None, k: int = 0, dtype: Any = float32) -> Array:
    """Ones on a diagonal, zeros elsewhere: the identity matrix.

    Args:
        N: the number of rows.
        M: the number of columns, by default N.
        k: which diagonal: 0 the main one, positive above it, negative below.
        dtype: the dtype of the elements.

    Raises:
        ArgumentError: a size is negative.

    Example:
        >>> import retrograd as rg
        >>> rg.eye(2).numpy()
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    rows = _as_count(N, "N", "eye")
    columns = rows if M is None else _as_count(M, "M", "eye")
    if isinstance(k, (bool, float)) or not hasattr(k, "__index__"):
        raise ArgumentTypeError(f"eye: k must be an integer, received {k!r:.40}.")
    return Array(np.eye(rows, columns, int(k.__index__()), dtype=as_dtype(dtype)))

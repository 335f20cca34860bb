"""What values become when they meet: coercion to Array, dtype promotion, broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, ShapeError
from ..ir import as_dtype
from ..ir.types import DTYPES, DType, Shape, bool_, float32, float64, int32, int64, strong_dtype
from ..trace import Array, NumpyArray, Tracer


def array(value: Any, dtype: Any = None) -> Array:
    """Make an Array from a NumPy array, a number, or nested lists.

    Args:
        value: a NumPy array keeps its dtype; Python numbers become float32, int32 or bool.
        dtype: the dtype to convert to.

    Returns:
        An immutable Array with a copy of the values.

    Raises:
        DTypeError: the dtype is not supported (float16, complex, strings, objects).
        ShapeError: nested lists of different lengths.

    Example:
        >>> import retrograd as rg
        >>> rg.array([[1, 2], [3, 4]]).dtype
        dtype('int32')
    """
    if isinstance(value, Array):
        if dtype is None:
            wanted = strong_dtype(value.type.dtype) if value.weak else value.type.dtype
        else:
            wanted = as_dtype(dtype)
        if wanted == value.type.dtype:
            return _other_array(value)
        return convert(value, wanted)
    if isinstance(value, (list, tuple)) and _holds_arrays(value):
        from .joining import stack

        stacked = stack([array(item) for item in value])
        return stacked if dtype is None else convert(stacked, as_dtype(dtype))
    if isinstance(value, (np.ndarray, np.generic)):
        found = np.asarray(value)
        if dtype is None:
            return Array(np.array(found, as_dtype(found.dtype)))
        return Array(convert_values(found, as_dtype(dtype)))
    try:
        found = np.array(value)
    except ValueError as error:
        raise ShapeError(
            f"The nested lists do not form an array: {error}.",
            fix="give every row the same length",
        ) from None
    if found.dtype.kind not in "fiub":
        raise ArgumentTypeError(
            f"Expected numbers, received {type(value).__name__} {value!r:.60}.",
            fix="pass numbers, lists of numbers or NumPy arrays",
        )
    if dtype is None:
        return Array(found.astype(_default_dtype(found, value)))
    wanted = as_dtype(dtype)
    if found.dtype.kind in "iu" and wanted.kind in "iu" and found.size:
        check_fits(int(found.min()), wanted)
        check_fits(int(found.max()), wanted)
    return Array(convert_values(found, wanted))


def _other_array(value: Array) -> Array:
    """An Array of its own with the same values, so that two Modules do not share (tie) one."""
    if isinstance(value, Tracer):
        value.recorder.check_alive()
        return make_strong(value)
    other = Array(value.concrete())
    other.owner = value.owner
    return other


def _default_dtype(found: np.ndarray[Any, Any], value: Any) -> DType:
    if found.dtype.kind == "b":
        return bool_
    if found.dtype.kind == "f":
        return float32
    if found.size and (found.max() > 2**31 - 1 or found.min() < -(2**31)):
        return int64
    return int32


def _holds_arrays(value: Sequence[Any]) -> bool:
    return any(
        isinstance(item, (Array, np.ndarray))
        or (isinstance(item, (list, tuple)) and _holds_arrays(item))
        for item in value
    )


def as_array(value: Any) -> Array:
    """The operand as an Array; NumPy arrays are wrapped, numbers get the default dtypes."""
    if isinstance(value, Array):
        return value
    if isinstance(value, (bool, int, float, np.ndarray, np.generic, list, tuple)):
        return array(value)
    raise ArgumentTypeError(
        f"Expected an Array, a NumPy array or a number, received {type(value).__name__}.",
        fix="convert it with rg.array(...)",
    )


def is_weak(value: Any) -> bool:
    """Whether a value is a Python number (or stands for one), which never widens an array."""
    if isinstance(value, Array):
        return value.weak
    return isinstance(value, (bool, int, float)) and not isinstance(value, np.generic)


def promote_dtypes(first: DType, second: DType) -> DType:
    """The dtype of an operation on two arrays: the float's if one is a float, else NumPy's."""
    if first == second:
        return first
    first_float, second_float = first.kind == "f", second.kind == "f"
    if first_float and not second_float:
        return first
    if second_float and not first_float:
        return second
    return DTYPES[np.promote_types(first, second).name]


def result_dtype(values: Sequence[Any]) -> DType:
    """The dtype that operands are converted to before they meet."""
    strong = [as_array(value).type.dtype for value in values if not is_weak(value)]
    weak_float = any(_weak_kind(value) == "f" for value in values if is_weak(value))
    weak_int = any(_weak_kind(value) in "iu" for value in values if is_weak(value))
    if not strong:
        if all(isinstance(value, Array) for value in values if is_weak(value)):
            return float64 if weak_float else int64 if weak_int else bool_
        if any(isinstance(value, Tracer) for value in values):
            return float64 if weak_float else int64
        return float32 if weak_float else int32 if weak_int else bool_
    dtype = strong[0]
    for other in strong[1:]:
        dtype = promote_dtypes(dtype, other)
    if weak_float and dtype.kind != "f":
        return float32
    if weak_int and dtype.kind == "b":
        return int32
    return dtype


def _weak_kind(value: Any) -> str:
    if isinstance(value, Array):
        return value.type.dtype.kind
    return "b" if isinstance(value, bool) else "i" if isinstance(value, int) else "f"


def convert(value: Any, dtype: DType) -> Array:
    """The operand as an Array of this dtype."""
    from ..trace import bind
    from .comparison import cast_p, narrow_p

    if not isinstance(value, Array):
        if isinstance(value, int) and not isinstance(value, bool) and dtype.kind in "iu":
            check_fits(value, dtype)
        return Array(convert_values(np.array(value), dtype))
    if value.type.dtype == dtype:
        return value
    if value.weak and dtype.kind in "iu" and value.type.dtype.kind in "iu":
        return bind(narrow_p, value, dtype=dtype)[0]
    return bind(cast_p, value, dtype=dtype)[0]


def convert_values(values: NumpyArray, dtype: DType) -> NumpyArray:
    """The values in another dtype: what a cast means, for every executor.

    Floats become integers by cutting towards zero. Beyond the limits of the integers they become
    the nearest one, and NaN becomes 0; NumPy leaves these to the processor. Integers become
    narrower integers by their lowest bits. What is not 0 becomes True, NaN too.
    """
    if values.dtype.kind != "f" or dtype.kind not in "iu":
        with np.errstate(over="ignore"):  # 1e300 is infinite in float32
            return values.astype(dtype)
    limits = np.iinfo(dtype)
    low, end = float(limits.min), 2.0 ** (limits.bits - (dtype.kind == "i"))  # both are exact
    inside = (values >= low) & (values < end)
    if inside.all():
        return values.astype(dtype)
    result = np.where(inside, values, 0).astype(dtype)
    result[values >= end], result[values < low] = limits.max, limits.min
    return result


def make_strong(value: Array) -> Array:
    """The same value, which stands for a Python number no longer."""
    if isinstance(value, Tracer) and value.weak:
        return Tracer(value.recorder, value.atom)
    return value


def check_fits(value: int, dtype: DType) -> None:
    """An error if an integer is beyond an integer dtype."""
    limits = np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        raise ArgumentTypeError(
            f"The number {value} does not fit into {dtype.name} ({limits.min} to {limits.max}).",
            fix="convert the array to a wider dtype first, or make rg.array(number, 'int64') of it",
        )


def broadcast_shapes(*shapes: Shape, operation: str) -> Shape:
    """NumPy's broadcasting rule, with an error that names the operation and the shapes."""
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except ValueError:
        listed = " and ".join(str(shape) for shape in shapes)
        raise ShapeError(
            f"{operation}: shapes {listed} do not go together.",
            fix="sizes must be equal, or 1, counted from the last axis; "
            "use .reshape or x[:, None] to line the axes up",
        ) from None


def align(operation: str, *values: Any, floating: bool = False) -> tuple[list[Array], bool]:
    """Bring operands to one dtype and one shape.

    Args:
        operation: its name, for errors.
        values: the operands.
        floating: integers become float32 (division, exp, ...).

    Returns:
        The Arrays, and whether all of them stand for Python numbers.
    """
    from .shape import broadcast_to

    operands = [
        value if isinstance(value, (Array, bool, int, float)) else as_array(value)
        for value in values
    ]
    dtype = result_dtype(operands)
    weak = all(is_weak(value) for value in operands)
    if floating and dtype.kind != "f":
        dtype = float64 if weak and any(isinstance(v, Tracer) for v in operands) else float32
    arrays = [convert(value, dtype) for value in operands]
    if all(item.type.shape == arrays[0].type.shape for item in arrays):
        return arrays, weak
    shape = broadcast_shapes(*(item.type.shape for item in arrays), operation=operation)
    return [broadcast_to(item, shape) for item in arrays], weak


def mark_weak(result: Array, weak: bool) -> Array:
    """Carry on that a traced result stands for a Python number."""
    if weak and isinstance(result, Tracer):
        result.weak_type = True
    return result

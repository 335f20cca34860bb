"""What is written with the primitives: var, std, softmax, logsumexp, squeeze, swapaxes, ..."""

from __future__ import annotations

from typing import Any

from ..trace import Array
from . import arithmetic, reduce, transcendental
from .promotion import as_array
from .shape import check_axes, check_axis, reshape, transpose


def var(x: Any, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Array:
    """Variance over axes: `mean((x - mean(x))^2)`, with `n - ddof` in the place of n.

    Example:
        >>> import retrograd as rg
        >>> float(rg.var(rg.array([1.0, 3.0])))
        1.0
    """
    value = as_array(x)
    axes = check_axes(axis, value.type.ndim, "var")
    centred = value - reduce.mean(value, axes, keepdims=True)
    total = reduce.sum(arithmetic.square(centred), axes, keepdims)
    count = 1
    for a in axes:
        count *= value.type.shape[a]
    return total * (1.0 / (count - ddof)) if count > ddof else total * float("nan")


def std(x: Any, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Array:
    """Standard deviation over axes: the square root of `var`.

    Example:
        >>> import retrograd as rg
        >>> float(rg.std(rg.array([1.0, 3.0])))
        1.0
    """
    return transcendental.sqrt(var(x, axis, keepdims, ddof))


def squeeze(x: Any, axis: Any = None) -> Array:
    """The array without its axes of size 1, or without the named ones.

    Example:
        >>> import retrograd as rg
        >>> rg.squeeze(rg.zeros((1, 3, 1))).shape
        (3,)
    """
    value = as_array(x)
    shape = value.type.shape
    if axis is None:
        return reshape(value, tuple(size for size in shape if size != 1))
    axes = check_axes(axis, value.type.ndim, "squeeze")
    for a in axes:
        if shape[a] != 1:
            from ..errors import ShapeError

            raise ShapeError(f"squeeze: axis {a} of {shape} has size {shape[a]}, not 1.")
    return reshape(value, tuple(size for a, size in enumerate(shape) if a not in axes))


def swapaxes(x: Any, axis1: int, axis2: int) -> Array:
    """Two axes exchanged.

    Example:
        >>> import retrograd as rg
        >>> rg.swapaxes(rg.zeros((2, 3, 4)), 0, 2).shape
        (4, 3, 2)
    """
    value = as_array(x)
    order = list(range(value.type.ndim))
    first = check_axis(axis1, value.type.ndim, "swapaxes")
    second = check_axis(axis2, value.type.ndim, "swapaxes")
    order[first], order[second] = order[second], order[first]
    return transpose(value, tuple(order))

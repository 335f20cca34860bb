"""What is written with the primitives: var, std, logsumexp, softmax, log_softmax, ..."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..ir.types import float32
from ..trace import Array
from . import comparison, reduce, transcendental
from .moments import moments
from .promotion import as_array, convert
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
    _, variance = moments(value, axes, keepdims)
    if ddof == 0:
        return variance
    count = 1
    for a in axes:
        count *= value.type.shape[a]
    return variance * (count / (count - ddof) if count > ddof else float("nan"))


def std(x: Any, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Array:
    """Standard deviation over axes: the square root of `var`.

    Example:
        >>> import retrograd as rg
        >>> float(rg.std(rg.array([1.0, 3.0])))
        1.0
    """
    return transcendental.sqrt(var(x, axis, keepdims, ddof))


def _shifted_exponentials(x: Any, axis: Any, operation: str) -> tuple[Array, Array, Array, Array]:
    """`x - m`, `m`, `exp(x - m)` and the sum of these, with m the largest element over the axes.

    m only keeps exp in range: the results do not depend on it, so it has no gradient. It is 0
    where it would be infinite. A sum of zeros (all elements -inf) is replaced by 1, so that
    neither it nor its gradient makes a NaN.
    """
    value = as_array(x)
    if value.type.dtype.kind != "f":
        value = convert(value, float32)
    axes = check_axes(axis, value.type.ndim, operation)
    if any(value.type.shape[a] == 0 for a in axes):
        raise ShapeError(f"{operation} over an empty axis of {value.type.shape}.")
    largest = comparison.stop_gradient(reduce.max(value, axes, keepdims=True) if axes else value)
    largest = comparison.where(comparison.is_finite(largest), largest, 0.0)
    shifted = value - largest
    exponentials = transcendental.exp(shifted)
    total = reduce.sum(exponentials, axes, keepdims=True)
    return shifted, largest, exponentials, total


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """`log(sum(exp(x)))` over axes, without overflow.

    Where all elements are -inf the result is -inf and the gradient 0. Integers give float32.

    Args:
        x: the array.
        axis: an axis or a tuple of axes; None for all.
        keepdims: keep the axes, with size 1.

    Raises:
        ShapeError: an axis is empty.

    Example:
        >>> import retrograd as rg
        >>> float(rg.logsumexp(rg.array([1000.0, 1000.0])))
        1000.693...
    """
    _, largest, _, total = _shifted_exponentials(x, axis, "logsumexp")
    empty = comparison.equal(total, 0.0)
    logarithm = transcendental.log(comparison.where(empty, 1.0, total)) + largest
    result = comparison.where(empty, -float("inf"), logarithm)
    if keepdims:
        return result
    axes = check_axes(axis, result.type.ndim, "logsumexp")
    sizes = enumerate(result.type.shape)
    return reshape(result, tuple(size for a, size in sizes if a not in axes))


def softmax(x: Any, axis: Any = -1) -> Array:
    """Probabilities from logits: `exp(x) / sum(exp(x))` along an axis, without overflow.

    Logits of -inf have probability 0; where all of them are -inf, all probabilities are 0 (no
    probability is better than another), and so is the gradient. Integers give float32.

    Args:
        x: the logits.
        axis: the axis (or axes) along which the probabilities add up to 1.

    Raises:
        ShapeError: the axis is empty.

    Example:
        >>> import retrograd as rg
        >>> rg.softmax(rg.array([0.0, 0.0])).numpy()
        array([0.5, 0.5], dtype=float32)
    """
    _, _, exponentials, total = _shifted_exponentials(x, axis, "softmax")
    return exponentials / comparison.where(comparison.equal(total, 0.0), 1.0, total)


def log_softmax(x: Any, axis: Any = -1) -> Array:
    """Logarithm of softmax: `x - log(sum(exp(x)))` along an axis, without overflow.

    Where all logits are -inf, so is the result. Integers give float32.

    Args:
        x: the logits.
        axis: the axis (or axes) along which the probabilities add up to 1.

    Raises:
        ShapeError: the axis is empty.

    Example:
        >>> import retrograd as rg
        >>> rg.log_softmax(rg.array([1000.0, 0.0])).numpy()
        array([    0., -1000.], dtype=float32)
    """
    shifted, _, _, total = _shifted_exponentials(x, axis, "log_softmax")
    return shifted - transcendental.log(comparison.where(comparison.equal(total, 0.0), 1.0, total))


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

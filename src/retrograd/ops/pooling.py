"""rg.max_pool and rg.avg_pool, on the window primitives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ir.types import float32
from ..trace import Array, bind
from .promotion import as_array, convert
from .sliding import as_padding, as_sizes, check_filled, count_elements
from .window import window_max_p, window_sum_p


def _windows(
    operation: str, x: Any, size: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[Array, dict[str, Any]]:
    value = as_array(x)
    rank = value.type.ndim - 2
    if rank < 1:
        raise ShapeError(
            f"{operation} takes an array (batch, *space, channels), received {value.type.shape}.",
            fix="add an axis of size 1 for a missing batch or channel: x[None], x[..., None]",
        )
    sizes = as_sizes(size, rank, operation, "size")
    return value, {
        "size": sizes,
        "stride": sizes if stride is None else as_sizes(stride, rank, operation, "stride"),
        "padding": as_padding(padding, rank, operation),
        "dilation": as_sizes(dilation, rank, operation, "dilation"),
    }


def max_pool(x: Any, size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1) -> Array:
    """Largest element of each window; the first one of equals gets the gradient.

    `y[n, p, c] = max over k of x[n, p * stride + k * dilation - low, c]`. Padding never wins; a
    NaN in a window gives NaN.

    Args:
        x: (batch, *space, channels).
        size: elements of a window: a number, or one for each axis of space.
        stride: the step between windows; `size` by default.
        padding: places around x: a number, a number for each axis, or a (low, high) pair for each
            axis; negative ones crop.
        dilation: the step between the elements of a window.

    Returns:
        (batch, *space', channels), with
        `space' = (space + low + high - dilation * (size - 1) - 1) // stride + 1`.

    Raises:
        ShapeError: a window is larger than the padded input, or lies wholly in the padding.

    Example:
        >>> import retrograd as rg
        >>> rg.max_pool(rg.ones((8, 28, 28, 16)), 2).shape
        (8, 14, 14, 16)
    """
    value, parameters = _windows("max_pool", x, size, stride, padding, dilation)
    return bind(window_max_p, value, **parameters)[0]


def avg_pool(
    x: Any, size: Any, stride: Any = None, padding: Any = 0, count_include_pad: bool = True
) -> Array:
    """Mean of each window. Integers give float32.

    `y[n, p, c] = mean over k of x[n, p * stride + k - low, c]`, zero outside x.

    Args:
        x: (batch, *space, channels).
        size: elements of a window: a number, or one for each axis of space.
        stride: the step between windows; `size` by default.
        padding: zeros around x: a number, a number for each axis, or a (low, high) pair for each
            axis; negative ones crop.
        count_include_pad: whether the zeros of the padding count as elements of the mean.

    Returns:
        (batch, *space', channels), with `space' = (space + low + high - size) // stride + 1`.

    Raises:
        ShapeError: a window is larger than the padded input, or holds nothing to count.

    Example:
        >>> import retrograd as rg
        >>> rg.avg_pool(rg.ones((8, 28, 28, 16)), 2).shape
        (8, 14, 14, 16)
    """
    value, parameters = _windows("avg_pool", x, size, stride, padding, 1)
    if value.type.dtype.kind != "f":
        value = convert(value, float32)
    total = bind(window_sum_p, value, **parameters)[0]
    if count_include_pad:
        return total / float(math.prod(parameters["size"]))
    counts = count_elements(value.type.shape[1:-1], **parameters)
    check_filled("avg_pool", value.type, counts, parameters["padding"])
    whole = np.ones((), value.type.dtype)
    for axis, count in enumerate(counts):
        shape = [1] * value.type.ndim
        shape[1 + axis] = count.size
        whole = whole * count.astype(value.type.dtype).reshape(shape)
    return total / Array(whole)

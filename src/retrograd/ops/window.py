"""Sums and maxima over sliding windows, and the pooling layers that are made of them.

All take x (batch, *space, channels); each channel is pooled on its own. `window_max` gives the
winner too: its place in the window, counted in row-major order, the first one on ties. Its
gradient, `window_scatter`, adds each cotangent to its winner; the gradient of that,
`window_gather`, reads the winners. The two are each other's transposes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ir import ArrayType, declare
from ..ir.types import Shape, int32
from ..trace import Array, bind
from . import batch_rules
from .shape import Sizes, broadcast_p, declare_linear, pad_p, reshape
from .sliding import (
    Pairs,
    check_filled,
    count_elements,
    count_outputs,
    count_windows,
    find_places,
)

NumpyArray = np.ndarray[Any, Any]


def _tile(size: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> bool:
    """Whether the windows lie side by side from the start: each element is in one at most."""
    side_by_side = all(step == n for n, step in zip(size, stride, strict=True))
    return side_by_side and set(dilation) == {1} and all(low == 0 for low, _ in padding)


# -- window_sum -----------------------------------------------------------------------------------


def _infer_sum(
    type: ArrayType, *, size: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> tuple[ArrayType]:
    return (type.with_shape(count_windows("window_sum", type, size, stride, padding, dilation)),)


def _evaluate_sum(
    x: NumpyArray, *, size: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> NumpyArray:
    windows = tuple(
        count_outputs(*along)
        for along in zip(x.shape[1:-1], size, stride, padding, dilation, strict=True)
    )
    total = np.zeros((x.shape[0], *windows, x.shape[-1]), x.dtype)
    for _, outputs, inputs in find_places(x.shape[1:-1], windows, size, stride, padding, dilation):
        total[outputs] += x[inputs]
    return total


def _transpose_sum(
    g: Array, type: ArrayType, *, size: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> Array:
    windows = g.type.shape[1:-1]
    if _tile(size, stride, padding, dilation):
        # Repeat each cotangent over its window; what no window covers gets zero.
        rank = len(size)
        shape = [g.type.shape[0]]
        for count, n in zip(windows, size, strict=True):
            shape += [count, n]
        axes = tuple(2 + 2 * axis for axis in range(rank))
        repeated = bind(broadcast_p, g, shape=(*shape, type.shape[-1]), axes=axes)[0]
        covered = tuple(count * n for count, n in zip(windows, size, strict=True))
        result = reshape(repeated, (type.shape[0], *covered, type.shape[-1]))
        high = tuple(n - m for n, m in zip(type.shape[1:-1], covered, strict=True))
        if not any(high):
            return result
        none = (0,) * type.ndim
        return bind(pad_p, result, low=none, high=(0, *high, 0), interior=none)[0]
    # The cotangents, as far apart as the windows, summed over the windows that hold an element.
    interior = tuple(step - 1 for step in stride)
    none = (0,) * g.type.ndim
    apart = bind(pad_p, g, low=none, high=none, interior=(0, *interior, 0))[0]
    sides = []
    for axis, (n, holes) in enumerate(zip(size, dilation, strict=True)):
        low = (n - 1) * holes - padding[axis][0]
        needed = type.shape[1 + axis] + (n - 1) * holes
        sides.append((low, needed - low - apart.type.shape[1 + axis]))
    return bind(
        window_sum_p,
        apart,
        size=size,
        stride=(1,) * len(size),
        padding=tuple(sides),
        dilation=dilation,
    )[0]


window_sum_p = declare_linear(
    "window_sum", _infer_sum, _evaluate_sum, _transpose_sum, batch_rules.into_batch
)


# -- window_max -----------------------------------------------------------------------------------


def _infer_max(
    type: ArrayType, *, size: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> tuple[ArrayType, ArrayType]:
    shape = count_windows("max_pool", type, size, stride, padding, dilation)
    counts = count_elements(type.shape[1:-1], size, stride, padding, dilation)
    check_filled("max_pool", type, counts, padding)
    return type.with_shape(shape), ArrayType(int32, shape)


def _evaluate_max(
    x: NumpyArray, *, size: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> tuple[NumpyArray, NumpyArray]:
    windows = tuple(
        count_outputs(*along)
        for along in zip(x.shape[1:-1], size, stride, padding, dilation, strict=True)
    )
    shape = (x.shape[0], *windows, x.shape[-1])
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    value = np.full(shape, least, x.dtype)
    places = list(find_places(x.shape[1:-1], windows, size, stride, padding, dilation))
    for _, outputs, inputs in places:
        np.maximum(value[outputs], x[inputs], out=value[outputs])
    missing = x.dtype.kind == "f" and bool(np.isnan(value).any())
    # The winner's number is the number of places before the first one that holds the maximum.
    # Counting takes no branches, which is several times faster than masked assignment.
    total = math.prod(size)
    open_yet = np.ones(shape, np.bool_)
    winner = np.zeros(shape, np.uint8 if total <= 256 else np.int32)
    meeting = {number: (outputs, inputs) for number, outputs, inputs in places}
    for number in range(total - 1):
        if number in meeting:
            outputs, inputs = meeting[number]
            loses = x[inputs] != value[outputs]
            if missing:
                loses &= ~np.isnan(x[inputs])
            open_yet[outputs] &= loses
        winner += open_yet
    return value, winner.astype(np.int32)


def _keep_where(x: NumpyArray, chosen: NumpyArray) -> NumpyArray:
    """The bits of x where `chosen`, as unsigned integers; zero elsewhere, whatever x is there.

    A product of integers: faster than a masked copy, and exact for infinities and NaN too.
    """
    kept: NumpyArray = x.view(f"u{x.dtype.itemsize}") * chosen
    return kept


def _max_jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    outputs: Sequence[Array],
    **parameters: Any,
) -> list[Array | None]:
    if tangents[0] is None:
        return [None, None]
    return [bind(window_gather_p, tangents[0], outputs[1], **parameters)[0], None]


def _max_forward(
    inputs: Sequence[Array], needed: Sequence[bool], **parameters: Any
) -> tuple[list[Array], Any]:
    """Keep the winners and the shape, not the input."""
    value, winner = bind(window_max_p, inputs[0], **parameters)
    return [value, winner], (winner, inputs[0].type.shape[1:-1])


def _max_backward(
    residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool], **parameters: Any
) -> list[Array | None]:
    winner, space = residuals
    return [bind(window_scatter_p, cotangents[0], winner, space=space, **parameters)[0]]


window_max_p = declare(
    "window_max",
    infer=_infer_max,
    evaluate=_evaluate_max,
    jvp=_max_jvp,
    backward=_max_backward,
    batch=batch_rules.into_batch,
    forward_with_residuals=_max_forward,
)


# -- window_scatter and window_gather -------------------------------------------------------------


def _check_winner(name: str, winner: ArrayType, shape: Shape) -> None:
    if winner.dtype != int32 or winner.shape != shape:
        raise ShapeError(f"{name}: winners must be int32 of shape {shape}, received {winner}.")


def _infer_scatter(
    g: ArrayType,
    winner: ArrayType,
    *,
    space: Sizes,
    size: Sizes,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
) -> tuple[ArrayType]:
    result = g.with_shape((g.shape[0], *space, g.shape[-1]))
    shape = count_windows("window_scatter", result, size, stride, padding, dilation)
    if g.shape != shape:
        raise ShapeError(f"window_scatter: expected shape {shape}, received {g.shape}.")
    _check_winner("window_scatter", winner, shape)
    return (result,)


def _evaluate_scatter(
    g: NumpyArray,
    winner: NumpyArray,
    *,
    space: Sizes,
    size: Sizes,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
) -> tuple[NumpyArray]:
    result = np.zeros((g.shape[0], *space, g.shape[-1]), g.dtype)
    windows = g.shape[1:-1]
    apart = set(dilation) == {1} and all(s >= n for s, n in zip(stride, size, strict=True))
    for number, outputs, inputs in find_places(space, windows, size, stride, padding, dilation):
        kept = _keep_where(g[outputs], winner[outputs] == number).view(g.dtype)
        if apart:
            result[inputs] = kept
        else:
            result[inputs] += kept
    return (result,)


def _scatter_jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    outputs: Sequence[Array],
    **parameters: Any,
) -> list[Array | None]:
    if tangents[0] is None:
        return [None]
    return [bind(window_scatter_p, tangents[0], primals[1], **parameters)[0]]


def _scatter_backward(
    residuals: Any,
    cotangents: Sequence[Array],
    needed: Sequence[bool],
    *,
    space: Sizes,
    **parameters: Any,
) -> list[Array | None]:
    (_, winner), _ = residuals
    return [bind(window_gather_p, cotangents[0], winner, **parameters)[0], None]


window_scatter_p = declare(
    "window_scatter",
    infer=_infer_scatter,
    evaluate=_evaluate_scatter,
    jvp=_scatter_jvp,
    backward=_scatter_backward,
    batch=batch_rules.into_batch,
)


def _infer_gather(
    x: ArrayType,
    winner: ArrayType,
    *,
    size: Sizes,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
) -> tuple[ArrayType]:
    shape = count_windows("window_gather", x, size, stride, padding, dilation)
    _check_winner("window_gather", winner, shape)
    return (x.with_shape(shape),)


def _evaluate_gather(
    x: NumpyArray,
    winner: NumpyArray,
    *,
    size: Sizes,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
) -> tuple[NumpyArray]:
    result = np.zeros(winner.shape, f"u{x.dtype.itemsize}")
    windows = winner.shape[1:-1]
    for number, outputs, inputs in find_places(
        x.shape[1:-1], windows, size, stride, padding, dilation
    ):
        result[outputs] |= _keep_where(x[inputs], winner[outputs] == number)
    return (result.view(x.dtype),)


def _gather_jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    outputs: Sequence[Array],
    **parameters: Any,
) -> list[Array | None]:
    if tangents[0] is None:
        return [None]
    return [bind(window_gather_p, tangents[0], primals[1], **parameters)[0]]


def _gather_backward(
    residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool], **parameters: Any
) -> list[Array | None]:
    (x, winner), _ = residuals
    space = x.type.shape[1:-1]
    return [bind(window_scatter_p, cotangents[0], winner, space=space, **parameters)[0], None]


window_gather_p = declare(
    "window_gather",
    infer=_infer_gather,
    evaluate=_evaluate_gather,
    jvp=_gather_jvp,
    backward=_gather_backward,
    batch=batch_rules.into_batch,
)

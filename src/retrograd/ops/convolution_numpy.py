"""The NumPy meaning of conv: patches and one matmul, or slices and one matmul for each place.

All groups, of either kind, are brought to one form first: x (group, n, *space, c),
w (group, *kernel, c, o), result (n, *space', group, o).

- *Patches* (also known as im2col): a view of all windows is copied into a matrix, some images at a
  time, and multiplied at once. The fastest for ordinary layers.
- *Slices*: for each place of the kernel (or for each output, if they are fewer) the inputs that it
  meets are a strided slice. It needs no padding and multiplies no zeros between dilated elements,
  and its memory is bounded by that of the operands.

In the gradient by the kernel, x comes with batch and features exchanged, as a transposed view.
Both ways look at the strides and copy in the order of memory.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .shape import Sizes
from .sliding import Pairs, count_outputs, meet_everywhere

NumpyArray = np.ndarray[Any, Any]

CHUNK = 1 << 18
"""Elements of the patches that are made at once: about a megabyte, which stays in the cache."""

LARGEST_PATCHES = 1 << 23
"""Elements of the patches of one image above which slices are used."""


def evaluate_conv(
    x: NumpyArray,
    w: NumpyArray,
    *,
    stride: Sizes,
    padding: Pairs,
    input_dilation: Sizes,
    kernel_dilation: Sizes,
    feature_groups: int,
    batch_groups: int,
) -> tuple[NumpyArray]:
    """Convolve, see `convolution`."""
    rank = w.ndim - 2
    groups = max(feature_groups, batch_groups)
    kernel, space = w.shape[:rank], x.shape[1:-1]
    outputs = tuple(
        count_outputs((size - 1) * between + 1, places, step, sides, holes)
        for size, between, places, step, sides, holes in zip(
            space, input_dilation, kernel, stride, padding, kernel_dilation, strict=True
        )
    )
    grouped_x = _group_input(x, feature_groups, batch_groups)
    grouped_w = w.reshape(*w.shape[:-1], groups, w.shape[-1] // groups)
    grouped_w = grouped_w.transpose(rank + 1, *range(rank + 1), rank + 2)
    n, c = grouped_x.shape[1], grouped_x.shape[-1]
    o = grouped_w.shape[-1]
    places, count = math.prod(kernel), math.prod(outputs)
    exchanged = _is_exchanged(grouped_x)
    depthwise = groups > 1 and o == 1 and (n if exchanged else c) == 1
    patches = groups * places * count * (n if exchanged else c)
    if x.size == 0 or w.size == 0:
        result = np.zeros((n, *outputs, groups, o), x.dtype)
    elif (
        depthwise
        or min(places, count) == 1
        or any(step != 1 for step in input_dilation)
        or patches > LARGEST_PATCHES
    ):
        result = np.zeros((n, *outputs, groups, o), x.dtype)
        step = n if exchanged else max(1, CHUNK // (count * groups * o))
        for start in range(0, n, step):
            _slide(
                grouped_x[:, start : start + step],
                grouped_w,
                result[start : start + step],
                stride,
                padding,
                input_dilation,
                kernel_dilation,
            )
    else:
        padded = _pad_space(grouped_x, padding)
        result = _multiply_patches(padded, grouped_w, outputs, stride, kernel_dilation, exchanged)
    return (result.reshape(n, *outputs, groups * o),)


def _group_input(x: NumpyArray, feature_groups: int, batch_groups: int) -> NumpyArray:
    """x as (group, n, *space, c), a view."""
    if feature_groups > 1:
        split = x.reshape(*x.shape[:-1], feature_groups, x.shape[-1] // feature_groups)
        return np.moveaxis(split, -2, 0)
    return x.reshape(batch_groups, x.shape[0] // batch_groups, *x.shape[1:])


def _is_exchanged(x: NumpyArray) -> bool:
    """Whether c is the outer axis of memory and n the inner: the gradient by the kernel.

    The stride of an axis of size 1 says nothing; then the other one is compared with space.
    """
    n, c = x.shape[1], x.shape[-1]
    if n > 1 and c > 1:
        return x.strides[-1] > x.strides[1]
    space = [step for step, size in zip(x.strides[2:-1], x.shape[2:-1], strict=True) if size > 1]
    if not space:
        return False
    return (c > 1 and x.strides[-1] > max(space)) or (n > 1 and x.strides[1] < min(space))


# -- patches --------------------------------------------------------------------------------------


def _pad_space(x: NumpyArray, padding: Pairs) -> NumpyArray:
    """x (group, n, *space, c) with zeros around space, or cropped; in the same order of memory."""
    if not any(map(any, padding)):
        return x
    target, source, shape = [slice(None)] * 2, [slice(None)] * 2, list(x.shape)
    for axis, (low, high) in enumerate(padding, 2):
        size = x.shape[axis]
        shape[axis] = size + low + high
        begin, end = max(-low, 0), min(size, size + high)
        source.append(slice(begin, max(begin, end)))
        target.append(slice(max(begin, 0) + low, max(begin, end) + low))
    if all(low <= 0 and high <= 0 for low, high in padding):
        return x[tuple(source)]
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    padded = np.zeros([shape[axis] for axis in order], x.dtype).transpose(np.argsort(order))
    if all(part.stop is None or part.start < part.stop for part in source):
        padded[tuple(target)] = x[tuple(source)]
    return padded


def _multiply_patches(
    x: NumpyArray, w: NumpyArray, outputs: Sizes, stride: Sizes, dilation: Sizes, exchanged: bool
) -> NumpyArray:
    """Copy all windows of some images into a matrix, multiply it by the kernel, go on."""
    rank = len(outputs)
    if exchanged:
        x = np.swapaxes(x, 1, -1)
    groups, images, inner = x.shape[0], x.shape[1], x.shape[-1]
    kernel, o = w.shape[1 : 1 + rank], w.shape[-1]
    space = x.strides[2:-1]
    over_outputs = tuple(a * b for a, b in zip(space, stride, strict=True))
    over_kernel = tuple(a * b for a, b in zip(space, dilation, strict=True))
    # (group, image, wide, narrow, inner): wide positions belong to the images (the outputs, or
    # the cotangents), narrow ones to the channels (the places of the kernel).
    wide, narrow = (kernel, outputs) if exchanged else (outputs, kernel)
    strides = (over_kernel, over_outputs) if exchanged else (over_outputs, over_kernel)
    windows = as_strided(
        x,
        (groups, images, *wide, *narrow, inner),
        (*x.strides[:2], *strides[0], *strides[1], x.strides[-1]),
        writeable=False,
    )
    rows, columns = math.prod(wide), math.prod(narrow) * inner
    # Few channels: copy along the image, which has the longer runs.
    by_columns = inner < 4
    if by_columns:
        order = (0, *range(2 + rank, 3 + 2 * rank), *range(1, 2 + rank))
        windows = windows.transpose(order)
    step = max(1, min(images, CHUNK // (groups * rows * columns)))
    if exchanged:
        weights = np.moveaxis(w, -2, 1)
        total: NumpyArray | None = None
    else:
        weights = w.reshape(groups, columns, o)
        result = np.empty((images, *wide, groups, o), x.dtype)
    axis = 1 + rank + 1 if by_columns else 1
    buffer = np.empty(groups * step * rows * columns, x.dtype)
    for start in range(0, images, step):
        stop = min(start + step, images)
        part = windows[(slice(None),) * axis + (slice(start, stop),)]
        patches = buffer[: part.size].reshape(part.shape)
        np.copyto(patches, part)
        if by_columns:
            matrix = patches.reshape(groups, columns, -1).swapaxes(1, 2)
        else:
            matrix = patches.reshape(groups, -1, columns)
        if exchanged:
            block = weights[:, start:stop].reshape(groups, -1, o)
            share = np.matmul(matrix.swapaxes(1, 2), block)
            total = share if total is None else np.add(total, share, out=total)
        elif groups == 1:
            np.matmul(matrix[0], weights[0], out=result[start:stop].reshape(-1, o))
        else:
            share = np.matmul(matrix, weights).reshape(groups, stop - start, *wide, o)
            result[start:stop] = np.moveaxis(share, 0, -2)
    if not exchanged:
        return result
    assert total is not None
    # (group, *outputs, n, o) -> (n, *outputs, group, o)
    whole = total.reshape(groups, *narrow, inner, o)
    return whole.transpose(rank + 1, *range(1, rank + 1), 0, rank + 2)


# -- slices ---------------------------------------------------------------------------------------


def _slide(
    x: NumpyArray,
    w: NumpyArray,
    result: NumpyArray,
    stride: Sizes,
    padding: Pairs,
    input_dilation: Sizes,
    dilation: Sizes,
) -> None:
    """Add to the result over the places of the kernel, or over the outputs if they are fewer."""
    rank = w.ndim - 3
    kernel, space, outputs = w.shape[1 : 1 + rank], x.shape[2:-1], result.shape[1 : 1 + rank]
    over_kernel = math.prod(kernel) <= math.prod(outputs)
    meetings = []
    for axis in range(rank):
        low, between, size = padding[axis][0], input_dilation[axis], space[axis]
        fixed = (kernel[axis], dilation[axis])
        moving = (outputs[axis], stride[axis])
        if not over_kernel:
            fixed, moving = moving, fixed
        meetings.append(meet_everywhere(*fixed, low, moving[1], moving[0], between, size))
    whole: Any = slice(None)
    place: tuple[Any, ...]
    for place in product(*(range(len(along)) for along in meetings)):
        pairs = [along[index] for along, index in zip(meetings, place, strict=True)]
        met = [pair for pair in pairs if pair is not None]
        if len(met) < rank:
            continue
        partner, source = [pair[0] for pair in met], [pair[1] for pair in met]
        inputs = x[(whole, whole, *source)]
        if over_kernel:
            result[(whole, *partner)] += _spread_place(inputs, w[(whole, *place)])
        else:
            result[(whole, *place)] = _sum_output(inputs, w[(whole, *partner)])


def _spread_place(x: NumpyArray, w: NumpyArray) -> NumpyArray:
    """x (group, n, *p, c) times w (group, c, o), as (n, *p, group, o)."""
    groups, c, o = w.shape
    if c == 1 and groups > 1:
        # The weights of one row of the image: NumPy's inner loops get as long as a row.
        row = np.tile(w[:, 0, :], (x.shape[-2], 1, 1))
        scaled: NumpyArray = np.moveaxis(x, 0, -2) * row
        return scaled
    if groups == 1:
        flat: NumpyArray = np.matmul(x.reshape(-1, c), w[0])
        return flat.reshape(*x.shape[1:-1], 1, o)
    spread: NumpyArray = np.matmul(x.reshape(groups, -1, c), w)
    return np.moveaxis(spread.reshape(*x.shape[:-1], o), 0, -2)


def _sum_output(x: NumpyArray, w: NumpyArray) -> NumpyArray:
    """x (group, n, *k, c) times w (group, *k, c, o), summed over k and c, as (n, group, o)."""
    groups, n, o = x.shape[0], x.shape[1], w.shape[-1]
    if groups > 1 and n == o == 1:
        # Depthwise: (c, *k, group) is the order of memory.
        left = np.moveaxis(x[:, 0], (0, -1), (-1, 0))
        right = np.moveaxis(w[..., 0], (0, -1), (-1, 0))
        axes = list(range(left.ndim))
        total: NumpyArray = np.einsum(left, axes, right, axes, axes[-1:])
        return total.reshape(1, groups, 1)
    if _is_exchanged(x):
        left = np.moveaxis(np.swapaxes(x, 1, -1).reshape(groups, -1, n), 1, 2)
        right = np.moveaxis(w, -2, 1).reshape(groups, -1, o)
    else:
        left = x.reshape(groups, n, -1)
        right = w.reshape(groups, -1, o)
    return np.moveaxis(np.matmul(left, right), 0, 1)

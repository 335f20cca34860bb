"""Convolutions and pooling: PyTorch has channels first, retrograd last."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

import retrograd as rg
from adapters.common import IGNORED, adapts, pair


def to_channels_last(x: Any, rank: int) -> tuple[Any, bool]:
    """(batch, *space, channels), and whether the sample had no batch axis."""
    single = x.ndim == rank + 1
    if single:
        x = rg.expand_dims(x, 0)
    return rg.moveaxis(x, 1, -1), single


def to_channels_first(x: Any, single: bool) -> Any:
    x = rg.moveaxis(x, -1, 1)
    return rg.squeeze(x, axis=0) if single else x


def convolve(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    rank = weight.ndim - 2
    x, single = to_channels_last(x, rank)
    kernel = rg.transpose(weight, (*range(2, rank + 2), 1, 0))
    if padding == "valid":
        padding = 0
    if padding != "same":
        padding = pair(padding, rank)
    y = rg.conv(
        x,
        kernel,
        stride=pair(stride, rank),
        padding=padding,
        dilation=pair(dilation, rank),
        groups=groups,
    )
    return to_channels_first(y if bias is None else y + bias, single)


for _rank in (1, 2, 3):
    adapts(f"nn.functional.conv{_rank}d")(convolve)


def transpose_convolve(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    rank = weight.ndim - 2
    x, single = to_channels_last(x, rank)
    y = rg.conv_transpose(
        x,
        rg.transpose(weight, (*range(2, rank + 2), 0, 1)),
        stride=pair(stride, rank),
        padding=pair(padding, rank),
        output_padding=pair(output_padding, rank),
        dilation=pair(dilation, rank),
        groups=groups,
    )
    return to_channels_first(y if bias is None else y + bias, single)


for _rank in (1, 2, 3):
    adapts(f"nn.functional.conv_transpose{_rank}d")(transpose_convolve)


def _count_windows(size: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> int:
    """The number of windows along one axis: PyTorch's rule (a dilated kernel counts in full)."""
    room = size + 2 * padding - kernel
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    # No window may begin in the padding at the end.
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def _pad_for_windows(
    x: Any,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    counts: list[int],
    padding: Any,
    fill: float,
) -> Any:
    """Pad the spatial axes so that exactly `counts` windows fit."""
    widths = [(0, 0)]
    for axis, (kernel, step, count, low) in enumerate(zip(size, stride, counts, padding), 1):
        end = (count - 1) * step + kernel
        widths.append((low, max(end - low - x.shape[axis], 0)))
    return rg.pad(x, [*widths, (0, 0)], constant_values=fill)


def max_pool(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    rank: int,
) -> Any:
    size = pair(kernel_size, rank)
    stride = pair(stride, rank) if stride not in (None, (), []) else size
    padding, dilation = pair(padding, rank), pair(dilation, rank)
    x, single = to_channels_last(x, rank)
    if ceil_mode:
        extent = tuple(d * (n - 1) + 1 for n, d in zip(size, dilation))
        counts = [
            _count_windows(*arguments, ceil_mode)
            for arguments in zip(x.shape[1:-1], extent, stride, padding)
        ]
        x = _pad_for_windows(x, extent, stride, counts, padding, -np.inf)
        padding = (0,) * rank
    y = rg.max_pool(x, size, stride=stride, padding=padding, dilation=dilation)
    y = to_channels_first(y, single)
    return (y, IGNORED) if return_indices else y


def avg_pool(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    rank: int,
) -> Any:
    size = pair(kernel_size, rank)
    stride = pair(stride, rank) if stride not in (None, (), []) else size
    padding = pair(padding, rank)
    x, single = to_channels_last(x, rank)
    counts = [
        _count_windows(*arguments, ceil_mode)
        for arguments in zip(x.shape[1:-1], size, stride, padding)
    ]
    space = x.shape[1:-1]
    counted = np.ones((1, *space, 1))
    if count_include_pad:
        counted = np.pad(counted, [(0, 0), *((p, p) for p in padding), (0, 0)], constant_values=1.0)
    x = _pad_for_windows(x, size, stride, counts, padding, 0.0)
    mean = rg.avg_pool(x, size, stride=stride)
    if divisor_override:
        return to_channels_first(mean * (math.prod(size) / divisor_override), single)
    low = (0,) * rank if count_include_pad else padding
    inside = _pad_for_windows(rg.array(counted), size, stride, counts, low, 0.0)
    if inside.shape[1:-1] != x.shape[1:-1]:
        inside = inside[(slice(None), *(slice(n) for n in x.shape[1:-1]))]
    share = rg.avg_pool(inside, size, stride=stride)
    return to_channels_first(mean / share, single)


def _register_pools(rank: int) -> None:
    adapts(f"nn.functional.max_pool{rank}d")(lambda *a, **k: max_pool(*a, **k, rank=rank))
    adapts(f"nn.functional.avg_pool{rank}d")(lambda *a, **k: avg_pool(*a, **k, rank=rank))


for _rank in (1, 2, 3):
    _register_pools(_rank)


@adapts("nn.functional.unfold")
def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    size, dilation, padding, stride = (pair(v, 2) for v in (kernel_size, dilation, padding, stride))
    single = x.ndim == 3
    if single:
        x = rg.expand_dims(x, 0)
    x = rg.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    ends = [n - d * (k - 1) for n, d, k in zip(x.shape[2:], dilation, size, strict=True)]
    patches = []
    for places in itertools.product(*(range(k) for k in size)):
        starts = [place * step for place, step in zip(places, dilation)]
        window = (slice(i, i + end, step) for i, end, step in zip(starts, ends, stride))
        patches.append(x[:, :, *window])
    columns = rg.stack(patches, axis=2)
    blocks = columns.shape[3] * columns.shape[4]
    columns = columns.reshape(x.shape[0], x.shape[1] * len(patches), blocks)
    return rg.squeeze(columns, axis=0) if single else columns

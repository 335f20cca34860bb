"""Operations that move elements without changing them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import retrograd as rg
from adapters.common import Skip, adapts, axis_of


def sizes_of(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """PyTorch takes sizes one by one or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list, torch.Size)):
        return tuple(sizes[0])
    return tuple(sizes)


@adapts("reshape", "view", "view_copy")
def reshape(x: Any, *sizes: Any) -> Any:
    if len(sizes) == 1 and isinstance(sizes[0], torch.dtype):
        raise Skip("a view as another dtype")
    return rg.reshape(x, sizes_of(sizes))


adapts("reshape_as", "view_as")(lambda x, other: rg.reshape(x, other.shape))
adapts("ravel")(lambda x: rg.reshape(x, (-1,)))


@adapts("flatten")
def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if x.ndim == 0:
        return x.reshape(1)
    start, end = start_dim % x.ndim, end_dim % x.ndim
    middle = math.prod(x.shape[start : end + 1])
    return x.reshape(*x.shape[:start], middle, *x.shape[end + 1 :])


@adapts("unflatten")
def unflatten(x: Any, dim: int, sizes: Sequence[int]) -> Any:
    dim %= x.ndim
    known = math.prod(size for size in sizes if size != -1)
    sizes = [x.shape[dim] // known if size == -1 else size for size in sizes]
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


@adapts("permute", "permute_copy")
def permute(x: Any, *dims: Any) -> Any:
    return rg.transpose(x, sizes_of(dims))


@adapts("transpose", "transpose_copy")
def transpose(x: Any, a: int, b: int) -> Any:
    return x if x.ndim == 0 else rg.swapaxes(x, a, b)


adapts("T", "t", "t_copy", "H")(lambda x: x.T)
adapts("mT", "mH")(lambda x: rg.swapaxes(x, -1, -2))


@adapts("movedim")
def movedim(x: Any, source: Any, destination: Any) -> Any:
    return rg.moveaxis(x, source, destination)


@adapts("expand", "expand_copy", "broadcast_to")
def expand(x: Any, *sizes: Any) -> Any:
    sizes = sizes_of(sizes)
    added = len(sizes) - x.ndim
    wanted = [x.shape[i - added] if size == -1 else size for i, size in enumerate(sizes)]
    return rg.broadcast_to(x, tuple(wanted))


adapts("expand_as")(lambda x, other: rg.broadcast_to(x, other.shape))


@adapts("broadcast_tensors")
def broadcast_tensors(*arrays: Any) -> Any:
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    return tuple(rg.broadcast_to(array, shape) for array in arrays)


@adapts("unsqueeze", "unsqueeze_copy")
def unsqueeze(x: Any, dim: int) -> Any:
    return rg.expand_dims(x, dim)


@adapts("squeeze", "squeeze.multiple", "squeeze_copy")
def squeeze(x: Any, dim: Any = None) -> Any:
    if dim is None:
        return rg.squeeze(x)
    if x.ndim == 0:
        return x
    axes = dim if isinstance(dim, (tuple, list)) else (dim,)
    # PyTorch leaves axes that are longer than 1; NumPy's rule is an error.
    return rg.squeeze(x, axis=tuple(axis for axis in axes if x.shape[axis] == 1))


@adapts("cat")
def cat(arrays: Any, dim: int = 0) -> Any:
    if len({array.ndim for array in arrays}) > 1:
        raise Skip("PyTorch's old rule that an empty vector goes with everything")
    return rg.concatenate(arrays, axis=dim)


@adapts("stack")
def stack(arrays: Any, dim: int = 0) -> Any:
    return rg.stack(arrays, axis=dim)


@adapts("hstack")
def hstack(arrays: Any) -> Any:
    rows = [axis_of(array, 0)[0] for array in arrays]
    return rg.concatenate(rows, axis=0 if rows[0].ndim == 1 else 1)


@adapts("vstack")
def vstack(arrays: Any) -> Any:
    return rg.concatenate(
        [array.reshape(1, array.size) if array.ndim < 2 else array for array in arrays], axis=0
    )


@adapts("split", "split.list_args", "split_with_sizes", "split_with_sizes_copy", "unsafe_split")
def split(x: Any, sizes: Any, dim: int = 0) -> Any:
    if isinstance(sizes, int):
        cuts = list(range(sizes, x.shape[dim], sizes))
    else:
        cuts = np.cumsum(sizes)[:-1].tolist()
    return rg.split(x, cuts, axis=dim)


@adapts("chunk", "unsafe_chunk")
def chunk(x: Any, chunks: int, dim: int = 0) -> Any:
    return split(x, -(-x.shape[dim] // chunks), dim)


@adapts("tensor_split")
def tensor_split(x: Any, where: Any, dim: int = 0) -> Any:
    length = x.shape[dim]
    if isinstance(where, rg.Array):
        where = where.numpy().tolist()
    if isinstance(where, int):
        small, larger = divmod(length, where)
        where = np.cumsum([small + (i < larger) for i in range(where)])[:-1].tolist()
    return rg.split(x, list(where), axis=dim)


@adapts("unbind", "unbind_copy")
def unbind(x: Any, dim: int = 0) -> Any:
    moved = rg.moveaxis(x, dim, 0)
    return tuple(moved[i] for i in range(moved.shape[0]))


@adapts("flip")
def flip(x: Any, dims: Any) -> Any:
    return rg.flip(x, axis=tuple(dims)) if dims and x.ndim else x


adapts("fliplr")(lambda x: rg.flip(x, axis=1))
adapts("flipud")(lambda x: rg.flip(x, axis=0))


@adapts("repeat")
def repeat(x: Any, *counts: Any) -> Any:
    return rg.tile(x, sizes_of(counts))


@adapts("tile")
def tile(x: Any, *counts: Any) -> Any:
    return rg.tile(x, sizes_of(counts))


@adapts("repeat_interleave")
def repeat_interleave(
    x: Any, repeats: Any, dim: int | None = None, output_size: int | None = None
) -> Any:
    if isinstance(repeats, rg.Array):
        raise Skip("a number of repeats for each element")
    return rg.repeat(x.reshape(1) if x.ndim == 0 else x, repeats, axis=dim)


@adapts("roll")
def roll(x: Any, shifts: Any, dims: Any = None) -> Any:
    shifts = shifts if isinstance(shifts, int) else tuple(shifts)
    if dims is None or dims == ():
        return rg.roll(x, shifts if isinstance(shifts, int) else shifts[0])
    return rg.roll(x, shifts, axis=dims if isinstance(dims, int) else tuple(dims))


@adapts("nn.functional.pad.constant", "constant_pad_nd")
def pad(x: Any, padding: Any, *mode_and_value: Any) -> Any:
    value = mode_and_value[-1] if mode_and_value else 0.0
    if isinstance(value, str):
        value = 0.0
    # PyTorch counts from the last axis.
    pairs = [(padding[i], padding[i + 1]) for i in range(0, len(padding), 2)]
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]
    # A negative width cuts.
    window = tuple(
        slice(max(-low, 0), size - max(-high, 0))
        for (low, high), size in zip(widths, x.shape, strict=True)
    )
    widths = [(max(low, 0), max(high, 0)) for low, high in widths]
    return rg.pad(x[window], widths, constant_values=value)


@adapts("tril")
def tril(x: Any, diagonal: int = 0) -> Any:
    return rg.tril(x, diagonal)


@adapts("triu")
def triu(x: Any, diagonal: int = 0) -> Any:
    return rg.triu(x, diagonal)


@adapts("atleast_1d")
def atleast_1d(*arrays: Any) -> Any:
    if isinstance(arrays[0], (tuple, list)):
        arrays = tuple(arrays[0])
    return tuple(axis_of(array, 0)[0] for array in arrays)


@adapts("meshgrid.variadic_tensors")
def meshgrid(*arrays: Any, indexing: str = "ij") -> Any:
    rows = [array.reshape(array.size) for array in arrays]
    shape = tuple(row.size for row in rows)
    grids = [
        rg.broadcast_to(row.reshape(*(-1 if i == j else 1 for j in range(len(rows)))), shape)
        for i, row in enumerate(rows)
    ]
    if indexing == "xy" and len(grids) > 1:
        grids = [rg.swapaxes(grid, 0, 1) for grid in grids]
    return tuple(grids)


@adapts("nn.functional.pixel_shuffle")
def pixel_shuffle(x: Any, upscale_factor: int) -> Any:
    factor = upscale_factor
    *batch, channels, height, width = x.shape
    x = x.reshape(*batch, channels // factor**2, factor, factor, height, width)
    rank = len(batch)
    order = [*range(rank), rank, rank + 3, rank + 1, rank + 4, rank + 2]
    return rg.transpose(x, tuple(order)).reshape(
        *batch, channels // factor**2, height * factor, width * factor
    )

"""Slices, indices and gathered elements."""

from __future__ import annotations

from typing import Any

import numpy as np

import retrograd as rg
from adapters.common import Skip, adapts, axis_of


@adapts("narrow", "narrow_copy")
def narrow(x: Any, dim: int, start: Any, length: int) -> Any:
    if isinstance(start, rg.Array):
        start = int(start.numpy())
    start = start % x.shape[dim] if start < 0 else start
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, start + length),)]


@adapts("select")
def select(x: Any, dim: int, index: int) -> Any:
    return x[(slice(None),) * (dim % x.ndim) + (index,)]


@adapts("slice")
def slice_axis(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


@adapts("__getitem__")
def getitem(x: Any, index: Any) -> Any:
    entries = index if isinstance(index, tuple) else (index,)
    if any(isinstance(entry, rg.Array) and entry.numpy().dtype == bool for entry in entries):
        raise Skip("a mask as an index: the shape of the result depends on the values")
    return x[index]


@adapts("index_select")
def index_select(x: Any, dim: int, index: Any) -> Any:
    if x.ndim == 0:
        return rg.take(x.reshape(1), index, axis=0).reshape(())
    return rg.take(x, index, axis=dim)


@adapts("take")
def take(x: Any, index: Any) -> Any:
    return rg.take(x.reshape(-1), index, axis=0)


@adapts("take_along_dim")
def take_along_dim(x: Any, index: Any, dim: int | None = None) -> Any:
    if dim is None:
        return rg.take_along_axis(x.reshape(-1), index.reshape(-1), axis=0)
    return rg.take_along_axis(x, index, axis=dim)


@adapts("gather")
def gather(x: Any, dim: int, index: Any) -> Any:
    if index.size == 0 and index.ndim != x.ndim:
        raise Skip("an empty index of another rank")
    row, axis = axis_of(x, dim)
    places = index.reshape(1) if index.ndim == 0 else index
    # PyTorch lets the index be shorter than x on the other axes; NumPy's rule broadcasts instead.
    if any(i != axis and n != m for i, (n, m) in enumerate(zip(row.shape, places.shape))):
        row = row[tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(places.shape))]
    return rg.take_along_axis(row, places, axis=axis).reshape(index.shape)


@adapts("nn.functional.embedding")
def embedding(table: Any, index: Any, padding_idx: Any = None, **options: Any) -> Any:
    if padding_idx is not None or options.get("max_norm") or options.get("scale_grad_by_freq"):
        raise Skip("an embedding with special gradients")
    return rg.take(table, index, axis=0)


@adapts("unfold", "unfold_copy")
def unfold(x: Any, dim: int, size: int, step: int) -> Any:
    row, axis = axis_of(x, dim)
    starts = np.arange(0, row.shape[axis] - size + 1, step)
    places = starts[:, None] + np.arange(size)
    windows = rg.moveaxis(rg.take(row, rg.array(places), axis=axis), axis + 1, -1)
    return windows.reshape(size) if x.ndim == 0 else windows


@adapts("linalg.diagonal")
def matrix_diagonal(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    return diagonal(x, offset, dim1, dim2)


@adapts("diagonal", "diagonal_copy")
def diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    x = rg.moveaxis(x, (dim1, dim2), (-2, -1))
    rows, columns = x.shape[-2:]
    places = np.arange(rows * columns).reshape(rows, columns).diagonal(offset)
    return rg.take(x.reshape(*x.shape[:-2], rows * columns), rg.array(places.copy()), axis=-1)


@adapts("rot90")
def rot90(x: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    for _ in range(k % 4):
        x = rg.flip(rg.swapaxes(x, *dims), axis=dims[0])
    return x

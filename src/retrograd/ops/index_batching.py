"""Batching rules of gather and scatter_add: the examples become one more axis of the indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import PRIMITIVES, Primitive
from ..trace import Array, bind
from .batch_rules import (
    Batched,
    as_shape,
    give_all,
    merge_axes,
    move_axis,
    repeat,
    repeat_unmapped,
)


def batch_gather(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    axis: int,
) -> Batched:
    """Rows of each example's own array: of one array that holds those of all, at moved indices."""
    x, indices = inputs
    if not mapped[1]:
        return give_all(bind(primitive, x, indices, axis=axis + 1))
    if not mapped[0]:
        return give_all([move_axis(bind(primitive, x, indices, axis=axis)[0], axis, 0)])
    rows = x.type.shape[axis + 1]
    merged = merge_axes(move_axis(x, 0, axis), axis)
    places = place_examples(indices, size, rows)
    return give_all([move_axis(bind(primitive, merged, places, axis=axis)[0], axis, 0)])


def batch_scatter_add(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    **parameters: Any,
) -> Batched:
    """Added into one array that holds those of all examples, at moved indices."""
    updates, indices = inputs
    axis, rows = parameters["axis"], parameters["size"]
    if not mapped[1]:
        return give_all(bind(primitive, updates, indices, axis=axis + 1, size=rows))
    updates = updates if mapped[0] else repeat(updates, size)
    places = place_examples(indices, size, rows)
    total = bind(primitive, move_axis(updates, 0, axis), places, axis=axis, size=size * rows)[0]
    shape = total.type.shape
    apart = as_shape(total, (*shape[:axis], size, rows, *shape[axis + 1 :]))
    return give_all([move_axis(apart, axis, 0)])


def place_examples(indices: Array, size: int, rows: int) -> Array:
    """The indices of example n, moved by n times the number of rows. Each is checked before."""
    wide = np.dtype(np.int64 if size * rows > np.iinfo(np.int32).max else np.int32)
    # A lookup in the table 0, 1, 2, ... gives the index back, and refuses those out of range.
    table = Array(np.arange(rows, dtype=wide))
    checked = bind(PRIMITIVES["gather"], table, indices, axis=0)[0]
    starts = Array(np.arange(size, dtype=wide) * rows)
    axes = tuple(range(1, indices.type.ndim))
    if axes:
        broadcast = PRIMITIVES["broadcast"]
        starts = bind(broadcast, starts, shape=indices.type.shape, axes=axes)[0]
    return bind(PRIMITIVES["add"], checked, starts)[0]


def batch_along(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    **parameters: Any,
) -> Batched:
    """gather_along and scatter_add_along: the other axes are side by side already."""
    given = repeat_unmapped(inputs, mapped, size)
    return give_all(bind(primitive, *given, **{**parameters, "axis": parameters["axis"] + 1}))

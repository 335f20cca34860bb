"""The batching rule of conv: examples join the batch, the output channels, or the groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir import Primitive
from ..trace import Array, bind
from .batch_rules import Batched, as_shape, give_all, merge_axes, move_axis


def batch_conv(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    feature_groups: int,
    batch_groups: int,
    **parameters: Any,
) -> Batched:
    """One conv for all examples: images join the batch, kernels the channels, both make groups."""
    x, w = inputs
    if not mapped[1]:
        x = _into_groups(x, 0, batch_groups)
        groups = {"feature_groups": feature_groups, "batch_groups": batch_groups}
        result = bind(primitive, x, w, **groups, **parameters)[0]
        shape = result.type.shape
        return give_all(
            [as_shape(result, (size, inputs[0].type.shape[1] // batch_groups, *shape[1:]))]
        )
    if not mapped[0]:
        groups = {"feature_groups": feature_groups, "batch_groups": batch_groups}
        joined = max(feature_groups, batch_groups)
        w = _into_groups(w, w.type.ndim - 2, joined)
        result = bind(primitive, x, w, **groups, **parameters)[0]
        *front, channels = result.type.shape
        apart = as_shape(result, (*front, joined, size, channels // (joined * size)))
        return give_all([merge_axes(move_axis(apart, len(front) + 1, 0), len(front) + 1)])
    w = _into_groups(w, w.type.ndim - 2, 1)
    if batch_groups > 1:
        x, groups = merge_axes(x, 0), {"feature_groups": 1, "batch_groups": size * batch_groups}
    else:
        x = _into_groups(x, x.type.ndim - 2, 1)
        groups = {"feature_groups": size * feature_groups, "batch_groups": 1}
    result = bind(primitive, x, w, **groups, **parameters)[0]
    *front, channels = result.type.shape
    apart = as_shape(result, (*front, size, channels // size))
    return give_all([move_axis(apart, len(front), 0)])


def _into_groups(x: Array, axis: int, groups: int) -> Array:
    """The examples as a part of an axis (counted without them): group, example, element."""
    moved = move_axis(x, 0, axis)
    if groups > 1:
        shape = moved.type.shape
        inner = shape[axis + 1] // groups
        split = as_shape(moved, (*shape[: axis + 1], groups, inner, *shape[axis + 2 :]))
        return merge_axes(move_axis(split, axis, axis + 1), axis, 3)
    return merge_axes(moved, axis)

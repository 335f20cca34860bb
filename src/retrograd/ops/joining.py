"""concatenate and stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, ShapeError
from ..ir import ArrayType, declare
from ..trace import Array, bind
from . import batch_rules
from .elementwise import zeros_like
from .promotion import as_array, convert, result_dtype
from .shape import check_axis, expand_dims, slice_axis


def _infer_concatenate(*types: ArrayType, axis: int) -> tuple[ArrayType]:
    first = types[0]
    for other in types:
        same = other.shape[:axis] + other.shape[axis + 1 :]
        if other.ndim != first.ndim or same != first.shape[:axis] + first.shape[axis + 1 :]:
            listed = ", ".join(str(type.shape) for type in types)
            raise ShapeError(f"concatenate along axis {axis}: shapes {listed} do not go together.")
        if other.dtype != first.dtype:
            raise ShapeError(f"concatenate: dtypes {first.dtype} and {other.dtype} differ.")
    total = sum(type.shape[axis] for type in types)
    return (first.with_shape(first.shape[:axis] + (total,) + first.shape[axis + 1 :]),)


def _concatenate_jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    outputs: Sequence[Array],
    *,
    axis: int,
) -> list[Array | None]:
    if all(tangent is None for tangent in tangents):
        return [None]
    filled = [
        zeros_like(primal) if tangent is None else tangent
        for primal, tangent in zip(primals, tangents, strict=True)
    ]
    return list(bind(concatenate_p, *filled, axis=axis))


def _concatenate_backward(
    residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool], *, axis: int
) -> list[Array | None]:
    inputs, _ = residuals
    g = cotangents[0]
    results: list[Array | None] = []
    offset = 0
    for x, wanted in zip(inputs, needed, strict=True):
        size = x.type.shape[axis]
        results.append(slice_axis(g, axis, offset, offset + size) if wanted else None)
        offset += size
    return results


concatenate_p = declare(
    "concatenate",
    infer=_infer_concatenate,
    evaluate=lambda *arrays, axis: (np.concatenate(arrays, axis),),
    jvp=_concatenate_jvp,
    backward=_concatenate_backward,
    batch=batch_rules.one_axis,
)


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Array:
    """Arrays joined along an axis.

    Raises:
        ShapeError: their other sizes differ.

    Example:
        >>> import retrograd as rg
        >>> rg.concatenate([rg.zeros((2, 3)), rg.ones((1, 3))]).shape
        (3, 3)
    """
    if not arrays:
        raise ArgumentTypeError("concatenate needs at least one array, received none.")
    dtype = result_dtype(list(arrays))
    values = [convert(value, dtype) for value in arrays]
    axis = check_axis(axis, values[0].type.ndim, "concatenate")
    if len(values) == 1:
        return values[0]
    return bind(concatenate_p, *values, axis=axis)[0]


def stack(arrays: Sequence[Any], axis: int = 0) -> Array:
    """Arrays of one shape joined along a new axis.

    Example:
        >>> import retrograd as rg
        >>> rg.stack([rg.zeros(3), rg.ones(3)], axis=1).shape
        (3, 2)
    """
    values = [as_array(value) for value in arrays]
    for value in values:
        if value.type.shape != values[0].type.shape:
            listed = ", ".join(str(value.type.shape) for value in values)
            raise ShapeError(f"stack: shapes {listed} are not equal.")
    return concatenate([expand_dims(value, axis) for value in values], axis)

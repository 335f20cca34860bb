"""Some rows of a table, read and replaced: what an optimizer does to a large one.

An index outside of the table, such as -1, stands for no row: zeros are read there, and nothing is
written. So neither can fail, and a program may write into the memory of the table at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ir import ArrayType, Primitive, declare
from ..trace import Array, bind
from .arithmetic import maximum, minimum
from .batch_rules import Batched, as_shape, give_all, merge_axes, repeat_unmapped
from .comparison import equal, greater_equal, less, logical_and, where
from .elementwise import zeros_like
from .index import check_dtype, iota, scatter_add_p
from .index_batching import place_examples
from .shape import broadcast_to, reshape


def _check_indices(table: ArrayType, indices: ArrayType, operation: str) -> None:
    check_dtype(indices, operation)
    if table.ndim == 0 or indices.ndim != 1:
        raise ShapeError(
            f"{operation}: a table has an axis of rows and indices have one axis, received "
            f"{table.shape} and {indices.shape}."
        )


def _infer_take(table: ArrayType, indices: ArrayType) -> tuple[ArrayType]:
    _check_indices(table, indices, "take_rows")
    return (table.with_shape((*indices.shape, *table.shape[1:])),)


def _evaluate_take(table: Any, indices: Any) -> tuple[Any]:
    known = (indices >= 0) & (indices < table.shape[0])
    result = np.zeros((*indices.shape, *table.shape[1:]), table.dtype)
    result[known] = table[indices[known]]
    return (result,)


def _jvp_take(
    primals: Sequence[Array], tangents: Sequence[Array | None], outputs: Sequence[Array]
) -> list[Array | None]:
    tangent = tangents[0]
    return [None if tangent is None else take_rows(tangent, primals[1])]


def _backward_take(
    residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool]
) -> list[Array | None]:
    (table, indices), _ = residuals
    count = table.type.shape[0]
    if not count:
        return [zeros_like(table), None]
    inside = is_row(indices, count)
    rows = where(_spread(inside, cotangents[0]), cotangents[0], 0.0)
    places = _put_inside(indices, count)
    return [bind(scatter_add_p, rows, places, axis=0, size=count)[0], None]


def _batch_take(
    primitive: Primitive, inputs: Sequence[Array], mapped: Sequence[bool], size: int, /
) -> Batched:
    """The tables of all examples are one, with the indices moved."""
    table, indices = repeat_unmapped(inputs, mapped, size)
    moved = _place_examples(indices, size, table.type.shape[1])
    rows = take_rows(merge_axes(table, 0), moved)
    return give_all([as_shape(rows, (*indices.type.shape, *table.type.shape[2:]))])


def _infer_put(table: ArrayType, rows: ArrayType, indices: ArrayType) -> tuple[ArrayType]:
    _check_indices(table, indices, "put_rows")
    if rows.shape != (*indices.shape, *table.shape[1:]) or rows.dtype != table.dtype:
        raise ShapeError(
            f"put_rows: rows {rows} at indices of shape {indices.shape} do not go into a table of "
            f"{table}."
        )
    return (table,)


def _evaluate_put(table: Any, rows: Any, indices: Any) -> tuple[Any]:
    known = (indices >= 0) & (indices < table.shape[0])
    result = np.array(table)
    result[indices[known]] = rows[known]  # of equal places NumPy keeps the last
    return (result,)


def _jvp_put(
    primals: Sequence[Array], tangents: Sequence[Array | None], outputs: Sequence[Array]
) -> list[Array | None]:
    table, rows = (
        zeros_like(primal) if tangent is None else tangent
        for primal, tangent in zip(primals[:2], tangents[:2], strict=True)
    )
    return [put_rows(table, rows, primals[2])]


def _backward_put(
    residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool]
) -> list[Array | None]:
    (table, rows, indices), _ = residuals
    arriving = cotangents[0]
    by_table = put_rows(arriving, zeros_like(rows), indices)
    # Only the row that was written last at its place is in the result.
    numbers = iota(indices.type.shape[0])
    nobody = Array(np.full(table.type.shape[0], -1, numbers.type.dtype))
    owners = take_rows(put_rows(nobody, numbers, indices), indices)
    stays = logical_and(equal(owners, numbers), is_row(indices, table.type.shape[0]))
    return [by_table, where(_spread(stays, rows), take_rows(arriving, indices), 0.0), None]


def _batch_put(
    primitive: Primitive, inputs: Sequence[Array], mapped: Sequence[bool], size: int, /
) -> Batched:
    table, rows, indices = repeat_unmapped(inputs, mapped, size)
    moved = _place_examples(indices, size, table.type.shape[1])
    whole = put_rows(merge_axes(table, 0), merge_axes(rows, 0), moved)
    return give_all([as_shape(whole, table.type.shape)])


def _place_examples(indices: Array, size: int, count: int) -> Array:
    """The indices of example n moved by n times the rows of a table; -1 where there is no row."""
    if not count:
        return as_shape(indices, (indices.type.size,))
    moved = place_examples(_put_inside(indices, count), size, count)
    return merge_axes(where(is_row(indices, count), moved, -1), 0)


take_rows_p = declare(
    "take_rows",
    infer=_infer_take,
    evaluate=_evaluate_take,
    jvp=_jvp_take,
    backward=_backward_take,
    batch=_batch_take,
)
put_rows_p = declare(
    "put_rows",
    infer=_infer_put,
    evaluate=_evaluate_put,
    jvp=_jvp_put,
    backward=_backward_put,
    batch=_batch_put,
)


def take_rows(table: Array, indices: Array) -> Array:
    """Rows of a table: `out[i] = table[indices[i]]`; zeros for an index outside of it.

    Args:
        table: (n, ...).
        indices: (k,) integers.
    """
    return bind(take_rows_p, table, indices)[0]


def put_rows(table: Array, rows: Array, indices: Array) -> Array:
    """The table with rows replaced: `out[indices[i]] = rows[i]`.

    A native program writes into the memory of the table where nobody else holds it.

    Args:
        table: (n, ...).
        rows: (k, ...), of the same dtype.
        indices: (k,) integers; of equal ones the last counts, those outside write nothing.
    """
    return bind(put_rows_p, table, rows, indices)[0]


def is_row(indices: Array, count: int) -> Array:
    """Where an index names one of so many rows."""
    return logical_and(greater_equal(indices, 0), less(indices, count))


def clear_others(rows: Array, indices: Array) -> Array:
    """The rows, with zeros where the index is negative and names none."""
    return where(_spread(greater_equal(indices, 0), rows), rows, 0.0)


def _put_inside(indices: Array, count: int) -> Array:
    return minimum(maximum(indices, 0), count - 1)


def _spread(flags: Array, rows: Array) -> Array:
    """One flag a row for all its elements."""
    shape = rows.type.shape
    return broadcast_to(reshape(flags, (shape[0], *(1 for _ in shape[1:]))), shape)

"""RowGradient: the gradient of a table of which few rows were read, as those rows alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from ..ir.types import DType, int32, int64
from ..trace import Array, Tracer, bind
from .comparison import not_equal, where
from .index import check_dtype, check_indices, check_range, gather_p, scatter_add_p
from .joining import concatenate
from .order import cumsum_p, sort_p
from .promotion import as_array, convert
from .shape import reshape
from .table_rows import clear_others, put_rows


@dataclass(frozen=True)
class RowGradient:
    """The gradient of a table whose other rows have gradient zero.

    Optimizers change only the rows that it names. `value_and_grad` gives it for the weight of an
    `nn.Embedding(..., sparse=True)`. It is a tree of two Arrays.

    Args:
        indices: (k,) the rows that were read. `value_and_grad` names each once, in increasing
            order, with -1 (before or after them) where there are fewer than k. In one that you
            make yourself an index may occur more than once: its rows are added.
        rows: (k, ...) their gradients; zeros beside -1.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> model = nn.Embedding(1000, 2, sparse=True)
        >>> gradients = rg.grad(lambda model: model(rg.array([7, 3, 7])).sum())(model)
        >>> gradients["weight"].indices.numpy(), gradients["weight"].rows.numpy()
        (array([ 3,  7, -1], dtype=int32), array([[1., 1.],
               [2., 2.],
               [0., 0.]], dtype=float32))
        >>> gradients["weight"].to_dense(1000).shape
        (1000, 2)
    """

    indices: Array
    rows: Array
    limit: ClassVar[int] = 0
    """What all indices are known to be below, if above 0; kept within one program."""

    def to_dense(self, count: int) -> Array:
        """The whole gradient (count, ...), zeros included; rows of one index are added.

        Raises:
            IndexRangeError: an index is neither a row of the table nor -1.

        Example:
            >>> import retrograd as rg
            >>> rg.RowGradient(rg.array([2, -1]), rg.array([[5.0], [0.0]])).to_dense(3).tolist()
            [[0.0], [0.0], [5.0]]
        """
        gradient = check_rows(self, count)
        type = gradient.rows.type
        table = Array(np.zeros((count, *type.shape[1:]), type.dtype))
        return put_rows(table, gradient.rows, gradient.indices)


def check_rows(gradient: RowGradient, count: int) -> RowGradient:
    """The same gradient with each index once, as whoever made it may not have merged the rows.

    Args:
        gradient: what `value_and_grad` gave is known to be right, and stays as it is.
        count: the number of rows of the table.

    Raises:
        IndexRangeError: an index is neither a row nor -1; also in a compiled program, when it runs.
    """
    if gradient.limit == count:
        return gradient
    indices, rows = gradient.indices, gradient.rows
    check_dtype(indices.type, "RowGradient")
    size = rows.type.shape[0] if rows.type.ndim else -1
    if indices.type.shape != (size,):
        raise ShapeError(
            f"A RowGradient has one index for each row, received indices {indices.type.shape} and "
            f"rows {rows.type.shape}."
        )
    if not size:
        return gradient
    if not isinstance(indices, Tracer):
        known = indices.concrete()
        check_range(known, count, "RowGradient", low=-1)
        rows_named = known[known >= 0]
        if len(rows_named) == len(np.unique(rows_named)):
            return RowGradient(indices, clear_others(rows, indices))
    elif indices.type.dtype.kind != "u":
        named = not_equal(indices, -1)
        checked = check_indices(where(named, indices, 0), count, "RowGradient")
        indices = where(named, checked, -1)
    else:
        indices = check_indices(indices, count, "RowGradient")
    return _merge(indices, rows, count, skipped=-1)


def merge_rows(
    indices: Sequence[Array], rows: Sequence[Array], table: Array, skipped: int | None = None
) -> RowGradient:
    """One RowGradient from the gradients of rows that were read.

    Rows of one index are added in the order in which they were read, so that the bits do not
    depend on anything else.

    Args:
        indices: what was read, each of any shape.
        rows: for each the gradients, `indices.shape + table.shape[1:]`.
        table: what was read from.
        skipped: a row that has no gradient.
    """
    count, *shape = table.type.shape
    dtype = _index_dtype(count)
    size = sum(math.prod(part.type.shape) for part in indices)
    if not size:
        return RowGradient(
            Array(np.zeros(0, dtype)), Array(np.zeros((0, *shape), table.type.dtype))
        )
    places = concatenate([reshape(convert(part, dtype), (-1,)) for part in indices])
    parts = [
        reshape(part, (math.prod(index.type.shape), *shape))
        for part, index in zip(rows, indices, strict=True)
    ]
    return _merge(places, concatenate(parts), count, skipped)


def _index_dtype(count: int) -> DType:
    return int32 if count < np.iinfo(np.int32).max else int64


def _merge(places: Array, values: Array, count: int, skipped: int | None) -> RowGradient:
    """Rows of one index added up; the indices are -1 or below the count."""
    places = convert(places, _index_dtype(count))
    if skipped is not None:
        places = where(not_equal(places, skipped), places, -1)
        values = clear_others(values, places)
    size = places.type.shape[0]
    ordered, order = bind(sort_p, places, axis=0)
    values = bind(gather_p, values, order, axis=0)[0]
    first = concatenate([as_array([True]), not_equal(ordered[1:], ordered[:-1])])
    segments = bind(cumsum_p, convert(first, int32), axis=0, reverse=False)[0] - 1
    # Each segment has one first index: the others add nothing. No segment: 0 - 1.
    different = bind(scatter_add_p, where(first, ordered + 1, 0), segments, axis=0, size=size)[0]
    merged = bind(scatter_add_p, values, segments, axis=0, size=size)[0]
    gradient = RowGradient(different - 1, merged)
    object.__setattr__(gradient, "limit", count)  # reading has checked it
    return gradient

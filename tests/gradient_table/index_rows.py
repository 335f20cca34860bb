"""Rows of reading and adding at integer positions."""

from __future__ import annotations

from typing import Any

import numpy as np

import retrograd as rg
from tests.gradient_table.table import Row, Shape, anywhere, curved, primitive


def _both(name: str, note: str, shape: Shape, indices: Any, **parameters: Any) -> list[Row]:
    function = primitive(name, after=[np.asarray(indices, np.int32)], **parameters)
    return [
        Row(name, function, (anywhere,), (shape,), note),
        Row(name, curved(function), (anywhere,), (shape,), f"{note}_curved"),
    ]


def _gather() -> list[Row]:
    return [
        *_both("gather", "repeated", (4,), [3, 0, 3, 3], axis=0),
        *_both("gather", "rows", (3, 2), [[2, 0], [1, 2]], axis=0),
        *_both("gather", "columns", (2, 3), [2, 2], axis=1),
        *_both("gather", "middle", (2, 3, 2), [0, 2, 2, 1], axis=1),
        *_both("gather", "one_number", (3, 2), 1, axis=0),
        *_both("gather", "none", (3, 2), np.zeros(0), axis=0),
        *_both("gather", "size_one", (1,), [0, 0], axis=0),
        *_both("gather", "empty_rows", (3, 0), [1, 1], axis=0),
        Row("gather", curved(lambda x: x[[0, -1, 0]]), (anywhere,), ((3, 2),), "indexing"),
        Row(
            "gather", curved(lambda x: x[[0, 1, 1], [2, 0, 0]]), (anywhere,), ((2, 3),), "two_axes"
        ),
    ]


def _scatter_add() -> list[Row]:
    return [
        *_both("scatter_add", "repeated", (4,), [3, 0, 3, 3], axis=0, size=5),
        *_both("scatter_add", "rows", (2, 2, 3), [[2, 0], [1, 2]], axis=0, size=4),
        *_both("scatter_add", "columns", (2, 2), [1, 1], axis=1, size=3),
        *_both("scatter_add", "one_number", (2,), 1, axis=0, size=3),
        *_both("scatter_add", "size_one", (1,), [0], axis=0, size=1),
        *_both("scatter_add", "none", (0, 2), np.zeros(0), axis=0, size=2),
    ]


def _along() -> list[Row]:
    rows = [[2, 0, 0], [1, 1, 2]]
    return [
        *_both("gather_along", "last", (2, 4), rows, axis=1),
        *_both("gather_along", "first", (4, 3), rows, axis=0),
        *_both("gather_along", "size_one", (1, 1), [[0, 0]], axis=1),
        *_both("gather_along", "empty", (0, 3), np.zeros((0, 2)), axis=1),
        *_both("gather_along", "none", (2, 3), np.zeros((2, 0)), axis=1),
        *_both("scatter_add_along", "last", (2, 3), rows, axis=1, size=3),
        *_both("scatter_add_along", "first", (2, 3), rows, axis=0, size=4),
        *_both("scatter_add_along", "size_one", (1, 1), [[0]], axis=1, size=2),
        *_both("scatter_add_along", "none", (2, 0), np.zeros((2, 0)), axis=1, size=2),
        Row(
            "gather_along",
            curved(lambda x: rg.take_along_axis(x, [[-1], [0]], 1)),
            (anywhere,),
            ((2, 3),),
            "public",
        ),
    ]


def _rows_of_tables() -> list[Row]:
    def both(note: str, table: Shape, indices: Any) -> list[Row]:
        function = primitive("put_rows", after=[np.asarray(indices, np.int32)])
        shapes = (table, (len(indices), *table[1:]))
        return [
            Row("put_rows", function, (anywhere, anywhere), shapes, note),
            Row("put_rows", curved(function), (anywhere, anywhere), shapes, f"{note}_curved"),
        ]

    return [
        *_both(
            "take_rows",
            "repeated",
            (4, 2),
            [3, -1, 3, 0, 4],
        ),
        *_both("take_rows", "numbers", (3,), [1, 1]),
        *_both("take_rows", "nothing", (3, 2), np.zeros(0)),
        *_both("take_rows", "size_one", (1,), [0, 1]),
        *_both("take_rows", "empty", (0, 2), [0, -1]),
        *both("rows", (4, 2), [2, 0]),
        *both("outside", (4, 2), [4, 9, 1]),
        *both("empty_table", (0, 2), [0]),
        *both("none_of_them", (3, 2), [-1, -1]),
        *both("some", (4,), [-1, 3, 1]),
        *both("repeated", (3, 2), [1, 1, 2, -1]),
        *both("size_one", (1,), [0]),
        *both("nothing", (2, 3), []),
        *both("empty_rows", (3, 0), [1]),
    ]


ROWS: list[Row] = [*_gather(), *_scatter_add(), *_along(), *_rows_of_tables()]

"""Machine code against NumPy: every primitive, its gradient, and a table of values."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from tests.gradient_table.rows import ROWS
from tests.gradient_table.table import Row
from tests.gradient_table.test_values import ROWS as VALUES
from tests.gradient_table.values import Value
from tests.native.helpers import check, with_gradients

FACTOR = 30.0
"""As for the float32 gradients of the NumPy executor."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_values_and_gradients_of_every_row(row: Row) -> None:
    points = [np.asarray(point, np.float32) for point in row.draw()]
    function = with_gradients(row.function) if "reverse" in row.modes else row.function
    check(function, points, FACTOR, wide=True)


@pytest.mark.parametrize(
    "rows",
    [list(group) for _, group in groupby(VALUES, key=lambda value: value.primitive)],
    ids=lambda rows: rows[0].primitive,
)
def test_values_of_every_dtype(rows: list[Value]) -> None:
    for row in rows:
        check(row.function, row.inputs, FACTOR)

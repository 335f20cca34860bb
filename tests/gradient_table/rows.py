"""The gradient table: all rows of all families."""

from __future__ import annotations

from tests.gradient_table import (
    attention_rows,
    control_rows,
    elementwise_rows,
    index_rows,
    order_rows,
    reduce_rows,
    shape_rows,
    window_rows,
)
from tests.gradient_table.table import Row

ROWS: list[Row] = [
    *elementwise_rows.ROWS,
    *shape_rows.ROWS,
    *reduce_rows.ROWS,
    *index_rows.ROWS,
    *order_rows.ROWS,
    *window_rows.ROWS,
    *control_rows.ROWS,
    *attention_rows.ROWS,
]

"""Every row: both modes and both orders against finite differences, and float32 against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import tree
from retrograd.testing import check_gradients
from retrograd.trace import Array
from tests.gradient_table.rows import ROWS
from tests.gradient_table.table import Row

FLOAT32_EPSILON = 2.0**-23
FLOAT32_FACTOR = 30.0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_gradients_agree_with_finite_differences(row: Row) -> None:
    check_gradients(row.function, *row.draw(), order=2, modes=row.modes, tolerance=1e-6)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if "reverse" in row.modes], ids=lambda row: row.name
)
def test_float32_gradients_are_float64_gradients_rounded(row: Row) -> None:
    """|g32 - g64| <= c eps max|g64| on the same inputs, with the same cotangents."""
    points = [point.astype(np.float32) for point in row.draw()]
    coarse = gradients_at(row, points)
    fine = gradients_at(row, [point.astype(np.float64) for point in points])
    for narrow, wide in zip(coarse, fine, strict=True):
        assert narrow.dtype == np.float32 and wide.dtype == np.float64
        if wide.size:
            allowed = FLOAT32_FACTOR * FLOAT32_EPSILON * max(float(np.abs(wide).max()), 1.0)
            np.testing.assert_allclose(narrow, wide, rtol=0, atol=allowed)


def gradients_at(row: Row, points: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """The cotangents of the inputs for cotangents of the outputs that float32 holds exactly."""
    value, pullback = rg.vjp(row.function, *map(rg.array, points))
    random = np.random.default_rng(0)

    def cotangent(output: Array) -> Any:
        given = random.uniform(-1.0, 1.0, output.type.shape).astype(np.float32)
        return rg.array(given.astype(output.type.dtype)) if output.type.floating else None

    return [gradient.numpy() for gradient in pullback(tree.map(cotangent, value))]

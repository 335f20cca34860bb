"""The split into a training and a test part."""

from __future__ import annotations

import numpy as np
import pytest

from retrograd.data.split import stratified_split
from retrograd.errors import DataError, ShapeError


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_split_keeps_every_row_once_and_the_shares(fraction: float) -> None:
    labels = np.repeat(["a", "b", "c"], [3, 50, 147])
    train_rows, test_rows = stratified_split(labels, fraction, seed=1)
    assert sorted([*train_rows, *test_rows]) == list(range(200))
    assert len(test_rows) == round(200 * fraction)
    for name, size in (("a", 3), ("b", 50), ("c", 147)):
        assert abs(np.sum(labels[test_rows] == name) - size * fraction) < 1


def test_split_refuses_what_cannot_be_split() -> None:
    with pytest.raises(DataError, match="1 rows"):
        stratified_split(np.array([1]), 0.5)
    with pytest.raises(DataError, match="0 rows"):
        stratified_split(np.array([], dtype=np.int64), 0.5)
    with pytest.raises(ShapeError, match=r"\(4, 1\)"):
        stratified_split(np.zeros((4, 1)), 0.5)

"""Rows of numbers of which most are zero, and a linear classifier on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .baseline import LinearBaseline, log_softmax, minimize

Floats = np.ndarray[Any, Any]

LARGEST_PIECE = 4_000_000
"""Products that are held at once."""
FEW = 8
"""Columns of a matrix up to which they are taken one by one."""
LARGEST_WORK = 3_000_000_000
"""Products of a whole fit: what bounds its time."""


@dataclass(frozen=True, slots=True, eq=False)
class SparseRows:
    """Rows by what is not zero in them.

    Args:
        values: all entries, row by row, float64.
        columns: the column of each.
        starts: where each row begins in them, and the end, (rows + 1,).
        width: how many columns there are.
    """

    values: Floats
    columns: Floats
    starts: Floats
    width: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def times(self, matrix: Floats) -> Floats:
        """The product with a matrix (width, n): (rows, n)."""
        found = np.zeros((len(self), matrix.shape[1]))
        if matrix.shape[1] <= FEW:
            row_of = np.repeat(np.arange(len(self)), np.diff(self.starts))
            for place, column in enumerate(matrix.T):
                terms = self.values * column[self.columns]
                found[:, place] = np.bincount(row_of, terms, minlength=len(self))
            return found
        most = max(1, LARGEST_PIECE // matrix.shape[1])
        first = 0
        while first < len(self):
            last = int(np.searchsorted(self.starts, self.starts[first] + most, side="right")) - 1
            last = min(max(last, first + 1), len(self))
            here = slice(self.starts[first], self.starts[last])
            terms = self.values[here, None] * matrix[self.columns[here]]
            starts = self.starts[first:last] - self.starts[first]
            filled = np.flatnonzero(np.diff(self.starts[first : last + 1]))
            if len(filled):  # reduceat has no sum of nothing
                found[first + filled] = np.add.reduceat(terms, starts[filled], axis=0)
            first = last
        return found

    def transpose(self) -> SparseRows:
        """Columns as rows."""
        row_of = np.repeat(np.arange(len(self)), np.diff(self.starts))
        order = np.argsort(self.columns, kind="stable")
        counts = np.bincount(self.columns, minlength=self.width)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return SparseRows(self.values[order], row_of[order], starts, len(self))


def weigh_rows(rows: Sequence[Floats], rarity: Floats) -> SparseRows:
    r"""tf-idf of rows in which each number stands once, scaled to the length 1.

    Args:
        rows: the numbers of each text.
        rarity: the inverse document frequency of each number, (width,).
    """
    lengths = [len(row) for row in rows]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    columns = np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)
    values = rarity[columns].astype(np.float64)
    row_of = np.repeat(np.arange(len(rows)), lengths)
    norms = np.sqrt(np.bincount(row_of, values * values, minlength=len(rows)))
    return SparseRows(values / np.maximum(norms, 1e-12)[row_of], columns, starts, len(rarity))


def fit_sparse_logistic(
    x: SparseRows, y: Floats, classes: int, penalty: float = 0.2
) -> LinearBaseline:
    r"""Multinomial logistic regression on sparse rows, as `fit_logistic` on dense ones.

    Args:
        x: the features.
        y: class indices, (rows,).
        classes: their number.
        penalty: of the squares of the weights.

    Example:
        >>> x = weigh_rows([np.array([0]), np.array([1]), np.array([0, 1])], np.ones(2))
        >>> model = fit_sparse_logistic(x, np.array([0, 1, 1]), 2)
        >>> model.weights.shape
        (2, 2)
    """
    other = x.transpose()
    is_class = np.zeros((len(x), classes))
    is_class[np.arange(len(x)), y] = 1.0
    parts = x.width * classes

    def evaluate(flat: Floats) -> tuple[float, Floats]:
        weights, bias = flat[:parts].reshape(x.width, classes), flat[parts:]
        found = log_softmax(x.times(weights) + bias)
        loss = -float(found[is_class > 0].sum()) + 0.5 * penalty * float((weights**2).sum())
        error = np.exp(found) - is_class
        slope = other.times(error) + penalty * weights
        gradient = np.concatenate([slope.reshape(-1), error.sum(axis=0)])
        return loss / len(x), gradient / len(x)

    work = 2 * max(len(x.values), 1) * classes
    iterations = int(np.clip(LARGEST_WORK // work, 10, 60))
    flat = minimize(evaluate, np.zeros(parts + classes), iterations, tolerance=1e-5, memory=8)
    return LinearBaseline(flat[:parts].reshape(x.width, classes), flat[parts:], True)

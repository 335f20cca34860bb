"""Splits the rows of a data set into a training part and a test part."""

from __future__ import annotations

import operator

import numpy as np

from retrograd.errors import ArgumentError, DataError, ShapeError


def stratified_split(
    labels: np.ndarray, test_fraction: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Choose test rows at random, so that each class has the same share in both parts.

    round(rows x test_fraction) rows are chosen. Each class gives its exact share, rounded down; the
    rows still due come from the classes with the largest remainders.

    Args:
        labels: the class of each row, shape (rows,), of any dtype that sorts.
        test_fraction: the share of rows in the test part, above 0 and below 1.
        seed: the same seed gives the same rows; a whole number, 0 or more.

    Returns:
        (train_rows, test_rows): the row numbers of each part, int64, ascending. Together they hold
        each row once.

    Raises:
        ArgumentError: a fraction outside 0 to 1, or a seed that is not a whole number from 0.
        ShapeError: labels that are not a flat array.
        DataError: so few rows that one part would be empty.

    Example:
        >>> train_rows, test_rows = stratified_split(np.array([0, 0, 0, 0, 1, 1, 1, 1]), 0.25)
        >>> len(train_rows), len(test_rows)
        (6, 2)
    """
    fraction = check_fraction(test_fraction, "test_fraction")
    generator = np.random.default_rng(check_seed(seed))
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ShapeError(
            f"expected labels of shape (rows,), received shape {labels.shape}.",
            fix="Pass one label for each row, for example labels.reshape(-1).",
        )
    rows = len(labels)
    test_count = round(rows * fraction)
    if not 0 < test_count < rows:
        raise DataError(
            f"expected rows for both parts, but {rows} rows with test_fraction={fraction} give "
            f"{rows - test_count} for training and {test_count} for the test.",
            fix="Pass more rows or another fraction.",
        )
    _, classes, class_sizes = np.unique(labels, return_inverse=True, return_counts=True)
    shares = class_sizes * (test_count / rows)
    counts = np.floor(shares).astype(np.int64)
    # A stable sort: among equal remainders the first classes give the rows that are still due.
    order = np.argsort(counts - shares, kind="stable")
    counts[order[: test_count - int(counts.sum())]] += 1
    chosen = [
        generator.permutation(np.flatnonzero(classes == index))[:count]
        for index, count in enumerate(counts)
    ]
    test_rows = np.sort(np.concatenate(chosen)).astype(np.int64)
    train_rows = np.setdiff1d(np.arange(rows, dtype=np.int64), test_rows, assume_unique=True)
    return train_rows, test_rows


def check_fraction(value: float, name: str) -> float:
    """The value as a float above 0 and below 1, or an error that names the argument."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, (bool, str)) or not 0.0 < number < 1.0:
        raise ArgumentError(
            f"expected {name} as a number above 0 and below 1, received {value!r}.",
            fix=f"Pass for example {name}=0.2.",
        )
    return number


def check_seed(value: int) -> int:
    """The value as a whole number from 0, or an error."""
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise ArgumentError(
            f"expected seed as a whole number, 0 or more, received {value!r}.",
            fix="Pass for example seed=0.",
        )
    return number

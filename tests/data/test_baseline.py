"""Baselines: exact solutions, optimality conditions, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retrograd.data.baseline import (
    fit_logistic,
    fit_majority,
    fit_mean,
    fit_ridge,
    minimize,
)
from retrograd.errors import ArgumentError, DataError, ShapeError

generator = np.random.default_rng(0)
X = generator.normal(size=(60, 4))
LABELS = generator.integers(0, 3, 60)


def test_majority_and_mean() -> None:
    majority = fit_majority(np.array([2, 0, 2, 1]), 4)
    assert majority.predict(X[:3]).tolist() == [2, 2, 2]
    assert majority.predict_probabilities(X[:1]).tolist() == [[0.25, 0.25, 0.5, 0.0]]
    assert fit_mean(np.array([[1.0], [3.0]])).predict(X[:2]).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("features", [4, 100])
def test_ridge_solves_its_equation(features: int) -> None:
    x = generator.normal(size=(60, features)) + 3.0
    y = x[:, 0] - 2 * x[:, 1] + 0.1 * generator.normal(size=60) + 5.0
    model = fit_ridge(x, y[:, None], penalty=0.7)
    residual = model.predict(x) - y
    # The gradient of the penalised loss is zero, in the weights and in the bias.
    np.testing.assert_allclose(x.T @ residual + 0.7 * model.weights[:, 0], 0.0, atol=1e-8)
    assert abs(residual.sum()) < 1e-8


def test_ridge_bears_columns_that_repeat_each_other() -> None:
    x = np.repeat(X[:, :1], 3, axis=1)
    model = fit_ridge(x, 6 * X[:, 0], penalty=1e-6)
    np.testing.assert_allclose(model.weights[:, 0], 2.0, rtol=1e-5)


def test_logistic_regression_reaches_the_minimum() -> None:
    model = fit_logistic(X, LABELS, 3, penalty=0.5)
    probabilities = model.predict_probabilities(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    error = probabilities - np.eye(3)[LABELS]
    np.testing.assert_allclose(X.T @ error + 0.5 * model.weights, 0.0, atol=1e-4)
    np.testing.assert_allclose(error.sum(axis=0), 0.0, atol=1e-4)
    assert model.predict(X).tolist() == probabilities.argmax(axis=1).tolist()


def test_logistic_regression_on_separable_and_large_values() -> None:
    x = np.concatenate([X - 10.0, X + 10.0]) * 100.0
    y = np.repeat([0, 1], 60)
    model = fit_logistic(x, y, 2)
    assert (model.predict(x) == y).all()
    assert np.isfinite(model.weights).all()
    # A class without rows gets a small probability and does no harm.
    assert fit_logistic(X, LABELS, 4).predict_probabilities(X)[:, 3].max() < 0.05


def test_minimize_solves_a_badly_scaled_parabola() -> None:
    scales = np.array([1.0, 100.0, 10000.0])
    goal = np.array([3.0, -2.0, 0.5])

    def evaluate(point: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        return float(0.5 * (scales * (point - goal) ** 2).sum()), scales * (point - goal)

    np.testing.assert_allclose(minimize(evaluate, np.zeros(3)), goal, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fit_ridge(X, X[:5, 0]), ShapeError, "60 rows of features, but 5 targets"),
        (lambda: fit_ridge(X[0], X[0]), ShapeError, r"received \(4,\)"),
        (lambda: fit_ridge(X, X), ShapeError, r"\(60, 4\)"),
        (lambda: fit_ridge(X, X[:, 0], penalty=0.0), ArgumentError, "above 0, received 0.0"),
        (lambda: fit_ridge(X[:0], X[:0, 0]), DataError, "no rows"),
        (lambda: fit_ridge(np.full((2, 2), np.nan), np.zeros(2)), DataError, "nan in row 0"),
        (lambda: fit_mean(np.array([np.inf])), DataError, "1 of them not finite"),
        (lambda: fit_logistic(X, LABELS, 2), DataError, "0 to 1, received from 0 to 2"),
        (lambda: fit_logistic(X, LABELS[:9], 3), ShapeError, "9 targets"),
        (lambda: fit_majority(LABELS * 1.0, 3), ShapeError, "float64"),
        (lambda: fit_majority(LABELS[:0], 3), DataError, "received none"),
        (lambda: fit_ridge(X, X[:, 0]).predict(X[:, :2]), ShapeError, r"\(rows, 4\)"),
    ],
)
def test_bad_input(call: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        call()

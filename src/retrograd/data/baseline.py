"""What a network must beat: the most frequent class or the mean, and a linear model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.errors import ArgumentError, DataError, ShapeError

Floats = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class ConstantBaseline:
    """Predicts the same for every row, whatever its features.

    Args:
        output: class frequencies (classes,) or the mean (1,).
        is_classifier: whether the output is class frequencies.
    """

    output: Floats
    is_classifier: bool

    def predict(self, x: Floats) -> Floats:
        """Class indices (rows,) or numbers (rows,)."""
        if self.is_classifier:
            return np.full(len(x), int(np.argmax(self.output)), dtype=np.int64)
        return np.full(len(x), float(self.output[0]))

    def predict_probabilities(self, x: Floats) -> Floats:
        """Class frequencies, (rows, classes)."""
        return np.tile(self.output, (len(x), 1))


@dataclass(frozen=True, slots=True, eq=False)
class LinearBaseline:
    r"""A linear model: :math:`x W + b`, through a softmax if it is a classifier.

    Args:
        weights: (features, outputs), float64.
        bias: (outputs,).
        is_classifier: whether the outputs are logits of classes.
    """

    weights: Floats
    bias: Floats
    is_classifier: bool

    def outputs(self, x: Floats) -> Floats:
        """Logits or numbers, float64 (rows, outputs)."""
        if x.ndim != 2 or x.shape[1] != len(self.weights):
            raise ShapeError(
                f"Expected features of the shape (rows, {len(self.weights)}), received {x.shape}.",
                fix="Encode the table with the preprocessor that the baseline was fitted on.",
            )
        result: Floats = x @ self.weights + self.bias
        return result

    def predict(self, x: Floats) -> Floats:
        """Class indices (rows,) or numbers (rows,)."""
        outputs = self.outputs(x)
        return np.argmax(outputs, axis=1) if self.is_classifier else outputs[:, 0]

    def predict_probabilities(self, x: Floats) -> Floats:
        """Class probabilities, (rows, classes)."""
        return np.exp(log_softmax(self.outputs(x)))


def fit_majority(y: Floats, classes: int) -> ConstantBaseline:
    """The most frequent class of y, class indices (rows,); the first one on a tie.

    Example:
        >>> fit_majority(np.array([0, 1, 1]), 2).predict(np.zeros((2, 5))).tolist()
        [1, 1]
    """
    y = _check_labels(y, classes)
    return ConstantBaseline(np.bincount(y, minlength=classes) / len(y), True)


def fit_mean(y: Floats) -> ConstantBaseline:
    """The mean of y, numbers (rows,) or (rows, 1)."""
    return ConstantBaseline(np.array([_check_goal(y).mean()]), False)


def fit_ridge(x: Floats, y: Floats, penalty: float = 1.0) -> LinearBaseline:
    r"""Least squares with a small penalty on the weights, solved exactly.

    .. math:: \sum_i (x_i w + b - y_i)^2 + penalty \, |w|^2

    Args:
        x: features, (rows, features), standardised.
        y: numbers, (rows,) or (rows, 1).
        penalty: above 0, so that features that repeat each other do no harm; b is free of it.

    Raises:
        DataError: no rows, or values that are not finite.
        ShapeError: x and y that do not go together.

    Source: Hoerl and Kennard (1970), "Ridge Regression".

    Example:
        >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
        >>> fit_ridge(x, 2 * x + 1, penalty=1e-9).predict(np.array([[10.0]])).round(3)
        array([21.])
    """
    x, goal = _check_features(x, penalty), _check_goal(y)
    _check_lengths(x, goal)
    x_mean, y_mean = x.mean(axis=0), goal.mean()
    centred = x - x_mean
    # The smaller of the two equivalent systems: one equation a feature, or one a row.
    if x.shape[1] <= x.shape[0]:
        gram = centred.T @ centred + penalty * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, centred.T @ (goal - y_mean))
    else:
        gram = centred @ centred.T + penalty * np.eye(x.shape[0])
        weights = centred.T @ np.linalg.solve(gram, goal - y_mean)
    return LinearBaseline(weights[:, None], np.array([y_mean - x_mean @ weights]), False)


def fit_logistic(
    x: Floats, y: Floats, classes: int, penalty: float = 1.0, iterations: int = 500
) -> LinearBaseline:
    r"""Multinomial logistic regression with a penalty on the weights, by L-BFGS on all rows.

    .. math:: -\sum_i \log softmax(x_i W + b)_{y_i} + \frac{penalty}{2} |W|^2

    Args:
        x: features, (rows, features), standardised.
        y: class indices, (rows,).
        classes: their number.
        penalty: above 0: the minimum then exists and is the only one (up to a shift of b).
        iterations: at most so many; it stops where the gradient is small.

    Raises:
        DataError: no rows, values that are not finite, labels out of range.
        ShapeError: x and y that do not go together.

    Example:
        >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
        >>> fit_logistic(x, np.array([0, 0, 1, 1]), 2).predict(x).tolist()
        [0, 0, 1, 1]
    """
    x, y = _check_features(x, penalty), _check_labels(y, classes)
    _check_lengths(x, y)
    rows, features = x.shape
    is_class = np.zeros((rows, classes))
    is_class[np.arange(rows), y] = 1.0

    def evaluate(flat: Floats) -> tuple[float, Floats]:
        weights, bias = _split_parameters(flat, features, classes)
        log_probabilities = log_softmax(x @ weights + bias)
        loss = -float(log_probabilities[is_class > 0].sum()) + 0.5 * penalty * float(
            (weights * weights).sum()
        )
        error = np.exp(log_probabilities) - is_class
        gradient = np.concatenate(
            [(x.T @ error + penalty * weights).reshape(-1), error.sum(axis=0)]
        )
        return loss / rows, gradient / rows

    flat = minimize(evaluate, np.zeros((features + 1) * classes), iterations)
    return LinearBaseline(*_split_parameters(flat, features, classes), True)


def minimize(
    evaluate: Callable[[Floats], tuple[float, Floats]],
    start: Floats,
    iterations: int = 500,
    tolerance: float = 1e-6,
    memory: int = 20,
) -> Floats:
    """Minimise a smooth convex function by L-BFGS with a backtracking line search.

    Args:
        evaluate: gives the value and the gradient at a point.
        start: the first point, (parameters,).
        iterations: at most so many steps.
        tolerance: stop where no entry of the gradient is larger.
        memory: how many earlier steps shape the direction.

    Source: Nocedal and Wright, "Numerical Optimization", algorithms 7.4 and 3.1.

    Example:
        >>> def evaluate(point):
        ...     return float(((point - 1) ** 2).sum()), 2 * (point - 1)
        >>> minimize(evaluate, np.array([3.0, -4.0])).round(6).tolist()
        [1.0, 1.0]
    """
    point = start.copy()
    value, gradient = evaluate(point)
    steps: list[tuple[Floats, Floats, float]] = []  # step, change of the gradient, 1 / (s . y)
    for _ in range(iterations):
        if np.max(np.abs(gradient), initial=0.0) <= tolerance:
            break
        direction = -_apply_inverse_hessian(gradient, steps)
        slope = float(gradient @ direction)
        length = 1.0 if steps else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        while True:
            candidate = point + length * direction
            new_value, new_gradient = evaluate(candidate)
            if new_value <= value + 1e-4 * length * slope:
                break
            length *= 0.5
            if length < 1e-12:  # rounding hides any further decrease
                return point
        step, change = candidate - point, new_gradient - gradient
        curvature = float(step @ change)
        if curvature > 1e-14 * float(change @ change):
            steps = [*steps[-(memory - 1) :], (step, change, 1.0 / curvature)]
        point, value, gradient = candidate, new_value, new_gradient
    return point


def _apply_inverse_hessian(gradient: Floats, steps: list[tuple[Floats, Floats, float]]) -> Floats:
    result = gradient.copy()
    shares = []
    for step, change, inverse in reversed(steps):
        share = inverse * float(step @ result)
        shares.append(share)
        result -= share * change
    if steps:
        step, change, inverse = steps[-1]
        result *= 1.0 / (inverse * float(change @ change))
    for (step, change, inverse), share in zip(steps, reversed(shares)):
        result += (share - inverse * float(change @ result)) * step
    return result


def _split_parameters(flat: Floats, features: int, classes: int) -> tuple[Floats, Floats]:
    return flat[: features * classes].reshape(features, classes), flat[features * classes :]


def log_softmax(logits: Floats) -> Floats:
    """The logarithms of probabilities, (rows, classes)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _check_features(x: Floats, penalty: float) -> Floats:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2:
        raise ShapeError(
            f"Expected features of the shape (rows, features), received {x.shape}.",
            fix="Give one row for each example.",
        )
    if not (penalty > 0.0 and np.isfinite(penalty)):
        raise ArgumentError(f"Expected a penalty above 0, received {penalty!r}.", fix="penalty=1.0")
    if len(x) == 0:
        raise DataError("There are no rows to fit a baseline on.", fix="Give at least one row.")
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise DataError(
            f"The feature {column} is {x[row, column]} in row {row} (from 0).",
            fix="Fill missing values first; the Preprocessor does.",
        )
    return x


def _check_goal(y: Floats) -> Floats:
    goal = np.asarray(y, dtype=np.float64)
    if goal.ndim == 2 and goal.shape[1] == 1:
        goal = goal[:, 0]
    if goal.ndim != 1:
        raise ShapeError(
            f"Expected targets of the shape (rows,) or (rows, 1), received {goal.shape}.",
            fix="Give one number for each row.",
        )
    if len(goal) == 0 or not np.isfinite(goal).all():
        raise DataError(
            f"{len(goal)} targets, {int((~np.isfinite(goal)).sum())} of them not finite.",
            fix="Give at least one row, and a number for each.",
        )
    return goal


def _check_labels(y: Floats, classes: int) -> Floats:
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ShapeError(
            f"Expected class indices as whole numbers of the shape (rows,), received "
            f"{labels.dtype} of the shape {labels.shape}.",
            fix="Encode the labels with the Preprocessor.",
        )
    if len(labels) == 0 or not (0 <= int(labels.min()) and int(labels.max()) < classes):
        found = f"from {labels.min()} to {labels.max()}" if len(labels) else "none"
        raise DataError(
            f"Expected class indices from 0 to {classes - 1}, received {found}.",
            fix="Encode the labels with the Preprocessor.",
        )
    return labels.astype(np.int64)


def _check_lengths(x: Floats, y: Floats) -> None:
    if len(x) != len(y):
        raise ShapeError(
            f"{len(x)} rows of features, but {len(y)} targets.", fix="Give one target a row."
        )

"""Scores of predictions: what `train` and `evaluate` report, by the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Floats = np.ndarray[Any, Any]
Scores = dict[str, float]

LABELS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "r2": "R2",
    "mae": "mean error",
    "rmse": "RMSE",
}
NO_SCORE = float("nan")


def score_classes(probabilities: Floats, labels: Floats) -> Scores:
    """Accuracy, and balanced accuracy: the mean over the classes of the share that was found.

    Args:
        probabilities: (rows, classes).
        labels: class indices, (rows,).

    Example:
        >>> score_classes(np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]), np.array([0, 0, 1]))
        {'accuracy': 0.6666666666666666, 'balanced_accuracy': 0.5}
    """
    chosen = probabilities.argmax(axis=1)
    found = [float((chosen[labels == label] == label).mean()) for label in np.unique(labels)]
    return {
        "accuracy": float((chosen == labels).mean()),
        "balanced_accuracy": float(np.mean(found)),
    }


def score_numbers(predictions: Floats, goal: Floats) -> Scores:
    """R2, mean absolute error and root of the mean squared error, in the unit of the target.

    R2 is NaN where the goal does not vary.

    Example:
        >>> score_numbers(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
        {'r2': 0.5, 'mae': 0.5, 'rmse': 0.7071067811865476}
    """
    error = predictions - goal
    spread = float(((goal - goal.mean()) ** 2).sum())
    return {
        "r2": 1.0 - float((error**2).sum()) / spread if spread > 0.0 else NO_SCORE,
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
    }


def format_score(name: str, value: float) -> str:
    """A score as people read it.

    Example:
        >>> format_score("accuracy", 0.98765), format_score("mae", 1234.567)
        ('98.8 %', '1235')
    """
    if np.isnan(value):
        return "-"
    if name in ("accuracy", "balanced_accuracy"):
        return f"{100.0 * value:.1f} %"
    if name == "r2":
        return f"{value:.3f}"
    return f"{value:.4g}"


def lay_out_scores(scores: dict[str, Scores]) -> list[list[str]]:
    """A row for each predictor and a column for each score, under headings."""
    names = list(next(iter(scores.values())))
    rows = [["", *(LABELS[name] for name in names)]]
    for predictor, values in scores.items():
        rows.append([predictor, *(format_score(name, values[name]) for name in names)])
    return rows


def report_classes(labels: Floats, chosen: Floats, classes: Sequence[str]) -> dict[str, Any]:
    """For each class its rows and the share that was found; and what was confused most often.

    Args:
        labels, chosen: true and predicted class indices, (rows,).
        classes: their names.

    Example:
        >>> report = report_classes(np.array([0, 0, 1]), np.array([0, 1, 1]), ("a", "b"))
        >>> report["classes"][0], report["confusions"]
        ({'class': 'a', 'rows': 2, 'accuracy': 0.5}, [{'true': 'a', 'predicted': 'b', 'rows': 1}])
    """
    size = len(classes)
    matrix = np.zeros((size, size), dtype=np.int64)
    np.add.at(matrix, (labels, chosen), 1)
    totals = matrix.sum(axis=1)
    found = [
        {
            "class": name,
            "rows": int(totals[place]),
            "accuracy": float(matrix[place, place] / totals[place]) if totals[place] else None,
        }
        for place, name in enumerate(classes)
    ]
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
    confusions = [
        {
            "true": classes[place // size],
            "predicted": classes[place % size],
            "rows": int(wrong.reshape(-1)[place]),
        }
        for place in order.tolist()
    ]
    return {"classes": found, "confusions": confusions}


def describe_classes(report: dict[str, Any], shown: int = 5) -> list[str]:
    """A report of classes in two lines: those found least, and the most frequent confusions."""
    known = [item for item in report["classes"] if item["accuracy"] is not None]
    lines = []
    if len(known) > 1:
        hardest = sorted(known, key=lambda item: item["accuracy"])[:shown]
        words = ", ".join(
            f"{item['class']} {100 * item['accuracy']:.0f} % of {item['rows']}" for item in hardest
        )
        lines.append(f"{'Found' if len(known) <= shown else 'Found least'}: {words}.")
    confusions = report["confusions"]
    if confusions:
        words = ", ".join(
            f"{item['true']} as {item['predicted']} ({item['rows']})" for item in confusions[:shown]
        )
        more = sum(item["rows"] for item in confusions[shown:])
        lines.append(f"Mistaken: {words}{f', and {more} others' if more else ''}.")
    return lines

"""Metrics by name, for the trainer and the command line."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..errors import ArgumentError, ArgumentTypeError, suggest
from .base import Metric
from .classification import F1, Accuracy, BalancedAccuracy, Precision, Recall, TopK
from .regression import MAE, MSE, R2, RMSE

METRICS: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "balanced_accuracy": BalancedAccuracy,
    "top_k": TopK,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "r2": R2,
    "mae": MAE,
    "mse": MSE,
    "rmse": RMSE,
}
"""Every metric by its name, with its default options."""


def get(metric: str | Metric) -> Metric:
    """The metric of this name with its default options; a Metric is given back as it is.

    Args:
        metric: a name in `metrics.METRICS`, `top_3` for TopK(3) and so on, or a Metric.

    Raises:
        ArgumentError: there is no metric of this name; the nearest one is suggested.
        ArgumentTypeError: it is neither a name nor a Metric.

    Example:
        >>> from retrograd import metrics
        >>> metrics.get("accuracy"), metrics.get("top_3")
        (Accuracy(multilabel=None), TopK(k=3))
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        counted = re.fullmatch(r"top_([0-9]{1,9})", metric)
        if counted:
            return TopK(int(counted.group(1)))
        if metric in METRICS:
            return METRICS[metric]()
        raise ArgumentError(
            f"There is no metric {metric!r}. {suggest(metric, METRICS)}",
            fix=f"choose one of {', '.join(METRICS)}, or pass a metrics.Metric",
        )
    if isinstance(metric, type) and issubclass(metric, Metric):
        raise ArgumentTypeError(
            f"Expected a metric, received the class {metric.__name__}.",
            fix=f"write metrics.{metric.__name__}()",
        )
    raise ArgumentTypeError(
        f"A metric is a name or a metrics.Metric, received {type(metric).__name__}.",
        fix="derive from metrics.Metric to write one of your own; a plain function of a batch "
        "cannot be added up over batches",
    )

"""Metrics of numbers: mean absolute and squared error, its root, and R2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.types import float64
from ..ops import arithmetic, reduce
from ..ops.promotion import as_array, convert
from ..ops.shape import reshape
from ..ops.targets import check_outputs, check_same_shape
from ..trace import Array
from .base import Metric, Sums, divide, read_sums, row_weights

# Beyond this many roundings the spread of the targets is not told apart from none.
ROUNDINGS = 16 * np.finfo(np.float64).eps


def _widen(outputs: Any, targets: Any, operation: str) -> tuple[Array, Array]:
    """Predictions and targets of one shape, in float64."""
    predictions, truth = check_outputs(outputs, operation, "predictions"), as_array(targets)
    check_same_shape(predictions, truth, operation, "predictions")
    return convert(predictions, float64), convert(truth, float64)


class _MeanError(Metric):
    """A mean of errors over all elements."""

    better = "lower"

    def measure(self, outputs: Any, targets: Any, sample_weight: Any = None) -> Sums:
        predictions, truth = _widen(outputs, targets, self.name)
        weights = row_weights(sample_weight, predictions, self.name)
        errors = self._of(predictions - truth)
        return {"error": reduce.sum(weights * errors), "weight": reduce.sum(weights)}

    def _of(self, difference: Array) -> Array:
        return arithmetic.square(difference)

    def result(self, sums: Mapping[str, Any]) -> float:
        return divide(sums["error"], sums["weight"])


@dataclass(frozen=True)
class MAE(_MeanError):
    """Mean absolute error over all elements: `mean(|predictions - targets|)`.

    In the unit of the targets. With weights the mean divides by their sum.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.MAE()(rg.array([1.0, 4.0]), [1.0, 2.0])
        1.0
    """

    name = "mae"

    def _of(self, difference: Array) -> Array:
        return arithmetic.abs(difference)


@dataclass(frozen=True)
class MSE(_MeanError):
    """Mean squared error over all elements: `mean((predictions - targets)^2)`.

    With weights the mean divides by their sum.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.MSE()(rg.array([1.0, 4.0]), [1.0, 2.0])
        2.0
    """

    name = "mse"


@dataclass(frozen=True)
class RMSE(_MeanError):
    """Root of the mean squared error over all elements: `sqrt(mean((predictions - targets)^2))`.

    In the unit of the targets. Of several outputs the squares are averaged before the root.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.RMSE()(rg.array([1.0, 5.0]), [2.0, 4.0])
        1.0
    """

    name = "rmse"

    def result(self, sums: Mapping[str, Any]) -> float:
        return math.sqrt(super().result(sums))


@dataclass(frozen=True)
class R2(Metric):
    """The share of the targets' variance that is explained: 1 is perfect, 0 as good as the mean.

    `R2 = 1 - sum(w (y - prediction)^2) / sum(w (y - mean(y))^2)`, for each output, then the mean
    over the outputs (all axes but the first). Constant targets give 1 if every prediction is
    exact, else 0. NaN for fewer than two rows. Sums are in float64: targets whose mean is ten
    million times their spread count as constant.

    Source: N. Draper, H. Smith, Applied Regression Analysis, 3rd ed., Wiley 1998, chapter 1.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.R2()(rg.array([1.0, 2.0, 4.0]), [1.0, 2.0, 3.0])
        0.5
    """

    name = "r2"
    better = "higher"

    def measure(self, outputs: Any, targets: Any, sample_weight: Any = None) -> Sums:
        predictions, truth = _widen(outputs, targets, self.name)
        weights = row_weights(sample_weight, predictions, self.name)
        rows = predictions.type.shape[0] if predictions.type.shape else 1
        table = (rows, predictions.type.size // rows)
        predictions, truth, weights = (
            reshape(part, table) for part in (predictions, truth, weights)
        )
        return {
            "residual": reduce.sum(weights * arithmetic.square(truth - predictions), 0),
            "target": reduce.sum(weights * truth, 0),
            "square": reduce.sum(weights * arithmetic.square(truth), 0),
            "weight": reduce.sum(weights, 0),
            "rows": Array(np.array(rows, np.float64)),
        }

    def result(self, sums: Mapping[str, Any]) -> float:
        read = read_sums(sums)
        residual, weight, square = read["residual"], read["weight"], read["square"]
        if not (weight > 0).all() or read["rows"] < 2 or np.isnan(residual).any():
            return float("nan")
        spread = square - read["target"] ** 2 / weight
        constant = spread <= ROUNDINGS * square
        explained = 1.0 - residual / np.where(constant, 1.0, spread)
        of_constant = np.where(residual == 0, 1.0, 0.0)
        return float(np.mean(np.where(constant, of_constant, explained)))

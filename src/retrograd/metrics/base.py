"""What a metric is: sums that add up over batches, and a number made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..ir.types import float64
from ..ops.targets import spread_weights
from ..trace import Array

Sums = dict[str, Array]


class Metric(ABC):
    """A number by which people judge a model, gathered batch by batch.

    `measure` gives sums for one batch, in float64 and as part of a compiled program if wanted. The
    sums of several batches are added, entry by entry, and `result` makes the number of them: the
    same as for all rows at once. Calling the metric does both.

    A metric of your own derives from Metric and gives `name`, `better`, `measure` and `result`.

    Attributes:
        name: its name in logs and in the history.
        better: "higher" or "lower".

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> class Share(metrics.Metric):
        ...     name, better = "share", "higher"
        ...
        ...     def measure(self, outputs, targets, sample_weight=None):
        ...         return {"hits": rg.sum(outputs == targets), "rows": rg.array(len(targets))}
        ...
        ...     def result(self, sums):
        ...         return float(sums["hits"]) / float(sums["rows"])
        >>> Share()(rg.array([1, 2, 3, 4]), rg.array([1, 2, 3, 3]))
        0.75
    """

    name: str
    better: str

    @abstractmethod
    def measure(self, outputs: Any, targets: Any, sample_weight: Any = None) -> Sums:
        """The sums of one batch.

        Args:
            outputs: what the model returned.
            targets: what it should be.
            sample_weight: None, or (batch,) numbers of at least 0.
        """

    @abstractmethod
    def result(self, sums: Mapping[str, Any]) -> float:
        """The number made of the sums of all batches."""

    def __call__(self, outputs: Any, targets: Any, sample_weight: Any = None) -> float:
        return self.result(self.measure(outputs, targets, sample_weight))


def row_weights(sample_weight: Any, like: Array, operation: str) -> Array:
    """Weights of the shape of `like` in float64: ones, or the given ones spread over it."""
    if sample_weight is None:
        return Array(np.broadcast_to(np.ones((), float64), like.type.shape))
    return spread_weights(sample_weight, like, operation, float64)


def read_sums(sums: Mapping[str, Any]) -> dict[str, Any]:
    """The sums as float64 NumPy arrays."""
    return {name: np.asarray(value, np.float64) for name, value in sums.items()}


def divide(numerator: Any, denominator: Any) -> float:
    """A quotient as a Python float; NaN where there was nothing to measure."""
    return float(numerator) / float(denominator) if denominator != 0 else float("nan")

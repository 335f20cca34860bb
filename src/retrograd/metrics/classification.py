"""Metrics of classifiers: accuracy, balanced accuracy, top-k, precision, recall, F1."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..ir.types import float64
from ..ops import comparison, reduce
from ..ops.index import iota
from ..ops.promotion import as_array, convert
from ..ops.shape import expand_dims
from ..ops.targets import check_choice, check_labels, check_outputs, pick_label
from .base import Metric, Sums, divide, read_sums, row_weights
from .confusion import count_classes
from .decisions import decide, is_broken

AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


@dataclass(frozen=True)
class Accuracy(Metric):
    """The share of right decisions: `sum(w [chosen = true]) / sum(w)`.

    Outputs (..., classes) against integer labels (...): the class of the largest logit, the first
    one on ties. Outputs of the targets' shape ((batch,) or (batch, 1)): logits of yes or no; class
    1 where the logit is above 0, a probability above one half. The result is NaN if an output is.

    Args:
        multilabel: what outputs (batch, k) against targets (batch, k) mean. True: k yes-or-no
            decisions for each row. False: targets are probabilities of one class, the largest one
            counts. None: such targets are an error.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.Accuracy()(rg.array([[2.0, 1.0], [0.0, 3.0]]), [0, 0])
        0.5
    """

    multilabel: bool | None = None
    name = "accuracy"
    better = "higher"

    def measure(self, outputs: Any, targets: Any, sample_weight: Any = None) -> Sums:
        rows = decide(outputs, targets, sample_weight, self.name, self.multilabel)
        right = convert(rows.chosen == rows.true, float64)
        return {"right": reduce.sum(rows.weights * right), "weight": reduce.sum(rows.weights)}

    def result(self, sums: Mapping[str, Any]) -> float:
        return divide(sums["right"], sums["weight"])


@dataclass(frozen=True)
class TopK(Metric):
    """The share of rows whose label is among the k largest logits.

    Of equal logits the class that comes first ranks first, so that TopK(1) is Accuracy. The result
    is NaN if an output is.

    Args:
        k: how many, at least 1.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.TopK(2)(rg.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), [1, 2])
        0.5
    """

    k: int = 5
    better = "higher"

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, (int, np.integer)) or self.k < 1:
            raise ArgumentError(f"TopK: k is an integer of at least 1, received {self.k!r}.")

    @property
    def name(self) -> str:  # type: ignore[override]
        """`top_5` for k = 5."""
        return f"top_{self.k}"

    def measure(self, outputs: Any, targets: Any, sample_weight: Any = None) -> Sums:
        logits, labels = check_outputs(outputs, self.name, "outputs"), as_array(targets)
        shape = logits.type.shape
        if not shape or shape[-1] < 2:
            raise ShapeError(
                f"{self.name}: outputs need an axis of at least two classes, received {shape}.",
                fix="use metrics.Accuracy() for one logit for each row",
            )
        if self.k > shape[-1]:
            raise ArgumentError(
                f"{self.name}: there are only {shape[-1]} classes in outputs {shape}.",
                fix=f"write metrics.TopK(k) with k below {shape[-1]}",
            )
        check_labels(labels, logits, self.name)
        weights = row_weights(sample_weight, labels, self.name)
        own = expand_dims(pick_label(logits, labels), -1)
        earlier = iota(shape[-1]) < expand_dims(labels, -1)
        ahead = comparison.logical_or(
            logits > own, comparison.logical_and(comparison.equal(logits, own), earlier)
        )
        found = convert(reduce.sum(ahead, -1) < self.k, float64)
        weights = comparison.where(is_broken(logits, -1), float("nan"), weights)
        return {"right": reduce.sum(weights * found), "weight": reduce.sum(weights)}

    def result(self, sums: Mapping[str, Any]) -> float:
        return divide(sums["right"], sums["weight"])


class _ClassMetric(Metric):
    """A metric that is made of the counts of each class."""

    better = "higher"

    def measure(self, outputs: Any, targets: Any, sample_weight: Any = None) -> Sums:
        return count_classes(decide(outputs, targets, sample_weight, self.name))

    def result(self, sums: Mapping[str, Any]) -> float:
        counts = read_sums(sums)
        total = counts["true"].sum()
        if not total > 0:  # nothing was measured, or an output was NaN
            return float("nan")
        return float(self._combine(counts["right"], counts["chosen"], counts["true"]))

    @abstractmethod
    def _combine(self, right: Any, chosen: Any, true: Any) -> float:
        """The number made of the counts (classes,)."""


@dataclass(frozen=True)
class BalancedAccuracy(_ClassMetric):
    """The mean over the classes of the share that was recognised: each class counts the same.

    `mean_c (right_c / true_c)` over the classes that occur among the targets. A model that always
    gives the same answer reaches 1 / classes, however rare the others are. NaN if an output is.

    Source: K. Brodersen et al., The balanced accuracy and its posterior distribution, ICPR 2010.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.BalancedAccuracy()(rg.array([1.0, 1.0, 1.0, 1.0]), [1, 1, 1, 0])
        0.5
    """

    name = "balanced_accuracy"

    def _combine(self, right: Any, chosen: Any, true: Any) -> float:
        seen = true > 0
        return float(np.mean(right[seen] / true[seen]))


@dataclass(frozen=True)
class _AveragedMetric(_ClassMetric):
    """A quotient for each class, averaged over the classes."""

    average: str = "auto"

    def __post_init__(self) -> None:
        check_choice("average", self.average, AVERAGES, type(self).__name__)

    @abstractmethod
    def _quotient(self, right: Any, chosen: Any, true: Any) -> tuple[Any, Any]:
        """Numerator and denominator."""

    def _combine(self, right: Any, chosen: Any, true: Any) -> float:
        average = self.average
        if average == "auto":
            average = "binary" if len(true) == 2 else "macro"
        if average == "binary" and len(true) != 2:
            raise ArgumentError(
                f"{type(self).__name__}: average='binary' is for two classes, received "
                f"{len(true)}.",
                fix="use average='macro', 'micro' or 'weighted'",
            )
        if average == "micro":
            right, chosen, true = (np.array([part.sum()]) for part in (right, chosen, true))
        numerator, denominator = self._quotient(right, chosen, true)
        values = np.zeros(len(denominator))
        np.divide(numerator, denominator, out=values, where=denominator > 0)
        if average == "binary":
            return float(values[1])
        if average == "weighted":
            return float((values * true).sum() / true.sum())
        return float(values[(chosen > 0) | (true > 0)].mean())


@dataclass(frozen=True)
class Precision(_AveragedMetric):
    """Of what was said to be of a class, the share that is: `right / chosen`; 0 if none was.

    NaN if an output is.

    Args:
        average: "binary" gives class 1 of two; "macro" the mean over the classes that occur among
            targets or decisions; "weighted" the mean with the share of each class among the
            targets; "micro" adds all classes up first; "auto" is "binary" for two classes, else
            "macro".

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.Precision()(rg.array([1.0, 2.0, -1.0]), [1, 0, 1])
        0.5
    """

    name = "precision"

    def _quotient(self, right: Any, chosen: Any, true: Any) -> tuple[Any, Any]:
        return right, chosen


@dataclass(frozen=True)
class Recall(_AveragedMetric):
    """Of what is of a class, the share that was recognised: `right / true`; 0 if there is none.

    NaN if an output is.

    Args:
        average: as for Precision.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.Recall()(rg.array([1.0, 2.0, -1.0, 3.0]), [1, 0, 1, 0])
        0.5
    """

    name = "recall"

    def _quotient(self, right: Any, chosen: Any, true: Any) -> tuple[Any, Any]:
        return right, true


@dataclass(frozen=True)
class F1(_AveragedMetric):
    """The harmonic mean of precision and recall: `2 right / (chosen + true)`; 0 if both are 0.

    NaN if an output is.

    Args:
        average: as for Precision.

    Source: C. van Rijsbergen, Information Retrieval, 2nd ed., Butterworths 1979, chapter 7.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.F1()(rg.array([1.0, 2.0, -1.0]), [1, 0, 1])
        0.5
    """

    name = "f1"

    def _quotient(self, right: Any, chosen: Any, true: Any) -> tuple[Any, Any]:
        return 2.0 * right, chosen + true

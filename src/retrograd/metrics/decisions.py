"""From outputs to decisions: which class a model has chosen, with which weight it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError, DTypeError, ShapeError
from ..ir.types import float64, int32
from ..ops import comparison, reduce
from ..ops.index import check_indices
from ..ops.promotion import as_array, convert
from ..ops.shape import reshape
from ..ops.targets import (
    check_binary_targets,
    check_labels,
    check_outputs,
    check_same_shape,
    known_value,
)
from ..trace import Array
from .base import row_weights


@dataclass(frozen=True, slots=True)
class Decisions:
    """Chosen and true classes of all rows, flattened, with what each row counts (float64).

    A row whose outputs hold a NaN has the weight NaN: no number hides that the model has failed.
    """

    chosen: Array
    true: Array
    weights: Array
    classes: int


def is_broken(outputs: Array, axis: int | None = None) -> Array:
    """Where outputs are NaN: each element, or any of a row."""
    wrong = comparison.is_nan(outputs)
    return wrong if axis is None else reduce.any(wrong, axis)


def decide(
    outputs: Any,
    targets: Any,
    sample_weight: Any,
    operation: str,
    multilabel: bool | None = None,
) -> Decisions:
    """Read the outputs of a classifier.

    Outputs of the targets' shape are one logit for each decision: class 1 where it is above 0.
    Outputs with one more axis are a logit for each class: the largest one wins, the first on ties.
    """
    logits, truth = check_outputs(outputs, operation, "outputs"), as_array(targets)
    shape = logits.type.shape
    same = shape == truth.type.shape
    if same and len(shape) > 1 and shape[-1] > 1 and multilabel is not True:
        return _decide_between_probabilities(logits, truth, sample_weight, operation, multilabel)
    if same or _is_one_column(logits, truth):
        return _decide_yes_or_no(logits, truth, sample_weight, operation)
    if multilabel:
        check_same_shape(logits, truth, operation, "outputs")
    if not shape or shape[-1] == 1:
        raise ShapeError(
            f"{operation}: outputs {shape} and targets {truth.type.shape} do not fit.",
            fix="give targets of the outputs' shape for one logit for each decision, integer "
            "labels of the shape without the last axis for a logit for each class",
        )
    check_labels(truth, logits, operation)
    # In a compiled program labels are not known yet: this checks them when it runs.
    truth = check_indices(truth, shape[-1], operation)
    return _decide_among_classes(logits, truth, sample_weight, operation)


def _is_one_column(logits: Array, truth: Array) -> bool:
    """Whether only the (n, 1) against (n,) mistake is left: its error is that of one shape."""
    ours, theirs = logits.type.shape, truth.type.shape
    return ours == (*theirs, 1) or (theirs == (*ours, 1) and len(ours) == 1)


def _decide_yes_or_no(logits: Array, truth: Array, sample_weight: Any, operation: str) -> Decisions:
    wanted = check_binary_targets(truth, logits, operation, "outputs")
    if truth.type.floating:
        known = known_value(truth)
        if known is not None and ((known != 0) & (known != 1)).any():
            raise ArgumentError(
                f"{operation}: targets between 0 and 1 are no decisions.",
                fix="write targets > 0.5, or use metrics.MAE for probabilities",
            )
    weights = row_weights(sample_weight, logits, operation)
    weights = comparison.where(is_broken(logits), float("nan"), weights)
    return _flatten(comparison.greater(logits, 0.0), comparison.greater(wanted, 0.5), weights, 2)


def _decide_among_classes(
    logits: Array, labels: Array, sample_weight: Any, operation: str
) -> Decisions:
    weights = row_weights(sample_weight, labels, operation)
    weights = comparison.where(is_broken(logits, -1), float("nan"), weights)
    return _flatten(reduce.argmax(logits, -1), labels, weights, logits.type.shape[-1])


def _decide_between_probabilities(
    logits: Array, truth: Array, sample_weight: Any, operation: str, multilabel: bool | None
) -> Decisions:
    shape = logits.type.shape
    if multilabel is None:
        raise ArgumentError(
            f"{operation}: outputs and targets {shape} could be {shape[-1]} yes-or-no decisions "
            "for each row, or logits against probabilities of one class.",
            fix="pass integer labels (targets.argmax(-1)) for one class, or use "
            "metrics.Accuracy(multilabel=True) for decisions, multilabel=False for one class",
        )
    if not truth.type.floating:
        raise DTypeError(
            f"{operation}: targets of the outputs' shape {shape} are probabilities and must be "
            f"floating, received {truth.type.dtype.name}.",
            fix="pass integer labels: targets.argmax(-1) if the rows are one-hot; for several "
            "yes-or-no decisions use metrics.Accuracy(multilabel=True)",
        )
    return _decide_among_classes(logits, reduce.argmax(truth, -1), sample_weight, operation)


def _flatten(chosen: Array, true: Array, weights: Array, classes: int) -> Decisions:
    size = (weights.type.size,)
    return Decisions(
        reshape(convert(chosen, int32), size),
        reshape(true if true.type.dtype.kind in "iu" else convert(true, int32), size),
        reshape(convert(weights, float64), size),
        classes,
    )

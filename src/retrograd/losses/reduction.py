"""How losses of elements become one number."""

from __future__ import annotations

from typing import Any

from ..ops import comparison, reduce
from ..ops.targets import check_choice, spread_weights
from ..trace import Array

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str, operation: str) -> str:
    """The word, if it is a known reduction."""
    return check_choice("reduction", reduction, REDUCTIONS, operation)


def reduce_losses(
    losses: Array,
    reduction: str,
    sample_weight: Any,
    operation: str,
    class_weights: Array | None = None,
) -> Array:
    """The mean, the sum, or the losses themselves.

    Args:
        losses: one for each element, multiplied by the class weights already.
        reduction: "mean", "sum" or "none".
        sample_weight: None, or weights of the first axes of `losses`.
        operation: the name of the loss, for errors.
        class_weights: what the classes weigh in the mean, of the shape of `losses`.

    Returns:
        The mean divides by the sum of all weights, and is 0 where that is 0.
    """
    weights = class_weights
    if sample_weight is not None:
        spread = spread_weights(sample_weight, losses, operation)
        losses = losses * spread
        weights = spread if weights is None else weights * spread
    if reduction == "none":
        return losses
    if reduction == "sum":
        return reduce.sum(losses)
    if weights is None:
        return reduce.mean(losses)
    total = reduce.sum(weights)
    # A batch whose rows all weigh nothing must not put NaN into the parameters.
    return reduce.sum(losses) / comparison.where(comparison.equal(total, 0.0), 1.0, total)

"""Losses of numbers: mean squared error, mean absolute error, Huber."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError
from ..ops import arithmetic
from ..ops.promotion import as_array, convert
from ..ops.targets import check_outputs, check_same_shape
from ..trace import Array
from .reduction import check_reduction, reduce_losses


def _subtract(predictions: Any, targets: Any, operation: str) -> Array:
    """Predictions minus targets, which must have one shape; in the predictions' dtype."""
    given = check_outputs(predictions, operation, "predictions")
    wanted = as_array(targets)
    check_same_shape(given, wanted, operation, "predictions")
    return given - convert(wanted, given.type.dtype)


def mse(
    predictions: Any, targets: Any, *, reduction: str = "mean", sample_weight: Any = None
) -> Array:
    """Mean squared error: `mean((predictions - targets)^2)`.

    Args:
        predictions: floating, of any shape.
        targets: numbers of the same shape; nothing is broadcast.
        reduction: "mean" (over all elements), "sum", or "none" for a loss for each element.
        sample_weight: (batch,), or one weight for each element of the first axes. The mean divides
            by the sum of the weights of all elements; it is 0 if that is 0.

    Returns:
        A scalar in the predictions' dtype; of their shape for "none".

    Raises:
        ShapeError: the shapes are not equal, or the batch is empty.
        DTypeError: the predictions are not floating.
        ArgumentError: an unknown reduction, a negative or infinite weight.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import losses
        >>> float(losses.mse(rg.array([1.0, 4.0]), rg.array([1.0, 2.0])))
        2.0
    """
    check_reduction(reduction, "mse")
    errors = _subtract(predictions, targets, "mse")
    return reduce_losses(arithmetic.square(errors), reduction, sample_weight, "mse")


def mae(
    predictions: Any, targets: Any, *, reduction: str = "mean", sample_weight: Any = None
) -> Array:
    """Mean absolute error: `mean(|predictions - targets|)`; its gradient is 0 where they are equal.

    Args:
        predictions: floating, of any shape.
        targets: numbers of the same shape; nothing is broadcast.
        reduction: "mean" (over all elements), "sum", or "none" for a loss for each element.
        sample_weight: (batch,), or one weight for each element of the first axes. The mean divides
            by the sum of the weights of all elements; it is 0 if that is 0.

    Returns:
        A scalar in the predictions' dtype; of their shape for "none".

    Raises:
        ShapeError: the shapes are not equal, or the batch is empty.
        DTypeError: the predictions are not floating.
        ArgumentError: an unknown reduction, a negative or infinite weight.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import losses
        >>> float(losses.mae(rg.array([1.0, 4.0]), rg.array([1.0, 2.0])))
        1.0
    """
    check_reduction(reduction, "mae")
    errors = _subtract(predictions, targets, "mae")
    return reduce_losses(arithmetic.abs(errors), reduction, sample_weight, "mae")


def huber(
    predictions: Any,
    targets: Any,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
    sample_weight: Any = None,
) -> Array:
    """Huber's loss: squared near the target, linear far from it, so that outliers pull less.

    With `e = predictions - targets`: `e^2 / 2` where `|e| <= delta`, `delta (|e| - delta / 2)`
    elsewhere.

    Args:
        predictions: floating, of any shape.
        targets: numbers of the same shape; nothing is broadcast.
        delta: the error, above 0, at which the loss becomes linear; in the unit of the targets.
        reduction: "mean" (over all elements), "sum", or "none" for a loss for each element.
        sample_weight: (batch,), or one weight for each element of the first axes. The mean divides
            by the sum of the weights of all elements; it is 0 if that is 0.

    Returns:
        A scalar in the predictions' dtype; of their shape for "none".

    Raises:
        ShapeError: the shapes are not equal, or the batch is empty.
        DTypeError: the predictions are not floating.
        ArgumentError: delta is not above 0; an unknown reduction; a negative or infinite weight.

    Source: P. Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics
    35 (1964).

    Example:
        >>> import retrograd as rg
        >>> from retrograd import losses
        >>> float(losses.huber(rg.array([1.0, 4.0]), rg.array([1.0, 1.0]), delta=2.0))
        2.0
    """
    check_reduction(reduction, "huber")
    if isinstance(delta, bool) or not isinstance(delta, (int, float, np.number, Array)):
        raise ArgumentTypeError(f"huber: delta is a number above 0, received {delta!r}.")
    limit = float(delta)
    if not 0.0 < limit < math.inf:
        raise ArgumentError(
            f"huber: delta must be a finite number above 0, received {delta!r}.",
            fix="use losses.mae for a loss that is linear everywhere, losses.mse for a square",
        )
    errors = _subtract(predictions, targets, "huber")
    # One formula for both parts, without |e|: its second derivative is right at e = 0, too.
    limited = arithmetic.clip(errors, -limit, limit)
    losses = limited * (errors - limited * 0.5)
    return reduce_losses(losses, reduction, sample_weight, "huber")

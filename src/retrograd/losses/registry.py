"""Losses by name, for the trainer and the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, suggest
from .classification import binary_cross_entropy, cross_entropy
from .regression import huber, mae, mse

Loss = Callable[..., Any]

LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
    "mae": mae,
    "huber": huber,
}
"""Every loss by its name."""

_NAMES_ELSEWHERE = {
    "bce": "binary_cross_entropy",
    "bce_with_logits": "binary_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "log_loss": "cross_entropy",
    "ce": "cross_entropy",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "nll": "cross_entropy",
    "l1": "mae",
    "mean_absolute_error": "mae",
    "l2": "mse",
    "mean_squared_error": "mse",
    "smooth_l1": "huber",
}


def get(loss: str | Loss) -> Loss:
    """The loss of this name; a callable `(outputs, targets)` is given back as it is.

    Args:
        loss: a name in `losses.LOSSES`, or a callable.

    Raises:
        ArgumentError: there is no loss of this name; the nearest one is suggested.
        ArgumentTypeError: it is neither a name nor a callable.

    Example:
        >>> from retrograd import losses
        >>> losses.get("mse") is losses.mse
        True
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            known = _NAMES_ELSEWHERE.get(loss.lower())
            hint = f"Here it is called {known!r}." if known else suggest(loss, LOSSES)
            raise ArgumentError(
                f"There is no loss {loss!r}. {hint}",
                fix=f"choose one of {', '.join(LOSSES)}, or pass a function (outputs, targets)",
            )
        return LOSSES[loss]
    if not callable(loss):
        raise ArgumentTypeError(
            f"A loss is a name or a function (outputs, targets), received {type(loss).__name__}.",
            fix=f"choose one of {', '.join(LOSSES)}",
        )
    return loss

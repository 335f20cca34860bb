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
            raise ArgumentError(
                f"There is no loss {loss!r}. {suggest(loss, LOSSES)}",
                fix=f"choose one of {', '.join(LOSSES)}, or pass a function (outputs, targets)",
            )
        return LOSSES[loss]
    if not callable(loss):
        raise ArgumentTypeError(
            f"A loss is a name or a function (outputs, targets), received {type(loss).__name__}.",
            fix=f"choose one of {', '.join(LOSSES)}",
        )
    return loss

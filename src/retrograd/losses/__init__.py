"""Losses: what training makes small. Outputs of the model first, targets second."""

from .classification import binary_cross_entropy, cross_entropy
from .registry import LOSSES, get
from .regression import huber, mae, mse

__all__ = ["LOSSES", "binary_cross_entropy", "cross_entropy", "get", "huber", "mae", "mse"]

"""Optimizers, and the rules they are made of."""

from .base import Optimizer, Transform, chain
from .named import SGD, Adagrad, Adam, AdamW
from .rows import map_rows, step_rows
from .transforms import (
    add_decayed_weights,
    clip_by_global_norm,
    global_norm,
    scale_by,
    scale_by_adagrad,
    scale_by_adam,
    scale_by_learning_rate,
    trace_momentum,
)

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "Transform",
    "add_decayed_weights",
    "chain",
    "clip_by_global_norm",
    "global_norm",
    "map_rows",
    "scale_by",
    "scale_by_adagrad",
    "scale_by_adam",
    "scale_by_learning_rate",
    "step_rows",
    "trace_momentum",
]

"""How PyTorch's operators are written with retrograd: one function for each, under PyTorch's name.

A function takes what the PyTorch operator takes (tensors as retrograd Arrays) and returns its
outputs. It raises Skip with a reason for a sample that retrograd has no meaning for.
"""

from __future__ import annotations

from adapters import (
    activations,
    contract,
    elementwise,
    indexing,
    losses,
    norms,
    reduce,
    shape,
    window,
)
from adapters.common import ADAPTERS, IGNORED, Adapter, Skip

__all__ = [
    "ADAPTERS",
    "IGNORED",
    "Adapter",
    "Skip",
    "activations",
    "contract",
    "elementwise",
    "indexing",
    "losses",
    "norms",
    "reduce",
    "shape",
    "window",
]

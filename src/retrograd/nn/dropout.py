"""Dropout."""

from __future__ import annotations

from typing import Any

from ..ops import random
from ..ops.comparison import where
from ..trace import Array
from .layer import Layer, as_floating, as_number

__all__ = ["Dropout"]


class Dropout(Layer):
    """Sets elements to 0 at random: `y = x * mask / (1 - p)` with mask ~ Bernoulli(1 - p).

    In evaluation mode `y = x`; the expected value is the same in both. The mask comes from the
    default generator of `rg.random`, so that it differs from call to call and repeats with the
    seed.

    Args:
        p: the probability that an element becomes 0, from 0 to 1.

    Raises:
        ArgumentError: p lies outside [0, 1].

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> layer = nn.Dropout(0.5)
        >>> sorted(set(layer(rg.ones((100,))).tolist()))
        [0.0, 2.0]
        >>> bool((layer.eval()(rg.ones((100,))) == 1).all())
        True

    Source: N. Srivastava et al., Dropout: a simple way to prevent neural networks from
    overfitting, JMLR 15 (2014).
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = as_number(p, "p", "Dropout", low=0.0, high=1.0)

    def __call__(self, x: Any) -> Array:
        value = as_floating(x)
        return drop(value, self.p) if self.training else value

    def config(self) -> dict[str, Any]:
        return {"p": self.p}


def drop(x: Array, p: float) -> Array:
    """An array with elements set to 0 at random, the others scaled up by `1 / (1 - p)`."""
    if p == 0.0:
        return x
    kept = 1.0 - p
    mask = random.bernoulli(kept, x.type.shape)
    return where(mask, x * (1.0 / kept if kept else 0.0), 0.0)

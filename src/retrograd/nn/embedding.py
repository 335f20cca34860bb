"""Embedding: a vector for each of n words, items or categories."""

from __future__ import annotations

from typing import Any

from ..ops.index import gather_p
from ..ops.promotion import as_array
from ..trace import Array, bind
from .init import Normal
from .initialise import Init, describe_initialiser, draw_weight, get_initialiser
from .layer import Layer, as_count, check_integers

__all__ = ["Embedding"]

STANDARD_NORMAL = Normal(1.0)


class Embedding(Layer):
    """One trainable vector for each index: `y[...] = W[indices[...]]`.

    Initial values: N(0, 1), as PyTorch.

    Args:
        n: how many vectors; indices go from 0 to n - 1.
        features: the length of a vector.
        init: the initialiser of the weight; N(0, 1) if none is given.

    Shapes: indices (...) of integers, weight (n, features), the result (..., features).

    Raises:
        DTypeError: the indices are not integers.
        IndexRangeError: an index is below 0 or above n - 1.

    Example:
        >>> from retrograd import nn
        >>> nn.Embedding(1000, 16)([[1, 5, 2], [7, 0, 999]]).shape
        (2, 3, 16)

    Source: Y. Bengio et al., A neural probabilistic language model, JMLR 3 (2003).
    """

    weight: Array

    def __init__(self, n: int, features: int, init: Init = STANDARD_NORMAL) -> None:
        self.n = as_count(n, "n", "Embedding")
        self.features = as_count(features, "features", "Embedding")
        self._init = get_initialiser(init, "Embedding")
        self.weight = draw_weight(self._init, (self.n, self.features), "Embedding")

    def __call__(self, indices: Any) -> Array:
        places = as_array(indices)
        check_integers(self, places)
        # Unlike `take`, negative indices are an error here: they are a mistake in the data.
        return bind(gather_p, self.weight, places, axis=0)[0]

    def config(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "features": self.features,
            "init": describe_initialiser(self._init),
        }

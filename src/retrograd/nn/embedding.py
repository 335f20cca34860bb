"""Embedding: a vector for each of n words, items or categories."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..ops import creation
from ..ops.comparison import equal, stop_gradient, where
from ..ops.index import gather_p
from ..ops.promotion import as_array
from ..ops.shape import expand_dims
from ..ops.table_rows import put_rows
from ..trace import Array, bind
from .init import Normal
from .initialise import Init, describe_initialiser, draw_weight, get_initialiser
from .layer import Layer, as_count, as_flag, check_integers

__all__ = ["Embedding"]

STANDARD_NORMAL = Normal(1.0)


class Embedding(Layer):
    """One trainable vector for each index: `y[...] = W[indices[...]]`.

    Initial values: N(0, 1), as PyTorch; the row of the padding index is zeros.

    Args:
        n: how many vectors; indices go from 0 to n - 1.
        features: the length of a vector.
        padding_index: an index whose vector stays as it is: it gets no gradient.
        sparse: gradients are RowGradients, of the rows that were read alone, and optimizers change
            only these rows. For a large n: a step then costs the same for any n. What that means
            for momentum, Adam and weight decay is told in docs/recurrent.md. If W is used in
            another way as well (tied to an output layer, or read inside of rg.scan), its gradient
            is a whole Array.
        init: the initialiser of the weight; N(0, 1) if none is given.

    Shapes: indices (...) of integers, weight (n, features), the result (..., features).

    Raises:
        DTypeError: the indices are not integers.
        IndexRangeError: an index is below 0 or above n - 1.

    Example:
        >>> from retrograd import nn
        >>> nn.Embedding(1000, 16)([[1, 5, 2], [7, 0, 999]]).shape
        (2, 3, 16)
        >>> nn.Embedding(1000, 2, padding_index=0)([0]).tolist()
        [[0.0, 0.0]]

    Source: Y. Bengio et al., A neural probabilistic language model, JMLR 3 (2003).
    """

    weight: Array

    def __init__(
        self,
        n: int,
        features: int,
        padding_index: int | None = None,
        sparse: bool = False,
        init: Init = STANDARD_NORMAL,
    ) -> None:
        self.n = as_count(n, "n", "Embedding")
        self.features = as_count(features, "features", "Embedding")
        self.padding_index = None
        if padding_index is not None:
            self.padding_index = as_count(padding_index, "padding_index", "Embedding", least=0)
            if self.padding_index >= self.n:
                raise ArgumentError(
                    f"Embedding: padding_index is {padding_index}, but there are {self.n} vectors.",
                    fix=f"choose one of 0 to {self.n - 1}",
                )
        self.sparse = as_flag(sparse, "sparse", "Embedding")
        self._init = get_initialiser(init, "Embedding")
        self.weight = draw_weight(self._init, (self.n, self.features), "Embedding")
        if self.padding_index is not None:
            nothing = creation.zeros((1, self.features), self.weight.type.dtype)
            place = creation.full((1,), self.padding_index, "int64")
            self.weight = put_rows(self.weight, nothing, place)

    def __call__(self, indices: Any) -> Array:
        places = as_array(indices)
        check_integers(self, places)
        # Unlike `take`, negative indices are an error here: they are a mistake in the data.
        rows = bind(gather_p, self.weight, places, axis=0)[0]
        if self.padding_index is None:
            return rows
        return where(expand_dims(equal(places, self.padding_index), -1), stop_gradient(rows), rows)

    def row_tables(self) -> dict[str, int | None]:
        return {"weight": self.padding_index} if self.sparse else {}

    def config(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "features": self.features,
            "padding_index": self.padding_index,
            "sparse": self.sparse,
            "init": describe_initialiser(self._init),
        }

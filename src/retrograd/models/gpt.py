"""GPT: a decoder-only transformer that predicts the next token."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, ShapeError
from ..nn.attention import Cache
from ..nn.build import register_layer
from ..nn.dropout import Dropout
from ..nn.embedding import Embedding
from ..nn.init import Normal
from ..nn.initialise import Init, describe_initialiser, get_initialiser
from ..nn.layer import Layer, as_count, as_flag, place_of
from ..nn.linear import Linear
from ..nn.transformer import TransformerEncoder
from ..ops.contract import matmul
from ..ops.creation import arange
from ..ops.index import take
from ..ops.promotion import as_array
from ..ops.shape import transpose
from ..trace import Array

__all__ = ["GPT"]

POSITIONS = ("learned", "rotary")
SMALL = Normal(0.02)


class GPT(Layer):
    """A stack of causal transformer layers that predicts the next token at each place.

        x = embedding[tokens] + position[t]                 (positions="learned")
        x = x + attention(norm(x)); x = x + out(activation(hidden(norm(x))))    for each layer
        logits = norm(x) W + b

    Initial values: embeddings N(0, 0.02^2), the rest as the layers of `nn`.

    Args:
        vocabulary: the number of different tokens.
        features: the width; a multiple of heads.
        heads: the number of heads.
        layers: the number of layers.
        context: the longest sequence.
        hidden_features: the width of the feed-forward networks; 4 * features when None.
        dropout: the probability that a value is set to 0, in training mode.
        activation: "relu", "gelu", "silu" or "tanh".
        positions: "learned", or "rotary" (which turns queries and keys, with the base 10000).
        key_value_heads: fewer heads of keys and values (grouped queries); heads when None.
        tied: the embedding is the matrix of the last layer, which then has no bias.
        init: the initialiser of the embeddings.

    Shapes: tokens (batch, time) of integers with time at most context, the result (batch, time,
    vocabulary).

    Raises:
        ShapeError: the tokens are no (batch, time), or longer than the context.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import models
        >>> model = models.GPT(vocabulary=65, features=32, heads=2, layers=2, context=16)
        >>> model(rg.zeros((4, 16), "int32")).shape
        (4, 16, 65)

    Source: A. Radford et al., Improving language understanding by generative pre-training (2018)
    and Language models are unsupervised multitask learners (2019).
    """

    positions: Embedding | None
    head: Linear | None

    def __init__(
        self,
        vocabulary: int,
        features: int = 128,
        heads: int = 4,
        layers: int = 4,
        context: int = 64,
        hidden_features: int | None = None,
        dropout: float = 0.0,
        activation: str = "gelu",
        positions: str = "learned",
        key_value_heads: int | None = None,
        tied: bool = False,
        init: Init = SMALL,
    ) -> None:
        self.vocabulary = as_count(vocabulary, "vocabulary", "GPT")
        self.features = as_count(features, "features", "GPT")
        self.context = as_count(context, "context", "GPT")
        if positions not in POSITIONS:
            raise ArgumentError(
                f"GPT: positions is one of {', '.join(POSITIONS)}; received {positions!r:.60}."
            )
        hidden = 4 * self.features if hidden_features is None else hidden_features
        self._init = get_initialiser(init, "GPT")
        self.embedding = Embedding(self.vocabulary, self.features, init=self._init)
        self.positions = None
        if positions == "learned":
            self.positions = Embedding(self.context, self.features, init=self._init)
        self.drop = Dropout(dropout)
        self.blocks = TransformerEncoder(
            self.features,
            heads,
            layers,
            hidden,
            dropout,
            activation,
            norm_first=True,
            key_value_heads=key_value_heads,
            rotary=None if self.positions is not None else 10000.0,
        )
        self.head = None
        if not as_flag(tied, "tied", "GPT"):
            self.head = Linear(self.features, self.vocabulary)

    def __call__(self, tokens: Any) -> Array:
        """The logits of the token that follows each place."""
        places = self._check(tokens)
        x = self.embedding(places)
        if self.positions is not None:
            x = x + self.positions.weight[: places.type.shape[1]]
        return self._predict(self.blocks(self.drop(x), causal=True))

    def make_cache(self, batch: int, length: int) -> list[Cache]:
        """Room for the keys and values of all layers, for `step`."""
        return self.blocks.make_cache(batch, length)

    def step(self, tokens: Any, cache: list[Cache], position: Any) -> tuple[Array, list[Cache]]:
        """The logits of the next tokens of sequences whose first ones are in the cache.

        Args:
            tokens: (batch, time): those at position, position + 1, ...
            cache: from `make_cache` or the step before.
            position: an integer or an integer Array of no axes.
        """
        places = self._check(tokens)
        x = self.embedding(places)
        if self.positions is not None:
            order = arange(places.type.shape[1]) + as_array(position)
            x = x + take(self.positions.weight, order, axis=0)
        x, filled = self.blocks.step(self.drop(x), cache, position)
        return self._predict(x), filled

    def _check(self, tokens: Any) -> Array:
        places = as_array(tokens)
        shape = places.type.shape
        if len(shape) != 2 or shape[1] > self.context:
            raise ShapeError(
                f"{place_of(self)}: expected tokens (batch, time) with time at most "
                f"{self.context}, received {shape}.",
                fix="add an axis for the batch: tokens[None]"
                if len(shape) == 1
                else "cut the sequences, or build the model with a longer context",
            )
        return places

    def _predict(self, x: Array) -> Array:
        if self.head is not None:
            return self.head(x)
        return matmul(x, transpose(self.embedding.weight, (1, 0)))

    def config(self) -> dict[str, Any]:
        inner = self.blocks.config()
        return {
            "vocabulary": self.vocabulary,
            "features": self.features,
            "heads": inner["heads"],
            "layers": inner["layers"],
            "context": self.context,
            "hidden_features": inner["hidden_features"],
            "dropout": inner["dropout"],
            "activation": inner["activation"],
            "positions": "rotary" if self.positions is None else "learned",
            "key_value_heads": inner["key_value_heads"],
            "tied": self.head is None,
            "init": describe_initialiser(self._init),
        }


register_layer(GPT)

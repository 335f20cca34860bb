"""TextClassifier: an encoder of tokens, pooling over them, and a layer that tells the class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..nn.build import build_layer, describe_layer, register_layer
from ..nn.dropout import Dropout
from ..nn.embedding import Embedding
from ..nn.init import Normal
from ..nn.initialise import Init, describe_initialiser, get_initialiser
from ..nn.layer import Layer, as_count, as_number, check_integers, place_of
from ..nn.linear import Linear
from ..nn.recurrent import GRU
from ..nn.valid_steps import find_valid_steps
from ..ops import random, reduce
from ..ops.arithmetic import maximum
from ..ops.comparison import logical_and, not_equal, where
from ..ops.composite import softmax, swapaxes
from ..ops.joining import concatenate
from ..ops.promotion import as_array, convert
from ..ops.shape import expand_dims
from ..ops.transcendental import sqrt, tanh
from ..trace import Array

__all__ = ["TextClassifier", "TokenEmbedding"]

POOLING = ("mean", "root", "max", "attention")
SMALL = Normal(0.1)
LOWEST = -1e9


class TokenEmbedding(Layer):
    """A vector for each token, and a GRU over them in both directions if one is wanted.

        x = embedding[tokens];   y = [x, forwards(x), backwards(x)]

    Initial values: embeddings N(0, 0.1^2), the GRU as `nn.GRU`.

    Args:
        vocabulary: the number of different tokens.
        features: the length of a vector.
        recurrent_features: the size of the GRU's state in each direction; 0 for none.
        padding: the token that fills rows up at their end.
        init: the initialiser of the embeddings.

    Shapes: tokens (batch, time) of integers, the result (batch, time, width) with width =
    features + 2 * recurrent_features.

    Raises:
        ShapeError: the tokens are no (batch, time).

    Example:
        >>> from retrograd import models
        >>> encoder = models.TokenEmbedding(50, features=8, recurrent_features=4)
        >>> encoder([[5, 6, 7, 0]]).shape
        (1, 4, 16)
    """

    gru: GRU | None

    def __init__(
        self,
        vocabulary: int,
        features: int = 64,
        recurrent_features: int = 0,
        padding: int = 0,
        init: Init = SMALL,
    ) -> None:
        name = "TokenEmbedding"
        self.vocabulary = as_count(vocabulary, "vocabulary", name)
        self.padding = as_count(padding, "padding", name, least=0)
        self.recurrent_features = as_count(recurrent_features, "recurrent_features", name, least=0)
        self._init = get_initialiser(init, name)
        self.embedding = Embedding(self.vocabulary, features, self.padding, init=self._init)
        self.gru = None
        if self.recurrent_features:
            self.gru = GRU(
                self.embedding.features,
                self.recurrent_features,
                bidirectional=True,
                returns="outputs",
            )

    @property
    def features(self) -> int:
        """The length of what comes out for a token."""
        return self.embedding.features + 2 * self.recurrent_features

    def find_tokens(self, tokens: Any) -> Array:
        """Where there is a token and no padding: bools (batch, time)."""
        return not_equal(self._check(tokens), self.padding)

    def __call__(self, tokens: Any) -> Array:
        """The vectors of the tokens."""
        places = self._check(tokens)
        x = self.embedding(places)
        if self.gru is None:
            return x
        return concatenate([x, self.gru(x, mask=self.find_tokens(places))], -1)

    def _check(self, tokens: Any) -> Array:
        places = as_array(tokens)
        check_integers(self, places)
        if places.type.ndim != 2:
            raise ShapeError(
                f"{place_of(self)}: expected tokens (batch, time), received {places.type.shape}.",
                fix="add an axis for the batch: tokens[None]; fill rows up with data.pad_sequences",
            )
        return places

    def config(self) -> dict[str, Any]:
        return {
            "vocabulary": self.vocabulary,
            "features": self.embedding.features,
            "recurrent_features": self.recurrent_features,
            "padding": self.padding,
            "init": describe_initialiser(self._init),
        }


class TextClassifier(Layer):
    r"""Tells the class of a text: an encoder, pooling over the tokens, and a linear layer.

    .. math:: logits = dropout(pool_t(encoder(tokens)_t)) W + b

    with, over the n tokens of a row that are no padding: "mean" :math:`\sum_t x_t / n`, "root"
    :math:`\sum_t x_t / \sqrt{n}`, "max" the largest element of each feature, "attention"
    :math:`\sum_t a_t x_t` with :math:`a = softmax_t(tanh(x_t U + c) v)`. Several are put side by
    side. Padding has no influence, and a row of padding alone is pooled to zeros.

    Initial values: as `nn.Linear`; v is zeros, so that attention begins as the mean.

    Args:
        encoder: a registered Layer from tokens (batch, time) to (batch, time, encoder.features)
            with a method `find_tokens(tokens)` that tells where there is no padding, such as
            TokenEmbedding or a pretrained encoder. It is trained in place.
        classes: how many there are.
        pooling: one of "mean", "root", "max" and "attention", or several.
        dropout: the probability that a pooled value is set to 0, in training mode.
        token_dropout: the probability that pooling leaves a token out, in training mode.

    Shapes: tokens (batch, time) of integers, lengths (batch,) of integers or None, the result
    (batch, classes). Tokens after a row's length do not count, whatever they are.

    Raises:
        ArgumentTypeError: the encoder is none.
        ShapeError: the tokens are no (batch, time), or the lengths no (batch,).

    Example:
        >>> import numpy as np
        >>> from retrograd import models
        >>> model = models.TextClassifier(models.TokenEmbedding(50, features=8), 3).eval()
        >>> bool(np.allclose(model([[5, 6, 7]]), model([[5, 6, 7, 0, 0]]), atol=1e-6))
        True

    Source: A. Joulin et al., Bag of tricks for efficient text classification, EACL 2017; attention:
    Z. Yang et al., Hierarchical attention networks for document classification, NAACL 2016;
    leaving out tokens: M. Iyyer et al., Deep unordered composition rivals syntactic methods for
    text classification, ACL 2015.
    """

    encoder: Any
    attention: Linear | None
    score: Linear | None

    def __init__(
        self,
        encoder: Any,
        classes: int,
        pooling: str | Sequence[str] = "mean",
        dropout: float = 0.2,
        token_dropout: float = 0.0,
    ) -> None:
        name = "TextClassifier"
        if not isinstance(encoder, Layer) or not hasattr(encoder, "find_tokens"):
            raise ArgumentTypeError(
                f"{name}: expected an encoder of tokens, received {type(encoder).__name__}.",
                fix="pass for example models.TokenEmbedding(vocabulary)",
            )
        self.encoder = encoder
        self.classes = as_count(classes, "classes", name, least=2)
        self.pooling = (pooling,) if isinstance(pooling, str) else tuple(pooling)
        for kind in self.pooling:
            if kind not in POOLING:
                raise ArgumentError(
                    f"{name}: pooling is one or several of {', '.join(POOLING)}; received "
                    f"{kind!r:.60}."
                )
        if not self.pooling:
            raise ArgumentError(f"{name}: pooling is empty.", fix='pass pooling="mean"')
        width = int(self.encoder.features)
        self.attention = self.score = None
        if "attention" in self.pooling:
            self.attention = Linear(width, width)
            self.score = Linear(width, 1, bias=False, init="zeros")
        self.drop = Dropout(dropout)
        self.token_dropout = as_number(token_dropout, "token_dropout", name, low=0.0, high=1.0)
        self.head = Linear(width * len(self.pooling), self.classes)

    def __call__(self, tokens: Any, lengths: Any = None) -> Array:
        """The logits of the classes."""
        return self.head(self.drop(self.pool(tokens, lengths)))

    def pool(self, tokens: Any, lengths: Any = None) -> Array:
        """The texts as vectors, (batch, features of the encoder * kinds of pooling)."""
        places = as_array(tokens)
        seen = self.encoder.find_tokens(places)
        if lengths is not None:
            padding = getattr(self.encoder, "padding", None)
            if padding is None:
                raise ArgumentError(
                    f"{place_of(self)}: received lengths, but the encoder has no padding.",
                    fix="build the encoder with padding=0, the token that fills rows up",
                )
            valid = find_valid_steps(self, lengths, None, *places.type.shape)
            assert valid is not None
            inside = swapaxes(valid[..., 0], 0, 1)
            # What lies behind a length may be anything: the encoder takes it for padding.
            places = where(inside, places, padding)
            seen = logical_and(seen, inside)
        x = self.encoder(places)
        if self.training and self.token_dropout:
            kept = random.bernoulli(1.0 - self.token_dropout, seen.type.shape)
            seen = logical_and(seen, kept)
        here = expand_dims(seen, -1)
        number = maximum(reduce.sum(convert(here, x.type.dtype), 1), 1.0)
        pooled = [self._pool(kind, x, here, number) for kind in self.pooling]
        return pooled[0] if len(pooled) == 1 else concatenate(pooled, -1)

    def _pool(self, kind: str, x: Array, here: Array, number: Array) -> Array:
        """One kind of pooling.

        Args:
            kind: which.
            x: (batch, time, features).
            here: which tokens count, bools (batch, time, 1).
            number: how many, at least 1, (batch, 1).
        """
        if kind == "max":
            largest = reduce.max(where(here, x, LOWEST), 1)
            return where(reduce.any(here, 1), largest, 0.0)
        if kind == "attention":
            assert self.attention is not None and self.score is not None
            scores = self.score(tanh(self.attention(x)))
            shares = softmax(where(here, scores, LOWEST), 1)
            return reduce.sum(where(here, shares * x, 0.0), 1)
        total = reduce.sum(where(here, x, 0.0), 1)
        return total / (number if kind == "mean" else sqrt(number))

    def config(self) -> dict[str, Any]:
        return {
            "encoder": describe_layer(self.encoder),
            "classes": self.classes,
            "pooling": list(self.pooling),
            "dropout": self.drop.p,
            "token_dropout": self.token_dropout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A new model from what `config()` gave."""
        return cls(**{**config, "encoder": build_layer(config["encoder"])})


register_layer(TokenEmbedding)
register_layer(TextClassifier)

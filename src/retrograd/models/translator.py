"""Translator: an LSTM reads a sequence, a second one writes another, with attention."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentTypeError, ShapeError
from ..nn.build import register_layer
from ..nn.dot_product_attention import scaled_dot_product_attention
from ..nn.dropout import Dropout
from ..nn.embedding import Embedding
from ..nn.init import Normal
from ..nn.layer import Layer, as_count, as_number, check_integers, place_of
from ..nn.linear import Linear
from ..nn.recurrent import LSTM
from ..ops import creation
from ..ops.composite import swapaxes
from ..ops.contract import matmul
from ..ops.joining import concatenate
from ..ops.promotion import as_array
from ..ops.shape import expand_dims, reshape, transpose
from ..ops.transcendental import tanh
from ..trace import Array

__all__ = ["Translator"]

Memory = tuple[Array, Array]
Cache = tuple[Array, Array]

SMALL = Normal(0.1)


class Translator(Layer):
    """Reads a sequence with an LSTM in both directions, writes another with a second LSTM.

    For the places s of the source and t of the target:

        memory[s], state = encoder(embedding[source])          both directions side by side
        h[t], state      = decoder(embedding[target], state)
        c[t]             = sum_s softmax_s(h[t] W_q memory[s] / sqrt(n)) memory[s]
        logits[t]        = tanh([h[t] c[t]] W_m + b_m) embedding^T + b

    The decoder begins with the state in which the encoder ended. Source and target share one
    vocabulary, and one embedding, which is the matrix of the last layer too. In training the target
    is given (teacher forcing): `logits[:, t]` are those of `target[:, t + 1]`, so that the target
    begins with a token for the start. `models.search` writes without it.

    Initial values: the embedding N(0, 0.1^2), forget biases 1, the rest as the layers of `nn`.

    Args:
        vocabulary: the number of different tokens.
        features: the width of the embedding, and of the encoder's LSTM in each direction; the
            decoder's is twice as wide.
        layers: the number of layers of both LSTMs.
        dropout: the probability that a value is set to 0, in training mode: of embeddings, between
            layers, and before attention and the last layer.
        padding: the token that fills sequences up at their ends. The source's is not seen: nothing
            depends on how much of it there is.

    Shapes: source (batch, source time) and target (batch, target time) of integers, the result
    (batch, target time, vocabulary).

    Raises:
        ShapeError: source or target is no (batch, time), or they differ in the batch.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import models
        >>> model = models.Translator(vocabulary=50, features=16)
        >>> source, target = rg.array([[7, 8, 9, 3], [5, 3, 0, 0]]), rg.array([[2, 20], [2, 21]])
        >>> model(source, target).shape
        (2, 2, 50)

    Source: D. Bahdanau, K. Cho, Y. Bengio, Neural machine translation by jointly learning to align
    and translate, ICLR 2015; M.-T. Luong, H. Pham, C. Manning, Effective approaches to
    attention-based neural machine translation, EMNLP 2015 (attention after the decoder's LSTM).
    """

    def __init__(
        self,
        vocabulary: int,
        features: int = 192,
        layers: int = 1,
        dropout: float = 0.2,
        padding: int = 0,
    ) -> None:
        name = "Translator"
        self.vocabulary = as_count(vocabulary, "vocabulary", name, least=2)
        self.features = as_count(features, "features", name)
        self.padding = as_count(padding, "padding", name, least=0)
        rate = as_number(dropout, "dropout", name, low=0.0, high=1.0)
        wide = 2 * self.features
        self.embedding = Embedding(self.vocabulary, self.features, init=SMALL)
        self.encoder = LSTM(
            self.features, self.features, layers, bidirectional=True, dropout=rate, forget_bias=1.0
        )
        self.decoder = LSTM(self.features, wide, layers, dropout=rate, forget_bias=1.0)
        self.query = Linear(wide, wide, bias=False)
        self.mix = Linear(2 * wide, self.features)
        self.bias = creation.zeros((self.vocabulary,))
        self.drop = Dropout(rate)

    def __call__(self, source: Any, target: Any = None) -> Array:
        """The logits of the token that follows each place of the target.

        Args:
            source: (batch, source time); or the pair of both, as a Trainer passes its x.
            target: (batch, target time).
        """
        if target is None:
            if not isinstance(source, (tuple, list)) or len(source) != 2:
                raise ArgumentTypeError(
                    f"{place_of(self)}: expected a source and a target.",
                    fix="call model(source, target); models.search writes a target",
                )
            source, target = source
        memory, cache = self.encode(source)
        return self.step(target, memory, cache)[0]

    def encode(self, source: Any) -> tuple[Memory, Cache]:
        """What `step` needs of a source.

        Args:
            source: (batch, time).

        Returns:
            The memory, which stays as it is: the encoder's outputs (batch, time, 2 * features), and
            the places that are no padding (batch, time). And the cache before the first token: the
            two parts of the decoder's state, each (batch, layers, 2 * features).
        """
        places = self._check(source, "a source")
        valid = places != self.padding
        outputs, state = self.encoder(self.drop(self.embedding(places)), mask=valid)
        hidden, inner = (
            # The two directions of a layer stand one after the other: side by side.
            reshape(swapaxes(part, 0, 1), (places.type.shape[0], self.encoder.layers, -1))
            for part in state
        )
        return (self.drop(outputs), valid), (hidden, inner)

    def step(self, tokens: Any, memory: Memory, cache: Cache) -> tuple[Array, Cache]:
        """The logits of the tokens that follow these, and the cache after them.

        Args:
            tokens: (batch, time): the next ones of each target.
            memory: from `encode`.
            cache: from `encode` or the step before.
        """
        places = self._check(tokens, "a target")
        seen, valid = memory
        if places.type.shape[0] != seen.type.shape[0]:
            raise ShapeError(
                f"{place_of(self)}: {places.type.shape[0]} targets for {seen.type.shape[0]} "
                "sources."
            )
        before = tuple(swapaxes(part, 0, 1) for part in cache)
        outputs, after = self.decoder(self.drop(self.embedding(places)), before)
        outputs = self.drop(outputs)
        found = scaled_dot_product_attention(
            expand_dims(self.query(outputs), 1),
            expand_dims(seen, 1),
            expand_dims(seen, 1),
            mask=reshape(valid, (valid.type.shape[0], 1, 1, valid.type.shape[1])),
        )
        mixed = tanh(self.mix(concatenate([outputs, found[:, 0]], axis=-1)))
        logits = matmul(self.drop(mixed), transpose(self.embedding.weight, (1, 0))) + self.bias
        return logits, (swapaxes(after[0], 0, 1), swapaxes(after[1], 0, 1))

    def _check(self, tokens: Any, name: str) -> Array:
        places = as_array(tokens)
        check_integers(self, places)
        if places.type.ndim != 2 or 0 in places.type.shape:
            raise ShapeError(
                f"{place_of(self)}: expected {name} (batch, time), received {places.type.shape}.",
                fix="add an axis for the batch: tokens[None]",
            )
        return places

    def config(self) -> dict[str, Any]:
        return {
            "vocabulary": self.vocabulary,
            "features": self.features,
            "layers": self.encoder.layers,
            "dropout": self.drop.p,
            "padding": self.padding,
        }


register_layer(Translator)

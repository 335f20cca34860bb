"""SequenceTagger: a class for each word of a sequence, from the word, its letters and its place."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, ShapeError
from ..nn.activations import relu
from ..nn.build import register_layer
from ..nn.convolution import Conv1d
from ..nn.dropout import Dropout
from ..nn.embedding import Embedding
from ..nn.init import Uniform
from ..nn.layer import Layer, as_count, as_number, check_integers, place_of
from ..nn.linear import Linear
from ..nn.recurrent import LSTM
from ..ops.comparison import not_equal, where
from ..ops.joining import concatenate
from ..ops.promotion import as_array
from ..ops.reduce import max as largest
from ..ops.shape import expand_dims, reshape
from ..trace import Array

__all__ = ["SequenceTagger"]

KERNEL = 3
LOWEST = -1e30


class SequenceTagger(Layer):
    """Scores of the tags of each word: convolutions over letters, then LSTMs in both directions.

        letters = max over the places of relu(conv(letter_embedding[characters]))
        inputs = [word_embedding[words], letters]
        logits = bilstm(inputs) W + b

    The letters tell about words that were never seen, the LSTMs about the words around. The number
    0 is filling, among words and among characters: it has no influence on anything else. Logits at
    filled places mean nothing.

    Initial values are those of the layers of `nn`; embeddings are drawn from U(-a, a) with
    a = sqrt(3 / features), forget biases are 1.

    Args:
        words: how many numbers of words there are, 0 included.
        tags: how many tags.
        characters: how many numbers of characters there are, 0 included; None: words alone.
        features: the width of the word embedding.
        character_features: the width of the character embedding.
        filters: how many convolutions over three letters.
        hidden_features: the size of the memory of each direction.
        layers: the number of LSTM layers.
        dropout: the probability that an input or an output of the LSTMs is set to 0, in training
            mode.

    Call: `tagger(words, characters)`, or `tagger((words, characters))`, as a Trainer does that is
    given both as one tuple.

    Shapes: words (batch, time) and characters (batch, time, letters), integers; the result (batch,
    time, tags).

    Raises:
        ShapeError: words or characters do not have their shapes.
        ArgumentError: characters are given or missing against what the layer was made for.

    Example:
        >>> from retrograd import models
        >>> tagger = models.SequenceTagger(words=100, tags=5, characters=30)
        >>> tagger([[7, 9, 2]], [[[4, 5, 0], [6, 0, 0], [1, 2, 3]]]).shape
        (1, 3, 5)

    Source: X. Ma, E. Hovy, End-to-end sequence labeling via bi-directional LSTM-CNNs-CRF, ACL
    2016, without the CRF.
    """

    def __init__(
        self,
        words: int,
        tags: int,
        characters: int | None = None,
        features: int = 64,
        character_features: int = 32,
        filters: int = 64,
        hidden_features: int = 128,
        layers: int = 1,
        dropout: float = 0.5,
    ) -> None:
        name = "SequenceTagger"
        self.words = as_count(words, "words", name, least=2)
        self.tags = as_count(tags, "tags", name, least=2)
        self.characters = None
        self.embedding = _make_embedding(self.words, as_count(features, "features", name))
        self.character_features = as_count(character_features, "character_features", name)
        self.filters = as_count(filters, "filters", name)
        width = self.embedding.features
        self.letters = self.conv = None
        if characters is not None:
            self.characters = as_count(characters, "characters", name, least=2)
            self.letters = _make_embedding(self.characters, self.character_features)
            self.conv = Conv1d(self.character_features, self.filters, KERNEL, padding="same")
            width += self.filters
        rate = as_number(dropout, "dropout", name, low=0.0, high=1.0)
        self.lstm = LSTM(
            width,
            as_count(hidden_features, "hidden_features", name),
            layers,
            bidirectional=True,
            dropout=rate,
            forget_bias=1.0,
            returns="outputs",
        )
        self.drop = Dropout(rate)
        self.head = Linear(2 * self.lstm.cells[0].hidden_size, self.tags)

    def __call__(self, words: Any, characters: Any = None) -> Array:
        """The logits of the tags at each place."""
        if isinstance(words, tuple) and len(words) == 2 and characters is None:
            words, characters = words
        places = as_array(words)
        check_integers(self, places)
        if places.type.ndim != 2:
            raise ShapeError(
                f"{place_of(self)}: expected words (batch, time), received {places.type.shape}.",
                fix="add an axis for the batch: words[None]",
            )
        inputs = self.embedding(places)
        if self.conv is not None:
            inputs = concatenate([inputs, self._read_letters(places, characters)], -1)
        elif characters is not None:
            raise ArgumentError(
                f"{place_of(self)}: received characters, but was made for words alone.",
                fix="build it with characters=, the number of characters",
            )
        outputs = self.lstm(self.drop(inputs), mask=not_equal(places, 0))
        return self.head(self.drop(outputs))

    def _read_letters(self, places: Array, characters: Any) -> Array:
        """What the letters of each word say, (batch, time, filters)."""
        if characters is None:
            raise ArgumentError(
                f"{place_of(self)}: expected characters (batch, time, letters) beside the words.",
                fix="pass tagger(words, characters), or build it with characters=None",
            )
        spelled = as_array(characters)
        check_integers(self, spelled)
        if spelled.type.ndim != 3 or spelled.type.shape[:2] != places.type.shape:
            raise ShapeError(
                f"{place_of(self)}: expected characters (batch, time, letters) for words "
                f"{places.type.shape}, received {spelled.type.shape}."
            )
        batch, time, length = spelled.type.shape
        flat = reshape(spelled, (batch * time, length))
        known = expand_dims(not_equal(flat, 0), -1)
        assert self.letters is not None and self.conv is not None
        # The embedding of 0 is zeros, so that a convolution sees the same behind a word's end as
        # behind the end of the array.
        found = where(known, self.conv(self.letters(flat)), LOWEST)
        return reshape(relu(largest(found, 1)), (batch, time, self.filters))

    def config(self) -> dict[str, Any]:
        return {
            "words": self.words,
            "tags": self.tags,
            "characters": self.characters,
            "features": self.embedding.features,
            "character_features": self.character_features,
            "filters": self.filters,
            "hidden_features": self.lstm.cells[0].hidden_size,
            "layers": self.lstm.layers,
            "dropout": self.drop.p,
        }


def _make_embedding(n: int, features: int) -> Embedding:
    limit = (3.0 / features) ** 0.5
    return Embedding(n, features, padding_index=0, init=Uniform(-limit, limit))


register_layer(SequenceTagger)

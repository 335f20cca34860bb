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
from ..nn.layer import Layer, as_count, as_flag, as_number, check_integers, place_of
from ..nn.linear import Linear
from ..nn.recurrent import LSTM
from ..ops import creation
from ..ops.comparison import not_equal, where
from ..ops.joining import concatenate
from ..ops.promotion import as_array
from ..ops.reduce import max as largest
from ..ops.reduce import sum as total_of
from ..ops.shape import broadcast_to, expand_dims, reshape
from ..trace import Array

__all__ = ["SequenceTagger"]

LOWEST = -1e30


class SequenceTagger(Layer):
    """Scores of the tags of each word: convolutions over letters, then LSTMs in both directions.

        letters = max over the places of relu(conv(letter_embedding[characters]))
        ends = sum over the affixes of affix_embedding[affixes]
        inputs = [word_embedding[words], letters, ends]
        logits = bilstm(inputs) W + b

    Letters and affixes (how a word begins and ends) tell about words that were never seen, the
    LSTMs about the words around. The number 0 is filling everywhere: it has no influence on
    anything else. Logits at filled places mean nothing.

    Initial values are those of the layers of `nn`; embeddings are drawn from U(-a, a) with
    a = sqrt(3 / features), forget biases are 1.

    Args:
        words: how many numbers of words there are, 0 included.
        tags: how many tags.
        characters: how many numbers of characters there are, 0 included; None: they are not seen.
        affixes: how many numbers of affixes there are, 0 included; None: they are not seen.
        features: the width of the embeddings of words and of affixes.
        character_features: the width of the character embedding.
        filters: how many convolutions there are over letters.
        kernel_size: over how many letters each goes.
        hidden_features: the size of the memory of each direction.
        layers: the number of LSTM layers.
        dropout: the probability that an input or an output of the LSTMs is set to 0, in training
            mode.
        chain: whether tags depend on the tag before. The result then has a second part, which
            `chain_cross_entropy` and `find_best_tags` read: the scores of each tag at the start,
            and below them those of each tag (a column) behind each other one (a row).

    Call: `tagger(words, characters, affixes)`, without those that the layer was not made for, or
    with all as one tuple, as a Trainer passes them.

    Shapes: words (batch, time), characters (batch, time, letters) and affixes (batch, time, n),
    integers; the result (batch, time, tags), with a chain also (batch, 1 + tags, tags).

    Raises:
        ShapeError: words, characters or affixes do not have their shapes.
        ArgumentError: characters or affixes are given or missing against what the layer was made
            for.

    Example:
        >>> from retrograd import models
        >>> tagger = models.SequenceTagger(words=100, tags=5, characters=30)
        >>> tagger([[7, 9, 2]], [[[4, 5, 0], [6, 0, 0], [1, 2, 3]]]).shape
        (1, 3, 5)

    Source: X. Ma, E. Hovy, End-to-end sequence labeling via bi-directional LSTM-CNNs-CRF, ACL
    2016; the chain is their CRF. Summed affixes: P. Bojanowski et al., Enriching word vectors with
    subword information, TACL 5 (2017).
    """

    def __init__(
        self,
        words: int,
        tags: int,
        characters: int | None = None,
        affixes: int | None = None,
        features: int = 64,
        character_features: int = 32,
        filters: int = 128,
        kernel_size: int = 5,
        hidden_features: int = 128,
        layers: int = 1,
        dropout: float = 0.5,
        chain: bool = False,
    ) -> None:
        name = "SequenceTagger"
        self.words = as_count(words, "words", name, least=2)
        self.tags = as_count(tags, "tags", name, least=2)
        self.characters = self.affixes = None
        self.embedding = _make_embedding(self.words, as_count(features, "features", name))
        self.character_features = as_count(character_features, "character_features", name)
        self.filters = as_count(filters, "filters", name)
        self.kernel_size = as_count(kernel_size, "kernel_size", name)
        width = self.embedding.features
        self.letters = self.conv = self.ends = None
        if characters is not None:
            self.characters = as_count(characters, "characters", name, least=2)
            self.letters = _make_embedding(self.characters, self.character_features)
            self.conv = Conv1d(
                self.character_features, self.filters, self.kernel_size, padding="same"
            )
            width += self.filters
        if affixes is not None:
            self.affixes = as_count(affixes, "affixes", name, least=2)
            self.ends = _make_embedding(self.affixes, self.embedding.features)
            width += self.embedding.features
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
        self.chain = None
        if as_flag(chain, "chain", name):
            self.chain = creation.zeros((1 + self.tags, self.tags), self.head.weight.type.dtype)

    def __call__(self, words: Any, characters: Any = None, affixes: Any = None) -> Any:
        """The logits of the tags at each place; with a chain also its scores, for each row."""
        if isinstance(words, tuple):
            return self(*words)
        places = as_array(words)
        check_integers(self, places)
        if places.type.ndim != 2:
            raise ShapeError(
                f"{place_of(self)}: expected words (batch, time), received {places.type.shape}.",
                fix="add an axis for the batch: words[None]",
            )
        inputs = [self.embedding(places)]
        spelled = self._check("characters", characters, places, self.characters)
        if spelled is not None:
            inputs.append(self._read_letters(spelled))
        parts = self._check("affixes", affixes, places, self.affixes)
        if parts is not None and self.ends is not None:
            inputs.append(total_of(self.ends(parts), 2))
        outputs = self.lstm(self.drop(concatenate(inputs, -1)), mask=not_equal(places, 0))
        logits = self.head(self.drop(outputs))
        if self.chain is None:
            return logits
        return logits, broadcast_to(self.chain, (places.type.shape[0], *self.chain.type.shape))

    def _check(self, name: str, given: Any, places: Array, known: int | None) -> Array | None:
        """Characters or affixes as (batch, time, n), if the layer was made for them."""
        if known is None:
            if given is not None:
                raise ArgumentError(
                    f"{place_of(self)}: received {name}, but was not made for them.",
                    fix=f"build it with {name}=, how many numbers there are",
                )
            return None
        if given is None:
            raise ArgumentError(
                f"{place_of(self)}: expected {name} (batch, time, n) beside the words.",
                fix=f"pass them, or build the layer with {name}=None",
            )
        found = as_array(given)
        check_integers(self, found)
        if found.type.ndim != 3 or found.type.shape[:2] != places.type.shape:
            raise ShapeError(
                f"{place_of(self)}: expected {name} (batch, time, n) for words "
                f"{places.type.shape}, received {found.type.shape}."
            )
        return found

    def _read_letters(self, spelled: Array) -> Array:
        """What the letters of each word say, (batch, time, filters)."""
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
            "affixes": self.affixes,
            "features": self.embedding.features,
            "character_features": self.character_features,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "hidden_features": self.lstm.cells[0].hidden_size,
            "layers": self.lstm.layers,
            "dropout": self.drop.p,
            "chain": self.chain is not None,
        }


def _make_embedding(n: int, features: int) -> Embedding:
    limit = (3.0 / features) ** 0.5
    return Embedding(n, features, padding_index=0, init=Uniform(-limit, limit))


register_layer(SequenceTagger)

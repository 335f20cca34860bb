"""The choice of a network for texts, by how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .... import models
from ....data.ngrams import NGrams
from ....data.text import Vocabulary, Words

NETWORKS = ("ngrams", "gru")
ENCODER = "encoder"
ENCODER_DROPOUT = 0.1
MANY_TEXTS = 20_000
MOST_SYMBOLS = 60_000
BEGINNING = 5
"""Letters by which longer words count beside themselves."""


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """How a classifier of texts is built and trained.

    Args:
        network: "ngrams", an embedding of words, their beginnings and pairs of words, "gru", which
            reads words in their order, or "encoder", one that is there already.
        features: the length of the vector of a token.
        recurrent_features: the size of the GRU in each direction; 0 for none.
        pooling: how the vectors of a text become one.
        dropout: the probability that a pooled value is left out of a step.
        token_dropout: the probability that a token is left out of a step.
        weight_decay: decoupled, of AdamW.
        learning_rate: of AdamW, the highest.
        batch_size: texts in a step.
        epochs: at most so many; the learning rate falls to nearly 0 over them.
        patience: stop after so many epochs without a better validation loss.
        longest: tokens of a text; what follows is cut off.
        refit: whether all rows are learned at the end, in as many epochs.
        warm_up: the share of the epochs over which the learning rate rises.
        keeps_last: whether the weights of the last epoch are kept, not those with the lowest
            validation loss.
    """

    network: str
    features: int
    recurrent_features: int
    pooling: tuple[str, ...]
    dropout: float
    token_dropout: float
    weight_decay: float
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    longest: int
    refit: bool
    warm_up: float = 0.0
    keeps_last: bool = False

    def make_vocabulary(self, texts: Sequence[str]) -> Vocabulary:
        """The tokens of the training part.

        Raises:
            DataError: there are none.
        """
        at_least = 2 if len(texts) >= 100 else 1
        if self.network == "ngrams":
            return NGrams.of(
                *texts, longest=2, beginning=BEGINNING, most=MOST_SYMBOLS, at_least=at_least
            )
        return Words.of(*texts, most=MOST_SYMBOLS, at_least=at_least)

    def make_network(
        self, vocabulary: int, classes: int, encoder: models.TextEncoder | None = None
    ) -> models.TextClassifier:
        """The network with its first weights, or around an encoder that has learned already."""
        start = encoder or models.TokenEmbedding(vocabulary, self.features, self.recurrent_features)
        return models.TextClassifier(start, classes, self.pooling, self.dropout, self.token_dropout)

    def describe(self, vocabulary: int, classes: int) -> str:
        """The network in words."""
        tokens = "words, beginnings and pairs of words" if self.network == "ngrams" else "words"
        if self.network == ENCODER:
            tokens = "tokens -> encoder"
        gru = f" -> GRU {self.recurrent_features} both ways" if self.recurrent_features else ""
        pooling = " and ".join(self.pooling)
        return (
            f"{vocabulary - 4:,} {tokens} -> {self.features}{gru} -> {pooling} over the text -> "
            f"{classes} classes, dropout {self.dropout:g}, {self.token_dropout:g} of tokens"
        )

    def to_json(self) -> dict[str, Any]:
        """The recipe as a plain dict."""
        return asdict(self)


def choose_text_recipe(network: str, texts: int, epochs: int | None = None) -> TextRecipe:
    """Choose network and training by the number of texts to train on.

    Args:
        network: "ngrams" or "gru".
        texts: of the training part.
        epochs: at most so many, if the user says so.

    Example:
        >>> choose_text_recipe("ngrams", 2_600).batch_size
        32
    """
    is_small = texts < MANY_TEXTS
    # Small sets need small batches, so that an epoch has some steps.
    batch_size = int(np.clip(2 ** round(np.log2(max(texts, 1) / 100)), 4, 64))
    is_gru = network == "gru"
    steps = -(-texts // batch_size)
    limit = int(np.clip(1_000 // steps, 6, 60))
    return TextRecipe(
        network=network,
        features=48 if is_gru else 32,
        recurrent_features=32 if is_gru else 0,
        pooling=("mean", "max") if is_gru else ("root", "max"),
        dropout=0.5,
        token_dropout=0.3,
        weight_decay=0.3,
        learning_rate=2e-3 if is_gru else 1.5e-3,
        batch_size=batch_size,
        epochs=limit if epochs is None else epochs,
        patience=max(2, limit // 4),
        longest=512 if is_gru else 2048,
        refit=is_small,
    )


def choose_encoder_recipe(
    encoder: models.TextEncoder, texts: int, epochs: int | None = None
) -> TextRecipe:
    """The training of a classifier that starts from an encoder.

    Args:
        encoder: is not changed.
        texts: of the training part.
        epochs: at most so many, if the user says so.
    """
    batch_size = int(np.clip(2 ** round(np.log2(max(texts, 1) / 25)), 4, 32))
    limit = int(np.clip(250 // -(-texts // batch_size), 3, 12))
    return TextRecipe(
        network=ENCODER,
        features=encoder.features,
        recurrent_features=0,
        pooling=("mean",),
        dropout=0.3,
        token_dropout=0.0,
        weight_decay=0.01,
        # A mean over many tokens changes little: at 1e-3 the few texts are learned by heart first.
        learning_rate=4e-3,
        batch_size=batch_size,
        epochs=limit if epochs is None else epochs,
        patience=limit,
        # Lengths are filled up to multiples of 8.
        longest=max(encoder.context // 8 * 8, min(encoder.context, 8)),
        refit=texts < MANY_TEXTS,
        warm_up=0.2,
        # A large network is soon too sure of a few texts, and yet goes on to err less.
        keeps_last=True,
    )

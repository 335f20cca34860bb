"""How a translator is built and trained, chosen by how much text there is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .... import models

DEFAULT_STEPS, MOST_EPOCHS = 12_000, 60.0


@dataclass(frozen=True, slots=True)
class TranslationRecipe:
    """How a translator is built and trained.

    Args:
        subwords: the size of the vocabulary that both languages share, at most.
        features: of the Translator, as the next two.
        layers: of its LSTMs.
        dropout: in training.
        smoothing: the share of each target that is spread over the whole vocabulary.
        learning_rate: of AdamW, the highest.
        batch_tokens: subwords of a step on each side, padding included.
        longest: pairs with more subwords on a side are not learnt.
        beams: of the search.
    """

    subwords: int
    features: int
    layers: int
    dropout: float
    smoothing: float
    learning_rate: float
    batch_tokens: int
    longest: int
    beams: int

    def make(self, vocabulary: int) -> models.Translator:
        """The network with its first weights."""
        return models.Translator(vocabulary, self.features, self.layers, self.dropout)

    def describe(self) -> str:
        """The network in words."""
        layers = "" if self.layers == 1 else f" in {self.layers} layers"
        return (
            f"LSTM with attention, {self.features} features{layers}, dropout {self.dropout:g}, "
            f"label smoothing {self.smoothing:g}"
        )

    def to_json(self) -> dict[str, Any]:
        """The recipe as a plain dict."""
        return asdict(self)


def choose_translation_recipe(characters: int) -> TranslationRecipe:
    """The network and its training for so many characters to learn, both sides together.

    Example:
        >>> choose_translation_recipe(8_000_000).subwords
        2000
    """
    large = characters >= 500_000
    return TranslationRecipe(
        # A subword should be met often enough to be learnt; single bytes take 260.
        subwords=int(min(2_000, max(300, 260 + characters // 300))),
        features=192 if large else 96,
        layers=1,
        dropout=0.2,
        smoothing=0.1,
        learning_rate=3e-3,
        batch_tokens=int(min(1_024, max(128, characters // 400))),
        longest=64,
        beams=4,
    )


def choose_epochs(steps: int) -> float:
    """How often the pairs are read if the user does not say: 12,000 steps, but at most 60 times.

    Args:
        steps: of one epoch.
    """
    return min(MOST_EPOCHS, DEFAULT_STEPS / steps)

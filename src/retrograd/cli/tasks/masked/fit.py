"""How an encoder is built, and pretrained until its time or its epochs are over."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .... import models
from ....data.masking import Masked, mask_tokens
from ....data.sequences import pad_sequences
from ..rounds import Fit, Rounds, fit_in_rounds

NumpyArray = np.ndarray[Any, Any]

MOST_TO_STOP_ON = 30_000  # tokens
LEAST_STEPS, DEFAULT_STEPS, MOST_EPOCHS = 300, 4_000, 20.0
MEASURING_SEED = 0
"""The same places are hidden whenever a text is measured."""


@dataclass(frozen=True, slots=True)
class MaskedRecipe:
    """How an encoder is built and pretrained.

    Args:
        options: of the TextEncoder.
        batch_size: rows of a step.
        learning_rate: of AdamW, the highest.
    """

    options: dict[str, Any]
    batch_size: int
    learning_rate: float

    @property
    def context(self) -> int:
        """Tokens of a row."""
        found: int = self.options["context"]
        return found

    def make(self, vocabulary: int) -> models.MaskedLanguageModel:
        """The network with its first weights."""
        return models.MaskedLanguageModel(models.TextEncoder(vocabulary, **self.options))

    def describe(self) -> str:
        """The network in words."""
        listed = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in self.options.items())
        return f"encoder, {listed}"

    def to_json(self) -> dict[str, Any]:
        """The recipe as a plain dict."""
        return asdict(self)


def choose_masked_recipe(kind: str, tokens: int) -> MaskedRecipe:
    """The encoder and its training for a text of so many characters or words.

    Example:
        >>> choose_masked_recipe("words", 500_000).describe()
        'encoder, features 128, heads 4, layers 2, context 64, positions rotary, dropout 0.0'
    """
    enough = 400_000 if kind == "characters" else 100_000
    dropout = 0.0 if tokens >= enough else 0.1
    sizes: dict[str, Any] = {"features": 128, "heads": 4, "layers": 3, "context": 256}
    batch_size, learning_rate = 8, 2e-3
    if kind == "words":
        sizes |= {"layers": 2, "context": 64}
        batch_size, learning_rate = 16, 3e-3
    # With turned queries and keys it learns several times as fast which places are near.
    options = {**sizes, "positions": "rotary", "dropout": dropout}
    return MaskedRecipe(options, batch_size, learning_rate)


def choose_epochs(recipe: MaskedRecipe, tokens: int) -> float:
    """How often a text is read if the user does not say: 4,000 steps, but at most 20 times.

    A short text is read for 300 steps: other tokens are hidden in each reading.
    """
    each = recipe.batch_size * min(recipe.context, tokens) / tokens
    return min(max(MOST_EPOCHS, LEAST_STEPS * each), DEFAULT_STEPS * each)


class Windows:
    """Batches of a text: windows at random places, in which other tokens are hidden each time.

    Args:
        numbers: the text, int32 (length,).
        vocabulary: how many different tokens there are.
        recipe: rows and their length.
        seed: of the places.
    """

    def __init__(self, numbers: NumpyArray, vocabulary: int, recipe: MaskedRecipe, seed: int):
        self.numbers = numbers
        self.vocabulary = vocabulary
        self.rows = recipe.batch_size
        self.steps = min(recipe.context, len(numbers))
        self._random = np.random.default_rng(seed)

    def take(self, count: int) -> tuple[Any, NumpyArray, NumpyArray]:
        """Inputs, targets and weights of so many steps."""
        last = len(self.numbers) - self.steps
        starts = self._random.integers(0, last + 1, (count * self.rows, 1))
        rows = self.numbers[starts + np.arange(self.steps)]
        masked = mask_tokens(rows, self.vocabulary, self._random)
        return masked.inputs, masked.targets, masked.weights


def cut_and_mask(numbers: NumpyArray, vocabulary: int, context: int) -> Masked:
    """A whole text in rows that do not overlap, with the same places hidden each time."""
    pieces = [numbers[start : start + context] for start in range(0, len(numbers), context)]
    rows, _ = pad_sequences(pieces, length=min(context, len(numbers)))
    return mask_tokens(rows, vocabulary, np.random.default_rng(MEASURING_SEED))


def fit_masked(
    network: models.MaskedLanguageModel,
    recipe: MaskedRecipe,
    train: NumpyArray,
    validation: NumpyArray,
    epochs: float | None,
    minutes: float | None,
    seed: int,
    tell: Callable[[float, int, float], None],
    show: Callable[[float, str], None],
) -> Fit:
    """Train until the text was read `epochs` times, or the minutes are over.

    Args:
        network: is trained in place.
        recipe: how.
        train, validation: the numbers of the tokens, int32.
        epochs, minutes: where it ends: at what comes first. One may be None.
        seed: of the places; the weights are there already.
        tell, show: as for `fit_in_rounds`.

    Raises:
        DivergedError: the loss became NaN or infinite.
        KeyboardInterrupt: before anything was learned.
    """
    windows = Windows(train, network.vocabulary, recipe, seed)
    each = recipe.batch_size * windows.steps
    total = None if epochs is None else max(1, math.ceil(epochs * len(train) / each))
    held_out = cut_and_mask(validation[:MOST_TO_STOP_ON], network.vocabulary, recipe.context)
    rounds = Rounds(
        windows.take,
        (held_out.inputs, held_out.targets, held_out.weights),
        recipe.batch_size,
        recipe.learning_rate,
        total,
        minutes,
    )
    return fit_in_rounds(network, rounds, tell, show)

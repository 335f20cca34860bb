"""How a language model is built, and trained until its time or its epochs are over."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .... import models
from ..rounds import Fit, Rounds, fit_in_rounds
from .model import cut_for_measuring

NumpyArray = np.ndarray[Any, Any]

MOST_TO_STOP_ON = 30_000  # characters
DEFAULT_STEPS, MOST_EPOCHS = 4_000, 20.0


@dataclass(frozen=True, slots=True)
class LanguageRecipe:
    """How a language model is built and trained.

    Args:
        network: "gpt" or "lstm".
        options: of the network.
        batch_size: rows of a step.
        steps: characters of a row.
        learning_rate: of AdamW, the highest.
    """

    network: str
    options: dict[str, Any]
    batch_size: int
    steps: int
    learning_rate: float

    def make(self, vocabulary: int) -> Any:
        """The network with its first weights."""
        make = models.GPT if self.network == "gpt" else models.CharacterLSTM
        return make(vocabulary, **self.options)

    def describe(self) -> str:
        """The network in words."""
        listed = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in self.options.items())
        return f"{'GPT' if self.network == 'gpt' else 'LSTM'}, {listed}"

    def to_json(self) -> dict[str, Any]:
        """The recipe as a plain dict."""
        return asdict(self)


def choose_language_recipe(network: str, characters: int) -> LanguageRecipe:
    """The network and its training for a text of so many characters.

    Example:
        >>> choose_language_recipe("gpt", 500_000).describe()
        'GPT, features 128, heads 4, layers 4, context 64, dropout 0.0'
    """
    dropout = 0.0 if characters >= 400_000 else 0.1 if characters >= 50_000 else 0.2
    if network == "gpt":
        sizes = {"features": 128, "heads": 4, "layers": 4, "context": 64}
        return LanguageRecipe("gpt", {**sizes, "dropout": dropout}, 16, 64, 2e-3)
    options = {"features": 64, "hidden_features": 256, "layers": 1, "dropout": dropout}
    streams = int(min(32, max(1, characters // 130)))
    return LanguageRecipe("lstm", options, streams, 64, 4e-3)


def choose_epochs(recipe: LanguageRecipe, characters: int) -> float:
    """How often a text is read if the user does not say: 4,000 steps, but at most 20 times."""
    each = recipe.batch_size * recipe.steps
    return min(MOST_EPOCHS, DEFAULT_STEPS * each / characters)


class Pieces:
    """Batches of a text for a network: random windows, or the pieces of streams in their order.

    Args:
        numbers: the text, int32 (length,).
        recipe: rows and steps.
        network: with a `context`, or one that carries a state on.
        seed: of the places of the windows.
    """

    def __init__(self, numbers: NumpyArray, recipe: LanguageRecipe, network: Any, seed: int):
        self.numbers = numbers
        self.rows = recipe.batch_size
        self.steps = max(1, min(recipe.steps, len(numbers) - 2))
        self.network = network
        self._random = np.random.default_rng(seed)
        self._place = 0
        self._starts: NumpyArray | None = None

    def take(self, count: int) -> tuple[NumpyArray, NumpyArray]:
        """Inputs and targets of at most so many steps, (steps * rows, time) each."""
        if self.network.context is not None:
            last = len(self.numbers) - self.steps
            starts = self._random.integers(0, last, (count, self.rows))
        else:
            starts = self._follow(count)
        places = starts.reshape(-1, 1) + np.arange(self.steps)
        return self.numbers[places], self.numbers[places + 1]

    def _follow(self, count: int) -> NumpyArray:
        """Where the next pieces of the streams begin; a new round through the text at its end."""
        length = (len(self.numbers) - 1) // self.rows
        pieces = (length - self._place) // self.steps
        if self._starts is None or pieces < 1:
            self._starts = np.arange(self.rows) * length
            # Not the same cuts in each epoch.
            spare = min(self.steps, length - self.steps)
            self._place = int(self._random.integers(0, spare + 1)) if spare > 0 else 0
            self.network.carry(self.rows)
            pieces = (length - self._place) // self.steps
        count = min(count, pieces)
        offsets = self._place + np.arange(count) * self.steps
        self._place += count * self.steps
        found: NumpyArray = offsets[:, None] + self._starts
        return found


def fit_language(
    network: Any,
    recipe: LanguageRecipe,
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
        train, validation: the numbers of the characters, int32.
        epochs, minutes: where it ends: at what comes first. One may be None.
        seed: of the order of the text; the weights are there already.
        tell: is told now and then: share done, steps, bits on the validation part.
        show: is told very often: share done, a short text.

    Raises:
        DivergedError: the loss became NaN or infinite.
        KeyboardInterrupt: before anything was learned.
    """
    pieces = Pieces(train, recipe, network, seed)
    each = recipe.batch_size * pieces.steps
    total = None if epochs is None else max(1, math.ceil(epochs * len(train) / each))
    held_out = cut_for_measuring(network, validation[: MOST_TO_STOP_ON + 1])
    rounds = Rounds(
        lambda count: (*pieces.take(count), None),
        (*held_out, None),
        recipe.batch_size,
        recipe.learning_rate,
        total,
        minutes,
    )
    fitted = fit_in_rounds(network, rounds, tell, show)
    if hasattr(network, "carry"):
        network.carry(None)
    return fitted

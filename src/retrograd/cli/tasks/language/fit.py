"""Training a language model in rounds of steps, until its time or its epochs are over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .... import losses, models, optim
from ....train.callbacks import Callback
from ....train.events import BatchEnd
from ....train.trainer import Trainer
from .model import as_bits, cut_for_measuring

NumpyArray = np.ndarray[Any, Any]

ROUNDS = 60
ROUNDS_BETWEEN_CHECKS = 6
FIRST_ROUND = 20  # steps; they tell how many fit into the time
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


@dataclass(frozen=True, slots=True)
class LanguageFit:
    """How a training went; the network has the weights that were best on the validation part.

    Args:
        steps: how many there were.
        validation_bits: for each character of the validation part, with the weights kept.
        seconds: how long it took.
        is_interrupted: whether Ctrl-C ended it.
    """

    steps: int
    validation_bits: float
    seconds: float
    is_interrupted: bool


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


class Watch(Callback):
    """Ends a training when its time is over, and tells how far it is.

    Args:
        limit: seconds, or None.
        show: is told the steps done and the last loss.
    """

    every_batch = False

    def __init__(self, limit: float | None, show: Callable[[int, float], None]) -> None:
        self.limit = limit
        self.begin = time.monotonic()
        self.before = self.done = 0
        self._show = show

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begin

    def on_batch_end(self, trainer: Any, event: BatchEnd) -> None:
        self.done = self.before + event.batch
        self._show(self.done, event.loss)
        if self.limit is not None and self.seconds >= self.limit:
            trainer.stop("time")


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
) -> LanguageFit:
    """Train until the text was read `epochs` times, or the minutes are over.

    The learning rate rises over the first 5 % and then falls along half a cosine. The weights are
    kept that are best on the validation part.

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
    optimizer = optim.chain(
        optim.clip_by_global_norm(1.0), optim.AdamW(recipe.learning_rate, weight_decay=0.01)
    )
    trainer = Trainer(network, losses.cross_entropy, optimizer)
    held_out = cut_for_measuring(network, validation[: MOST_TO_STOP_ON + 1])
    limit = None if minutes is None else 60.0 * minutes

    def find_share(steps: int) -> float:
        shares = [0.0 if total is None else steps / total]
        shares.append(0.0 if limit is None else watch.seconds / limit)
        return min(1.0, max(shares))

    def show_step(steps: int, loss: float) -> None:
        show(find_share(steps), f"{steps:,} steps  {as_bits(loss):.3f} bits")

    watch = Watch(limit, show_step)
    best, kept, interrupted, rounds = math.inf, None, False, 0
    try:
        share = 0.0
        while share < 1.0 and not interrupted:
            optimizer.set_learning_rate(recipe.learning_rate * find_rate(share))
            x, y = pieces.take(_choose_steps(watch.done, total, limit, watch.seconds))
            history = trainer.fit(
                x, y, 1, recipe.batch_size, shuffle=False, callbacks=[watch], verbose=False
            )
            watch.before = watch.done
            rounds += 1
            interrupted = history.stopped_by == "interrupt"
            share = find_share(watch.done)
            if rounds % ROUNDS_BETWEEN_CHECKS == 0 or share >= 1.0 or interrupted:
                bits = as_bits(trainer.evaluate(*held_out, batch_size=64)["loss"])
                tell(share, watch.done, bits)
                if bits < best:
                    best, kept = bits, _copy_weights(network)
    except KeyboardInterrupt:
        if not watch.done:
            raise
        interrupted = True
    if kept is None and watch.done:
        best = as_bits(trainer.evaluate(*held_out, batch_size=64)["loss"])
    if not watch.done:
        raise KeyboardInterrupt
    if hasattr(network, "carry"):
        network.carry(None)
    if kept is not None:
        network.load_state(kept)
    return LanguageFit(watch.done, best, watch.seconds, interrupted)


def find_rate(share: float) -> float:
    """The learning rate, as a share of the highest, when so much of the training is done.

    Example:
        >>> [round(find_rate(share), 2) for share in (0.0, 0.05, 0.5, 1.0)]
        [0.2, 1.0, 0.55, 0.02]
    """
    warm = min(1.0, 0.2 + 0.8 * share / 0.05)
    falling = max(0.0, share - 0.05) / 0.95
    return warm * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * falling)))


def _choose_steps(done: int, total: int | None, limit: float | None, seconds: float) -> int:
    """The steps of the next round: a sixtieth of all, as far as that is known."""
    choices = []
    if total is not None:
        choices.append(min(max(FIRST_ROUND, total // ROUNDS), max(1, total - done)))
    if limit is not None:
        pace = done / max(seconds, 1e-9)
        choices.append(max(FIRST_ROUND, int(pace * limit / ROUNDS)) if done else FIRST_ROUND)
    return min(choices)


def _copy_weights(network: Any) -> dict[str, Any]:
    """The weights as they are now, without a state that is carried from batch to batch."""
    state = network.named_state()
    return {path: array for path, array in state.items() if path not in ("hidden", "memory")}

"""Training a tagger: epochs over rows of about the same length, and the best weights are kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .... import models
from ....data.tag_encoder import EncodedWords, TagEncoder
from ....train.trainer import Trainer
from ..learning import find_rate, make_optimizer
from .model import choose_loss

STEPS, LEAST_EPOCHS, MOST_EPOCHS = 1_200, 5, 60
BATCHES_AT_A_TIME = 16


@dataclass(frozen=True, slots=True)
class TagRecipe:
    """How a tagger is built and trained.

    Args:
        options: of the network.
        batch_size: rows of a step.
        learning_rate: of AdamW, the highest.
        epochs: how often the sequences are read.
    """

    options: dict[str, Any]
    batch_size: int
    learning_rate: float
    epochs: int

    def make(self, encoder: TagEncoder) -> models.SequenceTagger:
        """The network with its first weights."""
        options: dict[str, Any] = {**encoder.sizes, **self.options}
        return models.SequenceTagger(**options)

    def describe(self) -> str:
        """The network in words."""
        options = self.options
        return (
            f"embeddings of {options['features']} for words and affixes, {options['filters']} "
            f"convolutions over letters, LSTMs of {options['hidden_features']} in both directions"
            + (", each tag depends on the one before" if options["chain"] else "")
        )

    def to_json(self) -> dict[str, Any]:
        """The recipe as a plain dict."""
        return asdict(self)


def choose_tag_recipe(sequences: int, epochs: int | None, chain: bool) -> TagRecipe:
    """The network and its training for so many sequences to learn.

    Args:
        sequences: how many there are.
        epochs: those that the user asked for, or None.
        chain: whether a tag shall depend on the one before.

    Example:
        >>> recipe = choose_tag_recipe(4_000, None, chain=False)
        >>> recipe.batch_size, recipe.epochs
        (32, 10)
    """
    batch_size = int(np.clip(2 ** round(np.log2(sequences / 40)), 4, 32))
    steps = -(-sequences // batch_size)
    chosen = int(np.clip(round(STEPS / steps), LEAST_EPOCHS, MOST_EPOCHS))
    options = {
        "features": 64,
        "character_features": 32,
        "filters": 128,
        "hidden_features": 128,
        "dropout": 0.5,
        "chain": chain,
    }
    return TagRecipe(options, batch_size, 3e-3, epochs or chosen)


@dataclass(frozen=True, slots=True)
class TagFit:
    """How a training went; the network has the weights that were best on the validation part.

    Args:
        epochs: after how many the weights were best.
        validation: their score there.
        seconds: how long it took.
        is_interrupted: whether Ctrl-C ended it.
    """

    epochs: int
    validation: float
    seconds: float
    is_interrupted: bool


def fit_tagger(
    network: models.SequenceTagger,
    recipe: TagRecipe,
    train: EncodedWords,
    measure: Callable[[Trainer], float],
    seed: int,
    tell: Callable[[int, float, float], None],
    show: Callable[[float, str], None],
) -> TagFit:
    """Train for the epochs of the recipe, and keep the weights with the best score.

    The learning rate rises over the first 5 % of the steps and then falls along half a cosine.

    Args:
        network: is trained in place.
        recipe: how.
        train: the words to learn.
        measure: gives the score on the validation part; higher is better.
        seed: of the order; the weights are there already.
        tell: is told after each epoch: how many, the mean loss, the score.
        show: is told now and then: share done, a short text.

    Raises:
        DivergedError: the loss became NaN or infinite.
        KeyboardInterrupt: before anything was learned.
    """
    started = time.monotonic()
    generator = np.random.default_rng(seed)
    optimizer = make_optimizer(recipe.learning_rate)
    trainer = Trainer(network, choose_loss(network), optimizer)
    best, kept, best_epoch, interrupted, learned = -1.0, None, 0, False, False
    rows = max(1, len(train.sizes))
    try:
        for epoch in range(recipe.epochs):
            losses, done = 0.0, 0
            for _, inputs, tags in train.make_batches(
                recipe.batch_size, generator, BATCHES_AT_A_TIME
            ):
                share = (epoch + min(1.0, done / rows)) / recipe.epochs
                optimizer.set_learning_rate(recipe.learning_rate * find_rate(share))
                history = trainer.fit(
                    inputs, tags, 1, recipe.batch_size, shuffle=False, verbose=False
                )
                interrupted = history.stopped_by == "interrupt"
                if interrupted:
                    break
                learned = True
                done += len(tags)
                losses += history["loss"][0] * len(tags)
                show(share, f"epoch {epoch + 1}  loss {losses / done:.3f}")
            if interrupted:
                break
            score = measure(trainer)
            tell(epoch + 1, losses / done, score)
            if score > best:
                best, best_epoch = score, epoch + 1
                kept = dict(network.named_state())
    except KeyboardInterrupt:
        interrupted = True
    if kept is not None:
        network.load_state(kept)
    elif learned:
        best, best_epoch = measure(trainer), 1  # a part of the first one
    else:
        raise KeyboardInterrupt
    return TagFit(best_epoch, best, time.monotonic() - started, interrupted)

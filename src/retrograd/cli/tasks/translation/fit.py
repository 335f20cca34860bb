"""Training a translator in calls of a few steps, until its time or its epochs are over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import losses
from ....data.pairs import Pairs
from ....metrics import chrf
from ....ops.promotion import as_array
from ....train.trainer import Trainer
from ..learning import Watch, find_rate, make_optimizer
from .batches import Bucket, count_steps, cut_epoch
from .model import TranslationModel
from .recipe import TranslationRecipe

CHECKS = 10
FIRST_RATE = 0.1
FIRST_CHECK = 0.3
"""Translating the validation part before so much is done would tell nothing."""


@dataclass(frozen=True, slots=True)
class TranslationFit:
    """How a training went; the network has the weights that were best on the validation part.

    Args:
        steps: how many there were.
        epochs: how often the pairs were read.
        validation: chrF on the validation part, with the weights kept.
        seconds: how long it took.
        is_interrupted: whether Ctrl-C ended it.
    """

    steps: int
    epochs: float
    validation: float
    seconds: float
    is_interrupted: bool


def measure_loss(logits: Any, targets: Any, label_smoothing: float) -> Any:
    """The cross-entropy of the tokens that are no padding."""
    wanted = as_array(targets)
    return losses.cross_entropy(
        logits, wanted, label_smoothing=label_smoothing, sample_weight=wanted != 0
    )


def fit_translator(
    model: TranslationModel,
    buckets: Sequence[Bucket],
    validation: Pairs,
    recipe: TranslationRecipe,
    epochs: float | None,
    minutes: float | None,
    seed: int,
    tell: Callable[[float, int, float], None],
    show: Callable[[float, str], None],
) -> TranslationFit:
    """Train until the pairs were read `epochs` times, or the minutes are over.

    The learning rate rises over the first 5 % and then falls along half a cosine. Now and then the
    validation part is translated greedily; the weights with the best chrF are kept.

    Args:
        model: its network is trained in place.
        buckets: the pairs to learn.
        validation: the pairs to choose on.
        recipe: how.
        epochs, minutes: where it ends: at what comes first. One may be None.
        seed: of the order; the weights are there already.
        tell: is told now and then: share done, steps, chrF on the validation part.
        show: is told very often: share done, a short text.

    Raises:
        DivergedError: the loss became NaN or infinite.
        KeyboardInterrupt: before anything was learned.
    """
    network, random = model.network, np.random.default_rng(seed)
    optimizer = make_optimizer(recipe.learning_rate)
    options = {"label_smoothing": recipe.smoothing}
    # One for each shape: what they share is the network and the optimizer.
    trainers = [Trainer(network, measure_loss, optimizer, loss_options=options) for _ in buckets]
    each = count_steps(buckets, recipe.batch_tokens)
    total = None if epochs is None else max(1, round(epochs * each))
    limit = None if minutes is None else 60.0 * minutes

    def show_step(share: float, steps: int, loss: float) -> None:
        show(share, f"{steps:,} steps  loss {loss:.3f}")

    watch = Watch(total, limit, show_step)
    best, kept, checked = -1.0, None, 0

    def check() -> None:
        nonlocal best, kept, checked
        score, checked = measure_chrf(model, validation), watch.done
        tell(watch.share, watch.done, score)
        if score > best:
            best, kept = score, network.named_state()

    interrupted, next_check = False, FIRST_CHECK
    calls = cut_epoch(buckets, recipe.batch_tokens, random)
    try:
        while watch.share < 1.0 and not interrupted:
            call = next(calls, None)
            if call is None:
                calls = cut_epoch(buckets, recipe.batch_tokens, random)
                continue
            number, size, places = call
            if total is not None:
                places = places[: (total - watch.done) * size]
            optimizer.set_learning_rate(recipe.learning_rate * find_rate(watch.share, FIRST_RATE))
            x, y = buckets[number].rows(places)
            history = trainers[number].fit(
                x, y, 1, size, shuffle=False, callbacks=[watch], verbose=False
            )
            interrupted = history.stopped_by == "interrupt"
            if watch.share >= next_check or interrupted:
                next_check = watch.share + (1.0 - FIRST_CHECK) / CHECKS
                check()
    except KeyboardInterrupt:
        if not watch.done:
            raise
        interrupted = True
    if not watch.done:
        raise KeyboardInterrupt
    if kept is None or (checked < watch.done and not interrupted):
        check()
    assert kept is not None
    network.load_state(kept)
    return TranslationFit(watch.done, watch.done / each, best, watch.seconds, interrupted)


def measure_chrf(model: TranslationModel, pairs: Pairs) -> float:
    """chrF of the greedy translations."""
    return chrf(model.translate(pairs.sources, beams=1), pairs.targets)

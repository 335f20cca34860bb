"""Training in rounds of steps, until the steps or the minutes are over."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ... import losses, optim
from ...train.trainer import Trainer
from .learning import Watch, find_rate, make_optimizer

ROUNDS = 60
ROUNDS_BETWEEN_CHECKS = 6
FIRST_ROUND = 20  # steps; they tell how many fit into the time
CARRIED = ("hidden", "memory")
"""The state that a recurrent network carries from batch to batch: no weights."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a training went; the network has the weights that were best on the validation part.

    Args:
        steps: how many there were.
        validation_bits: for each token to predict of the validation part, with the weights kept.
        seconds: how long it took.
        is_interrupted: whether Ctrl-C ended it.
    """

    steps: int
    validation_bits: float
    seconds: float
    is_interrupted: bool


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """What is done in a training, and until when.

    Args:
        take: gives inputs, targets and weights (or None) of at most so many steps.
        held_out: the same of what decides which weights are kept.
        batch_size: rows of a step.
        learning_rate: of AdamW, the highest.
        steps: the end, or None.
        minutes: the end, or None; the end is what comes first.
    """

    take: Callable[[int], tuple[Any, Any, Any]]
    held_out: tuple[Any, Any, Any]
    batch_size: int
    learning_rate: float
    steps: int | None
    minutes: float | None


def fit_in_rounds(
    network: Any,
    rounds: Rounds,
    tell: Callable[[float, int, float], None],
    show: Callable[[float, str], None],
) -> Fit:
    """Train a network that predicts tokens; the loss is the cross-entropy of its logits.

    The learning rate rises over the first 5 % and then falls along half a cosine. The weights are
    kept that are best on the validation part.

    Args:
        network: is trained in place; its weights are there already.
        rounds: the data and the end.
        tell: is told now and then: share done, steps, bits on the validation part.
        show: is told very often: share done, a short text.

    Raises:
        DivergedError: the loss became NaN or infinite.
        KeyboardInterrupt: before anything was learned.
    """
    optimizer = make_optimizer(rounds.learning_rate)
    trainer = Trainer(network, losses.cross_entropy, optimizer)
    total, limit = rounds.steps, None if rounds.minutes is None else 60.0 * rounds.minutes

    def show_step(share: float, steps: int, loss: float) -> None:
        show(share, f"{steps:,} steps  {as_bits(loss):.3f} bits")

    watch = Watch(total, limit, show_step)
    best, kept, interrupted, number = math.inf, None, False, 0
    try:
        share = 0.0
        while share < 1.0 and not interrupted:
            optimizer.set_learning_rate(rounds.learning_rate * find_rate(share))
            x, y, weights = rounds.take(choose_steps(watch.done, total, limit, watch.seconds))
            history = trainer.fit(
                x,
                y,
                1,
                rounds.batch_size,
                sample_weight=weights,
                shuffle=False,
                callbacks=[watch],
                verbose=False,
            )
            number += 1
            interrupted = history.stopped_by == "interrupt"
            share = watch.share
            if number % ROUNDS_BETWEEN_CHECKS == 0 or share >= 1.0 or interrupted:
                bits = _measure(trainer, rounds.held_out)
                tell(share, watch.done, bits)
                if bits < best:
                    best, kept = bits, _copy_weights(network)
    except KeyboardInterrupt:
        if not watch.done:
            raise
        interrupted = True
    if kept is None and watch.done:
        best = _measure(trainer, rounds.held_out)
    if not watch.done:
        raise KeyboardInterrupt
    if kept is not None:
        network.load_state({**network.named_state(), **kept})
    return Fit(watch.done, best, watch.seconds, interrupted)


def measure_bits(network: Any, x: Any, y: Any, weights: Any = None) -> float:
    """Bits for each token, over all places."""
    return _measure(Trainer(network, losses.cross_entropy, optim.SGD(0.0)), (x, y, weights))


def _measure(trainer: Trainer, held_out: tuple[Any, Any, Any]) -> float:
    x, y, weights = held_out
    return as_bits(trainer.evaluate(x, y, 64, weights)["loss"])


def as_bits(nats: float) -> float:
    """A cross-entropy in bits.

    Example:
        >>> as_bits(math.log(2.0))
        1.0
    """
    return nats / math.log(2.0)


def choose_steps(done: int, total: int | None, limit: float | None, seconds: float) -> int:
    """The steps of the next round: a sixtieth of all, as far as that is known.

    Example:
        >>> choose_steps(0, 6000, None, 0.0), choose_steps(100, None, 600.0, 1.0)
        (100, 1000)
    """
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
    return {path: array for path, array in state.items() if path not in CARRIED}

"""What trainings on words and texts share: the optimizer, its learning rate, when they end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from ... import optim
from ...train.callbacks import Callback
from ...train.events import BatchEnd

LEAST_RATE = 0.02
WARM = 0.05


def make_optimizer(rate: float) -> optim.Optimizer:
    """AdamW behind gradients that are clipped at a norm of 1.

    Args:
        rate: the highest learning rate.
    """
    return optim.chain(optim.clip_by_global_norm(1.0), optim.AdamW(rate, weight_decay=0.01))


def find_rate(share: float, first: float = 0.2) -> float:
    """The learning rate, as a share of the highest, when so much of the training is done.

    It rises along a line over the first 5 %, and then falls along half a cosine.

    Args:
        share: of the training that is done.
        first: the rate at the start.

    Example:
        >>> [round(find_rate(share), 2) for share in (0.0, 0.05, 0.525, 1.0)]
        [0.2, 1.0, 0.51, 0.02]
    """
    rising = min(1.0, first + (1.0 - first) * share / WARM)
    return rising * lower((share - WARM) / (1.0 - WARM))


def lower(share: float) -> float:
    """What falls from 1 to 0.02 along half a cosine.

    Example:
        >>> [round(lower(share), 2) for share in (0.0, 0.5, 1.0)]
        [1.0, 0.51, 0.02]
    """
    inside = min(1.0, max(0.0, share))
    return LEAST_RATE + (1.0 - LEAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * inside))


class Watch(Callback):
    """Tells how far a training of several calls of `fit` is, and ends it when its time is over.

    Args:
        total: the steps of the whole training, or None.
        limit: its seconds, or None.
        show: is told very often: the share done, the steps, the last loss.
    """

    every_batch = False

    def __init__(
        self, total: int | None, limit: float | None, show: Callable[[float, int, float], None]
    ) -> None:
        self.total, self.limit = total, limit
        self.done = 0
        self._begin = time.monotonic()
        self._before = 0
        self._show = show

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self._begin

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1: of the steps or of the time, what is more."""
        by_steps = 0.0 if self.total is None else self.done / self.total
        by_time = 0.0 if self.limit is None else self.seconds / self.limit
        return min(1.0, max(by_steps, by_time))

    def on_fit_begin(self, trainer: Any, event: Any) -> None:
        self._before = self.done

    def on_batch_end(self, trainer: Any, event: BatchEnd) -> None:
        self.done = self._before + event.batch
        self._show(self.share, self.done, event.loss)
        if self.limit is not None and self.seconds >= self.limit:
            trainer.stop("time")


def count_numbers(network: Any) -> int:
    """How many numbers a network holds."""
    return sum(array.type.size for array in network.named_state().values())

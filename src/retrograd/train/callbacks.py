"""Callbacks: what may be done between the steps of a training, and its resumption."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, suggest
from .events import BatchEnd, EpochBegin, EpochEnd, FitBegin, FitEnd
from .history import VALIDATION

if TYPE_CHECKING:
    from .trainer import Trainer

HIGHER, LOWER = "higher", "lower"


class Callback:
    """The base of all callbacks: override what you need.

    Each method receives the Trainer and an event. `trainer.stop("why")` ends the training after
    the event; `trainer.save(path)` inside a callback writes once all callbacks have seen it.

    Example:
        >>> import retrograd as rg
        >>> class Printer(rg.Callback):
        ...     def on_epoch_end(self, trainer, event):
        ...         print(event.epoch, sorted(event.values))

    Attributes:
        every_batch: whether `on_batch_end` is called after each step, if it is overridden. Many
            small steps are faster when they need not stop for it: with False it is called at
            least every 100 ms, unless a single step takes longer.
    """

    every_batch = True

    def on_fit_begin(self, trainer: Trainer, event: FitBegin) -> None:
        """Called once, before the first step."""

    def on_epoch_begin(self, trainer: Trainer, event: EpochBegin) -> None:
        """Called before the first step of each epoch."""

    def on_batch_end(self, trainer: Trainer, event: BatchEnd) -> None:
        """Called after each step; see `every_batch`."""

    def on_epoch_end(self, trainer: Trainer, event: EpochEnd) -> None:
        """Called after each epoch, when it has been validated."""

    def on_fit_end(self, trainer: Trainer, event: FitEnd) -> None:
        """Called once, at the end, also after Ctrl-C."""

    def state(self) -> dict[str, Any]:
        """What must be saved to go on later: numbers, strings, lists, dicts and NumPy arrays."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""

    def close(self) -> None:
        """Called last, after an error too: give back what is held (a terminal, a file)."""


class _Monitor:
    """Whether a value of an epoch is better than the best before."""

    def __init__(self, name: str, minimum_delta: float, better: str | None) -> None:
        if not (isinstance(minimum_delta, (int, float)) and minimum_delta >= 0):
            raise ArgumentError(
                f"minimum_delta is a number of at least 0, received {minimum_delta!r}."
            )
        if better not in (None, HIGHER, LOWER):
            raise ArgumentError(f"better is 'higher', 'lower' or None, received {better!r}.")
        self.name = name
        self.minimum_delta = minimum_delta
        self.better = better
        self.direction = better or LOWER
        self.best: float | None = None

    def begin(self, trainer: Trainer, event: FitBegin) -> None:
        check_monitored(self.name, event)
        self.direction = self.better or trainer.better_direction(self.name)
        if not event.resumed:
            self.best = None

    def improves(self, values: Mapping[str, float]) -> bool:
        value = values[self.name]
        if math.isnan(value):
            return False
        if self.best is not None:
            gain = value - self.best if self.direction == HIGHER else self.best - value
            if not gain > self.minimum_delta:
                return False
        self.best = value
        return True


def check_monitored(name: str, event: FitBegin) -> None:
    """An error if the epochs of this training will not have a value of this name."""
    if name in event.names:
        return
    if name.startswith(VALIDATION) and event.validation_samples == 0:
        raise ArgumentError(
            f"A callback watches {name!r}, but there is no validation data.",
            fix="pass validation_data=(x, y) or validation_split=0.2, or watch "
            f"monitor={name.removeprefix(VALIDATION)!r}",
        )
    raise ArgumentError(
        f"A callback watches {name!r}, which this training does not give. "
        f"{suggest(name, event.names)}",
        fix="name the loss or one of the metrics of the Trainer",
    )


class EarlyStopping(Callback):
    """Stops when a value has not become better for some epochs, and restores the best weights.

    Args:
        patience: how many epochs without improvement are borne.
        monitor: the value that is watched: "val_loss", "val_accuracy", "loss", ...
        minimum_delta: by how much a value must be better to count.
        restore_best: give the model the weights (and buffers) of its best epoch at the end, also
            after Ctrl-C.
        better: "higher" or "lower"; by default what the metric says.

    Source: L. Prechelt, Early stopping - but when? In: Neural networks: tricks of the trade, 1998.

    Example:
        >>> import retrograd as rg
        >>> rg.EarlyStopping(patience=3, monitor="val_accuracy").patience
        3
    """

    def __init__(
        self,
        patience: int,
        monitor: str = "val_loss",
        minimum_delta: float = 0.0,
        restore_best: bool = True,
        better: str | None = None,
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, (int, np.integer)):
            raise ArgumentError(f"patience is a whole number of epochs, received {patience!r}.")
        if patience < 0:
            raise ArgumentError(f"patience is at least 0 epochs, received {patience}.")
        self.patience = int(patience)
        self.monitor = monitor
        self.restore_best = restore_best
        self.best_epoch: int | None = None
        self._monitor = _Monitor(monitor, minimum_delta, better)
        self._waited = 0
        self._stopped = False
        self._best_weights: dict[str, Any] | None = None

    @property
    def best_value(self) -> float | None:
        """The best value so far."""
        return self._monitor.best

    def on_fit_begin(self, trainer: Trainer, event: FitBegin) -> None:
        self._monitor.begin(trainer, event)
        if not event.resumed:
            self.best_epoch, self._best_weights = None, None
            self._waited, self._stopped = 0, False
        elif self._stopped:
            self._stop(trainer)

    def on_epoch_end(self, trainer: Trainer, event: EpochEnd) -> None:
        if self._monitor.improves(event.values):
            self._waited, self.best_epoch = 0, event.epoch
            if self.restore_best:
                self._best_weights = dict(trainer.model.named_state())
            return
        self._waited += 1
        if self._waited >= max(self.patience, 1):
            self._stopped = True
            self._stop(trainer)

    def _stop(self, trainer: Trainer) -> None:
        trainer.stop(f"{self.monitor} did not improve for {self._waited} epochs")

    def on_fit_end(self, trainer: Trainer, event: FitEnd) -> None:
        if self.restore_best and self._best_weights is not None:
            trainer.model.load_state(self._best_weights)

    def state(self) -> dict[str, Any]:
        weights = self._best_weights or {}
        return {
            "best": self._monitor.best,
            "best_epoch": self.best_epoch,
            "waited": self._waited,
            "stopped": self._stopped,
            "best_weights": {path: np.asarray(value) for path, value in weights.items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self._monitor.best = state["best"]
        self.best_epoch = state["best_epoch"]
        self._waited = state["waited"]
        self._stopped = state["stopped"]
        self._best_weights = dict(state["best_weights"]) or None


class ModelCheckpoint(Callback):
    """Saves the model after epochs: each time it is the best so far, or each epoch.

    A file is replaced only when the new one is complete: a killed training leaves the last good
    model whole.

    Args:
        path: a name that ends in `.safetensors` for the weights alone (`rg.load_weights`), else a
            model directory (`rg.load_model`). `{epoch}` stands for the number of the epoch.
        monitor: the value that says what is best.
        save_best_only: False saves after every epoch.
        minimum_delta, better: as for EarlyStopping.

    Example:
        >>> import retrograd as rg
        >>> rg.ModelCheckpoint("best.safetensors", monitor="val_accuracy").path
        'best.safetensors'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = True,
        minimum_delta: float = 0.0,
        better: str | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.monitor = monitor
        self.save_best_only = save_best_only
        self._monitor = _Monitor(monitor, minimum_delta, better)

    def on_fit_begin(self, trainer: Trainer, event: FitBegin) -> None:
        if self.save_best_only:
            self._monitor.begin(trainer, event)

    def on_epoch_end(self, trainer: Trainer, event: EpochEnd) -> None:
        if self.save_best_only and not self._monitor.improves(event.values):
            return
        from .saving import save_model, save_weights

        path = self.path.replace("{epoch}", str(event.epoch))
        if path.endswith(".safetensors"):
            save_weights(trainer.model, path)
        else:
            save_model(trainer.model, path)

    def state(self) -> dict[str, Any]:
        return {"best": self._monitor.best} if self.save_best_only else {}

    def load_state(self, state: dict[str, Any]) -> None:
        self._monitor.best = state["best"]


class RunCheckpoint(Callback):
    """Saves the whole training (`trainer.save`) after epochs, so that `fit(resume=...)` can go on.

    Args:
        path: the run directory; it is replaced only when the new one is complete.
        every: after how many epochs it is saved.

    Example:
        >>> import retrograd as rg
        >>> rg.RunCheckpoint("run/", every=5).every
        5
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ArgumentError(f"every is a whole number of epochs, at least 1: {every!r}.")
        self.path = os.fspath(path)
        self.every = every

    def on_epoch_end(self, trainer: Trainer, event: EpochEnd) -> None:
        if event.epoch % self.every == 0 or event.epoch == event.epochs:
            trainer.save(self.path)


class StopAtMetric(Callback):
    """Stops when a value of an epoch reaches a target.

    Args:
        metric: its name: "val_accuracy", "accuracy", ...
        target: the value to reach.
        better: "higher" or "lower"; by default what the metric says.

    Example:
        >>> import retrograd as rg
        >>> rg.StopAtMetric("val_accuracy", 0.98).target
        0.98
    """

    def __init__(self, metric: str, target: float, better: str | None = None) -> None:
        if isinstance(target, bool) or not isinstance(target, (int, float, np.number)):
            raise ArgumentError(f"The target is a number, received {target!r}.")
        if not math.isfinite(target):
            raise ArgumentError(f"The target is a finite number, received {target!r}.")
        self.metric = metric
        self.target = float(target)
        self._monitor = _Monitor(metric, 0.0, better)

    def on_fit_begin(self, trainer: Trainer, event: FitBegin) -> None:
        self._monitor.begin(trainer, event)

    def on_epoch_end(self, trainer: Trainer, event: EpochEnd) -> None:
        value = event.values[self.metric]
        higher = self._monitor.direction == HIGHER
        if value >= self.target if higher else value <= self.target:
            trainer.stop(f"{self.metric} reached {self.target:g}")


class StopAtLoss(StopAtMetric):
    """Stops when the loss of an epoch is at most a target.

    Args:
        target: the loss to reach.
        monitor: "loss" or "val_loss".

    Example:
        >>> import retrograd as rg
        >>> rg.StopAtLoss(0.01).target
        0.01
    """

    def __init__(self, target: float, monitor: str = "loss") -> None:
        super().__init__(monitor, target, better=LOWER)

"""What happens during `Trainer.fit`, as small frozen records that callbacks receive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FitBegin:
    """Training is about to start (or to go on).

    Args:
        epochs: how many epochs there will be in all.
        first_epoch: the number of the first epoch to train, from 1.
        samples, batch_size, batches: the training data, and how many batches an epoch has.
        validation_samples: how many samples are validated on; 0 for none.
        resumed: whether a saved training is continued.
        names: the values that each epoch gives (`loss`, `accuracy`, `val_loss`, ...).
    """

    epochs: int
    first_epoch: int
    samples: int
    batch_size: int
    batches: int
    validation_samples: int
    resumed: bool
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EpochBegin:
    """An epoch is about to start; the first has the number 1."""

    epoch: int
    epochs: int


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """A step is done.

    Args:
        epoch, epochs: the number of the epoch, and of how many.
        batch, batches: the number of the batch in the epoch, and of how many.
        samples: how many samples of this epoch have been trained on.
        loss: the loss of this batch.
        measure: gives the mean loss and the metrics of the epoch so far.
    """

    epoch: int
    epochs: int
    batch: int
    batches: int
    samples: int
    loss: float
    measure: Callable[[], dict[str, float]]

    @property
    def values(self) -> dict[str, float]:
        """The mean loss and the metrics of the epoch so far."""
        return self.measure()


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """An epoch is done, validation included.

    Args:
        epoch, epochs: the number of the epoch, and of how many.
        values: loss, metrics and, with validation data, `val_loss`, ...
        seconds: how long the epoch took.
    """

    epoch: int
    epochs: int
    values: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class FitEnd:
    """Training is over.

    Args:
        epochs: how many epochs are complete.
        stopped_by: None when all epochs were trained; "interrupt" (Ctrl-C), "divergence", or
            what a callback said.
        seconds: how long it took.
    """

    epochs: int
    stopped_by: str | None
    seconds: float


Event = FitBegin | EpochBegin | BatchEnd | EpochEnd | FitEnd

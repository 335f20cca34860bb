"""Small models and data for the tests of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import retrograd as rg
from retrograd import nn, optim

NumpyArray = np.ndarray[Any, Any]


def make_data(count: int = 70, seed: int = 0) -> tuple[NumpyArray, NumpyArray]:
    """Three classes that a small network can tell apart, four float64 features."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, 4))
    return x, ((x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0.3))


def make_net(dropout: float = 0.3) -> nn.Sequential:
    """A network with everything that has a state: batch statistics and random masks."""
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm(8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 3)
    )


def make_trainer(**changes: Any) -> rg.Trainer:
    rg.seed(changes.pop("seed", 7))
    arguments: dict[str, Any] = {
        "model": None,
        "loss": "cross_entropy",
        "optimizer": None,
        "metrics": ["accuracy"],
    }
    arguments.update(changes)
    if arguments["model"] is None:
        arguments["model"] = make_net()
    if arguments["optimizer"] is None:
        arguments["optimizer"] = optim.SGD(learning_rate=0.05, momentum=0.9)
    return rg.Trainer(**arguments)


def bits_of(trainer: rg.Trainer) -> dict[str, bytes]:
    """Everything that a training has become, as bytes."""
    found = {path: array.numpy().tobytes() for path, array in trainer.model.named_state().items()}
    leaves = rg.tree.leaves(trainer.optimizer.state)
    found.update({f"optimizer {n}": np.asarray(leaf).tobytes() for n, leaf in enumerate(leaves)})
    found["generator"] = np.asarray(rg.random.default_generator().state).tobytes()
    return found


class AtBatch(rg.Callback):
    """Does something once, after a batch of an epoch (both from 1)."""

    def __init__(self, epoch: int, batch: int, action: Callable[[rg.Trainer], None]) -> None:
        self.place = (epoch, batch)
        self.action = action

    def on_batch_end(self, trainer: rg.Trainer, event: Any) -> None:
        if (event.epoch, event.batch) == self.place:
            self.action(trainer)


class AtEpoch(rg.Callback):
    """Does something once, at the end of an epoch."""

    def __init__(self, epoch: int, action: Callable[[rg.Trainer], None]) -> None:
        self.epoch = epoch
        self.action = action

    def on_epoch_end(self, trainer: rg.Trainer, event: Any) -> None:
        if event.epoch == self.epoch:
            self.action(trainer)


def interrupt(trainer: rg.Trainer) -> None:
    raise KeyboardInterrupt

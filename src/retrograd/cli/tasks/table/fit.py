"""Training the networks of a recipe on encoded rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import optim
from ....ops import random
from ....train.callbacks import Callback, EarlyStopping
from ....train.trainer import Trainer
from ...progress import LiveBar
from ..networks import SideBySide, mean_cross_entropy, mean_squared_error
from .recipe import Recipe

Floats = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Trained networks.

    Args:
        networks: with the weights of the best epoch, if there was a validation part.
        epochs: how many epochs those weights have seen.
        is_interrupted: whether Ctrl-C ended the training.
    """

    networks: SideBySide
    epochs: int
    is_interrupted: bool


def fit_networks(
    x: Floats,
    y: Floats,
    outputs: int,
    recipe: Recipe,
    seed: int,
    class_weights: Floats | None = None,
    validation: tuple[Floats, Floats] | None = None,
    epochs: int | None = None,
    label: str = "training",
) -> Fitted:
    """Train on all rows of x, and stop where the validation loss is lowest.

    Args:
        x: features, float32 (rows, features).
        y: class indices, int32 (rows,), or standardised numbers, float32 (rows, 1).
        outputs: classes, or 1.
        recipe: the network and how to train it.
        seed: of initial weights, order of rows and dropout.
        class_weights: (outputs,), or None.
        validation: x and y to stop on; None to train all epochs.
        epochs: instead of the recipe's.
        label: for the progress bar.

    Raises:
        DivergedError: the loss became NaN or infinite.
    """
    random.seed(seed)
    is_classifier = y.ndim == 1
    networks = SideBySide(recipe.members, (x.shape[1], *recipe.hidden, outputs), recipe.dropout)
    trainer = Trainer(
        networks,
        mean_cross_entropy if is_classifier else mean_squared_error,
        optim.AdamW(recipe.learning_rate, weight_decay=recipe.weight_decay),
    )
    callbacks: list[Callback] = [LiveBar(label)]
    stopping = EarlyStopping(recipe.patience)
    if validation is not None:
        callbacks.append(stopping)
    history = trainer.fit(
        x,
        y,
        epochs=recipe.epochs if epochs is None else epochs,
        batch_size=min(recipe.batch_size, len(x)),
        validation_data=None if validation is None else _weigh(*validation, class_weights),
        sample_weight=None if class_weights is None else class_weights[y],
        callbacks=callbacks,
        verbose=False,
    )
    done = len(history.epochs) if stopping.best_epoch is None else stopping.best_epoch
    return Fitted(networks, done, history.stopped_by == "interrupt")


def _weigh(x: Floats, y: Floats, class_weights: Floats | None) -> tuple[Floats, ...]:
    return (x, y) if class_weights is None else (x, y, class_weights[y])

"""Training a classifier of texts, until its validation loss rises."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import optim
from ....data.sequences import pad_sequences
from ....train.trainer import Trainer
from ..learning import Watch, lower
from .batches import TextBatches, choose_lengths
from .recipe import TextRecipe

NumpyArray = np.ndarray[Any, Any]

READING = 64
"""Texts that are read at once where nothing is learned."""


@dataclass(frozen=True, slots=True)
class TextFit:
    """How a training went; the network has the weights of the best epoch.

    Args:
        epochs: how many epochs those weights have seen.
        validation_loss: of those weights; None if it was not measured.
        is_interrupted: whether Ctrl-C ended the training.
    """

    epochs: int
    validation_loss: float | None
    is_interrupted: bool


def fit_texts(
    network: Any,
    recipe: TextRecipe,
    rows: Sequence[NumpyArray],
    labels: NumpyArray,
    seed: int,
    class_weights: NumpyArray | None = None,
    validation: tuple[Sequence[NumpyArray], NumpyArray] | None = None,
    epochs: int | None = None,
    show: Callable[[float, str], None] = lambda share, text: None,
) -> TextFit:
    """Train on texts, and keep the weights with the lowest validation loss, or the last ones.

    The learning rate rises and falls over the epochs of the recipe (`find_rate`).

    Args:
        network: is trained in place.
        recipe: how.
        rows, labels: tokens and class indices.
        seed: of the order of the texts; the weights are there already.
        class_weights: (classes,), or None.
        validation: rows and labels to stop on; None to train all epochs.
        epochs: stop after so many, as if it were in the midst of a longer training.
        show: is told very often: share done, a short text.

    Raises:
        DivergedError: the loss became NaN or infinite.
        KeyboardInterrupt: before anything was learned.
    """
    batches = TextBatches(rows, labels, recipe.batch_size, choose_lengths(rows), seed)
    optimizer = optim.AdamW(recipe.learning_rate, weight_decay=recipe.weight_decay)
    trainer = Trainer(network, "cross_entropy", optimizer)
    each = -(-len(rows) // batches.batch_size)
    last, total = recipe.epochs if epochs is None else epochs, recipe.epochs * each
    best, best_epoch, kept = math.inf, 0, None

    def show_step(share: float, steps: int, loss: float) -> None:
        show(share, f"epoch {steps // each + 1}  loss {loss:.3f}")

    watch = Watch(last * each, None, show_step)
    try:
        for epoch in range(1, last + 1):
            for x, y in batches.draw_epoch():
                optimizer.set_learning_rate(
                    recipe.learning_rate * find_rate(watch.done / total, recipe.warm_up)
                )
                weights = None if class_weights is None else class_weights[y]
                history = trainer.fit(
                    x,
                    y,
                    1,
                    batches.batch_size,
                    shuffle=False,
                    sample_weight=weights,
                    callbacks=[watch],
                    verbose=False,
                )
                if history.stopped_by == "interrupt":
                    raise KeyboardInterrupt
            if validation is None:
                best_epoch = epoch
                continue
            loss = measure_loss(find_logits(network, validation[0]), validation[1], class_weights)
            if recipe.keeps_last:
                best, best_epoch = loss, epoch
            elif loss < best:
                best, best_epoch, kept = loss, epoch, network.named_state()
            elif epoch - best_epoch >= recipe.patience:
                break
    except KeyboardInterrupt:
        if not watch.done:
            raise
        if kept is not None:
            network.load_state(kept)
        return TextFit(max(best_epoch, 1), _if_measured(best), True)
    if kept is not None:
        network.load_state(kept)
    return TextFit(best_epoch, _if_measured(best), False)


def _if_measured(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


def find_rate(share: float, warm_up: float = 0.0) -> float:
    """The learning rate, as a share of the highest, when so much of the training is done.

    Args:
        share: of the training that is done.
        warm_up: over this share it rises, then it falls along half a cosine.

    Example:
        >>> [round(find_rate(share), 2) for share in (0.0, 0.5, 1.0)]
        [1.0, 0.51, 0.02]
        >>> [round(find_rate(share, 0.2), 2) for share in (0.0, 0.1, 0.2)]
        [0.1, 0.49, 0.91]
    """
    rising = 1.0 if share >= warm_up else max(0.1, share / warm_up)
    return rising * lower(share)


def find_logits(network: Any, rows: Sequence[NumpyArray]) -> NumpyArray:
    """What a network gives for each text, in eval mode, (rows, classes)."""
    was_training = network.training
    network.eval()
    try:
        sizes = np.array([len(row) for row in rows], np.int64)
        order = np.argsort(sizes, kind="stable")
        found = np.zeros((len(rows), network.classes), np.float32)
        for start in range(0, len(rows), READING):
            chosen = order[start : start + READING]
            length = max(1, int(sizes[chosen[-1]]))
            filled, _ = pad_sequences([rows[row] for row in chosen], length=length)
            found[chosen] = np.asarray(network(filled))
        return found
    finally:
        network.train(was_training)


def measure_loss(logits: NumpyArray, labels: NumpyArray, weights: NumpyArray | None) -> float:
    """The mean cross-entropy of labels, where rows of a class count by its weight."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    losses = -logs[np.arange(len(labels)), labels]
    return float(np.average(losses, weights=None if weights is None else weights[labels]))

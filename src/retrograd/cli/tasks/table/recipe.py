"""The choice of a network for a table, by its size alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

SMALL_TABLE = 5_000  # rows; below, averaging pays, and a test part is too much to leave unlearned
IMBALANCE = 4.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network for a table is built and trained.

    Args:
        hidden: units of each hidden layer.
        members: how many networks are trained side by side and averaged.
        dropout: the probability that a hidden unit is left out of a step.
        weight_decay: decoupled, of AdamW.
        learning_rate: of AdamW.
        batch_size: rows in a step.
        epochs: at most so many.
        patience: stop after so many epochs without a better validation loss.
        refit: whether all rows are learned at the end, with the epochs found.
    """

    hidden: tuple[int, ...]
    members: int
    dropout: float
    weight_decay: float
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    refit: bool

    def to_json(self) -> dict[str, Any]:
        """The recipe as a plain dict."""
        return asdict(self)

    def describe(self, features: int, outputs: int) -> str:
        """The network in words.

        Example:
            >>> choose_recipe(500, 10, 2).describe(10, 2)
            '10 -> 64 -> 64 -> 2, relu, dropout 0.1; 8 of them side by side, averaged'
        """
        sizes = " -> ".join(str(size) for size in (features, *self.hidden, outputs))
        several = f"; {self.members} of them side by side, averaged" if self.members > 1 else ""
        return f"{sizes}, relu, dropout {self.dropout:g}{several}"


def choose_recipe(rows: int, features: int, outputs: int, epochs: int | None = None) -> Recipe:
    """Choose network and training by the size of the table.

    Small tables get several small networks, whose average varies less from one sample of rows to
    another, and small batches, so that an epoch has some steps; large ones get one wider network
    and large batches. Nothing depends on the values in the table: only the number of epochs is
    found from them, on the validation part.

    Args:
        rows: of the training part.
        features, outputs: of the network.
        epochs: at most so many, if the user says so.

    Example:
        >>> choose_recipe(400, 30, 2).members, choose_recipe(100_000, 30, 2).members
        (8, 1)
    """
    is_small = rows < SMALL_TABLE
    width = 64 if is_small else 128 if rows < 50_000 else 256
    # Steps, not epochs, are what learning takes: about 10,000 at most for a small table.
    batch_size = int(np.clip(2 ** round(np.log2(max(rows, 1) / 16)), 16, 512))
    steps = max(1, -(-rows // batch_size))
    limit = int(np.clip(12_000 // steps, 30, 600))
    return Recipe(
        hidden=(width, width),
        members=8 if is_small else 1,
        dropout=0.1,
        weight_decay=0.01,
        learning_rate=1e-3,
        batch_size=batch_size,
        epochs=limit if epochs is None else epochs,
        patience=max(5, limit // 12),
        refit=rows < SMALL_TABLE,
    )


def find_class_weights(labels: np.ndarray[Any, Any], classes: int) -> np.ndarray[Any, Any] | None:
    """Weights that keep rare classes from being ignored, (classes,); None where none are needed.

    From a ratio of 4 between the largest and the smallest class on, a class of n rows weighs
    1 / sqrt(n), the mean over the rows being 1: half way between what is best for accuracy (equal
    weight for rows) and for balanced accuracy (equal weight for classes).

    Args:
        labels: class indices of the training part, (rows,).
        classes: their number.

    Example:
        >>> find_class_weights(np.array([0, 1, 0, 1]), 2) is None
        True
        >>> find_class_weights(np.array([0] * 16 + [1] * 4), 2).round(2).tolist()
        [0.83, 1.67]
    """
    counts = np.bincount(labels, minlength=classes)
    known = counts[counts > 0]
    if known.max() < IMBALANCE * known.min():
        return None
    weights = np.where(counts > 0, 1.0 / np.sqrt(np.maximum(counts, 1)), 0.0)
    return weights * (len(labels) / float((weights * counts).sum()))

"""The training data: trees of NumPy arrays with one leading axis, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import tree
from ..trace import Array

NumpyArray = np.ndarray[Any, Any]
Rows = slice | NumpyArray
MetricSums = Mapping[str, Mapping[str, NumpyArray]]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step is given.

    Args:
        x, y: trees of Arrays; y is None for a prediction.
        weight: the weights of the samples, or None.
        mass: what the batch counts in the mean of the epoch: the sum of weights, or its size.
        size: the number of samples.
    """

    x: Any
    y: Any
    weight: Array | None
    mass: float
    size: int


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs, targets and weights, checked and in the dtypes that the model is fed.

    Args:
        x, y: trees of NumPy arrays, all with `count` rows.
        count: the number of samples.
        weight: (count, ...), in the parameters' dtype, or None.
        mass: (count,) float64: what each sample weighs in the mean, class weights included; or
            None when all weigh 1.
        class_weight: (classes,), in the parameters' dtype, or None.
    """

    x: Any
    y: Any
    count: int
    weight: NumpyArray | None = None
    mass: NumpyArray | None = None
    class_weight: Array | None = None

    def batch(self, rows: Rows) -> Batch:
        """The samples of these rows."""
        size = len(range(*rows.indices(self.count))) if isinstance(rows, slice) else len(rows)
        return Batch(
            x=_take(self.x, rows),
            y=_take(self.y, rows),
            weight=None if self.weight is None else Array(self.weight[rows]),
            mass=float(size) if self.mass is None else float(self.mass[rows].sum()),
            size=size,
        )

    def select(self, rows: NumpyArray) -> Samples:
        """A part of the samples, as samples of their own."""
        return Samples(
            x=tree.map(lambda leaf: leaf[rows], self.x),
            y=tree.map(lambda leaf: leaf[rows], self.y),
            count=len(rows),
            weight=None if self.weight is None else self.weight[rows],
            mass=None if self.mass is None else self.mass[rows],
            class_weight=self.class_weight,
        )


def _take(data: Any, rows: Rows) -> Any:
    """The rows of each leaf as Arrays; a slice is a view, numbers of rows are a copy."""
    return tree.map(lambda leaf: Array(leaf[rows]), data)


class Running:
    """Sums over the batches of an epoch: the loss and each metric.

    The mean over an epoch is the mean over its samples, however they fall into batches.
    """

    def __init__(self, metrics: Mapping[str, Any]) -> None:
        self.metrics = metrics
        self.loss = 0.0
        self.mass = 0.0
        self.samples = 0
        self.sums: dict[str, dict[str, NumpyArray]] = {}

    def add(self, losses: NumpyArray, masses: NumpyArray, size: int, sums: MetricSums) -> None:
        """Add batches of one size, in order: their mean losses and the sums of their metrics.

        Batches added together and one after the other give the same bits.
        """
        self.loss = _add_up(self.loss, losses * masses)
        self.mass = _add_up(self.mass, masses)
        self.samples += size * len(losses)
        for name, parts in sums.items():
            mine = self.sums.setdefault(name, {})
            for part, stack in parts.items():
                terms = np.asarray(stack).astype(np.float64)
                start = np.asarray(mine[part] if part in mine else np.zeros(terms.shape[1:]))
                mine[part] = np.asarray(np.add.accumulate(np.concatenate([start[None], terms]))[-1])

    def values(self) -> dict[str, float]:
        """The mean loss and the metrics so far."""
        found = {"loss": self.loss / self.mass if self.mass else float("nan")}
        for name, metric in self.metrics.items():
            if name in self.sums:
                found[name] = float(metric.result(self.sums[name]))
        return found

    def state(self) -> dict[str, Any]:
        """What must be saved to go on in the middle of an epoch."""
        return {
            "loss": self.loss,
            "mass": self.mass,
            "samples": self.samples,
            "sums": {name: dict(parts) for name, parts in self.sums.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.loss = float(state["loss"])
        self.mass = float(state["mass"])
        self.samples = int(state["samples"])
        self.sums = {name: dict(parts) for name, parts in state["sums"].items()}


def _add_up(start: float, terms: NumpyArray) -> float:
    """`start + terms[0] + terms[1] + ...`, in this order."""
    return float(np.add.accumulate(np.concatenate([[start], terms]))[-1])

"""Steps over the samples: many in one native call where that can be, else one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from .. import tree
from ..trace import Array
from .samples import Batch, NumpyArray, Samples

if TYPE_CHECKING:
    from ..series import Feed, Series

Sums = dict[str, dict[str, NumpyArray]]

LONGEST_CALL = 0.05
"""Seconds that a native call may take: Ctrl-C and the progress bar wait for its end."""

FASTER = 8
"""How many times as many steps a call may have as the one before."""


@dataclass(frozen=True, slots=True)
class Results:
    """What some steps gave.

    Args:
        losses: (steps,) float64.
        sums: for each metric its sums, each with the steps as the first axis.
        broken: (steps,) bools by path: whether NaN or infinity came into a table of which each
            step changes a few rows.
        masses: (steps,) float64: what each batch counts in a mean.
        size: the samples of a batch.
    """

    losses: NumpyArray
    sums: Sums
    broken: dict[str, NumpyArray]
    masses: NumpyArray
    size: int


@final
class Steps:
    """A compiled step over batches of the samples.

    Args:
        step: the compiled function, called with `leading`, x, y, weight and `trailing`; it gives
            the loss, the sums of metrics, and whether tables are broken.
        leading: its first arguments: the model, the optimizer.
        samples: the data.
        trailing: its last arguments.
    """

    def __init__(
        self,
        step: Any,
        leading: tuple[Any, ...],
        samples: Samples,
        trailing: tuple[Any, ...] = (),
    ) -> None:
        self.step = step
        self.leading = leading
        self.samples = samples
        self.trailing = trailing
        self._memory: dict[int, tuple[Batch, list[Feed]]] = {}  # by batch size, as the next two
        self._native: dict[int, _Bound | None] = {}
        self._pace: dict[int, tuple[int, float]] = {}  # see _choose

    def run(
        self, order: NumpyArray | None, start: int, size: int, most: int
    ) -> tuple[int, Results | None]:
        """Some steps, at least one.

        Batches in which no sample counts teach nothing and are left out.

        Args:
            order: the numbers of the samples in the order in which they are used; None as they
                lie.
            start: the first sample's position in that order.
            size: the samples of a batch.
            most: how many steps there may be.

        Returns:
            How many batches are done, and their results; None if they were left out.
        """
        masses = self._weigh(order, start, size, most)
        if masses is not None:
            empty = np.flatnonzero(masses <= 0)
            if len(empty) and empty[0] == 0:
                return 1, None
            most = int(empty[0]) if len(empty) else most
        bound = self._bind(size)
        steps = 1 if bound is None else min(most, self._choose(size))
        begin = time.perf_counter()
        if bound is None:
            losses, sums, broken = self._run_one(order, start, size)
        else:
            losses, sums, broken = bound.run(steps, order, start, size)
        before, _ = self._pace.get(size, (0, 0.0))
        if 2 * steps > before:
            self._pace[size] = (steps, time.perf_counter() - begin)
        full = np.full(steps, float(size)) if masses is None else masses[:steps]
        return steps, Results(losses, sums, broken, full, size)

    def _weigh(
        self, order: NumpyArray | None, start: int, size: int, most: int
    ) -> NumpyArray | None:
        """What the next batches count; None where each counts its samples."""
        mass = self.samples.mass
        if mass is None:
            return None
        most = min(most, self._choose(size))
        rows = slice(start, start + most * size)
        chosen = mass[rows if order is None else order[rows]]
        return chosen.reshape(most, size).sum(axis=1)

    def _choose(self, size: int) -> int:
        """How many steps the next call has: about as many as fit into its time.

        The pace is that of a long call: steps and seconds.
        """
        steps, seconds = self._pace.get(size, (0, 0.0))
        if not steps:
            return 1
        return max(1, min(FASTER * steps, int(LONGEST_CALL * steps / max(seconds, 1e-9))))

    def _run_one(
        self, order: NumpyArray | None, start: int, size: int
    ) -> tuple[NumpyArray, Sums, dict[str, NumpyArray]]:
        rows = slice(start, start + size)
        batch = self.samples.batch(rows if order is None else order[rows])
        loss, *others = self.step(*self._arguments(batch))
        sums, broken = tree.map(lambda array: np.asarray(array)[None], others)
        return np.array([float(loss)]), sums, broken

    def _arguments(self, batch: Batch) -> tuple[Any, ...]:
        return (*self.leading, batch.x, batch.y, batch.weight, *self.trailing)

    def _bind(self, size: int) -> _Bound | None:
        """The step with memory for batches of this size, unless its arguments have changed."""
        known = self._native.get(size)
        if size in self._native and (known is None or known.is_valid()):
            return known
        if size not in self._memory:
            self._memory[size] = make_batch(self.samples, size)
        batch, feeds = self._memory[size]
        arguments = self._arguments(batch)
        series = self.step.series(*arguments)
        bound = None if series is None else _Bound(series, arguments, feeds)
        self._native[size] = bound
        return bound


@dataclass(frozen=True, slots=True)
class _Bound:
    """A native step with memory for a batch."""

    series: Series
    arguments: tuple[Any, ...]
    feeds: list[Feed]

    def is_valid(self) -> bool:
        return self.series.binding.is_valid(self.arguments)

    def run(
        self, steps: int, order: NumpyArray | None, start: int, size: int
    ) -> tuple[NumpyArray, Sums, dict[str, NumpyArray]]:
        losses, sums, broken = self.series.run(steps, self.feeds, order, start, size)
        return losses.astype(np.float64), sums, broken


def make_batch(samples: Samples, size: int) -> tuple[Batch, list[Feed]]:
    """Memory for a batch, and where its rows come from."""
    from ..series import Feed

    feeds: list[Feed] = []

    def make(data: NumpyArray) -> Array:
        array = Array(np.zeros((size, *data.shape[1:]), data.dtype))
        feeds.append(Feed(array, np.ascontiguousarray(data)))
        return array

    batch = Batch(
        x=tree.map(make, samples.x),
        y=tree.map(make, samples.y),
        weight=None if samples.weight is None else make(samples.weight),
        mass=float(size),
        size=size,
    )
    return batch, feeds


def run_all(steps: Steps, size: int) -> Iterator[Results]:
    """The results of all samples as they lie, in batches of a size; the last may be smaller."""
    count, start = steps.samples.count, 0
    while start < count:
        part = min(size, count - start)
        done, results = steps.run(None, start, part, (count - start) // part)
        start += done * part
        if results is not None:
            yield results

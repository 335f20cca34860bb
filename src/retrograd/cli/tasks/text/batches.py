"""Texts of different lengths as batches of few shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ....data.sequences import pad_sequences

NumpyArray = np.ndarray[Any, Any]

SHARES = (0.4, 0.75, 0.95, 1.0)
"""The shares of texts that fit into the lengths to which they are filled up."""
PIECES = 3
"""Parts into which the batches of a length are cut, so that an epoch mixes the lengths."""


def choose_lengths(rows: Sequence[NumpyArray]) -> list[int]:
    """A few lengths to which texts are filled up: a step is compiled once for each.

    Example:
        >>> choose_lengths([np.zeros(n) for n in (3, 5, 9, 30)])
        [16, 32]
    """
    lengths = np.array([len(row) for row in rows])
    found = {max(8, -(-int(np.quantile(lengths, s, method="higher")) // 8) * 8) for s in SHARES}
    return sorted(found)


class TextBatches:
    """Batches for training, all with as many rows, in a new order in each epoch.

    Texts of about the same length come together. Where they do not fill the last batch of an
    epoch, a few are seen twice.

    Args:
        rows: the tokens of each text.
        labels: class indices, (rows,).
        batch_size: rows of a batch.
        lengths: to which rows are filled up, ascending.
        seed: of the order.
    """

    def __init__(
        self,
        rows: Sequence[NumpyArray],
        labels: NumpyArray,
        batch_size: int,
        lengths: Sequence[int],
        seed: int,
    ) -> None:
        self.rows = rows
        self.labels = labels
        self.batch_size = min(batch_size, len(rows))
        self.lengths = list(lengths)
        self._random = np.random.default_rng(seed)
        self._sizes = np.array([len(row) for row in rows])

    def draw_epoch(self) -> Iterator[tuple[NumpyArray, NumpyArray]]:
        """Inputs (n * batch_size, length) and labels of some batches at a time."""
        size, count = self.batch_size, len(self.rows)
        order = self._random.permutation(count)
        missing = -count % size
        order = np.concatenate([order, order[:missing]])
        # A stable sort after the permutation: texts of one length meet others in each epoch.
        order = order[np.argsort(self._sizes[order], kind="stable")].reshape(-1, size)
        limits = np.minimum(np.searchsorted(self.lengths, self._sizes[order[:, -1]]), self._last)
        pieces = []
        for place in np.unique(limits):
            batches = self._random.permutation(np.flatnonzero(limits == place))
            for part in np.array_split(batches, min(PIECES, len(batches))):
                pieces.append((self.lengths[place], order[part].reshape(-1)))
        for number in self._random.permutation(len(pieces)):
            length, chosen = pieces[number]
            filled, _ = pad_sequences([self.rows[row] for row in chosen], length=length)
            yield filled, self.labels[chosen]

    @property
    def _last(self) -> int:
        return len(self.lengths) - 1

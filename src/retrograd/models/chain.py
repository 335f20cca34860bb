"""Tags that depend on the tag before: the loss of a linear-chain CRF, and the best tags."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ops.arithmetic import maximum
from ..ops.comparison import greater, where
from ..ops.composite import logsumexp, swapaxes
from ..ops.contract import matmul
from ..ops.index import one_hot
from ..ops.loop import scan
from ..ops.promotion import as_array, convert
from ..ops.reduce import sum as total_of
from ..ops.shape import expand_dims
from ..trace import Array

__all__ = ["chain_cross_entropy", "find_best_tags"]

NumpyArray = np.ndarray[Any, Any]


def chain_cross_entropy(outputs: Any, tags: Any) -> Array:
    r"""Minus the log of the probability of the right tags of whole sequences, for each word.

    .. math:: -\log p(y \mid x) = \log \sum_{y'} e^{s(y')} - s(y),
        \quad s(y) = f_{y_1} + \sum_t z_{t, y_t} + \sum_t m_{y_{t-1}, y_t}

    The sum over all y' is found step by step (forward algorithm).

    Args:
        outputs: of a SequenceTagger with `chain=True`: the logits z (batch, time, tags), and of
            each row f and below it m, (batch, 1 + tags, tags), the same in all rows.
        tags: (batch, time), from 1 on; 0 is filling, which stands behind the words.

    Returns:
        The sum over the sequences, divided by the number of words.

    Example:
        >>> from retrograd import models
        >>> tagger = models.SequenceTagger(words=9, tags=2, chain=True)
        >>> round(float(models.chain_cross_entropy(tagger([[1, 2, 0]]), [[1, 2, 0]])), 1) > 0
        True

    Source: J. Lafferty, A. McCallum, F. Pereira, Conditional random fields, ICML 2001.
    """
    logits, chain = _take_apart(outputs)
    dtype, classes = logits.type.dtype, logits.type.shape[-1]
    wanted = as_array(tags)
    if wanted.type.shape != logits.type.shape[:2]:
        raise ShapeError(
            f"chain_cross_entropy: expected tags {logits.type.shape[:2]} for logits "
            f"{logits.type.shape}, received {wanted.type.shape}."
        )
    known = greater(wanted, 0)
    first, moves = chain[0, 0], chain[0, 1:]
    marks = one_hot(maximum(wanted - 1, 0), classes, dtype=dtype)
    marks = where(expand_dims(known, -1), marks, 0.0)
    right = total_of(marks * logits) + total_of(marks[:, 0] * first)
    right = right + total_of(matmul(marks[:, :-1], moves) * marks[:, 1:])

    def step(sums: Array, inputs: tuple[Array, Array]) -> tuple[Array, None]:
        scores, here = inputs
        after = logsumexp(expand_dims(sums, -1) + moves, axis=1) + scores
        return where(expand_dims(here, -1), after, sums), None

    steps = (swapaxes(logits, 0, 1)[1:], swapaxes(known, 0, 1)[1:])
    sums, _ = scan(step, logits[:, 0] + first, steps)
    every = total_of(where(known[:, 0], logsumexp(sums, axis=1), 0.0))
    return (every - right) / maximum(total_of(convert(known, dtype)), 1.0)


def find_best_tags(outputs: Any, sizes: Any) -> NumpyArray:
    """The most probable tags of whole sequences (Viterbi's algorithm).

    Args:
        outputs: of a SequenceTagger with `chain=True`.
        sizes: how many words each row has, (batch,).

    Returns:
        The tags from 0 on, int64 (batch, time); 0 behind the end of a row.

    Example:
        >>> import numpy as np
        >>> logits = np.array([[[0.0, 1.0], [0.9, 1.0]]])
        >>> chain = np.array([[[0.0, 0.0], [0.0, 0.0], [0.5, 0.0]]])  # 0 follows 1
        >>> find_best_tags((logits, chain), [2])
        array([[1, 0]])

    Source: A. Viterbi, Error bounds for convolutional codes, IEEE Transactions on Information
    Theory 13 (1967).
    """
    logits, chain = (np.asarray(part, np.float64) for part in outputs)
    rows, time, _ = logits.shape
    counts = np.asarray(sizes)
    first, moves = chain[0, 0], chain[0, 1:]
    best = logits[:, 0] + first
    ends = np.where(counts == 1, best.argmax(axis=1), 0)
    before = np.zeros(logits.shape, np.int64)
    for step in range(1, time):
        tried = best[:, :, None] + moves
        before[:, step] = tried.argmax(axis=1)
        best = tried.max(axis=1) + logits[:, step]
        ends = np.where(counts == step + 1, best.argmax(axis=1), ends)
    found, numbers = np.zeros((rows, time), np.int64), np.arange(rows)
    tags = ends
    for step in range(time - 1, -1, -1):
        inside = step < counts
        found[inside, step] = tags[inside]
        tags = np.where(inside, before[numbers, step, tags], tags)
    return found


def _take_apart(outputs: Any) -> tuple[Array, Array]:
    if not isinstance(outputs, (tuple, list)) or len(outputs) != 2:
        raise ShapeError(
            "chain_cross_entropy: expected logits and a chain.",
            fix="build the SequenceTagger with chain=True",
        )
    logits, chain = (as_array(part) for part in outputs)
    return logits, chain

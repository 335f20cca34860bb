"""Search for the most probable sequence that a model writes: greedy, or with several beams."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .. import tree
from ..compile import compile
from ..errors import ArgumentTypeError, DTypeError, ShapeError, StateError
from ..ir.types import float32
from ..nn.layer import as_count, as_number
from ..nn.module import Module
from ..ops.composite import log_softmax
from ..ops.index import take
from ..ops.promotion import convert
from ..trace import Array
from .generation import Progress

__all__ = ["search"]

NumpyArray = np.ndarray[Any, Any]


@lru_cache(maxsize=64)
def _compiled(executor: str, structure: Any, shape: tuple[int, ...]) -> Any:
    """The compiled step of models whose memory and cache have this structure.

    Args:
        executor: what runs it.
        structure: of memory and cache.
        shape: of the source and the beams; each has a function of its own.
    """

    def step(model: Any, kept: Any, progress: Any, tokens: Any, parents: Any) -> Array:
        leaves = [take(leaf, parents, axis=0) for leaf in progress.read()]
        memory, cache = tree.unflatten(structure, [*kept.read(), *leaves])
        logits, after = model.step(tokens, memory, cache)
        progress.write(tree.flatten(after)[0])
        return convert(log_softmax(logits[:, -1], axis=-1), float32)

    return compile(step, executor=executor)


@lru_cache(maxsize=64)
def _compiled_encoder(executor: str, shape: tuple[int, ...]) -> Any:
    """The compiled reading of a source of this shape, with its beams."""

    def encode(model: Any, source: Any, rows: Any) -> Any:
        return tree.map(lambda leaf: take(leaf, rows, axis=0), model.encode(source))

    return compile(encode, executor=executor)


def search(
    model: Module,
    source: Any,
    start: int,
    end: int,
    length: int,
    beams: int = 4,
    penalty: float = 1.0,
    forbidden: Sequence[int] = (),
    executor: str = "native",
) -> list[NumpyArray]:
    r"""The sequences that a model writes for sources: a beam search.

    At each step the `beams` most probable beginnings go on. Of those that came to their end the one
    with the largest :math:`\log p / n^a` is taken, for n tokens (the end counted) and the penalty
    a. With one beam it is the greedy choice. One compiled step takes a token of all beams, with the
    model's state in a cache.

    Args:
        model: has `encode(source) -> (memory, cache)` and
            `step(tokens, memory, cache) -> (logits, cache)`, as Translator has. All their arrays
            have the batch as their first axis.
        source: (batch, time), integers.
        start: the token with which targets begin; it is not part of the result.
        end: the token with which they end; nor is it.
        length: the most tokens of a result.
        beams: how many beginnings are kept; 1 is greedy.
        penalty: 0 prefers short results, 1 does not.
        forbidden: tokens that are never written.
        executor: "native" or "numpy".

    Returns:
        For each source its tokens, int32. The model's mode is as before.

    Raises:
        ArgumentTypeError: the model does not write from a source.
        ShapeError: the source is no (batch, time).
        StateError: the model gives NaN.

    Example:
        >>> from retrograd import models
        >>> model = models.Translator(vocabulary=20, features=8)
        >>> written = models.search(model, [[5, 6, 3], [7, 3, 0]], start=2, end=3, length=9)
        >>> len(written), len(written[0]) <= 9
        (2, True)

    Source: Y. Wu et al., Google's neural machine translation system (2016), section 7.
    """
    for name in ("encode", "step"):
        if not hasattr(model, name):
            raise ArgumentTypeError(
                f"search: {type(model).__name__} has no {name}.",
                fix="pass a model that reads a source, such as models.Translator",
            )
    given = np.asarray(source)
    if given.dtype.kind not in "iu":
        raise DTypeError(f"search: a source holds integers, received {given.dtype.name}.")
    if given.ndim != 2 or 0 in given.shape:
        raise ShapeError(
            f"search: expected a source of shape (batch, time), received {given.shape}."
        )
    beams, length = as_count(beams, "beams", "search"), as_count(length, "length", "search")
    power = as_number(penalty, "penalty", "search", low=0.0)
    was_training = model.training
    model.eval()
    try:
        return _search(
            model, given.astype(np.int32), (start, end), length, beams, power, forbidden, executor
        )
    finally:
        model.train(was_training)


def _search(
    model: Any,
    source: NumpyArray,
    ends: tuple[int, int],
    length: int,
    beams: int,
    power: float,
    forbidden: Sequence[int],
    executor: str,
) -> list[NumpyArray]:
    batch = len(source)
    rows = np.repeat(np.arange(batch, dtype=np.int32), beams)
    shape = (*source.shape, beams)
    memory, cache = _compiled_encoder(executor, shape)(model, source, rows)
    step = _compiled(executor, tree.flatten((memory, cache))[1], shape)
    kept, progress = Progress(tree.flatten(memory)[0]), Progress(tree.flatten(cache)[0])
    tokens = np.full((batch * beams, 1), ends[0], np.int32)
    parents = np.arange(batch * beams, dtype=np.int32)
    hypotheses = _Hypotheses(batch, beams, length, ends[1], power)
    for _ in range(length):
        scores = np.array(step(model, kept, progress, tokens, parents))
        if np.isnan(scores).any():
            raise StateError(
                f"search: the {type(model).__name__} gives NaN for the next token.",
                fix="look for NaN and infinity in its weights; train it again, or load them anew",
            )
        scores[:, [ends[0], *forbidden]] = -np.inf
        parents, tokens = hypotheses.extend(scores)
        if hypotheses.is_done():
            break
    return hypotheses.choose()


class _Hypotheses:
    """What was written so far.

    Args:
        batch: the number of sources.
        beams: beginnings of each that go on.
        length: the most tokens.
        end: the token that ends a sequence.
        power: of the length by which scores are divided.
    """

    def __init__(self, batch: int, beams: int, length: int, end: int, power: float) -> None:
        self.batch, self.beams, self.end, self.power = batch, beams, end, power
        self.written = np.zeros((batch, beams, length), np.int32)
        self.count = 0
        self.scores = np.full((batch, beams), -np.inf)
        self.scores[:, 0] = 0.0  # all beams are the same at the start: one goes on
        self.best = np.full(batch, -np.inf)
        self.ended: list[NumpyArray | None] = [None] * batch

    def extend(self, scores: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
        """Write one more token each.

        Args:
            scores: (batch * beams, vocabulary), the logarithms of probabilities.

        Returns:
            The rows that go on (batch * beams,), and their new tokens (batch * beams, 1).
        """
        batch, beams, size = self.batch, self.beams, scores.shape[1]
        total = self.scores[:, :, None] + scores.reshape(batch, beams, size)
        norm = float(self.count + 1) ** self.power
        self._finish(total[:, :, self.end] / norm)
        total[:, :, self.end] = -np.inf
        flat = total.reshape(batch, beams * size)
        chosen = np.argpartition(-flat, beams - 1, axis=1)[:, :beams]
        values = np.take_along_axis(flat, chosen, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        chosen = np.take_along_axis(chosen, order, axis=1)
        self.scores = np.take_along_axis(values, order, axis=1)
        beam, token = chosen // size, (chosen % size).astype(np.int32)
        self.written = np.take_along_axis(self.written, beam[:, :, None], axis=1)
        self.written[:, :, self.count] = token
        self.count += 1
        rows = beam + beams * np.arange(batch)[:, None]
        return rows.reshape(-1).astype(np.int32), token.reshape(-1, 1)

    def _finish(self, ending: NumpyArray) -> None:
        """Keep the best sequences that end here."""
        beam = ending.argmax(axis=1)
        value = ending[np.arange(self.batch), beam]
        for row in np.flatnonzero(value > self.best):
            self.best[row] = value[row]
            self.ended[row] = self.written[row, beam[row], : self.count].copy()

    def is_done(self) -> bool:
        """Whether no beginning can become better than what has ended.

        Its score only falls; divided by the power of the greatest length it may fall least.
        """
        hope = self.scores.max(axis=1) / float(self.written.shape[2]) ** self.power
        return bool((self.best >= hope).all())

    def choose(self) -> list[NumpyArray]:
        """The best sequence of each; where none has ended, the best beginning."""
        return [
            self.written[row, 0, : self.count] if ended is None else ended
            for row, ended in enumerate(self.ended)
        ]

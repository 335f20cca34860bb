"""Masked tokens: what an encoder is pretrained to find again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError, DTypeError, ShapeError
from .text import SPECIAL

NumpyArray = np.ndarray[Any, Any]

SHARE = 0.15
HIDDEN, REPLACED = 0.8, 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Masked:
    """Rows of tokens of which some are to be found again.

    Args:
        tokens: what the network sees, int32 (rows, time).
        places: which ones were chosen, in their order, int32 (rows, count).
        targets: what stands there, int32 (rows, count).
        weights: float32 (rows, count): 1, or 0 where a short row has fewer than count places.
    """

    tokens: NumpyArray
    places: NumpyArray
    targets: NumpyArray
    weights: NumpyArray

    @property
    def inputs(self) -> tuple[NumpyArray, NumpyArray]:
        """What a MaskedLanguageModel is called with."""
        return self.tokens, self.places


def mask_tokens(
    tokens: Any,
    vocabulary: int,
    random: np.random.Generator,
    share: float = SHARE,
    special: int = len(SPECIAL),
) -> Masked:
    """Choose places anew, and hide what stands there.

    In each row the nearest whole number to `share` of its tokens is chosen, at least one. Of the
    places chosen, 80 % become `vocabulary` (the number of the mask), 10 % any token, and
    10 % stay as they are, so that the network must know each token, and not only hidden ones.

    Args:
        tokens: integers (rows, time).
        vocabulary: how many different tokens there are.
        random: draws the places.
        share: of the tokens that are chosen, above 0 and at most 1.
        special: the numbers below it (padding, unknown, start, end) are not chosen, and take no
            place of another one.

    Returns:
        The rows and what is hidden in them. A row without any token to choose has weights of 0.

    Raises:
        ArgumentError: share is outside (0, 1], or the vocabulary holds special numbers alone.
        DTypeError, ShapeError: tokens are no integers (rows, time).
        DataError: a token is outside the vocabulary.

    Example:
        >>> random = np.random.default_rng(0)
        >>> masked = mask_tokens([[4, 5, 6, 7, 4, 5, 0, 0]], vocabulary=8, random=random)
        >>> masked.tokens.tolist(), masked.places.tolist(), masked.targets.tolist()
        ([[4, 5, 6, 7, 4, 8, 0, 0]], [[5]], [[5]])

    Source: J. Devlin et al., BERT: pre-training of deep bidirectional transformers for language
    understanding, NAACL 2019, section 3.1.
    """
    rows = np.asarray(tokens)
    if rows.dtype.kind not in "iu":
        raise DTypeError(f"mask_tokens: tokens are integers, received {rows.dtype.name}.")
    if rows.ndim != 2 or 0 in rows.shape:
        raise ShapeError(
            f"mask_tokens: expected tokens (rows, time), received {rows.shape}.",
            fix="add an axis for the rows: tokens[None]",
        )
    if not 0.0 < share <= 1.0:
        raise ArgumentError(f"mask_tokens: share is above 0 and at most 1, received {share!r:.60}.")
    if vocabulary <= special:
        raise ArgumentError(
            f"mask_tokens: a vocabulary of {vocabulary} with {special} special tokens has none "
            "that could be hidden."
        )
    if rows.min() < 0 or rows.max() >= vocabulary:
        raise DataError(
            f"mask_tokens: tokens lie from 0 to {vocabulary - 1}; received {rows.min()} to "
            f"{rows.max()}."
        )
    may = rows >= special
    lengths = may.sum(axis=1)
    wanted = np.minimum(np.maximum(np.round(share * lengths).astype(np.int64), 1), lengths)
    most = max(1, int(wanted.max()))
    # Equal chances without repeats: the places of the smallest of as many random numbers.
    keys = random.random(rows.shape, np.float32)
    keys[~may] = 2.0
    order = np.argsort(keys, axis=1)[:, :most]
    valid = np.arange(most) < wanted[:, None]
    places = np.sort(np.where(valid, order, rows.shape[1]), axis=1)
    places = np.where(valid, places, 0)
    targets = np.take_along_axis(rows, places, axis=1)
    lot = random.random(places.shape, np.float32)
    others = random.integers(special, vocabulary, places.shape)
    shown = np.where(lot < HIDDEN, vocabulary, np.where(lot < HIDDEN + REPLACED, others, targets))
    seen = rows.astype(np.int32)
    numbers = np.broadcast_to(np.arange(len(rows))[:, None], places.shape)
    seen[numbers[valid], places[valid]] = shown[valid]
    return Masked(seen, places.astype(np.int32), targets.astype(np.int32), valid.astype(np.float32))


class Neighbours:
    r"""Finds hidden tokens by counting: what stands most often between these two neighbours?

    .. math:: p(c \mid l, r) = \frac{n(l, c, r) + s \, p(c \mid l)}{n(l, r) + s}, \qquad
        p(c \mid l) = \frac{n(l, c) + s \, p(c)}{n(l) + s}

    with s = 1 and :math:`p(c) = (n(c) + 1) / (n + classes)`; or p(c) alone.

    Args:
        numbers: the text whose tokens are counted, integers (length,).
        classes: how many different tokens there are.
        both_sides: whether the neighbours are looked at.

    Example:
        >>> text = np.array([4, 5, 6, 4, 7, 6] * 50)
        >>> bits, accuracy = Neighbours(text, 8).measure(np.array([4, 7, 6, 4, 5, 6]), [2, 3])
        >>> bits < 0.1, accuracy
        (True, 1.0)
    """

    def __init__(self, numbers: NumpyArray, classes: int, both_sides: bool = True) -> None:
        text = numbers.astype(np.int64)
        self.classes = classes
        self.both_sides = both_sides
        counts = np.bincount(text, minlength=classes)
        self._shares = (counts + 1.0) / (len(text) + classes)
        self._frequent = int(counts.argmax())
        self._singles = counts
        before, self._pairs = np.unique(text[:-1] * classes + text[1:], return_counts=True)
        self._pair_keys = before
        around = text[:-2] * classes + text[2:]
        self._around_keys, self._around = np.unique(around, return_counts=True)
        self._triple_keys, self._triples = np.unique(
            around * classes + text[1:-1], return_counts=True
        )
        # For each pair of neighbours the token that is most frequent between them.
        pair = self._triple_keys // classes
        order = np.lexsort((self._triples, pair))
        last = np.flatnonzero(np.append(np.diff(pair[order]) != 0, True)) if len(pair) else order
        self._best = (self._triple_keys % classes)[order][last]

    def measure(self, numbers: NumpyArray, places: Any) -> tuple[float, float]:
        """Bits for each of the tokens at these places, and the share that is found.

        The neighbours are seen as they are, even where a network has to do without them.

        Args:
            numbers: a text, integers (length,).
            places: which tokens are hidden, integers (count,).
        """
        text, at = numbers.astype(np.int64), np.asarray(places)
        hidden, shares = text[at], self._shares[text[at]]
        guess = np.full(len(at), self._frequent)
        if self.both_sides:
            edged = np.concatenate([[0], text, [0]])  # padding stands before and behind the text
            left, right = edged[at], edged[at + 2]
            together = _look_up(self._pair_keys, self._pairs, left * self.classes + hidden)
            shares = (together + shares) / (self._singles[left] + 1.0)
            around = left * self.classes + right
            found = _look_up(self._around_keys, self._around, around)
            triples = _look_up(self._triple_keys, self._triples, around * self.classes + hidden)
            shares = (triples + shares) / (found + 1.0)
            best = _look_up(self._around_keys, self._best, around)
            guess = np.where(found > 0, best, guess)
        return float(-np.log2(shares).mean()), float((guess == hidden).mean())


def _look_up(keys: NumpyArray, values: NumpyArray, wanted: NumpyArray) -> NumpyArray:
    """The values of keys (sorted); 0 for those that are not there."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64)
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[found] == wanted, values[found], 0)

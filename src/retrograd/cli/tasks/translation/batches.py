"""Pairs of sequences in batches of few different shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....data.pairs import Pairs
from ....data.text import Vocabulary

NumpyArray = np.ndarray[Any, Any]

LENGTHS = (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64)
"""To which sequences are filled up: the padded length of a bucket."""
STEPS_TOGETHER = 8
"""Steps with batches of one shape that follow each other, in one call."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Pairs of about the same length.

    Args:
        source: (pairs, length): the source and its end, int32.
        target: (pairs, length): the start and the target.
        following: (pairs, length): the target and its end.
    """

    source: NumpyArray
    target: NumpyArray
    following: NumpyArray

    def __len__(self) -> int:
        return len(self.source)

    @property
    def length(self) -> int:
        return int(self.source.shape[1])

    def rows(self, places: NumpyArray) -> tuple[tuple[NumpyArray, NumpyArray], NumpyArray]:
        """What a Trainer is given: x and y."""
        return (self.source[places], self.target[places]), self.following[places]


def make_buckets(pairs: Pairs, vocabulary: Vocabulary, longest: int) -> tuple[list[Bucket], int]:
    """The pairs as numbers, and how many were too long and are left out.

    Args:
        pairs: the texts.
        vocabulary: of both languages.
        longest: the most numbers of a side, its end included.
    """
    lengths = [length for length in LENGTHS if length < longest] + [longest]
    found: dict[int, list[tuple[NumpyArray, NumpyArray]]] = {}
    left = 0
    for source, target in pairs:
        one, two = encode_source(source, vocabulary), vocabulary.encode(target, ends=True)
        size = max(len(one), len(two) - 1)
        if size > longest:
            left += 1
            continue
        found.setdefault(next(n for n in lengths if n >= size), []).append((one, two))
    buckets = []
    for length, rows in sorted(found.items()):
        arrays = [np.full((len(rows), length), vocabulary.padding, np.int32) for _ in range(3)]
        for place, (one, two) in enumerate(rows):
            for array, numbers in zip(arrays, (one, two[:-1], two[1:])):
                array[place, : len(numbers)] = numbers
        buckets.append(Bucket(*arrays))
    return buckets, left


def encode_source(text: str, vocabulary: Vocabulary) -> NumpyArray:
    """The numbers of a text to translate, with its end."""
    return vocabulary.encode(text, ends=True)[1:]


def count_steps(buckets: Sequence[Bucket], batch_tokens: int) -> int:
    """The steps of an epoch."""
    return sum(-(-len(rows) // size) for _, size, rows in cut_epoch(buckets, batch_tokens, None))


def cut_epoch(
    buckets: Sequence[Bucket], batch_tokens: int, random: np.random.Generator | None
) -> Iterator[tuple[int, int, NumpyArray]]:
    """An epoch as calls of a few steps each, in a random order.

    Of a bucket with several batches what is left over is not read in this epoch: it would have a
    shape of its own.

    Yields:
        The number of the bucket, the size of a batch, and the places of the call's pairs.
    """
    calls = []
    for number, bucket in enumerate(buckets):
        size = min(len(bucket), max(1, batch_tokens // bucket.length))
        order = np.arange(len(bucket)) if random is None else random.permutation(len(bucket))
        used = len(bucket) // size * size
        for start in range(0, used, STEPS_TOGETHER * size):
            calls.append((number, size, order[start : min(used, start + STEPS_TOGETHER * size)]))
    places = range(len(calls)) if random is None else random.permutation(len(calls))
    return iter([calls[place] for place in places])

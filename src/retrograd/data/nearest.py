"""The plainest translator: the translation of the known text that is most alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError

NumpyArray = np.ndarray[Any, Any]

UNITS = ("characters", "words")
LENGTHS = (2, 3, 4, 5)
"""Of the runs of characters that are counted."""

WORD = re.compile(r"\w+")
FACTOR = np.uint64(0x9E3779B97F4A7C15)


class NearestTranslation:
    r"""Gives the translation of the known text with the largest cosine.

    A text is a vector with the weight :math:`(1 + \log n_t) \log\frac{1 + N}{1 + N_t} + 1` for each
    term t that it holds n times and that occurs in N_t of the N known texts.

    Args:
        sources: the known texts.
        targets: their translations.
        unit: of which terms are made: "words", or "characters": runs of 2 to 5 of them. Case and
            punctuation do not count.

    Raises:
        DataError: there are no texts, or not one translation for each.

    Example:
        >>> known = NearestTranslation(["the red house", "my cat"], ["la casa roja", "mi gato"])
        >>> known.translate(["the house"])
        ['la casa roja']

    Source: C. Manning, P. Raghavan, H. Schütze, Introduction to information retrieval, Cambridge
    University Press 2008, section 6.4.
    """

    def __init__(
        self, sources: Sequence[str], targets: Sequence[str], unit: str = "characters"
    ) -> None:
        if unit not in UNITS:
            raise ArgumentError(f"unit is one of {', '.join(UNITS)}; received {unit!r:.60}.")
        if not sources or len(sources) != len(targets):
            raise DataError(f"{len(sources)} texts with {len(targets)} translations.")
        self.targets = list(targets)
        self.unit = unit
        self._numbers: dict[str, int] = {}
        rows, terms = self._cut(sources, learn=True)
        self._terms, rows, counts, columns = _count(rows, terms)
        texts = len(sources)
        self._rarity = np.log((1 + texts) / (1 + np.bincount(columns))) + 1.0
        weights = (1.0 + np.log(counts)) * self._rarity[columns]
        lengths = np.sqrt(np.bincount(rows, weights**2, minlength=texts))
        order = np.argsort(columns, kind="stable")
        self._rows = rows[order].astype(np.int32)
        self._weights = (weights / lengths[rows])[order].astype(np.float32)
        self._starts = np.searchsorted(columns[order], np.arange(len(self._terms) + 1))

    def find(self, texts: Sequence[str]) -> NumpyArray:
        """For each text the number of the known one that is most alike, the first one if many."""
        found = np.zeros(len(texts), np.int64)
        for place, text in enumerate(texts):
            terms, _, counts, _ = _count(*self._cut([text], learn=False))
            columns = np.minimum(np.searchsorted(self._terms, terms), len(self._terms) - 1)
            known = self._terms[columns] == terms
            scores = np.zeros(len(self.targets), np.float32)
            for column, count in zip(columns[known], counts[known]):
                part = slice(self._starts[column], self._starts[column + 1])
                weight = np.float32((1.0 + np.log(count)) * self._rarity[column])
                scores[self._rows[part]] += weight * self._weights[part]
            found[place] = scores.argmax()
        return found

    def translate(self, texts: Sequence[str]) -> list[str]:
        """The translation of the nearest known text, for each text."""
        return [self.targets[number] for number in self.find(texts)]

    def _cut(self, texts: Sequence[str], learn: bool) -> tuple[NumpyArray, NumpyArray]:
        """The terms of texts as whole numbers, and the text that each is in."""
        cut = [WORD.findall(text.casefold()) for text in texts]
        if self.unit == "words":
            numbers = self._numbers
            if learn:
                for words in cut:
                    for word in words:
                        numbers.setdefault(word, len(numbers))
            lists = [[numbers[word] for word in words if word in numbers] for words in cut]
            rows = np.repeat(np.arange(len(lists)), [len(found) for found in lists])
            return rows, np.array([n for found in lists for n in found], np.uint64)
        # Runs of all texts at once; those that reach from one text into the next are left out.
        padded = [f" {' '.join(words)} " for words in cut]
        codes = np.frombuffer("".join(padded).encode("utf-32-le"), np.uint32).astype(np.uint64)
        rows = np.repeat(np.arange(len(padded)), [len(text) for text in padded])
        all_rows, all_terms = [], []
        hashed = np.zeros(len(codes), np.uint64)
        for length in range(1, LENGTHS[-1] + 1):
            ends = len(codes) - length + 1
            if ends <= 0:  # all texts together are shorter than the run
                break
            hashed = hashed[:ends] * FACTOR + codes[length - 1 :] + np.uint64(1)
            if length in LENGTHS:
                inside = rows[:ends] == rows[length - 1 :]
                all_rows.append(rows[:ends][inside])
                all_terms.append(hashed[inside] ^ np.uint64(length))
        return np.concatenate(all_rows), np.concatenate(all_terms)


def _count(
    rows: NumpyArray, terms: NumpyArray
) -> tuple[NumpyArray, NumpyArray, NumpyArray, NumpyArray]:
    """The different terms; and for each pair of row and term its row, its count, its column."""
    different, columns = np.unique(terms, return_inverse=True)
    size = max(len(different), 1)
    pairs, counts = np.unique(rows.astype(np.int64) * size + columns, return_counts=True)
    return different, pairs // size, counts, pairs % size

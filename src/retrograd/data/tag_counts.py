"""What counting alone says about tags, and which sequences are learned, stopped on and tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, FileFormatError

Sentence = Sequence[str]


@dataclass(frozen=True, slots=True)
class FrequentTags:
    """What counting alone says: the most frequent tag of each word, else the most frequent of all.

    Args:
        of_word: by word.
        otherwise: the tag of words that were not counted.
    """

    of_word: dict[str, str]
    otherwise: str

    @staticmethod
    def count(words: Sequence[Sentence], tags: Sequence[Sentence]) -> FrequentTags:
        """Count tags; of equally frequent ones the first in the alphabet counts.

        Example:
            >>> counted = FrequentTags.count([["a", "dog", "a"]], [["D", "N", "D"]])
            >>> counted.find([["dog", "cat"]])
            [['N', 'D']]
        """
        pairs: dict[str, Counter[str]] = {}
        alone: Counter[str] = Counter()
        for sentence, marks in zip(words, tags, strict=True):
            alone.update(marks)
            for word, tag in zip(sentence, marks, strict=True):
                pairs.setdefault(word, Counter())[tag] += 1
        of_word = {word: _find_most(counts) for word, counts in pairs.items()}
        return FrequentTags(of_word, _find_most(alone))

    def find(self, words: Sequence[Sentence]) -> list[list[str]]:
        """The tags of sequences."""
        return [[self.of_word.get(w, self.otherwise) for w in sentence] for sentence in words]

    def to_json(self) -> dict[str, Any]:
        """All that was counted, for JSON; `from_json` reads it."""
        words: dict[str, list[str]] = {}
        for word, tag in self.of_word.items():
            words.setdefault(tag, []).append(word)
        return {"words": words, "otherwise": self.otherwise}

    @staticmethod
    def from_json(description: Any) -> FrequentTags:
        """What `to_json` has described.

        Raises:
            FileFormatError: it is no such description.
        """
        try:
            words, otherwise = description["words"], description["otherwise"]
            listed = [(word, tag) for tag, found in words.items() for word in found]
            if not all(isinstance(item, str) for pair in [*listed, (otherwise,)] for item in pair):
                raise TypeError("words and tags are strings")
            return FrequentTags(dict(listed), otherwise)
        except (KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(
                f"The counted tags are damaged: {error}.", fix="train the model again"
            ) from None


def _find_most(counts: Counter[str]) -> str:
    return min(counts, key=lambda tag: (-counts[tag], tag))


def split_sequences(
    words: Sequence[Sentence], seed: int, test: float = 0.1, validation: float = 0.1
) -> tuple[list[int], list[int], list[int]]:
    """The numbers of the sequences to learn, to stop on and to test with, drawn at random.

    Sequences of the same words stay together, so that none is tested that was learned.

    Raises:
        DataError: there are fewer than ten different ones.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, sentence in enumerate(words):
        groups.setdefault(tuple(sentence), []).append(number)
    if len(groups) < 10:
        raise DataError(
            f"There {'is' if len(groups) == 1 else 'are'} {len(groups)} different "
            f"{'sequence' if len(groups) == 1 else 'sequences'}; at least 10 are needed to learn, "
            "to stop and to test.",
            fix="put an empty line between sequences, and give more of them",
        )
    listed = list(groups.values())
    order = np.random.default_rng(seed).permutation(len(listed))
    first = max(1, round(test * len(listed)))
    second = first + max(1, round(validation * len(listed)))
    parts = (order[second:], order[first:second], order[:first])
    learn, stop, last = (sorted(n for g in part for n in listed[g]) for part in parts)
    return learn, stop, last

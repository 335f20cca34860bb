"""Texts with their translations: read from a table, cut into shorter ones, split into parts."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from .table import Table

NumpyArray = np.ndarray[Any, Any]

LEAST_PAIRS = 50
TEST_SHARE, MOST_TO_TEST = 0.10, 1_000
VALIDATION_SHARE, MOST_TO_STOP_ON = 0.05, 300

WORD = re.compile(r"\w+")
ENDS = tuple(re.compile(rf"(?<=[{marks}])\s+") for marks in (".:;?!", ".:?!", ".?!"))
"""Where a text may be cut: the places that are tried first give the shortest pieces."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Texts and their translations.

    Args:
        sources: the texts.
        targets: the translation of each.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(zip(self.sources, self.targets))

    @staticmethod
    def of(pairs: Sequence[tuple[str, str]]) -> Pairs:
        """Those of a list."""
        return Pairs(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))

    def rows(self, places: Sequence[int] | NumpyArray) -> Pairs:
        """Those at these places, in this order."""
        return Pairs.of([(self.sources[place], self.targets[place]) for place in places])


@dataclass(frozen=True, slots=True)
class PairSplit:
    """Pairs to learn, to stop on and to report; no text of one part stands in another.

    Args:
        train, validation, test: the parts.
        notes: what the user should know.
    """

    train: Pairs
    validation: Pairs
    test: Pairs
    notes: tuple[str, ...] = ()


def read_pairs(table: Table, source: str, target: str) -> tuple[Pairs, list[str]]:
    """The texts of two columns, and notes on rows that were left out.

    Raises:
        DataError: a column is missing, is no text, or no row has both.

    Example:
        >>> table = Table.from_columns({"en": ["a house", "x"], "es": ["una  casa", None]})
        >>> pairs, notes = read_pairs(table, "en", "es")
        >>> list(pairs), notes
        ([('a house', 'una casa')], ['1 row has no text in en or es and is left out'])
    """
    if source == target:
        raise DataError(
            f"{source!r} is named as the source and as the target.",
            fix="Name the column of the texts, and that of their translations.",
        )
    columns = [read_texts(table, name) for name in (source, target)]
    found = [(a, b) for a, b in zip(*columns) if a and b]
    if not found:
        raise DataError(f"No row of {table.source} has a text in both {source!r} and {target!r}.")
    left, notes = len(table) - len(found), []
    if left:
        rows = "1 row has" if left == 1 else f"{left:,} rows have"
        are = "is" if left == 1 else "are"
        notes.append(f"{rows} no text in {source} or {target} and {are} left out")
    return Pairs.of(found), notes


def read_texts(table: Table, name: str) -> list[str]:
    """The texts of a column, with single spaces; "" where there is none.

    Raises:
        DataError: the column is missing, or holds no texts.
    """
    column = table.column(name)
    if column.dtype != object:
        raise DataError(
            f"The column {name!r} of {table.source} holds {column.dtype.name} values, not texts."
        )
    return ["" if text is None else " ".join(str(text).split()) for text in column]


def as_key(text: str) -> str:
    """What is the same for texts that differ in case, spaces and punctuation alone.

    Example:
        >>> as_key("And God said,") == as_key("and God  said:")
        True
    """
    return " ".join(WORD.findall(text.casefold())) or text


def split_pairs(pairs: Pairs, seed: int, test: Pairs | None = None) -> PairSplit:
    """Split at random, so that texts that are the same on a side come into the same part.

    Args:
        pairs: all of them, or what is left beside `test`.
        seed: of the choice.
        test: pairs to report on that are given. Pairs that share a text with them on a side are
            left out of the others, and the validation part is made of pairs that are no longer
            than the longest of them.

    Raises:
        DataError: there are too few.

    Example:
        >>> pairs = Pairs.of([(f"text {n}", f"texto {n}") for n in range(100)])
        >>> split = split_pairs(pairs, seed=0)
        >>> len(split.train), len(split.validation), len(split.test)
        (85, 5, 10)
    """
    if len(pairs) < LEAST_PAIRS:
        found = "is 1 pair" if len(pairs) == 1 else f"are {len(pairs)} pairs"
        raise DataError(
            f"There {found}; a translator takes at least {LEAST_PAIRS}, and learns "
            "little from fewer than 1,000."
        )
    notes, longest = [], None
    if test is not None:
        known = _keys(test)
        kept = [place for place, pair in enumerate(pairs) if known.isdisjoint(_keys_of(pair))]
        if len(kept) < LEAST_PAIRS:
            raise DataError(
                f"Only {len(kept)} pairs have no text that is also in the pairs to test with.",
                fix="Give other pairs to one of the two files.",
            )
        if len(kept) < len(pairs):
            notes.append(
                f"{len(pairs) - len(kept):,} pairs have a text of the test file and are not learnt"
            )
        pairs = pairs.rows(kept)
        longest = max(max(count_words(a), count_words(b)) for a, b in test)
    groups = _group(pairs)
    random.Random(seed).shuffle(groups)
    held: list[list[int]] = []
    if test is None:
        held.append(_take(groups, min(MOST_TO_TEST, max(1, round(len(pairs) * TEST_SHARE)))))
    short = groups
    if longest is not None:
        lengths = [max(count_words(a), count_words(b)) for a, b in pairs]
        short = [group for group in groups if all(lengths[n] <= longest for n in group)]
        if sum(map(len, short)) < LEAST_PAIRS:
            short = groups  # no matter how long they are
    held.append(_take(short, min(MOST_TO_STOP_ON, max(1, round(len(pairs) * VALIDATION_SHARE)))))
    out = {place for part in held for place in part}
    train = pairs.rows([place for place in range(len(pairs)) if place not in out])
    if not len(train):
        raise DataError("Nothing is left to learn: nearly all pairs have the same texts.")
    parts = [pairs.rows(part) for part in held]
    return PairSplit(train, parts[-1], parts[0] if test is None else test, tuple(notes))


def count_words(text: str) -> int:
    """The words between spaces."""
    return len(text.split())


def cut_pairs(pairs: Pairs, held: Sequence[Pairs] = ()) -> Pairs:
    """Cut at the ends of sentences and clauses where both sides have as many of them.

    Short pairs are easier to learn from: there is less to choose from for each word. Pieces of
    which one is more than about twice as long as the other are not believed.

    Args:
        pairs: to cut.
        held: what must not come out: a piece that is the same as a text of these is left out.

    Example:
        >>> list(cut_pairs(Pairs.of([("Be still. I am here.", "Calla. Estoy aquí.")])))
        [('Be still.', 'Calla.'), ('I am here.', 'Estoy aquí.')]
    """
    known: set[tuple[int, str]] = set().union(*map(_keys, held))
    found = []
    for source, target in pairs:
        found += [pair for pair in _cut(source, target) if known.isdisjoint(_keys_of(pair))]
    return Pairs.of(found)


def _cut(source: str, target: str) -> list[tuple[str, str]]:
    for ends in ENDS:
        pieces = list(zip(ends.split(source), ends.split(target)))
        if len(ends.split(source)) == len(ends.split(target)) > 1 and all(
            0.5 < (len(a) + 8) / (len(b) + 8) < 2.0 for a, b in pieces
        ):
            return pieces
    return [(source, target)]


def _keys_of(pair: tuple[str, str]) -> set[tuple[int, str]]:
    return {(side, as_key(text)) for side, text in enumerate(pair)}


def _keys(pairs: Pairs) -> set[tuple[int, str]]:
    return {key for pair in pairs for key in _keys_of(pair)}


def _group(pairs: Pairs) -> list[list[int]]:
    """The places of pairs that are connected by equal texts, group by group."""
    parents = list(range(len(pairs)))

    def find(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    first: dict[tuple[int, str], int] = {}
    for place, pair in enumerate(pairs):
        for key in _keys_of(pair):
            parents[find(place)] = find(first.setdefault(key, place))
    groups: dict[int, list[int]] = {}
    for place in range(len(pairs)):
        groups.setdefault(find(place), []).append(place)
    return list(groups.values())


def _take(groups: list[list[int]], wanted: int) -> list[int]:
    """The places of the last groups, at least so many; those groups are removed."""
    taken: list[int] = []
    while groups and len(taken) < wanted:
        taken += groups.pop()
    return taken

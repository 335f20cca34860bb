"""Pairs of texts: reading, cutting, splitting without leaks, and the nearest known one."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.data.nearest import NearestTranslation
from retrograd.data.pairs import Pairs, as_key, cut_pairs, read_pairs, split_pairs
from retrograd.data.table import Table
from retrograd.errors import ArgumentError, DataError


def make_pairs(count: int = 100) -> Pairs:
    return Pairs.of([(f"text {n}", f"texto {n}") for n in range(count)])


TEXTS = st.lists(
    st.tuples(*[st.sampled_from([f"{w} {n}" for w in ("A,", "a", "b") for n in range(9)])] * 2),
    min_size=60,
    max_size=90,
)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(0, 3), st.booleans())
def test_no_text_is_in_two_parts(texts: list[tuple[str, str]], seed: int, apart: bool) -> None:
    # Beside those that may be connected, enough that are not.
    others = [(f"one {n} here", f"uno {n} aquí") for n in range(60)]
    pairs, test = Pairs.of(others + texts), Pairs.of(texts[:5]) if apart else None
    split = split_pairs(pairs, seed, test)
    parts = (split.train, split.validation, split.test)
    for side in (0, 1):
        keys = [{as_key(pair[side]) for pair in part} for part in parts]
        assert not keys[0] & keys[1] and not keys[0] & keys[2] and not keys[1] & keys[2]
    together = Counter(pair for part in parts for pair in part)
    if test is None:
        assert together == Counter(pairs)
    else:
        assert split.test is test and len(split.train) + len(split.validation) <= len(pairs)


def test_the_seed_chooses_and_shares_are_as_told() -> None:
    first, same, other = (split_pairs(make_pairs(), seed) for seed in (0, 0, 1))
    assert first == same and set(first.test) != set(other.test)
    assert (len(first.train), len(first.validation), len(first.test)) == (85, 5, 10)


def test_with_a_test_file_the_validation_part_is_as_short() -> None:
    long = [(f"a long text {n} of many words", f"un texto {n}") for n in range(100)]
    test = Pairs.of([("text 1000", "texto 1000"), ("Text 3!", "other")])
    split = split_pairs(Pairs.of([*make_pairs(), *long]), 0, test)
    assert all(len(text.split()) == 2 for text in split.validation.sources)
    assert ("text 3", "texto 3") not in {*split.train, *split.validation}
    assert split.notes == ("1 pairs have a text of the test file and are not learnt",)


def test_too_few_pairs() -> None:
    with pytest.raises(DataError, match="There are 9 pairs; a translator takes at least 50"):
        split_pairs(make_pairs(9), 0)
    with pytest.raises(DataError, match="There is 1 pair; a translator"):
        split_pairs(make_pairs(1), 0)
    with pytest.raises(DataError, match="Only 0 pairs"):
        split_pairs(make_pairs(), 0, make_pairs())
    with pytest.raises(DataError, match="Nothing is left"):
        split_pairs(Pairs.of([("the same", f"{n}") for n in range(99)]), 0)


def test_cutting() -> None:
    long = ("One two three: four five six. Seven.", "Uno dos tres: cuatro cinco seis. Siete.")
    assert list(cut_pairs(Pairs.of([long]))) == [
        ("One two three:", "Uno dos tres:"),
        ("four five six.", "cuatro cinco seis."),
        ("Seven.", "Siete."),
    ]
    # Clauses do not go together, but sentences do.
    other = ("One two; three. Four.", "Uno dos tres. Cuatro.")
    assert list(cut_pairs(Pairs.of([other]))) == [
        ("One two; three.", "Uno dos tres."),
        ("Four.", "Cuatro."),
    ]
    unlike = ("One. Two three four five six seven eight.", "Uno dos tres cuatro cinco seis. Siete.")
    assert list(cut_pairs(Pairs.of([unlike]))) == [unlike]
    held = Pairs.of([("seven", "x"), ("y", "Cuatro")])
    kept = cut_pairs(Pairs.of([long, other]), [held])
    assert ("Seven.", "Siete.") not in kept and ("Four.", "Cuatro.") not in kept
    assert len(kept) == 3


def test_reading_columns() -> None:
    table = Table.from_columns(
        {"en": ["a", " b  c ", None, "d"], "es": ["x", "y", "z", ""], "n": [1.0, 2.0, 3.0, 4.0]}
    )
    pairs, notes = read_pairs(table, "en", "es")
    assert list(pairs) == [("a", "x"), ("b c", "y")]
    assert notes == ["2 rows have no text in en or es and are left out"]
    with pytest.raises(DataError, match="named as the source and as the target"):
        read_pairs(table, "en", "en")
    with pytest.raises(DataError, match="There is no column 'eng'"):
        read_pairs(table, "eng", "es")
    with pytest.raises(DataError, match="holds float64 values, not texts"):
        read_pairs(table, "en", "n")
    with pytest.raises(DataError, match="No row"):
        read_pairs(Table.from_columns({"a": ["x", None], "b": [None, "y"]}), "a", "b")


def find_by_definition(known: list[str], text: str, unit: str) -> int:
    """The nearest text, written as the formula says."""

    def cut(text: str) -> Counter[str]:
        words = re.findall(r"\w+", text.casefold())
        if unit == "words":
            return Counter(words)
        whole = f" {' '.join(words)} "
        return Counter(whole[i : i + n] for n in (2, 3, 4, 5) for i in range(len(whole) - n + 1))

    counts = [cut(item) for item in known]
    having = Counter(term for found in counts for term in found)

    def weigh(found: Counter[str]) -> dict[str, float]:
        return {
            term: (1 + math.log(n)) * (math.log((1 + len(known)) / (1 + having[term])) + 1)
            for term, n in found.items()
            if term in having
        }

    query, scores = weigh(cut(text)), []
    for found in map(weigh, counts):
        length = math.sqrt(sum(value**2 for value in found.values()))
        scores.append(sum(query.get(term, 0.0) * v for term, v in found.items()) / length)
    return int(np.argmax(scores))


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_the_nearest_text_is_that_of_the_formula(unit: str) -> None:
    random = np.random.default_rng(0)
    words = ["house", "houses", "red", "árbol", "tree", "in", "the", "a", "garden"]
    known = [" ".join(random.choice(words, random.integers(1, 7))) for _ in range(60)]
    nearest = NearestTranslation(known, [str(n) for n in range(60)], unit)
    texts = [" ".join(random.choice(words, 4)) for _ in range(30)] + ["The  RED, houses!"]
    expected = [find_by_definition(known, text, unit) for text in texts]
    found = nearest.find(texts)
    for text, one, other in zip(texts, found, expected):  # of equally near ones either will do
        assert known[one] == known[other] or one == other, text
    assert nearest.translate(texts[:2]) == [str(n) for n in found[:2]]


def test_the_nearest_of_what_shares_nothing_and_bad_input() -> None:
    nearest = NearestTranslation(["one", "two"], ["uno", "dos"], "words")
    assert nearest.translate(["", "zzz", "two"]) == ["uno", "uno", "dos"]
    with pytest.raises(ArgumentError, match="unit is one of"):
        NearestTranslation(["a"], ["b"], "letters")
    with pytest.raises(DataError, match="1 texts with 2"):
        NearestTranslation(["a"], ["b", "c"])


def test_texts_shorter_than_the_runs_are_compared() -> None:
    known = NearestTranslation(["1", "2", "a house"], ["one", "two", "una casa"])
    assert known.translate(["2", "", "?", "1"]) == ["two", "one", "one", "one"]
    assert NearestTranslation([""], ["nothing"]).translate(["", "x"]) == ["nothing"] * 2
    words = NearestTranslation(["?", "!"], ["a", "b"], "words")
    assert words.translate(["!", "x"]) == ["a", "a"]

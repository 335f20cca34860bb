"""Hidden tokens: how many, where, what stands in their place; and finding them by counting."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from retrograd.data.masking import Neighbours, mask_tokens
from retrograd.errors import ArgumentError, DataError, DTypeError, RetrogradError, ShapeError

VOCABULARY = 40


def make_rows(rows: int = 600, time: int = 50) -> Any:
    return np.random.default_rng(1).integers(4, VOCABULARY, (rows, time)).astype(np.int32)


def test_shares_are_those_of_the_paper() -> None:
    rows = make_rows()
    masked = mask_tokens(rows, VOCABULARY, np.random.default_rng(0))
    assert masked.places.shape == (600, round(0.15 * 50)) and (masked.weights == 1).all()
    assert all(len({*places}) == len(places) for places in masked.places.tolist())
    seen = np.take_along_axis(masked.tokens, masked.places, 1)
    np.testing.assert_array_equal(masked.targets, np.take_along_axis(rows, masked.places, 1))
    hidden, kept = seen == VOCABULARY, seen == masked.targets
    assert hidden.mean() == pytest.approx(0.8, abs=0.02)
    # One random token in 36 is the same by chance.
    assert kept.mean() == pytest.approx(0.1 + 0.1 / 36, abs=0.015)
    random = seen[~hidden & ~kept]
    assert set(random.tolist()) == set(range(4, VOCABULARY))
    others = np.ones(rows.shape, bool)
    np.put_along_axis(others, masked.places, False, 1)
    np.testing.assert_array_equal(masked.tokens[others], rows[others])
    chosen = np.bincount(masked.places.ravel(), minlength=50)
    assert chosen.min() > 0.6 * chosen.mean() and chosen.max() < 1.4 * chosen.mean()


def test_each_call_hides_others_and_a_seed_the_same() -> None:
    rows, random = make_rows(4), np.random.default_rng(0)
    first, second = (mask_tokens(rows, VOCABULARY, random) for _ in range(2))
    again = mask_tokens(rows, VOCABULARY, np.random.default_rng(0))
    assert not np.array_equal(first.places, second.places)
    assert np.array_equal(first.places, again.places)
    assert np.array_equal(first.tokens, again.tokens)


def test_special_tokens_are_never_hidden() -> None:
    rows = make_rows(50, 30)
    rows[:, 10:] = 0
    rows[:, 3] = 1
    rows[0] = 0
    masked = mask_tokens(rows, VOCABULARY, np.random.default_rng(0))
    assert np.array_equal(masked.tokens[rows < 4], rows[rows < 4])
    assert (masked.weights[0] == 0).all() and (masked.weights[1:].sum(1) == 1).all()
    chosen = masked.weights > 0
    assert (masked.targets[chosen] >= 4).all() and (masked.places[chosen] < 10).all()
    everything = mask_tokens(rows, VOCABULARY, np.random.default_rng(0), share=1.0)
    assert everything.weights.sum() == (rows >= 4).sum()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"tokens": [4, 5]}, ShapeError, "rows, time"),
        ({"tokens": [[4.0]]}, DTypeError, "integers"),
        ({"tokens": [[VOCABULARY]]}, DataError, "0 to 39"),
        ({"tokens": [[-1]]}, DataError, "0 to 39"),
        ({"share": 0.0}, ArgumentError, "share"),
        ({"share": float("nan")}, ArgumentError, "share"),
        ({"vocabulary": 4, "tokens": [[1]]}, ArgumentError, "special"),
    ],
)
def test_wrong_arguments_are_told(
    arguments: dict[str, Any], error: type[RetrogradError], words: str
) -> None:
    given = {"tokens": [[4, 5]], "vocabulary": VOCABULARY, **arguments}
    with pytest.raises(error, match=words):
        mask_tokens(random=np.random.default_rng(0), **given)


@pytest.mark.parametrize("sides", [True, False])
def test_counting_is_what_a_loop_counts(sides: bool) -> None:
    random = np.random.default_rng(3)
    train, test = random.integers(4, 8, 300), random.integers(3, 9, 40)
    places, classes = [0, 5, 17, 39], 9
    singles = Counter(train.tolist())
    pairs = Counter(zip(train.tolist(), train[1:].tolist()))
    around = Counter(zip(train.tolist(), train[2:].tolist()))
    triples = Counter(zip(train.tolist(), train[1:].tolist(), train[2:].tolist()))
    edged = [0, *test.tolist(), 0]
    bits, right = [], []
    for place in places:
        left, hidden, follower = edged[place : place + 3]
        share = (singles[hidden] + 1) / (300 + classes)
        guess = max(range(classes), key=lambda symbol: singles[symbol])
        if sides:
            share = (pairs[left, hidden] + share) / (singles[left] + 1)
            share = (triples[left, hidden, follower] + share) / (around[left, follower] + 1)
            counted = [triples[left, symbol, follower] for symbol in range(classes)]
            if max(counted):
                guess = max(s for s, n in enumerate(counted) if n == max(counted))
        bits.append(-np.log2(share))
        right.append(guess == hidden)
    found = Neighbours(train, classes, sides).measure(test, places)
    assert found == pytest.approx((np.mean(bits), np.mean(right)))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_counting_takes_very_short_texts(length: int) -> None:
    bits, accuracy = Neighbours(np.full(length, 5), 6).measure(np.array([5, 4, 5]), [0, 1])
    assert np.isfinite(bits) and 0.0 <= accuracy <= 1.0

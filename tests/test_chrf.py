"""chrF against numbers worked out by hand, and its limits."""

from __future__ import annotations

import pytest

from retrograd import metrics
from retrograd.errors import ArgumentError, ArgumentTypeError, DataError


def test_by_hand() -> None:
    # Runs of 1: a, b of "abc" and "abd"; of 2: ab; of 3: none.
    expected = 100 * (2 / 3 + 1 / 2 + 0) / 3
    assert metrics.chrf(["ab c"], ["abd"]) == pytest.approx(expected)
    # P = (2/2 + 1/1) / 2 for "ab", R = (2/4 + 1/3) / 2 of "abcd".
    precision, recall = 1.0, (1 / 2 + 1 / 3) / 2
    found = metrics.chrf(["ab"], ["abcd"], order=2)
    assert found == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))
    assert metrics.chrf(["ab"], ["abcd"], order=2, beta=1.0) == pytest.approx(
        200 * precision * recall / (precision + recall)
    )


def test_limits_and_invariances() -> None:
    assert metrics.chrf(["to be or not", "x"], ["to be or not", "x"]) == pytest.approx(100.0)
    assert metrics.chrf(["aaa"], ["bbb"]) == 0.0
    assert metrics.chrf([""], ["b"]) == 0.0
    assert metrics.chrf(["b"], [""]) == 0.0
    assert metrics.chrf(["t o b e"], ["to be"]) == pytest.approx(100.0)
    assert metrics.chrf(["To be"], ["to be"]) < 100.0
    # A run counts as often as it stands in both.
    assert metrics.chrf(["aaaa"], ["aa"], order=1, beta=1.0) == pytest.approx(200 / 3)


def test_all_texts_together_and_not_the_mean() -> None:
    texts, references = ["abcdefgh", "x"], ["abcdefgh", "y"]
    together = metrics.chrf(texts, references, order=1)
    assert together == pytest.approx(100 * 8 / 9)


def test_bad_input() -> None:
    with pytest.raises(DataError, match="2 translations for 1"):
        metrics.chrf(["a", "b"], ["a"])
    with pytest.raises(DataError, match="at least one"):
        metrics.chrf([], [])
    with pytest.raises(ArgumentTypeError, match="list of texts"):
        metrics.chrf("a", ["a"])
    with pytest.raises(ArgumentTypeError, match="references"):
        metrics.chrf(["a"], [None])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="order"):
        metrics.chrf(["a"], ["a"], order=0)
    with pytest.raises(ArgumentError, match="beta"):
        metrics.chrf(["a"], ["a"], beta=0.0)

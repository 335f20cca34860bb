"""Spans of words that tags mark (BIO, BIOES and their kin), and how many of them agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

BEGIN, INSIDE, OUTSIDE, END, SINGLE = "BIOES"
MARKS = {**{mark: mark for mark in "BIES"}, "L": END, "U": SINGLE}
"""What the letters before the hyphen mean; L(ast) and U(nit) are those of BILOU."""

Span = tuple[str, int, int]
Scores = dict[str, float]


def mark_spans(tags: Iterable[str]) -> bool:
    """Whether tags are of the form B-kind, I-kind, ... and O.

    Args:
        tags: all that occur.

    Example:
        >>> mark_spans(["B-PER", "I-PER", "O"]), mark_spans(["NN", "VB"])
        (True, False)
    """
    listed = set(tags) - {OUTSIDE}
    cut = [tag.partition("-") for tag in listed]
    if not all(hyphen and kind and mark in MARKS for mark, hyphen, kind in cut):
        return False
    return bool({mark for mark, _, _ in cut} & {BEGIN, INSIDE})


def find_spans(tags: Sequence[str]) -> list[Span]:
    """The spans that tags of one sequence mark, as conlleval finds them.

    A span ends behind E and S, before B, S and O, and where the kind changes. A tag other than O
    where no span is open begins one, so that also I-PER without a B-PER before it does.

    Args:
        tags: of the words in order; what is not of the form B-kind counts as O.

    Returns:
        For each span its kind, its first word and the one behind its last.

    Example:
        >>> find_spans(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
        [('PER', 0, 2), ('LOC', 3, 4), ('LOC', 4, 5)]

    Source: E. Tjong Kim Sang, S. Buchholz, Introduction to the CoNLL-2000 shared task: chunking,
    CoNLL 2000.
    """
    spans: list[Span] = []
    kind, start = "", -1
    for place, tag in enumerate([*tags, OUTSIDE]):
        letter, _, named = tag.partition("-")
        mark = MARKS.get(letter, OUTSIDE) if named else OUTSIDE
        if start >= 0 and (mark in (BEGIN, SINGLE, OUTSIDE) or named != kind):
            spans.append((kind, start, place))
            start = -1
        if mark != OUTSIDE and start < 0:
            kind, start = named, place
        if mark in (END, SINGLE):
            spans.append((kind, start, place + 1))
            start = -1
    return spans


def score_spans(
    wanted: Sequence[Sequence[str]], found: Sequence[Sequence[str]]
) -> tuple[Scores, dict[str, Scores]]:
    """Precision, recall and F1 of spans.

    A span is right if its kind, its first and its last word are:
    `F1 = 2 right / (wanted + found)`.

    Args:
        wanted, found: the tags of each sequence.

    Returns:
        For all kinds together and for each one "precision", "recall", "f1" and "spans", the number
        that were wanted.

    Example:
        >>> score_spans([["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "B-LOC"]])[0]
        {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666, 'spans': 1}
    """
    right, all_wanted, all_found = Counter[str](), Counter[str](), Counter[str]()
    for one, other in zip(wanted, found, strict=True):
        first, second = set(find_spans(one)), set(find_spans(other))
        all_wanted.update(kind for kind, _, _ in first)
        all_found.update(kind for kind, _, _ in second)
        right.update(kind for kind, _, _ in first & second)
    kinds = {
        kind: _score(right[kind], all_wanted[kind], all_found[kind])
        for kind in sorted({*all_wanted, *all_found})
    }
    return _score(right.total(), all_wanted.total(), all_found.total()), kinds


def _score(right: int, wanted: int, found: int) -> Scores:
    return {
        "precision": right / found if found else 0.0,
        "recall": right / wanted if wanted else 0.0,
        "f1": 2 * right / (wanted + found) if wanted + found else 0.0,
        "spans": wanted,
    }

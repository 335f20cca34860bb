"""How many tags are right, and how many spans that they mark."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ....data.spans import Scores, score_spans
from ...run import Output

LARGEST_LIST = 20

Sentences = Sequence[Sequence[str]]


def score_tags(
    words: Sentences, wanted: Sentences, found: Sentences, known: Collection[str], spans: bool
) -> Scores:
    """The share of tags that are right, that of words never seen before, and F1 of spans.

    Args:
        words, wanted, found: words, their tags, and those found.
        known: the words of the part that was learned.
        spans: whether the tags mark spans.
    """
    right = total = right_new = new = 0
    for sentence, tags, others in zip(words, wanted, found, strict=True):
        for word, tag, other in zip(sentence, tags, others, strict=True):
            total, right = total + 1, right + (tag == other)
            if word not in known:
                new, right_new = new + 1, right_new + (tag == other)
    scores = {"accuracy": right / total, "new_words": new / total}
    if new:
        scores["accuracy_new_words"] = right_new / new
    if spans:
        overall = score_spans(wanted, found)[0]
        scores |= {name: overall[name] for name in ("precision", "recall", "f1")}
    return scores


def score_kinds(wanted: Sentences, found: Sentences) -> dict[str, Any]:
    """Precision, recall and F1 of each kind of spans."""
    return dict(score_spans(wanted, found)[1])


def show_scores(scores: dict[str, Scores], output: Output) -> None:
    """A table: the network and what it must beat."""
    heads = {
        "accuracy": "accuracy",
        "accuracy_new_words": "new words",
        "precision": "precision",
        "recall": "recall",
        "f1": "F1",
    }
    names = {"network": "network", "baseline": "most frequent tag of each word"}
    shown = [name for name in heads if all(name in values for values in scores.values())]
    rows = [["", *(heads[name] for name in shown)]]
    for name, values in scores.items():
        rows.append([names.get(name, name), *(f"{values[item]:.4f}" for item in shown)])
    output.show_table(rows)


def show_kinds(kinds: dict[str, Any], output: Output) -> None:
    """A table of the kinds of spans, the most frequent first."""
    order = sorted(kinds, key=lambda kind: (-kinds[kind]["spans"], kind))[:LARGEST_LIST]
    rows = [["spans", "number", "precision", "recall", "F1"]]
    for kind in order:
        values = kinds[kind]
        numbers = (f"{values[name]:.4f}" for name in ("precision", "recall", "f1"))
        rows.append([kind, f"{values['spans']:,}", *numbers])
    output.show_table(rows)

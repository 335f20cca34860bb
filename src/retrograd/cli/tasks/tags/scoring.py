"""How many tags are right, and how many spans that they mark."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ....data.spans import Scores, score_spans
from ...run import Output

LARGEST_LIST = 12

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


def score_kinds(
    wanted: Sentences, found: Sentences, guessed: Sentences, spans: bool
) -> dict[str, Any]:
    """Precision, recall and F1 of each kind of spans, or of each tag.

    Args:
        wanted, found, guessed: the tags, those of the network, and those of the baseline.
        spans: whether the tags mark spans.

    Returns:
        By kind or tag: "number" (that were wanted), "precision", "recall", "f1", "baseline_f1".
    """
    if not spans:  # each word is a span of its own
        wanted, found, guessed = (
            [[f"S-{tag}" for tag in sentence] for sentence in tags]
            for tags in (wanted, found, guessed)
        )
    network, baseline = score_spans(wanted, found)[1], score_spans(wanted, guessed)[1]
    return {
        kind: {
            "number": values["spans"],
            **{name: values[name] for name in ("precision", "recall", "f1")},
            "baseline_f1": baseline[kind]["f1"] if kind in baseline else 0.0,
        }
        for kind, values in network.items()
    }


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
    """A table of the kinds of spans, or of the tags, the most frequent first."""
    order = sorted(kinds, key=lambda kind: (-kinds[kind]["number"], kind))
    columns = {"precision": "precision", "recall": "recall", "f1": "F1", "baseline_f1": "baseline"}
    rows = [["", "number", *columns.values()]]
    for kind in order[:LARGEST_LIST]:
        numbers = (f"{kinds[kind][name]:.4f}" for name in columns)
        rows.append([kind, f"{kinds[kind]['number']:,}", *numbers])
    output.show_table(rows)
    if len(order) > LARGEST_LIST:
        output.say(f"  and {len(order) - LARGEST_LIST} more")

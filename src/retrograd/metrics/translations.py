"""How near translations come to others: chrF, by the characters that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DataError

__all__ = ["chrf"]


def chrf(
    translations: Sequence[str], references: Sequence[str], order: int = 6, beta: float = 2.0
) -> float:
    r"""The F-score of the runs of characters that translations and references share.

    .. math:: \mathrm{chrF} = 100 \, \frac{(1 + \beta^2) P R}{\beta^2 P + R}

    P is the share of the runs of n characters in the translations that also stand in their
    references, R the share of the references' runs that also stand in the translations, each over
    all texts together and averaged over n = 1 to order. Spaces do not count.

    Args:
        translations: what is judged.
        references: what each of them should be, in the same order.
        order: the longest run of characters.
        beta: how many times as much R counts as P.

    Returns:
        From 0 to 100, where all are as their references.

    Raises:
        DataError: there are no texts, or not as many of both.
        ArgumentTypeError: something is no text.
        ArgumentError: order is below 1, or beta not above 0.

    Example:
        >>> from retrograd import metrics
        >>> round(metrics.chrf(["la casa verde"], ["la casa roja"]), 1)
        44.2

    Source: M. Popović, chrF: character n-gram F-score for automatic MT evaluation, WMT 2015.
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ArgumentError(f"chrf: order is a whole number from 1 on, received {order!r:.60}.")
    if not beta > 0.0:
        raise ArgumentError(f"chrf: beta is a number above 0, received {beta!r:.60}.")
    for name, texts in (("translations", translations), ("references", references)):
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise ArgumentTypeError(
                f"chrf: {name} are a list of texts.", fix="put a single text into a list: [text]"
            )
    if not len(references) or len(translations) != len(references):
        raise DataError(
            f"chrf: {len(translations)} translations for {len(references)} references; expected "
            "one for each, and at least one."
        )
    counts = np.zeros((order, 3))
    for translation, reference in zip(translations, references):
        counts += count_shared(translation, reference, order)
    shared, given, wanted = counts.T
    known = (given > 0) & (wanted > 0)
    if not known.any():
        return 0.0
    precision = float((shared[known] / given[known]).mean())
    recall = float((shared[known] / wanted[known]).mean())
    if precision + recall == 0.0:
        return 0.0
    square = float(beta) ** 2
    return 100.0 * (1.0 + square) * precision * recall / (square * precision + recall)


def count_shared(translation: str, reference: str, order: int) -> np.ndarray:
    """For runs of 1 to order characters: how many are shared, given and wanted, (order, 3).

    Where the reference is shorter than a run, nothing can be shared, and none counts as given.
    """
    texts = ["".join(text.split()) for text in (translation, reference)]
    found = np.zeros((order, 3))
    for length in range(1, order + 1):
        given, wanted = (
            Counter(text[start : start + length] for start in range(len(text) - length + 1))
            for text in texts
        )
        total = wanted.total()
        found[length - 1] = (given & wanted).total(), given.total() if total else 0, total
    return found

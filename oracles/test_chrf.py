"""chrF beside sacrebleu, which defines the figures that papers report."""

from __future__ import annotations

import numpy as np
import pytest

from retrograd import metrics

sacrebleu = pytest.importorskip("sacrebleu")

WORDS = ["El", "perro", "ladró,", "á", "la", "luna", "¿Quién?", "y", "no", "mañana;", "a", "Dios"]


def make_texts(random: np.random.Generator, count: int, most: int) -> list[str]:
    return [" ".join(random.choice(WORDS, random.integers(0, most))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(40))
def test_chrf_of_a_corpus(seed: int) -> None:
    random = np.random.default_rng(seed)
    count, most = random.integers(1, 30), random.integers(2, 15)
    texts, references = make_texts(random, count, most), make_texts(random, count, most)
    order, beta = int(random.integers(1, 8)), int(random.integers(1, 4))
    expected = sacrebleu.metrics.CHRF(char_order=order, beta=beta)
    found = metrics.chrf(texts, references, order, float(beta))
    assert found == pytest.approx(expected.corpus_score(texts, [references]).score, abs=1e-9)


def test_chrf_of_single_texts() -> None:
    random = np.random.default_rng(0)
    for text, reference in zip(make_texts(random, 300, 6), make_texts(random, 300, 6)):
        expected = sacrebleu.sentence_chrf(text, [reference]).score
        assert metrics.chrf([text], [reference]) == pytest.approx(expected, abs=1e-9)

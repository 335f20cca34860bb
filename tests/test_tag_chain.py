"""Tags that depend on the tag before, against all sequences of tags counted one by one."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import models
from retrograd.errors import ShapeError

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.standard_normal((3, 4, 3))
CHAIN = np.broadcast_to(RANDOM.standard_normal((4, 3)), (3, 4, 3))
SIZES = [4, 2, 1]
TAGS = np.array([[1, 3, 3, 2], [2, 1, 0, 0], [3, 0, 0, 0]])


def score(row: int, tags: tuple[int, ...]) -> float:
    total = CHAIN[0, 0, tags[0]] + sum(LOGITS[row, t, tag] for t, tag in enumerate(tags))
    return float(total + sum(CHAIN[0, 1 + a, b] for a, b in zip(tags, tags[1:])))


def count(row: int) -> dict[tuple[int, ...], float]:
    return {tags: score(row, tags) for tags in product(range(3), repeat=SIZES[row])}


def test_the_loss_is_that_of_all_sequences_of_tags() -> None:
    expected = 0.0
    for row, size in enumerate(SIZES):
        every = np.log(sum(np.exp(value) for value in count(row).values()))
        expected += every - score(row, tuple(int(tag) - 1 for tag in TAGS[row, :size]))
    given = (rg.array(LOGITS), rg.array(CHAIN))
    loss = models.chain_cross_entropy(given, TAGS)
    np.testing.assert_allclose(float(loss), expected / sum(SIZES), rtol=1e-12)
    native = rg.compile(models.chain_cross_entropy)(given, TAGS)
    np.testing.assert_allclose(float(native), expected / sum(SIZES), rtol=1e-12)
    # Rows that only fill up change nothing but the mean over words, which they are none of.
    filled = tuple(
        np.pad(part, ((0, 1), (0, 2 * (n == 0)), (0, 0))) for n, part in enumerate(given)
    )
    again = models.chain_cross_entropy(filled, np.pad(TAGS, ((0, 1), (0, 2))))
    np.testing.assert_allclose(float(again), expected / sum(SIZES), rtol=1e-12)


def test_gradients_of_the_loss() -> None:
    def loss(logits: Any, chain: Any) -> Any:
        return models.chain_cross_entropy((logits, chain), TAGS)

    rg.testing.check_gradients(loss, LOGITS, np.ascontiguousarray(CHAIN))


def test_the_best_tags_are_the_best_of_all() -> None:
    found = models.find_best_tags((LOGITS, CHAIN), SIZES)
    for row, size in enumerate(SIZES):
        scores = count(row)
        assert tuple(found[row, :size]) == max(scores, key=scores.__getitem__)
        assert not found[row, size:].any()
    single = models.find_best_tags((LOGITS, np.zeros_like(CHAIN)), [4, 4, 4])
    np.testing.assert_array_equal(single, LOGITS.argmax(axis=-1))


def test_a_tagger_with_a_chain(tmp_path: Any) -> None:
    rg.seed(0)
    tagger = models.SequenceTagger(words=9, tags=3, hidden_features=8, chain=True)
    words, tags = np.array([[1, 2, 3, 0]]), np.array([[1, 2, 3, 0]])
    trainer = rg.Trainer(tagger, models.chain_cross_entropy, rg.optim.Adam(1e-2))
    history = trainer.fit(words, tags, epochs=60, batch_size=1, verbose=False)
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    outputs = trainer.predict(words)
    assert models.find_best_tags(outputs, [3]).tolist() == [[0, 1, 2, 0]]
    moves = np.asarray(tagger.chain)[1:]
    assert moves[0, 1] > 0 and moves[1, 2] > 0 > moves[0, 0]
    rg.save_model(tagger, tmp_path / "tagger")
    np.testing.assert_array_equal(np.asarray(rg.load_model(tmp_path / "tagger").chain)[1:], moves)


@pytest.mark.parametrize("outputs", [LOGITS, (LOGITS, CHAIN, CHAIN), (LOGITS[:2, :1], CHAIN)])
def test_what_does_not_fit(outputs: Any) -> None:
    with pytest.raises(ShapeError, match="chain_cross_entropy: expected"):
        models.chain_cross_entropy(outputs, TAGS)

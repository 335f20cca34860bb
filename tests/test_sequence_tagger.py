"""SequenceTagger: filling has no influence, neighbours and letters have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses, models, tree
from retrograd.errors import ArgumentError, DTypeError, RetrogradError, ShapeError

RANDOM = np.random.default_rng(0)
WORDS = RANDOM.integers(1, 12, (3, 7)).astype("int32")
LETTERS = RANDOM.integers(1, 9, (3, 7, 5)).astype("int32")
SIZES: dict[str, Any] = {
    "words": 12,
    "tags": 4,
    "characters": 9,
    "features": 6,
    "character_features": 5,
    "filters": 7,
    "hidden_features": 8,
}


def make(**options: Any) -> models.SequenceTagger:
    rg.seed(0)
    return models.SequenceTagger(**{**SIZES, **options})


def test_filling_has_no_influence() -> None:
    tagger = make().eval()
    words, letters = WORDS.copy(), LETTERS.copy()
    words[1, 4:], letters[1, 4:] = 0, 0
    letters[0, 2, 3:] = 0
    whole = np.asarray(tagger(words, letters))
    wider = np.pad(words, ((0, 2), (0, 5)))
    longer = np.pad(letters, ((0, 2), (0, 5), (0, 3)))
    filled = np.asarray(tagger(wider, longer))
    np.testing.assert_allclose(filled[:3, :4], whole[:, :4], atol=1e-6)
    np.testing.assert_allclose(filled[[0, 2], :7], whole[[0, 2]], atol=1e-6)
    alone = np.asarray(tagger(words[1:2, :4], letters[1:2, :4]))
    np.testing.assert_allclose(alone[0], whole[1, :4], atol=1e-6)


def test_gradients_do_not_see_the_filling() -> None:
    tagger = make(dropout=0.0)
    words, letters = WORDS[:, :4], LETTERS[:, :4]

    def loss(tagger: Any, words: Any, letters: Any) -> Any:
        return losses.cross_entropy(tagger(words, letters)[:, :4], np.ones((3, 4), np.int32))

    wide, longer = np.pad(words, ((0, 0), (0, 3))), np.pad(letters, ((0, 0), (0, 3), (0, 2)))
    alone, filled = rg.grad(loss)(tagger, words, letters), rg.grad(loss)(tagger, wide, longer)
    for one, other in zip(tree.leaves(alone), tree.leaves(filled), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-6)


@pytest.mark.parametrize("place", [0, 6])
def test_every_word_is_seen_from_everywhere(place: int) -> None:
    tagger = make().eval()
    words, letters = WORDS.copy(), LETTERS.copy()
    before = np.asarray(tagger(words, letters))
    words[0, place] = words[0, place] % 11 + 1
    letters[1, place, 2] = letters[1, place, 2] % 8 + 1
    changed = np.abs(np.asarray(tagger(words, letters)) - before).max(axis=-1)
    assert (changed[:2] > 1e-7).all() and (changed[2] == 0).all()


def test_compiled_as_in_python_and_saved(tmp_path: Any) -> None:
    tagger = make(layers=2).eval()
    expected = np.asarray(tagger(WORDS, LETTERS))
    native = rg.compile(lambda tagger, words, letters: tagger(words, letters))
    np.testing.assert_allclose(np.asarray(native(tagger, WORDS, LETTERS)), expected, atol=1e-5)
    rg.save_model(tagger, tmp_path / "tagger")
    again = rg.load_model(tmp_path / "tagger").eval()
    np.testing.assert_array_equal(np.asarray(again((WORDS, LETTERS))), expected)
    assert again.config() == tagger.config()


def test_words_alone() -> None:
    tagger = make(characters=None).eval()
    assert tagger(WORDS).shape == (3, 7, 4)
    with pytest.raises(ArgumentError, match="made for words alone"):
        tagger(WORDS, LETTERS)


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ((WORDS,), ArgumentError, "expected characters"),
        ((WORDS[0], LETTERS), ShapeError, r"expected words \(batch, time\)"),
        ((WORDS, LETTERS[:, :3]), ShapeError, r"for words \(3, 7\), received \(3, 3, 5\)"),
        ((WORDS, LETTERS[0]), ShapeError, "expected characters"),
        ((WORDS.astype("float32"), LETTERS), DTypeError, "expected integer"),
        ((WORDS, LETTERS + 0.5), DTypeError, "expected integer"),
        ((WORDS + 50, LETTERS), RetrogradError, "12"),
    ],
)
def test_what_does_not_fit(given: tuple[Any, ...], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        make()(*given)


@pytest.mark.parametrize("wrong", [{"words": 1}, {"tags": 1}, {"filters": 0}, {"dropout": 1.5}])
def test_sizes_that_make_no_tagger(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        make(**wrong)

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
AFFIXES = RANDOM.integers(1, 6, (3, 7, 2)).astype("int32")
SIZES: dict[str, Any] = {
    "words": 12,
    "tags": 4,
    "characters": 9,
    "affixes": 6,
    "features": 6,
    "character_features": 5,
    "filters": 7,
    "hidden_features": 8,
}


def make(**options: Any) -> models.SequenceTagger:
    rg.seed(0)
    return models.SequenceTagger(**{**SIZES, **options})


def fill(array: Any, rows: int, steps: int, more: int = 0) -> Any:
    return np.pad(array, ((0, rows), (0, steps), (0, more))[: array.ndim])


def test_filling_has_no_influence() -> None:
    tagger = make().eval()
    words, letters, affixes = WORDS.copy(), LETTERS.copy(), AFFIXES.copy()
    for array in (words, letters, affixes):
        array[1, 4:] = 0
    letters[0, 2, 3:] = 0
    whole = np.asarray(tagger(words, letters, affixes))
    wide = (fill(words, 2, 5), fill(letters, 2, 5, 3), fill(affixes, 2, 5, 1))
    filled = np.asarray(tagger(wide))
    np.testing.assert_allclose(filled[:3, :4], whole[:, :4], atol=1e-6)
    np.testing.assert_allclose(filled[[0, 2], :7], whole[[0, 2]], atol=1e-6)
    alone = np.asarray(tagger(words[1:2, :4], letters[1:2, :4], affixes[1:2, :4]))
    np.testing.assert_allclose(alone[0], whole[1, :4], atol=1e-6)


def test_gradients_do_not_see_the_filling() -> None:
    tagger = make(dropout=0.0)
    given = (WORDS[:, :4], LETTERS[:, :4], AFFIXES[:, :4])

    def loss(tagger: Any, inputs: Any) -> Any:
        return losses.cross_entropy(tagger(inputs)[:, :4], np.ones((3, 4), np.int32))

    wide = tuple(fill(array, 0, 3, 2) for array in given)
    alone, filled = rg.grad(loss)(tagger, given), rg.grad(loss)(tagger, wide)
    for one, other in zip(tree.leaves(alone), tree.leaves(filled), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-6)


@pytest.mark.parametrize("place", [0, 6])
def test_every_word_is_seen_from_everywhere(place: int) -> None:
    tagger = make().eval()
    words, letters, affixes = WORDS.copy(), LETTERS.copy(), AFFIXES.copy()
    before = np.asarray(tagger(words, letters, affixes))
    words[0, place] = words[0, place] % 11 + 1
    letters[1, place, 2] = letters[1, place, 2] % 8 + 1
    changed = np.abs(np.asarray(tagger(words, letters, affixes)) - before).max(axis=-1)
    assert (changed[:2] > 1e-7).all() and (changed[2] == 0).all()
    affixes[2, place, 1] = affixes[2, place, 1] % 5 + 1
    again = np.asarray(tagger(words, letters, affixes)) - before
    assert (np.abs(again[2]).max(axis=-1) > 1e-7).all()


def test_compiled_as_in_python_and_saved(tmp_path: Any) -> None:
    tagger = make(layers=2).eval()
    given = (WORDS, LETTERS, AFFIXES)
    expected = np.asarray(tagger(*given))
    native = rg.compile(lambda tagger, inputs: tagger(inputs))
    np.testing.assert_allclose(np.asarray(native(tagger, given)), expected, atol=1e-5)
    rg.save_model(tagger, tmp_path / "tagger")
    again = rg.load_model(tmp_path / "tagger").eval()
    np.testing.assert_array_equal(np.asarray(again(given)), expected)
    assert again.config() == tagger.config()


def test_without_letters_and_affixes() -> None:
    tagger = make(characters=None).eval()
    assert tagger(WORDS, affixes=AFFIXES).shape == (3, 7, 4)
    assert make(characters=None, affixes=None).eval()(WORDS).shape == (3, 7, 4)
    with pytest.raises(ArgumentError, match="received characters, but was not made for them"):
        tagger(WORDS, LETTERS, AFFIXES)


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ((WORDS, LETTERS), ArgumentError, "expected affixes"),
        ((WORDS,), ArgumentError, "expected characters"),
        ((WORDS[0], LETTERS, AFFIXES), ShapeError, r"expected words \(batch, time\)"),
        ((WORDS, LETTERS[:, :3]), ShapeError, r"for words \(3, 7\), received \(3, 3, 5\)"),
        ((WORDS, LETTERS[0]), ShapeError, "expected characters"),
        ((WORDS, LETTERS, AFFIXES[:2]), ShapeError, "expected affixes"),
        ((WORDS.astype("float32"), LETTERS, AFFIXES), DTypeError, "expected integer"),
        ((WORDS, LETTERS + 0.5), DTypeError, "expected integer"),
        ((WORDS + 50, LETTERS, AFFIXES), RetrogradError, "12"),
    ],
)
def test_what_does_not_fit(given: tuple[Any, ...], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        make()(*given)


@pytest.mark.parametrize("wrong", [{"words": 1}, {"tags": 1}, {"filters": 0}, {"dropout": 1.5}])
def test_sizes_that_make_no_tagger(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        make(**wrong)

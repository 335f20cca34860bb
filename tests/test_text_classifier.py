"""TextClassifier: pooling over tokens, and no dependence on padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import errors, models, nn, optim

KINDS = ("mean", "root", "max", "attention")
TOKENS = np.array([[5, 6, 7, 0], [8, 0, 0, 0], [0, 0, 0, 0]], np.int32)


def make(recurrent: int = 0, **options: Any) -> models.TextClassifier:
    rg.seed(1)
    encoder = models.TokenEmbedding(12, features=6, recurrent_features=recurrent)
    return models.TextClassifier(encoder, classes=3, **options)


@pytest.mark.parametrize("recurrent", [0, 4])
@pytest.mark.parametrize("kind", [*KINDS, KINDS])
def test_padding_has_no_influence(kind: Any, recurrent: int) -> None:
    model = make(recurrent, pooling=kind).eval()
    if model.score is not None:
        model.score.weight = rg.array(np.linspace(-3, 3, 6 + 2 * recurrent)[:, None])
    short = np.asarray(model(TOKENS))
    wide = np.concatenate([TOKENS, np.zeros((3, 9), np.int32)], axis=1)
    np.testing.assert_allclose(np.asarray(model(wide)), short, atol=1e-6)
    alone = np.asarray(model(TOKENS[1:2, :1]))
    np.testing.assert_allclose(alone[0], short[1], atol=1e-6)
    garbage = np.where(wide == 0, 9, wide)
    told = np.asarray(model(garbage, lengths=np.array([3, 1, 0], np.int32)))
    np.testing.assert_allclose(told, short, atol=1e-6)
    assert not np.allclose(np.asarray(model(garbage)), short, atol=1e-3)


def test_pooling_is_what_it_says() -> None:
    rows = np.asarray(make().encoder.embedding.weight)
    vectors = rows[[5, 6, 7]]
    expected = {
        "mean": vectors.mean(0),
        "root": vectors.sum(0) / np.sqrt(3.0),
        "max": vectors.max(0),
        "attention": vectors.mean(0),
    }
    for kind, pooled in expected.items():
        found = np.asarray(make(pooling=kind).eval().pool(TOKENS))
        np.testing.assert_allclose(found[0], pooled, atol=1e-6)
        np.testing.assert_array_equal(found[2], np.zeros(6))


def test_gradients_of_padding_are_zero_and_others_are_not() -> None:
    for kind in KINDS:
        model = make(pooling=kind, dropout=0.0)
        gradients = rg.grad(lambda m: (m(TOKENS) ** 2).sum())(model)
        gradient = np.asarray(gradients["encoder"]["embedding"]["weight"])
        assert np.isfinite(gradient).all()
        found = np.abs(gradient[[5, 6, 7, 8]]).sum(axis=1)
        assert found.sum() > 0.0 if kind == "max" else found.min() > 0.0, kind
        assert np.abs(gradient[[0, 1, 9]]).max() == 0.0


def test_tokens_are_left_out_in_training_alone() -> None:
    model = make(token_dropout=0.5, dropout=0.0)
    wide = np.tile(np.arange(5, 11, dtype=np.int32), (40, 1))
    found = np.asarray(model(wide))
    assert len(np.unique(found.round(5), axis=0)) > 10
    still = np.asarray(model.eval()(wide))
    assert len(np.unique(still, axis=0)) == 1
    # Whatever is left out, the mean is one of fewer tokens and not a smaller one.
    everything = make(token_dropout=1.0, dropout=0.0)
    np.testing.assert_allclose(np.asarray(everything.pool(wide)), 0.0)


def test_learns_which_token_stands_in_a_text() -> None:
    random = np.random.default_rng(0)
    tokens = random.integers(6, 12, (300, 7)).astype(np.int32)
    labels = random.integers(0, 3, 300).astype(np.int32)
    tokens[np.arange(300), random.integers(0, 7, 300)] = 3 + labels
    model = make(pooling=("mean", "max"))
    trainer = rg.Trainer(model, "cross_entropy", optim.Adam(0.02), ["accuracy"])
    trainer.fit(tokens, labels, epochs=12, batch_size=20, verbose=False)
    assert trainer.evaluate(tokens, labels)["accuracy"] > 0.97


def test_is_saved_and_loaded(tmp_path: Path) -> None:
    model = make(4, pooling=("attention", "max")).eval()
    rg.save_model(model, str(tmp_path / "model"))
    loaded = rg.load_model(str(tmp_path / "model"))
    assert isinstance(loaded, models.TextClassifier) and loaded.pooling == ("attention", "max")
    np.testing.assert_array_equal(np.asarray(loaded.eval()(TOKENS)), np.asarray(model(TOKENS)))


@pytest.mark.parametrize(
    "wrong, error",
    [
        (lambda: make(pooling="median"), errors.ArgumentError),
        (lambda: make(pooling=()), errors.ArgumentError),
        (lambda: make(token_dropout=1.5), errors.ArgumentError),
        (lambda: models.TextClassifier(nn.Linear(3, 4), 2), errors.ArgumentTypeError),
        (lambda: models.TextClassifier(models.TokenEmbedding(9), 1), errors.ArgumentError),
        (lambda: models.TokenEmbedding(9, padding=9), errors.ArgumentError),
        (lambda: make()(TOKENS[0]), errors.ShapeError),
        (lambda: make()(TOKENS.astype(float)), errors.DTypeError),
        (lambda: make()(TOKENS, lengths=np.array([5, 1, 0])), errors.IndexRangeError),
        (lambda: make()(TOKENS, lengths=np.array([1, 0])), errors.ShapeError),
        (lambda: make()(np.array([[12]])), errors.IndexRangeError),
    ],
)
def test_mistakes_are_told(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        wrong()


def test_lengths_need_a_token_that_fills_up() -> None:
    encoder = models.TextEncoder(12, features=8, heads=2, layers=1, context=4, padding=None)
    model = models.TextClassifier(encoder, 2)
    assert model(TOKENS).shape == (3, 2)
    with pytest.raises(errors.ArgumentError, match="the encoder has no padding"):
        model(TOKENS, lengths=np.array([3, 1, 2]))

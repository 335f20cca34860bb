"""TextEncoder, and the models around it: padding, places, pretraining, classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import models, nn, optim
from retrograd.data.masking import mask_tokens
from retrograd.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

VOCABULARY = 12
TOKENS = np.random.default_rng(0).integers(4, VOCABULARY, (3, 7)).astype("int32")


def make(**options: Any) -> models.TextEncoder:
    rg.seed(0)
    sizes = {"features": 16, "heads": 2, "layers": 2, "context": 12, **options}
    return models.TextEncoder(VOCABULARY, **sizes)


def pad(rows: Any, more: int) -> Any:
    return np.pad(rows, ((0, 0), (0, more)))


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_nothing_depends_on_padding(positions: str) -> None:
    encoder = make(positions=positions, dropout=0.2).astype("float64").eval()
    whole = np.asarray(encoder(TOKENS))
    np.testing.assert_allclose(np.asarray(encoder(pad(TOKENS, 5)))[:, :7], whole, atol=1e-12)
    changed = TOKENS.copy()
    changed[:, 6] = 4 + (changed[:, 6] - 3) % (VOCABULARY - 4)
    assert np.abs(np.asarray(encoder(changed))[:, 0] - whole[:, 0]).min() > 1e-6  # both sides

    model = models.TextClassifier(encoder, 3, ("mean", "max"), dropout=0.0).astype("float64")
    labels = np.array([0, 1, 2])

    def find_loss(model: Any, rows: Any) -> Any:
        return rg.losses.cross_entropy(model(rows), labels)

    alone, gradients = rg.value_and_grad(find_loss)(model, TOKENS)
    padded, others = rg.value_and_grad(find_loss)(model, pad(TOKENS, 5))
    assert float(padded) == pytest.approx(float(alone), abs=1e-12)
    for one, other in zip(rg.tree.leaves(gradients), rg.tree.leaves(others), strict=True):
        np.testing.assert_allclose(np.asarray(other), np.asarray(one), atol=1e-12)


@pytest.mark.parametrize("executor", ["numpy", "native"])
def test_rows_of_padding_alone_stay_finite(executor: str) -> None:
    model = models.TextClassifier(make(), 3, dropout=0.0)
    rows = TOKENS.copy()
    rows[1] = 0

    @rg.compile(executor=executor)
    def step(model: Any, rows: Any) -> Any:
        return rg.value_and_grad(lambda m: rg.losses.cross_entropy(m(rows), [0, 1, 2]))(model)

    loss, gradients = step(model, rows)
    assert np.isfinite(float(loss))
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in rg.tree.leaves(gradients))
    assert np.isfinite(np.asarray(model(np.zeros((1, 0), np.int32)))).all()


def test_logits_at_places_are_those_of_the_whole() -> None:
    model = models.MaskedLanguageModel(make())
    places = np.array([[0, 3], [6, 6], [2, 5]], np.int32)
    whole, some = np.asarray(model(TOKENS)), np.asarray(model((TOKENS, places)))
    assert whole.shape == (3, 7, VOCABULARY)
    np.testing.assert_allclose(some, np.take_along_axis(whole, places[..., None], 1), atol=1e-6)
    np.testing.assert_array_equal(some, np.asarray(model(TOKENS, places)))


def test_pretraining_finds_hidden_tokens() -> None:
    """In 4 5 6 7 4 5 6 7 ... each token tells the others."""
    random = np.random.default_rng(0)
    rows = (random.integers(0, 4, (512, 1)) + np.arange(12)) % 4 + 4
    model = models.MaskedLanguageModel(make(features=32, layers=1))
    trainer = rg.Trainer(model, "cross_entropy", optim.Adam(1e-2), ["accuracy"])
    for _ in range(20):
        masked = mask_tokens(rows, VOCABULARY, random)
        trainer.fit(
            masked.inputs,
            masked.targets,
            epochs=1,
            sample_weight=masked.weights,
            verbose=False,
        )
    masked = mask_tokens(pad(rows[:, :9], 3), VOCABULARY, random)
    found = trainer.evaluate(masked.inputs, masked.targets, sample_weight=masked.weights)
    assert found["accuracy"] > 0.95


def test_what_was_pretrained_is_known_of_words_without_labels() -> None:
    """Words of two topics stand together; labels are there for a few of the words alone."""
    random = np.random.default_rng(0)
    topics = random.integers(0, 2, 600)
    rows = 4 + 12 * topics[:, None] + random.integers(0, 12, (600, 8))

    def learn(encoder: models.TextEncoder) -> float:
        few = 4 + 12 * topics[:, None] + random.integers(0, 3, rows.shape)
        others = 7 + 12 * topics[:, None] + random.integers(0, 9, rows.shape)
        model = models.TextClassifier(encoder, 2, dropout=0.0)
        trainer = rg.Trainer(model, "cross_entropy", optim.Adam(3e-3), ["accuracy"])
        trainer.fit(few[:60], topics[:60], epochs=15, batch_size=20, verbose=False)
        return trainer.evaluate(others, topics)["accuracy"]

    rg.seed(0)
    sizes = {"features": 16, "heads": 2, "layers": 1, "context": 8, "positions": "rotary"}
    model = models.MaskedLanguageModel(models.TextEncoder(28, **sizes))
    trainer = rg.Trainer(model, "cross_entropy", optim.Adam(1e-2))
    for _ in range(25):
        masked = mask_tokens(rows, 28, random)
        trainer.fit(masked.inputs, masked.targets, 1, 32, verbose=False)
    pretrained, untrained = learn(model.encoder), learn(models.TextEncoder(28, **sizes))
    assert pretrained > 0.9 and pretrained > untrained + 0.15


@pytest.mark.parametrize("kind", ["encoder", "masked", "classifier"])
def test_saved_and_loaded(tmp_path: Any, kind: str) -> None:
    encoder = make(positions="rotary", dropout=0.25, padding=2)
    made = {
        "encoder": lambda: encoder,
        "masked": lambda: models.MaskedLanguageModel(encoder),
        "classifier": lambda: models.TextClassifier(encoder, 5, dropout=0.5),
    }
    model = made[kind]().eval()
    rg.save_model(model, tmp_path / "model")
    other = rg.load_model(tmp_path / "model").eval()
    assert type(other) is type(model) and other.config() == model.config()
    assert np.array_equal(np.asarray(model(TOKENS)), np.asarray(other(TOKENS)))
    assert type(nn.build_layer(nn.describe_layer(model))) is type(model)


def test_a_classifier_starts_from_the_pretrained_weights() -> None:
    masked = models.MaskedLanguageModel(make())
    masked.encoder.embedding.weight = masked.encoder.embedding.weight * 3.0
    model = models.TextClassifier(masked.encoder, classes=4)
    before = np.asarray(masked.encoder(TOKENS))
    assert np.array_equal(np.asarray(model.encoder(TOKENS)), before)
    with pytest.raises(ArgumentTypeError, match="TextEncoder"):
        models.MaskedLanguageModel(masked)  # type: ignore[arg-type]


def test_wrong_arguments_are_told() -> None:
    encoder = make()
    with pytest.raises(ShapeError, match="at most 12"):
        encoder(np.zeros((1, 13), np.int32))
    with pytest.raises(ShapeError, match="batch, time"):
        encoder(np.zeros(5, np.int32))
    with pytest.raises(DTypeError, match="integer"):
        encoder(np.zeros((1, 5)))
    with pytest.raises(ShapeError, match="places"):
        models.MaskedLanguageModel(encoder)(TOKENS, [1, 2])
    with pytest.raises(ArgumentError, match="padding"):
        make(padding=VOCABULARY)
    with pytest.raises(ArgumentError, match="positions"):
        make(positions="none")

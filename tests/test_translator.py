"""Translator and search: padding, the cache, beams, and learning to reverse."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses, models, nn, optim
from retrograd.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError, StateError

START, END = 2, 3
RANDOM = np.random.default_rng(0)
SOURCE = RANDOM.integers(4, 11, (3, 6)).astype("int32")
TARGET = RANDOM.integers(4, 11, (3, 5)).astype("int32")


def make(**options: Any) -> models.Translator:
    rg.seed(0)
    return models.Translator(vocabulary=11, **{"features": 8, "dropout": 0.0, **options})


FORMS: list[dict[str, Any]] = [{}, {"layers": 2, "dropout": 0.3}]


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_steps_with_a_cache_give_the_logits_of_the_whole(options: dict[str, Any]) -> None:
    model = make(**options).eval()
    whole = np.asarray(model(SOURCE, TARGET))
    assert whole.shape == (3, 5, 11)
    assert np.array_equal(whole, np.asarray(model((SOURCE, TARGET))))  # as a Trainer calls it
    memory, cache = model.encode(SOURCE)
    for place in range(5):
        logits, cache = model.step(TARGET[:, place : place + 1], memory, cache)
        np.testing.assert_allclose(np.asarray(logits)[:, 0], whole[:, place], atol=1e-5)


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_nothing_depends_on_the_padding(options: dict[str, Any]) -> None:
    model = make(**options).eval()
    longer = np.concatenate([SOURCE, np.zeros((3, 7), np.int32)], axis=1)
    after = np.concatenate([TARGET, np.zeros((3, 4), np.int32)], axis=1)
    expected = np.asarray(model(SOURCE, TARGET))
    np.testing.assert_allclose(np.asarray(model(longer, after))[:, :5], expected, atol=1e-6)
    shorter = SOURCE.copy()
    shorter[0, 4:] = 0
    found = np.asarray(model(shorter, TARGET))
    np.testing.assert_allclose(found[:1], np.asarray(model(SOURCE[:1, :4], TARGET[:1])), atol=1e-6)
    assert np.abs(found[0] - expected[0]).max() > 1e-4
    np.testing.assert_allclose(found[1:], expected[1:], atol=1e-6)


def test_no_token_depends_on_a_later_one_but_all_on_the_source() -> None:
    model = make().eval()
    expected = np.asarray(model(SOURCE, TARGET))
    changed = TARGET.copy()
    changed[:, 3:] = 4
    found = np.asarray(model(SOURCE, changed))
    np.testing.assert_allclose(found[:, :3], expected[:, :3], atol=1e-6)
    for place in range(SOURCE.shape[1]):
        other = SOURCE.copy()
        other[:, place] = 4 + (other[:, place] - 3) % 7
        assert np.abs(np.asarray(model(other, TARGET)) - expected).min(axis=-1).max() > 0


def test_gradients_agree_with_differences() -> None:
    model = make(features=3, layers=2)
    wanted = np.roll(TARGET, -1, axis=1)

    def measure(model: Any) -> Any:
        return losses.cross_entropy(model(SOURCE, TARGET), wanted)

    gradients = rg.grad(measure)(model)
    for layer, name in ((model.query, "query"), (model.mix, "mix"), (model.embedding, "embedding")):
        weight = np.asarray(layer.weight)
        direction, step, values = RANDOM.normal(size=weight.shape), 1e-2, []
        for sign in (1, -1):
            layer.weight = rg.array((weight + sign * step * direction).astype("float32"))
            values.append(float(measure(model)))
        layer.weight = rg.array(weight)
        found = float((np.asarray(gradients[name]["weight"]) * direction).sum())
        expected = (values[0] - values[1]) / (2 * step)
        assert found == pytest.approx(expected, rel=0.02, abs=5e-4)


def test_saved_and_loaded(tmp_path: Any) -> None:
    model = make(layers=2, dropout=0.1)
    rg.save_model(model, tmp_path / "model")
    other = rg.load_model(tmp_path / "model")
    assert other.config() == model.config() and "Translator" in str(model.summary())
    expected = np.asarray(model.eval()(SOURCE, TARGET))
    assert np.array_equal(np.asarray(other.eval()(SOURCE, TARGET)), expected)
    assert type(nn.build_layer(nn.describe_layer(model))) is models.Translator


@pytest.mark.parametrize("executor", ["native", "numpy"])
def test_a_wide_search_finds_the_best_of_all_sequences(executor: str) -> None:
    model = make(features=4)
    model.bias = rg.array(RANDOM.normal(size=11).astype("float32"))  # some are more probable
    length, tokens = 3, [token for token in range(11) if token not in (0, 1, START, END)]
    model.eval()
    best: list[tuple[float, tuple[int, ...]]] = []
    for row in range(len(SOURCE)):
        found = []
        for size in range(length):
            for words in product(tokens, repeat=size):
                target = np.array([[START, *words]], np.int32)
                logits = np.asarray(model(SOURCE[row : row + 1], target))[0].astype(np.float64)
                logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
                score = sum(logits[place, token] for place, token in enumerate([*words, END]))
                found.append((score / (size + 1), words))
        best.append(max(found))
    model.train()
    written = models.search(
        model, SOURCE, START, END, length, beams=7**2, forbidden=(0, 1), executor=executor
    )
    assert model.training
    assert [tuple(tokens.tolist()) for tokens in written] == [words for _, words in best]


def test_greedy_takes_the_most_probable_token() -> None:
    model = make().eval()
    written = models.search(model, SOURCE, START, END, length=6, beams=1)
    for row, tokens in enumerate(written):
        target = [START]
        for token in tokens:
            logits = np.array(model(SOURCE[row : row + 1], np.array([target], np.int32)))[0, -1]
            logits[START] = -np.inf
            assert logits.argmax() == token
            target.append(int(token))


def test_it_learns_to_reverse() -> None:
    rg.seed(0)
    random, rows = np.random.default_rng(1), 300
    lengths = random.integers(1, 5, rows)
    source, target, following = (np.zeros((rows, 5), np.int32) for _ in range(3))
    for row, length in enumerate(lengths):
        words = random.integers(4, 9, length)
        source[row, : length + 1] = [*words, END]
        target[row, : length + 1] = [START, *words[::-1]]
        following[row, : length + 1] = [*words[::-1], END]

    def measure(logits: Any, wanted: Any) -> Any:
        return losses.cross_entropy(logits, wanted, sample_weight=rg.array(wanted) != 0)

    model = models.Translator(vocabulary=9, features=16, dropout=0.0)
    trainer = rg.Trainer(model, measure, optim.Adam(1e-2))
    trainer.fit((source[:250], target[:250]), following[:250], 40, 50, verbose=False)
    written = models.search(model, source[250:], START, END, length=8, beams=3)
    right = [
        tokens.tolist() == following[250 + row, : lengths[250 + row]].tolist()
        for row, tokens in enumerate(written)
    ]
    assert np.mean(right) > 0.9


def test_what_does_not_fit_is_told() -> None:
    model = make()
    with pytest.raises(ShapeError, match=r"a source \(batch, time\)"):
        model(SOURCE[0], TARGET)
    with pytest.raises(ShapeError, match="2 targets for 3 sources"):
        model(SOURCE, TARGET[:2])
    with pytest.raises(DTypeError, match="integer"):
        model(SOURCE.astype("float32"), TARGET)
    with pytest.raises(ArgumentTypeError, match="a source and a target"):
        model(SOURCE)
    with pytest.raises(ArgumentError, match="features is at least 1"):
        make(features=0)


def test_search_refuses_what_it_cannot_do() -> None:
    model = make()
    with pytest.raises(ArgumentTypeError, match="Linear has no encode"):
        models.search(nn.Linear(2, 2), SOURCE, START, END, 5)
    with pytest.raises(ShapeError, match="source of shape"):
        models.search(model, SOURCE[0], START, END, 5)
    with pytest.raises(DTypeError, match="holds integers"):
        models.search(model, SOURCE / 2, START, END, 5)
    with pytest.raises(ArgumentError, match="beams is at least 1"):
        models.search(model, SOURCE, START, END, 5, beams=0)
    with pytest.raises(ArgumentError, match="penalty"):
        models.search(model, SOURCE, START, END, 5, penalty=-1.0)
    model.bias = rg.array(np.full(11, np.nan, np.float32))
    with pytest.raises(StateError, match="Translator gives NaN"):
        models.search(model, SOURCE, START, END, 5)

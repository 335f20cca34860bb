"""Models: GPT, sampling, and generation token by token."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses, models, nn, optim, tree
from retrograd.models import generation


def make(**options: Any) -> models.GPT:
    rg.seed(0)
    sizes = {"features": 16, "heads": 2, "layers": 2, "context": 8, **options}
    return models.GPT(vocabulary=11, **sizes)


TOKENS = np.random.default_rng(0).integers(0, 11, (3, 8)).astype("int32")
FORMS: list[dict[str, Any]] = [
    {},
    {"positions": "rotary", "key_value_heads": 1},
    {"tied": True, "activation": "relu", "dropout": 0.3},
]


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_a_step_with_a_cache_gives_the_logits_of_the_whole(options: dict[str, Any]) -> None:
    model = make(**options).eval()
    whole = np.asarray(model(TOKENS))
    assert whole.shape == (3, 8, 11)
    cache = model.make_cache(3, 8)
    for place in range(8):
        logits, cache = model.step(TOKENS[:, place : place + 1], cache, place)
        np.testing.assert_allclose(np.asarray(logits)[:, 0], whole[:, place], atol=2e-5)


def test_no_token_depends_on_a_later_one() -> None:
    model = make().eval()
    other = TOKENS.copy()
    other[:, 5:] = 0
    first, second = np.asarray(model(TOKENS)), np.asarray(model(other))
    assert np.array_equal(first[:, :5], second[:, :5])
    assert not np.array_equal(first[:, 5:], second[:, 5:])


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_saved_and_loaded(options: dict[str, Any], tmp_path: Any) -> None:
    model = make(**options)
    rg.save_model(model, tmp_path / "model")
    other = rg.load_model(tmp_path / "model")
    assert other.config() == model.config() and "GPT" in str(model.summary())
    assert np.array_equal(np.asarray(model.eval()(TOKENS)), np.asarray(other.eval()(TOKENS)))
    assert type(nn.build_layer(nn.describe_layer(model))) is models.GPT


@pytest.mark.parametrize("executor", ["native"])
def test_it_learns_a_cycle_and_continues_it(executor: str) -> None:
    model, optimizer = make(features=32), optim.Adam(3e-3)

    @rg.compile(executor=executor)
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        def loss(model: Any) -> Any:
            return losses.cross_entropy(model(x).reshape(-1, 11), y.reshape(-1))

        value, gradients = rg.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    cycle = np.tile(np.array([3, 1, 4, 0, 5], np.int32), 10)
    rows = np.stack([cycle[start : start + 9] for start in range(16)])
    x, y = rg.array(rows[:, :-1]), rg.array(rows[:, 1:])
    values = [float(step(model, optimizer, x, y)) for _ in range(60)]
    assert values[-1] < 0.1 < values[0]
    made = models.generate(model, cycle[:3], 30, temperature=None, executor=executor)
    assert made.tolist() == cycle[3:33].tolist()


def test_generation_is_traced_once_and_continues_past_the_context() -> None:
    model = make()
    generation._compiled.cache_clear()
    rg.seed(4)
    first = models.generate(model, TOKENS[:, :2], 20, temperature=0.8, top_k=5, top_p=0.9)
    assert first.shape == (3, 20) and first.dtype == np.int32
    rg.seed(4)
    again = models.generate(model, TOKENS[:, :2], 20, temperature=0.8, top_k=5, top_p=0.9)
    assert np.array_equal(first, again)
    models.generate(model, TOKENS[:, :5], 3, temperature=1.8, top_k=3, top_p=0.4)
    structure = tree.flatten(model.make_cache(3, 8))[1]
    assert generation._compiled("native", structure).trace_count == 1
    assert generation._compiled.cache_info().misses == 1
    assert model.training
    assert models.generate(model, [1, 2, 3], 0).shape == (0,)
    assert models.generate(model, np.arange(11), 4).shape == (4,)  # longer than the context


def test_greedy_generation_is_that_of_the_whole_sequence() -> None:
    model = make(positions="rotary").eval()
    made = models.generate(model, TOKENS[:, :3], 5, temperature=None)
    tokens = TOKENS[:, :3]
    for _ in range(5):
        following = np.asarray(model(tokens))[:, -1].argmax(axis=-1)
        tokens = np.concatenate([tokens, following[:, None].astype("int32")], axis=1)
    assert np.array_equal(made, tokens[:, 3:])


def frequencies(logits: list[float], **options: Any) -> Any:
    rg.seed(1)
    rows = np.tile(np.array(logits), (20_000, 1))
    return np.bincount(np.asarray(models.sample(rows, **options)), minlength=len(logits)) / 20_000


def test_samples_have_the_probabilities_of_the_softmax() -> None:
    logits = [0.0, 1.0, 2.0, -1.0]

    def softmax(values: Any) -> Any:
        weights = np.exp(values)
        return weights / weights.sum()

    np.testing.assert_allclose(frequencies(logits), softmax(logits), atol=0.015)
    halved = softmax(np.array(logits) / 0.5)
    np.testing.assert_allclose(frequencies(logits, temperature=0.5), halved, atol=0.015)
    two = softmax([-np.inf, 1.0, 2.0, -np.inf])
    np.testing.assert_allclose(frequencies(logits, top_k=2), two, atol=0.015)
    # The two largest have 0.87 of the weight, the largest 0.64.
    np.testing.assert_allclose(frequencies(logits, top_p=0.8), two, atol=0.015)
    assert frequencies(logits, top_p=0.5)[2] == 1.0
    assert frequencies(logits, top_k=3, top_p=0.65)[[0, 3]].sum() == 0.0
    assert frequencies(logits, temperature=None)[2] == 1.0


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_p": 0.9}], ids=str)
def test_what_has_no_probability_is_never_drawn(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert frequencies([-np.inf, 0.0, 1.0, -np.inf], **options)[[0, 3]].sum() == 0.0

    def draw(shape: tuple[int, ...], dtype: Any) -> Any:
        numbers = np.full(shape, 0.5, dtype)
        numbers[..., 0] = 0.0  # the random bits of which the noise would be infinite
        return rg.array(numbers)

    monkeypatch.setattr(models.sampling, "uniform", draw)
    for dtype in ("float32", "float64"):
        scores = rg.array(np.array([[-np.inf, 1.0, 3.0], [-40.0, 1.0, 3.0]], dtype))
        assert models.sample(scores, **options).tolist() == [2, 2]


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": 0},
        {"top_k": 12},
        {"top_k": 1.5},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_p": True},
    ],
    ids=str,
)
def test_numbers_outside_their_limits(options: dict[str, Any]) -> None:
    with pytest.raises(rg.errors.ArgumentError, match=next(iter(options))):
        models.sample(np.zeros((2, 11)), **options)
    with pytest.raises(rg.errors.ArgumentError, match=next(iter(options))):
        models.generate(make(), [1], 2, **options)


def test_bad_input() -> None:
    model = make()
    with pytest.raises(rg.errors.ShapeError, match="at most 8"):
        model(np.zeros((2, 9), "int32"))
    with pytest.raises(rg.errors.ShapeError, match="None"):
        model(np.zeros(4, "int32"))
    with pytest.raises(rg.errors.DTypeError):
        model(np.zeros((2, 4)))
    with pytest.raises(rg.errors.ShapeError, match="at least one"):
        models.generate(model, np.zeros((2, 0), "int32"), 3)
    with pytest.raises(rg.errors.DTypeError):
        models.generate(model, [0.5], 3)
    with pytest.raises(rg.errors.ArgumentTypeError, match="no context"):
        models.generate(nn.Linear(2, 3), [1], 3)
    with pytest.raises(rg.RetrogradError):
        models.generate(model, [11], 3)
    with pytest.raises(rg.errors.ArgumentError, match="positions"):
        make(positions="none")
    with pytest.raises(rg.errors.ShapeError):
        models.sample(3.0)

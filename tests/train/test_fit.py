"""fit, evaluate, predict: batches, means, weights, modes, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses, nn, optim
from tests.train.helpers import bits_of, make_data, make_net, make_trainer


class Line(nn.Module):
    def __init__(self) -> None:
        self.slope = rg.array(0.5)

    def __call__(self, x: Any) -> Any:
        return self.slope * x


def fit_line(**options: Any) -> tuple[float, list[float]]:
    """Fit slope * x to 3 x without shuffling, and the same by hand in float64."""
    x = np.array([1.0, -2.0, 0.5, 1.5, -1.0])
    trainer = rg.Trainer(Line(), loss="mse", optimizer=optim.SGD(learning_rate=0.1))
    history = trainer.fit(x, 3 * x, shuffle=False, verbose=False, **options)
    return float(trainer.model.slope), history["loss"]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_steps_and_epoch_means_are_those_of_a_hand_written_loop(batch_size: int) -> None:
    x = np.array([1.0, -2.0, 0.5, 1.5, -1.0])
    slope, expected = 0.5, []
    for _ in range(3):
        total = 0.0
        for start in range(0, 5, batch_size):
            part = x[start : start + batch_size]
            total += float(((slope - 3) ** 2 * part**2).sum())
            slope -= 0.1 * float((2 * (slope - 3) * part**2).mean())
        expected.append(total / 5)
    found, history = fit_line(epochs=3, batch_size=batch_size)
    assert found == pytest.approx(slope, rel=1e-6)
    assert history == pytest.approx(expected, rel=1e-4)  # float32


def test_weights_of_samples_count_like_copies_of_them() -> None:
    x, y = make_data(24)
    counts = np.arange(24) % 3
    weighted = make_trainer(model=make_small(), optimizer=optim.SGD(learning_rate=0.1))
    one = weighted.fit(x, y, 3, batch_size=24, sample_weight=counts, verbose=False)
    copied = make_trainer(model=make_small(), optimizer=optim.SGD(learning_rate=0.1))
    rows = np.repeat(np.arange(24), counts)
    two = copied.fit(x[rows], y[rows], 3, batch_size=len(rows), verbose=False)
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    assert one["accuracy"] == pytest.approx(two["accuracy"])
    for path, array in weighted.model.named_state().items():
        np.testing.assert_allclose(array.numpy(), copied.model.named_state()[path], rtol=1e-4)


def make_small() -> nn.Sequential:
    rg.seed(3)
    return nn.Sequential(nn.Linear(4, 3))


def test_class_weights_count_like_sample_weights() -> None:
    x, y = make_data(40)
    weights = np.array([0.5, 2.0, 3.0])

    def own_loss(outputs: Any, targets: Any) -> Any:
        return losses.cross_entropy(outputs, targets, reduction="none")

    results = []
    for loss, options in (
        ("cross_entropy", {"class_weight": weights}),
        ("cross_entropy", {"class_weight": {0: 0.5, 1: 2.0, 2: 3.0}}),
        ("cross_entropy", {"sample_weight": weights[y]}),
        (own_loss, {"class_weight": weights}),
    ):
        trainer = make_trainer(model=make_small(), loss=loss, metrics=[])
        results.append(trainer.fit(x, y, 4, batch_size=16, verbose=False, **options)["loss"])
    for other in results[1:]:
        assert other == pytest.approx(results[0], rel=1e-5)


def test_balanced_class_weights_give_each_class_the_same_mass() -> None:
    x, y = make_data(50)
    counts = np.bincount(y)
    trainers = [make_trainer(model=make_small()) for _ in range(2)]
    one = trainers[0].fit(x, y, 2, class_weight="balanced", verbose=False)
    two = make_trainer(model=make_small()).fit(
        x, y, 2, class_weight=50 / (3 * counts), verbose=False
    )
    assert one["loss"] == two["loss"]


def test_a_batch_without_weight_changes_nothing() -> None:
    x, y = make_data(20)
    weight = np.r_[np.ones(10), np.zeros(10)]
    one = make_trainer(model=make_small())
    one.fit(x, y, 1, batch_size=10, shuffle=False, sample_weight=weight, verbose=False)
    two = make_trainer(model=make_small())
    two.fit(x[:10], y[:10], 1, batch_size=10, shuffle=False, verbose=False)
    assert bits_of(one) == bits_of(two)


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not() -> None:
    x, y = make_data()

    def run(seed: int) -> dict[str, bytes]:
        trainer = make_trainer(seed=seed)
        trainer.fit(x, y, 2, batch_size=16, verbose=False)
        return bits_of(trainer)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_validation_does_not_change_the_training() -> None:
    x, y = make_data()
    plain, validated = make_trainer(), None
    plain.fit(x, y, 2, verbose=False)
    expected = bits_of(plain)
    validated = make_trainer()
    validated.fit(x, y, 2, validation_data=(x[:9], y[:9]), verbose=False)
    assert bits_of(validated) == expected


def test_a_step_is_traced_once_for_each_shape_and_never_again() -> None:
    x, y = make_data(70)
    trainer = make_trainer()
    trainer.fit(x, y, 2, batch_size=32, verbose=False)
    assert trainer.trace_count == 2  # 32 and the last 6
    trainer.optimizer.learning_rate = 0.01
    trainer.fit(x, y, 2, batch_size=32, verbose=False)
    assert trainer.trace_count == 2


def test_two_calls_of_fit_are_one_longer_one() -> None:
    x, y = make_data()
    whole = make_trainer(optimizer=optim.Adam(0.01))
    whole.fit(x, y, 5, batch_size=16, verbose=False)
    expected = bits_of(whole)
    parts = make_trainer(optimizer=optim.Adam(0.01))
    parts.fit(x, y, 2, batch_size=16, verbose=False)
    parts.fit(x, y, 3, batch_size=16, verbose=False)
    assert bits_of(parts) == expected


def test_shuffling_shows_each_sample_once_an_epoch_in_changing_order() -> None:
    seen: list[list[float]] = []

    class Watcher(nn.Module):
        def __init__(self) -> None:
            self.weight = rg.array(0.0)
            self.seen = nn.Buffer(rg.zeros(6))

        def __call__(self, x: Any) -> Any:
            if self.training:
                self.seen = x + 0.0
            return self.weight * x

    class Collect(rg.Callback):
        def on_batch_end(self, trainer: rg.Trainer, event: Any) -> None:
            seen.append(trainer.model.seen.tolist())

    x = np.arange(12.0)
    rg.seed(0)
    trainer = rg.Trainer(Watcher(), loss="mse", optimizer=optim.SGD(learning_rate=0.0))
    trainer.fit(x, x, 2, batch_size=6, callbacks=[Collect()], verbose=False)
    epochs = [seen[0] + seen[1], seen[2] + seen[3]]
    assert [sorted(epoch) for epoch in epochs] == [list(x), list(x)]
    assert epochs[0] != epochs[1] != list(x)


def test_evaluate_is_the_mean_over_samples_in_any_batches() -> None:
    x, y = make_data()
    trainer = make_trainer()
    trainer.fit(x, y, 1, verbose=False)
    whole = trainer.evaluate(x, y, batch_size=70)
    assert set(whole) == {"loss", "accuracy"}
    parts = trainer.evaluate(x, y, batch_size=16)
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert parts["accuracy"] == pytest.approx(whole["accuracy"])
    predicted = trainer.predict(x, batch_size=16)
    assert predicted.dtype == np.float32
    assert whole["accuracy"] == pytest.approx(float((predicted.argmax(1) == y).mean()))


def test_modes_are_restored_also_after_an_error() -> None:
    x, y = make_data()
    trainer = make_trainer()
    trainer.model.eval()
    trainer.model.layers[3].train()
    before = [module.training for _, module in trainer.model.modules()]

    class Fail(rg.Callback):
        def on_epoch_end(self, trainer: rg.Trainer, event: Any) -> None:
            assert trainer.model.training
            raise RuntimeError("a mistake in a callback")

    trainer.fit(x, y, 1, verbose=False)
    assert [module.training for _, module in trainer.model.modules()] == before
    with pytest.raises(RuntimeError, match="a mistake"):
        trainer.fit(x, y, 1, callbacks=[Fail()], verbose=False)
    assert [module.training for _, module in trainer.model.modules()] == before
    trainer.predict(x)
    trainer.evaluate(x, y)
    assert [module.training for _, module in trainer.model.modules()] == before
    trainer.fit(x, y, 1, verbose=False)  # and the trainer is usable again


def test_predict_and_evaluate_run_in_eval_mode() -> None:
    x, y = make_data()
    trainer = make_trainer()
    assert trainer.model.training
    assert (trainer.predict(x) == trainer.predict(x)).all()  # no dropout
    assert trainer.evaluate(x, y) == trainer.evaluate(x, y)


def test_inputs_may_be_trees_and_predictions_too() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.left, self.right = nn.Linear(2, 1), nn.Linear(3, 1)

        def __call__(self, x: Any) -> Any:
            total = self.left(x["a"]) + self.right(x["b"])
            return {"sum": total, "pair": (total, x["a"])}

    generator = np.random.default_rng(0)
    x = {"a": generator.normal(size=(9, 2)), "b": generator.normal(size=(9, 3))}
    y = x["a"].sum(1, keepdims=True)
    trainer = rg.Trainer(
        Two(), loss=lambda o, t: losses.mse(o["sum"], t), optimizer=optim.Adam(0.05)
    )
    history = trainer.fit(x, y, 40, batch_size=4, validation_split=0.3, verbose=False)
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    predicted = trainer.predict(x, batch_size=4)
    assert predicted["sum"].shape == (9, 1)
    np.testing.assert_allclose(predicted["pair"][1], x["a"].astype(np.float32))


def test_bytes_stay_bytes_and_doubles_become_the_parameters_dtype() -> None:
    kinds: list[str] = []

    class Look(nn.Module):
        def __init__(self) -> None:
            self.linear = nn.Linear(3, 2)

        def __call__(self, x: Any) -> Any:
            kinds.append(x.dtype.name)
            return self.linear(x.astype("float32"))

    y = np.array([0, 1, 0, 1])
    for dtype, expected in (("uint8", "uint8"), ("float64", "float32"), ("float32", "float32")):
        kinds.clear()
        trainer = rg.Trainer(Look(), loss="cross_entropy", optimizer=optim.SGD(0.1))
        trainer.fit(np.ones((4, 3), dtype), y, 1, verbose=False)
        assert set(kinds) == {expected}


def test_validation_split_is_stratified_and_always_the_same() -> None:
    x, y = make_data(100)
    y = (y == 0).astype(np.int64)
    trainer = make_trainer()
    from retrograd.train.trainer import split_samples

    samples = trainer._prepare(x, y, None, None)
    first, second = split_samples(samples, 0.2), split_samples(samples, 0.2)
    assert (first[1].x == second[1].x).all() and first[1].count == 20
    assert first[1].y.mean() == pytest.approx(y.mean(), abs=0.03)
    rows = np.concatenate([first[0].x, first[1].x])
    assert sorted(rows[:, 0]) == sorted(samples.x[:, 0])


def test_loss_options_reach_the_loss() -> None:
    x, y = make_data()
    plain = make_trainer(model=make_small()).fit(x, y, 1, verbose=False)
    smooth = make_trainer(model=make_small(), loss_options={"label_smoothing": 0.2}).fit(
        x, y, 1, verbose=False
    )
    assert plain["loss"] != smooth["loss"]
    with pytest.raises(rg.errors.ArgumentError, match="no option 'smoothing'"):
        make_trainer(loss_options={"smoothing": 0.2})


def test_double_precision_models_are_trained_in_double_precision() -> None:
    x = np.linspace(-1, 1, 8)
    model = Line()
    model.slope = rg.array(np.array(0.0))
    trainer = rg.Trainer(model, loss="mse", optimizer=optim.SGD(learning_rate=0.5))
    trainer.fit(x, 3 * x, 200, batch_size=8, verbose=False)
    assert model.slope.dtype == np.float64
    assert float(model.slope) == pytest.approx(3.0, abs=1e-12)


def test_frozen_layers_keep_their_bits() -> None:
    x, y = make_data()
    model = make_net()
    model.layers[0].freeze()
    before = model.layers[0].weight.numpy().tobytes()
    make_trainer(model=model).fit(x, y, 2, verbose=False)
    assert model.layers[0].weight.numpy().tobytes() == before


def test_with_batch_norm_a_single_last_sample_joins_the_batch_before() -> None:
    x, y = make_data(33)
    sizes: list[int] = []

    class Sizes(rg.Callback):
        def on_batch_end(self, trainer: rg.Trainer, event: Any) -> None:
            sizes.append(event.samples)

    make_trainer().fit(x, y, 1, batch_size=16, callbacks=[Sizes()], verbose=False)
    assert sizes == [16, 33]
    sizes.clear()
    make_trainer(model=make_small()).fit(x, y, 1, 16, callbacks=[Sizes()], verbose=False)
    assert sizes == [16, 32, 33]

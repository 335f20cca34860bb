"""Many steps in one native call: the same bits as one call a step, and nothing is lost."""

from __future__ import annotations

import importlib
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses, nn, optim
from retrograd.errors import DivergedError, IndexRangeError
from retrograd.train.steps import LONGEST_CALL, Steps
from tests.train.helpers import bits_of, interrupt, make_data, make_net, make_trainer


class EveryBatch(rg.Callback):
    """Sees each batch, so that each is a call of its own."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_batch_end(self, trainer: rg.Trainer, event: Any) -> None:
        self.losses.append(event.loss)


class SomeBatches(EveryBatch):
    every_batch = False


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each native call had."""
    found: list[int] = []
    run = Steps.run

    def watch(steps: Steps, *arguments: Any) -> Any:
        result = run(steps, *arguments)
        if steps.step.executor == "native":
            assert all(bound is not None for bound in steps._native.values()), "not native"
        found.append(result[0])
        return result

    monkeypatch.setattr(Steps, "run", watch)
    return found


class Tied(nn.Module):
    """A parameter in two places, and buffers that change, one with what the other was."""

    def __init__(self) -> None:
        self.first = nn.Linear(4, 4)
        self.second = self.first
        self.old = nn.Buffer(rg.zeros((4,)))
        self.older = nn.Buffer(rg.ones((4,)))
        self.head = nn.Linear(4, 3)

    def __call__(self, x: Any) -> Any:
        x = nn.tanh(self.second(nn.tanh(self.first(x))))
        if self.training:
            self.older = self.old * 1.5 - self.older
            self.old = rg.stop_gradient(x.mean(axis=0)) + 0.5 * self.old
        return self.head(x + self.older)


class Handed(nn.Module):
    """A buffer that takes over the very Array of another: steps run one by one."""

    def __init__(self) -> None:
        self.head = nn.Linear(4, 3)
        self.now, self.before = nn.Buffer(rg.zeros((3,))), nn.Buffer(rg.ones((3,)))

    def __call__(self, x: Any) -> Any:
        outputs = self.head(x) + self.before
        if self.training:
            self.before = self.now
            self.now = rg.stop_gradient(outputs.mean(axis=0))
        return outputs


def make_seeded(make: Callable[[], nn.Module]) -> nn.Module:
    rg.seed(2)
    return make()


OPTIMIZERS: dict[str, Callable[[], optim.Optimizer]] = {
    "momentum": lambda: optim.SGD(learning_rate=0.05, momentum=0.9, nesterov=True),
    "adam": lambda: optim.chain(optim.clip_by_global_norm(1.0), optim.Adam(0.01)),
    "schedule": lambda: optim.SGD(learning_rate=lambda step: 0.1 / (step + 1.0)),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", [make_net, Tied])
@pytest.mark.parametrize("shuffle", [True, False])
def test_long_calls_and_single_steps_give_the_same_bits(
    optimizer: str, model: Callable[[], nn.Module], shuffle: bool, calls: list[int]
) -> None:
    x, y = make_data(210)
    found = []
    for callbacks in ([EveryBatch()], [], [SomeBatches()]):
        trainer = make_trainer(model=make_seeded(model), optimizer=OPTIMIZERS[optimizer]())
        before = len(calls)
        history = trainer.fit(
            x, y, 3, batch_size=16, shuffle=shuffle, callbacks=callbacks, verbose=False
        )
        found.append((bits_of(trainer), history["loss"], history["accuracy"]))
        alone = bool(callbacks) and callbacks[0].every_batch
        assert (max(calls[before:]) == 1) == alone
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("model", [Tied, Handed])
def test_the_native_steps_agree_with_the_interpreter(model: Callable[[], nn.Module]) -> None:
    x, y = make_data(70)
    found = []
    for executor in ("numpy", "native"):
        trainer = make_trainer(model=make_seeded(model), executor=executor)
        history = trainer.fit(x, y, 5, batch_size=16, verbose=False)
        found.append((history["loss"], dict(trainer.model.named_state())))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    for path, array in found[0][1].items():
        np.testing.assert_allclose(array.numpy(), found[1][1][path], rtol=1e-4, atol=1e-6)


def test_weights_that_the_user_holds_are_not_written_over(calls: list[int]) -> None:
    x, y = make_data(64)
    trainer = make_trainer()
    held = dict(trainer.model.named_state())
    copies = {path: array.numpy().copy() for path, array in held.items()}
    trainer.fit(x, y, 3, batch_size=8, verbose=False)
    view = trainer.model.layers[0].weight.numpy()
    copy = view.copy()
    trainer.fit(x, y, 3, batch_size=8, verbose=False)
    for path, array in held.items():
        np.testing.assert_array_equal(array.numpy(), copies[path])
    np.testing.assert_array_equal(view, copy)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int32])
def test_data_of_any_dtype_and_in_trees(dtype: Any, calls: list[int]) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.scale = nn.Rescale(1 / 255)
            self.left, self.right = nn.Linear(6, 2), nn.Linear(3, 2)

        def __call__(self, x: Any) -> Any:
            flat = self.scale(x["a"]).reshape(x["a"].shape[0], -1)
            return self.left(flat) + self.right(x["b"])

    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (100, 3, 2)).astype(dtype)
    others = generator.normal(size=(3, 100)).T  # not contiguous
    labels = (images.reshape(100, -1).sum(axis=1) > 760).astype(np.int32)
    found = []
    for executor in ("numpy", "native"):
        trainer = make_trainer(model=make_seeded(Two), executor=executor)
        history = trainer.fit({"a": images, "b": others}, labels, 4, batch_size=8, verbose=False)
        found.append(history["loss"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_weighted_batches_and_batches_that_do_not_count(calls: list[int]) -> None:
    x, y = make_data(96)
    weight = np.random.default_rng(1).random(96)
    weight[16:32] = 0.0  # two batches of 8 teach nothing
    found = []
    for callbacks in ([], [EveryBatch()]):
        trainer = make_trainer()
        history = trainer.fit(
            x, y, 3, batch_size=8, shuffle=False, sample_weight=weight, callbacks=callbacks,
            verbose=False,
        )  # fmt: skip
        found.append((bits_of(trainer), history["loss"], history["accuracy"]))
    assert found[0] == found[1]
    assert max(calls) > 1


def test_a_bad_index_in_the_middle_of_a_call_is_an_error_and_keeps_the_steps_before() -> None:
    class Look(nn.Module):
        def __init__(self) -> None:
            self.table = nn.Embedding(10, 3)

        def __call__(self, x: Any) -> Any:
            return self.table(x)

    x = np.tile(np.arange(10), 40)
    y = x % 3
    x[333] = 10

    def train(rows: int) -> rg.Trainer:
        trainer = make_trainer(model=make_seeded(Look), optimizer=optim.SGD(0.1))
        if rows < len(x):
            trainer.fit(x[:rows], y[:rows], 1, batch_size=4, shuffle=False, verbose=False)
            return trainer
        with pytest.raises(IndexRangeError, match="10 "):
            trainer.fit(x, y, 1, batch_size=4, shuffle=False, verbose=False)
        return trainer

    assert bits_of(train(332)) == bits_of(train(400))


def test_divergence_names_its_batch(calls: list[int]) -> None:
    x, y = make_data(400)
    x[250] = 1e30
    trainer = make_trainer(
        model=nn.Sequential(nn.Linear(4, 3)), loss="mse", metrics=[], optimizer=optim.SGD(1e-3)
    )
    before = bits_of(trainer)
    with pytest.raises(DivergedError, match=r"epoch 1, batch (6[3-5]) of 100"):
        trainer.fit(x, np.eye(3)[y], 1, batch_size=4, shuffle=False, verbose=False)
    assert {k: v for k, v in bits_of(trainer).items() if not k.startswith("optimizer")} == {
        k: v for k, v in before.items() if not k.startswith("optimizer")
    }


def test_a_callback_may_change_the_model(calls: list[int]) -> None:
    x, y = make_data(64)

    class Change(rg.Callback):
        def on_epoch_end(self, trainer: rg.Trainer, event: Any) -> None:
            if event.epoch == 2:
                trainer.model.layers[3].p = 0.0
                trainer.model.layers[4].bias = rg.zeros((3,))
            self.bias = trainer.model.layers[4].bias.numpy()

    found = []
    for callback in (EveryBatch(), SomeBatches()):
        trainer = make_trainer()
        trainer.fit(x, y, 4, batch_size=8, callbacks=[Change(), callback], verbose=False)
        found.append(bits_of(trainer))
        assert trainer.trace_count == 2
    assert found[0] == found[1]


def test_ctrl_c_is_seen_soon() -> None:
    x, y = make_data(100_000)
    trainer = make_trainer()
    trainer.fit(x[:64], y[:64], 1, batch_size=8, verbose=False)
    timer = threading.Timer(1.0, signal.raise_signal, [signal.SIGINT])
    begin = time.monotonic()
    timer.start()
    history = trainer.fit(x, y, 100_000, batch_size=8, verbose=False)
    assert history.stopped_by == "interrupt"
    assert time.monotonic() - begin < 1.0 + 200 * LONGEST_CALL


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Any) -> None:
    x, y = make_data(210)

    class StopAfter(SomeBatches):
        def on_batch_end(self, trainer: rg.Trainer, event: Any) -> None:
            if event.epoch == 2 and event.batch >= 5:
                trainer.save(str(tmp_path / "run"))
                interrupt(trainer)

    whole = make_trainer()
    whole.fit(x, y, 3, batch_size=16, verbose=False)
    part = make_trainer()
    part.fit(x, y, 3, batch_size=16, callbacks=[StopAfter()], verbose=False)
    rest = make_trainer()
    rest.fit(x, y, 3, batch_size=16, resume=tmp_path / "run", verbose=False)
    assert bits_of(whole) == bits_of(rest)


def test_a_loss_that_is_a_python_number_and_a_constant_metric() -> None:
    x, y = make_data(40)

    def loss(outputs: Any, targets: Any) -> Any:
        return losses.cross_entropy(outputs, targets) * 0.0 + 2.5

    trainer = make_trainer(loss=loss)
    history = trainer.fit(x, y, 2, batch_size=8, verbose=False)
    assert history["loss"] == [2.5, 2.5]


def test_without_llvmlite_the_interpreter_runs_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from retrograd.runtime import target

    def fail() -> None:
        raise ImportError("No module named 'llvmlite'")

    compiling = importlib.import_module("retrograd.compile")
    monkeypatch.setattr(target, "initialise", fail)
    compiling.can_run_native.cache_clear()
    try:
        x, y = make_data(40)
        with pytest.warns(RuntimeWarning, match="llvmlite cannot be loaded"):
            history = make_trainer().fit(x, y, 2, batch_size=8, verbose=False)
        again = make_trainer(executor="numpy").fit(x, y, 2, batch_size=8, verbose=False)
        assert history["loss"] == again["loss"]
    finally:
        compiling.can_run_native.cache_clear()

"""Callbacks, events, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim
from tests.train.helpers import AtBatch, AtEpoch, bits_of, interrupt, make_data, make_trainer

X, Y = make_data(40)


class Script(rg.Callback):
    """Sets a parameter of the model at each epoch, so that the losses are known."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def on_epoch_begin(self, trainer: rg.Trainer, event: Any) -> None:
        trainer.model.level = rg.array(self.values[event.epoch - 1])


class Level(nn.Module):
    def __init__(self) -> None:
        self.level = rg.array(0.0)

    def __call__(self, x: Any) -> Any:
        return self.level + 0.0 * x


def run_script(values: list[float], *callbacks: rg.Callback) -> rg.Trainer:
    """The mean squared error of epoch n is values[n - 1] squared; nothing is learned."""
    trainer = rg.Trainer(
        Level(), loss="mse", optimizer=optim.SGD(learning_rate=0.0), metrics=["mae"]
    )
    trainer.fit(
        np.ones(4), np.zeros(4), len(values), callbacks=[Script(values), *callbacks], verbose=False
    )
    return trainer


@pytest.mark.parametrize(
    ("patience", "delta", "epochs", "best"),
    [
        (1, 0.0, 3, 2),
        (2, 0.0, 6, 4),
        (3, 0.0, 7, 4),
        (2, 3.0, 4, 2),
        (0, 0.0, 3, 2),
        (9, 0.0, 8, 8),
    ],
)
def test_early_stopping_waits_and_restores(
    patience: int, delta: float, epochs: int, best: int
) -> None:
    values = [4.0, 3.0, 3.5, 2.5, 2.6, 2.7, 2.8, 1.0]
    stopping = rg.EarlyStopping(patience, monitor="loss", minimum_delta=delta)
    trainer = run_script(values, stopping)
    assert len(trainer.history.epochs) == epochs
    assert stopping.best_epoch == best
    assert stopping.best_value == pytest.approx(values[best - 1] ** 2)
    assert float(trainer.model.level) == pytest.approx(values[best - 1])
    assert (trainer.history.stopped_by is None) == (epochs == len(values))


def test_early_stopping_without_restoring_keeps_the_last_weights() -> None:
    trainer = run_script([1.0, 2.0, 3.0], rg.EarlyStopping(1, monitor="mae", restore_best=False))
    assert float(trainer.model.level) == 2.0


def test_early_stopping_starts_anew_at_each_fit() -> None:
    stopping = rg.EarlyStopping(1, monitor="loss")
    assert len(run_script([1.0, 2.0, 3.0], stopping).history.epochs) == 2
    assert len(run_script([9.0, 8.0, 7.0], stopping).history.epochs) == 3


def test_a_metric_knows_what_is_better() -> None:
    trainer = make_trainer()
    assert trainer.better_direction("val_accuracy") == "higher"
    assert trainer.better_direction("val_loss") == "lower"
    stop = rg.StopAtMetric("accuracy", 0.4)
    history = trainer.fit(X, Y, 50, callbacks=[stop], verbose=False)
    assert history["accuracy"][-1] >= 0.4 > max([0.0, *history["accuracy"][:-1]])
    assert history.stopped_by == "accuracy reached 0.4"


def test_stop_at_loss() -> None:
    trainer = run_script([4.0, 3.0, 2.0, 1.0], rg.StopAtLoss(4.0))
    assert trainer.history["loss"] == [16.0, 9.0, 4.0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: rg.EarlyStopping(-1),
        lambda: rg.EarlyStopping(1.5),
        lambda: rg.EarlyStopping(1, minimum_delta=-1.0),
        lambda: rg.EarlyStopping(1, better="max"),
        lambda: rg.StopAtMetric("accuracy", "high"),
        lambda: rg.StopAtLoss(float("nan")),
        lambda: rg.RunCheckpoint("run", every=0),
    ],
)
def test_options_that_make_no_sense(make: Any) -> None:
    with pytest.raises(rg.errors.ArgumentError):
        make()


def test_events_come_in_order_with_their_numbers() -> None:
    told: list[Any] = []

    class Tell(rg.Callback):
        def on_fit_begin(self, trainer: rg.Trainer, event: Any) -> None:
            told.append(("begin", event.epochs, event.batches, event.samples, event.names))

        def on_epoch_begin(self, trainer: rg.Trainer, event: Any) -> None:
            told.append(("epoch", event.epoch))

        def on_batch_end(self, trainer: rg.Trainer, event: Any) -> None:
            told.append(("batch", event.batch, event.samples, sorted(event.values)))
            assert trainer.model.training

        def on_epoch_end(self, trainer: rg.Trainer, event: Any) -> None:
            told.append(("end", event.epoch, sorted(event.values)))

        def on_fit_end(self, trainer: rg.Trainer, event: Any) -> None:
            told.append(("over", event.epochs, event.stopped_by))

    trainer = make_trainer()
    trainer.fit(X, Y, 1, batch_size=32, validation_data=(X, Y), callbacks=[Tell()], verbose=False)
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    assert told == [
        ("begin", 1, 2, 40, names),
        ("epoch", 1),
        ("batch", 1, 32, ["accuracy", "loss"]),
        ("batch", 2, 40, ["accuracy", "loss"]),
        ("end", 1, sorted(names)),
        ("over", 1, None),
    ]


def test_model_checkpoint_keeps_the_best_and_each(tmp_path: Path) -> None:
    best = rg.ModelCheckpoint(tmp_path / "best.safetensors", monitor="loss")
    each = rg.ModelCheckpoint(tmp_path / "at-{epoch}.safetensors", save_best_only=False)
    run_script([3.0, 1.0, 2.0], best, each)
    model = Level()
    for name, value in (("best", 1.0), ("at-1", 3.0), ("at-2", 1.0), ("at-3", 2.0)):
        rg.load_weights(model, tmp_path / f"{name}.safetensors")
        assert float(model.level) == value
    assert len(list(tmp_path.iterdir())) == 4


def test_model_checkpoint_writes_a_model_directory(tmp_path: Path) -> None:
    trainer = make_trainer()
    callback = rg.ModelCheckpoint(tmp_path / "model", monitor="loss")
    trainer.fit(X, Y, 2, callbacks=[callback], verbose=False)
    loaded = rg.load_model(tmp_path / "model")
    assert set(loaded.named_state()) == set(trainer.model.named_state())


# -- Ctrl-C -----------------------------------------------------------------------------------


def press_control_c(trainer: rg.Trainer) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)


@pytest.mark.parametrize("press", [press_control_c, interrupt])
def test_control_c_ends_fit_after_the_step_and_keeps_history_and_best_weights(press: Any) -> None:
    trainer = make_trainer()
    stopping = rg.EarlyStopping(9, monitor="loss", minimum_delta=1e9)  # the first epoch is best
    first: dict[str, bytes] = {}
    after: list[int] = []

    def keep(trainer: rg.Trainer) -> None:
        first.update({p: a.numpy().tobytes() for p, a in trainer.model.named_state().items()})

    class Count(rg.Callback):
        def on_batch_end(self, trainer: rg.Trainer, event: Any) -> None:
            after.append(event.batch)

    callbacks = [AtEpoch(1, keep), AtBatch(3, 1, press), stopping, Count()]
    history = trainer.fit(X, Y, 50, batch_size=10, callbacks=callbacks, verbose=False)
    assert history.stopped_by == "interrupt"
    assert len(history["loss"]) == 2
    assert after == [1, 2, 3, 4, 1, 2, 3, 4, 1]
    assert {p: a.numpy().tobytes() for p, a in trainer.model.named_state().items()} == first
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert trainer.model.training


def test_control_c_while_validating_ends_it() -> None:
    class Slow(nn.Module):
        def __init__(self) -> None:
            self.linear = nn.Linear(4, 3)

        def __call__(self, x: Any) -> Any:
            if not self.training and x.shape[0] > 100:
                os.kill(os.getpid(), signal.SIGINT)
            return self.linear(x)

    x, y = make_data(600)
    trainer = make_trainer(model=Slow())
    history = trainer.fit(X, Y, 5, validation_data=(x, y), verbose=False)
    assert history.stopped_by == "interrupt" and history.epochs == []
    assert trainer.model.training


def test_a_second_control_c_raises() -> None:
    trainer = make_trainer()

    def twice(trainer: rg.Trainer) -> None:
        press_control_c(trainer)
        press_control_c(trainer)

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, 5, callbacks=[AtBatch(1, 1, twice)], verbose=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    trainer.fit(X, Y, 1, verbose=False)


def test_a_killed_training_leaves_the_last_good_model_whole(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from tests.train.helpers import make_data, make_trainer
        import retrograd as rg
        x, y = make_data(40)
        class Tell(rg.Callback):
            def on_epoch_end(self, trainer, event):
                print(event.epoch, flush=True)
        weights = rg.ModelCheckpoint(sys.argv[1] + "/w.safetensors", save_best_only=False)
        model = rg.ModelCheckpoint(sys.argv[1] + "/model", save_best_only=False)
        run = rg.RunCheckpoint(sys.argv[1] + "/run")
        make_trainer().fit(x, y, 10**6, callbacks=[weights, model, run, Tell()], verbose=False)
        """
    )
    root = Path(__file__).parents[2]
    environment = dict(os.environ, PYTHONPATH=f"{root / 'src'}{os.pathsep}{root}")
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline()
    time.sleep(0.013)  # somewhere within the writing of an epoch
    process.kill()
    process.wait()
    process.stdout.close()
    trainer = make_trainer()
    rg.load_weights(trainer.model, tmp_path / "w.safetensors")
    rg.load_model(tmp_path / "model")
    history = trainer.fit(X, Y, 1, resume=tmp_path / "run", verbose=False)
    assert len(history.epochs) >= 2
    assert np.isfinite(trainer.predict(X)).all()


def test_stop_and_fit_inside_fit() -> None:
    trainer = make_trainer()
    with pytest.raises(rg.errors.StateError):
        trainer.stop("early")

    def nested(trainer: rg.Trainer) -> None:
        trainer.fit(X, Y, 1)

    with pytest.raises(rg.errors.StateError, match="inside a callback"):
        trainer.fit(X, Y, 2, callbacks=[AtEpoch(1, nested)], verbose=False)
    history = trainer.fit(
        X, Y, 9, batch_size=10, callbacks=[AtBatch(2, 2, lambda t: t.stop("enough"))], verbose=False
    )
    assert history.stopped_by == "enough" and history.epochs == [1]
    assert bits_of(trainer)

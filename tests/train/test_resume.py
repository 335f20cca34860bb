"""A run that is interrupted and resumed ends in the bits of one that never was."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim
from retrograd.errors import (
    ArgumentError,
    FileFormatError,
    ModelFileError,
    SaveError,
)
from tests.train.helpers import AtBatch, AtEpoch, bits_of, interrupt, make_data, make_trainer

EPOCHS, BATCH = 6, 16
X, Y = make_data(70)


def make_early_stopping() -> rg.EarlyStopping:
    # It restores early weights here, since nothing can be better by 10.
    return rg.EarlyStopping(patience=100, minimum_delta=10.0)


def run_once(
    optimizer: Callable[[], optim.Optimizer],
    callbacks: list[rg.Callback],
    trainer: rg.Trainer | None = None,
    **options: Any,
) -> tuple[rg.Trainer, rg.train.History]:
    if trainer is None:
        trainer = make_trainer(optimizer=optimizer())
    history = trainer.fit(
        X, Y, EPOCHS, batch_size=BATCH, validation_split=0.2, callbacks=callbacks,
        verbose=False, **options,
    )  # fmt: skip
    return trainer, history


OPTIMIZERS: dict[str, Callable[[], optim.Optimizer]] = {
    "momentum": lambda: optim.SGD(learning_rate=0.05, momentum=0.9, nesterov=True),
    "adam": lambda: optim.chain(optim.clip_by_global_norm(1.0), optim.Adam(0.01)),
    "schedule": lambda: optim.SGD(learning_rate=lambda step: 0.1 / (step + 1.0)),
}
PLACES: dict[str, Callable[[Callable[[rg.Trainer], None]], rg.Callback]] = {
    "first batch": lambda action: AtBatch(1, 1, action),
    "middle": lambda action: AtBatch(3, 2, action),
    "last batch": lambda action: AtBatch(3, 4, action),
    "epoch end": lambda action: AtEpoch(3, action),
    "end": lambda action: AtEpoch(EPOCHS, action),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_interrupted_and_resumed_is_the_same_as_never_interrupted(
    tmp_path: Path, name: str, place: str
) -> None:
    optimizer = OPTIMIZERS[name]
    whole, expected = run_once(optimizer, [make_early_stopping()])
    bits = bits_of(whole)

    first, _ = run_once(optimizer, [make_early_stopping(), PLACES[place](interrupt)])
    assert first.history.stopped_by == "interrupt"
    assert bits_of(first) != bits or place == "end"
    first.save(tmp_path / "run")

    second = make_trainer(optimizer=optimizer(), seed=999)
    second, history = run_once(optimizer, [make_early_stopping()], second, resume=tmp_path / "run")
    assert history.to_dict() == expected.to_dict()
    assert bits_of(second) == bits
    assert np.array_equal(second.predict(X), whole.predict(X))


@pytest.mark.parametrize("place", PLACES)
def test_a_save_inside_a_callback_is_resumed_to_the_same_bits(tmp_path: Path, place: str) -> None:
    optimizer = OPTIMIZERS["momentum"]

    def save(trainer: rg.Trainer) -> None:
        trainer.save(tmp_path / "run")

    # Saving stands before EarlyStopping, whose state must be that after the event all the same.
    stopping = rg.EarlyStopping(patience=2, monitor="val_accuracy", minimum_delta=0.05)
    whole, expected = run_once(optimizer, [PLACES[place](save), stopping])
    bits = bits_of(whole)
    if not (tmp_path / "run").exists():
        pytest.skip("stopped before")
    again = rg.EarlyStopping(patience=2, monitor="val_accuracy", minimum_delta=0.05)
    second, history = run_once(
        optimizer, [again], make_trainer(optimizer=optimizer(), seed=5), resume=tmp_path / "run"
    )
    assert history.to_dict() == expected.to_dict()
    assert history.stopped_by == expected.stopped_by
    assert (again.best_epoch, again.best_value) == (stopping.best_epoch, stopping.best_value)
    assert bits_of(second) == bits


def test_a_finished_run_goes_on_with_more_epochs_from_the_last_weights(tmp_path: Path) -> None:
    whole = make_trainer()
    whole.fit(X, Y, 6, validation_split=0.2, callbacks=[make_early_stopping()], verbose=False)
    expected = bits_of(whole)
    half = make_trainer()
    half.fit(X, Y, 3, validation_split=0.2, callbacks=[make_early_stopping()], verbose=False)
    half.save(tmp_path / "run")  # the model has its best weights now, not the last ones
    second = make_trainer(seed=1)
    history = second.fit(
        X, Y, 6, validation_split=0.2, callbacks=[make_early_stopping()], verbose=False,
        resume=tmp_path / "run",
    )  # fmt: skip
    assert history.to_dict() == whole.history.to_dict()
    assert bits_of(second) == expected


def test_an_early_stopped_run_stays_stopped(tmp_path: Path) -> None:
    def stopping() -> rg.EarlyStopping:
        return rg.EarlyStopping(patience=1, minimum_delta=10.0)

    first, history = run_once(OPTIMIZERS["adam"], [stopping()])
    assert len(history.epochs) == 2 and "did not improve" in history.stopped_by
    first.save(tmp_path / "run")
    second, again = run_once(
        OPTIMIZERS["adam"], [stopping()], make_trainer(optimizer=OPTIMIZERS["adam"]()),
        resume=tmp_path / "run",
    )  # fmt: skip
    assert again.to_dict() == history.to_dict()
    assert bits_of(second) == bits_of(first)


def test_run_checkpoint_survives_a_killed_training(tmp_path: Path) -> None:
    whole, _ = run_once(OPTIMIZERS["momentum"], [])
    expected = bits_of(whole)

    def die(trainer: rg.Trainer) -> None:
        raise SystemExit

    callbacks = [rg.RunCheckpoint(tmp_path / "run"), AtBatch(4, 2, die)]
    with pytest.raises(SystemExit):
        run_once(OPTIMIZERS["momentum"], callbacks)
    fresh = make_trainer(seed=3, optimizer=OPTIMIZERS["momentum"]())
    second, history = run_once(OPTIMIZERS["momentum"], [], fresh, resume=tmp_path / "run")
    assert len(history.epochs) == EPOCHS
    assert bits_of(second) == expected


def test_the_weights_of_a_run_are_a_weights_file(tmp_path: Path) -> None:
    trainer, _ = run_once(OPTIMIZERS["adam"], [])
    trainer.save(tmp_path / "run")
    other = make_trainer(seed=4)
    rg.load_weights(other.model, tmp_path / "run" / "weights.safetensors")
    assert np.array_equal(other.predict(X), trainer.predict(X))


# -- files that are wrong ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "run"
    trainer, _ = run_once(OPTIMIZERS["momentum"], [make_early_stopping(), AtBatch(2, 2, interrupt)])
    trainer.save(path)
    return path


def resume(path: Path, trainer: rg.Trainer | None = None, **options: Any) -> None:
    """Resume from a damaged or foreign run: the model must keep its bits."""
    trainer = make_trainer() if trainer is None else trainer
    before = bits_of(trainer)
    arguments: dict[str, Any] = {
        "batch_size": BATCH, "validation_split": 0.2, "callbacks": [make_early_stopping()],
    }  # fmt: skip
    arguments.update(options)
    try:
        trainer.fit(X, Y, EPOCHS, verbose=False, resume=path, **arguments)
    finally:
        assert bits_of(trainer) == before


@pytest.mark.parametrize("name", ["training.json", "training.safetensors", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "foreign", "flipped"])
def test_damaged_files_are_refused(saved: Path, tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / "run"
    shutil.copytree(saved, path)
    file = path / name
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "flipped":
        if name.endswith(".json"):
            pytest.skip("JSON has no checksum; its values are checked one by one")
        file.write_bytes(data[:-20] + bytes([data[-20] ^ 255]) + data[-19:])
    else:
        kinds = {"empty": b"", "half": data[: len(data) // 2], "foreign": b"\x80\x04pickle"}
        file.write_bytes(kinds[damage])
    with pytest.raises(FileFormatError, match=name.replace(".", r"\.")):
        resume(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "something else"),
        ("format_version", 99),
        ("epoch", -1),
        ("batch", 1000),
        ("generator", [1, 2]),
        ("order_generator", [1, 2, 3, "4"]),
        ("history", ["unknown"]),
        ("callbacks", [{}]),
        ("running", {"loss": "x"}),
        ("optimizer_paths", ["a"]),
        ("data", 3),
    ],
)
def test_values_that_make_no_sense_are_refused(
    saved: Path, tmp_path: Path, key: str, value: Any
) -> None:
    path = tmp_path / "run"
    shutil.copytree(saved, path)
    manifest = json.loads((path / "training.json").read_text())
    manifest[key] = value
    (path / "training.json").write_text(json.dumps(manifest))
    with pytest.raises(FileFormatError):
        resume(path)


def test_a_run_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="does not exist"):
        resume(tmp_path / "nothing")


def test_a_run_of_another_model_or_optimizer_is_refused(saved: Path) -> None:
    other = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    with pytest.raises(ModelFileError, match="Sequential"):
        resume(saved, make_trainer(model=other))
    with pytest.raises(ModelFileError, match="SGD.*Adam"):
        resume(saved, make_trainer(optimizer=optim.Adam()))
    with pytest.raises(ModelFileError, match="does not fit"):
        resume(saved, make_trainer(optimizer=optim.SGD(learning_rate=0.1)))


def test_other_data_callbacks_or_metrics_are_refused(saved: Path) -> None:
    with pytest.raises(ArgumentError, match="middle of an epoch"):
        resume(saved, batch_size=8)
    with pytest.raises(ArgumentError, match="EarlyStopping"):
        resume(saved, callbacks=[])
    with pytest.raises(ArgumentError, match="accuracy"):
        resume(saved, make_trainer(metrics=["f1"]))


def test_a_directory_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(SaveError, match="other files"):
        make_trainer().save(tmp_path / "run")
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["training.json", "training.safetensors", "weights.safetensors"])
def test_a_full_disk_leaves_the_earlier_run(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "run"
    shutil.copytree(saved, path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    write = Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        if self.name == name:
            write(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(SaveError, match="No space left.*untouched") as caught:
        make_trainer().save(path)
    assert "free some space" in (caught.value.fix or "")
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_an_unwritable_path_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="could not be written"):
        make_trainer().save(tmp_path / "file" / "run")
    with pytest.raises(SaveError, match="not a directory"):
        make_trainer().save(tmp_path / "file")


def test_saving_before_fit_and_resuming_starts_at_the_beginning(tmp_path: Path) -> None:
    make_trainer(seed=7).save(tmp_path / "run")
    whole, _ = run_once(OPTIMIZERS["momentum"], [])
    expected = bits_of(whole)
    fresh = make_trainer(seed=8, optimizer=OPTIMIZERS["momentum"]())
    second, _ = run_once(OPTIMIZERS["momentum"], [], fresh, resume=tmp_path / "run")
    assert bits_of(second) == expected

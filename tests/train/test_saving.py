"""Weights files: what is saved comes back, and what does not fit changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import retrograd as rg
from retrograd import nn
from retrograd.errors import (
    ArgumentError,
    ArgumentTypeError,
    FileFormatError,
    ModelFileError,
)
from tests.train.saving_helpers import Net, assert_equal, snapshot


def write_tensors(path: Path, model: nn.Module, **changes: Any) -> Path:
    """A foreign safetensors file of a model's Arrays, with some changed (None: left out)."""
    arrays = {name: array.numpy() for name, array in model.named_state().items()} | changes
    kept = {name: np.array(value) for name, value in arrays.items() if value is not None}
    safetensors.numpy.save_file(kept, path)
    return path


# -- weights --------------------------------------------------------------------------------------


def test_weights_come_back_with_ties_buffers_and_dtypes(tmp_path: Path) -> None:
    model, other = Net(), Net()
    model(rg.array(np.ones((5, 4), np.float32)))  # moves the running statistics
    rg.save_weights(model, tmp_path / "w.safetensors")
    rg.load_weights(other, tmp_path / "w.safetensors")
    assert_equal(model, other)
    assert other.tied is other.first.weight
    assert other.tied is not model.tied
    assert other.fixed.parameters() == {}
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_the_file_is_plain_safetensors_with_a_tied_leaf_once(tmp_path: Path) -> None:
    model = Net()
    rg.save_weights(model, tmp_path / "w.safetensors")
    stored = safetensors.numpy.load_file(tmp_path / "w.safetensors")
    assert ("first.weight" in stored) != ("tied" in stored)
    np.testing.assert_array_equal(stored["norm.running_var"], model.norm.running_var.numpy())


def test_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    model, contents = Net(), set()
    for number in range(8):  # three entries of metadata would come in six orders
        rg.save_weights(model, tmp_path / f"{number}.safetensors")
        contents.add((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(contents) == 1
    start = int.from_bytes(next(iter(contents))[:8], "little")
    assert start % 8 == 0


def test_non_contiguous_and_scalar_values(tmp_path: Path) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    model.weight = rg.array(np.arange(6, dtype=np.float32).reshape(2, 3)).T
    model.scale = rg.array(np.array(2.5, np.float32))
    other.scale = rg.array(np.array(0.0, np.float32))
    rg.save_weights(model, tmp_path / "w")
    rg.load_weights(other, tmp_path / "w")
    assert_equal(model, other)


def test_loaded_arrays_do_not_follow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model = nn.Linear(2, 3)
    rg.save_weights(model, path)
    other = nn.Linear(2, 3)
    rg.load_weights(other, path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert_equal(model, other)
    if sys.platform == "linux":
        links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        assert str(path) not in links


def test_a_tied_leaf_may_stand_in_the_file_once_or_twice(tmp_path: Path) -> None:
    model = Net()
    value = np.full((4, 3), 5.0, np.float32)
    for name, changes in (
        ("first", {"first.weight": value, "tied": None}),
        ("second", {"first.weight": None, "tied": value}),
        ("both", {"first.weight": value, "tied": value}),
    ):
        other = Net()
        rg.load_weights(other, write_tensors(tmp_path / name, model, **changes))
        assert other.tied is other.first.weight
        np.testing.assert_array_equal(other.tied.numpy(), value)
    path = write_tensors(tmp_path / "differ", model, tied=value)
    with pytest.raises(ModelFileError, match="one Array in the model, but differ in the file"):
        rg.load_weights(model, path)


def test_a_tied_file_loads_into_an_untied_model(tmp_path: Path) -> None:
    model, other = Net(), Net()
    other.tied = rg.array(np.zeros((4, 3), np.float32))
    rg.save_weights(model, tmp_path / "w")
    rg.load_weights(other, tmp_path / "w")
    assert_equal(model, other)
    assert other.tied is not other.first.weight


def test_what_does_not_fit_is_listed_and_nothing_changes(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    changes = {
        "layers.0.wieght": np.ones((2, 3), np.float32),
        "layers.0.weight": None,
        "layers.0.bias": np.ones(3, np.float64),
        "layers.1.weight": np.ones((2, 3), np.float32),
        "other": np.ones(1, np.float16),
    }
    path = write_tensors(tmp_path / "w.safetensors", model, **changes)
    before = snapshot(model)
    with pytest.raises(ModelFileError) as caught:
        rg.load_weights(model, path)
    text = str(caught.value)
    for part in (
        "w.safetensors",
        "nothing was loaded",
        "missing in the file: 'layers.0.weight' float32[2,3] (nearest on the other side: 'layers",
        "not in the model: 'layers.0.wieght'",
        "'other' F16[1]",
        "'layers.0.bias' is float64[3] in the file, float32[3] in the model",
        "'layers.1.weight' is float32[2,3] in the file, float32[3,2] in the model (the transpose",
    ):
        assert part in text
    assert snapshot(model) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"abc", "not a safetensors file"),
        (b"PK\x03\x04 and more of it", "ZIP archive"),
        (b"\x80\x04\x95 and more of it", "pickle"),
        (b"hello, this is a text file", "not a safetensors file"),
        ((40).to_bytes(8, "little") + b'{"a":', "truncated or damaged"),
        ((2).to_bytes(8, "little") + b"{}more", "truncated or damaged"),
        ((2).to_bytes(8, "little") + b"{]", "truncated or damaged"),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        rg.load_weights(nn.Linear(2, 3), path)


def test_every_truncation_is_told(tmp_path: Path) -> None:
    path, model = tmp_path / "w.safetensors", nn.Linear(2, 2)
    rg.save_weights(model, path)
    data = path.read_bytes()
    before = snapshot(model)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(FileFormatError):
            rg.load_weights(model, path)
    assert snapshot(model) == before


def test_bytes_that_are_neither_true_nor_false(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    model.flag = rg.array(np.array([True]))
    path = write_tensors(tmp_path / "w", model)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    place = 8 + int.from_bytes(data[:8], "little") + header["flag"]["data_offsets"][0]
    path.write_bytes(data[:place] + b"\x02" + data[place + 1 :])
    with pytest.raises(FileFormatError, match="neither true nor false"):
        rg.load_weights(model, path)


def test_missing_files_directories_and_pipes(tmp_path: Path) -> None:
    model = nn.Linear(2, 3)
    rg.save_weights(model, tmp_path / "weights.safetensors")
    with pytest.raises(FileFormatError, match=r"does not exist(.|\n)*'weights.safetensors'"):
        rg.load_weights(model, tmp_path / "weight.safetensors")
    with pytest.raises(FileFormatError, match="is a directory"):
        rg.load_weights(model, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="device or a pipe"):
        rg.load_weights(model, tmp_path / "pipe")


def test_wrong_arguments(tmp_path: Path) -> None:
    model = nn.Linear(2, 3)
    for save_or_load in (rg.save_weights, rg.load_weights, rg.save_model):
        with pytest.raises(ArgumentTypeError, match="Expected a model"):
            save_or_load({"weight": 1}, tmp_path / "w")  # type: ignore[operator]
        with pytest.raises(ArgumentTypeError, match="Expected a path"):
            save_or_load(model, 3)  # type: ignore[operator]
        for path in ("", "a\0b"):
            with pytest.raises(ArgumentError, match="not a path"):
                save_or_load(model, path)  # type: ignore[operator]


@pytest.mark.parametrize("entries", [{"a.b": 1, "a": {"b": 2}}, {1: 1, "1": 2}])
def test_paths_that_collide_lose_nothing_silently(tmp_path: Path, entries: dict[Any, Any]) -> None:
    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        return rg.array(float(value))

    model = nn.Linear(1, 1)
    model.parts = fill(entries)
    with pytest.raises(ArgumentError, match="have the path"):
        rg.save_weights(model, tmp_path / "w")
    assert os.listdir(tmp_path) == []


def test_safetensors_is_imported_when_it_is_needed() -> None:
    script = "import sys, retrograd; sys.exit('safetensors' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(rg.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)

"""Model directories: built-in layers come back by themselves, own classes with `into=`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.errors import (
    ArgumentError,
    ArgumentTypeError,
    FileFormatError,
    ModelFileError,
    SaveError,
)
from tests.train.saving_helpers import Net, assert_equal, make_layers, snapshot


def test_built_in_layers_come_back_by_themselves(tmp_path: Path) -> None:
    model = make_layers()
    model.layers[5].freeze()
    model.layers[1].eval()
    model.layers.append(nn.Linear(4, 4))
    model.layers[7].weight = model.layers[3].weight
    rg.save_model(model, tmp_path / "m")
    state = rg.random.default_generator().state.numpy().copy()
    loaded = rg.load_model(tmp_path / "m")
    np.testing.assert_array_equal(rg.random.default_generator().state.numpy(), state)
    assert_equal(model, loaded)
    assert loaded.layers[3] is loaded.layers[4]
    assert loaded.layers[7].weight is loaded.layers[3].weight
    assert nn.describe_layer(loaded) == nn.describe_layer(model)
    for (path, old), (other, new) in zip(model.modules(), loaded.modules(), strict=True):
        assert (path, type(old), old.training) == (other, type(new), new.training)
        assert (old.parameters() == {}) == (new.parameters() == {})
    assert sorted(os.listdir(tmp_path / "m")) == ["model.json", "weights.safetensors"]
    assert os.listdir(tmp_path) == ["m"]


def test_a_loaded_model_trains(tmp_path: Path) -> None:
    rg.save_model(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm(2)), tmp_path / "m")
    model = rg.load_model(tmp_path / "m")
    optimizer = rg.optim.SGD(0.1)
    x = rg.array(np.arange(12, dtype=np.float32).reshape(4, 3))

    @rg.compile
    def step(model: Any, optimizer: Any, x: Any) -> Any:
        loss, gradients = rg.value_and_grad(lambda model, x: (model(x) ** 4).mean())(model, x)
        optimizer.update(model, gradients)
        return loss

    before = model.layers[1].running_mean.numpy().copy()
    first = float(step(model, optimizer, x))
    assert float(step(model, optimizer, x)) < first
    assert (model.layers[1].running_mean.numpy() != before).any()


def test_a_class_of_the_user_needs_into(tmp_path: Path) -> None:
    model, other = Net(), Net()
    rg.save_model(model, tmp_path / "m")
    with pytest.raises(ArgumentError, match=r"rg\.load_model\('.*m', into=Net\(\.\.\.\)\)"):
        rg.load_model(tmp_path / "m")
    assert rg.load_model(tmp_path / "m", into=other) is other
    assert_equal(model, other)
    wrong = Net(features=5)
    before = snapshot(wrong)
    with pytest.raises(ModelFileError, match="of another shape"):
        rg.load_model(tmp_path / "m", into=wrong)
    assert snapshot(wrong) == before
    assert rg.load_model_info(tmp_path / "m").model_class == "Net"


def test_layers_that_were_changed_by_hand_need_into(tmp_path: Path) -> None:
    class Own(nn.Linear):
        pass

    def change(model: nn.Sequential, name: str, value: Any) -> nn.Sequential:
        setattr(model.layers[0], name, value)
        return model

    cases = {
        "'layers.0.weight' was": change(make_layers(), "weight", rg.array(np.ones((7, 4)))),
        "'layers.0.extra' was": change(make_layers(), "extra", rg.array(1.0)),
        "Own is not a layer": nn.Sequential(nn.ReLU(), Own(2, 2)),
        "<lambda> is not a layer": nn.Sequential(lambda x: x),
    }
    for number, (reason, model) in enumerate(cases.items()):
        rg.save_model(model, tmp_path / str(number))
        with pytest.raises(ArgumentError, match=reason):
            rg.load_model(tmp_path / str(number))
        assert rg.load_model(tmp_path / str(number), into=model) is model


def test_sections_come_back_as_plain_values(tmp_path: Path) -> None:
    extra = {
        "classes": ("cat", "dög"),
        "preprocessing": {"mean": np.float32(0.5), "table": np.arange(3), "on": np.bool_(True)},
        "none": None,
        "big": 10**30,
    }
    rg.save_model(nn.Linear(2, 3), tmp_path / "m", extra=extra)
    info = rg.load_model_info(tmp_path / "m")
    assert info.extra == {
        "classes": ["cat", "dög"],
        "preprocessing": {"mean": 0.5, "table": [0, 1, 2], "on": True},
        "none": None,
        "big": 10**30,
    }
    assert (info.format_version, info.retrograd_version) == (1, rg.__version__)
    assert {path: str(type) for path, type in info.arrays.items()} == {
        "weight": "float32[2,3]",
        "bias": "float32[3]",
    }
    assert info.needs_into is None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"a": float("nan")}, r"extra\['a'\] is nan"),
        ({"a": [1, np.float32("inf")]}, r"extra\['a'\]\[1\] is inf"),
        ({"a": {1: 2}}, r"extra\['a'\] has the key 1"),
        ({"a": {1, 2}}, r"extra\['a'\] is of type set"),
        (["a"], "extra is a dict"),
    ],
)
def test_sections_that_json_cannot_hold(tmp_path: Path, extra: Any, message: str) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        rg.save_model(nn.Linear(2, 3), tmp_path / "m", extra=extra)
    assert os.listdir(tmp_path) == []


def test_only_a_model_directory_is_replaced(tmp_path: Path) -> None:
    first, second = nn.Linear(2, 3), nn.Linear(3, 2)
    rg.save_model(first, tmp_path / "m")
    (tmp_path / "m" / "notes.txt").write_text("kept")
    rg.save_model(second, tmp_path / "m")
    assert_equal(rg.load_model(tmp_path / "m"), second)
    assert (tmp_path / "m" / "notes.txt").read_text() == "kept"
    for name in ("other.txt", "model.json"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_text("{}")
        with pytest.raises(SaveError, match="holds"):
            rg.save_model(first, folder)
        assert os.listdir(folder) == [name]
        rg.save_model(first, folder, force=True)
        assert_equal(rg.load_model(folder), first)
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SaveError, match="not a directory"):
        rg.save_model(first, tmp_path / "file", force=True)
    assert (tmp_path / "file").read_text() == "kept"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_what_is_no_model_directory(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("{}")
    rg.save_model(nn.Linear(2, 3), tmp_path / "half")
    (tmp_path / "half" / "weights.safetensors").unlink()
    for name, message in {
        "empty": "holds no model.json",
        "file": "is a file",
        "absent": "does not exist",
        "half": "holds no weights.safetensors",
    }.items():
        with pytest.raises(FileFormatError, match=message):
            rg.load_model(tmp_path / name)


def test_a_model_in_double_precision_stays_so(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    model.layers[0].weight = rg.array(np.full((2, 3), 1 / 3))
    rg.save_model(model, tmp_path / "m")
    loaded = rg.load_model(tmp_path / "m")
    assert_equal(model, loaded)
    with pytest.raises(ModelFileError, match=r"float64\[2,3\] in the file, float32\[2,3\]"):
        rg.load_model(tmp_path / "m", into=nn.Sequential(nn.Linear(2, 3)))

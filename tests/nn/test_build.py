"""Layers as plain data and back: only what the tables name is ever built."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.nn.activations import __all__ as FUNCTIONS
from tests.nn.helpers import draw


def round_trip(layer: nn.Module) -> Any:
    return nn.build_layer(json.loads(json.dumps(nn.describe_layer(layer))))


def test_a_model() -> None:
    model: Any = nn.Sequential(
        nn.Rescale([1.0, 2.0], 0.5),
        nn.Conv2d(2, 4, (3, 2), padding=((1, 1), (1, 0)), init=nn.init.HeNormal("fan_out")),
        nn.BatchNorm(4),
        nn.relu,
        nn.Sequential(nn.MaxPool2d(2), nn.Dropout(0.25)),
        nn.Flatten(),
        nn.Linear(16, 3, init="orthogonal"),
    )
    built = round_trip(model)
    assert nn.describe_layer(built) == nn.describe_layer(model)
    assert built[3] is nn.relu
    built.load_state(model.named_state())
    x = draw(2, 4, 4, 2, dtype="float32")
    assert np.array_equal(np.asarray(built.eval()(x)), np.asarray(model.eval()(x)))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_activation_function(name: str) -> None:
    model = nn.Sequential(getattr(nn, name))
    assert nn.describe_layer(model)["config"]["layers"] == [{"function": name}]
    assert round_trip(model)[0] is getattr(nn, name)


def test_a_layer_that_stands_twice_is_built_once() -> None:
    shared = nn.Linear(2, 2)
    block = nn.Sequential(shared, nn.tanh)
    built = round_trip(nn.Sequential(shared, block, nn.ReLU(), block, shared))
    assert built[0] is built[1][0] is built[4]
    assert built[1] is built[3]
    assert len(built.named_state()) == 8
    assert "6 parameters" in built.summary()


class Own(nn.Module):
    def __call__(self, x: Any) -> Any:
        return x


class Linear(nn.Module):
    """A class of the user with the name of a layer."""

    def __call__(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize("part", [Own(), Linear(), lambda x: x, rg.exp])
def test_what_cannot_be_written_down(part: Any) -> None:
    model = nn.Sequential(nn.Linear(1, 1), part)
    with pytest.raises(rg.errors.ArgumentTypeError, match="save_weights") as caught:
        nn.describe_layer(model)
    assert "not a layer or activation of retrograd.nn" in str(caught.value)


@pytest.mark.parametrize(
    "form",
    [
        None,
        [],
        "Linear",
        {},
        {"type": "Linear"},
        {"type": "Linear", "config": []},
        {"type": "Linear", "config": {}},
        {"type": "Linear", "config": {"in_features": 2, "out_features": 2, "extra": 1}},
        {"type": "Linear", "config": {"in_features": "2", "out_features": 2}},
        {"type": "Linear", "config": {"in_features": 2, "out_features": 0}},
        {"type": "Linear", "config": {"in_features": 2, "out_features": 2}, "more": 1},
        {"type": "Linear", "config": {"in_features": 2, "out_features": 2, "init": "os.system"}},
        {
            "type": "Linear",
            "config": {
                "in_features": 2,
                "out_features": 2,
                "init": {"name": "Constant", "gain": 1},
            },
        },
        {
            "type": "Linear",
            "config": {"in_features": 2, "out_features": 2, "init": {"name": ["Constant"]}},
        },
        {"type": "Module", "config": {}},
        {"type": "Layer", "config": {}},
        {"type": "os.system", "config": {}},
        {"type": ["Linear"], "config": {}},
        {"type": "Conv2d", "config": {"in_channels": 1, "out_channels": 1, "kernel_size": [1]}},
        {
            "type": "Conv2d",
            "config": {
                "in_channels": 1,
                "out_channels": 1,
                "kernel_size": 1,
                "padding": [[1], [1]],
            },
        },
        {"type": "Sequential", "config": {}},
        {"type": "Sequential", "config": {"layers": 3}},
        {"type": "Sequential", "config": {"layers": [{"function": "exp"}]}},
        {"type": "Sequential", "config": {"layers": [{"function": ["relu"]}]}},
        {"type": "Sequential", "config": {"layers": [{"same_as": 0}]}},
        {"type": "Sequential", "config": {"layers": [{"same_as": 1}]}},
        {"type": "Sequential", "config": {"layers": [{"same_as": -1}]}},
        {"type": "Sequential", "config": {"layers": [{"same_as": True}]}},
        {"function": "relu"},
    ],
)
def test_forms_that_describe_nothing(form: Any) -> None:
    state = rg.random.default_generator().state
    with pytest.raises(rg.RetrogradError) as caught:
        nn.build_layer(form)
    assert len(str(caught.value)) < 1000
    assert rg.random.default_generator().state is state


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(rg.errors.ArgumentError, match="'Conv2d'"):
        nn.build_layer({"type": "Convolution2d", "config": {}})

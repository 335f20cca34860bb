"""Recurrent layers in models: saved, summarised, with a carried state; PyTorch's weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim
from tests.nn.helpers import assert_trees_equal, draw, snapshot, to_float64
from tests.nn.test_recurrent import build, close, for_each

# -- in a model -----------------------------------------------------------------------------------


def test_a_model_is_saved_built_again_and_summarised(tmp_path: Path) -> None:
    model = nn.Sequential(
        nn.Embedding(9, 3),
        nn.GRU(3, 4, returns="outputs", recurrent_init="orthogonal"),
        nn.LSTM(4, 5, layers=2, bidirectional=True, returns="last", forget_bias=1.0),
        nn.Linear(10, 2),
    )
    x = np.array([[1, 2, 3], [4, 5, 8]])
    rg.save_model(model, tmp_path / "model")
    loaded: Any = rg.load_model(tmp_path / "model")
    assert_trees_equal(loaded(x), model(x))
    assert nn.describe_layer(loaded) == nn.describe_layer(model)
    assert loaded.layers[1].cells[0].config()["recurrent_init"] == "orthogonal"
    table = model.summary(x)
    assert "layers.2.cells.3" in table
    assert "(2, 3, 4)" in table
    assert "(2, 10)" in table


def test_a_state_is_carried_from_batch_to_batch() -> None:
    """One step after the other with a detached state is the gradient of each piece alone."""
    layer, head = build("LSTM", 2, 3), to_float64(nn.Linear(3, 1))

    class Stream(nn.Module):
        def __init__(self) -> None:
            self.layer, self.head = copy.deepcopy(layer), copy.deepcopy(head)
            self.h = nn.Buffer(np.zeros((1, 2, 3)))
            self.c = nn.Buffer(np.zeros((1, 2, 3)))

        def __call__(self, x: Any) -> Any:
            outputs, (h, c) = self.layer(x, (self.h, self.c))
            self.h, self.c = rg.stop_gradient(h), rg.stop_gradient(c)
            return self.head(outputs)

    def loss(model: Any, x: Any) -> Any:
        return (model(x) ** 2).sum()

    @rg.compile
    def step(model: Any, optimizer: Any, x: Any) -> Any:
        value, gradients = rg.value_and_grad(loss)(model, x)
        optimizer.update(model, gradients)
        return value

    model, optimizer = Stream(), optim.SGD(learning_rate=0.1)
    other: Any = nn.Sequential(layer, head)
    state = None
    for seed in range(3):
        x = draw(2, 4, 2, seed=seed)

        def piece(other: Any, x: Any, state: Any = state) -> Any:
            outputs, after = other.layers[0](x, state)
            return (other.layers[1](outputs) ** 2).sum(), after

        (value, state), gradients = rg.value_and_grad(piece, has_aux=True)(other, x)
        optim.SGD(learning_rate=0.1).update(other, gradients)
        close(step(model, optimizer, x), value)
    close(model.h, state[0])
    close(list(snapshot(model.layer).values()), list(snapshot(layer).values()))


# -- PyTorch's form -------------------------------------------------------------------------------


@for_each
def test_weights_in_pytorch_s_form(name: str) -> None:
    a, b = (getattr(nn, name)(3, 4, layers=2, bidirectional=True) for _ in range(2))
    state = nn.torch_state(a)
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[name]
    assert state["weight_ih_l1_reverse"].shape == (gates * 4, 8)
    assert np.array_equal(state["weight_hh_l0"], np.asarray(a.cells[0].hidden_weight).T)
    assert np.array_equal(state["bias_ih_l0_reverse"], np.asarray(a.cells[1].input_bias))
    assert len(state) == 16
    whole = {f"encoder.{key}": value for key, value in state.items()} | {"head.weight": 1}
    nn.load_torch_state(b, whole, prefix="encoder.")
    assert_trees_equal(a(draw(2, 5, 3)), b(draw(2, 5, 3)))


def test_weights_in_pytorch_s_form_that_do_not_fit() -> None:
    layer = nn.LSTM(3, 4)
    before = snapshot(layer)
    good = nn.torch_state(layer)
    for wrong, kind, words in (
        ({k: v for k, v in good.items() if k != "bias_hh_l0"}, rg.errors.ArgumentError, "missing"),
        (good | {"weight_hr_l0": good["bias_hh_l0"]}, rg.errors.ArgumentError, "no place"),
        (good | {"bias_hh_l0": good["bias_hh_l0"][:3]}, rg.errors.ShapeError, "(3,)"),
    ):
        with pytest.raises(kind) as caught:
            nn.load_torch_state(layer, wrong)
        assert words in str(caught.value)
    for other in (nn.Dropout(), nn.LSTM(3, 4, peepholes=True)):
        with pytest.raises(rg.RetrogradError):
            nn.torch_state(other)
    assert all(np.array_equal(value, before[path]) for path, value in snapshot(layer).items())

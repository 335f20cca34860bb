"""The rules of Module: what is a parameter, tied weights, freezing, closures, copies, summary."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim
from tests.nn.helpers import assert_same_state, draw, snapshot


class Scale(nn.Module):
    """One trainable factor."""

    def __init__(self, value: float = 2.0) -> None:
        self.factor = rg.array(value)

    def __call__(self, x: Any) -> Any:
        return self.factor * x


class Mixed(nn.Module):
    """Every kind of attribute."""

    def __init__(self) -> None:
        self.weight = rg.array([1.0, 2.0])
        self.count = rg.array([3])
        self.buffer = nn.Buffer(rg.array(4.0))
        self.constant = np.ones(2, "float32")
        self.number = 5.0
        self.nothing = None
        self.items = [Scale(), rg.array(1.0), "text", None]
        self.pair = (Scale(), Scale())
        self.table = {"b": Scale(), "a": rg.array(0.5)}

    def __call__(self, x: Any) -> Any:
        x = self.items[0](x) * self.items[1] + self.pair[1](x) + self.table["b"](x)
        return (x * self.weight).sum() + self.table["a"] + self.pair[0](self.buffer)


class TestTree:
    def test_parameters_and_state(self) -> None:
        model = Mixed()
        parameters = model.parameters()
        assert sorted(parameters) == ["items", "pair", "table", "weight"]
        assert [
            sorted(item) if item is not None and item != {} and isinstance(item, dict) else item
            for item in parameters["pair"]
        ] == [["factor"], ["factor"]]
        assert float(parameters["table"]["b"]["factor"]) == 2.0
        assert sorted(model.state()) == ["buffer", "count", "items", "pair", "table", "weight"]
        assert list(model.named_state()) == [
            "buffer",
            "count",
            "items.0.factor",
            "items.1",
            "pair.0.factor",
            "pair.1.factor",
            "table.a",
            "table.b.factor",
            "weight",
        ]

    def test_gradients_have_the_tree_of_parameters(self) -> None:
        model = Mixed()
        gradients = rg.grad(lambda model, x: model(x))(model, rg.array([1.0, 1.0]))
        assert rg.tree.paths(gradients) == rg.tree.paths(model.parameters())
        assert float(gradients["table"]["a"]) == 1.0
        assert float(gradients["pair"][0]["factor"]) == 4.0

    def test_modules_are_found_once(self) -> None:
        inner = Scale()
        model = nn.Sequential(inner, nn.Sequential(inner, Scale()))
        assert [path for path, _ in model.modules()] == [
            "",
            "layers.0",
            "layers.1",
            "layers.1.layers.1",
        ]

    def test_a_new_value_keeps_its_place(self) -> None:
        model = Mixed()
        model.buffer = 7.0
        assert "buffer" not in model.parameters()
        assert float(model.state()["buffer"]) == 7.0
        del model.buffer
        assert not hasattr(model, "buffer")
        with pytest.raises(AttributeError):
            del model.missing


class TestBuffer:
    def test_inside_a_container(self) -> None:
        with pytest.raises(rg.errors.ArgumentTypeError, match="container"):
            nn.Sequential().items = [nn.Buffer(rg.array(1.0))]

    def test_changes_are_written_back(self) -> None:
        class Counter(nn.Module):
            def __init__(self) -> None:
                self.calls = nn.Buffer(rg.array(0.0))

            def __call__(self, x: Any) -> Any:
                self.calls = self.calls + 1.0
                return x * self.calls

        counter = Counter()
        for transform in (
            lambda f: f,
            rg.compile,
            rg.value_and_grad,
            lambda f: rg.compile(lambda c, x: rg.grad(f, argnums=1)(c, x)),
        ):
            before = float(counter.calls)
            transform(lambda counter, x: counter(x))(counter, 2.0)
            assert float(counter.calls) == before + 1


class TestTiedWeights:
    def build(self) -> tuple[Any, Any]:
        model: Any = nn.Sequential(
            nn.Linear(3, 3, bias=False), nn.tanh, nn.Linear(3, 3, bias=False)
        )
        model[2].weight = model[0].weight
        return model, model[0].weight

    def test_one_leaf(self) -> None:
        model, weight = self.build()
        assert model.layers[2].weight is weight
        assert "9 parameters" in model.summary()

    def test_the_gradient_is_the_sum_and_stands_at_both_places(self) -> None:
        model, weight = self.build()
        x = rg.array(draw(4, 3, dtype="float32"))
        gradients = rg.grad(lambda model: model(x).sum())(model)["layers"]

        def apart(first: Any, second: Any) -> Any:
            return (rg.tanh(x @ first) @ second).sum()

        parts = rg.grad(apart, argnums=(0, 1))(weight, weight)
        expected = np.asarray(parts[0] + parts[1])
        for place in (0, 2):
            np.testing.assert_allclose(np.asarray(gradients[place]["weight"]), expected, rtol=1e-5)

    def test_they_train_as_one(self) -> None:
        model, _ = self.build()
        optimizer = optim.SGD(0.1)

        @rg.compile
        def step(model: Any, optimizer: Any, x: Any) -> Any:
            loss, gradients = rg.value_and_grad(lambda m: (m(x) ** 2).sum())(model)
            optimizer.update(model, gradients)
            return loss

        x = draw(4, 3, dtype="float32")
        first, second = float(step(model, optimizer, x)), float(step(model, optimizer, x))
        assert second < first
        assert model[0].weight is model[2].weight
        assert step.trace_count == 1

    def test_loading_keeps_ties_and_makes_none(self) -> None:
        model, _ = self.build()
        other, _ = self.build()
        other.load_state(model.named_state())
        assert other[0].weight is other[2].weight
        assert other[0].weight is not model[0].weight
        assert_same_state(snapshot(other), snapshot(model))

    def test_two_values_for_one_array(self) -> None:
        model, weight = self.build()
        values = {path: np.array(array) for path, array in model.named_state().items()}
        values["layers.2.weight"][0, 0] += 1.0
        with pytest.raises(rg.errors.ArgumentError, match="tied"):
            model.load_state(values)
        assert model[0].weight is model[2].weight is weight


class TestPassedTwice:
    def test_one_gradient_and_one_update(self) -> None:
        model = Scale(3.0)

        def loss(a: Any, b: Any, x: Any) -> Any:
            return a(b(x))

        value, gradient = rg.value_and_grad(loss)(model, model, 2.0)
        assert float(value) == 18.0
        assert float(gradient["factor"]) == 12.0  # d/df of f^2 x
        compiled = rg.compile(loss)
        assert float(compiled(model, model, 2.0)) == 18.0

    def test_inside_one_model(self) -> None:
        shared = Scale(3.0)
        model = nn.Sequential(shared, shared)
        gradients = rg.grad(lambda model: model(2.0))(model)["layers"]
        assert [float(part["factor"]) for part in gradients] == [12.0, 12.0]


class TestFreeze:
    def test_a_part_of_a_model(self) -> None:
        model: Any = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        model[0].freeze()
        before = snapshot(model)
        optimizer = optim.Adam(0.1)
        loss, gradients = rg.value_and_grad(lambda m: (m(np.ones((1, 2), "float32")) ** 2).sum())(
            model
        )
        assert rg.tree.paths(gradients) == ["layers.1.bias", "layers.1.weight"]
        optimizer.update(model, gradients)
        after = snapshot(model)
        for path, value in before.items():
            assert np.array_equal(value, after[path]) == path.startswith("layers.0"), path
        model.unfreeze()
        assert len(rg.tree.paths(model.parameters())) == 4

    def test_running_statistics_still_follow(self) -> None:
        layer: Any = nn.BatchNorm(2).freeze()
        before = layer.running_mean
        layer(draw(4, 2))
        assert layer.running_mean is not before


def test_forward_is_an_error_that_says_call() -> None:
    with pytest.raises(rg.errors.ArgumentTypeError, match="__call__"):

        class Wrong(nn.Module):
            def forward(self, x: Any) -> Any:
                return x


class TestClosures:
    def test_parameters_in_a_compiled_function(self) -> None:
        model = nn.Linear(2, 1)
        with pytest.raises(rg.errors.ClosureError, match="Linear") as caught:
            rg.compile(lambda x: model(x))(np.ones((1, 2), "float32"))
        assert "argument" in str(caught.value)

    def test_changing_a_module_that_was_not_passed(self) -> None:
        layer: Any = nn.BatchNorm(2)
        before = layer.running_mean
        with pytest.raises(rg.errors.ClosureError, match="running_mean"):
            rg.grad(lambda x: layer(x).sum())(rg.array(draw(4, 2)))
        assert layer.running_mean is before

    def test_a_constant_module_in_grad_is_fine(self) -> None:
        layer = nn.Linear(2, 1)
        gradient = rg.grad(lambda x: layer(x).sum())(np.ones((3, 2), "float32"))
        expected = np.broadcast_to(np.asarray(layer.weight)[:, 0], (3, 2))
        np.testing.assert_allclose(np.asarray(gradient), expected, rtol=1e-6)


def test_a_loss_that_raises_leaves_the_module_untouched() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm(2), nn.Dropout(0.5))
    before, state = snapshot(model), rg.random.default_generator().state

    def loss(model: Any, x: Any) -> Any:
        model(x)
        raise ZeroDivisionError

    x = draw(4, 2, dtype="float32")
    for function in (rg.grad(loss), rg.compile(loss), rg.compile(lambda m, x: rg.grad(loss)(m, x))):
        with pytest.raises(ZeroDivisionError):
            function(model, x)
        assert_same_state(before, snapshot(model))
        assert rg.random.default_generator().state is state
    assert all(type(array) is rg.Array for array in model.named_state().values())


def test_an_array_taken_before_a_step_keeps_its_value() -> None:
    model: Any = nn.Linear(2, 1)
    taken = model.weight
    kept, view = np.array(taken), np.asarray(taken)
    gradients = rg.grad(lambda m: m(np.ones((1, 2), "float32")).sum())(model)
    optim.SGD(0.5).update(model, gradients)
    assert np.array_equal(np.asarray(taken), kept)
    assert np.array_equal(view, kept)
    assert not np.array_equal(np.asarray(model.weight), kept)


def test_deepcopy_is_apart_and_keeps_ties_and_modes() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.Linear(2, 2))
    model[2].weight = model[0].weight
    model.eval()
    model[0].freeze()
    twin = copy.deepcopy(model)
    assert twin[0] is not model[0]
    assert twin[2].weight is twin[0].weight
    assert not twin.training and not twin[1].training
    assert rg.tree.paths(twin.parameters()) == rg.tree.paths(model.parameters())
    twin[0].bias = rg.array([9.0, 9.0])
    assert not np.array_equal(np.asarray(model[0].bias), [9.0, 9.0])
    twin.train()
    assert not model.training


class TestLoadState:
    def test_what_does_not_fit(self) -> None:
        model = nn.Linear(2, 3)
        good = {path: np.array(a) for path, a in model.named_state().items()}
        before = snapshot(model)
        for wrong, error, text in (
            ({**good, "wieght": good["weight"]}, rg.errors.ArgumentError, "'weight'"),
            ({"weight": good["weight"]}, rg.errors.ArgumentError, "'bias'"),
            ({**good, "bias": np.zeros(4, "float32")}, rg.errors.ShapeError, r"\(4,\)"),
            ({**good, "bias": np.zeros(3)}, rg.errors.DTypeError, "float64"),
        ):
            with pytest.raises(error, match=text):
                model.load_state(wrong)
            assert_same_state(before, snapshot(model))


def test_train_and_eval_reach_every_module() -> None:
    model = Mixed()
    assert model.eval() is model
    assert not any(module.training for _, module in model.modules())
    model.train()
    assert all(module.training for _, module in model.modules())


def test_the_mode_is_part_of_the_program() -> None:
    layer = nn.Dropout(0.5)
    step = rg.compile(lambda layer, x: layer(x))
    x = np.ones(50, "float32")
    assert 0.0 in step(layer, x).tolist()
    assert step(layer.eval(), x).tolist() == [1.0] * 50
    assert step.trace_count == 2
    step(layer.train(), x)
    assert step.trace_count == 2


def test_summary() -> None:
    model: Any = nn.Sequential(
        nn.Rescale(1 / 255),
        nn.Conv2d(1, 8, 3, padding="same"),
        nn.BatchNorm(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 10),
    )
    model[1].freeze()
    state = snapshot(model)
    assert model.summary(np.zeros((2, 8, 8, 1), "uint8")) == "\n".join(
        [
            "path      module      parameters  output",
            "(model)   Sequential       1,402  (2, 10)",
            "layers.0  Rescale              0  (2, 8, 8, 1)",
            "layers.1  Conv2d              80  (2, 8, 8, 8)",
            "layers.2  BatchNorm           32  (2, 8, 8, 8)",
            "layers.3  ReLU                 0  (2, 8, 8, 8)",
            "layers.4  MaxPool2d            0  (2, 4, 4, 8)",
            "layers.5  Flatten              0  (2, 128)",
            "layers.6  Linear           1,290  (2, 10)",
            "1,402 parameters, 1,306 trainable, 0.0 MB",
        ]
    )
    assert_same_state(state, snapshot(model))
    assert all(module.training for _, module in model.modules())


def test_nodes_carry_the_path_of_their_layer() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Tanh()))
    program = rg.compile(lambda model, x: model(x))
    text = program.text(model, np.ones((1, 2), "float32"))
    assert "layers.0" in text
    assert "layers.1.layers.0" in text


def test_astype_converts_parameters_and_buffers_and_keeps_ties() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.BatchNorm(2), layer)
    assert model.astype("float64") is model
    assert {array.dtype.name for array in model.named_state().values()} == {"float64"}
    assert model.layers[0].weight is model.layers[2].weight
    with pytest.raises(rg.errors.DTypeError, match="int32 is not a floating dtype"):
        model.astype("int32")


def test_repr_names_plain_functions_without_their_address() -> None:
    text = repr(nn.Sequential(nn.Linear(2, 3), nn.relu))
    assert "layers.1: relu" in text
    assert "0x" not in text

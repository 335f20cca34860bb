"""The quick way of a compiled call must be the long way's equal, whatever happens in between."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses, nn, optim


class Net(nn.Module):
    def __init__(self) -> None:
        self.blocks = [nn.Linear(4, 8), nn.BatchNorm(8)]
        self.scales = {"a": rg.array(1.0), "b": (rg.array(2.0), rg.array(3.0))}
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 3)
        self.factor = 1.0

    def __call__(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        x = nn.relu(x) * self.scales["a"] * self.scales["b"][0] + self.scales["b"][1]
        return self.head(self.drop(x)) * self.factor


@pytest.fixture(params=["numpy", "native"])
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make_step(executor: str = "numpy") -> Any:
    @rg.compile(executor=executor)
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        def loss_of(model: Any) -> Any:
            return losses.cross_entropy(model(x), y)

        loss, gradients = rg.value_and_grad(loss_of)(model)
        optimizer.update(model, gradients)
        return loss

    return step


def make_data() -> tuple[Any, Any]:
    numbers = np.random.default_rng(0)
    return numbers.normal(size=(6, 4)).astype("float32"), numbers.integers(0, 3, 6)


def fresh() -> tuple[Net, Any]:
    rg.seed(0)
    return Net(), optim.Adam(learning_rate=0.01)


def same(first: nn.Module, second: nn.Module) -> bool:
    left, right = first.named_state(), second.named_state()
    return all(np.array_equal(left[path], right[path]) for path in left)


def test_many_quick_steps_equal_steps_that_are_compiled_anew(executor: str) -> None:
    x, y = make_data()
    model, optimizer = fresh()
    step = make_step(executor)
    quick = [float(step(model, optimizer, x, y)) for _ in range(6)]
    assert step.trace_count == 1
    other, other_optimizer = fresh()
    slow = [float(make_step(executor)(other, other_optimizer, x, y)) for _ in range(6)]
    assert quick == slow
    assert same(model, other)


def test_a_parameter_that_is_replaced_between_steps_is_used(executor: str) -> None:
    x, y = make_data()
    model, optimizer = fresh()
    model.eval()
    step = make_step(executor)
    for _ in range(3):
        step(model, optimizer, x, y)
    model.head.weight = rg.zeros((8, 3))
    model.head.bias = rg.zeros((3,))
    model.scales["a"] = rg.array(0.5)
    loss = float(step(model, optimizer, x, y))
    assert loss == pytest.approx(np.log(3), rel=1e-6)
    assert step.trace_count == 1


def test_changes_of_structure_and_configuration_are_seen(executor: str) -> None:
    x, y = make_data()
    model, optimizer = fresh()
    step = make_step(executor)
    for _ in range(3):
        step(model, optimizer, x, y)
    model.eval()
    model.factor = 0.0
    assert float(step(model, optimizer, x, y)) == pytest.approx(np.log(3), rel=1e-6)
    assert step.trace_count == 2
    model.factor = 1.0
    model.blocks.append(nn.Linear(8, 8))
    with pytest.raises(rg.RetrogradError):
        step(model, optimizer, x, y)  # the optimizer's state is for another model
    optimizer.init(model)
    step(model, optimizer, x, y)
    model.blocks[2] = nn.Linear(8, 8, bias=False)
    optimizer.init(model)
    step(model, optimizer, x, y)


def test_an_array_taken_before_a_step_keeps_its_value(executor: str) -> None:
    x, y = make_data()
    model, optimizer = fresh()
    step = make_step(executor)
    for _ in range(3):
        step(model, optimizer, x, y)
    weight, view = model.head.weight, model.head.weight.numpy()
    before = np.array(weight)
    moments = copy.copy(optimizer.state[0]["mean"])
    kept = {path: np.array(value) for path, value in moments.items()}
    step(model, optimizer, x, y)
    assert np.array_equal(weight, before)
    assert np.array_equal(view, before)
    assert not np.array_equal(model.head.weight, before)
    assert all(np.array_equal(moments[path], kept[path]) for path in kept)


def test_tied_weights_stay_tied_and_can_be_untied(executor: str) -> None:
    x = np.ones((2, 3), "float32")
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.Linear(3, 3))
    model.layers[1].weight = layer.weight
    optimizer = optim.SGD(learning_rate=0.1)

    @rg.compile(executor=executor)
    def step(model: Any, optimizer: Any, x: Any) -> Any:
        loss, gradients = rg.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, gradients)
        return loss

    for _ in range(4):
        step(model, optimizer, x)
        assert model.layers[0].weight is model.layers[1].weight
    model.layers[1].weight = rg.array(np.array(layer.weight))
    optimizer.init(model)
    step(model, optimizer, x)
    assert step.trace_count == 2
    assert model.layers[0].weight is not model.layers[1].weight


def test_the_learning_rate_and_numbers_change_without_a_trace(executor: str) -> None:
    x, y = make_data()
    model, optimizer = fresh()
    step = make_step(executor)
    for _ in range(3):
        step(model, optimizer, x, y)
    optimizer.learning_rate = 0.0
    before = {k: np.array(v) for k, v in model.named_state().items() if "running" not in k}
    step(model, optimizer, x, y)
    assert step.trace_count == 1
    assert all(np.array_equal(before[k], model.named_state()[k]) for k in before)
    scale = rg.compile(lambda x, factor: x * factor, executor=executor)
    assert [float(scale(rg.array(2.0), f)) for f in (1.0, 0.5, 0.1)] == pytest.approx(
        [2.0, 1.0, 0.2]
    )
    assert scale.trace_count == 1


def test_two_models_of_one_structure_share_the_program(executor: str) -> None:
    x, y = make_data()
    step = make_step(executor)
    first, second = fresh(), fresh()
    for _ in range(3):
        step(*first, x, y)
        step(*second, x, y)
    assert step.trace_count == 1
    assert not same(first[0], second[0])  # dropout draws differ


def test_a_model_that_is_gone_is_not_kept_alive(executor: str) -> None:
    x, y = make_data()
    model, optimizer = fresh()
    step = make_step(executor)
    for _ in range(3):
        step(model, optimizer, x, y)
    gone = weakref.ref(model.head.weight)
    del model, optimizer
    gc.collect()
    assert gone() is None


def test_a_failing_call_changes_nothing(executor: str) -> None:
    table = rg.array(np.arange(6.0, dtype="float32").reshape(3, 2))
    counter = nn.Sequential(nn.Linear(2, 2))

    @rg.compile(executor=executor)
    def look_up(model: Any, table: Any, index: Any) -> Any:
        model.layers[0].bias = model.layers[0].bias + 1.0
        return rg.take(table, index, axis=0)

    for _ in range(3):
        look_up(counter, table, np.array([0, 2]))
    before = np.array(counter.layers[0].bias)
    with pytest.raises(rg.RetrogradError):
        look_up(counter, table, np.array([0, 3]))
    assert np.array_equal(counter.layers[0].bias, before)


class Pair(nn.Module):
    """Two buffers that take one value, of which the second is read afterwards."""

    def __init__(self) -> None:
        self.first = nn.Buffer(rg.zeros((64,)))
        self.second = nn.Buffer(rg.ones((64,)))

    def __call__(self, x: Any) -> Any:
        before = self.first + 2 * self.second
        self.first = self.second = before + x
        return before.sum() + (before * self.first).sum()


def test_one_value_in_the_place_of_two_is_the_same_as_eagerly(executor: str) -> None:
    x = np.linspace(0, 1, 64, dtype="float32")
    model, eager = Pair(), Pair()
    step = rg.compile(lambda model, x: model(x), executor=executor)
    for _ in range(5):
        assert float(step(model, x)) == pytest.approx(float(eager(x)), rel=1e-5)
        np.testing.assert_allclose(model.first, eager.first, rtol=1e-6)
        np.testing.assert_allclose(model.second, eager.second, rtol=1e-6)


def test_a_numpy_argument_stays_writable(executor: str) -> None:
    x = np.ones(3, "float32")
    double = rg.compile(lambda model, x: model(x).sum(), executor=executor)
    model = nn.Linear(3, 1)
    for _ in range(3):
        double(model, x)
    x[0] = 2.0
    assert x[0] == 2.0

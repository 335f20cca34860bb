"""The rules of state: pure inside a program, friendly outside."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses, nn, optim
from retrograd.errors import ClosureError, ImmutableError


class Line(nn.Module):
    def __init__(self, slope: float = 2.0) -> None:
        self.slope = rg.array(slope)

    def __call__(self, x: Any) -> Any:
        return self.slope * x


def square_loss(model: Any, x: Any, y: Any) -> Any:
    return losses.mse(model(x), y)


@rg.compile
def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
    loss, gradients = rg.value_and_grad(square_loss)(model, x, y)
    optimizer.update(model, gradients)
    return loss


# -- tied weights -----------------------------------------------------------------------------


class Tied(nn.Module):
    """x @ W, then back through the same W."""

    def __init__(self) -> None:
        self.encoder = nn.Linear(4, 4, bias=False)
        self.decoder = nn.Linear(4, 4, bias=False)
        self.decoder.weight = self.encoder.weight

    def __call__(self, x: Any) -> Any:
        return self.decoder(rg.tanh(self.encoder(x)))


@pytest.mark.parametrize("compiled", [False, True])
def test_tied_weights_train_as_one(compiled: bool) -> None:
    rg.seed(0)
    model, optimizer = Tied(), optim.SGD(learning_rate=0.1, momentum=0.9)
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    weight = model.encoder.weight.numpy().astype(np.float64)

    def loss_of(matrix: np.ndarray[Any, Any]) -> float:
        return float(((np.tanh(x @ matrix) @ matrix - x) ** 2).mean())

    expected = np.zeros((4, 4))
    for index in np.ndindex(4, 4):
        nudge = np.zeros((4, 4))
        nudge[index] = 1e-6
        expected[index] = (loss_of(weight + nudge) - loss_of(weight - nudge)) / 2e-6
    gradients = rg.grad(square_loss)(model, x, x)
    np.testing.assert_allclose(gradients["encoder"]["weight"], expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(gradients["encoder"]["weight"], gradients["decoder"]["weight"])
    (step if compiled else step.function)(model, optimizer, x, x)
    assert model.decoder.weight is model.encoder.weight  # one leaf, seen from both paths
    np.testing.assert_allclose(model.encoder.weight, weight - 0.1 * expected, rtol=1e-3, atol=1e-5)
    assert len(rg.tree.leaves(optimizer.state)) == 2  # one momentum, one learning rate


# -- buffers ----------------------------------------------------------------------------------


def test_batch_statistics_inside_value_and_grad_inside_compile_are_updated_once() -> None:
    model = nn.Sequential(nn.BatchNorm(3), nn.Linear(3, 1))
    optimizer = optim.SGD(learning_rate=0.0)
    x = np.random.default_rng(1).normal(5.0, 2.0, size=(16, 3)).astype(np.float32)
    y = np.zeros((16, 1), np.float32)
    mean = np.zeros(3)
    for _ in range(3):
        step(model, optimizer, x, y)
        mean = 0.9 * mean + 0.1 * x.mean(0)
        np.testing.assert_allclose(model.layers[0].running_mean, mean, rtol=1e-5)
    assert "running_mean" not in model.parameters()["layers"][0]


def test_a_module_passed_twice_is_one() -> None:
    def twice(one: Any, two: Any, x: Any) -> Any:
        return (one(x) + two(x)).sum()

    model, x = Line(2.0), rg.array([1.0, 2.0])
    both = rg.grad(twice, argnums=(0, 1))(model, model, x)
    assert [float(part["slope"]) for part in both] == [6.0, 6.0]  # the gradient of 2 slope x

    @rg.compile
    def compiled(one: Any, two: Any, optimizer: Any, x: Any) -> Any:
        value, gradients = rg.value_and_grad(twice)(one, two, x)
        optimizer.update(one, gradients)
        return value, two(x)

    value, after = compiled(model, model, optim.SGD(learning_rate=0.5), x)
    assert float(value) == 12.0
    assert float(model.slope) == 2.0 - 0.5 * 6.0
    np.testing.assert_array_equal(after, [-1.0, -2.0])  # the update is seen from both sides


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_a_loss_that_raises_leaves_the_module_untouched(compiled: bool) -> None:
    rg.seed(3)
    model = nn.Sequential(nn.BatchNorm(3), nn.Dropout(0.5), nn.Linear(3, 1))
    before = dict(model.named_state())
    generator = np.asarray(rg.random.default_generator().state).tolist()

    def broken(model: Any, x: Any) -> Any:
        model(x)
        raise RuntimeError("a mistake in the loss")

    function = rg.value_and_grad(broken)
    with pytest.raises(RuntimeError, match="a mistake"):
        (rg.compile(function) if compiled else function)(model, rg.ones((4, 3)))
    assert all(model.named_state()[path] is array for path, array in before.items())
    assert np.asarray(rg.random.default_generator().state).tolist() == generator
    assert model(rg.ones((4, 3))).numpy().shape == (4, 1)  # no tracer is left behind


def test_an_array_taken_before_a_step_keeps_its_value() -> None:
    model, x = Line(2.0), np.ones(4, np.float32)
    array, view = model.slope, model.slope.numpy()
    step(model, optim.SGD(learning_rate=0.1), x, x)
    assert float(model.slope) != 2.0
    assert float(array) == 2.0 and float(view) == 2.0
    with pytest.raises((ValueError, TypeError)):
        view[...] = 3.0
    with pytest.raises(ImmutableError):
        array[()] = 3.0


def test_a_module_reached_by_a_closure_is_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ClosureError, match=r"Linear|Sequential") as caught:
        rg.compile(lambda x: model(x))(rg.ones((1, 2)))
    assert "weight" in str(caught.value) and "pass the Module" in str(caught.value)
    optimizer = optim.SGD(learning_rate=0.1)
    line = Line()
    step(line, optimizer, np.ones(2, np.float32), np.ones(2, np.float32))

    @rg.compile
    def hidden(model: Any, x: Any) -> Any:
        gradients = rg.grad(square_loss)(model, x, x)
        optimizer.update(model, gradients)

    with pytest.raises(ClosureError, match="SGD"):
        hidden(line, rg.ones(2))
    with pytest.raises(ClosureError, match="Line"):  # computed from it before it meets a tracer
        rg.compile(lambda x: x * (line.slope * 2.0))(rg.ones(2))


# -- numbers that change ----------------------------------------------------------------------


def test_the_learning_rate_changes_without_a_new_trace() -> None:
    model, optimizer = Line(2.0), optim.SGD(learning_rate=0.5)
    compiled = rg.compile(step.function)
    x, y = np.ones(1, np.float32), np.zeros(1, np.float32)
    compiled(model, optimizer, x, y)
    assert float(model.slope) == 2.0 - 0.5 * 4.0
    model.slope = rg.array(2.0)
    optimizer.learning_rate = 0.25
    compiled(model, optimizer, x, y)
    assert float(model.slope) == 2.0 - 0.25 * 4.0
    assert compiled.trace_count == 1


def test_dropout_differs_from_step_to_step_and_repeats_with_the_seed() -> None:
    layer = nn.Dropout(0.5)
    compiled = rg.compile(lambda layer, x: layer(x))
    x = rg.ones((64,))

    def draw() -> list[list[float]]:
        rg.seed(11)
        return [compiled(layer, x).tolist() for _ in range(3)]

    first = draw()
    assert first[0] != first[1] != first[2] != first[0]
    assert draw() == first
    rg.seed(11)
    assert [layer(x).tolist() for _ in range(3)] == first  # the same bits without compilation
    rg.seed(12)
    assert compiled(layer, x).tolist() != first[0]
    assert compiled.trace_count == 1


def test_an_interrupted_and_resumed_fit_ends_in_the_same_bits(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 4)), generator.integers(0, 3, 50)

    def make() -> rg.Trainer:
        rg.seed(1)
        model = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3)
        )
        return rg.Trainer(model, loss="cross_entropy", optimizer=optim.Adam(0.01))

    class Interrupt(rg.Callback):
        def on_batch_end(self, trainer: rg.Trainer, event: Any) -> None:
            if (event.epoch, event.batch) == (2, 3):
                raise KeyboardInterrupt

    whole = make()
    whole.fit(x, y, 4, batch_size=8, verbose=False)
    stopped = make()
    stopped.fit(x, y, 4, batch_size=8, callbacks=[Interrupt()], verbose=False)
    stopped.save(tmp_path / "run")
    resumed = make()
    rg.seed(77)
    history = resumed.fit(x, y, 4, batch_size=8, resume=tmp_path / "run", verbose=False)
    assert whole.history is not None and history.to_dict() == whole.history.to_dict()
    for path, array in whole.model.named_state().items():
        assert array.numpy().tobytes() == resumed.model.named_state()[path].numpy().tobytes()


# -- layers in a dict -------------------------------------------------------------------------


class Stages(nn.Module):
    """Layers that are called in the order in which they stand in a dict, which is not sorted."""

    def __init__(self) -> None:
        self.stages: dict[str, Any] = {"widen": nn.Linear(3, 3), "again": nn.Linear(3, 3)}

    def __call__(self, x: Any) -> Any:
        for stage in self.stages.values():
            x = nn.tanh(stage(x))
        return x


@pytest.mark.parametrize("way", ["compile", "value_and_grad", "jvp", "checkpoint", "vjp"])
def test_layers_in_a_dict_are_called_in_its_order(way: str) -> None:
    model, x = Stages(), rg.ones((1, 3))
    value = {
        "compile": lambda: rg.compile(lambda model, x: model(x).sum())(model, x),
        "value_and_grad": lambda: rg.value_and_grad(lambda model: model(x).sum())(model)[0],
        "jvp": lambda: rg.jvp(lambda model, x: model(x).sum(), (model, x), (None, x))[0],
        "checkpoint": lambda: rg.checkpoint(lambda model, x: model(x).sum())(model, x),
        "vjp": lambda: rg.vjp(lambda model: model(x).sum(), model)[0],
    }[way]()
    np.testing.assert_allclose(value, model(x).sum(), rtol=1e-6)


def test_a_compiled_function_sees_the_order_of_a_dict() -> None:
    def weigh(parts: dict[str, Any]) -> Any:
        return sum(part * factor for part, factor in zip(parts.values(), (1.0, 10.0), strict=True))

    compiled = rg.compile(weigh)
    assert float(compiled({"b": 1.0, "a": 2.0})) == 21.0
    assert float(compiled({"a": 2.0, "b": 1.0})) == 12.0
    assert list(rg.compile(lambda parts: parts)({"b": 1.0, "a": 2.0})) == ["b", "a"]

    model, x = Stages(), rg.ones((1, 3))
    run = rg.compile(lambda model, x: model(x))
    run(model, x)
    model.stages["widen"] = model.stages.pop("widen")
    np.testing.assert_allclose(run(model, x), model(x), rtol=1e-6)


def test_a_carry_may_come_back_with_its_keys_in_another_order() -> None:
    carry, _ = rg.scan(
        lambda carry, x: ({"b": carry["a"], "a": carry["b"]}, x),
        {"a": 1.0, "b": 2.0},
        rg.ones(3),
    )
    assert float(carry["a"]) == 2.0 and float(carry["b"]) == 1.0


@pytest.mark.parametrize(
    "grow",
    [
        lambda stages: stages.many.append(rg.array(3.0)),
        lambda stages: stages.named.update(a=rg.array(3.0)),
        lambda stages: stages.nested[0].append(rg.array(3.0)),
    ],
    ids=["list", "dict", "list in a tuple"],
)
def test_a_compiled_function_sees_what_is_put_into_an_empty_container(grow: Any) -> None:
    class Growing(nn.Module):
        def __init__(self) -> None:
            self.factor = rg.array(2.0)
            self.many: list[Any] = []
            self.named: dict[str, Any] = {}
            self.nested: tuple[list[Any]] = ([],)

        def __call__(self, x: Any) -> Any:
            for part in (*self.many, *self.named.values(), *self.nested[0]):
                x = x * part
            return x * self.factor

    model = Growing()
    run = rg.compile(lambda model, x: model(x))
    assert float(run(model, rg.array(1.0))) == 2.0
    grow(model)
    assert float(run(model, rg.array(1.0))) == 6.0


class Counting(nn.Module):
    """Counts its calls: in a Buffer, or in a Python number."""

    def __init__(self, kind: str) -> None:
        self.count = nn.Buffer(rg.array(0)) if kind == "buffer" else 0

    def __call__(self, x: Any) -> Any:
        self.count = self.count + 1
        return x


@pytest.mark.parametrize("kind", ["buffer", "number"])
def test_a_module_reached_by_a_closure_does_not_change_inside_scan(kind: str) -> None:
    model = Counting(kind)
    with pytest.raises(ClosureError, match="Counting.count was changed"):
        rg.scan(lambda carry, x: (model(carry), x), 1.0, rg.ones(3))
    assert int(model.count) == 0
    rg.grad(lambda x: model(x))(1.0)  # runs once for each call: nothing is lost
    assert int(model.count) == 1


def test_a_python_value_of_a_closure_does_not_change_while_compiling() -> None:
    model = Counting("number")
    with pytest.raises(ClosureError, match="Counting.count was changed"):
        rg.compile(lambda x: model(x))(1.0)
    assert model.count == 0


# -- copies -----------------------------------------------------------------------------------


def copy_by_pickle(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))  # noqa: S301


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy_by_pickle])
def test_a_copied_model_is_not_tied_to_the_first(duplicate: Any) -> None:
    model = nn.Linear(2, 1)
    target = duplicate(model)
    x = rg.array([[1.0, 2.0]])

    def product(model: Any, target: Any) -> Any:
        return (model(x) * 3 * rg.stop_gradient(model(x)) + 0 * target(x)).sum()

    both = rg.grad(product, argnums=(0, 1))(model, target)
    assert float(both[0]["bias"][0]) == pytest.approx(3 * float(model(x)[0, 0]))
    assert float(both[1]["bias"][0]) == 0.0
    with pytest.raises(ClosureError, match="'weight' of a Linear"):
        rg.compile(lambda x: target(x))(x)


def test_a_copied_model_keeps_its_own_ties() -> None:
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    other.layers[1].weight = other.layers[0].weight
    twin = copy.deepcopy(other)
    assert twin.layers[1].weight is twin.layers[0].weight is not other.layers[0].weight


def test_a_copied_optimizer_goes_its_own_way() -> None:
    model, optimizer = Line(), optim.SGD(0.1, momentum=0.9)
    x = rg.array([1.0, 2.0])
    step(model, optimizer, x, 0.0 * x)
    twin, other = copy.deepcopy(model), copy.deepcopy(optimizer)
    expected = float(step(model, optimizer, x, 0.0 * x))
    assert float(step(twin, other, x, 0.0 * x)) == expected
    assert float(twin.slope) == float(model.slope)
    with pytest.raises(ClosureError, match="'state' of a SGD"):
        rg.compile(lambda model: other.update(model, model.parameters()))(model)


def test_changing_a_dict_or_list_that_was_passed_is_an_error() -> None:
    def double(p: Any) -> Any:
        p["w"] = p["w"] * 2
        return p["w"].sum()

    def append(items: Any) -> Any:
        items.append(items[0])
        return items[0].sum()

    for transform in (rg.grad, rg.compile):
        with pytest.raises(rg.errors.StateError, match="changed a dict"):
            transform(double)({"w": rg.array([1.0])})
        with pytest.raises(rg.errors.StateError, match="changed a list"):
            transform(append)([rg.array([1.0])])

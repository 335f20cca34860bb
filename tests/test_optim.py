"""The optimizers: closed forms in NumPy, one contract for all classes, state, bad input."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import errors, nn, optim
from retrograd.optim import Optimizer

STEPS = 20
START = np.array([[1.0, -2.0], [0.5, 3.0]])
SCALE = np.array([[1.0, 0.3], [2.0, 0.7]])


def gradient_at(w: np.ndarray, step: int) -> np.ndarray:
    """Gradients that change in size and sign from step to step."""
    return SCALE * w + np.sin(step + np.arange(4.0)).reshape(2, 2)


def run(optimizer: Optimizer, dtype: Any = np.float64, steps: int = STEPS) -> np.ndarray:
    parameters = {"w": rg.array(START.astype(dtype))}
    for step in range(steps):
        gradient = gradient_at(parameters["w"].numpy(), step).astype(dtype)
        parameters = optimizer.update(parameters, {"w": rg.array(gradient)})
        assert parameters["w"].dtype == dtype
    return parameters["w"].numpy()


# --- closed forms


def sgd(
    rate: Callable[[int], float],
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> np.ndarray:
    w, m = START.copy(), np.zeros_like(START)
    for step in range(STEPS):
        g = gradient_at(w, step) + weight_decay * w
        m = momentum * m + g
        w = w - rate(step) * (g + momentum * m if nesterov else m)
    return w


def adagrad(
    rate: float, initial: float = 0.0, eps: float = 1e-10, weight_decay: float = 0.0
) -> np.ndarray:
    w, s = START.copy(), np.full_like(START, initial)
    for step in range(STEPS):
        g = gradient_at(w, step) + weight_decay * w
        s = s + g**2
        w = w - rate * g / (np.sqrt(s) + eps)
    return w


def adam(
    rate: Callable[[int], float],
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    coupled: float = 0.0,
    decoupled: float = 0.0,
) -> np.ndarray:
    w, m, v = START.copy(), np.zeros_like(START), np.zeros_like(START)
    for step in range(STEPS):
        g = gradient_at(w, step) + coupled * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        m_hat, v_hat = m / (1 - betas[0] ** (step + 1)), v / (1 - betas[1] ** (step + 1))
        w = w - rate(step) * (m_hat / (np.sqrt(v_hat) + eps) + decoupled * w)
    return w


def decaying(step: Any) -> Any:
    if isinstance(step, rg.Array):
        assert step.dtype == np.int32
        step = step.astype("float64")  # an integer with a Python float would give float32
    return 0.1 / (1.0 + 0.5 * step)


CLOSED_FORMS = {
    "sgd": (lambda: optim.SGD(0.05), lambda: sgd(lambda t: 0.05)),
    "momentum": (lambda: optim.SGD(0.05, 0.9), lambda: sgd(lambda t: 0.05, 0.9)),
    "nesterov": (
        lambda: optim.SGD(0.05, 0.9, nesterov=True), lambda: sgd(lambda t: 0.05, 0.9, True),
    ),
    "sgd with decay": (
        lambda: optim.SGD(0.05, 0.8, weight_decay=0.1),
        lambda: sgd(lambda t: 0.05, 0.8, weight_decay=0.1),
    ),
    "adagrad": (lambda: optim.Adagrad(0.1), lambda: adagrad(0.1)),
    "adagrad decay": (
        lambda: optim.Adagrad(0.1, initial=0.5, eps=0.1, weight_decay=0.2),
        lambda: adagrad(0.1, 0.5, 0.1, 0.2),
    ),
    "adam": (lambda: optim.Adam(0.1), lambda: adam(lambda t: 0.1)),
    "adam options": (
        lambda: optim.Adam(0.1, betas=(0.7, 0.9), eps=1e-2, weight_decay=0.1),
        lambda: adam(lambda t: 0.1, (0.7, 0.9), 1e-2, coupled=0.1),
    ),
    "adamw": (lambda: optim.AdamW(0.1), lambda: adam(lambda t: 0.1, decoupled=0.01)),
    "adamw options": (
        lambda: optim.AdamW(0.1, betas=(0.0, 0.5), eps=0.1, weight_decay=0.5),
        lambda: adam(lambda t: 0.1, (0.0, 0.5), 0.1, decoupled=0.5),
    ),
    "sgd schedule": (lambda: optim.SGD(decaying, 0.9), lambda: sgd(decaying, 0.9)),
    "adamw schedule": (lambda: optim.AdamW(decaying), lambda: adam(decaying, decoupled=0.01)),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_twenty_steps_are_the_closed_form(name: str) -> None:
    make, closed = CLOSED_FORMS[name]
    np.testing.assert_allclose(run(make()), closed(), rtol=1e-12)
    np.testing.assert_allclose(run(make(), np.float32), closed(), rtol=2e-4)


def test_clipping_scales_all_leaves_together() -> None:
    optimizer = optim.chain(optim.clip_by_global_norm(2.0), optim.SGD(0.1))
    a, b = np.array([1.0, 2.0]), np.array([[3.0]])
    parameters: Any = {"a": rg.array(a), "b": [rg.array(b)]}
    for step in range(STEPS):
        ga, gb = a * (step % 3), b - step  # below and above the maximum
        parameters = optimizer.update(parameters, {"a": rg.array(ga), "b": [rg.array(gb)]})
        norm = math.sqrt((ga**2).sum() + (gb**2).sum())
        factor = min(1.0, 2.0 / (norm + 1e-6))
        a, b = a - 0.1 * factor * ga, b - 0.1 * factor * gb
    np.testing.assert_allclose(parameters["a"].numpy(), a, rtol=1e-13)
    np.testing.assert_allclose(parameters["b"][0].numpy(), b, rtol=1e-13)


def test_scale_by_and_the_order_in_a_chain() -> None:
    chained = optim.chain(optim.scale_by(2.0), optim.SGD(0.05, momentum=0.9))
    np.testing.assert_allclose(run(chained), _doubled(), rtol=1e-12)
    last = optim.chain(optim.SGD(0.05), optim.scale_by(2.0))
    np.testing.assert_allclose(run(last), sgd(lambda t: 0.1), rtol=1e-12)


def _doubled() -> np.ndarray:
    w, m = START.copy(), np.zeros_like(START)
    for step in range(STEPS):
        m = 0.9 * m + 2.0 * gradient_at(w, step)
        w = w - 0.05 * m
    return w


# --- the contract: every class in optim, and chains of them


CLASSES = [
    value
    for name in optim.__all__
    if inspect.isclass(value := getattr(optim, name))
    and issubclass(value, Optimizer)
    and value is not Optimizer
]
MAKERS: dict[str, Callable[[Any], Optimizer]] = {
    **{kind.__name__: kind for kind in CLASSES},
    "chain": lambda rate: optim.chain(optim.clip_by_global_norm(10.0), optim.Adam(rate)),
    "momentum": lambda rate: optim.SGD(rate, momentum=0.5, nesterov=True, weight_decay=1e-4),
}
# Rates that fall must be larger at first.
FACTORS: dict[Any, float] = {optim.Adagrad: 20.0}
every_optimizer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def test_the_contract_covers_the_named_optimizers() -> None:
    assert {"SGD", "Adam", "AdamW"} <= set(MAKERS)


class Point(nn.Module):
    def __init__(self, values: Any) -> None:
        self.w = rg.array(values)


def parabola(model: Point) -> Any:
    return ((model.w - rg.array([1.0, -2.0])) ** 2).sum()


def rosenbrock(model: Point) -> Any:
    x, y = model.w[0], model.w[1]
    return (1.0 - x) ** 2 + 100.0 * (y - x * x) ** 2


def make_step(loss: Callable[[Any], Any]) -> Any:
    @rg.compile
    def step(model: Any, optimizer: Any) -> Any:
        value, gradients = rg.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    return step


@every_optimizer
def test_solves_a_parabola_and_traces_once(make: Callable[[Any], Optimizer]) -> None:
    optimizer = make(0.05 * FACTORS.get(make, 1.0))
    model, step = Point([4.0, 4.0]), make_step(parabola)
    for _ in range(400):
        step(model, optimizer)
    np.testing.assert_allclose(model.w.numpy(), [1.0, -2.0], atol=0.05)  # AdamW pulls towards 0
    assert step.trace_count == 1


@every_optimizer
def test_reduces_rosenbrock(make: Callable[[Any], Optimizer]) -> None:
    optimizer = make(1e-3 * FACTORS.get(make, 1.0))
    model, step = Point([-1.2, 1.0]), make_step(rosenbrock)
    first = float(step(model, optimizer))
    for _ in range(1000):
        last = float(step(model, optimizer))
    assert first == pytest.approx(24.2, rel=1e-5)
    assert last < first / 4


@every_optimizer
def test_compiled_steps_equal_eager_ones(make: Callable[[Any], Optimizer]) -> None:
    compiled, eager = Point([-1.2, 1.0]), Point([-1.2, 1.0])
    first, second, step = make(0.01), make(0.01), make_step(rosenbrock)
    for _ in range(5):
        step(compiled, first)
        gradients = rg.grad(rosenbrock)(eager)
        assert second.update(eager, gradients) is eager
        np.testing.assert_allclose(compiled.w.numpy(), eager.w.numpy(), rtol=1e-6)


@every_optimizer
def test_the_rate_changes_without_a_new_trace(make: Callable[[Any], Optimizer]) -> None:
    model, optimizer, step = Point([4.0, 4.0]), make(0.05), make_step(parabola)
    step(model, optimizer)
    assert optimizer.learning_rate == 0.05
    optimizer.learning_rate = 0.0
    before = model.w.numpy().copy()
    step(model, optimizer)
    np.testing.assert_array_equal(model.w.numpy(), before)
    optimizer.learning_rate = 0.01
    step(model, optimizer)
    assert (model.w.numpy() != before).any()
    assert step.trace_count == 1
    assert optimizer.learning_rate == 0.01


@every_optimizer
def test_a_rate_set_before_the_first_step_counts(make: Callable[[Any], Optimizer]) -> None:
    a, b = make(0.5), make(0.05)
    a.learning_rate = 0.05
    assert a.learning_rate == 0.05
    np.testing.assert_array_equal(run(a), run(b))


@every_optimizer
def test_a_schedule_is_a_function_of_the_step(make: Callable[[Any], Optimizer]) -> None:
    seen = []

    def schedule(step: Any) -> Any:
        seen.append(step)
        return rg.where(step < 3, 0.05, 0.0)

    model, optimizer, step = Point([4.0, 4.0]), make(schedule), make_step(parabola)
    values = [model.w.numpy().copy()]
    for _ in range(5):
        step(model, optimizer)
        values.append(model.w.numpy().copy())
    moved = [bool((a != b).any()) for a, b in zip(values, values[1:], strict=False)]
    assert moved == [True, True, True, False, False]
    assert step.trace_count == 1
    with pytest.raises(errors.StateError, match="schedule"):
        optimizer.learning_rate = 0.1


@every_optimizer
def test_a_tree_of_arrays_is_not_changed(make: Callable[[Any], Optimizer]) -> None:
    old = {"a": [rg.array([1.0, 2.0])], "b": (rg.array(3.0), {"c": rg.array([[4.0]])})}
    copies = [leaf.numpy().copy() for leaf in rg.tree.leaves(old)]
    new = make(0.1).update(old, rg.tree.map(lambda leaf: leaf * 0.5, old))
    assert rg.tree.flatten(new)[1] == rg.tree.flatten(old)[1]
    for leaf, copy, moved in zip(rg.tree.leaves(old), copies, rg.tree.leaves(new), strict=True):
        np.testing.assert_array_equal(leaf.numpy(), copy)
        assert (moved.numpy() < copy).all()


class Tied(nn.Module):
    def __init__(self) -> None:
        self.first = rg.array([2.0, 3.0])
        self.second = self.first


class Separate(nn.Module):
    def __init__(self) -> None:
        self.first = rg.array([2.0, 3.0])


@every_optimizer
@pytest.mark.parametrize("compiled", [False, True])
def test_tied_weights_are_updated_once(make: Callable[[Any], Optimizer], compiled: bool) -> None:
    def step(model: Any, optimizer: Any, second: bool) -> None:
        def loss(model: Any) -> Any:
            other = model.second if second else model.first
            return (model.first * other * rg.array([1.0, 2.0])).sum()

        optimizer.update(model, rg.grad(loss)(model))

    run_step = rg.compile(step) if compiled else step
    tied, separate = Tied(), Separate()
    first, second = make(0.1), make(0.1)
    for _ in range(3):
        run_step(tied, first, True)
        run_step(separate, second, False)
    assert tied.first is tied.second
    np.testing.assert_allclose(tied.first.numpy(), separate.first.numpy(), rtol=1e-6)


def test_tied_weights_count_once_in_the_global_norm() -> None:
    model = Tied()
    optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.SGD(1.0))
    optimizer.update(model, rg.grad(lambda m: (m.first * rg.array([3.0, 4.0])).sum())(model))
    np.testing.assert_allclose(model.first.numpy(), [2.0 - 0.6, 3.0 - 0.8], rtol=1e-5)


class Pair(nn.Module):
    def __init__(self) -> None:
        self.body = Point([1.0, 2.0])
        self.head = Point([3.0, 4.0])
        self.count = nn.Buffer(rg.array(5.0))


@every_optimizer
def test_frozen_parameters_and_buffers_stay(make: Callable[[Any], Optimizer]) -> None:
    model, optimizer = Pair(), make(0.1)
    model.body.freeze()
    step = make_step(lambda m: (m.body.w * m.head.w).sum() * m.count)
    for _ in range(3):
        step(model, optimizer)
    np.testing.assert_array_equal(model.body.w.numpy(), [1.0, 2.0])
    assert float(model.count) == 5.0
    assert (model.head.w.numpy() < [3.0, 4.0]).all()


@every_optimizer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept(make: Callable[[Any], Optimizer], dtype: Any) -> None:
    optimizer = make(0.1)
    for other in (np.float32, np.float64):  # a gradient of another dtype does not widen
        new = optimizer.update({"w": rg.array(np.ones(2, dtype))}, {"w": np.ones(2, other)})
        assert new["w"].dtype == dtype


@every_optimizer
def test_nothing_changes_when_a_step_fails(make: Callable[[Any], Optimizer]) -> None:
    @rg.compile
    def step(model: Any, optimizer: Any, index: Any) -> Any:
        value, gradients = rg.value_and_grad(parabola)(model)
        optimizer.update(model, gradients)
        return value + rg.take(rg.array([0.0, 1.0]), index)

    def read(optimizer: Optimizer) -> list[Any]:
        return [np.array(leaf) for leaf in rg.tree.leaves(optimizer.state)]

    model, optimizer = Point([4.0, 4.0]), make(0.05)
    step(model, optimizer, np.array(1))
    w, state = model.w, read(optimizer)
    with pytest.raises(errors.IndexRangeError):
        step(model, optimizer, np.array(7))
    with pytest.raises(errors.ShapeError):
        optimizer.update(model, {"w": rg.array([1.0])})
    with pytest.raises(errors.ArgumentError):
        optimizer.update(model, {"v": rg.array([1.0, 2.0])})
    assert model.w is w
    for before, after in zip(state, read(optimizer), strict=True):
        np.testing.assert_array_equal(before, after)
    step(model, optimizer, np.array(0))

"""What bad input of the optimizers gets."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest

import retrograd as rg
from retrograd import errors, nn, optim
from retrograd.optim import Optimizer

CLASSES = [
    value
    for name in optim.__all__
    if inspect.isclass(value := getattr(optim, name))
    and issubclass(value, Optimizer)
    and value is not Optimizer
]


class Point(nn.Module):
    def __init__(self, values: Any) -> None:
        self.w = rg.array(values)


class Pair(nn.Module):
    def __init__(self) -> None:
        self.body = Point([1.0, 2.0])
        self.head = Point([3.0, 4.0])


@rg.compile
def step(model: Any, optimizer: Any) -> None:
    optimizer.update(model, rg.grad(lambda m: (m.body.w * m.head.w).sum())(model))


def test_gradients_that_do_not_fit() -> None:
    optimizer, one = optim.SGD(0.1), {"w": rg.array([1.0, 2.0])}
    with pytest.raises(errors.ArgumentError, match=r"parameters \['w'\], gradients \['v'\]"):
        optimizer.update(one, {"v": rg.array([1.0, 2.0])})
    with pytest.raises(errors.ArgumentError, match="do not have the tree"):
        optimizer.update(one, None)
    with pytest.raises(errors.ShapeError, match=r"'w' has shape \(1,\), the parameter \(2,\)"):
        optimizer.update(one, {"w": rg.array([1.0])})
    with pytest.raises(errors.ArgumentTypeError, match="'w' is float"):
        optimizer.update({"w": 1.0}, {"w": 1.0})
    with pytest.raises(errors.DTypeError, match=r"'w' is int32\[\]"):
        optimizer.update({"w": rg.array(1)}, {"w": 1.0})


def test_state_of_other_shapes() -> None:
    optimizer, two, three = optim.Adam(), {"w": rg.ones(2)}, {"w": rg.ones(3)}
    optimizer.update(two, two)
    with pytest.raises(errors.StateError, match="belongs to other parameters"):
        optimizer.update(three, three)


def test_state_of_other_parameters() -> None:
    optimizer = optim.Adam()
    optimizer.update({"w": rg.array(1.0)}, {"w": rg.array(1.0)})
    for other in ({"v": rg.array(1.0)}, {"w": rg.array([1.0, 2.0])}):
        with pytest.raises(errors.StateError, match="belongs to other parameters"):
            optimizer.update(other, other)
    optimizer.init({"v": rg.array(1.0)})
    optimizer.update({"v": rg.array(1.0)}, {"v": rg.array(1.0)})
    model, optimizer = Pair(), optim.SGD(0.1, momentum=0.9)
    step(model, optimizer)
    model.body.freeze()
    with pytest.raises(errors.StateError, match="frozen"):
        step(model, optimizer)
    optimizer.init(model)
    step(model, optimizer)


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_rates_out_of_range(rate: float) -> None:
    for kind in CLASSES:
        with pytest.raises(errors.ArgumentError, match="at least 0"):
            kind(learning_rate=rate)
        optimizer = kind(learning_rate=0.1)
        with pytest.raises(errors.ArgumentError, match="at least 0"):
            optimizer.learning_rate = rate
        assert optimizer.learning_rate == 0.1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.SGD("fast"), errors.ArgumentTypeError, "number, received 'fast'"),
        (lambda: optim.SGD(None), errors.ArgumentTypeError, "received None"),
        (lambda: optim.SGD(0.1, momentum=1.0), errors.ArgumentError, "momentum lies in"),
        (lambda: optim.SGD(0.1, momentum=-0.5), errors.ArgumentError, "received -0.5"),
        (lambda: optim.SGD(0.1, nesterov=True), errors.ArgumentError, "needs a momentum"),
        (lambda: optim.SGD(0.1, weight_decay=-1.0), errors.ArgumentError, "weight_decay"),
        (lambda: optim.Adam(betas=(0.9, 1.0)), errors.ArgumentError, "betas lie in"),
        (lambda: optim.Adam(betas=0.9), errors.ArgumentTypeError, "two numbers"),
        (lambda: optim.Adam(eps=-1e-8), errors.ArgumentError, "eps"),
        (lambda: optim.AdamW(weight_decay=math.nan), errors.ArgumentError, "weight_decay"),
        (lambda: optim.clip_by_global_norm(0.0), errors.ArgumentError, "above 0"),
        (lambda: optim.chain(), errors.ArgumentError, "at least one"),
        (lambda: optim.chain(optim.SGD(0.1), 3), errors.ArgumentTypeError, "received int"),
    ],
)  # fmt: skip
def test_options(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_schedule_gives_one_number() -> None:
    optimizer = optim.SGD(lambda step: rg.array([0.1, 0.2]))
    with pytest.raises(errors.ShapeError, match=r"shape \(2,\), expected \(\)"):
        optimizer.update({"w": rg.array([1.0, 2.0])}, {"w": rg.array([1.0, 2.0])})


def test_a_transform_that_changes_the_shape() -> None:
    widen = optim.Transform(
        lambda parameters: (),
        lambda gradients, state, parameters: ({"w": rg.array([1.0, 2.0])}, state),
    )
    with pytest.raises(errors.StateError, match=r"float32\[\] into float32\[2\]"):
        optim.chain(widen).update({"w": rg.array(1.0)}, {"w": rg.array(1.0)})

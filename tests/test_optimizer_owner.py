"""An Optimizer belongs to the model that it has updated."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim
from retrograd.errors import StateError

X = rg.array(np.eye(3, dtype=np.float32))


class Net(nn.Module):
    def __init__(self) -> None:
        self.line = nn.Linear(3, 3)

    def __call__(self, x: Any) -> Any:
        return self.line(x)


def loss(model: Any, x: Any) -> Any:
    return (model(x) ** 2).sum()


def step(model: Any, optimizer: Any, x: Any) -> None:
    optimizer.update(model, rg.grad(loss)(model, x))


def fit(model: Any, optimizer: Any, x: Any) -> None:
    rg.Trainer(model, loss="mse", optimizer=optimizer).fit(x, x, epochs=1, verbose=False)


def call_by_keywords(run: Callable[..., None]) -> Callable[..., None]:
    return lambda model, optimizer, x: run(model, optimizer=optimizer, x=x)


STEPS: dict[str, Callable[[], Callable[..., None]]] = {
    "eager": lambda: step,
    "numpy": lambda: rg.compile(step, executor="numpy"),
    "native": lambda: rg.compile(step, executor="native"),
    "keywords": lambda: call_by_keywords(rg.compile(step)),
    "fit": lambda: fit,
}
for_each_step = pytest.mark.parametrize("name", STEPS)


@for_each_step
def test_another_model_is_an_error(name: str) -> None:
    run, optimizer = STEPS[name](), optim.Adam(0.1)
    first, second = Net(), Net()
    for _ in range(3):
        run(first, optimizer, X)
    before = second.line.weight
    with pytest.raises(StateError, match="belongs to another model") as caught:
        run(second, optimizer, X)
    assert "optimizer.init(model)" in str(caught.value)
    assert second.line.weight is before
    run(first, optimizer, X)
    del first
    gc.collect()
    with pytest.raises(StateError, match="belongs to another model"):
        run(second, optimizer, X)


@for_each_step
def test_init_begins_anew(name: str) -> None:
    """After init the other model is trained as by a new Optimizer, and the first is refused."""
    run, optimizer = STEPS[name](), optim.Adam(0.1)
    first, second = Net(), Net()
    twin = copy.deepcopy(second)
    for _ in range(3):
        run(first, optimizer, X)
    optimizer.init(second)
    run(second, optimizer, X)
    run(twin, optim.Adam(0.1), X)
    assert np.array_equal(second.line.weight, twin.line.weight)
    with pytest.raises(StateError, match="belongs to another model"):
        run(first, optimizer, X)


@for_each_step
def test_a_model_and_its_optimizer_are_copied_together(name: str) -> None:
    run, pair = STEPS[name](), (Net(), optim.Adam(0.1))
    run(*pair, X)
    model, optimizer = copy.deepcopy(pair)
    run(model, optimizer, X)
    run(*pair, X)
    assert np.array_equal(model.line.weight, pair[0].line.weight)
    with pytest.raises(StateError, match="belongs to another model"):
        run(pair[0], optimizer, X)


def test_eager_steps_and_compiled_steps_go_on_together() -> None:
    compiled, optimizer, model = rg.compile(step), optim.SGD(0.1, momentum=0.9), Net()
    for run in (step, compiled, step, compiled, compiled):
        run(model, optimizer, X)
    for run in (step, compiled):
        with pytest.raises(StateError, match="belongs to another model"):
            run(Net(), optimizer, X)


def test_a_state_that_leaves_no_place_keeps_its_owner() -> None:
    """A state that is a leaf in a tuple is set as a whole."""
    count = optim.Transform(
        init=lambda parameters: (rg.array(0.0),),
        update=lambda gradients, state, parameters: (gradients, (state[0] + 1.0,)),
    )
    compiled, optimizer, model = rg.compile(step), optim.chain(count), Net()
    for _ in range(3):
        compiled(model, optimizer, X)
    assert float(optimizer.state[0][0]) == 3.0
    with pytest.raises(StateError, match="belongs to another model"):
        compiled(Net(), optimizer, X)


def test_parts_of_models_and_trees() -> None:
    both = Net()
    optimizer = optim.Adam(0.1)

    @rg.compile
    def train_part(model: Any, optimizer: Any) -> None:
        gradients = rg.grad(loss)(model, X)
        optimizer.update(model.line, gradients["line"])

    train_part(both, optimizer)
    train_part(both, optimizer)
    with pytest.raises(StateError, match="belongs to another model"):
        train_part(Net(), optimizer)
    tree = {"w": rg.ones(2)}
    values = optim.Adam(0.1)
    for _ in range(3):  # a tree has no identity: each update gives a new one
        tree = values.update(tree, {"w": rg.ones(2)})


@pytest.mark.parametrize("name", ["eager", "native"])
def test_two_models_in_one_program(name: str) -> None:
    def both(first: Any, second: Any, optimizer: Any) -> None:
        step(first, optimizer, X)
        step(second, optimizer, X)

    run = rg.compile(both) if name == "native" else both
    with pytest.raises(StateError, match="one Optimizer for each model"):
        run(Net(), Net(), optim.Adam(0.1))


def test_a_trainer_refuses_it_when_it_is_made() -> None:
    optimizer = optim.Adam(0.1)
    fit(Net(), optimizer, X)
    with pytest.raises(StateError, match="belongs to another model"):
        rg.Trainer(Net(), loss="mse", optimizer=optimizer)

"""Several threads of Python call compiled functions at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import config, losses, nn, optim, tree

THREADS = 4
ROUNDS = 25


def run_together(work: Callable[[int], None]) -> None:
    """Call `work(number)` in several threads that begin at the same time; errors are raised."""
    gate, errors = threading.Barrier(THREADS), []

    def run(number: int) -> None:
        gate.wait()
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


@pytest.fixture(params=["1", "2"], autouse=True)
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RETROGRAD_THREADS", request.param)
    config.get_config.cache_clear()
    yield
    monkeypatch.undo()
    config.get_config.cache_clear()


def make_function() -> Any:
    return rg.compile(lambda x, y: rg.tanh(x @ y) + (x * x).sum(), executor="native")


def draw(seed: int, rows: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 96)).astype(np.float32)
    return x, generator.normal(size=(96, 128)).astype(np.float32)


@pytest.mark.parametrize("kind", ["same arguments", "same shapes", "other shapes"])
def test_one_function(kind: str) -> None:
    seeds = [0 if kind == "same arguments" else number for number in range(THREADS)]
    rows = [64 + 16 * n if kind == "other shapes" else 64 for n in range(THREADS)]
    given = [draw(seed, size) for seed, size in zip(seeds, rows, strict=True)]
    alone = make_function()
    wanted = [alone(*arguments).numpy() for arguments in given]
    function = make_function()

    def work(number: int) -> None:
        for _ in range(ROUNDS):
            np.testing.assert_array_equal(function(*given[number]).numpy(), wanted[number])

    run_together(work)


def test_a_function_in_each_thread() -> None:
    x, y = draw(0, 64)
    sources: list[Callable[[Any, Any], Any]] = [
        lambda x, y: rg.exp(x) @ y,
        lambda x, y: (x @ y).max(1),
        lambda x, y: x.sum() * y,
        lambda x, y: rg.sin(x) @ rg.cos(y),
    ]
    wanted = [rg.compile(source, executor="native")(x, y).numpy() for source in sources]

    def work(number: int) -> None:
        for _ in range(5):  # traced and compiled each time
            function = rg.compile(sources[number], executor="native")
            for _ in range(5):
                np.testing.assert_array_equal(function(x, y).numpy(), wanted[number])

    run_together(work)


def make_training() -> tuple[Any, Callable[[int], tuple[Any, Any]]]:
    @rg.compile(executor="native")
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        def loss_of(model: Any, x: Any, y: Any) -> Any:
            return losses.cross_entropy(model(x), y)

        loss, gradients = rg.value_and_grad(loss_of)(model, x, y)
        optimizer.update(model, gradients)
        return loss

    def make(seed: int) -> tuple[Any, Any]:
        rg.seed(seed)
        model = nn.Sequential(nn.Linear(96, 64), nn.BatchNorm(64), nn.ReLU(), nn.Linear(64, 10))
        return model, optim.Adam(1e-2)

    return step, make


def test_a_model_in_each_thread() -> None:
    step, make = make_training()
    x, _ = draw(0, 128)
    y = np.arange(128, dtype=np.int32) % 10

    def train(step: Any, model: Any, optimizer: Any) -> list[Any]:
        found = [step(model, optimizer, x, y).numpy() for _ in range(ROUNDS)]
        return [*found, *(leaf.numpy() for leaf in tree.leaves(model.state()))]

    wanted = [train(step, *make(number)) for number in range(THREADS)]
    shared, _ = make_training()
    pairs = [make(number) for number in range(THREADS)]

    def work(number: int) -> None:
        for a, b in zip(train(shared, *pairs[number]), wanted[number], strict=True):
            np.testing.assert_array_equal(a, b)

    run_together(work)


def test_fit_in_each_thread() -> None:
    x, _ = draw(0, 256)
    y = np.arange(256, dtype=np.int32) % 10
    _, make = make_training()

    def fit(model: Any, optimizer: Any) -> list[Any]:
        trainer = rg.Trainer(model, loss=losses.cross_entropy, optimizer=optimizer)
        trainer.fit(x, y, epochs=3, batch_size=32, shuffle=False, verbose=False)
        return [leaf.numpy() for leaf in tree.leaves(model.state())]

    wanted = [fit(*make(number)) for number in range(THREADS)]
    pairs = [make(number) for number in range(THREADS)]

    def work(number: int) -> None:
        for a, b in zip(fit(*pairs[number]), wanted[number], strict=True):
            np.testing.assert_array_equal(a, b)

    run_together(work)

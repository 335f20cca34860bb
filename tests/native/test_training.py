"""Whole training steps, native against NumPy: trajectories, in-place updates, poisoned memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import config, losses, nn, optim, tree


def perceptron() -> Any:
    return nn.Sequential(nn.Linear(20, 33), nn.ReLU(), nn.Dropout(0.3), nn.Linear(33, 7))


def convolutional() -> Any:
    return nn.Sequential(
        # Before BatchNorm a bias has no gradient but rounding, which Adam would blow up.
        nn.Conv2d(2, 5, 3, padding="same", bias=False),
        nn.BatchNorm(5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 4, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(4 * 2 * 3, 7),
    )


MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "perceptron": (perceptron, (13, 20)),
    "convolutional": (convolutional, (6, 9, 12, 2)),
}
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adam": lambda: optim.Adam(1e-2),
    "momentum": lambda: optim.SGD(1e-2, momentum=0.9, weight_decay=1e-3),
}


def train(model: str, optimizer: str, executor: str, steps: int = 8) -> list[np.ndarray[Any, Any]]:
    """The losses, and the state at the end."""
    make, shape = MODELS[model]
    rg.seed(1)
    network, updates = make(), OPTIMIZERS[optimizer]()

    @rg.compile(executor=executor)
    def step(network: Any, updates: Any, x: Any, y: Any) -> Any:
        def loss(network: Any, x: Any, y: Any) -> Any:
            return losses.cross_entropy(network(x), y)

        value, gradients = rg.value_and_grad(loss)(network, x, y)
        updates.update(network, gradients)
        return value

    random = np.random.default_rng(0)
    found = []
    for _ in range(steps):
        x = rg.array(random.normal(size=shape).astype(np.float32))
        y = rg.array(random.integers(0, 7, shape[0]).astype(np.int32))
        found.append(step(network, updates, x, y).numpy().copy())
    return [*found, *(leaf.numpy().copy() for leaf in tree.leaves(network.state()))]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS)
def test_trajectories(model: str, optimizer: str) -> None:
    expected, found = train(model, optimizer, "numpy"), train(model, optimizer, "native")
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-4 * max(1.0, float(np.abs(a).max())))


@pytest.mark.parametrize("model", MODELS)
def test_poisoned_memory_and_repetition_give_the_same_bits(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = train(model, "adam", "native"), train(model, "adam", "native")
    monkeypatch.setenv("RETROGRAD_POISON", "1")
    config.get_config.cache_clear()
    try:
        poisoned = train(model, "adam", "native")
    finally:
        monkeypatch.undo()
        config.get_config.cache_clear()
    for a, b, c in zip(first, second, poisoned, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()

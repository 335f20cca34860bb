"""A small training step on the native executor."""

from __future__ import annotations

from typing import Any

import numpy as np

import retrograd as rg
from retrograd import losses, nn, optim


def draw(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def make_step(
    widths: tuple[int, int, int] = (4, 8, 3), batch: int = 16
) -> tuple[Any, tuple[Any, ...]]:
    """A compiled step of a small network with Adam, and its arguments."""
    rg.seed(0)
    model = nn.Sequential(
        nn.Linear(widths[0], widths[1]), nn.Tanh(), nn.Linear(widths[1], widths[2])
    )
    optimizer = optim.Adam(0.01)
    x = rg.array(draw(batch, widths[0]))
    y = rg.array((np.arange(batch) % widths[2]).astype(np.int32))

    def compute_loss(model: Any, x: Any, y: Any) -> Any:
        return losses.cross_entropy(model(x), y)

    @rg.compile(executor="native")
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        loss, gradients = rg.value_and_grad(compute_loss)(model, x, y)
        optimizer.update(model, gradients)
        return loss

    return step, (model, optimizer, x, y)

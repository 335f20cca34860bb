"""Models and comparisons that the tests of saving share."""

from __future__ import annotations

from typing import Any

import numpy as np

import retrograd as rg
from retrograd import nn


class Net(nn.Module):
    """Lists, dicts, a tie, a buffer, a frozen part, and every kind of dtype."""

    def __init__(self, features: int = 3) -> None:
        self.first = nn.Linear(4, features)
        self.norm = nn.BatchNorm(features)
        self.branches = [nn.Linear(features, features), {"inner": nn.Linear(features, 2)}]
        self.tied = self.first.weight
        self.fixed = nn.Linear(2, 2).freeze()
        self.count = nn.Buffer(rg.array(np.array(7, np.int64)))
        self.flags = rg.array(np.array([True, False]))
        self.bytes = rg.array(np.arange(3, dtype=np.uint8))
        self.words = rg.array(np.arange(3, dtype=np.uint32))
        self.precise = rg.array(np.array([1 / 3], np.float64))
        self.empty = rg.array(np.zeros((0, 2), np.float32))
        self.absent = None

    def __call__(self, x: Any) -> Any:
        return self.norm(self.first(x))


def make_layers() -> nn.Sequential:
    shared = nn.Linear(4, 4)
    return nn.Sequential(
        nn.Linear(3, 4, init="orthogonal"),
        nn.BatchNorm(4),
        nn.relu,
        shared,
        shared,
        nn.Sequential(nn.Linear(4, 2), nn.Dropout(0.5)),
        nn.LeakyReLU(0.2),
    )


def assert_equal(first: nn.Module, second: nn.Module) -> None:
    a, b = first.named_state(), second.named_state()
    assert list(a) == list(b)
    for path in a:
        assert a[path].type == b[path].type, path
        assert a[path].numpy().tobytes() == b[path].numpy().tobytes(), path


def snapshot(model: nn.Module) -> dict[str, int]:
    return {path: id(array) for path, array in model.named_state().items()}

"""Where large state lies: memory of its own, which only a step that owns it writes over."""

from __future__ import annotations

from typing import Any

import numpy as np

import retrograd as rg
from retrograd import nn, optim
from retrograd.ir.types import float32
from retrograd.runtime.buffers import LARGE, LINE, OwnMemory, empty_state, may_be_written

ROWS = 600


def test_large_state_begins_with_a_cache_line_and_equal_elements_are_apart() -> None:
    arrays = [empty_state((ROWS, 512), float32) for _ in range(3)]
    starts = [array.ctypes.data for array in arrays]
    assert all(start % LINE == 0 for start in starts)
    assert len({start % 4096 for start in starts}) == 3
    for array in arrays:
        array[...] = 1.0
        assert array.sum() == ROWS * 512


def test_whoever_holds_a_view_holds_the_array() -> None:
    array = empty_state((ROWS, 512), float32)
    assert type(array.base) is OwnMemory and may_be_written(array)
    for view in (array[1:], array.T, array.reshape(-1), np.asarray(array)[:]):
        assert view.base is array and not may_be_written(view)
    assert may_be_written(np.zeros(3))
    assert not may_be_written(np.zeros(10)[2:])
    own = np.zeros(LARGE, np.uint8)
    assert may_be_written(own) == (own.ctypes.data % LINE == 0)


def test_a_step_moves_large_state_once_and_leaves_what_is_held() -> None:
    rg.seed(0)
    model, rule = nn.Linear(512, ROWS), optim.Adam(1e-2)

    @rg.compile(executor="native")
    def step(model: Any, rule: Any, x: Any) -> Any:
        value, gradients = rg.value_and_grad(lambda m, x: (m(x) ** 2).mean())(model, x)
        rule.update(model, gradients)
        return value

    x = rg.array(np.random.default_rng(0).standard_normal((8, 512)).astype(np.float32))
    for _ in range(2):
        step(model, rule, x)
    first = model.weight.concrete().ctypes.data
    assert first % LINE == 0
    step(model, rule, x)
    assert model.weight.concrete().ctypes.data == first, "it stays where it is"
    held = np.asarray(model.weight)[1:]
    before = held.copy()
    step(model, rule, x)
    assert (held == before).all() and not (np.asarray(model.weight)[1:] == before).all()

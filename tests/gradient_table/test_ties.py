"""At kinks and ties, where differences say nothing: what the design says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg


def gradient_of(function: Any, *arguments: Any) -> list[float]:
    arrays = [rg.array(np.asarray(x, np.float64)) for x in arguments]
    found = rg.grad(lambda *xs: (function(*xs) * 1.0).sum(), tuple(range(len(arrays))))(*arrays)
    tangents = []
    for position, array in enumerate(arrays):
        for place in np.ndindex(*array.shape):
            direction: list[Any] = [None] * len(arrays)
            basis = np.zeros(array.shape)
            basis[place] = 1.0
            direction[position] = rg.array(basis)
            tangents.append(float(rg.jvp(lambda *xs: function(*xs).sum(), arrays, direction)[1]))
    flat = [float(g) for gradient in found for g in gradient.numpy().ravel()]
    assert flat == tangents, "reverse and forward mode treat the tie differently"
    return flat


@pytest.mark.parametrize("name", ["max", "min"])
def test_extrema_share_equally(name: str) -> None:
    function = getattr(rg, name)
    assert gradient_of(function, [2.0, 2.0, 2.0, 2.0]) == [0.25] * 4
    edge = 1.0 if name == "max" else -1.0
    assert gradient_of(function, [0.0, edge, 0.0, edge]) == [0.0, 0.5, 0.0, 0.5]
    rows = gradient_of(lambda x: function(x, axis=1), [[1.0, 1.0], [2.0, 3.0]])
    assert rows[:2] == [0.5, 0.5] and sorted(rows[2:]) == [0.0, 1.0]
    assert gradient_of(function, [[3.0, 3.0], [3.0, 3.0]]) == [0.25] * 4


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_maximum_and_minimum_share_equally(name: str) -> None:
    assert gradient_of(getattr(rg, name), [1.0], [1.0]) == [0.5, 0.5]
    assert gradient_of(getattr(rg, name), [0.0], [-0.0]) == [0.5, 0.5]
    x = rg.array(3.0)
    assert float(rg.grad(lambda x: getattr(rg, name)(x, x))(x)) == 1.0


def test_abs_and_relu_at_zero() -> None:
    assert gradient_of(rg.abs, [0.0, -0.0]) == [0.0, 0.0]
    assert gradient_of(lambda x: rg.where(x > 0, x, 0.0), [0.0, -0.0, 1.0, -1.0]) == [
        0.0,
        0.0,
        1.0,
        0.0,
    ]
    relu = getattr(rg.nn, "relu", None)
    if relu is not None:
        assert gradient_of(relu, [0.0, -0.0, 1.0, -1.0]) == [0.0, 0.0, 1.0, 0.0]


def test_clip_passes_the_gradient_at_its_limits() -> None:
    assert gradient_of(lambda x: rg.clip(x, 0.0, 1.0), [-0.5, 0.0, 0.5, 1.0, 1.5]) == [
        0.0,
        1.0,
        1.0,
        1.0,
        0.0,
    ]


def test_window_maximum_goes_to_the_first() -> None:
    image = np.ones((1, 4, 1))
    assert gradient_of(lambda x: rg.max_pool(x, 2), image) == [1.0, 0.0, 1.0, 0.0]
    assert gradient_of(lambda x: rg.max_pool(x, 2, stride=1), image) == [1.0, 1.0, 1.0, 0.0]
    square = np.ones((1, 2, 2, 1))
    assert gradient_of(lambda x: rg.max_pool(x, 2), square) == [1.0, 0.0, 0.0, 0.0]


def test_sort_and_top_k_keep_the_order_of_equals() -> None:
    weights = rg.array(np.array([1.0, 10.0, 100.0]))
    assert gradient_of(lambda x: rg.sort(x) * weights, [2.0, 2.0, 1.0]) == [10.0, 100.0, 1.0]
    assert gradient_of(lambda x: rg.top_k(x, 2)[0] * weights[:2], [2.0, 2.0, 2.0]) == [
        1.0,
        10.0,
        0.0,
    ]


def test_the_branch_that_was_not_chosen_adds_nothing() -> None:
    """where: an infinite slope on the other side must not become NaN in a guarded argument."""

    def guarded(x: Any) -> Any:
        safe = rg.where(x > 0, x, 1.0)
        return rg.where(x > 0, rg.sqrt(safe), 0.0)

    assert gradient_of(guarded, [0.0, 4.0]) == [0.0, 0.25]


def test_powers_at_zero() -> None:
    assert gradient_of(lambda x: x ** rg.array(np.float64(0.0)), [0.0]) == [0.0]
    assert gradient_of(lambda x: x ** rg.array(np.float64(1.0)), [0.0]) == [1.0]
    assert gradient_of(lambda a, b: a**b, [0.0], [2.0]) == [0.0, 0.0]


def test_prod_with_zeros() -> None:
    assert gradient_of(rg.prod, [0.0, 3.0, 4.0]) == [12.0, 0.0, 0.0]
    assert gradient_of(rg.prod, [0.0, 0.0, 4.0]) == [0.0, 0.0, 0.0]

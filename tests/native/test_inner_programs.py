"""Machine code for programs inside of programs: scan, checkpoint, custom gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.errors import IndexRangeError
from retrograd.native import NativeProgram
from tests.native.helpers import check, trace, with_gradients
from tests.native.test_movement import draw


def recurrent(w: Any, h: Any, xs: Any) -> Any:
    return rg.scan(lambda c, x: (rg.tanh(c @ w * 0.1 + x), c), h, xs)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 17])
def test_a_recurrent_network_and_its_gradient(steps: int) -> None:
    arrays = [draw((5, 5)), draw((3, 5)), draw((steps, 3, 5))]
    graph = check(with_gradients(recurrent), arrays, 200.0)
    assert not NativeProgram(graph).callbacks


@pytest.mark.parametrize("reverse", [False, True])
def test_carries_that_change_places(reverse: bool) -> None:
    """What a step reads must not be overwritten while it runs."""

    def rotate(a: Any, b: Any, c: Any, xs: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            first, second, third = carry
            return (second, third, first + x), (first, x, second, rg.ones(2), third[::-1])

        return rg.scan(step, (a, b, c), xs, reverse=reverse)

    arrays = [draw((2,), seed=n) for n in range(3)] + [draw((7, 2))]
    graph = check(with_gradients(rotate), arrays)
    assert not NativeProgram(graph).callbacks


def test_loops_inside_loops_and_constants() -> None:
    table = rg.array(draw((4, 3)))

    def outer(x: Any, ys: Any) -> Any:
        def step(carry: Any, y: Any) -> Any:
            inner, parts = rg.scan(lambda c, row: (c * 0.5 + row * y, c.sum()), carry, table)
            return inner, parts

        return rg.scan(step, x, ys)

    graph = check(with_gradients(outer), [draw((3,)), draw((5, 3))], 100.0)
    assert not NativeProgram(graph).callbacks


def test_a_callback_inside_a_loop() -> None:
    """What has no machine code (sort) runs with NumPy, at the addresses of the step."""

    def outer(x: Any, ys: Any) -> Any:
        return rg.scan(lambda c, y: (rg.sort(c + y), c * 2), x, ys)

    graph = check(with_gradients(outer), [draw((6,)), draw((4, 6))])
    assert NativeProgram(graph).callbacks


def test_an_index_out_of_range_inside_a_loop_stops_it() -> None:
    step = rg.compile(
        lambda x, i: rg.scan(lambda c, k: (c + rg.take(x, k), c), x[0], i), executor="native"
    )
    x = rg.array(draw((3,)))
    assert np.isfinite(step(x, rg.array([0, 2]))[0].numpy())
    with pytest.raises(IndexRangeError):
        step(x, rg.array([0, 3]))


def test_checkpoints_compute_again() -> None:
    inner = rg.checkpoint(lambda x, w: rg.tanh(rg.tanh(x @ w) @ w))

    def twice(x: Any, w: Any) -> Any:
        return inner(inner(x, w), w).sum()

    graph = check(with_gradients(twice), [draw((4, 6)), draw((6, 6))], 100.0)
    assert not NativeProgram(graph).callbacks
    assert any(node.primitive.name == "checkpoint" for node in graph.nodes)


def test_custom_gradients_are_part_of_the_program() -> None:
    clipped = rg.custom_gradient(
        lambda x: x * 2, lambda x: (x * 2, x), lambda kept, g: (rg.clip(g * kept, -1, 1),)
    )
    nested = rg.custom_gradient(
        lambda x: clipped(x) + 1, lambda x: (clipped(x) + 1, None), lambda kept, g: (g * 3,)
    )
    for function in (clipped, nested, rg.checkpoint(nested)):
        graph = check(with_gradients(function), [draw((5,))])
        program = NativeProgram(trace(function, [draw((5,))]))
        assert not program.callbacks and not NativeProgram(graph).callbacks


def test_random_numbers_inside_loops_are_those_of_numpy() -> None:
    def noisy(x: Any) -> Any:
        return rg.scan(lambda c, y: (c + rg.random.uniform((3,)) * y, None), x, x)

    for executor in ("numpy", "native"):
        rg.seed(5)
        function = rg.compile(noisy, executor=executor)
        result = function(rg.array(draw((3,))))[0].numpy()
        if executor == "numpy":
            expected = result
    np.testing.assert_array_equal(result, expected)

"""Loops that are cut along the batch: which are, and that they give the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.errors import IndexRangeError
from retrograd.ir.loops import Repeat
from retrograd.passes import loop_pieces

RANDOM = np.random.default_rng(1)
STEPS, BATCH, WIDTH, HIDDEN = 5, 8, 4, 6


@pytest.fixture(autouse=True)
def cut_small_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_pieces, "LEAST_WORK", 0)


def draw(*shape: int) -> Any:
    return rg.array(RANDOM.normal(size=shape) * 0.5)


def run(function: Callable[..., Any], *arguments: Any) -> list[int]:
    """Compare with NumPy, on one thread and on two; give the numbers of pieces of the loops."""
    expected = rg.tree.leaves(rg.compile(function, executor="numpy")(*arguments))
    compiled = rg.compile(function, executor="native")
    compiled(*arguments)
    program = compiled.graph(*arguments).cache["native"]
    leaves = [leaf.numpy() for leaf in rg.tree.leaves(list(arguments))]
    found = []
    for threads in (1, 2, 3):
        program.threads = threads
        found.append(program.run(leaves))
    for one, two, three, wanted in zip(*found, expected, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
        scale = 1e-10 * max(1.0, float(np.abs(wanted.numpy()).max(initial=0.0)))
        np.testing.assert_allclose(one, wanted.numpy(), rtol=0, atol=scale)
    return [k.pieces for k in program.schedule.kernels if isinstance(k, Repeat)]


def cell(weights: Any, h: Any, x: Any) -> Any:
    return rg.tanh(x @ weights["x"] + h @ weights["h"] + weights["b"])


def make_weights() -> Any:
    return {"x": draw(WIDTH, HIDDEN), "h": draw(HIDDEN, HIDDEN), "b": draw(HIDDEN)}


def network(weights: Any, xs: Any, start: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = cell(weights, h, x)
        return h, h * 2

    return rg.scan(step, start, xs)


def test_examples_apart() -> None:
    arguments = make_weights(), draw(STEPS, BATCH, WIDTH), draw(BATCH, HIDDEN)
    assert run(network, *arguments) == [2]


def test_gradients() -> None:
    def loss(*arguments: Any) -> Any:
        last, ys = network(*arguments)
        return (last**2).sum() + (ys**3).sum()

    arguments = make_weights(), draw(STEPS, BATCH, WIDTH), draw(BATCH, HIDDEN)
    assert run(rg.grad(loss, argnums=(0, 1, 2)), *arguments) == [2, 2]


def test_many_pieces() -> None:
    arguments = make_weights(), draw(STEPS, 128, WIDTH), draw(128, HIDDEN)
    assert run(network, *arguments) == [8]
    arguments = make_weights(), draw(STEPS, 3, WIDTH), draw(3, HIDDEN)
    assert run(network, *arguments) == [1]


def test_constants_of_the_loop_with_examples_are_cut_too() -> None:
    """A mask and an encoder's outputs for each example; a scale that all share; softmax; steps."""

    def attend(weights: Any, xs: Any, start: Any, kept: Any, memory: Any, scale: Any) -> Any:
        def step(h: Any, x_and_step: Any) -> Any:
            x, number = x_and_step
            h = cell(weights, h, x) * kept + number
            scores = rg.softmax(rg.einsum("bh,bsh->bs", h, memory) * scale, axis=1)
            context = rg.einsum("bs,bsh->bh", scores, memory)
            parts = rg.split(rg.concatenate([h, context[:, ::-1]], axis=1), 2, axis=1)
            return parts[0] * parts[1] + normalise(h), rg.argmax(scores, axis=1)

        return rg.scan(step, start, (xs, rg.arange(STEPS)))

    def normalise(h: Any) -> Any:
        return (h - h.mean(axis=1, keepdims=True)) / (h.std(axis=1, keepdims=True) + 1)

    arguments = (
        make_weights(),
        draw(STEPS, BATCH, WIDTH),
        draw(BATCH, HIDDEN),
        rg.array(RANDOM.integers(0, 2, (BATCH, HIDDEN)).astype(np.float64)),
        draw(BATCH, 7, HIDDEN),
        draw(),
    )
    assert run(attend, *arguments) == [2]


@pytest.mark.parametrize(
    "step",
    [
        lambda h, x: (rg.tanh(h + h.mean(axis=0) + x), None),
        lambda h, x: (rg.tanh(h[::-1] + x), None),
        lambda h, x: (rg.tanh((h @ h.T) @ x), None),
        lambda h, x: (rg.tanh(rg.reshape(rg.reshape(h, (2, -1)) * 2, h.shape) + x), None),
        lambda h, x: (rg.tanh(h + x), h.sum()),
        lambda h, x: (rg.cumsum(h, axis=0) + x, None),
        lambda h, x: (
            h + x + rg.array(np.arange(float(BATCH * WIDTH)).reshape(BATCH, WIDTH)),
            None,
        ),
        lambda h, x: (rg.concatenate([h[1:], x[:1]], axis=0), None),
        lambda h, x: (rg.take(h, rg.array(np.arange(BATCH)[::-1].copy()), axis=0) + x, None),
    ],
)
def test_examples_that_meet_stay_together(step: Any) -> None:
    pieces = run(lambda h, xs: rg.scan(step, h, xs), draw(BATCH, WIDTH), draw(STEPS, BATCH, WIDTH))
    assert pieces == [1]


def test_one_square_state() -> None:
    """A state that is a matrix as wide as high, from the left: its rows are no examples."""
    w = draw(BATCH, BATCH)
    assert run(lambda w, h: rg.scan(lambda h, _: (rg.tanh(w @ h), None), h, None, 4), w, w) == [1]
    assert run(lambda w, h: rg.scan(lambda h, _: (rg.tanh(h @ w), None), h, None, 4), w, w) == [2]


def test_python_is_called_from_one_thread() -> None:
    def step(h: Any, x: Any) -> Any:
        return rg.sort(h, axis=1) + x, None

    assert run(lambda h, xs: rg.scan(step, h, xs), draw(8, 4), draw(5, 8, 4)) == [1]


def test_an_index_out_of_range_in_a_piece() -> None:
    table, tokens = draw(5, WIDTH), np.zeros((STEPS, BATCH), np.int32)
    tokens[3, 6] = 5

    def run_all(table: Any, h: Any, tokens: Any) -> Any:
        return rg.scan(lambda h, t: (h + rg.take(table, t, axis=0), None), h, tokens)

    with pytest.raises(IndexRangeError):
        rg.compile(run_all, executor="native")(table, draw(BATCH, WIDTH), rg.array(tokens))


def test_a_long_loop_over_numbers() -> None:
    """Without an axis there is nothing to cut; and nothing is there for each step."""
    step = rg.compile(lambda x: rg.scan(lambda c, _: (c * 0.5 + x, None), x, None, length=10**6)[0])
    assert float(step(rg.array(1.0))) == 2.0

"""truncate and checkpoint_every of scan, against loops written out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import tree
from retrograd.errors import ArgumentError

RANDOM = np.random.default_rng(0)
STEPS, BATCH, HIDDEN = 11, 3, 4
W = rg.array(RANDOM.normal(size=(HIDDEN, HIDDEN)))
START = rg.array(RANDOM.normal(size=(BATCH, HIDDEN)))
XS = rg.array(RANDOM.normal(size=(STEPS, BATCH, HIDDEN)))

DIRECTIONS = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def cell(w: Any, state: Any, x: Any) -> Any:
    h, count = state
    h = rg.tanh(h @ w + x)
    return (h, count + 1), h * rg.cos(x)


def loss_of(outputs: Any) -> Any:
    (h, count), ys = outputs
    return (h**2).sum() + (ys**3).sum() + count


def scanned(w: Any, start: Any, xs: Any, **options: Any) -> Any:
    return loss_of(rg.scan(lambda state, x: cell(w, state, x), (start, 0), xs, **options))


def unrolled(w: Any, start: Any, xs: Any, reverse: bool, truncate: int) -> Any:
    state, ys = (start, rg.array(0)), []
    order = range(STEPS)[::-1] if reverse else range(STEPS)
    for done, step in enumerate(order):
        if done and done % truncate == 0:
            state = rg.stop_gradient(state[0]), state[1]
        state, y = cell(w, state, xs[step])
        ys.append(y)
    return loss_of((state, rg.stack(ys)))


def assert_close(left: Any, right: Any) -> None:
    for a, b in zip(tree.leaves(left), tree.leaves(right), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12)


@DIRECTIONS
@pytest.mark.parametrize("executor", ["numpy", "native"])
@pytest.mark.parametrize("truncate", [1, 3, 11, 20])
def test_truncated_gradients_are_those_of_a_loop_by_hand(
    truncate: int, executor: str, reverse: bool
) -> None:
    def cut(w: Any, start: Any, xs: Any) -> Any:
        return scanned(w, start, xs, reverse=reverse, truncate=truncate)

    everything = (0, 1, 2)
    found = rg.compile(rg.value_and_grad(cut, everything), executor=executor)(W, START, XS)
    by_hand = rg.value_and_grad(lambda *a: unrolled(*a, reverse, truncate), everything)
    assert_close(found, by_hand(W, START, XS))
    plain = rg.grad(lambda *a: scanned(*a, reverse=reverse), everything)(W, START, XS)
    same = all(np.allclose(a.numpy(), b.numpy()) for a, b in zip(found[1], plain, strict=True))
    assert same == (truncate >= STEPS)


def test_truncated_tangents() -> None:
    """Forward mode is cut in the same places."""
    direction = rg.array(RANDOM.normal(size=START.shape))

    def along(function: Any) -> Any:
        return rg.jvp(lambda start: function(W, start, XS), (START,), (direction,))[1]

    found = along(lambda *a: scanned(*a, truncate=4))
    assert_close(found, along(lambda *a: unrolled(*a, False, 4)))


@DIRECTIONS
@pytest.mark.parametrize("executor", ["numpy", "native"])
@pytest.mark.parametrize("every", [1, 3, 4, 11, 50])
def test_steps_that_are_computed_again_give_the_same(
    every: int, executor: str, reverse: bool
) -> None:
    def again(*arguments: Any) -> Any:
        return scanned(*arguments, reverse=reverse, checkpoint_every=every)

    def plain(*arguments: Any) -> Any:
        return scanned(*arguments, reverse=reverse)

    everything = (0, 1, 2)
    found = rg.compile(rg.value_and_grad(again, everything), executor=executor)(W, START, XS)
    assert_close(found, rg.value_and_grad(plain, everything)(W, START, XS))


def test_second_order_forward_mode_and_vmap() -> None:
    def again(w: Any) -> Any:
        return scanned(w, START, XS, checkpoint_every=4)

    def plain(w: Any) -> Any:
        return scanned(w, START, XS)

    def twice(function: Any) -> Any:
        return rg.grad(lambda w: (rg.grad(function)(w) ** 2).sum())(W)

    assert_close(twice(again), twice(plain))
    assert_close(rg.jvp(again, (W,), (W,)), rg.jvp(plain, (W,), (W,)))
    ws = rg.stack([W, 2 * W])
    assert_close(rg.vmap(rg.grad(again))(ws), rg.vmap(rg.grad(plain))(ws))


def test_both_together_and_trees_without_xs() -> None:
    def run(w: Any, **options: Any) -> Any:
        def step(state: Any, _: None) -> Any:
            return {"h": rg.sin(state["h"] @ w), "n": state["n"] + 1}, state["h"].sum()

        last, ys = rg.scan(step, {"h": START, "n": 0.0}, None, length=7, **options)
        return (last["h"] ** 2).sum() + last["n"] + (ys**2).sum()

    both = rg.value_and_grad(lambda w: run(w, truncate=3, checkpoint_every=2))(W)
    assert_close(both, rg.value_and_grad(lambda w: run(w, truncate=3))(W))


@pytest.mark.parametrize("every", [None, 2, 3])
def test_random_numbers_do_not_depend_on_it(every: int | None) -> None:
    def run(xs: Any) -> Any:
        return rg.scan(
            lambda c, x: (c + rg.random.normal((2,)) * x, c),
            rg.zeros(2),
            xs,
            checkpoint_every=every,
        )

    xs = rg.array(np.arange(10, dtype=np.float32).reshape(5, 2))
    rg.seed(4)
    found = run(xs)
    rg.seed(4)
    plain = rg.scan(lambda c, x: (c + rg.random.normal((2,)) * x, c), rg.zeros(2), xs)
    for a, b in zip(tree.leaves(found), tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_memory_is_that_of_the_chunks() -> None:
    """The arena of a gradient over 1,024 steps, and over half as many."""
    w = W.astype("float32")

    def arena(steps: int, every: int | None) -> int:
        xs = rg.zeros((steps, BATCH, HIDDEN))

        def loss(w: Any, xs: Any) -> Any:
            def step(h: Any, x: Any) -> Any:
                for _ in range(6):
                    h = rg.sin(rg.tanh(h @ w) + x)
                return h, None

            return rg.scan(step, rg.zeros((BATCH, HIDDEN)), xs, checkpoint_every=every)[0].sum()

        program = rg.compile(rg.grad(loss), executor="native")
        program(w, xs)
        return int(program.graph(w, xs).cache["native"].arena.size)

    plain, chunked = arena(1024, None), arena(1024, 32)
    assert chunked < plain / 8
    assert arena(512, None) < 0.6 * plain


@pytest.mark.parametrize("name", ["truncate", "checkpoint_every"])
@pytest.mark.parametrize("number", [0, -1, 1.5, True, "3"])
def test_counts_are_positive_integers(name: str, number: Any) -> None:
    with pytest.raises(ArgumentError, match=f"{name} must be a positive integer"):
        rg.scan(lambda c, x: (c, x), 0.0, rg.zeros(3), **{name: number})

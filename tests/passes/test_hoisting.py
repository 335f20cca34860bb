"""What leaves a loop: the same values, and only what is meant to leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import interpret
from retrograd.ir import Graph, Node, verify
from retrograd.passes import hoisting
from retrograd.passes.hoisting import hoist
from retrograd.passes.pipeline import PASSES
from tests.gradient_table.control_rows import ROWS

RANDOM = np.random.default_rng(0)
STEPS, BATCH, WIDTH, HIDDEN = 6, 4, 3, 5


def draw(*shape: int) -> Any:
    return rg.array(RANDOM.normal(size=shape) * 0.5)


def lstm(weights: Any, xs: Any) -> Any:
    def cell(state: Any, x: Any) -> Any:
        h, c = state
        i, f, g, o = rg.split(x @ weights["x"] + weights["b"] + h @ weights["h"], 4, axis=1)
        c = rg.sigmoid(f) * c + rg.sigmoid(i) * rg.tanh(g)
        h = rg.sigmoid(o) * rg.tanh(c)
        return (h, c), h @ weights["out"]

    start = rg.array(np.zeros((BATCH, HIDDEN)))
    _, outputs = rg.scan(cell, (start, start), xs)
    return outputs


def make_weights() -> Any:
    return {
        "x": draw(WIDTH, 4 * HIDDEN),
        "h": draw(HIDDEN, 4 * HIDDEN),
        "b": draw(4 * HIDDEN),
        "out": draw(HIDDEN, 2),
    }


def lstm_loss(weights: Any, xs: Any) -> Any:
    return (lstm(weights, xs) ** 2).sum()


def apply_passes(graph: Graph) -> Graph:
    for apply in PASSES:
        graph = apply(graph)
        if apply is hoist:
            break
    verify(graph, "hoist")
    return graph


def check(function: Callable[..., Any], *arguments: Any) -> Graph:
    """The values are those of the program as it was traced, with NumPy and in machine code."""
    compiled = rg.compile(function)
    graph = compiled.graph(*arguments)
    leaves = [x.numpy() for x in rg.tree.leaves(list(arguments))]
    changed = apply_passes(graph)
    expected = interpret.run(graph, leaves)
    native = rg.tree.leaves(rg.compile(function, executor="native")(*arguments))
    for wanted, got, made in zip(expected, interpret.run(changed, leaves), native, strict=True):
        scale = 1e-10 * max(1.0, float(np.abs(wanted).max(initial=0.0)))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=scale)
        np.testing.assert_allclose(made.numpy(), wanted, rtol=0, atol=scale)
    return changed


def scans(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.primitive.name == "scan"]


def names(node: Node) -> list[str]:
    return [inner.primitive.name for inner in node.parameters["body"].nodes]


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r.primitive == "scan"], ids=lambda row: row.name
)
def test_scans_and_their_gradients(row: Any) -> None:
    def total(*values: Any) -> Any:
        outputs = [y for y in rg.tree.leaves(row.function(*values)) if y.dtype.kind == "f"]
        return sum((rg.sin(y).sum() for y in outputs), start=rg.array(np.zeros(())))

    inputs = [rg.array(value) for value in row.draw()]
    check(row.function, *inputs)
    everything = tuple(range(len(inputs)))
    check(rg.grad(total, argnums=everything), *inputs)
    check(
        rg.grad(lambda *v: sum(g.sum() for g in rg.grad(total, everything)(*v)), everything),
        *inputs,
    )


def test_projections_leave_a_recurrent_loop() -> None:
    """That of the state is left; that of the inputs is before, that of the outputs behind."""
    graph = check(lstm, make_weights(), draw(STEPS, BATCH, WIDTH))
    (loop,) = scans(graph)
    assert names(loop).count("dot") == 1
    assert sum(node.primitive.name == "dot" for node in graph.nodes) == 2


def test_gradients_of_weights_leave_the_reversed_loop() -> None:
    gradient = rg.grad(lstm_loss, argnums=(0, 1))
    graph = check(gradient, make_weights(), draw(STEPS, BATCH, WIDTH))
    forward, backward = scans(graph)
    assert names(forward).count("dot") == 1 and names(backward).count("dot") == 1
    assert backward.parameters["carry"] == 2, "a total is still carried"
    shapes = [node.outputs[0].type.shape for node in graph.nodes if node.primitive.name == "dot"]
    assert (WIDTH, 4 * HIDDEN) in shapes or (4 * HIDDEN, WIDTH) in shapes


def test_gradients_of_a_table_are_added_up_inside() -> None:
    """One table a step would be kept."""

    def loss(table: Any, w: Any, tokens: Any) -> Any:
        def cell(h: Any, token: Any) -> Any:
            return rg.tanh(h @ w + rg.take(table, token, axis=0)), None

        return (rg.scan(cell, rg.array(np.zeros((BATCH, HIDDEN))), tokens)[0] ** 2).sum()

    tokens = rg.array(RANDOM.integers(0, 300, (STEPS, BATCH)))
    graph = check(rg.grad(loss, argnums=(0, 1)), draw(300, HIDDEN), draw(HIDDEN, HIDDEN), tokens)
    sizes = [v.type.size for node in graph.nodes for v in node.outputs]
    assert max(sizes) <= 300 * HIDDEN


def test_products_that_would_fill_the_memory_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits of many classes, of which a step gives one number."""

    def run(w: Any, out: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = rg.tanh(h @ w + x)
            return h, rg.logsumexp(h @ out, axis=1).sum()

        return rg.scan(step, rg.array(np.zeros((BATCH, HIDDEN))), xs)

    arguments = draw(HIDDEN, HIDDEN), draw(HIDDEN, 200), draw(STEPS, BATCH, HIDDEN)
    (loop,) = scans(check(run, *arguments))
    assert names(loop).count("dot") == 1
    monkeypatch.setattr(hoisting, "MOST_BYTES", 1000)
    (loop,) = scans(check(run, *arguments))
    assert names(loop).count("dot") == 2


def test_what_needs_the_carry_stays() -> None:
    """A product of two parts of the state; a total that a step reads."""

    def step(state: Any, x: Any) -> Any:
        a, total = state
        following = rg.tanh(a @ a + x)
        return (following, total + a), (total * 2).sum()

    def run(a: Any, xs: Any) -> Any:
        return rg.scan(step, (a, a * 0), xs)

    graph = check(run, draw(3, 3), draw(STEPS, 3, 3))
    (loop,) = scans(graph)
    assert loop.parameters["carry"] == 2 and "dot" in names(loop)


def test_random_numbers_are_the_same() -> None:
    def run(w: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            kept = rg.random.bernoulli(0.5, (HIDDEN,))
            return rg.tanh(h + rg.where(kept, x @ w, 0.0)), (x * kept) @ w.T

        return rg.scan(step, rg.array(np.zeros((BATCH, HIDDEN))), xs)

    w, xs = draw(HIDDEN, HIDDEN), draw(STEPS, BATCH, HIDDEN)
    results = []
    for executor in ("numpy", "native"):
        rg.seed(1)
        results.append(rg.compile(run, executor=executor)(w, xs))
    for left, right in zip(rg.tree.leaves(results[0]), rg.tree.leaves(results[1]), strict=True):
        np.testing.assert_allclose(left.numpy(), right.numpy(), rtol=1e-10, atol=1e-12)


def test_nested_loops() -> None:
    def outer(state: Any, rows: Any) -> Any:
        def inner(h: Any, x: Any) -> Any:
            return rg.tanh(h @ w + x @ u), h @ u

        last, ys = rg.scan(inner, state, rows)
        return last, ys.sum(axis=0)

    w, u = draw(HIDDEN, HIDDEN), draw(HIDDEN, HIDDEN)

    def loss(w_: Any, u_: Any, xs: Any) -> Any:
        nonlocal w, u
        w, u = w_, u_
        last, ys = rg.scan(outer, rg.array(np.zeros((BATCH, HIDDEN))), xs)
        return (last**2).sum() + (ys**2).sum()

    check(rg.grad(loss, argnums=(0, 1, 2)), w, u, draw(3, STEPS, BATCH, HIDDEN))


def test_a_loop_behind_a_loop() -> None:
    """The backward loop of an inner network needs no carry, so that it leaves, and the sums of its
    weights' gradients with it."""

    def loss(weights: Any, xs: Any) -> Any:
        step = lambda total, x: (total + lstm_loss(weights, x), total)  # noqa: E731
        return rg.scan(step, xs.sum(), xs)[0]

    check(rg.grad(loss), make_weights(), draw(2, STEPS, BATCH, WIDTH))

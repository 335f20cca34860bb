"""Long loops in blocks: the same values, what goes along, and what is left as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import interpret, nn
from retrograd.ir import Graph, Node, verify
from retrograd.native import NativeProgram
from retrograd.passes import block_loops as blocks
from retrograd.passes.block_loops import block_loops
from retrograd.passes.pipeline import PASSES
from retrograd.runtime import kept
from tests.native.helpers import same_bits
from tests.nn.helpers import to_float64
from tests.passes.test_hoisting import HIDDEN, WIDTH, lstm_loss, make_weights

RANDOM = np.random.default_rng(0)
STEPS, BATCH = 12, 4


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a step or two, if nothing but their products asks for more."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    monkeypatch.setattr(blocks, "LEAST_BYTES", 1)
    monkeypatch.setattr(blocks, "LEAST_ROWS", 4 * BATCH)
    monkeypatch.setattr(kept, "get_cache", lambda: None)  # it holds what the usual settings give


def draw(*shape: int) -> Any:
    return rg.array(RANDOM.normal(size=shape) * 0.5)


def apply_passes(graph: Graph) -> Graph:
    for apply in PASSES:
        graph = apply(graph)
        if apply is block_loops:
            break
    verify(graph, "block_loops")
    return graph


def check(function: Callable[..., Any], *arguments: Any) -> Graph:
    """The values are those of the program as it was traced, with NumPy and in machine code."""
    graph, leaves = rg.compile(function).capture(*arguments)
    changed = apply_passes(graph)
    expected = interpret.run(graph, leaves)
    program = NativeProgram(graph)
    found = []
    for threads in (1, 2, 3):
        program.threads = threads
        found.append(program.run(leaves))
    for wanted, got, *made in zip(expected, interpret.run(changed, leaves), *found, strict=True):
        scale = 1e-10 * max(1.0, float(np.abs(wanted).max(initial=0.0)))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=scale)
        np.testing.assert_allclose(made[0], wanted, rtol=0, atol=scale)
        assert same_bits(made[0], made[1]) and same_bits(made[0], made[2])
    return changed


def scans(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.primitive.name == "scan"]


def names(loop: Node) -> list[str]:
    return [node.primitive.name for node in loop.parameters["body"].nodes]


def parts(loop: Node) -> list[int]:
    """The steps of the loops inside."""
    inner = loop.parameters["body"].nodes
    return [node.parameters["length"] for node in inner if node.primitive.name == "scan"]


def layer_loss(layer: Any, x: Any) -> Any:
    return (layer(x)[0] ** 2).sum()


def make_input(steps: int = STEPS) -> Any:
    return rg.array(RANDOM.normal(size=(BATCH, steps, WIDTH)).astype(np.float64))


def make_layer(kind: str = "LSTM", **arguments: Any) -> Any:
    rg.seed(0)
    return to_float64(getattr(nn, kind)(WIDTH, HIDDEN, **arguments))


def test_the_projection_goes_along_and_weight_gradients_are_carried() -> None:
    graph = check(rg.value_and_grad(layer_loss), make_layer(), make_input())
    forward, backward = scans(graph)
    assert [n.parameters["length"] for n in (forward, backward)] == [3, 3]
    assert parts(forward) == parts(backward) == [4]
    assert names(forward).count("dot") == 1 and names(backward).count("dot") == 2
    assert backward.parameters["carry"] == 2 + 3  # two states; two weights and a bias
    assert not any(n.primitive.name == "dot" for n in graph.nodes)
    # Neither the projection nor the cotangents of the gates exist for all steps.
    wide = [v for n in graph.nodes for v in n.outputs if v.type.shape[-1:] == (4 * HIDDEN,)]
    assert all(v.type.ndim < 3 for v in wide)


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_other_layers(kind: str) -> None:
    graph = check(rg.value_and_grad(layer_loss), make_layer(kind), make_input())
    assert [parts(loop) for loop in scans(graph)] == [[4], [4]]


def test_layers_on_layers_in_both_directions() -> None:
    """The first layer's cotangents are products of the second one's backward loop."""
    layer = make_layer(layers=2, bidirectional=True)
    graph = check(rg.grad(layer_loss, argnums=(0, 1)), layer, make_input())
    assert len(scans(graph)) == 8 and all(parts(loop) == [4] for loop in scans(graph))


def test_masks() -> None:
    layer = make_layer()
    lengths = rg.array(np.array([12, 3, 7, 1], np.int32))
    loss = lambda layer, x, lengths: (layer(x, lengths=lengths)[0] ** 2).sum()  # noqa: E731
    assert any(map(parts, scans(check(rg.grad(loss), layer, make_input(), lengths))))


def test_a_loop_of_the_users_own() -> None:
    """Its product with each step's input leaves the loop first, and then goes along in blocks."""
    graph = check(rg.value_and_grad(lstm_loss), make_weights(), draw(STEPS, BATCH, WIDTH))
    assert [parts(loop) for loop in scans(graph)] == [[4], [4]]


def test_sums_of_large_weights_stay_behind_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGE", 0)
    graph = check(rg.value_and_grad(layer_loss), make_layer(), make_input())
    _, backward = scans(graph)
    assert backward.parameters["carry"] == 2
    assert sum(n.primitive.name == "dot" for n in graph.nodes) == 2


def test_a_size_that_equals_the_number_of_steps() -> None:
    """Which axis is time follows from what is done, not from its size."""

    def function(w: Any, v: Any, x: Any, start: Any) -> Any:
        xs = x @ w  # (time, batch, features), all of one size
        turned = rg.transpose(x @ v, (1, 0, 2))
        _, ys = rg.scan(lambda h, p: (rg.tanh(h + p[0] + p[1]),) * 2, start, (xs, turned))
        return rg.einsum("tbi,tbj->ij", ys, x), rg.einsum("tbi,tbj->ti", ys, x)

    n = STEPS
    graph = check(function, draw(n, n), draw(n, n), draw(n, n, n), draw(n, n))
    (loop,) = scans(graph)
    assert parts(loop) and names(loop).count("dot") == 3  # of w, and of both results
    assert sum(node.primitive.name == "dot" for node in graph.nodes) == 1  # of v


def test_values_that_others_read_are_kept() -> None:
    def function(w: Any, x: Any, start: Any) -> Any:
        xs = x @ w
        last, ys = rg.scan(lambda h, p: (rg.tanh(h + p),) * 2, start, xs)
        return xs.max(), last, ys, rg.einsum("tbi,tbj->ij", ys, x), (ys * 2).sum(axis=0)

    graph = check(function, draw(WIDTH, HIDDEN), draw(STEPS, BATCH, WIDTH), draw(BATCH, HIDDEN))
    assert not any(map(parts, scans(graph)))  # nothing is saved: all is needed for all steps


def test_steps_backwards() -> None:
    def function(w: Any, v: Any, x: Any, start: Any) -> Any:
        step = lambda h, p: (rg.tanh(h * 0.5 + p),) * 2  # noqa: E731
        last, ys = rg.scan(step, start, x @ w, reverse=True)
        return last, ys @ v, ys.sum(axis=(0, 1))

    arrays = draw(WIDTH, HIDDEN), draw(HIDDEN, 2), draw(STEPS, BATCH, WIDTH), draw(BATCH, HIDDEN)
    graph = check(function, *arrays)
    (loop,) = scans(graph)
    assert parts(loop) == [4] and names(loop).count("dot") == 2 and "sum" in names(loop)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 13])
def test_lengths_without_a_divisor_are_left_alone(steps: int) -> None:
    graph = check(rg.value_and_grad(layer_loss), make_layer(), make_input(steps))
    assert not any(map(parts, scans(graph)))


def test_little_memory_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LEAST_BYTES", 1 << 20)
    graph = check(rg.value_and_grad(layer_loss), make_layer(), make_input())
    assert not any(map(parts, scans(graph)))


def test_inside_of_loops_and_examples() -> None:
    """A loop in a loop, and loops that vmap has batched."""
    weights, xs = make_weights(), draw(2, STEPS, BATCH, WIDTH)
    outer = lambda w, xs: rg.scan(lambda c, x: (c + lstm_loss(w, x), c), xs[0, 0, 0, 0], xs)  # noqa: E731
    check(lambda w, xs: rg.grad(lambda w, xs: outer(w, xs)[0])(w, xs), weights, xs)
    check(rg.vmap(rg.grad(lstm_loss), in_axes=(None, 0)), weights, xs)


def test_inputs_that_are_the_same_in_all_steps_are_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Zeros, one number, and rows that are repeated: none of them is there for all steps."""

    def function(x: Any, row: Any, start: Any) -> Any:
        zeros = rg.zeros((STEPS, BATCH), dtype="float64")
        rows = rg.broadcast_to(row, (STEPS, BATCH))
        columns = rg.broadcast_to(x[:, None], (STEPS, BATCH))
        step = lambda h, p: (h * 0.5 + p[0] + p[1] * p[2], p)  # noqa: E731
        return rg.scan(step, start, (zeros, rows, columns))

    monkeypatch.setattr(blocks, "LEAST_BYTES", 1 << 20)
    graph = check(function, draw(STEPS), draw(BATCH), draw(BATCH))
    (loop,) = scans(graph)
    assert [v.type.shape for v in loop.inputs] == [(BATCH,), (BATCH,), (STEPS, BATCH)]

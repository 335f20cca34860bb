"""What the halves of a gradient keep: nothing that is cheap to compute from what is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.backprop import split
from retrograd.interpret import run
from retrograd.ir import Graph

RANDOM = np.random.default_rng(0)


def trace(function: Any, *shapes: tuple[int, ...]) -> Graph:
    graph: Graph = rg.compile(function).graph(*(rg.zeros(s, dtype="float64") for s in shapes))
    return graph


def kept(function: Any, *shapes: tuple[int, ...], once: bool = True) -> list[tuple[int, ...]]:
    """The shapes of the residuals; the gradients are checked against those of the plain halves."""
    graph = trace(function, *shapes)
    positions = range(len(shapes))
    forward, backward, count = split(graph, positions, once)
    plain = split(graph, positions)
    points = [RANDOM.uniform(0.5, 1.5, shape) for shape in shapes]
    cotangents = [RANDOM.normal(size=atom.type.shape) for atom in graph.outputs]
    results = []
    for first, second, number in ((forward, backward, count), plain):
        outputs = run(first, points)
        results.append(run(second, [*outputs[len(outputs) - number :], *cotangents]))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)
    return [type.shape for type in forward.output_types[len(forward.outputs) - count :]]


def test_a_derivative_of_the_value_is_not_kept_beside_it() -> None:
    def f(x: Any) -> Any:
        y = rg.tanh(x)
        return y * y

    assert kept(f, (3, 2), once=False) == [(3, 2), (3, 2)]
    assert kept(f, (3, 2)) == [(3, 2)]


def test_a_broadcast_is_not_kept() -> None:
    assert kept(lambda x, w: x * rg.exp(w), (5, 4), (4,)) == [(5, 4), (4,)]


def test_what_is_smaller_is_kept() -> None:
    """A factor that takes two large values to compute."""

    def f(x: Any, y: Any) -> Any:
        return rg.sqrt((rg.sin(x) * rg.sin(y)).sum(axis=0))

    assert (2,) in kept(f, (9, 2), (9, 2))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_recurrent_step_keeps_its_gates_and_its_state(kind: str) -> None:
    from retrograd import nn

    model = getattr(nn, kind)(3, 4)
    step = rg.compile(rg.grad(lambda m, x: (m(x)[0] ** 2).sum()))
    graph = step.graph(model, rg.zeros((2, 5, 3)))
    forward = next(node for node in graph.nodes if node.primitive.name == "scan")
    stacked = {id(atom) for atom in forward.parameters["body"].outputs}
    assert len(stacked) <= {"LSTM": 9, "GRU": 8, "RNN": 2}[kind]

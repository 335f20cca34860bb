"""Long contractions in parts: the same sums, in pieces of bounded size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import interpret
from retrograd.ir import Graph
from retrograd.passes.split_dots import split_dots
from retrograd.trace import bind
from tests.passes.helpers import trace

RANDOM = np.random.default_rng(0)


def dots(graph: Graph) -> list[tuple[tuple[int, ...], ...]]:
    return [
        tuple(atom.type.shape for atom in node.inputs)
        for node in graph.nodes
        if node.primitive.name == "dot"
    ]


@pytest.mark.parametrize(
    ("shapes", "contract", "batch", "parts"),
    [
        (((16384, 3), (16384, 2)), ((0,), (0,)), ((), ()), 1),
        (((16411, 3), (16411, 2)), ((0,), (0,)), ((), ()), 2),  # a prime: the rest by itself
        (((3, 16384), (2, 16384)), ((1,), (1,)), ((), ()), 1),
        (((1000, 16, 3), (16, 2, 1000)), ((0, 1), (2, 0)), ((), ()), 1),
        (((5, 3, 9000), (9000, 5, 2)), ((2,), (0,)), ((0,), (1,)), 1),
        (((9000,), (9000,)), ((0,), (0,)), ((), ()), 1),
    ],
)
def test_sums_in_parts(shapes: Any, contract: Any, batch: Any, parts: int) -> None:
    from retrograd.ops.contract import dot_p

    def product(a: Any, b: Any) -> Any:
        return bind(dot_p, a, b, contract=contract, batch=batch)[0]

    arrays = [RANDOM.normal(size=shape) for shape in shapes]
    graph = trace(product, *arrays)
    changed = split_dots(graph)
    assert len(dots(changed)) == parts and dots(changed) != dots(graph)
    (expected,), (found,) = interpret.run(graph, arrays), interpret.run(changed, arrays)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    native = rg.compile(product, executor="native")(*map(rg.array, arrays))
    np.testing.assert_allclose(native.numpy(), expected, rtol=1e-10, atol=1e-10)


def test_what_stays_whole() -> None:
    for a, b in (((4096, 3), (4096, 2)), ((9000, 4), (9000, 4))):
        graph = trace(lambda a, b: a.T @ b, np.zeros(a), np.zeros(b))
        kept = split_dots(graph) is graph
        assert kept == (a[0] < 8192)


def test_partial_sums_are_not_larger_than_the_operands() -> None:
    operand = np.zeros((10000, 2000), np.float32)  # parts of 512 terms would be twice as large
    graph = split_dots(trace(lambda a, b: a.T @ b, operand, operand))
    largest = max(variable.type.size for node in graph.nodes for variable in node.outputs)
    assert len(dots(graph)) == 1 and largest <= 10000 * 4000

"""Constants, equal nodes, sums, gathers, dead code and the order of scalars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.errors import IndexRangeError
from retrograd.interpret import run
from retrograd.ir import Constant, Graph, Variable
from retrograd.passes.fold_constants import MOST_ELEMENTS, fold_constants
from retrograd.passes.join_parts import join_parts
from retrograd.passes.merge_equal import merge_equal
from retrograd.passes.remove_dead_code import remove_dead_code
from retrograd.passes.save_sums import save_sums
from retrograd.passes.scalars_first import scalars_first
from retrograd.passes.sink_gathers import sink_gathers
from tests.passes.helpers import assert_same_bits, count, run_both, trace

X = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
LABELS = np.array([0, 4, 2, 2, 1, 3], np.int32)


# -- constants ------------------------------------------------------------------------------------


def with_constant(graph: Graph, value: Any) -> Graph:
    """The Graph with a constant in the place of its last input."""
    *inputs, last = graph.inputs
    constant = Constant(np.asarray(value), last.type)
    nodes = tuple(
        replace(node, inputs=tuple(constant if atom is last else atom for atom in node.inputs))
        for node in graph.nodes
    )
    return Graph(tuple(inputs), nodes, graph.outputs, graph.name)


def test_constants_are_folded_up_to_a_size() -> None:
    def function(x: Any, table: Any) -> Any:
        return x + (rg.exp(table) * 2.0).sum()

    for value, left in (
        (np.linspace(0, 1, MOST_ELEMENTS, dtype=np.float32), 0),
        (np.linspace(0, 1, MOST_ELEMENTS + 1, dtype=np.float32), 1),
        (np.broadcast_to(np.float32(0.5), (1000, 1000)), 0),
    ):
        graph = with_constant(trace(function, X, value), value)
        changed = fold_constants(graph)
        assert count(changed)["exp"] == left
        assert_same_bits(run_both(graph, changed, [X]))


def test_a_constant_index_out_of_range_is_still_an_error() -> None:
    places = np.array([2], np.int32)

    def function(x: Any, index: Any) -> Any:
        return x + rg.take(rg.array([1.0, 2.0]), index, 0)

    graph = fold_constants(with_constant(trace(function, X, places), places))
    with pytest.raises(IndexRangeError):
        run(graph, [X])


# -- equal nodes ----------------------------------------------------------------------------------


def test_equal_nodes_are_one() -> None:
    def function(x: Any) -> Any:
        return rg.exp(x * 2.0) + rg.exp(x * 2.0), rg.sum(x, 0), rg.sum(x, 1), rg.sum(x, 0)

    graph = trace(function, X)
    changed = merge_equal(graph)
    assert count(graph)["exp"] == 2 and count(graph)["sum"] == 3
    assert count(changed)["exp"] == 1 and count(changed)["sum"] == 2
    assert_same_bits(run_both(graph, changed, [X]))


def test_zeros_of_either_sign_are_different_constants() -> None:
    graph = trace(lambda x: (x / 0.0, x / -0.0), X)
    assert count(merge_equal(graph))["divide"] == 2


def test_draws_from_different_states_are_different() -> None:
    def function(x: Any) -> Any:
        return x + rg.random.normal(x.shape), x + rg.random.normal(x.shape)

    compiled = rg.compile(function)
    graph = compiled.graph(rg.array(X))
    assert count(merge_equal(graph))["random_bits"] == count(graph)["random_bits"] > 1


def test_what_checkpoint_recomputes_is_not_merged() -> None:
    def function(x: Any) -> Any:
        return rg.grad(lambda v: rg.checkpoint(lambda u: rg.sin(rg.exp(u)))(v).sum())(x)

    graph = trace(function, X)
    assert count(merge_equal(graph))["checkpoint"] == count(graph)["checkpoint"]
    twice = trace(lambda x: (rg.checkpoint(rg.exp)(x), rg.exp(x)), X)
    assert count(merge_equal(twice))["exp"] == 2


def test_nodes_inside_of_scans_are_merged_too() -> None:
    def step(carry: Any, x: Any) -> Any:
        return carry + rg.sin(x) * rg.sin(x), rg.sin(x)

    graph = trace(lambda x: rg.scan(step, rg.zeros(5), x), X)
    changed = merge_equal(graph)
    assert count(graph)["sin"] == 3 and count(changed)["sin"] == 1
    assert_same_bits(run_both(graph, changed, [X]))


# -- sums -----------------------------------------------------------------------------------------

SUMS: list[tuple[str, Callable[[Any], Any], int]] = [
    ("of a broadcast", lambda x: rg.sum(rg.broadcast_to(x[None], (7, 6, 5)), 0), 0),
    ("of both", lambda x: rg.sum(rg.broadcast_to(x[:, None], (6, 7, 5)), (0, 1)), 1),
    ("over others", lambda x: rg.sum(rg.broadcast_to(x[:, None], (6, 7, 5)), 0), 1),
    ("of a negative", lambda x: rg.sum(-x, 1), 1),
    ("of a sum", lambda x: rg.sum(rg.sum(x, 0)), 1),
    ("of one", lambda x: rg.sum(x[:, None], 1), 0),
    ("of integers", lambda x: rg.sum(rg.broadcast_to(x.astype("int64")[None], (300, 6, 5)), 0), 0),
]


@pytest.mark.parametrize(("name", "function", "left"), SUMS, ids=[row[0] for row in SUMS])
def test_sums_that_are_saved(name: str, function: Callable[[Any], Any], left: int) -> None:
    graph = trace(function, X)
    changed = remove_dead_code(save_sums(graph))
    assert changed is not graph and count(changed)["sum"] == left
    for before, after in run_both(graph, changed, [X]):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def loss_and_gradient(x: Any, labels: Any) -> Any:
    return rg.value_and_grad(lambda v: rg.losses.cross_entropy(v, labels))(x)


def test_cross_entropy_sums_no_scattered_values() -> None:
    graph = trace(loss_and_gradient, X, LABELS)
    changed = remove_dead_code(fold_constants(save_sums(graph)))
    assert count(graph)["sum"] == 3 and count(changed)["sum"] == 2
    for before, after in run_both(graph, changed, [X, LABELS]):
        np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-7)


def test_an_index_out_of_range_is_an_error_after_the_passes() -> None:
    bad = np.array([0, 4, 2, 9, 1, 3], np.int32)
    for apply in (save_sums, sink_gathers):
        graph = remove_dead_code(apply(trace(loss_and_gradient, X, LABELS)))
        with pytest.raises(IndexRangeError):
            run(graph, [X, bad])


# -- parts ----------------------------------------------------------------------------------------


def test_the_gradient_of_a_split_is_joined() -> None:
    w = np.random.default_rng(1).standard_normal((5, 5)).astype(np.float32)

    def function(x: Any, w: Any) -> Any:
        a, b, c = rg.split(x @ w, [1, 3], axis=1)
        pads = [rg.pad(part, ((0, 0), width)) for part, width in ((a, (0, 4)), (c, (3, 0)))]
        return rg.pad(b, ((0, 0), (1, 2))) + pads[1] + pads[0]

    graph = trace(function, X, w)
    changed = remove_dead_code(join_parts(graph))
    assert count(changed)["pad"] == count(changed)["add"] == 0
    assert count(changed)["concatenate"] == 1
    for before, after in run_both(graph, changed, [X, w]):
        np.testing.assert_array_equal(after, before)


PARTS: dict[str, list[tuple[slice, tuple[tuple[int, int], ...]]]] = {
    "a gap": [(slice(0, 2), ((0, 0), (0, 3))), (slice(3, 5), ((0, 0), (3, 0)))],
    "an overlap": [(slice(0, 3), ((0, 0), (0, 2))), (slice(2, 5), ((0, 0), (2, 0)))],
    "less than the whole": [(slice(0, 2), ((0, 0), (0, 3))), (slice(2, 4), ((0, 0), (2, 1)))],
    "two axes": [(slice(0, 5), ((0, 6), (0, 5))), (slice(0, 5), ((6, 0), (5, 0)))],
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_that_do_not_fill_the_whole_are_added(name: str) -> None:
    (first, left), (second, right) = PARTS[name]
    graph = trace(lambda x: rg.pad(x[:, first], left) + rg.pad(x[:, second], right), X)
    assert count(graph)["pad"] == 2
    assert join_parts(graph) is graph


# -- gathers --------------------------------------------------------------------------------------


def test_a_loss_takes_elements_before_it_computes() -> None:
    graph = trace(loss_and_gradient, X, LABELS)
    changed = remove_dead_code(sink_gathers(graph))
    whole = [
        node
        for node in changed.nodes
        if node.primitive.name == "subtract" and node.outputs[0].type.shape == X.shape
    ]
    assert len(whole) == 1  # logits less the largest; the logarithms of the others are not computed
    assert_same_bits(run_both(graph, changed, [X, LABELS]))


def test_gathers_of_much_or_of_what_is_kept_stay() -> None:
    many = np.zeros((6, 4), np.int32)
    graph = trace(lambda x, i: rg.take_along_axis(rg.exp(x), i, 1), X, many)
    assert sink_gathers(graph) is graph
    graph = trace(lambda x, i: (rg.exp(x), rg.take_along_axis(rg.exp(x), i, 1)), X, LABELS[:, None])
    merged = merge_equal(graph)
    assert sink_gathers(merged) is merged


# -- dead code ------------------------------------------------------------------------------------


def test_a_scan_loses_what_nobody_reads() -> None:
    def function(x: Any, w: Any) -> Any:
        def step(carry: Any, row: Any) -> Any:
            total, unused, chained = carry
            moved = (total + row, unused * rg.exp(w), chained + total)
            return moved, (rg.sin(row), rg.cos(total))

        (total, _, _), (sines, _) = rg.scan(step, (rg.zeros(5), rg.ones(5), rg.ones(5)), x)
        return total, sines

    graph = trace(function, X, X[0])
    changed = remove_dead_code(graph)
    (scan,) = [node for node in changed.nodes if node.primitive.name == "scan"]
    assert scan.parameters["carry"] == 1 and scan.parameters["constants"] == 0
    assert len(scan.outputs) == 2
    assert count(changed)["exp"] == count(changed)["cos"] == 0
    assert_same_bits(run_both(graph, changed, [X, X[0]]))


def test_a_carry_that_another_needs_stays() -> None:
    def function(x: Any) -> Any:
        def step(carry: Any, row: Any) -> Any:
            a, b = carry
            return (a + b, b * 0.5 + row), a

        return rg.scan(step, (rg.zeros(5), rg.ones(5)), x)[1]

    graph = trace(function, X)
    changed = remove_dead_code(graph)
    (scan,) = [node for node in changed.nodes if node.primitive.name == "scan"]
    assert scan.parameters["carry"] == 2
    assert_same_bits(run_both(graph, changed, [X]))


def with_copies(graph: Graph) -> Graph:
    """The Graph with every node once more, for results that nobody reads."""
    copies = [
        replace(node, outputs=tuple(Variable(v.type) for v in node.outputs)) for node in graph.nodes
    ]
    return Graph(graph.inputs, (*graph.nodes, *copies), graph.outputs, graph.name)


def test_branches_lose_what_their_results_do_not_need() -> None:
    arrays = [X, np.array(1, np.int32)]
    graph = trace(lambda x, flag: rg.cond(flag > 0, rg.sin, rg.cos, x), *arrays)
    nodes = tuple(
        replace(
            node,
            parameters={
                key: with_copies(value) if isinstance(value, Graph) else value
                for key, value in node.parameters.items()
            },
        )
        for node in graph.nodes
    )
    padded = Graph(graph.inputs, nodes, graph.outputs, graph.name)
    changed = remove_dead_code(padded)
    assert count(padded)["sin"] == 2 and count(changed)["sin"] == 1
    assert_same_bits(run_both(graph, changed, arrays))


def test_a_checkpoint_loses_outputs_and_inputs() -> None:
    def function(x: Any, y: Any) -> Any:
        return rg.checkpoint(lambda a, b: (rg.sin(a), rg.exp(b)))(x, y)[0]

    graph = trace(function, X, X)
    changed = remove_dead_code(graph)
    (node,) = [node for node in changed.nodes if node.primitive.name == "checkpoint"]
    assert len(node.inputs) == len(node.outputs) == 1
    assert count(changed)["exp"] == 0
    assert_same_bits(run_both(graph, changed, [X, X]))


# -- order ----------------------------------------------------------------------------------------


def test_scalars_of_the_inputs_come_first() -> None:
    def function(x: Any, rate: Any) -> Any:
        moved = x * 0.5
        return moved, moved * rg.exp(-rate), rg.sum(x) * rate

    graph = trace(function, X, np.float32(0.1))
    changed = scalars_first(graph)
    names = [node.primitive.name for node in changed.nodes]
    assert names[:2] == ["negative", "exp"]
    assert names.index("sum") > 2
    assert_same_bits(run_both(graph, changed, [X, np.float32(0.1)]))

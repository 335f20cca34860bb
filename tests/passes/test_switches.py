"""Passes that are left out, and the search for the one that is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import config, interpret, native, nn
from retrograd.errors import ArgumentError
from retrograd.ir import Graph
from retrograd.native import NativeProgram
from retrograd.passes import pipeline
from retrograd.passes.arena import Arena, plan_arena
from retrograd.passes.rewriting import Rewriter
from retrograd.runtime import kept
from retrograd.testing import bisect_passes
from tests.passes.helpers import trace

X = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)


def loss(x: Any, w: Any) -> Any:
    hidden = rg.tanh(x @ w)
    return (hidden * -rg.exp(-hidden)).sum()


def step(x: Any, w: Any) -> Any:
    value, gradient = rg.value_and_grad(loss, argnums=1)(x, w)
    return value, w - 0.1 * gradient


ARGUMENTS = (X, np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32))


def test_an_unknown_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = trace(lambda x: x + 1, X)
    with pytest.raises(ArgumentError, match="Did you mean 'simplify'"):
        NativeProgram(graph, without=["simplfy"])
    monkeypatch.setenv("RETROGRAD_WITHOUT_PASSES", "merge_equal, everything")
    config.get_config.cache_clear()
    try:
        assert config.get_config().without_passes == {"merge_equal", "everything"}
        with pytest.raises(ArgumentError, match="'everything'"):
            NativeProgram(graph)
        monkeypatch.setenv("RETROGRAD_WITHOUT_PASSES", " merge_equal ,in_place,")
        config.get_config.cache_clear()
        assert NativeProgram(graph).without == {"merge_equal", "in_place"}
    finally:
        monkeypatch.undo()
        config.get_config.cache_clear()


def test_every_pass_has_its_own_place_in_the_cache() -> None:
    graph = trace(step, *ARGUMENTS)
    names = {NativeProgram(graph, without=[name]).name for name in pipeline.list_names()}
    assert len(names) == len(pipeline.list_names())
    assert NativeProgram(graph, without=[]).name not in names


def test_what_is_left_out_is_not_done() -> None:
    def function(x: Any) -> Any:
        return rg.sin(x), rg.cos(x), (rg.sin(x) @ rg.cos(x).T) @ x

    graph = trace(function, X)
    usual = NativeProgram(graph, without=[])
    apart = NativeProgram(graph, without=["merge_nests"])
    assert len(apart.schedule.kernels) > len(usual.schedule.kernels)
    unequal = NativeProgram(graph, without=["merge_equal"])
    sines = pipeline.prepare(graph, unequal.without).nodes
    assert sum(node.primitive.name == "sin" for node in sines) == 2
    longer = trace(lambda x: ((((x @ x.T) @ x) @ x.T) @ x) @ x.T, X)
    assert (
        NativeProgram(longer, without=["share_memory"]).arena.size
        > NativeProgram(longer, without=[]).arena.size
    )


@pytest.mark.parametrize("without", [[], ["in_place"]])
def test_parameters_are_written_in_place_unless_that_is_left_out(without: list[str]) -> None:
    graph = trace(lambda w, g: w - 0.1 * g, X, X)
    pairs = {(0, 0)}
    lifetimes = NativeProgram(graph, without=without).plan.lifetimes
    assert lifetimes.select(pairs) == (set() if without else pairs)


def test_a_custom_gradient_runs_without_being_inlined() -> None:
    double = rg.custom_gradient(
        lambda x: x * 2.0, lambda x: (x * 2.0, None), lambda residuals, g: (g * 3.0,)
    )
    graph = trace(lambda x: rg.grad(lambda v: double(v).sum())(x) + double(x), X)
    for without in ([], ["inline"]):
        (found,) = NativeProgram(graph, without=without).run([X])
        np.testing.assert_array_equal(found, 3.0 + 2.0 * X)


# -- bisect_passes --------------------------------------------------------------------------------


def forget_signs(graph: Graph) -> Graph:
    """A pass that is wrong."""
    return Rewriter({"negative": (lambda rewriter, node: node.inputs[0],)}).rewrite(graph)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    for poison in (False, True):
        found = bisect_passes(step, *ARGUMENTS, poison=poison)
        assert found.agrees and not found.culprits and "agree with all passes" in str(found)


def test_a_wrong_pass_over_the_graph_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PASSES", (forget_signs, *pipeline.PASSES))
    found = bisect_passes(step, *ARGUMENTS)
    assert not found.agrees
    assert found.culprits == ("forget_signs",) and found.broken == "forget_signs"
    assert "RETROGRAD_WITHOUT_PASSES=forget_signs" in str(found)


def test_two_wrong_passes_are_found_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget_again(graph: Graph) -> Graph:
        return forget_signs(graph)

    monkeypatch.setattr(pipeline, "PASSES", (forget_signs, forget_again, *pipeline.PASSES))
    found = bisect_passes(step, *ARGUMENTS)
    assert found.culprits == ("forget_signs", "forget_again")
    assert "left out together" in str(found)


def test_a_wrong_memory_plan_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def overlap(schedule: Any, guard: int = 0) -> Arena:
        plan = plan_arena(schedule, guard)
        if "share_memory" in schedule.without:
            return plan
        return Arena(dict.fromkeys(plan.places, 0), plan.size)

    monkeypatch.setattr(native, "plan_arena", overlap)
    monkeypatch.setattr(kept, "get_cache", lambda: None)

    def hold_two(x: Any, w: Any) -> Any:
        hidden = rg.tanh(x @ w)
        return hidden @ w.T @ w + hidden

    found = bisect_passes(hold_two, *ARGUMENTS)
    assert found.culprits == ("share_memory",) and found.broken is None


def test_an_error_that_no_pass_makes_is_said_to_be_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = interpret.run

    def wrong(graph: Graph, arrays: Any) -> Any:
        return [output + 1 for output in right(graph, arrays)]

    monkeypatch.setattr(interpret, "run", wrong)
    found = bisect_passes(lambda x: x * 2.0, X)
    assert not found.agrees and not found.culprits
    assert "no pass is the cause" in str(found)


def test_a_compiled_function_with_its_objects_can_be_bisected() -> None:
    rg.seed(0)
    model, optimizer = nn.Linear(5, 2), rg.optim.Adam(1e-2)

    @rg.compile
    def train(model: Any, optimizer: Any, x: Any) -> Any:
        value, gradients = rg.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, gradients)
        return value

    before = model.weight.numpy()
    assert bisect_passes(train, model, optimizer, rg.array(X)).agrees
    np.testing.assert_array_equal(model.weight.numpy(), before)

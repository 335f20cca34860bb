"""Programs with each pass left out, one by one: right against NumPy, and mostly the same bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import retrograd as rg
from retrograd import interpret, losses, nn, optim
from retrograd.ir import Graph
from retrograd.native import NativeProgram
from retrograd.passes.pipeline import list_names
from retrograd.runtime.target import host_target
from tests.native.helpers import NumpyArray, compare, same_bits, trace, with_gradients
from tests.native.terms import narrower_target
from tests.native.test_random_programs import Step, draw_step
from tests.native.test_training import MODELS

NAMES = list_names()
ROUNDING = {
    *("save_sums", "fold_constants", "simplify"),
    *("merge_nests", "split_contractions", "split_reductions", "sink_gathers", "turn_dots"),
}
"""Passes that may change the last bits: the second row decides with what a sum shares its loops,
and with that in which order its terms are added."""

Program = tuple[Graph, list[NumpyArray]]


def capture_step(make: Callable[[], Any], x: NumpyArray, y: NumpyArray) -> Program:
    """A training step and the values of its inputs; the gradients are outputs too."""
    rg.seed(1)
    model, optimizer = make(), optim.SGD(1e-2, momentum=0.9, weight_decay=1e-3)

    @rg.compile
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        def compute_loss(model: Any, x: Any, y: Any) -> Any:
            return losses.cross_entropy(model(x), y)

        value, gradients = rg.value_and_grad(compute_loss)(model, x, y)
        optimizer.update(model, gradients)
        return value, gradients

    return step.capture(model, optimizer, rg.array(x), rg.array(y))


def train(name: str) -> Program:
    make, shape = MODELS[name]
    random = np.random.default_rng(0)
    y = random.integers(0, 7, shape[0]).astype(np.int32)
    return capture_step(make, random.normal(size=shape).astype(np.float32), y)


class Attention(nn.Module):
    """One head, and a token for each output: gathers, softmax, dots with transposes."""

    def __init__(self) -> None:
        self.tokens = nn.Embedding(11, 8)
        self.mix = nn.Linear(8, 24)
        self.head = nn.Linear(8, 11)

    def __call__(self, x: Any) -> Any:
        h = self.tokens(x)
        q, k, v = rg.split(self.mix(h), 3, axis=-1)
        weights = rg.softmax(rg.einsum("btd,bsd->bts", q, k) / 8.0**0.5)
        return self.head(h + nn.gelu(rg.einsum("bts,bsd->btd", weights, v))).reshape(-1, 11)


def attend() -> Program:
    random = np.random.default_rng(0)
    x = random.integers(0, 11, (3, 5)).astype(np.int32)
    return capture_step(Attention, x, random.integers(0, 11, 15).astype(np.int32))


def recur() -> Program:
    """A loop whose body is computed again, with results that nobody reads."""

    def loss(w: Any, xs: Any) -> Any:
        body = rg.checkpoint(lambda c, x: rg.tanh(c @ w * 0.3 + x / 4.0))

        def step(carry: Any, x: Any) -> Any:
            moved = body(carry[0], x)
            return (moved, carry[1] + moved), (moved**3, rg.exp(x))

        (last, _), (cubes, _) = rg.scan(step, (rg.zeros((4, 7)), rg.zeros((4, 7))), xs)
        return last.mean() + cubes.sum()

    random = np.random.default_rng(0)
    arrays = [random.normal(size=s).astype(np.float32) for s in ((7, 7), (9, 4, 7))]
    return trace(rg.value_and_grad(loss, argnums=(0, 1)), arrays), arrays


PROGRAMS: dict[str, Callable[[], Program]] = {
    "perceptron": lambda: train("perceptron"),
    "convolutional": lambda: train("convolutional"),
    "attention": attend,
    "recurrent": recur,
}
TARGETS = {"host": host_target, "avx2": narrower_target}


@cache
def prepare(program: str, target: str) -> tuple[Program, list[NumpyArray], list[NumpyArray]]:
    """The program, its outputs with NumPy, and those of machine code with all passes."""
    graph, arrays = PROGRAMS[program]()
    cpu = TARGETS[target]()
    if cpu is None:
        pytest.skip(f"this machine cannot run {target}")
    usual = NativeProgram(graph, target=cpu, without=[]).run(arrays)
    return (graph, arrays), interpret.run(graph, arrays), usual


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("left_out", [*NAMES, "all"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_pass_can_be_left_out(program: str, left_out: str, target: str) -> None:
    (graph, arrays), expected, usual = prepare(program, target)
    without = NAMES if left_out == "all" else [left_out]
    found = NativeProgram(graph, target=TARGETS[target](), without=without).run(arrays)
    compare(found, expected, expected, 1e-5)
    if not ROUNDING & set(without):
        for one, two in zip(usual, found, strict=True):
            assert same_bits(one, two), f"{left_out} changes bits"


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # a smaller program is found by bisect_passes
)
@given(
    shape=st.lists(st.sampled_from([0, 1, 2, 3, 5, 17, 33]), min_size=1, max_size=3),
    steps=st.lists(draw_step(), min_size=2, max_size=10),
    without=st.sets(st.sampled_from(NAMES), min_size=1),
    seed=st.integers(0, 99),
)
def test_random_programs_without_some_passes(
    shape: list[int], steps: list[tuple[str, Step]], without: set[str], seed: int
) -> None:
    x = np.random.default_rng(seed).uniform(-1, 1, shape)

    def run(value: Any) -> Any:
        values = [value]
        for _, step in steps:
            result = step(values)
            if result.size < 20_000:
                values.append(result)
        return values[-3:]

    graph = trace(with_gradients(run), [x])
    expected = interpret.run(graph, [x])
    usual = NativeProgram(graph, without=[]).run([x])
    found = NativeProgram(graph, poison=True, without=without).run([x])
    compare(usual, expected, expected, 1e-9)
    compare(found, expected, expected, 1e-9)

"""One machine code for all batch sizes: the bits of code made for one size, and nothing new to
compile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import retrograd as rg
from retrograd import config, interpret, losses, nn, optim
from retrograd.codegen import forms, program
from retrograd.native import NativeProgram, get_program
from retrograd.ops.random import random_bits_p
from retrograd.runtime import libraries
from retrograd.trace import bind
from tests.native.helpers import compare, epsilon_of, run_natively, same_bits, trace
from tests.native.test_other_targets import find_target

Inputs = Callable[[int, np.random.Generator], tuple[Any, ...]]
SIZES = (0, 1, 2, 3, 7, 8, 63, 64, 65, 1000)


@contextmanager
def specialised() -> Iterator[None]:
    """Machine code that knows all extents, for one thread."""
    plan_nest, plan_turn = forms.plan_nest, forms.plan_transposition
    plan_batch = forms.plan_batch

    def fix(plan: Any) -> Any:
        return None if plan is None else replace(plan, free=None)

    with (
        mock.patch.object(forms, "plan_nest", lambda *given: fix(plan_nest(*given))),
        mock.patch.object(forms, "plan_transposition", lambda *given: fix(plan_turn(*given))),
        mock.patch.object(forms, "plan_batch", lambda *given: fix(plan_batch(*given))),
        mock.patch.object(forms, "_take_numbers", lambda nest: (nest, [])),
        mock.patch.object(program, "is_worth_sharing", lambda schedule: False),
    ):
        yield


def rows(*shape: int) -> Inputs:
    return lambda n, random: (random.normal(size=(n, *shape)).astype(np.float32),)


def two(n: int, random: np.random.Generator) -> tuple[Any, ...]:
    return tuple(random.normal(size=(n, 5)).astype(np.float32) for _ in range(2))


def labelled(n: int, random: np.random.Generator) -> tuple[Any, ...]:
    return rows(10)(n, random)[0], random.integers(0, 10, n).astype(np.int32)


def matrices(n: int, random: np.random.Generator, terms: int = 40) -> tuple[Any, ...]:
    return rows(terms)(n, random)[0], random.normal(size=(40, 24)).astype(np.float32)


def long_rows(n: int, random: np.random.Generator) -> tuple[Any, ...]:
    return matrices(n, random, 1600)


def images(n: int, random: np.random.Generator) -> tuple[Any, ...]:
    return rows(6, 5, 3)(n, random)[0], random.normal(size=(3, 3, 3, 8)).astype(np.float32)


def wide(n: int, random: np.random.Generator) -> tuple[Any, ...]:
    return tuple(array.astype(np.float64) for array in rows(9)(n, random))


def keyed(n: int, random: np.random.Generator) -> tuple[Any, ...]:
    return rows(3)(n, random)[0], np.arange(4, dtype=np.uint32)


def draw(x: Any, state: Any) -> Any:
    (bits,) = bind(random_bits_p, state, shape=x.shape)
    return x + bits.astype("float32") * 2.0**-32


FUNCTIONS: dict[str, tuple[Callable[..., Any], Inputs]] = {
    "elementwise": (lambda x: rg.tanh(x) * 0.37 + x / 3.0, rows(7)),
    "whole vectors": (lambda x: rg.exp(x) - 0.1, rows(32)),
    "one axis": (lambda x: rg.where(x > 0, x * 1.7, -x), rows()),
    "float64": (lambda x: rg.sqrt(x * x + 1e-3), wide),
    "bools": (lambda x: (x > 0.2, (x > 0.2) & (x < 1.5)), rows(5)),
    "broadcast": (lambda x, y: x[:, :, None] * y[:, None, :] + 0.3, two),
    "sum of rows": (lambda x: x.sum(1), rows(33)),
    "sum over the batch": (lambda x: x.sum(0), rows(19)),
    "sum over all": (lambda x: (x * 0.3).sum(), rows(3)),
    "sum over places": (lambda x: x.sum((0, 1)), rows(11, 5)),
    "mean and variance": (lambda x: (x.mean(0), x.var(0)), rows(6)),
    "moments of all": (lambda x: (x.mean(), x.var()), rows(4)),
    "best": (lambda x: (x.max(1), x.argmax(0), x.min(0)), rows(5)),
    "softmax": (lambda x: rg.softmax(x), rows(10)),
    "labels": (losses.cross_entropy, labelled),
    "transposition": (lambda x: x.transpose(1, 0) + 0.0, rows(40)),
    "turned images": (lambda x: x.transpose(0, 3, 1, 2) * 1.0, rows(4, 5, 17)),
    "padding": (lambda x: rg.pad(x, ((0, 0), (2, 1))), rows(5)),
    "slices": (lambda x: x[:, ::2] * x[:, 1::2], rows(18)),
    "running sums": (lambda x: rg.cumsum(x, axis=1), rows(6)),
    "random numbers": (draw, keyed),
    "pooling": (lambda x: rg.max_pool(x[..., None], 2), rows(6, 6)),
    "dot": (lambda x, w: x @ w, matrices),
    "long sums": (lambda x, w: x @ rg.tile(w, (40, 3)), long_rows),
    "dot of batches": (lambda x: x @ x.transpose(0, 2, 1), rows(9, 17)),
    "gradients of a dot": (rg.grad(lambda x, w: rg.tanh(x @ w).sum(), (0, 1)), matrices),
    "convolution": (lambda x, w: rg.conv(x, w, padding=1), images),
    "gradients of a convolution": (
        rg.grad(lambda x, w: (rg.conv(x, w, padding=1, stride=2) ** 2).sum(), (0, 1)),
        images,
    ),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_sizes_have_the_bits_of_code_made_for_them(name: str, size: int) -> None:
    function, inputs = FUNCTIONS[name]
    if size == 0 and name in ("labels", "mean and variance", "moments of all", "best"):
        pytest.skip("nothing to choose from, or NaN")
    arrays = inputs(size, np.random.default_rng(size))
    graph = trace(function, arrays)
    outputs = run_natively(graph, arrays)
    with specialised():
        exact = NativeProgram(graph, poison=True).run(arrays)
    for one, other in zip(outputs, exact, strict=True):
        assert same_bits(one, other)
    expected = interpret.run(graph, arrays)
    compare(outputs, expected, expected, 64 * epsilon_of(graph))


@pytest.mark.parametrize("size", [3, 65])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_targets_have_the_bits_of_code_made_for_the_size(name: str, size: int) -> None:
    target = find_target("avx2")
    function, inputs = FUNCTIONS[name]
    arrays = inputs(size, np.random.default_rng(size))
    graph = trace(function, arrays)
    outputs = run_natively(graph, arrays, target)
    with specialised():
        exact = NativeProgram(graph, poison=True, target=target).run(arrays)
    for one, other in zip(outputs, exact, strict=True):
        assert same_bits(one, other)


def test_a_second_size_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has compiled the kernels for another size: none is compiled here."""
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path))
    config.get_config.cache_clear()
    libraries.forget_all()
    function, inputs = FUNCTIONS["gradients of a dot"]
    try:
        first, second = (inputs(size, np.random.default_rng(0)) for size in (256, 255))
        assert NativeProgram(trace(function, first)).compiled
        libraries.forget_all()
        program = NativeProgram(trace(function, second))
        assert not program.cached and not program.compiled
        found = program.run(second)
    finally:
        monkeypatch.undo()
        config.get_config.cache_clear()
    libraries.forget_all()
    with specialised():
        expected = NativeProgram(trace(function, second)).run(second)
    for one, other in zip(found, expected, strict=True):
        assert same_bits(one, other)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No cache, and nothing compiled before."""
    monkeypatch.setenv("RETROGRAD_CACHE", "off")
    config.get_config.cache_clear()
    libraries.forget_all()
    yield
    monkeypatch.undo()
    config.get_config.cache_clear()


CHANGING = ("transposition",)
"""Here strides follow from the batch size."""


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in CHANGING])
def test_another_size_compiles_nothing(name: str, alone: None) -> None:
    function, inputs = FUNCTIONS[name]
    programs = []
    # Tiles are those of the next round size; lanes are left over in all of the even ones.
    for size in (
        (256, 255, 251, 249) if inputs in (matrices, long_rows, images) else (70, 66, 78, 90)
    ):
        arrays = inputs(size, np.random.default_rng(0))
        programs.append(NativeProgram(trace(function, arrays)))
    assert programs[0].compiled
    assert [program.compiled for program in programs[1:]] == [0, 0, 0]


def test_lanes_that_are_left_over_are_another_form(alone: None) -> None:
    programs = []  # held: code goes with the last program that needs it
    for size in (64, 128, 63, 30, 5):
        x = np.ones(size, np.float32)
        programs.append(NativeProgram(trace(lambda x: rg.tanh(x), (x,))))
    assert [program.compiled for program in programs] == [1, 0, 1, 0, 0]


def test_constants_that_follow_from_the_size_are_given(alone: None) -> None:
    for size, new in ((48, True), (80, False), (1600, False)):
        x = np.ones((size, 3), np.float32)
        program = NativeProgram(trace(rg.grad(lambda x: (x * x).mean()), (x,)))
        assert bool(program.compiled) == new
        found = program.run((x,))[0]
        np.testing.assert_allclose(found, 2 / x.size, rtol=1e-6)


class Net(nn.Module):
    def __init__(self) -> None:
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm(16)
        self.middle = nn.Linear(16 * 64, 100)
        self.head = nn.Linear(100, 10)

    def __call__(self, x: Any) -> Any:
        x = rg.max_pool(nn.relu(self.norm(self.conv(x))), 2)
        return self.head(nn.tanh(self.middle(x.reshape(x.shape[0], -1))))


def train(sizes: tuple[int, ...], shares: bool = True) -> list[Any]:
    """Parameters after a step of each size."""
    rg.seed(0)
    model, optimizer = Net(), optim.Adam(1e-2)

    @rg.compile(executor="native")
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        def loss_of(model: Any) -> Any:
            return losses.cross_entropy(model(x), y)

        loss, gradients = rg.value_and_grad(loss_of)(model)
        optimizer.update(model, gradients)
        return loss

    random = np.random.default_rng(0)
    for size in sizes:
        x = random.normal(size=(size, 16, 16, 3)).astype(np.float32)
        step(model, optimizer, x, random.integers(0, 10, size).astype(np.int32))
    if max(sizes) > 8:
        programs = [get_program(held.staged.graph) for held in step.programs.values()]
        assert any(program.shared for program in programs) == shares
    return [np.asarray(leaf) for leaf in rg.tree.leaves(model.state())]


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_training_on_batches_of_many_sizes(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = (64, 63, 1, 65, 130, 7, 2)
    with specialised():
        expected = train(sizes, shares=False)
    monkeypatch.setenv("RETROGRAD_THREADS", str(threads))
    config.get_config.cache_clear()
    found = train(sizes)
    monkeypatch.undo()
    config.get_config.cache_clear()
    for one, other in zip(found, expected, strict=True):
        assert same_bits(one, other)


def long_dot(n: int, random: np.random.Generator) -> tuple[Any, ...]:
    return rows(2100)(n, random)[0], random.normal(size=(2100, 96)).astype(np.float32)


SHARED: dict[str, tuple[Callable[..., Any], Inputs]] = {
    "long sums": (lambda x, w: x @ w, long_dot),
    "their gradients": (rg.grad(lambda x, w: (x @ w).sum(), (0, 1)), long_dot),
    "lanes left over": (lambda x: rg.tanh(x) * x + 0.7, rows(3013)),
    "turned": (lambda x: x.transpose(0, 2, 1) * 1.0, rows(70, 90)),
    "turned with the batch": (lambda x: x.transpose(2, 1, 0) * 1.0, rows(70, 90)),
    "sums of rows": (lambda x: rg.softmax(x * 0.1), rows(5000)),
}


@pytest.mark.parametrize("size", [63, 65, 127, 130])
@pytest.mark.parametrize("name", SHARED)
def test_pieces_of_unequal_size(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    function, inputs = SHARED[name]
    arrays = inputs(size, np.random.default_rng(size))
    graph = trace(function, arrays)
    with specialised():
        expected = NativeProgram(graph).run(arrays)
    for threads in (1, 3):
        monkeypatch.setenv("RETROGRAD_THREADS", str(threads))
        config.get_config.cache_clear()
        program = NativeProgram(graph, poison=True)
        assert program.shared
        for one, other in zip(program.run(arrays), expected, strict=True):
            assert same_bits(one, other)
    monkeypatch.undo()
    config.get_config.cache_clear()

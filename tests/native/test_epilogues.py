"""Elementwise work that contractions do on their sums, and where it must stay apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses, nn, optim
from retrograd.ir.loops import EPILOGUE_TERMS, Contraction, LoopNest
from retrograd.native import NativeProgram
from retrograd.passes import epilogues
from retrograd.runtime.target import Target
from tests.native.helpers import NumpyArray, check, same_bits, trace
from tests.native.terms import draw, narrower_target

APART = ("fuse_epilogues",)


@pytest.fixture(autouse=True)
def fuse_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few results there are."""
    monkeypatch.setattr(epilogues, "FEW_SHORT", 0)
    monkeypatch.setattr(epilogues, "FEW_LONG", 0)


def count(program: NativeProgram) -> tuple[int, int, int]:
    """Contractions with an epilogue, those without, and loop nests."""
    kernels = program.schedule.kernels
    contractions = [kernel for kernel in kernels if isinstance(kernel, Contraction)]
    fused = sum(c.epilogue is not None for c in contractions)
    nests = sum(isinstance(kernel, LoopNest) for kernel in kernels)
    return fused, len(contractions) - fused, nests


def bias_relu(a: Any, b: Any, c: Any, d: Any) -> Any:
    return rg.maximum(a @ b + c, 0.0)


def residual(a: Any, b: Any, c: Any, d: Any) -> Any:
    return a @ b * 0.5 + d


def mask(a: Any, b: Any, c: Any, d: Any) -> Any:
    return rg.where(d > 0.0, a @ b, 0.0)


def gelu(a: Any, b: Any, c: Any, d: Any) -> Any:
    return nn.gelu(a @ b + c)


def both_kept(a: Any, b: Any, c: Any, d: Any) -> Any:
    """The sums are wanted as well as what is made of them."""
    product = a @ b
    return product, rg.maximum(product + c, 0.0)


def momentum(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Two results, one of which may be written over an argument."""
    moment = 0.9 * d + a @ b
    return moment, d - 0.1 * moment


def other_dtype(a: Any, b: Any, c: Any, d: Any) -> Any:
    return (a @ b + c > 0.0), (a @ b).astype(np.int32)


FUNCTIONS = (bias_relu, residual, mask, gelu, both_kept, momentum, other_dtype)
SIZES = [
    (5, 16, 3),
    (13, 37, 40),
    (33, 64, 100),
    (7, 33, 2100),  # several chunks
    (61, 515, 530),  # panels, the last one narrow
    (64, 130, 1024),
    (200, 200, 64),
]


@pytest.mark.parametrize("name", ["host", "avx2"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_epilogues(
    function: Callable[..., Any], sizes: tuple[int, int, int], dtype: Any, name: str
) -> None:
    """As NumPy has it, and where a sum is one chunk, the same bits as apart."""
    target: Target | None = None
    if name == "avx2":
        target = narrower_target()
        if target is None:
            pytest.skip("this machine has no AVX2")
    rows, columns, terms = sizes
    arrays = [
        draw(rows, terms, dtype=dtype),
        draw(terms, columns, dtype=dtype, seed=1),
        draw(columns, dtype=dtype, seed=2),
        draw(rows, columns, dtype=dtype, seed=3),
    ]
    if function is not other_dtype:  # rounding decides which side of a step a value is on
        check(function, arrays, 30.0, target)
    graph = trace(function, arrays)
    program = NativeProgram(graph, target=target)
    assert count(program)[0] >= 1
    apart = NativeProgram(graph, target=target, without=APART)
    assert count(apart)[0] == 0
    if terms > 1024:  # lanes along the sum may be added before the chunks, or after them
        return
    for one, two in zip(program.run(arrays), apart.run(arrays), strict=True):
        assert same_bits(one, two)


def test_a_layer_is_one_kernel() -> None:
    arrays = [draw(32, 50), draw(50, 40, seed=1), draw(40, seed=2), draw(32, 40)]
    program = NativeProgram(trace(bias_relu, arrays))
    assert count(program) == (1, 0, 0)
    numbers = [n for n, buffer in enumerate(program.buffers) if buffer.kind == "arena"]
    assert program.arena.size == 0 and set(program.slots) & set(numbers) == set(program.outputs)


def test_convolutions_have_epilogues() -> None:
    x, w, b = draw(3, 9, 11, 5), draw(3, 3, 5, 20, seed=1), draw(20, seed=2)

    def layer(x: Any, w: Any, b: Any) -> Any:
        return rg.maximum(rg.conv(x, w, padding=1) + b, 0.0)

    graph = check(layer, [x, w, b])
    program = NativeProgram(graph)
    assert count(program)[:2] == (1, 0)
    apart = NativeProgram(graph, without=APART)
    assert same_bits(program.run([x, w, b])[0], apart.run([x, w, b])[0])


def train(
    threads: int, without: tuple[str, ...] = (), clip: bool = False
) -> tuple[list[NumpyArray], NativeProgram]:
    """Some steps of a network large enough for several threads."""
    rg.seed(0)
    network = nn.Sequential(nn.Linear(150, 130), nn.ReLU(), nn.Linear(130, 140))
    rule = optim.Adam(1e-2)
    if clip:
        rule = optim.chain(optim.clip_by_global_norm(1.0), rule)

    def step(network: Any, rule: Any, x: Any, y: Any) -> Any:
        value, gradients = rg.value_and_grad(
            lambda n: losses.cross_entropy(n(x), y)
        )(network)  # fmt: skip
        rule.update(network, gradients)
        return value

    x, y = draw(96, 150), np.arange(96) % 140
    compiled = rg.compile(step, executor="native")
    graph = compiled.graph(network, rule, rg.array(x), rg.array(y))
    program = graph.cache["native"] = NativeProgram(graph, without=without)
    program.threads = threads
    found = [np.array(compiled(network, rule, x, y)) for _ in range(4)]
    return [
        *found,
        *(np.array(array) for _, array in sorted(network.named_state().items())),
    ], program


def test_training_gives_the_same_bits_fused_or_not_on_any_number_of_threads() -> None:
    expected, apart = train(1, APART)
    assert count(apart)[0] == 0
    for threads in (1, 2, 3, 4):
        found, program = train(threads)
        assert program.shared, "the program is too small: the test shows nothing"
        for one, two in zip(expected, found, strict=True):
            assert same_bits(one, two)
    fused = [k for k in program.schedule.kernels if isinstance(k, Contraction) and k.epilogue]
    updates = [k for k in fused if k.epilogue is not None and len(k.epilogue.stores) == 3]
    assert len(updates) == 2, "a weight and both of its moments are updated where the gradient is"
    assert len(program.plan.lifetimes.matched) == len(apart.plan.lifetimes.matched)


def test_few_results_are_not_worth_the_time_of_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    arrays = [draw(40, 30), draw(30, 64, seed=1), draw(64, seed=2), draw(40, 64)]
    assert count(NativeProgram(trace(bias_relu, arrays)))[0] == 0
    arrays = [draw(100, 30), draw(30, 64, seed=1), draw(64, seed=2), draw(100, 64)]
    assert count(NativeProgram(trace(bias_relu, arrays)))[0] == 1
    assert count(NativeProgram(trace(gelu, arrays)))[0] == 0


def test_a_norm_of_all_gradients_stands_between_them_and_the_update() -> None:
    expected, _ = train(1, APART, clip=True)
    found, program = train(1, clip=True)
    for one, two in zip(expected, found, strict=True):
        assert same_bits(one, two)
    for kernel in program.schedule.kernels:
        if isinstance(kernel, Contraction) and kernel.epilogue is not None:
            assert len(kernel.epilogue.stores) < 3


def test_what_cannot_be_an_epilogue() -> None:
    a, b, c = draw(20, 30), draw(30, 32, seed=1), draw(20, 32, seed=2)

    def fused(function: Callable[..., Any], *arrays: NumpyArray) -> int:
        graph = check(function, arrays, 30.0)
        return count(NativeProgram(graph))[0]

    assert fused(lambda a, b, c: a @ b + c, a, b, c) == 1
    assert fused(lambda a, b, c: a @ b + c.T, a, b, c.T.copy()) == 0  # contiguous along the rows
    assert fused(lambda a, b: (a @ b).sum(), a, b) == 0  # a reduction
    assert fused(lambda a, b: a @ b + (a @ b).mean(), a, b) == 0  # needs all of the sums
    assert fused(lambda a, b: rg.flip(a @ b, axis=1) + 1.0, a, b) == 0  # from the right
    assert fused(lambda a, b: rg.pad(a @ b, ((1, 1), (1, 1))) + 1.0, a, b) == 0  # guarded
    long, other = draw(2, EPILOGUE_TERMS + 1), draw(EPILOGUE_TERMS + 1, 32, seed=1)
    assert fused(lambda a, b: a @ b + 1.0, long, other) == 0  # more than a tile's share of caches


def test_the_input_of_another_kernel_is_not_written_over_too_early() -> None:
    """The update of w may not move before the product that reads the old w."""

    def step(x: Any, w: Any, g: Any) -> Any:
        gradient = x.T @ g
        return w - 0.1 * gradient, g @ w.T

    arrays = [draw(40, 64), draw(64, 48, seed=1), draw(40, 48, seed=2)]
    graph = check(step, arrays)
    program = NativeProgram(graph)
    assert count(program)[0] == 1
    assert (1, 0) in program.plan.lifetimes.select([(1, 0)])

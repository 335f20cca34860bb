"""Attention in machine code: all its forms against NumPy, in blocks, linear in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.ir.loops import Callback, Contraction, Grid
from retrograd.native import NativeProgram
from retrograd.passes.attention import part_queries
from retrograd.trace import bind
from tests.gradient_table.attention_rows import STATE, options
from tests.native.helpers import check, run_natively, same_bits, trace, with_gradients

FACTOR = 60.0
# batch, heads, groups, queries, keys, features, value features
SHAPES = [
    (2, 4, 4, 5, 5, 3, 3),
    (2, 4, 2, 5, 7, 3, 2),
    (2, 2, 2, 64, 64, 32, 32),
    (1, 2, 1, 300, 150, 4, 5),  # several blocks, and a rest
    (1, 1, 1, 600, 600, 8, 8),
    (1, 1, 1, 1, 1, 1, 1),
]


def draw(shape: tuple[int, ...]) -> list[Any]:
    """q, k, v, a mask by keys, a mask by pairs and a bias."""
    batch, heads, groups, queries, keys, features, width = shape
    random = np.random.default_rng(queries)
    arrays = [
        random.normal(size=size).astype("float32")
        for size in (
            (batch, heads, queries, features),
            (batch, groups, keys, features),
            (batch, groups, keys, width),
        )
    ]
    by_keys = random.random((batch, 1, 1, keys)) > 0.3
    by_keys[0] = batch == 1
    by_pairs = random.random((batch, heads, queries, keys)) > 0.3
    bias = random.normal(size=(1, heads, queries, keys)).astype("float32")
    return [*arrays, by_keys, by_pairs, bias]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("form", ["plain", "causal", "keys", "pairs", "bias", "dropout"])
def test_values_and_gradients(shape: tuple[int, ...], form: str) -> None:
    q, k, v, by_keys, by_pairs, bias = draw(shape)
    attend = nn.scaled_dot_product_attention
    arrays = [q, k, v]
    function: Any = attend
    if form == "causal":
        function = lambda q, k, v: attend(q, k, v, causal=True)  # noqa: E731
    elif form in ("keys", "pairs"):
        mask = by_keys if form == "keys" else by_pairs
        function = lambda q, k, v: attend(q, k, v, mask=mask)  # noqa: E731
    elif form == "bias":
        arrays.append(bias)
        function = lambda q, k, v, b: attend(q, k, v, by_keys, causal=True, bias=b)  # noqa: E731
    elif form == "dropout":
        given = options(dropout=0.3, causal=True)
        primitive = rg.ir.PRIMITIVES["attention"]
        function = lambda *x: bind(primitive, *x, rg.array(STATE), **given)[0]  # noqa: E731
    graph = check(with_gradients(function), arrays, FACTOR)
    kernels = NativeProgram(graph, poison=False).schedule.kernels
    assert sum(isinstance(kernel, Grid) for kernel in kernels) >= 2
    assert not any(isinstance(kernel, Callback) for kernel in kernels)


def test_views_of_one_product_need_no_copies() -> None:
    """Queries, keys and values as MultiHeadAttention has them, and the result as it wants it."""

    def function(x: Any) -> Any:
        q, k, v = (
            x[..., start : start + 8].reshape(2, 6, 2, 4).transpose(0, 2, 1, 3)
            for start in (0, 8, 16)
        )
        heads = nn.scaled_dot_product_attention(q, k, v, causal=True)
        return heads.transpose(0, 2, 1, 3).reshape(2, 6, 8) @ weight

    weight = np.ones((8, 16), "float32")
    x = np.random.default_rng(0).normal(size=(2, 6, 24)).astype("float32")
    graph = check(function, [x])
    kernels = NativeProgram(graph, poison=False).schedule.kernels
    assert [type(kernel) for kernel in kernels] == [Grid, Contraction]


@pytest.mark.parametrize("form", ["scan", "checkpoint", "vmap"])
def test_attention_inside_of_other_programs(form: str) -> None:
    """Its constants and its workspace are those of a program inside of a program."""
    random = np.random.default_rng(1)
    x = random.normal(size=(2, 2, 70, 4)).astype("float32")
    w = (0.3 * random.normal(size=(3, 4, 4))).astype("float32")
    mask = np.arange(70) < 60

    def attend(x: Any, w: Any) -> Any:
        q = x @ w
        return x + nn.scaled_dot_product_attention(q, q, x, mask=mask, causal=True)

    def function(x: Any, w: Any) -> Any:
        if form == "scan":
            return rg.scan(lambda h, w: (attend(h, w), None), x, w)[0]
        if form == "checkpoint":
            return rg.checkpoint(attend)(x, w[0])
        return rg.vmap(attend, in_axes=(None, 0))(x, w)

    graph = check(with_gradients(function), [x, w], FACTOR)
    assert "attention" in {node.primitive.name for node in graph.walk()}


def arena_of(time: int, causal: bool) -> int:
    """The bytes of a step forward and backward."""
    x = rg.zeros((1, 2, time, 8))

    def loss(q: Any, k: Any, v: Any) -> Any:
        return (nn.scaled_dot_product_attention(q, k, v, causal=causal) ** 2).sum()

    graph = rg.compile(rg.value_and_grad(loss, (0, 1, 2))).graph(x, x, x)
    return NativeProgram(graph, poison=False).arena.size


@pytest.mark.parametrize("causal", [False, True])
def test_memory_is_linear_in_the_length(causal: bool) -> None:
    small, large = arena_of(2048, causal), arena_of(4096, causal)
    assert small < large <= 2.1 * small


def test_the_same_bits_on_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v, *_ = draw((2, 4, 2, 96, 96, 16, 16))
    function = with_gradients(lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, causal=True))
    graph = trace(function, [q, k, v])
    program = NativeProgram(graph, poison=False)
    assert program.shared
    expected = run_natively(graph, [q, k, v])
    for threads in (1, 2, 3):
        other = NativeProgram(graph, poison=False)
        other.threads = threads
        for one, two in zip(other.run([q, k, v]), expected, strict=True):
            assert same_bits(one, two)


@pytest.mark.parametrize("causal", [False, True])
def test_segments_hold_every_query_once(causal: bool) -> None:
    for queries, keys in ((1, 1), (64, 64), (129, 40), (1000, 2000), (4096, 4096), (300, 10)):
        segments = part_queries(1, queries, keys, causal)
        assert segments[0].start == 0 and segments[-1].stop == queries
        for one, two in zip(segments, segments[1:]):
            assert one.stop == two.start
        for segment in segments:
            assert (segment.stop - segment.start) % segment.count == 0
            assert segment.keys == (min(segment.stop, keys) if causal else keys)

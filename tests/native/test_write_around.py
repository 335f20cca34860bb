"""Large results are written around the caches: the same bits, wherever they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import config
from retrograd.ir import Graph
from retrograd.native import NativeProgram
from retrograd.passes import write_around
from retrograd.report.profile import Copies
from tests.native.helpers import NumpyArray, same_bits, trace
from tests.native.terms import narrower_target

LEAST = 1 << 20
MANY = LEAST // 4 + 32


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Smaller results count as large; programs made so are not kept for others."""
    monkeypatch.setattr(write_around, "AROUND", LEAST)
    monkeypatch.setenv("RETROGRAD_CACHE", "off")
    config.get_config.cache_clear()
    yield
    monkeypatch.undo()
    config.get_config.cache_clear()


def draw(*shape: int, dtype: Any = np.float32) -> NumpyArray:
    return (np.arange(np.prod(shape)) % 1009 - 500).reshape(shape).astype(dtype)


CASES: dict[str, tuple[Callable[..., Any], list[NumpyArray], bool]] = {
    "one axis": (lambda x: rg.maximum(x * x + x, 0.0) * 0.5, [draw(MANY)], True),
    "lanes left over": (lambda x: x * 3.0 - 1.0, [draw(MANY + 5)], True),
    "rows": (lambda x, y: x + y, [draw(MANY // 48, 48), draw(48)], True),
    "rows of no whole lines": (lambda x, y: x * y, [draw(MANY // 49 + 1, 49), draw(49)], False),
    "whole numbers": (lambda x: x * 3 + 1, [draw(MANY, dtype=np.int32)], True),
    "bools": (lambda x: x > 0, [draw(LEAST + 64, dtype=np.int32)], False),
    "float64": (lambda x: x * 0.5, [draw(MANY // 2, dtype=np.float64)], True),
    "read again": (lambda x: (x * 2.0).reshape(-1, 32).sum(1), [draw(MANY)], True),
    "small": (lambda x: x * 2.0, [draw(LEAST // 4 - 16)], False),
}


def run(
    graph: Graph, arrays: list[NumpyArray], threads: int = 1, replaced: dict[int, int] | None = None
) -> list[NumpyArray]:
    """All memory, after two runs whose results lie at cache lines."""
    program = NativeProgram(graph)
    program.threads = threads
    copies = Copies(program, arrays, replaced or {}, inside=True)
    copies.run()
    copies.run()
    return copies.arrays


@pytest.mark.parametrize("name", CASES)
def test_bits_are_those_of_usual_stores(name: str) -> None:
    function, arrays, expected = CASES[name]
    graph = trace(function, arrays)
    usual = NativeProgram(graph, without=["write_around"])
    assert ("nontemporal" in NativeProgram(graph).text) == expected
    assert "nontemporal" not in usual.text
    (reference,) = usual.run(arrays)
    (elsewhere,) = NativeProgram(graph).run(arrays)  # it may lie anywhere
    assert same_bits(reference, elsewhere)
    for threads in (1, 2, 3):
        assert same_bits(reference, run(graph, arrays, threads)[-1])


def test_what_is_read_afterwards_is_there() -> None:
    """Another thread reads what one has written around the caches."""
    x = draw(600, 608)

    def function(x: Any) -> Any:
        y = rg.exp(x * 0.001) + 1.0
        return y, y.T * 2.0

    graph = trace(function, [x])
    reference = NativeProgram(graph, without=["write_around"]).run([x])
    assert "nontemporal" in NativeProgram(graph).text
    for threads in (2, 4):
        for _ in range(10):
            for one, two in zip(reference, run(graph, [x], threads)[1:], strict=True):
                assert same_bits(one, two)


def test_updates_in_place() -> None:
    """The results take the places of what is read."""

    def update(total: Any, mean: Any, x: Any) -> Any:
        return total + x, mean * 0.9 + x * 0.1

    arrays = [draw(MANY), draw(MANY) * 0.5, draw(MANY) * 3]
    graph = trace(update, arrays)
    assert "nontemporal" in NativeProgram(graph).text
    usual = NativeProgram(graph, without=["write_around"])
    total, mean = usual.run(arrays)
    total, mean = usual.run([total, mean, arrays[2]])
    for threads in (1, 2):
        found = run(graph, arrays, threads, {0: 0, 1: 1})
        for one, two in zip([total, mean, arrays[2]], found, strict=True):
            assert same_bits(one, two)


def test_other_targets() -> None:
    function, arrays, _ = CASES["lanes left over"]
    target = narrower_target()
    if target is None:
        pytest.skip("a machine without AVX2")
    graph = trace(function, arrays)
    (reference,) = NativeProgram(graph, without=["write_around"]).run(arrays)
    program = NativeProgram(graph, target=target)
    assert "nontemporal" in program.text
    copies = Copies(program, arrays, {}, inside=True)
    copies.run()
    assert same_bits(reference, copies.arrays[-1])

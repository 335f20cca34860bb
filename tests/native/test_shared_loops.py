"""Loops that are not cut: all threads share the kernels of each step, and meet between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.codegen import pieces
from retrograd.codegen.clock import END, FIRST, STEP
from retrograd.errors import IndexRangeError
from retrograd.native import NativeProgram
from retrograd.report.profile import summarise
from retrograd.runtime import kept
from tests.native.helpers import check, same_bits, with_gradients
from tests.native.test_movement import draw


@pytest.fixture(autouse=True)
def share_small_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "CYCLES_TO_SHARE", 0)
    monkeypatch.setattr(pieces, "CYCLES_OF_A_PIECE", 1)
    monkeypatch.setattr(pieces, "CYCLES_OF_CONTRACTIONS", ((8, 4000), (2, 1)))
    monkeypatch.setattr(kept, "get_cache", lambda: None)  # it holds what the usual settings give


def run(function: Callable[..., Any], arrays: list[Any], factor: float = 100.0) -> NativeProgram:
    """Against NumPy, and on one to four threads."""
    graph = check(function, arrays, factor)
    program = NativeProgram(graph)
    found = []
    for threads in (1, 2, 3, 4, 2):
        program.threads = threads
        found.append(program.run(arrays))
    for other in found[1:]:
        assert all(same_bits(a, b) for a, b in zip(found[0], other, strict=True))
    return program


def together(program: NativeProgram) -> bool:
    return "repeat_together" in program.plan.links


def centred(w: Any, h: Any, xs: Any) -> Any:
    """The examples meet in every step, so that the loop cannot be cut along them."""

    def step(h: Any, x: Any) -> Any:
        h = rg.tanh(h @ w * 0.2 + x)
        h = h - h.mean(axis=0)
        return h, h * 2

    return rg.scan(step, h, xs)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_loop_and_its_gradient(steps: int) -> None:
    arrays = [draw((16, 16)), draw((32, 16)), draw((steps, 32, 16))]
    assert together(run(with_gradients(centred), arrays, 200.0))


def test_small_loops_are_run_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "CYCLES_TO_SHARE", 60_000)
    program = run(centred, [draw((4, 4)), draw((8, 4)), draw((5, 8, 4))])
    assert not together(program)


def test_checkpoints() -> None:
    inner = rg.checkpoint(lambda x, w: rg.tanh(rg.tanh(x @ w * 0.1) @ w * 0.1))
    function = with_gradients(lambda x, w: inner(inner(x, w), w).sum())
    assert together(run(function, [draw((32, 32)), draw((32, 32))], 200.0))


def test_branches() -> None:
    def choose(flag: Any, w: Any, x: Any) -> Any:
        return rg.cond(flag > 0, lambda x: rg.tanh(x @ w), lambda x: (x @ w).T @ x, x)

    for flag in (1.0, -1.0):
        arrays = [np.float32(flag), draw((32, 32)), draw((32, 32))]
        program = run(with_gradients(choose), arrays, 200.0)
        assert together(program) and "when_shared" in program.plan.links


def test_loops_inside_loops() -> None:
    """Inside of a loop that all share: one that is cut along the batch, one that all share, and one
    without a known end."""

    def outer(w: Any, h: Any, xs: Any) -> Any:
        def step(h: Any, block: Any) -> Any:
            h, ys = rg.scan(lambda c, x: (rg.tanh(c @ w + x), c), h, block)
            h, _ = centred(w, h, block)
            count = rg.while_loop(lambda n: n < 3.0, lambda n: n + 1.0, h[0, 0] * 0.1)
            return h, (ys.sum(axis=0) + count).T @ h

        return rg.scan(step, h, xs)

    arrays = [draw((16, 16)) * 0.2, draw((32, 16)), draw((3, 4, 32, 16))]
    assert together(run(outer, arrays, 500.0))


def test_callbacks_inside() -> None:
    def function(w: Any, x: Any, ys: Any) -> Any:
        return rg.scan(lambda c, y: (rg.sort(c @ w + y, axis=0), c.sum(axis=0)), x, ys)

    program = run(function, [draw((16, 16)), draw((32, 16)), draw((4, 32, 16))], 200.0)
    assert together(program) and program.callbacks


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_index_out_of_range_ends_the_loop_for_all(threads: int) -> None:
    """Also in an inner loop, of which the steps before and behind are fine."""

    def function(w: Any, xs: Any, rows: Any) -> Any:
        def inner(c: Any, row: Any) -> Any:
            c = c @ w + rg.take(xs, row, axis=0)
            return c - c.mean(axis=0), None

        def step(c: Any, block: Any) -> Any:
            c, _ = rg.scan(inner, c, block)
            return c - c.mean(axis=0), c.sum(axis=1)

        return rg.scan(step, xs[:32], rows)

    arrays = [draw((16, 16)), draw((40, 16))]
    good = np.tile(np.arange(32, dtype=np.int32), (3, 4, 1))
    bad = good.copy()
    bad[1, 2, 31] = 40
    graph = rg.compile(function).graph(*map(rg.array, (*arrays, good)))
    program = NativeProgram(graph)
    program.threads = threads
    assert together(program)
    first = program.run([*arrays, good])
    for _ in range(3):
        with pytest.raises(IndexRangeError):
            program.run([*arrays, bad])
        for one, two in zip(first, program.run([*arrays, good]), strict=True):
            assert same_bits(one, two)


def test_what_is_waited_inside_counts_with_the_loop() -> None:
    compiled = rg.compile(centred, executor="native")
    arrays = [rg.array(a) for a in (draw((16, 16)), draw((32, 16)), draw((6, 32, 16)))]
    report = compiled.report(*arrays)
    assert report.profile(repeats=5) is report
    inside = [k for k in report.kernels if k.depth]
    assert len(inside) > 1 and all(k.runs == 6 and k.name for k in inside)
    times = np.zeros((1, FIRST + 2 * len(report.kernels)))
    times[0, END] = 1.0
    for kernel in inside:
        times[0, FIRST + 2 * kernel.number] = times[0, FIRST + 2 * kernel.number + 1] = 1.0
    loop = next(k for k in report.kernels if k.what == "scan")
    times[0, FIRST + 2 * loop.number] = 2.0 * len(inside)
    times[0, STEP] = 1.0 + 2.0 * len(inside)
    assert report.measured is not None
    told = summarise(report.kernels, times, [1.0], report.measured.limits, 2)
    assert (told.waiting, told.between) == (1.0, 0.0)

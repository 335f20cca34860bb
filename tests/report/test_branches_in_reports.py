"""What a report says of loops and branches that depend on values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import retrograd as rg
from tests.report.steps import draw


def grow(x: Any) -> Any:
    """A sum, then steps of a cond in a while_loop: 3 FLOPs an element if true, 1 if false."""

    def step(x: Any) -> Any:
        return rg.cond(x.sum() > 5, lambda x: rg.exp(x * 2.0) + 1.0, lambda x: x + 1.0, x)

    return rg.while_loop(lambda x: x.sum() < 1e6, step, x)


def choose(x: Any, w: Any) -> Any:
    return rg.cond(x.sum() > 0, lambda x: x @ w, lambda x: x * 0.5, x)


def test_a_branch_says_when_it_runs_and_the_larger_one_is_counted() -> None:
    report = rg.compile(choose, executor="native").report(rg.ones((8, 8)), rg.ones((8, 8)))
    first, second = (kernel for kernel in report.kernels if kernel.kind == "repeat")
    assert (first.when, second.when) == ("if true", "if false")
    assert (first.flops, second.flops) == (2 * 8 * 8 * 8, 64)
    outside = sum(k.flops for k in report.kernels if not k.depth and not k.when)
    assert report.work[0] == outside + 2 * 8 * 8 * 8
    assert report.work[1] < sum(k.bytes for k in report.kernels if not k.depth)
    inside = [kernel.when for kernel in report.kernels if kernel.depth]
    assert inside == ["if true", "if false"]
    text = str(report)
    assert "cond, if true" in text
    assert "cond, if false" in text
    assert "either branch runs" in text
    assert "while_loop" not in text


def test_a_loop_of_unknown_length_counts_each_iteration() -> None:
    report = rg.compile(grow, executor="native").report(rg.ones(100))
    loop = next(k for k in report.kernels if k.when == "each iteration" and not k.depth)
    assert "1 x" not in loop.shape
    assert 300 <= loop.flops < 700  # sums, and the larger branch, once
    branches = [k.when for k in report.kernels if k.kind == "repeat" and k.depth == 1]
    assert branches == ["each iteration, if true", "each iteration, if false"]
    text = str(report)
    assert "while_loop, each iteration" in text
    assert "cond, if true" in text
    assert "of a while_loop: each iteration" in text
    listed = json.loads(report.to_json())["kernels"]
    assert {kernel["when"] for kernel in listed} >= {"", "each iteration"}


def test_a_profile_knows_no_limit_where_it_knows_no_number_of_runs() -> None:
    report = rg.compile(grow, executor="native").report(rg.ones(100))
    measured = report.profile(repeats=20).measured
    assert measured is not None
    for kernel, time in zip(report.kernels, measured.kernels, strict=True):
        assert not (kernel.when and time.limit)
    assert any(
        kernel.when and time.seconds for kernel, time in zip(report.kernels, measured.kernels)
    )
    page = str(report)
    assert " n " in page


def test_programs_without_them_are_told_as_before() -> None:
    function = rg.compile(lambda x: rg.scan(lambda c, x: (rg.tanh(c + x), None), x[0], x)[0])
    report = function.report(rg.array(np.asarray(draw(5, 40))))
    assert {kernel.when for kernel in report.kernels} == {""}
    assert report.work[0] == sum(k.flops for k in report.kernels if not k.depth)
    assert any(kernel.shape.startswith("5 x ") for kernel in report.kernels)
    assert "iteration" not in str(report)

"""The benchmark of single kernels: its counts, its functions and its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from benchmarks import kernels
from benchmarks.kernel_cases import (
    CASES,
    LARGE,
    STREAMS,
    Case,
    convolutions,
    list_main_cases,
    matmul,
)
from benchmarks.protocol import measure_calls
from benchmarks.rivals.kernels_numpy import NumpyKernels
from benchmarks.side_kernels import make_function
from benchmarks.side_limits import LimitKernels, Streams
from retrograd.report.limits import Limits

LIMITS = Limits(2, 1e9, 2e9, 1e8, 1.5e8)


def shrink(case: Case) -> Case:
    """The same on smaller arrays."""
    sizes = {
        "matmul": (6, 5, 7),
        "batched": (2, 6, 5, 7),
        "chain": (50,),
        "gate": (50,),
        "adam": (50,),
    }
    convolution = (2, 6, *case.sizes[2:])
    chosen = sizes.get(case.kind, convolution)
    return Case(case.name, case.kind, chosen, 1.0, 1.0, None, case.left, case.right, case.wide)


def test_counts_by_hand() -> None:
    case = matmul(3, 5, 7)
    assert (case.flops, case.bytes) == (2 * 3 * 5 * 7, 4 * (21 + 35 + 15))
    assert matmul(3, 5, 7, wide=True).bytes == 2 * case.bytes
    forward, by_input, by_kernel = convolutions(2, 8, 4, 6, stride=2)
    places, weights = 4 * 4, 9 * 4 * 6
    assert forward.flops == by_input.flops == by_kernel.flops == 2 * 2 * places * weights
    assert forward.bytes == 4 * (2 * 64 * 4 + weights + 2 * places * 6)


def test_goals_are_those_of_the_main_cases() -> None:
    goals = {case.kind: set() for case in list_main_cases()}  # type: dict[str, set[float | None]]
    for case in list_main_cases():
        goals[case.kind].add(case.goal)
    assert goals["matmul"] == {0.85} and goals["adam"] == goals["chain"] == {0.80}
    assert goals["forward"] == goals["input"] == goals["kernel"] == {0.75, 0.65}
    assert len(CASES) == len({case.name for case in CASES.values()}) > 40


@pytest.mark.parametrize("name", list(CASES))
def test_both_executors_agree_on_every_case(name: str) -> None:
    function, arrays = make_function(shrink(CASES[name]))
    results = []
    for executor in ("numpy", "native"):
        f = rg.compile(lambda *values: function(*values), executor=executor)
        results.append(rg.tree.leaves(f(*map(rg.array, arrays))))
    for ours, expected in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_adam_is_that_of_the_optimizer() -> None:
    function, (gradient, parameter, mean, square) = make_function(
        shrink(CASES["Adam, 16 M parameters, in place"])
    )
    new, new_mean, new_square = function(gradient, parameter, mean, square)
    expected_mean = 0.9 * mean + 0.1 * gradient
    expected_square = 0.999 * square + 0.001 * gradient**2
    corrected = expected_mean / (1 - 0.9**10), expected_square / (1 - 0.999**10)
    np.testing.assert_allclose(new_mean, expected_mean, rtol=1e-5)
    np.testing.assert_allclose(new_square, expected_square, rtol=1e-5)
    expected = parameter - 1e-3 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    np.testing.assert_allclose(new, expected, rtol=1e-5)


def test_numpy_has_a_form_for_all_but_convolutions() -> None:
    side = NumpyKernels({"threads": 1})
    assert side.load("conv 3x3 64->64 8x8 batch 64 forward") == []
    (multiply,) = side.load("matmul 128x10x128")
    assert measure_calls(multiply, iter(range(1000)).__next__, 0.0) == 1


@pytest.mark.parametrize(
    ("case", "threads", "streams", "limit"),
    [
        (Case("", "matmul", (), 4e9, 1e8), 1, None, 4.0),
        (Case("", "matmul", (), 4e9, 1e8), 2, None, 2.0),
        (Case("", "matmul", (), 4e9, 1e8, wide=True), 2, None, 4.0),
        (Case("", "adam", (), 0.0, 3e8), 2, 3.5, 3.5),
    ],
)
def test_limits_by_hand(case: Case, threads: int, streams: float | None, limit: float) -> None:
    assert kernels.find_limit(case, LIMITS, threads, streams)[0] == limit


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("around", [False, True])
def test_the_limit_reads_and_writes_all_arrays(threads: int, around: bool) -> None:
    streams = Streams(threads, 16 * 6 * 4000, 2, 2, 1, around)
    for number, array in enumerate(streams.arrays):
        array[...] = 10.0**number + np.arange(array.size) % 7
    before = [array.copy() for array in streams.arrays]
    streams.run()
    total = before[0] + before[1]
    expected = [*before[:2], before[2] + total, before[3] + total, total]
    for found, wanted in zip(streams.arrays, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_limits_have_the_arrays_of_their_cases() -> None:
    for case in CASES.values():
        forms = LimitKernels({"threads": 1}).load(case.name) if case.flops else []
        assert not forms
    for case in (case for case in CASES.values() if not case.flops):
        _, arrays = make_function(shrink(case))
        read, updated, written = STREAMS[case.kind]
        assert len(arrays) == read + updated
        assert case.bytes == 4 * LARGE * (read + 2 * updated + written)


def test_a_run_without_rivals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    options = ["--no-rivals", "--only", "64->64 8x8 batch 64 by", "--threads", "1"]
    assert kernels.main([*options, "--rounds", "1", "--seconds", "0.01", "--json", str(file)]) == 0
    found: Any = json.loads(file.read_text())
    assert [kernel["goal"] for kernel in found["kernels"]] == [0.75, 0.75]
    for kernel in found["kernels"]:
        seconds, share = kernel["seconds"]["retrograd"], kernel["of_limit"]["retrograd"]
        assert seconds > 0 and share == kernel["limit"] / seconds
        assert list(kernel["seconds"]) == ["retrograd"]
        assert kernel["limit_of"] == "multiply-adds"
    printed = capsys.readouterr().out
    assert "conv 3x3 64->64 8x8 batch 64 by kernel" in printed and "75 %" in printed


def test_a_limit_is_measured_beside_what_memory_bounds(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    options = ["--no-rivals", "--only", "Adam", "--threads", "1", "--rounds", "1"]
    assert kernels.main([*options, "--seconds", "0.01", "--json", str(file)]) == 0
    (kernel,) = json.loads(file.read_text())["kernels"]
    assert kernel["limit_of"] == "the same arrays without arithmetic"
    assert 0.1 < kernel["of_limit"]["retrograd"] < 10


def test_a_name_that_is_in_no_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert kernels.main(["--only", "nothing"]) == 2
    assert "no kernel's name contains 'nothing'" in capsys.readouterr().err

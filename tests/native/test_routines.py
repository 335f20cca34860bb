"""Machine code for random numbers, running sums, gathers and scatters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.errors import IndexRangeError
from retrograd.native import NativeProgram
from tests.gradient_table.table import primitive
from tests.native.helpers import check, trace, with_gradients
from tests.native.test_movement import draw


@pytest.mark.parametrize("count", [0, 1, 3, 4, 63, 64, 65, 1000])
def test_random_bits_are_those_of_numpy(count: int) -> None:
    states = ([0, 0, 0, 0], [1, 2**32 - 1, 7, 99], [123456789, 3, 2**32 - 1, 2**32 - 1])
    for state in states:
        words = np.array(state, np.uint32)
        check(primitive("random_bits", shape=(count,)), [words])
        for dtype in ("int32", "int64", "uint8", "uint32"):
            number = np.array(count, dtype if count < 256 else "int32")
            check(primitive("random_fold"), [words, number])
    graph = trace(primitive("random_bits", shape=(count,)), [words])
    assert not NativeProgram(graph).callbacks


def test_dropout_draws_the_same_in_every_executor() -> None:
    def noise(x: Any) -> Any:
        return rg.where(rg.random.bernoulli(0.5, (33, 7)), x, 0), rg.random.uniform((5,))

    results = []
    for executor in ("numpy", "native"):
        rg.seed(3)
        function = rg.compile(noise, executor=executor)
        results.append([part.numpy() for part in (*function(rg.array(1.0)), *function(2.0))])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(7,), (1, 1), (5, 33), (33, 5), (3, 4, 20), (0, 3), (3, 0)])
def test_running_sums(shape: tuple[int, ...]) -> None:
    for dtype in ("float32", "float64", "int32", "int64", "uint32"):
        for axis in range(len(shape)):
            for reverse in (False, True):
                function = primitive("cumsum", axis=axis, reverse=reverse)
                graph = check(function, [draw(shape, dtype)], 2.0)
                assert not NativeProgram(graph).callbacks


@pytest.mark.parametrize("width", [(), (1,), (3,), (16,), (37,), (2, 5)])
def test_gathers_and_scatters_of_rows(width: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    for count in (0, 1, 50):
        for dtype in ("int32", "int64", "uint8"):
            rows = random.integers(0, 9, count).astype(dtype)
            graph = check(
                with_gradients(lambda x, rows=rows: rg.take(x, rg.array(rows), 0) * 2),
                [draw((9, *width))],
                50.0,
            )
            assert not NativeProgram(graph).callbacks
    table = draw((4, 9, *width))
    pairs = random.integers(0, 9, (3, 5)).astype(np.int32)
    check(with_gradients(lambda x: rg.take(x, rg.array(pairs), 1)), [table], 50.0)


def test_gathers_and_scatters_along_an_axis() -> None:
    random = np.random.default_rng(0)
    for axis, shape in ((0, (3, 20)), (1, (20, 3)), (1, (2, 4, 6))):
        places = random.integers(0, shape[axis], shape).astype(np.int32)
        function = with_gradients(
            lambda x, places=places, axis=axis: rg.take_along_axis(x, rg.array(places), axis)
        )
        graph = check(function, [draw(shape)], 50.0)
        assert not NativeProgram(graph).callbacks


def test_scattered_integers_add_up_exactly() -> None:
    places = np.array([0, 3, 3, 3, 1, 0], np.int64)
    for dtype in ("int32", "int64", "uint8", "uint32"):
        for width in ((), (5,)):
            updates = draw((6, *width), dtype)
            check(primitive("scatter_add", axis=0, size=5, after=[places]), [updates])


@pytest.mark.parametrize("bad", [-1, 4, 2**31 - 1, -(2**31)])
def test_indices_out_of_range_are_errors(bad: int) -> None:
    places = np.array([0, bad, 2], np.int32)
    x, updates = rg.array(draw((4, 5))), rg.array(draw((3, 5)))
    reader = rg.compile(primitive("gather", axis=0), executor="native")
    adder = rg.compile(primitive("scatter_add", axis=0, size=4), executor="native")
    for function, array in ((reader, x), (adder, updates)):
        with pytest.raises(IndexRangeError):
            function(array, rg.array(places))
        function(array, rg.array(np.array([0, 1, 2], np.int32)))

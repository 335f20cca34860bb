"""Machine code for reductions: every axis, dtype and size, many terms, NaN and infinities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from tests.gradient_table.table import primitive
from tests.native.helpers import check
from tests.native.test_movement import draw

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((1,), (0,)),
    ((10,), (0,)),
    ((1024,), (0,)),
    ((70_001,), (0,)),
    ((128, 10), (1,)),
    ((128, 10), (0,)),
    ((3001, 7), (0,)),
    ((7, 3001), (1,)),
    ((5, 3001), (0,)),
    ((257, 256), (0,)),
    ((40, 33), (0, 1)),
    ((3, 5, 70), (1,)),
    ((70, 5, 3), (0, 2)),
    ((2, 9, 9, 16), (0, 1, 2)),
    ((2, 40, 40, 3), (0, 1, 2)),
    ((0, 5), (0,)),
    ((5, 0), (0,)),
    ((1, 1, 1), (0, 1)),
]


@pytest.mark.parametrize(("shape", "axes"), SHAPES, ids=str)
def test_sums_and_products(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    def reduce(x: Any) -> Any:
        return x.sum(axes), (x * 2 + 1).sum(axes)

    def multiply(x: Any) -> Any:
        # Exact factors near 1: the error of n products is at most n roundings.
        return rg.prod(1 + (2 * rg.floor(x) + 1) * 2.0**-10 if x.dtype.kind == "f" else x, axes)

    for dtype in ("float32", "int32", "int64", "uint32"):
        check(reduce, [draw(shape, dtype)], 64.0, wide=True)
        check(multiply, [draw(shape, dtype)], 256.0)


@pytest.mark.parametrize(
    ("shape", "axes"), [s for s in SHAPES if 0 not in s[0]] + [((5, 0), (0,))], ids=str
)
def test_extremes_and_their_positions(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    def reduce(x: Any) -> Any:
        numbers = x.astype("int32") if x.dtype.kind == "b" else x
        places = [rg.argmax(numbers, axis) for axis in axes]
        places += [rg.argmin(numbers, axis) for axis in axes]
        return x.max(axes), x.min(axes), places

    for dtype in ("float32", "float64", "int32", "int64", "uint8", "uint32", "bool"):
        check(reduce, [draw(shape, dtype).round(0).astype(dtype)])


@pytest.mark.parametrize("name", ["sum", "max", "min"])
def test_reductions_of_bools(name: str) -> None:
    for shape in ((3,), (33, 17)):
        check(primitive(name, axes=(0,)), [draw(shape, "bool")])


@pytest.mark.parametrize("count", [1, 5, 16, 33, 100])
def test_nan_and_infinity(count: int) -> None:
    """NaN wins, the first one for positions; infinities are numbers like others."""
    x = draw((4, count))
    x[1, count // 2 :] = np.nan
    x[2] = np.inf
    x[3] = -np.inf
    x[3, count // 3] = np.nan
    for values in (x, -x, x.T.copy()):
        check(
            lambda v: [(v.max(a), v.min(a), rg.argmax(v, a), rg.argmin(v, a)) for a in (0, 1)],
            [values],
        )


def test_the_error_of_a_long_sum_is_small() -> None:
    """65,536 terms: added one after the other they would lose three digits."""
    x = np.full(65_536, 0.1, np.float32)
    graph = check(lambda v: v.sum(), [x], 20.0)
    assert len(graph.nodes) == 1


def test_softmax_rows() -> None:
    def loss(x: Any) -> Any:
        shifted = x - x.max(1, keepdims=True)
        return shifted - rg.log(rg.exp(shifted).sum(1, keepdims=True)), rg.softmax(x, 1)

    for shape in ((128, 10), (3, 1), (5, 100), (1, 1000)):
        check(loss, [draw(shape)], 32.0)


def test_several_reductions_in_one_loop() -> None:
    def several(x: Any) -> Any:
        return x.sum(0), (x * x).sum(0), x.max(0), rg.argmax(x, 0), x.sum(), x.max()

    for shape in ((5, 3), (100, 64), (1000, 48)):
        check(several, [draw(shape)], 64.0)

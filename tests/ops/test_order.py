"""cumsum, sort, argsort, top_k."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import retrograd as rg
from retrograd.ops.order import argsort, cumsum, sort, top_k
from tests.ops.derivatives import check_derivatives

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 4, 5))
TIES = RANDOM.integers(0, 3, (4, 9))


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint32"])
def test_cumsum(axis: int | None, dtype: str) -> None:
    x = (X * 4).astype(dtype) if dtype != "uint32" else TIES.astype(dtype)
    result = cumsum(x, axis).numpy()
    expected = np.cumsum(x.astype(np.float64) if x.dtype.kind == "f" else x, axis)
    expected = expected.astype(dtype if x.dtype.kind == "f" else np.int64)
    np.testing.assert_array_equal(result, expected, strict=True)


def test_cumsum_counts_bools_and_bytes_as_int64() -> None:
    for dtype in (bool, np.uint8):
        result = cumsum(np.full(300, 1, dtype))
        assert result.dtype == np.int64
        assert int(result[-1]) == 300


def test_cumsum_does_not_drift_in_float32() -> None:
    result = cumsum(np.full(100_000, 0.1, np.float32)).numpy()
    expected = np.float64(np.float32(0.1)) * np.arange(1, 100_001)
    np.testing.assert_allclose(result, expected, rtol=6e-8)


@pytest.mark.parametrize("axis", [0, 1, 2, None])
def test_cumsum_derivatives(axis: int | None) -> None:
    check_derivatives(lambda x: cumsum(cumsum(x, axis) ** 2, axis), X)


def test_empty_axes() -> None:
    empty = np.zeros((2, 0))
    assert cumsum(empty, 1).shape == (2, 0)
    assert sort(empty).shape == (2, 0)
    values, positions = top_k(empty, 0)
    assert values.shape == positions.shape == (2, 0)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("descending", [False, True])
def test_sort_and_argsort_are_stable(axis: int | None, dtype: str, descending: bool) -> None:
    x = TIES.astype(dtype)
    # Equal elements keep their order both ways.
    expected = np.argsort(
        -TIES if descending and dtype != "bool" else -x.astype(int) if descending else x,
        axis,
        kind="stable",
    )
    flat = x.ravel() if axis is None else x
    along = 0 if axis is None else axis
    positions, values = argsort(x, axis, descending), sort(x, axis, descending)
    assert positions.dtype == np.int32
    np.testing.assert_array_equal(positions.numpy(), expected)
    np.testing.assert_array_equal(
        values.numpy(), np.take_along_axis(flat, expected, along), strict=True
    )


def test_nan_is_the_largest() -> None:
    x = np.array([2.0, np.nan, -np.inf, np.inf, np.nan, 0.0])
    np.testing.assert_array_equal(sort(x).numpy(), np.sort(x))
    assert argsort(x).numpy().tolist() == [2, 5, 0, 3, 1, 4]
    assert argsort(x, descending=True).numpy().tolist() == [1, 4, 3, 0, 5, 2]
    values, positions = top_k(x, 3)
    np.testing.assert_array_equal(values.numpy(), [np.nan, np.nan, np.inf])
    assert positions.numpy().tolist() == [1, 4, 3]


@pytest.mark.parametrize("axis", [0, 1, 2, None])
@pytest.mark.parametrize("descending", [False, True])
def test_sort_derivatives(axis: int | None, descending: bool) -> None:
    scale = np.arange(1.0, 1 + X.size).reshape(X.shape)
    weights = scale.ravel() if axis is None else scale
    check_derivatives(lambda x: weights * sort(x, axis, descending) ** 3, X)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.data())
def test_top_k_is_the_head_of_the_stable_order(items: list[int], data: Any) -> None:
    k = data.draw(st.integers(0, len(items)))
    dtype = data.draw(st.sampled_from(["float32", "int32", "float64"]))
    x = np.array(items, dtype)
    values, positions = top_k(x, k)
    expected = sorted(range(len(items)), key=lambda n: (-items[n], n))[:k]
    assert positions.dtype == np.int32
    assert positions.numpy().tolist() == expected
    np.testing.assert_array_equal(values.numpy(), x[expected], strict=True)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_top_k_along_axes(axis: int) -> None:
    values, positions = top_k(X, 2, axis)
    order = np.flip(np.argsort(X, axis), axis)
    expected = np.take(order, [0, 1], axis)
    np.testing.assert_array_equal(positions.numpy(), expected)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(X, expected, axis))
    check_derivatives(lambda x: top_k(x, 2, axis)[0] ** 3, X)


def test_largest_unsigned_and_smallest_signed_integers() -> None:
    assert top_k(np.array([0, 2**32 - 1, 5], np.uint32), 2)[1].numpy().tolist() == [1, 2]
    lowest = np.array([-(2**31), 0, 2**31 - 1], np.int32)
    assert argsort(lowest, descending=True).numpy().tolist() == [2, 1, 0]


def test_integers_inside_a_gradient_have_none() -> None:
    def loss(x: Any) -> Any:
        order = argsort(rg.astype(x * 10, "int32"))
        return rg.sum(x[order] * np.arange(3.0))

    gradient = rg.grad(loss)(rg.array(np.array([3.0, 1.0, 2.0])))
    assert gradient.numpy().tolist() == [2, 0, 1]


def test_gradient_of_ties_goes_to_the_position_that_is_returned() -> None:
    gradient = rg.grad(lambda x: rg.sum(top_k(x, 1)[0]))(rg.array([1.0, 7.0, 7.0]))
    assert gradient.numpy().tolist() == [0, 1, 0]


def test_errors() -> None:
    with pytest.raises(rg.errors.ArgumentError, match="between 0 and 5.* received 6"):
        top_k(X, 6)
    with pytest.raises(rg.errors.ArgumentError, match="received -1"):
        top_k(X, -1)
    with pytest.raises(rg.errors.ArgumentTypeError, match="k must be an integer"):
        top_k(X, 2.0)  # type: ignore[arg-type]
    for function in (cumsum, sort, argsort):
        with pytest.raises(rg.errors.ShapeError, match=f"{function.__name__}: axis 3"):
            function(X, 3)


def test_compiled() -> None:
    run = rg.compile(lambda x: (sort(x), argsort(x), top_k(x, 2), cumsum(x, 1)), executor="numpy")
    values, positions, (best, _), sums = run(rg.array(X[0]))
    np.testing.assert_array_equal(values.numpy(), np.sort(X[0]))
    np.testing.assert_array_equal(positions.numpy(), np.argsort(X[0]))
    np.testing.assert_array_equal(best.numpy(), np.sort(X[0])[:, :-3:-1])
    np.testing.assert_allclose(sums.numpy(), np.cumsum(X[0], 1))

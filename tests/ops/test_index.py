"""take, take_along_axis, one_hot and their primitives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.ops.index import (
    gather_along_p,
    gather_p,
    one_hot,
    scatter_add_along_p,
    scatter_add_p,
    take,
    take_along_axis,
)
from retrograd.trace import bind
from tests.ops.derivatives import check_derivatives

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 4, 5))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, None])
@pytest.mark.parametrize(
    "indices", [0, -1, [2, 0, -3], [[0, 1], [2, 2]], [], np.zeros((0, 2), np.int32)], ids=str
)
def test_take_is_that_of_numpy(axis: int | None, indices: Any) -> None:
    result = take(X, indices, axis).numpy()
    expected = np.take(X, np.asarray(indices, np.int64), axis)
    assert result.dtype == X.dtype
    np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint32", "int64"])
@pytest.mark.parametrize("values", ["float32", "float64", "int32", "uint8", "bool"])
def test_all_dtypes_of_indices_and_values(dtype: str, values: str) -> None:
    x = (np.arange(300) % 2).astype(values)
    indices = np.array([0, 255, 3], dtype)
    np.testing.assert_array_equal(take(x, indices).numpy(), x[[0, 255, 3]], strict=True)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_traced_indices_are_wrapped_and_checked(dtype: str) -> None:
    @rg.compile(executor="numpy")
    def read(x: Any, indices: Any) -> Any:
        return take(x, indices, axis=1)

    given = [0, 3, 1] if dtype == "uint8" else [0, -1, -4]
    result = read(rg.array(X), rg.array(np.array(given, dtype)))
    np.testing.assert_array_equal(result.numpy(), np.take(X, given, 1))
    for wrong in [4] if dtype == "uint8" else [4, -5, -9]:
        with pytest.raises(rg.errors.IndexRangeError, match=rf"index {wrong} \(at \(1,\)") as info:
            read(rg.array(X), rg.array(np.array([0, wrong, 1], dtype)))
        assert "size 4" in str(info.value)
        assert "return take(x, indices, axis=1)" in str(info.value)


def test_known_indices_are_checked_where_they_are_used() -> None:
    with pytest.raises(rg.errors.IndexRangeError, match="index -4 .* size 3") as info:
        take(X, [0, -4], axis=0)
    assert "take(X, [0, -4], axis=0)" in str(info.value)
    with pytest.raises(rg.errors.IndexRangeError, match="the axis is empty|size 0"):
        take(np.zeros((0, 2)), [0], axis=0)


@pytest.mark.parametrize("wrong", [[0.5], [True, False], [1.0]])
def test_indices_must_be_integers(wrong: Any) -> None:
    with pytest.raises(rg.errors.DTypeError, match="must be integers"):
        take(X, wrong)


def test_the_axis_is_checked() -> None:
    with pytest.raises(rg.errors.ShapeError, match="axis 3"):
        take(X, [0], axis=3)
    with pytest.raises(rg.errors.ArgumentTypeError, match="axis must be an integer"):
        take(X, [0], axis=1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_take_derivatives(axis: int) -> None:
    indices = np.array([[0, 2], [2, 1]])
    check_derivatives(lambda x: take(x, indices, axis) ** 3, X)


def _reference_scatter(updates: Any, indices: Any, axis: int, size: int) -> Any:
    end = axis + indices.ndim
    result = np.zeros((*updates.shape[:axis], size, *updates.shape[end:]), updates.dtype)
    np.add.at(result, (slice(None),) * axis + (indices,), updates)
    return result


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
@pytest.mark.parametrize("shape", [(), (7,), (2, 3), (0,)], ids=str)
@pytest.mark.parametrize(("before", "after"), [((), ()), ((), (3,)), ((2,), (3, 2)), ((2,), ())])
def test_scatter_add_adds_duplicates(
    dtype: str, shape: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    random = np.random.default_rng(1)
    indices = random.integers(0, 4, shape).astype(np.int32)
    updates = np.asarray(random.integers(0, 9, (*before, *shape, *after)), dtype)
    arrays = rg.array(updates), rg.array(np.asarray(indices))
    result = bind(scatter_add_p, *arrays, axis=len(before), size=6)[0].numpy()
    expected = _reference_scatter(updates, np.asarray(indices), len(before), 6)
    np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather_and_scatter_add_are_transposes(axis: int) -> None:
    indices = rg.array(np.array([[0, 2], [2, 2]], np.int32))
    rows = bind(gather_p, rg.array(X), indices, axis=axis)[0].numpy()
    updates = RANDOM.normal(size=rows.shape)
    back = bind(scatter_add_p, rg.array(updates), indices, axis=axis, size=X.shape[axis])[0]
    np.testing.assert_allclose(np.sum(rows * updates), np.sum(X * back.numpy()), rtol=1e-13)

    def scatter(u: Any) -> Any:
        return bind(scatter_add_p, u, indices, axis=axis, size=X.shape[axis])[0] ** 3

    check_derivatives(scatter, updates)


@pytest.mark.parametrize("axis", [0, 1])
def test_scatter_add_along_is_the_transpose(axis: int) -> None:
    x = X[0]
    count = [x.shape[0], x.shape[1]]
    count[axis] = 6
    places = rg.array(RANDOM.integers(0, x.shape[axis], count))
    read = bind(gather_along_p, rg.array(x), places, axis=axis)[0].numpy()
    np.testing.assert_array_equal(read, np.take_along_axis(x, places.numpy(), axis))
    updates = RANDOM.normal(size=read.shape)
    size = x.shape[axis]
    back = bind(scatter_add_along_p, rg.array(updates), places, axis=axis, size=size)[0].numpy()
    np.testing.assert_allclose(np.sum(read * updates), np.sum(x * back), rtol=1e-13)

    def scatter(u: Any) -> Any:
        return bind(scatter_add_along_p, u, places, axis=axis, size=size)[0] ** 3

    check_derivatives(scatter, updates)
    check_derivatives(lambda v: take_along_axis(v, places, axis) ** 3, x)


def test_scatter_add_refuses_what_does_not_fit() -> None:
    updates, indices = rg.array(np.ones((2, 3))), rg.array(np.array([0, 5]))
    with pytest.raises(rg.errors.IndexRangeError, match="index 5 .* size 4"):
        bind(scatter_add_p, updates, indices, axis=0, size=4)
    with pytest.raises(rg.errors.ShapeError):
        bind(scatter_add_p, updates, indices, axis=1, size=4)
    with pytest.raises(rg.errors.ShapeError):
        bind(scatter_add_along_p, updates, indices, axis=0, size=4)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_along_axis_is_that_of_numpy(axis: int) -> None:
    order = np.argsort(X, axis)
    expected = np.take_along_axis(X, order, axis)
    np.testing.assert_array_equal(take_along_axis(X, order, axis).numpy(), expected)
    np.testing.assert_array_equal(take_along_axis(X, order - X.shape[axis], axis).numpy(), expected)


def test_take_along_axis_broadcasts_and_flattens() -> None:
    indices = np.array([[[0], [2], [1], [1]]])
    expected = np.take_along_axis(X, np.broadcast_to(indices, (3, 4, 1)), 2)
    np.testing.assert_array_equal(take_along_axis(X, indices, 2).numpy(), expected)
    flat = np.array([5, 0, -1])
    np.testing.assert_array_equal(take_along_axis(X, flat, None).numpy(), X.ravel()[flat])


def test_take_along_axis_explains_its_shapes() -> None:
    with pytest.raises(rg.errors.ShapeError, match=r"labels\[:, None\]"):
        take_along_axis(X[0], [0, 1, 2, 0], 1)
    with pytest.raises(rg.errors.ShapeError, match="do not go together"):
        take_along_axis(X[0], [[0], [1], [2]], 1)
    with pytest.raises(rg.errors.IndexRangeError, match="index 5"):
        take_along_axis(X[0], [[0], [5], [1], [1]], 1)


def test_one_hot() -> None:
    labels = np.array([[2, 0], [1, 1]])
    result = one_hot(labels, 3)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result.numpy(), np.eye(3, dtype=np.float32)[labels])
    assert one_hot(1, 3).numpy().tolist() == [0, 1, 0]
    assert one_hot([], 3).shape == (0, 3)
    assert one_hot(np.array([200], np.uint8), 300, "int32").numpy().argmax() == 200
    assert one_hot(labels, 3, bool).dtype == np.bool_


def test_one_hot_refuses_labels_out_of_range() -> None:
    for wrong in (-1, 3):
        with pytest.raises(rg.errors.IndexRangeError, match=f"one_hot: index {wrong}"):
            one_hot([0, wrong], 3)

        @rg.compile(executor="numpy")
        def encode(labels: Any) -> Any:
            return one_hot(labels, 3)

        assert encode(rg.array([0, 2])).numpy().tolist() == [[1, 0, 0], [0, 0, 1]]
        with pytest.raises(rg.errors.IndexRangeError, match=f"index {wrong}"):
            encode(rg.array([0, wrong]))
    with pytest.raises(rg.errors.ArgumentError, match="classes"):
        one_hot([0], 0)
    with pytest.raises(rg.errors.DTypeError, match="integers"):
        one_hot([0.0], 2)


def test_embedding_gradient_adds_up_repeated_rows() -> None:
    table = RANDOM.normal(size=(5, 2))
    tokens = np.array([[1, 1, 4], [1, 0, 4]])
    gradient = rg.grad(lambda t: rg.sum(take(t, tokens, axis=0)))(rg.array(table)).numpy()
    np.testing.assert_array_equal(gradient[:, 0], [1, 3, 0, 0, 2])

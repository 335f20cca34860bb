"""x[...] against NumPy."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import retrograd as rg
from retrograd.errors import ArgumentTypeError
from tests.ops.derivatives import check_derivatives


def _numbers(shape: tuple[int, ...]) -> Any:
    return np.arange(float(np.prod(shape))).reshape(shape)


@st.composite
def _keys(draw: Any) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """A shape and an index that NumPy takes: every kind of part in any order."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    common = draw(st.sampled_from([(), (2,), (3, 2), (1, 2)]))
    used = draw(st.integers(0, len(shape)))
    dots = draw(st.one_of(st.none(), st.integers(0, used)))
    key: list[Any] = []
    for position in range(used):
        if position == dots:
            key.append(Ellipsis)
        axis = position if dots is None or position < dots else len(shape) - used + position
        key.extend([None] * draw(st.sampled_from([0, 0, 0, 1])))
        key.append(_draw_part(draw, shape[axis], common))
    if dots == used:
        key.append(Ellipsis)
    key.extend([None] * draw(st.sampled_from([0, 0, 1])))
    return shape, tuple(key)


def _draw_part(draw: Any, size: int, common: tuple[int, ...]) -> Any:
    kind = draw(st.sampled_from(["integer", "slice", "slice", "array"]))
    inside = st.integers(-size, size - 1)
    if kind == "integer":
        return draw(inside)
    if kind == "slice":
        bound = st.one_of(st.none(), st.integers(-size - 2, size + 2))
        step = st.one_of(st.none(), st.integers(1, 3), st.integers(-3, -1))
        return slice(draw(bound), draw(bound), draw(step))
    count = int(np.prod(common))
    values = draw(st.lists(inside, min_size=count, max_size=count))
    return np.array(values, draw(st.sampled_from([np.int32, np.int64]))).reshape(common)


@settings(max_examples=500, deadline=None)
@given(_keys())
def test_values_are_those_of_numpy(case: tuple[tuple[int, ...], tuple[Any, ...]]) -> None:
    shape, key = case
    x = _numbers(shape)
    expected = x[key]
    np.testing.assert_array_equal(rg.array(x)[key].numpy(), expected, strict=True)


@settings(max_examples=100, deadline=None)
@given(_keys())
def test_gradients_add_up_where_elements_are_read(
    case: tuple[tuple[int, ...], tuple[Any, ...]],
) -> None:
    shape, key = case
    x = _numbers(shape)
    expected = np.zeros(shape)
    np.add.at(expected, key, 2 * x[key])
    gradient = rg.grad(lambda v: rg.sum(v[key] ** 2))(rg.array(x))
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(_keys())
def test_traced_index_arrays_mean_the_same(case: tuple[tuple[int, ...], tuple[Any, ...]]) -> None:
    shape, key = case
    x = _numbers(shape)
    arrays = [part for part in key if isinstance(part, np.ndarray)]

    def read(v: Any, *given: Any) -> Any:
        rest = iter(given)
        return v[tuple(next(rest) if isinstance(part, np.ndarray) else part for part in key)]

    result = rg.compile(read, executor="numpy")(rg.array(x), *map(rg.array, arrays))
    np.testing.assert_array_equal(result.numpy(), x[key], strict=True)


@pytest.mark.parametrize(
    "key",
    [
        [0, 2],
        [[1], [2]],
        (slice(None), [1, 0]),
        ([0, 2], [3, 1]),
        ([[0], [2]], [3, 1]),
        ([0, 2], slice(None), [3, 1]),
        (0, slice(None), [1, 2]),
        ([0, 1], 2),
        ([],),
        (..., [0, -1]),
        (slice(None, None, -2), [0, 1]),
        (None, [0, 1], None, 1),
        np.int64(2),
    ],
    ids=str,
)
def test_index_lists(key: Any) -> None:
    x = _numbers((3, 4, 5))
    empty = isinstance(key, tuple) and key == ([],)
    expected = x[np.zeros(0, int)] if empty else x[key]
    np.testing.assert_array_equal(rg.array(x)[key].numpy(), expected, strict=True)


def test_small_dtypes_of_indices_do_not_overflow() -> None:
    x = _numbers((100, 100))
    rows, columns = np.array([99, 98], np.uint8), np.array([97, 96], np.uint8)
    np.testing.assert_array_equal(rg.array(x)[rows, columns].numpy(), x[rows, columns])


def test_arrays_index_arrays() -> None:
    x = rg.array(_numbers((3, 4)))
    best = rg.argmax(x, axis=1)
    np.testing.assert_array_equal(x[rg.array([0, 1, 2]), best].numpy(), [3, 7, 11])
    assert float(x[rg.array(1), rg.array(2)]) == 6


def test_derivatives() -> None:
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    check_derivatives(lambda v: v[::-2, [0, 3, 3], None, [1, -1, -1]] ** 3, x)
    check_derivatives(lambda v: v[[1, 1], :, [0, 2]] ** 3, x)


@pytest.mark.parametrize(
    ("key", "error", "words"),
    [
        (3, "IndexRangeError", "Index 3 is out of range for axis 0 of size 3"),
        (-4, "IndexRangeError", "Index -4"),
        ((0, 0, 0), "IndexRangeError", "3 indices for an array of 2 axes"),
        ((..., ...), "IndexRangeError", "only one Ellipsis"),
        ([0, 3], "IndexRangeError", r"index 3 \(at \(1,\)"),
        (([0, 1], [0, 4]), "IndexRangeError", "index 4 .* size 4"),
        (([0, 1], [0, 1, 2]), "ShapeError", "do not go together"),
        ([True, False, True], "ArgumentTypeError", "cannot be indexed by bools"),
        (True, "ArgumentTypeError", "cannot be indexed by bools"),
        ([0.5], "ArgumentTypeError", "must be integers"),
        (1.0, "ArgumentTypeError", "float 1.0 cannot be an index"),
        ("a", "ArgumentTypeError", "str 'a' cannot be an index"),
        (slice(None, None, 0), "ArgumentTypeError", "zero"),
        (slice(0.5), "ArgumentTypeError", "slice"),
    ],
    ids=str,
)
def test_errors(key: Any, error: str, words: str) -> None:
    x = rg.array(_numbers((3, 4)))
    with pytest.raises(getattr(rg.errors, error), match=words):
        x[key]


def test_traced_pairs_are_checked_one_by_one() -> None:
    x = rg.array(_numbers((3, 4)))
    read = rg.compile(lambda i, j: x[i, j], executor="numpy")
    assert float(read(rg.array(-1), rg.array(-4))) == 8
    # Merged, (0, 5) would be the element (1, 1).
    with pytest.raises(rg.errors.IndexRangeError, match="index 5 .* size 4"):
        read(rg.array(0), rg.array(5))


def test_a_mask_whose_values_are_known_selects_as_in_numpy() -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    x = rg.array(values)
    for mask in (values > 10, values[0] > 5, values[:, 0, 0] > 5):
        key = mask if mask.shape[0] == 2 else (slice(None), mask)
        np.testing.assert_array_equal(x[key].numpy(), values[key])
    np.testing.assert_array_equal(x[x > 10].numpy(), values[values > 10])
    gradient = rg.grad(lambda x: (x[values > 10] ** 2).sum())(x)
    np.testing.assert_array_equal(gradient.numpy(), np.where(values > 10, 2 * values, 0))


def test_a_traced_mask_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ArgumentTypeError, match="being traced"):
        rg.grad(lambda x: x[x > 0].sum())(rg.array([1.0, -1.0]))

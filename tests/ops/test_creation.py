"""zeros, ones, full, arange, linspace, eye and the *_like forms."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import retrograd as rg
from retrograd.ops.creation import (
    arange,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    zeros,
    zeros_like,
)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool", int])
@pytest.mark.parametrize("shape", [(), 3, (2, 3), [2, 0], (np.int64(2),)], ids=str)
def test_constants(shape: Any, dtype: Any) -> None:
    wanted = np.int32 if dtype is int else dtype
    np.testing.assert_array_equal(zeros(shape, dtype).numpy(), np.zeros(shape, wanted), strict=True)
    np.testing.assert_array_equal(ones(shape, dtype).numpy(), np.ones(shape, wanted), strict=True)
    np.testing.assert_array_equal(
        full(shape, 1, dtype).numpy(), np.full(shape, 1, wanted), strict=True
    )


def test_default_dtypes() -> None:
    assert zeros(1).dtype == ones(1).dtype == eye(1).dtype == linspace(0, 1).dtype == np.float32
    assert full(1, 2.0).dtype == np.float32
    assert full(1, 2).dtype == np.int32
    assert full(1, True).dtype == np.bool_
    assert full(2, np.float64(3)).dtype == np.float64


def test_constants_take_no_memory() -> None:
    shape = (1 << 20, 1 << 20)
    for array in (zeros(shape), ones(shape), full(shape, 3.0), zeros_like(zeros(shape))):
        assert array.numpy().strides == (0, 0)
        assert not array.numpy().flags.writeable
    assert float(ones((3, 4)).sum()) == 12


def test_like() -> None:
    x = rg.array(np.ones((2, 3), np.int64))
    for function, value in ((zeros_like, 0), (ones_like, 1)):
        np.testing.assert_array_equal(
            function(x).numpy(), np.full((2, 3), value, np.int64), strict=True
        )
        assert function(x, "float64").dtype == np.float64
    np.testing.assert_array_equal(full_like(x, 7).numpy(), np.full((2, 3), 7), strict=True)
    assert full_like(x, 0.5, "float32").numpy().tolist() == [[0.5] * 3] * 2
    assert zeros_like([1.0, 2.0]).dtype == np.float32


def test_full_of_an_array_broadcasts_and_has_a_gradient() -> None:
    np.testing.assert_array_equal(full((2, 2), [1, 2]).numpy(), [[1, 2], [1, 2]])
    gradient = rg.grad(lambda v: rg.sum(full((2, 3), v) ** 2))(rg.array(3.0))
    assert float(gradient) == 36


def test_like_inside_a_compiled_program() -> None:
    run = rg.compile(lambda x: x + ones_like(x) * 2 + full_like(x, 1), executor="numpy")
    assert run(rg.array([1.0, 2.0])).numpy().tolist() == [4, 5]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: zeros(-1), "ShapeError", "cannot be negative"),
        (lambda: ones((2, 1.5)), "ArgumentTypeError", "sizes are integers"),
        (lambda: zeros(2, "float16"), "DTypeError", "float16 is not supported"),
        (lambda: full(2, 300, "uint8"), "ArgumentTypeError", "300 does not fit into uint8"),
        (lambda: full(2, 0.5, "int32"), "ArgumentTypeError", "0.5 does not fit into int32"),
        (lambda: full(2, float("nan"), int), "ArgumentTypeError", "nan does not fit"),
        (lambda: full(2, [1, 2, 3]), "ShapeError", "cannot be broadcast"),
        (lambda: full_like(np.zeros(2, np.uint8), -1), "ArgumentTypeError", "does not fit"),
        (lambda: arange(0, 5, 0), "ArgumentError", "step cannot be 0"),
        (lambda: arange(0, float("inf")), "ArgumentError", "stop must be finite"),
        (lambda: arange("5"), "ArgumentTypeError", "must be a number"),
        (lambda: arange(300, dtype="uint8"), "ArgumentError", "does not fit into uint8"),
        (lambda: arange(2**70, 2**70 + 1), "ArgumentError", "does not fit into int64"),
        (lambda: linspace(0, 1, -1), "ArgumentError", "cannot be negative"),
        (lambda: linspace(0, 1, 2.5), "ArgumentTypeError", "num must be an integer"),
        (lambda: linspace(float("nan"), 1), "ArgumentError", "start must be finite"),
        (lambda: eye(-1), "ArgumentError", "cannot be negative"),
        (lambda: eye(2, 2, 0.5), "ArgumentTypeError", "k must be an integer"),
    ],
)
def test_errors(call: Any, error: str, words: str) -> None:
    with pytest.raises(getattr(rg.errors, error), match=words):
        call()


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.integers(-40, 40), st.sampled_from([-2.5, 0.0, 0.1, 7.25])),
    st.one_of(st.none(), st.integers(-40, 40), st.sampled_from([-3.5, 1.0, 9.75])),
    st.one_of(st.integers(1, 7), st.integers(-7, -1), st.sampled_from([0.5, -0.25, 1.5])),
)
def test_arange(start: Any, stop: Any, step: Any) -> None:
    expected = np.arange(start, stop, step) if stop is not None else np.arange(0, start, step)
    result = arange(start, stop, step).numpy()
    wanted = np.int32 if expected.dtype.kind == "i" else np.float32
    np.testing.assert_array_equal(result, expected.astype(wanted), strict=True)


def test_arange_dtypes() -> None:
    assert arange(5).numpy().tolist() == [0, 1, 2, 3, 4]
    assert arange(5, dtype="float64").dtype == np.float64
    assert arange(2**31 - 1, 2**31).dtype == np.int32
    assert arange(2**31, 2**31 + 1).numpy().tolist() == [2**31]
    assert arange(2**31, 2**31 + 1).dtype == np.int64
    assert arange(-(2**31), 1 - 2**31).dtype == np.int32
    assert arange(-(2**31) - 1, 0, 2**31).dtype == np.int64
    assert arange(2**63 - 1, 2**63).numpy().tolist() == [2**63 - 1]
    assert arange(np.int64(3)).dtype == np.int32
    assert arange(rg.array(3)).shape == (3,)


def test_a_range_cannot_depend_on_a_traced_value() -> None:
    for function in (
        rg.compile(lambda n: arange(n), executor="numpy"),
        rg.grad(lambda n: rg.sum(arange(n))),
    ):
        with pytest.raises(rg.errors.ArgumentTypeError, match="stop is a traced value"):
            function(rg.array(3.0))


@pytest.mark.parametrize("num", [0, 1, 2, 7])
@pytest.mark.parametrize("endpoint", [True, False])
def test_linspace(num: int, endpoint: bool) -> None:
    for start, stop in ((0, 1), (-2.5, 7), (3, -3)):
        expected = np.linspace(start, stop, num, endpoint=endpoint)
        result = linspace(start, stop, num, endpoint)
        np.testing.assert_array_equal(result.numpy(), expected.astype(np.float32), strict=True)
        whole = linspace(start, stop, num, endpoint, "int32").numpy()
        np.testing.assert_array_equal(
            whole, np.linspace(start, stop, num, endpoint=endpoint, dtype=np.int32), strict=True
        )


@pytest.mark.parametrize(("rows", "columns", "k"), [(3, None, 0), (2, 4, 1), (4, 2, -1), (0, 2, 0)])
def test_eye(rows: int, columns: int | None, k: int) -> None:
    expected = np.eye(rows, columns, k, dtype=np.float32)
    np.testing.assert_array_equal(eye(rows, columns, k).numpy(), expected, strict=True)
    assert eye(2, dtype="int32").dtype == np.int32

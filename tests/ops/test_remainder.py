"""Remainders and whole quotients of floats, and sums of integers, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as rg


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_remainder_and_floor_divide_are_numpys(dtype: str) -> None:
    a = np.array([5, -5, 7.5, -7.5, 1e6, 0, 3], dtype)
    for b in (np.asarray(0.1, dtype), np.asarray(3, dtype), np.asarray(-2, dtype)):
        if b == 0:
            continue
        np.testing.assert_array_equal(rg.remainder(a, b).numpy(), np.remainder(a, b))
        np.testing.assert_array_equal(rg.floor_divide(a, b).numpy(), np.floor_divide(a, b))


def test_the_remainder_by_infinity_is_the_number() -> None:
    assert float(rg.array(1.0) % float("inf")) == 1.0


def test_sums_of_integers_do_not_wrap_at_32_bits() -> None:
    x = rg.array(np.full(3, 2**30, np.int32))
    assert int(x.sum()) == 3 * 2**30
    assert int(x.prod()) == np.prod(x.numpy())
    assert x.sum().dtype == np.int64

"""The strategies give what they say, and find what they are for."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import retrograd as rg
from retrograd.errors import MissingDependencyError
from retrograd.ir.types import DTYPES
from retrograd.testing import check_gradients, strategies


@settings(deadline=None)
@given(strategies.shapes(min_dims=1, max_dims=3, min_side=1, max_side=2))
def test_shapes(shape: tuple[int, ...]) -> None:
    assert 1 <= len(shape) <= 3 and set(shape) <= {1, 2}


@settings(deadline=None)
@given(strategies.arrays(strategies.dtypes(), low=-5, high=5))
def test_arrays_of_all_dtypes(x: np.ndarray[Any, Any]) -> None:
    assert x.dtype.name in DTYPES and x.ndim <= 4
    assert np.isfinite(x).all() and (x.size == 0 or abs(x.astype(np.float64)).max() <= 5)
    assert rg.array(x).dtype == x.dtype


@settings(deadline=None)
@given(strategies.arrays("int32", (4,), low=0, high=9, unique=True))
def test_unique_arrays(x: np.ndarray[Any, Any]) -> None:
    assert len(set(x.tolist())) == 4


@settings(deadline=None)
@given(strategies.broadcastable_shapes(3), st.data())
def test_broadcasting_is_that_of_numpy(shapes: Any, data: st.DataObject) -> None:
    arrays = [data.draw(strategies.arrays("float64", shape)) for shape in shapes]
    expected = arrays[0] + arrays[1] * arrays[2]
    found = rg.array(arrays[0]) + rg.array(arrays[1]) * rg.array(arrays[2])
    np.testing.assert_array_equal(found.numpy(), expected)


@settings(deadline=None)
@given(strategies.broadcastable_shapes(2, min_side=1, max_side=3))
def test_gradients_of_broadcasting(shapes: Any) -> None:
    arrays = [np.full(shape, 0.7) for shape in shapes]
    check_gradients(lambda a, b: a * rg.sin(b), *arrays, order=1)


@settings(deadline=None)
@given(st.data())
def test_indexing_is_that_of_numpy(data: st.DataObject) -> None:
    x = data.draw(strategies.arrays("float64", strategies.shapes(min_side=1, max_dims=3)))
    index = data.draw(strategies.slices(x.shape))
    found = rg.array(x)[index]
    np.testing.assert_array_equal(found.numpy(), x[index])
    gradient = rg.grad(lambda v: (v[index] * v[index]).sum())(rg.array(x)).numpy()
    expected = np.zeros_like(x)
    expected[index] = 2 * x[index]
    np.testing.assert_array_equal(gradient, expected)


def test_without_hypothesis_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingDependencyError, match="hypothesis") as caught:
        strategies.shapes()
    assert 'pip install "retrograd[dev]"' in str(caught.value)

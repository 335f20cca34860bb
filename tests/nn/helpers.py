"""What the tests of nn share: numbers, Modules in float64, gradients from differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import retrograd as rg
from retrograd import nn, tree


def draw(*shape: int, seed: int = 0, dtype: str = "float64") -> Any:
    """Normal numbers, the same at each call."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def to_float64(module: nn.Module) -> nn.Module:
    """The Module itself, its floating Arrays converted."""
    arrays = {id(a): a.astype("float64") for a in module.named_state().values()}
    module.replace_arrays(arrays)
    return module


def snapshot(module: nn.Module) -> dict[str, Any]:
    """Copies of all Arrays by path."""
    return {path: np.array(array) for path, array in module.named_state().items()}


def assert_same_state(first: dict[str, Any], second: dict[str, Any], rounding: float = 0) -> None:
    assert list(first) == list(second)
    for path, value in first.items():
        np.testing.assert_allclose(value, second[path], rounding, rounding, err_msg=path)


def assert_trees_equal(first: Any, second: Any, rounding: float = 0) -> None:
    """Equal to the last bit, or but for rounding, relative and absolute."""
    ours, structure = tree.flatten(first)
    others, other_structure = tree.flatten(second)
    assert structure == other_structure
    for a, b in zip(ours, others, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rounding, rounding)


def assert_gradient(function: Callable[[Any], Any], x: Any, expected: Any) -> None:
    """The gradient of the sum of a function of one array."""
    gradient = rg.grad(lambda value: function(value).sum())(rg.array(np.asarray(x, "float64")))
    np.testing.assert_allclose(np.asarray(gradient), expected, rtol=1e-12, atol=1e-14)

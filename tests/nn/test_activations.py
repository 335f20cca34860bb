"""Activations: values and gradients, at corners, far out, and for NaN and infinity."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.nn.activations import __all__ as NAMES
from tests.nn.helpers import assert_gradient


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def gelu_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805
# Name -> the value and the derivative, in plain Python.
FORMULAS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "identity": (lambda x: x, lambda x: 1.0),
    "relu": (lambda x: max(x, 0.0), lambda x: float(x > 0)),
    "relu6": (lambda x: min(max(x, 0.0), 6.0), lambda x: float(0 < x < 6)),
    "leaky_relu": (lambda x: x if x > 0 else 0.01 * x, lambda x: 1.0 if x > 0 else 0.01),
    "elu": (
        lambda x: x if x > 0 else math.expm1(x),
        lambda x: 1.0 if x > 0 else math.exp(x),
    ),
    "selu": (
        lambda x: SCALE * (x if x > 0 else ALPHA * math.expm1(x)),
        lambda x: SCALE * (1.0 if x > 0 else ALPHA * math.exp(x)),
    ),
    "gelu": (
        lambda x: x * normal_cdf(x),
        lambda x: normal_cdf(x) + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    ),
    "silu": (
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
    ),
    "softplus": (softplus, sigmoid),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "tanh": (math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    "mish": (
        lambda x: x * math.tanh(softplus(x)),
        lambda x: math.tanh(softplus(x)) + x * sigmoid(x) * (1 - math.tanh(softplus(x)) ** 2),
    ),
    "softsign": (lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
    "hard_sigmoid": (
        lambda x: min(max(x + 3, 0.0), 6.0) / 6,
        lambda x: 1 / 6 if -3 < x < 3 else 0.0,
    ),
    "hard_tanh": (lambda x: min(max(x, -1.0), 1.0), lambda x: float(-1 < x < 1)),
    "hard_swish": (
        lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
        lambda x: 0.0 if x <= -3 else 1.0 if x >= 3 else x / 3 + 0.5,
    ),
}
ALONG_AN_AXIS = {"softmax", "log_softmax"}
POINTS = np.array(
    [-30.0, -7.3, -3.0, -2.5, -1.0, -0.4, -1e-9, 0.0, 0.3, 1.0, 1.7, 3.0, 5.5, 6.0, 9.0, 40.0]
)


def test_the_table_is_complete() -> None:
    assert set(FORMULAS) | ALONG_AN_AXIS == set(NAMES)


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_values_and_gradients(name: str) -> None:
    value, derivative = FORMULAS[name]
    function = getattr(nn, name)
    expected = [value(x) for x in POINTS]
    # gelu: 1 + erf loses what erfc keeps, as in PyTorch; so the error is absolute.
    absolute = 1e-15 if name == "gelu" else 1e-300
    np.testing.assert_allclose(np.asarray(function(POINTS)), expected, rtol=1e-12, atol=absolute)
    assert_gradient(function, POINTS, [derivative(x) for x in POINTS])


def test_arguments() -> None:
    x = np.array([-2.0, -0.5, 0.0, 1.5])
    for function, expected in (
        (lambda x: nn.leaky_relu(x, 0.3), [-0.6, -0.15, 0.0, 1.5]),
        (lambda x: nn.elu(x, 2.0), [2 * math.expm1(-2), 2 * math.expm1(-0.5), 0.0, 1.5]),
        (lambda x: nn.softplus(x, 3.0), [softplus(3 * v) / 3 for v in x]),
        (lambda x: nn.gelu(x, "tanh"), [gelu_tanh(v) for v in x]),
    ):
        np.testing.assert_allclose(np.asarray(function(x)), expected, rtol=1e-13, atol=1e-16)
    assert_gradient(lambda x: nn.leaky_relu(x, 0.3), x, [0.3, 0.3, 0.3, 1.0])
    assert_gradient(lambda x: nn.elu(x, 2.0), x, [2 * math.exp(-2), 2 * math.exp(-0.5), 2.0, 1.0])
    assert_gradient(lambda x: nn.softplus(x, 3.0), x, [sigmoid(3 * v) for v in x])
    with pytest.raises(rg.errors.ArgumentError, match="tanh"):
        nn.gelu(x, approximate="exact")


def test_softmax() -> None:
    x = np.array([[1.0, 2.0, 4.0], [1000.0, 1000.0, -1000.0]])
    expected = np.exp(x - x.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(np.asarray(nn.softmax(x)), expected, rtol=1e-14)
    np.testing.assert_allclose(np.asarray(nn.Softmax(axis=0)(x.T)), expected.T, rtol=1e-14)
    logs = np.asarray(nn.log_softmax(x))
    np.testing.assert_allclose(logs[0], np.log(expected[0]), rtol=1e-14)
    np.testing.assert_allclose(logs[1], [-math.log(2), -math.log(2), -2000 - math.log(2)])
    assert nn.softmax is rg.ops.composite.softmax


@pytest.mark.parametrize("name", sorted(FORMULAS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_out(name: str, dtype: str) -> None:
    """No overflow, no NaN, no wrong sign: neither in values nor in first or second gradients."""
    largest = float(np.finfo(dtype).max) / 4
    x = np.array([-largest, -1e20, -1e4, -100.0, 100.0, 1e4, 1e20, largest], dtype)
    functions = [getattr(nn, name)]
    if name == "gelu":
        functions.append(lambda x: nn.gelu(x, "tanh"))
    for function in functions:
        first = rg.grad(lambda x, function=function: function(x).sum())
        second = rg.grad(lambda x, first=first: first(x).sum())
        outcomes = [np.asarray(part(rg.array(x))) for part in (function, first, second)]
        for outcome in outcomes:
            assert outcome.dtype == np.dtype(dtype)
            assert np.isfinite(outcome).all(), outcome
        value = FORMULAS[name][0]
        near = slice(2, 6)  # where the plain formulas do not overflow
        gelu_tail = 1e-12 if name == "gelu" else 0.0
        expected = [value(v) if abs(v) < 700 else None for v in x[near].tolist()]
        for ours, theirs in zip(outcomes[0][near], expected, strict=True):
            if theirs is not None:
                assert ours == pytest.approx(theirs, rel=1e-5, abs=max(gelu_tail, 1e-37))


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_nan_stays_nan(name: str) -> None:
    y = np.asarray(getattr(nn, name)(np.array([math.nan, 1.0])))
    assert math.isnan(y[0])
    assert name in ALONG_AN_AXIS or not math.isnan(y[1])


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("relu", 0.0, math.inf),
        ("relu6", 0.0, 6.0),
        ("sigmoid", 0.0, 1.0),
        ("tanh", -1.0, 1.0),
        ("softplus", 0.0, math.inf),
        ("elu", -1.0, math.inf),
        ("hard_tanh", -1.0, 1.0),
        ("hard_sigmoid", 0.0, 1.0),
        ("leaky_relu", -math.inf, math.inf),
    ],
)
def test_infinity(name: str, low: float, high: float) -> None:
    y = np.asarray(getattr(nn, name)(np.array([-math.inf, math.inf])))
    assert y.tolist() == [low, high]


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_what_they_take(name: str) -> None:
    function: Any = getattr(nn, name)
    assert function(2.0).dtype == np.float32
    assert function([[1.0, -1.0]]).shape == (1, 2)
    assert function(np.zeros((0, 3), "float32")).shape == (0, 3)
    keeps = name in ("identity", "relu", "relu6", "hard_tanh")
    assert function(np.array([-2, 7])).dtype == (np.int64 if keeps else np.float32)
    with pytest.raises(rg.RetrogradError):
        function("text")


def test_second_derivative_at_the_corner_of_softplus() -> None:
    second = rg.grad(rg.grad(nn.softplus))
    assert float(second(0.0)) == 0.25

"""var, std, logsumexp, softmax, log_softmax, squeeze, swapaxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.ops.composite import log_softmax, logsumexp, softmax, squeeze, std, swapaxes, var
from retrograd.ops.index import take_along_axis
from tests.ops.derivatives import check_derivatives

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 4, 5))
INFINITY = float("inf")


def _logsumexp(x: Any, axis: Any, keepdims: bool = True) -> Any:
    """In extended precision."""
    wide = np.asarray(x, np.longdouble)
    shift = np.max(wide, axis, keepdims=True)
    shift = np.where(np.isfinite(shift), shift, 0.0)
    with np.errstate(all="ignore"):
        result = np.log(np.sum(np.exp(wide - shift), axis, keepdims=True)) + shift
    return result if keepdims else np.squeeze(result, axis)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_values(axis: Any, keepdims: bool) -> None:
    count = X.size if axis is None else int(np.prod([X.shape[a] for a in np.atleast_1d(axis)]))
    for ddof in (0, 1):
        if count > ddof:
            expected = np.var(X, axis, ddof=ddof, keepdims=keepdims)
            np.testing.assert_allclose(var(X, axis, keepdims, ddof).numpy(), expected, atol=1e-15)
            np.testing.assert_allclose(
                std(X, axis, keepdims, ddof).numpy(), np.sqrt(expected), atol=1e-15
            )
    expected = _logsumexp(X, axis if axis != () else (), keepdims)
    np.testing.assert_allclose(logsumexp(X, axis, keepdims).numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None])
def test_softmax_and_its_logarithm(axis: Any) -> None:
    expected = X - _logsumexp(X, axis)
    np.testing.assert_allclose(log_softmax(X, axis).numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(softmax(X, axis).numpy(), np.exp(expected), rtol=1e-13)


@pytest.mark.parametrize("axis", [0, -1, (0, 1), None])
@pytest.mark.parametrize("function", [logsumexp, softmax, log_softmax, var, std])
def test_derivatives(function: Callable[..., Any], axis: Any) -> None:
    check_derivatives(lambda x: function(x, axis), X)


@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_logsumexp_keepdims_and_derivatives(axis: Any) -> None:
    check_derivatives(lambda x: x * logsumexp(x, axis, keepdims=True), X)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_nothing_overflows(dtype: str, offset: float) -> None:
    x = (X * 30 + offset).astype(dtype)
    tolerance = 4e-7 if dtype == "float32" else 1e-15
    wide = x.astype(np.longdouble)
    normaliser = _logsumexp(x, -1)
    for result, expected in [
        (logsumexp(x, -1, keepdims=True), normaliser),
        (log_softmax(x), wide - normaliser),
    ]:
        assert result.dtype == np.dtype(dtype)
        np.testing.assert_allclose(result.numpy(), expected, rtol=tolerance, atol=tolerance)
    probabilities = softmax(x).numpy()
    np.testing.assert_allclose(probabilities, np.exp(wide - normaliser), rtol=1e-4, atol=tolerance)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-6)


def test_integers_give_float32() -> None:
    for function in (logsumexp, softmax, log_softmax):
        for dtype in ("int32", "uint8", "bool"):
            assert function(np.ones(3, dtype)).dtype == np.float32


ROWS = np.array([[-INFINITY] * 3, [-INFINITY, 0.0, 1.0], [0.5, -INFINITY, -INFINITY]])


def test_rows_of_minus_infinity() -> None:
    lse = logsumexp(ROWS, -1).numpy()
    np.testing.assert_allclose(lse, [-INFINITY, np.log(1 + np.e), 0.5], rtol=1e-15)
    probabilities = softmax(ROWS).numpy()
    assert probabilities[0].tolist() == [0, 0, 0]
    np.testing.assert_allclose(probabilities[1], [0, 1 / (1 + np.e), np.e / (1 + np.e)])
    assert probabilities[2].tolist() == [1, 0, 0]
    logs = log_softmax(ROWS).numpy()
    assert logs[0].tolist() == [-INFINITY] * 3
    assert logs[2].tolist() == [0, -INFINITY, -INFINITY]


def test_gradients_at_minus_infinity_are_limits_and_never_nan() -> None:
    x = rg.array(ROWS)
    weights = np.array([2.0, 3.0, 5.0])
    probabilities = softmax(x).numpy()
    gradient = rg.grad(lambda v: rg.sum(logsumexp(v, -1) * weights))(x).numpy()
    np.testing.assert_allclose(gradient, probabilities * weights[:, None], rtol=1e-14)
    gradient = rg.grad(lambda v: rg.sum(softmax(v) * weights))(x).numpy()
    means = (probabilities * weights).sum(-1, keepdims=True)
    np.testing.assert_allclose(gradient, probabilities * (weights - means), atol=1e-14)
    picked = np.array([[0], [2], [0]])
    gradient = rg.grad(lambda v: rg.sum(take_along_axis(log_softmax(v), picked, 1)))(x).numpy()
    expected = np.zeros((3, 3))
    np.put_along_axis(expected, picked, 1.0, 1)
    np.testing.assert_allclose(gradient, expected - probabilities, rtol=1e-14)
    # Forward mode and second order.
    _, tangent = rg.jvp(lambda v: logsumexp(v, -1), (x,), (rg.array(np.ones((3, 3))),))
    np.testing.assert_allclose(tangent.numpy(), [0, 1, 1], rtol=1e-14)
    second = rg.hessian(lambda v: rg.sum(logsumexp(v, -1)))(x[0]).numpy()
    assert second.tolist() == np.zeros((3, 3)).tolist()
    second = rg.hessian(lambda v: rg.sum(logsumexp(v, -1)))(x[1]).numpy()
    p = probabilities[1]
    np.testing.assert_allclose(second, np.diag(p) - np.outer(p, p), atol=1e-14)


def test_infinity_and_nan_are_not_hidden() -> None:
    assert float(logsumexp([1.0, INFINITY])) == INFINITY
    for function in (logsumexp, softmax, log_softmax):
        assert np.isnan(function([1.0, float("nan")]).numpy()).all()


def test_errors() -> None:
    for function in (logsumexp, softmax, log_softmax):
        with pytest.raises(rg.errors.ShapeError, match=f"{function.__name__} over an empty axis"):
            function(np.zeros((2, 0)), 1)
        with pytest.raises(rg.errors.ShapeError, match=f"{function.__name__}: axis 2"):
            function(np.zeros((2, 3)), 2)
    with pytest.raises(rg.errors.ShapeError, match="squeeze: axis 0 of .* has size 3"):
        squeeze(X, 0)
    with pytest.raises(rg.errors.ShapeError, match="swapaxes: axis 3"):
        swapaxes(X, 0, 3)


def test_squeeze_and_swapaxes() -> None:
    x = X[:, None, :, None]
    for axis in (None, 1, -2, (1, 3)):
        np.testing.assert_array_equal(squeeze(x, axis).numpy(), np.squeeze(x, axis), strict=True)
    check_derivatives(lambda v: squeeze(v, 1) ** 3, x)
    for pair in ((0, 2), (-1, 1), (1, 1)):
        np.testing.assert_array_equal(swapaxes(X, *pair).numpy(), np.swapaxes(X, *pair))
        check_derivatives(lambda v, pair=pair: swapaxes(v, *pair) ** 3, X)

"""exp, log, sqrt, sin, tanh, sigmoid, erf and their relatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..trace import Array
from .elementwise import apply, declare_elementwise

TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)


def _sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) without overflow: exp only of what is not positive."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small).astype(x.dtype) / (1 + small)


_math_erf = np.frompyfunc(math.erf, 1, 1)


def _erf(x: Any) -> Any:
    """The error function, evaluated in float64 by its own series, see `erf_float64`."""
    return erf_float64(np.asarray(x, np.float64)).astype(x.dtype)


def erf_float64(x: Any) -> Any:
    """erf to float64 accuracy: its Taylor series for |x| < 1, a continued fraction beyond.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.6 and 7.1.14.
    """
    if x.size <= 64:
        return np.asarray(_math_erf(x), dtype=np.float64).reshape(x.shape)
    size = np.abs(x)
    result = np.sign(x)
    near = size < 2.0
    inner = x[near]
    squared = inner * inner
    term = inner.copy()
    total = inner.copy()
    for n in range(1, 60):
        term = term * (2.0 * squared / (2 * n + 1))
        total += term
        if n % 8 == 0 and (term.size == 0 or np.max(np.abs(term)) < 1e-18):
            break
    result[near] = TWO_OVER_SQRT_PI * np.exp(-squared) * total
    far = (size >= 2.0) & (size < 6.0)
    outer = size[far]
    fraction = np.zeros_like(outer)
    for n in range(80, 0, -1):
        fraction = (n / 2.0) / (outer + fraction)
    tail = np.exp(-outer * outer) / (math.sqrt(math.pi) * (outer + fraction))
    result[far] = np.sign(x[far]) * (1.0 - tail)
    result[np.isnan(x)] = np.nan
    return result


def _rsqrt(x: Any) -> Any:
    return (1 / np.sqrt(x)).astype(x.dtype)


exp_p = declare_elementwise("exp", np.exp, [lambda g, x, out: g * out], accepts="float")
log_p = declare_elementwise("log", np.log, [lambda g, x, out: g / x], accepts="float")
log1p_p = declare_elementwise("log1p", np.log1p, [lambda g, x, out: g / (x + 1)], accepts="float")
expm1_p = declare_elementwise("expm1", np.expm1, [lambda g, x, out: g * (out + 1)], accepts="float")
sqrt_p = declare_elementwise("sqrt", np.sqrt, [lambda g, x, out: g * 0.5 / out], accepts="float")
rsqrt_p = declare_elementwise(
    "rsqrt", _rsqrt, [lambda g, x, out: g * (-0.5 * out / x)], accepts="float"
)
sin_p = declare_elementwise("sin", np.sin, [lambda g, x, out: g * cos(x)], accepts="float")
cos_p = declare_elementwise("cos", np.cos, [lambda g, x, out: -(g * sin(x))], accepts="float")
tanh_p = declare_elementwise(
    "tanh", np.tanh, [lambda g, x, out: g * (1 - out * out)], accepts="float"
)
sigmoid_p = declare_elementwise(
    "sigmoid", _sigmoid, [lambda g, x, out: g * (out * (1 - out))], accepts="float"
)
erf_p = declare_elementwise(
    "erf", _erf, [lambda g, x, out: g * (TWO_OVER_SQRT_PI * exp(-(x * x)))], accepts="float"
)


def exp(x: Any) -> Array:
    """Exponential function, elementwise: `e^x`.

    Example:
        >>> import retrograd as rg
        >>> float(rg.exp(0.0))
        1.0
    """
    return apply(exp_p, x, floating=True)


def log(x: Any) -> Array:
    """Natural logarithm, elementwise; -inf at 0, NaN below.

    Example:
        >>> import retrograd as rg
        >>> float(rg.log(1.0))
        0.0
    """
    return apply(log_p, x, floating=True)


def log1p(x: Any) -> Array:
    """`log(1 + x)`, elementwise, exact for small x.

    Example:
        >>> import retrograd as rg
        >>> float(rg.log1p(0.0))
        0.0
    """
    return apply(log1p_p, x, floating=True)


def expm1(x: Any) -> Array:
    """`e^x - 1`, elementwise, exact for small x.

    Example:
        >>> import retrograd as rg
        >>> float(rg.expm1(0.0))
        0.0
    """
    return apply(expm1_p, x, floating=True)


def sqrt(x: Any) -> Array:
    """Square root, elementwise; NaN below 0. The gradient at 0 is infinite.

    Example:
        >>> import retrograd as rg
        >>> float(rg.sqrt(4.0))
        2.0
    """
    return apply(sqrt_p, x, floating=True)


def rsqrt(x: Any) -> Array:
    """Reciprocal of the square root, elementwise: `1 / sqrt(x)`.

    Example:
        >>> import retrograd as rg
        >>> float(rg.rsqrt(4.0))
        0.5
    """
    return apply(rsqrt_p, x, floating=True)


def sin(x: Any) -> Array:
    """Sine, elementwise; x in radians.

    Example:
        >>> import retrograd as rg
        >>> float(rg.sin(0.0))
        0.0
    """
    return apply(sin_p, x, floating=True)


def cos(x: Any) -> Array:
    """Cosine, elementwise; x in radians.

    Example:
        >>> import retrograd as rg
        >>> float(rg.cos(0.0))
        1.0
    """
    return apply(cos_p, x, floating=True)


def tanh(x: Any) -> Array:
    """Hyperbolic tangent, elementwise; its gradient is `1 - tanh(x)^2`.

    Example:
        >>> import retrograd as rg
        >>> float(rg.tanh(0.0))
        0.0
    """
    return apply(tanh_p, x, floating=True)


def sigmoid(x: Any) -> Array:
    """Logistic function, elementwise: `1 / (1 + e^-x)`; its gradient is `s (1 - s)`.

    Example:
        >>> import retrograd as rg
        >>> float(rg.sigmoid(0.0))
        0.5
    """
    return apply(sigmoid_p, x, floating=True)


def erf(x: Any) -> Array:
    """Error function, elementwise: `2 / sqrt(pi) * integral of e^(-t^2) from 0 to x`.

    Example:
        >>> import retrograd as rg
        >>> float(rg.erf(0.0))
        0.0
    """
    return apply(erf_p, x, floating=True)

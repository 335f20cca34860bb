"""log and log1p: x = 2^e m with m in [sqrt(1/2), sqrt(2)).

log(x) = e log(2) + log(1 + f) with f = m - 1, which is exact.
"""

from __future__ import annotations

import math

from ..ir.types import DType, float32, float64
from .coefficients import LOG_32, LOG_64
from .exponential import LN2
from .terms import FORMATS, Term, fma, polynomial

# The bits of the largest number of the format that is not above sqrt(1/2).
ROOT_HALF = {float32: 0x3F3504F3, float64: 0x3FE6A09E667F3BCC}


def exponent_bits(x: Term) -> Term:
    """The bits of x less those of sqrt(1/2), with the mantissa cut off: e in its place."""
    mask = -(1 << x.format.mantissa)
    return (x.to_bits() - ROOT_HALF[x.dtype]) & mask


def exponent_value(bits: Term, dtype: DType) -> Term:
    """e as a float."""
    return bits.shift_signed(FORMATS[dtype].mantissa).cast(dtype)


def log_of_parts(f: Term, e: Term) -> Term:
    """e log(2) + log(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1].

    float32: f - f^2/2 + f^3 L(f). float64: f - (f^2/2 - s (f^2/2 + R(s^2))) with s = f / (2 + f),
    whose series has only even powers.
    """
    high, low = LN2[f.dtype]
    square = f * f
    if f.dtype == float32:
        rest = square * fma(f, polynomial(f, square, LOG_32), -0.5)
    else:
        s = f / (f + 2)
        z = s * s
        half = square * 0.5
        rest = fma(s, half + z * polynomial(z, z * z, LOG_64), -half)
    return fma(e, high, f + fma(e, low, rest))


def log(x: Term) -> Term:
    """Logarithm; -inf at 0, NaN below."""
    mantissa = x.format.mantissa
    least = 2.0 ** (1 - x.format.bias)
    small = x < least
    normal = small.choose(x * 2.0**mantissa, x)
    place = exponent_bits(normal)
    f = (normal.to_bits() - place).to_float() - 1
    e = exponent_value(place, x.dtype)
    e = small.choose(e - mantissa, e)
    result = log_of_parts(f, e)
    result = (x < math.inf).choose(result, x)
    outside = x.equals(0).choose(x.like(-math.inf), math.nan)
    return (x > 0).choose(result, outside)


def log1p(x: Term) -> Term:
    """log(1 + x): f = (1 + x) 2^-e - 1 is one fma, so the rounding of 1 + x costs nothing.

    2^-e is written as 2^(2-e) / 4, which is a normal number for all e that occur.
    """
    mantissa, bias = x.format.mantissa, x.format.bias
    place = exponent_bits(x + 1)
    four = (((bias + 2) << mantissa) - place).to_float()
    f = fma(four, x * 0.25, fma(four, 0.25, -1.0))
    result = log_of_parts(f, exponent_value(place, x.dtype))
    result = (abs(x) < 2.0 ** -(mantissa + 3)).choose(x, result)
    result = (x < math.inf).choose(result, x)
    outside = x.equals(-1).choose(x.like(-math.inf), math.nan)
    return (x > -1).choose(result, outside)

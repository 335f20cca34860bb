"""x ** y by IEEE's rules: |x|^y = 2^(y log2 |x|) with enough bits beyond the format, then the sign.

float32 computes in float64. float64 computes in sums of two float64, a high and a low part, so that
a power that is a number of the format comes out exactly.

Source: T. J. Dekker, "A floating-point technique for extending the available precision", 1971.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..ir.types import float32, float64
from .coefficients import EXP_64, POWER_EXP_32, POWER_LOG_32, POWER_LOG_64
from .exponential import LN2, LOG2_E
from .logarithm import exponent_bits, exponent_value
from .terms import Term, at_least, at_most, fma, horner, polynomial

# In two pieces, the second what rounding the first lost.
TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)


def power(x: Term, y: Term) -> Term:
    """x ** y."""
    size = abs(x)
    # A finite y keeps 1^inf from becoming NaN, and is as good: the result is 0, 1 or infinite.
    huge = 1e30 if x.dtype == float32 else 1e290
    limited = at_least(at_most(y, huge), -huge)
    result = _power_32(size, limited) if x.dtype == float32 else _power_64(size, limited)
    whole = y.floor().equals(y)
    half = y * 0.5
    odd = whole & half.floor().differs(half)
    sign = x.to_bits() & -(1 << (8 * x.dtype.itemsize - 1))
    result = odd.choose((result.to_bits() | sign).to_float(), result)
    nowhere = (x < 0) & (x > -math.inf) & y.floor().differs(y)
    result = nowhere.choose(math.nan, result)
    result = y.equals(0).choose(1.0, result)
    return x.equals(1).choose(1.0, result)


def _power_32(size: Term, y: Term) -> Term:
    """In float64: relative error 2^-28 before the result is rounded."""
    wide = size.cast(float64)
    place = exponent_bits(wide)
    m = (wide.to_bits() - place).to_float()
    s = (m - 1) / (m + 1)
    z = s * s
    # log2(m) = (2 s + s z P(z)) / log(2)
    log2 = fma(s * LOG2_E, fma(z, horner(z, POWER_LOG_32), 2.0), exponent_value(place, float64))
    log2 = wide.equals(0).choose(-math.inf, (wide < math.inf).choose(log2, wide))
    # Beyond these the result is infinite or 0 in float32.
    exponent = at_least(at_most(y.cast(float64) * log2, 130.0), -152.0)
    magic = exponent.format.magic + exponent.format.bias
    shifted = exponent + magic
    g = exponent - (shifted - magic)
    two_to_n = (shifted.to_bits() << exponent.format.mantissa).to_float()
    return (fma(g, polynomial(g, g * g, POWER_EXP_32), 1.0) * two_to_n).cast(float32)


@dataclass(frozen=True, slots=True)
class Pair:
    """high + low, where |low| is at most half a unit in the last place of high."""

    high: Term
    low: Term


def _sum(a: Term, b: Term) -> Pair:
    """a + b without error, for |a| >= |b| or a = 0."""
    total = a + b
    return Pair(total, b - (total - a))


def _product(a: Term, b: Term) -> Pair:
    """a * b without error."""
    high = a * b
    return Pair(high, fma(a, b, -high))


def _log_pair(size: Term) -> Pair:
    """e log(2) + log(m) with relative error 2^-63, for positive finite numbers.

    s = (m - 1) / (m + 1) as a pair, log(m) = 2 s + 2/3 s^3 + s^5 P(s^2): only the last term is
    small enough to be rounded.
    """
    mantissa = size.format.mantissa
    small = size < 2.0 ** (1 - size.format.bias)
    normal = small.choose(size * 2.0**mantissa, size)
    place = exponent_bits(normal)
    m = (normal.to_bits() - place).to_float()
    e = exponent_value(place, float64)
    e = small.choose(e - mantissa, e)
    f = m - 1
    below = _plus_one(m)
    s = f / below.high
    s_low = fma(-s, below.low, fma(-s, below.high, f)) / below.high
    z = s * s
    # s^3 = s (s^2), each with its rounding error and with what s_low adds.
    square = _product(s, s)
    cube = _product(s, square.high)
    cube_low = cube.low + s * square.low + 3.0 * (z * s_low)
    third = _product(cube.high, cube.high.like(TWO_THIRDS[0]))
    third_low = third.low + cube_low * TWO_THIRDS[0] + cube.high * TWO_THIRDS[1]
    fourth = z * z
    tail = fourth * (s * polynomial(z, fourth, POWER_LOG_64))
    inner = _sum(s + s, third.high)
    inner_low = inner.low + (third_low + (s_low + s_low) + tail)
    high, low = LN2[float64]
    outer = _sum(e * high, inner.high)
    rest = fma(e, low, outer.low + inner_low)
    return _sum(outer.high, rest)


def _plus_one(m: Term) -> Pair:
    """m + 1 without error; both lie in [sqrt(1/2), sqrt(2)]."""
    total = m + 1
    return Pair(total, m - (total - 1))


def _power_64(size: Term, y: Term) -> Term:
    """In pairs: error below 0.1 units in the last place before the result is rounded."""
    log = _log_pair(size)
    product = _product(log.high, y)
    special = size.equals(0).choose(y * -math.inf, y * size)
    plain = (size > 0) & (size < math.inf)
    high = plain.choose(product.high, special)
    inside = (high > -800.0) & (high < 800.0)
    low = inside.choose(fma(log.low, y, product.low), 0.0)
    high = at_least(at_most(high, 710.0), -746.0)
    bias, mantissa = size.format.bias, size.format.mantissa
    magic = size.format.magic + 2 * bias
    shifted = fma(high, LOG2_E, magic)
    n = shifted - magic
    ln2_high, ln2_low = LN2[float64]
    first = fma(n, -ln2_high, high)
    r = _exact_sum(first, n * -ln2_low)
    r_low = r.low + low
    main = _sum(r.high, r_low)
    # e^r - 1 = r + r^2 q, and what the low part adds.
    square = main.high * main.high
    curve = fma(square, polynomial(main.high, square, EXP_64), fma(main.low, main.high, main.low))
    p = _exact_sum(main.high, curve)
    one = _exact_sum(p.high.like(1.0), p.high)
    places = shifted.to_bits()
    half = places >> 1
    scale_1 = (half << mantissa).to_float()
    scale_2 = ((places - half) << mantissa).to_float()
    return (one.high + (one.low + p.low)) * scale_1 * scale_2


def _exact_sum(a: Term, b: Term) -> Pair:
    """a + b without error, whichever is larger."""
    total = a + b
    back = total - a
    return Pair(total, (a - (total - back)) + (b - back))

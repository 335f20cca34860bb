"""exp, expm1, sigmoid, tanh and erf: all are made of 2^n and e^r - 1 with |r| <= log(2) / 2.

x = n log(2) + r, with log(2) in two pieces of which the first has zeros at its end, so that n times
it is exact. 2^n is made of bits. e^r - 1 keeps its relative accuracy for small r, which the
functions that vanish at 0 need.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.types import float32, float64
from .coefficients import ERF_32, ERF_64, EXP_32, EXP_64
from .terms import Term, at_least, at_most, copy_sign, fma, polynomial

LOG2_E = 1.4426950408889634
ERF_SLOPE = 1.1283791670955126  # 2 / sqrt(pi)
# log(2) = HIGH + LOW. HIGH has 15 (42) bits, so n * HIGH is exact for |n| < 2^9 (2^11).
LN2 = {
    float32: (0.693145751953125, 1.428606765330187e-06),
    float64: (0.6931471805598903, 5.497923018708371e-14),
}
LN2_WHOLE = 0.6931471805599453
EXP = {float32: EXP_32, float64: EXP_64}
ERF = {float32: ERF_32, float64: ERF_64}
# Above HIGH exp is infinite, below LOW it is 0; both lie beyond the last value that counts.
HIGH = {float32: 89.0, float64: 710.0}
LOW = {float32: -104.0, float64: -746.0}


@dataclass(frozen=True, slots=True)
class Split:
    """e^x = 2^n (1 + p).

    Args:
        p: e^r - 1.
        places: an integer whose low bits are n + offset; what is above them is cut by a shift.
    """

    p: Term
    places: Term

    def two_to_n(self, shift: int = 0) -> Term:
        """2^n as a float, where `offset` is the bias (and whatever was added to n)."""
        places = self.places + shift if shift else self.places
        return (places << self.p.format.mantissa).to_float()


def split_exponential(x: Term, offset: int, pieces: int = 2) -> Split:
    """Take e^x apart. The places hold n + offset.

    One piece of log(2) is enough where e^x is small against what it is added to when n is large.
    """
    magic = x.format.magic + offset
    shifted = fma(x, LOG2_E, magic)
    n = shifted - magic
    r = x
    for piece in LN2[x.dtype] if pieces == 2 else (LN2_WHOLE,):
        r = fma(n, -piece, r)
    square = r * r
    p = fma(square, polynomial(r, square, EXP[x.dtype]), r)
    return Split(p, shifted.to_bits())


def exp(x: Term) -> Term:
    """e^x = 2^h 2^(n - h) (1 + p) with h = n // 2: only the last product can round or overflow.

    Processors take several times longer for a product that is lost below the least number. So 0
    is put in the place of what will be 0 (masked scores of attention are minus infinity).
    """
    bias, mantissa = x.format.bias, x.format.mantissa
    lost = x < LOW[x.dtype]
    x = lost.choose(0.0, at_most(x, HIGH[x.dtype]))
    split = split_exponential(x, 2 * bias)
    half = split.places >> 1
    first = (half << mantissa).to_float()
    second = ((split.places - half) << mantissa).to_float()
    return lost.choose(0.0, fma(split.p, first, first) * second)


def expm1(x: Term) -> Term:
    """2 (2^(n-1) p + (2^(n-1) - 1/2)): 2^n itself may overflow when e^x does not."""
    least = -(x.format.mantissa + 4.0) * LN2_WHOLE
    inside = at_least(at_most(x, HIGH[x.dtype]), least)
    split = split_exponential(inside, x.format.bias - 1)
    power = split.two_to_n()
    result = fma(power, split.p, power - 0.5)
    tiny = abs(x) < 2.0 ** -(x.format.mantissa + 2)
    return tiny.choose(x, result + result)


def sigmoid(x: Term) -> Term:
    """1 / (1 + z) or z / (1 + z) with z = e^-|x|, so that small results keep all their bits.

    Numerator and denominator carry a factor 2^k: then z 2^k is never denormal.
    """
    k = x.format.mantissa + 2
    split = split_exponential(at_least(-abs(x), LOW[x.dtype]), x.format.bias + k)
    power = split.two_to_n()
    one = 2.0**k
    z = fma(power, split.p, power)
    denominator = fma(power, split.p, power + one)
    return (x < 0).choose(z, one) / denominator


def tanh(x: Term) -> Term:
    """-q / (2 + q) with q = e^(-2|x|) - 1 = 2^n p + (2^n - 1)."""
    # From there on tanh rounds to 1.
    limit = 10.0 if x.dtype == float32 else 22.0
    size = at_most(abs(x), limit)
    split = split_exponential(-(size + size), x.format.bias, pieces=1)
    power = split.two_to_n()
    minus_q = fma(-power, split.p, 1 - power)
    return copy_sign(abs(minus_q / fma(power, split.p, power + 1)), x)


def erf(x: Term) -> Term:
    """1 - e^(-a G(a)) with a = |x|, where a G(a) = -log(1 - erf(a)) is smooth and G is a
    polynomial of which the rounded G(0) is kept apart.

    As 1 - e^-q it keeps its relative accuracy at small a; at large a an error of q hardly counts.
    """
    limit = 3.95 if x.dtype == float32 else 5.95
    size = at_most(abs(x), limit)
    rest = size * polynomial(size, size * size, ERF[x.dtype])
    split = split_exponential(-fma(size, ERF_SLOPE, rest), x.format.bias, pieces=1)
    power = split.two_to_n()
    return copy_sign(abs(fma(-power, split.p, 1 - power)), x)

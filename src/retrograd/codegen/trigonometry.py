"""sin and cos: x = n pi/2 + r with |r| <= pi/4, then a polynomial in r that n chooses."""

from __future__ import annotations

import math

from ..ir.types import float32, float64, int32, int64
from .coefficients import COS_32, COS_64, SIN_32, SIN_64
from .reduction import reduce_large
from .terms import Term, fma, polynomial
from .vectors import Value

TWO_OVER_PI = 0.6366197723675814
# pi/2 in three pieces, each rounded to the format: the fma makes x - n P0 exact, since both are
# multiples of 2^-24 (2^-53) and the difference is below 1, as long as n P1 is small.
HALF_PI = {
    float32: (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    float64: (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
}
# Beyond this the three pieces do not reach; see reduction.py.
LIMIT = {float32: 2.0**16, float64: 2.0**29}
SIN = {float32: SIN_32, float64: SIN_64}
COS = {float32: COS_32, float64: COS_64}


def reduce_argument(x: Term) -> tuple[Term, Term]:
    """r, and an integer whose two lowest bits are n mod 4. Infinity gives NaN."""
    shifted = fma(x, TWO_OVER_PI, x.format.magic)
    n = shifted - x.format.magic
    r = x
    for piece in HALF_PI[x.dtype]:
        r = fma(n, -piece, r)
    return _replace_large(x, r, shifted.to_bits())


def _replace_large(x: Term, r: Term, n: Term) -> tuple[Term, Term]:
    """Where x is large and finite, r and n from all bits of 2/pi, in a part that is jumped over."""
    m, f = x.m, x.m.f
    size = abs(x)
    large = (size > LIMIT[x.dtype]) & (size < math.inf)
    slots = [f.reserve(term.value.kind) for term in (r, n)]
    for slot, term in zip(slots, (r, n)):
        f.do(f"store {term.value.kind} {term.value.name}, ptr {slot}, align 64")
    with f.when(_any(large)):
        far_r, far_n = reduce_large(large.choose(x.cast(float64), 0.0))
        merged_r = large.choose(far_r.cast(x.dtype), r)
        merged_n = large.choose(far_n.cast(int32 if x.dtype == float32 else int64), n)
        for slot, term in zip(slots, (merged_r, merged_n)):
            f.do(f"store {term.value.kind} {term.value.name}, ptr {slot}, align 64")
    loaded = []
    for slot, term in zip(slots, (r, n)):
        name = f.emit(f"load {term.value.kind}, ptr {slot}, align 64")
        loaded.append(Term(m, Value(name, term.dtype, term.value.lanes)))
    return loaded[0], loaded[1]


def _any(test: Term) -> str:
    """Whether a bool holds in some lane, as an i1."""
    value, f = test.value, test.m.f
    if value.lanes == 1:
        return value.name
    bits = f.emit(f"bitcast {value.kind} {value.name} to i{value.lanes}")
    return f.emit(f"icmp ne i{value.lanes} {bits}, 0")


def _wave(x: Term, quarter: int) -> Term:
    """sin(x + quarter pi/2): odd quarters take the cosine of r, the upper two the minus sign."""
    r, n = reduce_argument(x)
    if quarter:
        n = n + quarter
    z = r * r
    square = z * z
    sine = fma(r * z, polynomial(z, square, SIN[x.dtype]), r)
    cosine = fma(square, polynomial(z, square, COS[x.dtype]), fma(z, -0.5, 1.0))
    result = (n & 1).differs(0).choose(cosine, sine)
    top = 8 * x.dtype.itemsize - 1
    return (result.to_bits() ^ ((n >> 1) << top)).to_float()


def sin(x: Term) -> Term:
    """Sine, for every finite x; -0.0 stays -0.0."""
    return x.equals(0).choose(x, _wave(x, 0))


def cos(x: Term) -> Term:
    """Cosine, for every finite x."""
    return _wave(x, 1)

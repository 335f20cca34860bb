"""Integer division that rounds down. A divisor of 0 counts as 1."""

from __future__ import annotations

from ..ir.types import float32, float64, int64
from .terms import Term


def floor_divide(a: Term, b: Term) -> Term:
    """floor(a / b) of integers.

    Up to 32 bits the float64 quotient, rounded, has the right floor: a quotient that is not whole
    is at least 1/b away from the next whole number, a relative distance of 1/a > 2^-53. (The same
    holds for 8 bits in float32.) 64 bits take the machine's division.
    """
    b = b.equals(0).choose(1, b)
    if a.dtype.itemsize == 8:
        return _floor_divide_64(a, b)
    wide = float32 if a.dtype.itemsize == 1 else float64
    return (a.cast(wide) / b.cast(wide)).floor().cut(a.dtype)


def _floor_divide_64(a: Term, b: Term) -> Term:
    """The quotient cut towards zero, less one where the remainder has the other sign than b.

    A divisor of -1 is a negation, which wraps for the least integer instead of stopping the CPU.
    """
    opposite = b.equals(-1)
    divisor = opposite.choose(1, b)
    quotient = Term(a.m, a.m.binary("sdiv", a.value, divisor.value))
    rest = a - quotient * divisor
    down = rest.differs(0) & ((rest ^ divisor) < 0)
    lowered = down.choose(quotient - 1, quotient)
    assert lowered.dtype == int64
    return opposite.choose(-a, lowered)

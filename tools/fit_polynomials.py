"""Fit the polynomials of the vector math and print them with their errors.

    pip install mpmath
    python tools/fit_polynomials.py [NAME ...]
    python tools/fit_polynomials.py constants

Each fit minimises the largest weighted error on an interval (Remez's exchange, 60 digits). Then the
coefficients are rounded to the format they are used in, one after the other from the lowest power,
and the free ones are fitted again after each rounding, so that they make up for what rounding lost.
The weight turns an error of the polynomial into a relative error of the function it serves.

Source: E. Remez, 1934; N. Brisebarre and S. Chevillard, "Efficient polynomial L-infinity
approximations", 2007 (why to refit after rounding).
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp

mp.mp.dps = 60
Real = Callable[[mp.mpf], mp.mpf]


@dataclass(frozen=True)
class Fit:
    """`target` by a polynomial of `degree` on [low, high], errors times `weight`."""

    target: Real
    low: mp.mpf
    high: mp.mpf
    degree: int
    weight: Real
    single: bool = False


def series_at_zero(function: Real, terms: Callable[[int], mp.mpf]) -> Real:
    """The function, or its power series where the function itself would divide zero by zero."""

    def value(x: mp.mpf) -> mp.mpf:
        if abs(x) > mp.mpf("1e-4"):
            return function(x)
        return mp.fsum(terms(k) * x**k for k in range(14))

    return value


def round_to(value: mp.mpf, single: bool) -> mp.mpf:
    """The nearest number of the format."""
    number = float(value)
    if single:
        number = struct.unpack("f", struct.pack("f", number))[0]
    return mp.mpf(number)


def minimise(fit: Fit, known: list[mp.mpf]) -> tuple[list[mp.mpf], mp.mpf]:
    """The best coefficients above the known ones, and the largest weighted error."""
    free = fit.degree + 1 - len(known)
    grid_size = 60 * (fit.degree + 2)
    middle, half = (fit.low + fit.high) / 2, (fit.high - fit.low) / 2
    grid = [middle - half * mp.cos(mp.pi * k / grid_size) for k in range(grid_size + 1)]
    rows = []
    for x in grid:
        weight = fit.weight(x)
        rest = fit.target(x) - mp.polyval(known[::-1] or [0], x)
        rows.append((weight * rest, weight, x))
    places = [round(k * grid_size / free) for k in range(free + 1)] if free else []
    coefficients: list[mp.mpf] = []
    found: list[tuple[mp.mpf, list[mp.mpf]]] = []
    for _ in range(12):
        if free:
            matrix, right = mp.matrix(free + 1), mp.matrix(free + 1, 1)
            for row, place in enumerate(places):
                rest, weight, x = rows[place]
                for column in range(free):
                    matrix[row, column] = weight * x ** (column + len(known))
                matrix[row, free] = (-1) ** row
                right[row] = rest
            coefficients = list(mp.lu_solve(matrix, right))[:free]
        whole = (known + coefficients)[::-1]
        known_value = known[::-1] or [0]
        errors = [r - w * (mp.polyval(whole, x) - mp.polyval(known_value, x)) for r, w, x in rows]
        peaks: list[int] = []
        for index, error in enumerate(errors):
            if peaks and (error > 0) == (errors[peaks[-1]] > 0):
                if abs(error) > abs(errors[peaks[-1]]):
                    peaks[-1] = index
            else:
                peaks.append(index)
        found.append((max(abs(error) for error in errors), coefficients))
        if not free or len(peaks) < free + 1:
            break
        while len(peaks) > free + 1:
            peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
        if peaks == places:
            break
        places = peaks
    worst, coefficients = min(found, key=lambda pair: pair[0])
    return coefficients, worst


def solve(fit: Fit) -> tuple[list[mp.mpf], mp.mpf, mp.mpf]:
    """The rounded coefficients, the error of the best real ones, and the error of the rounded."""
    ideal, best = minimise(fit, [])
    rounded: list[mp.mpf] = []
    while len(rounded) <= fit.degree:
        coefficients, _ = minimise(fit, rounded)
        rounded.append(round_to(coefficients[0], fit.single))
    at_once = [round_to(value, fit.single) for value in ideal]
    worst, chosen = min((minimise(fit, known)[1], known) for known in (rounded, at_once))
    return chosen, best, worst


LN2 = mp.log(2)
ERF_SLOPE = 2 / mp.sqrt(mp.pi)
ROOT = mp.sqrt(2)


def exp_target(r: mp.mpf) -> mp.mpf:
    return (mp.expm1(r) - r) / r**2


def log_target(f: mp.mpf) -> mp.mpf:
    return (mp.log1p(f) - f + f**2 / 2) / f**3


def atanh_target(z: mp.mpf) -> mp.mpf:
    s = mp.sqrt(z)
    return (mp.log((1 + s) / (1 - s)) / s - 2) / z


def atanh_rest_target(z: mp.mpf) -> mp.mpf:
    s = mp.sqrt(z)
    return (mp.log((1 + s) / (1 - s)) / s - 2 - 2 * z / 3) / z**2


def sin_target(z: mp.mpf) -> mp.mpf:
    r = mp.sqrt(z)
    return (mp.sin(r) / r - 1) / z


def cos_target(z: mp.mpf) -> mp.mpf:
    return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def exp2_target(g: mp.mpf) -> mp.mpf:
    return mp.expm1(g * LN2) / g


def erf_exponent(a: mp.mpf) -> mp.mpf:
    return -mp.log(mp.erfc(a)) / a if a > 0 else ERF_SLOPE


def erf_weight(a: mp.mpf) -> mp.mpf:
    return a * mp.erfc(a) / mp.erf(a) if a > 0 else mp.sqrt(mp.pi) / 2


def exp_fit(degree: int, single: bool) -> Fit:
    target = series_at_zero(exp_target, lambda k: 1 / mp.factorial(k + 2))
    edge = LN2 / 2 * mp.mpf("1.0001")
    return Fit(target, -edge, edge, degree, lambda r: abs(r) / mp.exp(r), single)


def log_fit(degree: int, single: bool) -> Fit:
    target = series_at_zero(log_target, lambda k: mp.mpf(-1) ** k / (k + 3))
    return Fit(target, 1 / ROOT - 1, ROOT - 1, degree, lambda f: f**2, single)


Z_LOG = ((ROOT - 1) / (ROOT + 1)) ** 2
Z_TRIG = (mp.pi / 4) ** 2 * mp.mpf("1.0001")


def atanh_fit(degree: int) -> Fit:
    target = series_at_zero(atanh_target, lambda k: mp.mpf(2) / (2 * k + 3))
    return Fit(target, mp.mpf(0), Z_LOG, degree, lambda z: z / 2)


def atanh_rest_fit(degree: int) -> Fit:
    target = series_at_zero(atanh_rest_target, lambda k: mp.mpf(2) / (2 * k + 5))
    return Fit(target, mp.mpf(0), Z_LOG, degree, lambda z: z**2 / 2)


def sin_fit(degree: int, single: bool) -> Fit:
    target = series_at_zero(sin_target, lambda k: mp.mpf(-1) ** (k + 1) / mp.factorial(2 * k + 3))
    return Fit(target, mp.mpf(0), Z_TRIG, degree, lambda z: z, single)


def cos_fit(degree: int, single: bool) -> Fit:
    target = series_at_zero(cos_target, lambda k: mp.mpf(-1) ** k / mp.factorial(2 * k + 4))
    return Fit(target, mp.mpf(0), Z_TRIG, degree, lambda z: z**2, single)


def exp2_fit(degree: int) -> Fit:
    target = series_at_zero(exp2_target, lambda k: LN2 ** (k + 1) / mp.factorial(k + 1))
    return Fit(target, -mp.mpf("0.5001"), mp.mpf("0.5001"), degree, lambda g: g / 2**g)


def erf_fit(high: str, degree: int, single: bool) -> Fit:
    # The slope at 0, rounded, is added exactly by an fma: what its rounding lost is fitted too.
    slope = round_to(ERF_SLOPE, single)
    edge = mp.mpf(high)
    return Fit(lambda a: erf_exponent(a) - slope, mp.mpf(0), edge, degree, erf_weight, single)


FITS: dict[str, Callable[[], Fit]] = {
    "EXP_32": lambda: exp_fit(4, True),
    "EXP_64": lambda: exp_fit(10, False),
    "LOG_32": lambda: log_fit(7, True),
    "LOG_64": lambda: atanh_fit(6),
    "SIN_32": lambda: sin_fit(2, True),
    "COS_32": lambda: cos_fit(2, True),
    "SIN_64": lambda: sin_fit(5, False),
    "COS_64": lambda: cos_fit(5, False),
    "ERF_32": lambda: erf_fit("3.95", 8, True),
    "ERF_64": lambda: erf_fit("5.95", 24, False),
    "POWER_LOG_32": lambda: atanh_fit(3),
    "POWER_EXP_32": lambda: exp2_fit(5),
    "POWER_LOG_64": lambda: atanh_rest_fit(7),
}


def pieces(value: mp.mpf, single: bool, count: int) -> list[float]:
    """Numbers of the format whose sum is the value, each the nearest to what is left."""
    found = []
    for _ in range(count):
        piece = round_to(value, single)
        found.append(float(piece))
        value -= piece
    return found


def print_constants() -> None:
    """Constants in pieces, and the bits of 2/pi in words of 64."""
    mp.mp.prec = 1400
    half_pi, log_2, bits = mp.pi / 2, mp.log(2), mp.floor(2 / mp.pi * mp.mpf(2) ** 1216)
    print("HALF_PI, float32 and float64:", pieces(half_pi, True, 3), pieces(half_pi, False, 3))
    for name, places, single in (("float32", 15, True), ("float64", 42, False)):
        high = mp.floor(log_2 * 2**places + mp.mpf(single) / 2) / 2**places
        print(f"LN2, {name}:", float(high), pieces(log_2 - high, single, 2))
    print("2/3:", pieces(mp.mpf(2) / 3, False, 2), "2 / sqrt(pi):", float(2 / mp.sqrt(mp.pi)))
    print("TWO_OVER_PI_WORDS = (\n    0x0,")
    for word in range(19):
        print(f"    0x{(int(bits) >> (64 * (18 - word))) % 2**64:016X},")
    print(")")


def main(names: list[str]) -> None:
    if names == ["constants"]:
        print_constants()
        return
    for name in names or list(FITS):
        fit = FITS[name]()
        coefficients, best, worst = solve(fit)
        print(
            f"# degree {fit.degree} on [{mp.nstr(fit.low, 6)}, {mp.nstr(fit.high, 6)}]: "
            f"weighted error 2^{mp.nstr(mp.log(worst, 2), 4)} "
            f"(before rounding 2^{mp.nstr(mp.log(best, 2), 4)})"
        )
        print(f"{name} = (")
        for value in coefficients:
            print(f"    {float(value)!r},")
        print(")", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

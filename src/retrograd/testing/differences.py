"""Derivatives from values alone: central differences, extrapolated to step 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

HALVINGS = 12
FIRST_STEP = 2.0**-5
EPSILON = 2.0**-52


@dataclass(frozen=True, slots=True)
class Estimate:
    """A derivative, how far the last extrapolations lie apart, and what rounding alone explains."""

    value: float
    spread: float
    rounding: float


def extrapolate_differences(
    function: Callable[[float], tuple[float, float]],
    first_step: float,
    accept: Callable[[Estimate], bool],
) -> Estimate:
    """The derivative of a function of one variable at 0.

    Central differences `(f(h) - f(-h)) / 2h` with steps h, h/2, h/4, ... have an error that is a
    series in h^2; each column of Richardson's table removes one term of it. The entry whose
    neighbours agree best is taken, so that a step which is too large (a pole or a kink inside it)
    only costs further halvings.

    Args:
        function: gives the value and the size of the terms that it was summed from.
        first_step: h.
        accept: whether an estimate is good enough to stop.

    Returns:
        The best estimate; its value is NaN if the function is not finite around 0.

    Source: C. Ridders, Accurate computation of F'(x) and F'(x) F''(x), Advances in Engineering
    Software 4 (1982).
    """
    best = Estimate(math.nan, math.inf, 0.0)
    above: list[float] = []
    for halving in range(HALVINGS):
        step = first_step * 0.5**halving
        (high, size), (low, other) = function(step), function(-step)
        difference = (high - low) / (2 * step)
        if not math.isfinite(difference):
            above = []
            continue
        rounding = 8 * EPSILON * max(size, other) / step
        row = [difference]
        for column, previous in enumerate(above, start=1):
            power = 4.0**column
            row.append((power * row[-1] - previous) / (power - 1))
            spread = max(abs(row[-1] - row[-2]), abs(row[-1] - previous))
            if spread <= best.spread:
                best = Estimate(row[-1], spread, rounding)
        above = row
        if best.spread < math.inf and accept(best):
            break
    return best

"""Columns that give the target away: copies of it, and other ways to write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.data.column_kinds import FEWEST_ROWS_TO_JUDGE, ColumnDecision
from retrograd.data.table import Table
from retrograd.data.target import TargetDecision
from retrograd.data.values import number_values, parse_numbers

EXACT = 1e-9  # of the spread: what rounding leaves between two ways to write one number
SUSPECT_CORRELATION = 0.999
SUSPECT_AGREEMENT = 0.95
FEWEST_ROWS_PER_VALUE = 5


@dataclass(frozen=True, slots=True)
class Leak:
    """A suspicion, and whether it is certain enough to leave the column out."""

    reason: str
    is_certain: bool


def find_leak(table: Table, column: ColumnDecision, target: TargetDecision) -> Leak | None:
    """Whether a column says what the target is.

    Certain are copies, values that stand one to one for the values of the target, and numbers that
    are the target in another unit. A near-perfect correlation, or categories that each go with one
    class, only give a warning: a good predictor looks the same.

    Args:
        table: the rows whose target is known.
        column: a column that is used.
        target: the target.
    """
    codes, distinct = number_values(table.column(column.name))
    target_codes, target_distinct = number_values(table.column(target.name))
    can_judge = len(table) >= FEWEST_ROWS_TO_JUDGE
    same = table.column(column.name), table.column(target.name)
    if same[0].dtype == same[1].dtype and np.array_equal(*same):
        return Leak(f"it is a copy of the target {target.name!r}", can_judge)
    known = codes >= 0
    if known.sum() < 2:
        return None
    pairs = len(np.unique(codes[known] * len(target_distinct) + target_codes[known]))
    repeats = 2 * len(distinct) <= known.sum()
    covers = len(np.unique(target_codes[known])) == len(target_distinct)
    mostly_known = 2 * known.sum() >= len(table)
    if repeats and covers and mostly_known and pairs == len(distinct) == len(target_distinct):
        reason = f"its {len(distinct)} values stand one to one for those of {target.name!r}"
        return Leak(reason, can_judge)
    code_of = {value: code for code, value in enumerate(target_distinct)}
    expected = np.array([code_of.get(value, -2) for value in distinct] + [-2])[codes]
    share = float(np.mean(expected[known] == target_codes[known]))
    # With two values, a good predictor agrees as often by right.
    if share >= SUSPECT_AGREEMENT and len(target_distinct) > 2 and can_judge and mostly_known:
        return Leak(f"suspected leak: it equals {target.name!r} in {share:.1%} of the rows", False)
    if target.task == "regression":
        if column.kind == "numeric":
            return _compare_numbers(table, column, target, can_judge)
        return None
    is_repeated = known.sum() >= FEWEST_ROWS_PER_VALUE * len(distinct)
    if column.kind == "categorical" and can_judge and is_repeated and pairs == len(distinct):
        if len(distinct) >= len(target_distinct) > 1 and covers:
            return Leak(f"each of its {len(distinct)} values goes with one class only", False)
    return None


def _compare_numbers(
    table: Table, column: ColumnDecision, target: TargetDecision, can_judge: bool
) -> Leak | None:
    numbers = parse_numbers(table.column(column.name), column.style)[0]
    goal = parse_numbers(table.column(target.name), target.style or "plain")[0]
    known = ~np.isnan(numbers)
    if known.sum() < 5 or 2 * known.sum() < len(table):
        return None
    a, b = _standardise(numbers[known]), _standardise(goal[known])
    if a is None or b is None:
        return None
    correlation = float(np.mean(a * b))
    residual = float(np.max(np.abs(b - np.sign(correlation) * a)))
    if residual <= EXACT:
        reason = f"it is the target {target.name!r} in another unit (an exact line)"
        return Leak(reason, can_judge)
    if abs(correlation) > SUSPECT_CORRELATION and can_judge:
        reason = f"suspected leak: its correlation with {target.name!r} is {correlation:.6f}"
        return Leak(reason, False)
    return None


def _standardise(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    largest = float(np.max(np.abs(values)))
    if largest == 0.0:
        return None
    scaled = values / largest  # squares of very large numbers would overflow
    spread = float(scaled.std())
    return None if spread == 0.0 else (scaled - scaled.mean()) / spread

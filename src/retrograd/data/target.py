"""The target of a table: whether it is a class or a number, and which rows have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.data.column_kinds import (
    check_numbers,
    describe_numbers,
    find_date_style,
    find_number_style,
    is_meant_as,
)
from retrograd.data.table import Table
from retrograd.data.values import Column, find_missing, number_values, parse_numbers
from retrograd.errors import ArgumentError, DataError, suggest

TASKS = ("classification", "regression")
LARGEST_NUMERIC_CLASS_COUNT = 20
LARGEST_CLASS_COUNT = 1000


@dataclass(frozen=True, slots=True)
class TargetDecision:
    """The target column, the task, the reason in words, and how its numbers are written."""

    name: str
    task: str
    reason: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class FoundTarget:
    """A TargetDecision and what the user should know about it."""

    target: TargetDecision
    warnings: tuple[str, ...]


def decide_target(
    table: Table, name: str, task: str | None = None
) -> tuple[FoundTarget, np.ndarray[Any, Any]]:
    """Decide the task from the values of the target.

    Text, two different numbers, or few whole numbers that repeat are classes; other numbers are
    quantities.

    Args:
        table: the whole table.
        name: the target.
        task: `classification` or `regression` to overrule the decision.

    Returns:
        (decision, labelled): labelled is a boolean array, (rows,), true where the target is known.

    Raises:
        DataError: no known values, one row, a constant target, text or infinite values in a
            numeric target, dates, or nearly as many classes as rows.
        ArgumentError: an unknown task.
    """
    if task is not None and task not in TASKS:
        raise ArgumentError(f"There is no task {task!r}.", fix=suggest(task, TASKS))
    column = table.column(name)
    is_missing = find_missing(column)
    count = int((~is_missing).sum())
    warnings = []
    if count == 0:
        raise DataError(
            f"The target {name!r} has no value in any of {len(table)} rows.",
            fix="Give the value to predict in the rows to learn from.",
        )
    if count < len(table):
        warnings.append(
            f"{len(table) - count} of {len(table)} rows have no {name!r} and are left out"
        )
    if count == 1:
        raise DataError(
            f"{table.source} has one row with a value of {name!r}; one row cannot be learned from.",
            fix="Give at least ten rows.",
        )
    target = _decide_task(table, name, task, column, is_missing, count)
    return FoundTarget(target, tuple(warnings)), ~is_missing


def _decide_task(
    table: Table,
    name: str,
    task: str | None,
    column: Column,
    is_missing: np.ndarray[Any, Any],
    count: int,
) -> TargetDecision:
    codes, distinct = number_values(column)
    if len(distinct) == 1:
        raise DataError(
            f"The target {name!r} is {distinct[0]!r} in all of {count} rows: there is nothing to "
            "learn.",
            fix="Choose another target, or add rows with other values.",
        )
    style = find_number_style(table, column)
    numbers, bad = parse_numbers(column, style)
    if task == "classification":
        fix = "Choose another target, or group its values into a few classes."
        _check_classes(table, name, codes, distinct, fix)
        return TargetDecision(name, task, f"{len(distinct)} classes, as you asked")
    if task == "regression" or is_meant_as(numbers, bad, count):
        check_numbers(table, name, numbers, bad, style)
        known = numbers[~is_missing]
        values = len(np.unique(known))
        if values == 1:
            raise DataError(
                f"The target {name!r} is the number {known[0]:.6g} in all of {count} rows.",
                fix="Choose another target, or add rows with other values.",
            )
        found = describe_numbers(known)
        if task == "regression":
            return TargetDecision(name, task, f"{found}, as you asked", style)
        is_whole = np.array_equal(known, np.floor(known))
        few = values <= LARGEST_NUMERIC_CLASS_COUNT and count >= 5 * values
        if is_whole and values == 2:
            return TargetDecision(name, "classification", "two different whole numbers")
        if is_whole and few:
            reason = (
                f"{values} different whole numbers in {count} rows, each a class; "
                "--task regression takes them as quantities"
            )
            return TargetDecision(name, "classification", reason)
        return TargetDecision(name, "regression", found, style)
    date_style, _, not_dates = find_date_style(column, count)
    if len(not_dates) == 0:
        raise DataError(
            f"The target {name!r} holds dates ({date_style}), for example {distinct[0]!r}.",
            fix="Give numbers instead, for example the days from a fixed date.",
        )
    fix = "Choose another target, group its values, or give numbers for a regression."
    _check_classes(table, name, codes, distinct, fix)
    return TargetDecision(name, "classification", f"{len(distinct)} different texts")


def _check_classes(
    table: Table, name: str, codes: np.ndarray[Any, Any], distinct: list[Any], fix: str
) -> None:
    count = int((codes >= 0).sum())
    if len(distinct) > max(2, count // 2) or len(distinct) > LARGEST_CLASS_COUNT:
        shown = ", ".join(repr(value) for value in distinct[:3])
        raise DataError(
            f"The target {name!r} has {len(distinct)} different values in {count} rows of "
            f"{table.source} ({shown}, ...): too many to be classes (at most half of the rows and "
            f"{LARGEST_CLASS_COUNT}).",
            fix=fix,
        )

"""Splits of a table: every class in every part where there are rows for it, duplicates together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.data.columns import ColumnPlan
from retrograd.data.split import check_seed
from retrograd.data.table import Table
from retrograd.data.values import find_missing, number_values, parse_numbers
from retrograd.errors import ArgumentError, DataError

Rows = np.ndarray[Any, Any]

FEWEST_ROWS = 10
FEWEST_GROUPS = 30  # with fewer different rows, repeats are what the table is made of


@dataclass(frozen=True, slots=True, eq=False)
class RowSplit:
    """The positions of the rows of each part, ascending.

    Args:
        train, validation, test: positions in the table, from 0; no position is in two of them.
        excluded: rows whose target is missing.
        notes: what was noticed, in plain words.
    """

    train: Rows
    validation: Rows
    test: Rows
    excluded: Rows
    notes: tuple[str, ...] = ()


def split_rows(
    table: Table,
    plan: ColumnPlan,
    seed: int = 0,
    validation: float = 0.15,
    test: float = 0.2,
) -> RowSplit:
    """Choose rows for training, validation and test.

    Classes keep their shares; a class of one row goes to training, and from three rows on every
    class is in every part. Rows that agree in all columns that are used stay on one side, unless
    the table is made of fewer than 30 different rows.

    Args:
        table: the whole table.
        plan: its plan, for the target and the columns that count.
        seed: the same seed gives the same split; a whole number from 0.
        validation: the share of rows to stop on, from 0 and below 1.
        test: the share of rows for the final report, from 0 and below 1.

    Raises:
        ArgumentError: shares that leave nothing to train on.
        DataError: fewer than ten rows with a target, or a part that would be empty.

    Example:
        >>> from retrograd.data.columns import decide_columns
        >>> table = Table.from_columns({"x": [i * 0.5 for i in range(40)], "y": list("ab") * 20})
        >>> split = split_rows(table, decide_columns(table, "y"), validation=0.2, test=0.2)
        >>> len(split.train), len(split.validation), len(split.test)
        (24, 8, 8)
    """
    _check_shares(validation, test)
    generator = np.random.default_rng(check_seed(seed))
    known, excluded = _find_known(table, plan)
    groups, notes = group_duplicates(table, plan, known)
    part_of = np.zeros(len(known), dtype=np.int64)  # 0 train, 1 validation, 2 test
    for members in find_strata(table, plan, known, groups):
        _share_out(part_of, groups, members, (validation, test), generator)
    parts = [known[part_of == number] for number in range(3)]
    for name, share, part in (
        ("training", 1.0, parts[0]),
        ("validation", validation, parts[1]),
        ("test", test, parts[2]),
    ):
        if share > 0.0 and len(part) == 0:
            raise DataError(
                f"The {name} part would be empty: {len(known)} rows in "
                f"{len(np.unique(groups))} groups of duplicates do not divide into "
                f"{1 - validation - test:.0%} / {validation:.0%} / {test:.0%}.",
                fix="Give more rows that differ, or other shares.",
            )
    if plan.task == "classification":
        notes += _describe_rare_classes(table, plan, known, part_of)
    return RowSplit(parts[0], parts[1], parts[2], excluded, tuple(notes))


def group_duplicates(table: Table, plan: ColumnPlan, rows: Rows) -> tuple[Rows, list[str]]:
    """A number for each row, the same for rows that agree in all columns that are used.

    The target does not count: the same features with another label in the test part would be no
    new case either.
    """
    chosen = table.rows(rows)
    groups = np.zeros(len(rows), dtype=np.int64)
    for item in plan.features:
        codes, distinct = number_values(chosen.column(item.name))
        combined = groups * (len(distinct) + 1) + codes + 1
        _, groups = np.unique(combined, return_inverse=True)
    different = len(np.unique(groups))
    if different == len(rows):
        return groups, []
    repeated = f"{len(rows) - different} of {len(rows)} rows repeat another row"
    if different < FEWEST_GROUPS:
        note = f"{repeated}; with only {different} different rows, repeats are in every part"
        return np.arange(len(rows)), [note]
    return groups, [f"{repeated}; repeats are kept in one part"]


def find_strata(table: Table, plan: ColumnPlan, rows: Rows, groups: Rows) -> list[Rows]:
    """The rows (as places in `rows`) of each class; a group of duplicates follows its first row.

    A regression is cut into five ranges of the target of equal size, so that no part lacks the
    large values.
    """
    if plan.task == "classification":
        labels, _ = number_values(table.column(plan.target.name)[rows])
    else:
        goal = parse_numbers(table.column(plan.target.name)[rows], plan.target.style)[0]
        ranges = max(1, min(5, len(rows) // 20))
        rank = np.argsort(np.argsort(goal, kind="stable"), kind="stable")
        labels = rank * ranges // len(rows)
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    label_of = labels[first][inverse]
    return [np.flatnonzero(label_of == label) for label in np.unique(label_of)]


def _check_shares(validation: float, test: float) -> None:
    for name, share in (("validation", validation), ("test", test)):
        is_number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if not is_number or not 0.0 <= share < 1.0:
            raise ArgumentError(
                f"Expected {name} as a share from 0 and below 1, received {share!r}.",
                fix=f"{name}=0.2 takes a fifth of the rows.",
            )
    if validation + test >= 1.0:
        raise ArgumentError(
            f"validation={validation} and test={test} leave no rows to train on.",
            fix="Their sum must be below 1.",
        )


def _find_known(table: Table, plan: ColumnPlan) -> tuple[Rows, Rows]:
    is_missing = find_missing(table.column(plan.target.name))
    known = np.flatnonzero(~is_missing)
    if len(known) < FEWEST_ROWS:
        raise DataError(
            f"{table.source} has {len(known)} rows with a value of {plan.target.name!r}; at least "
            f"{FEWEST_ROWS} are needed to train, to stop and to test on different ones.",
            fix="Add rows.",
        )
    return known, np.flatnonzero(is_missing)


def _shuffle_groups(groups: Rows, members: Rows, generator: np.random.Generator) -> list[Rows]:
    """The groups of a stratum in random order, each as its rows."""
    order = members[np.argsort(groups[members], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    pieces = np.split(order, starts)
    return [pieces[place] for place in generator.permutation(len(pieces))]


def _share_out(
    part_of: Rows,
    groups: Rows,
    members: Rows,
    shares: tuple[float, float],
    generator: np.random.Generator,
) -> None:
    """Give the groups of one stratum to test and validation until each has its share."""
    pieces = _shuffle_groups(groups, members, generator)
    due = {number: share * len(members) for number, share in zip((1, 2), shares)}
    wanted = {number: round(count) for number, count in due.items()}
    for number, count in due.items():
        if len(pieces) >= 3 and count > 0.0:
            wanted[number] = max(1, wanted[number])
    left = len(pieces)
    for number in (2, 1):  # test before validation: a class of two rows is then tested at least
        taken = 0
        for rows in pieces:
            if taken >= wanted[number] or left <= 1:
                break
            # A large group that overshoots goes to training, unless nothing else was found yet.
            overshoots = taken + len(rows) > wanted[number] + 0.1 * len(members)
            if part_of[rows[0]] == 0 and not (overshoots and len(rows) > 1):
                part_of[rows] = number
                taken += len(rows)
                left -= 1


def _describe_rare_classes(table: Table, plan: ColumnPlan, known: Rows, part_of: Rows) -> list[str]:
    codes, distinct = number_values(table.column(plan.target.name)[known])
    absent = [
        label for code, label in enumerate(distinct) if not (part_of[codes == code] == 2).any()
    ]
    if not absent or not (part_of == 2).any():
        return []
    shown = ", ".join(repr(label) for label in absent[:5])
    more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
    return [f"too few rows to test these classes: {shown}{more}"]

"""A table whose rows follow each other in time, as one series on an even grid of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from .column_kinds import (
    check_dates,
    decide_kind,
    find_date_style,
    find_number_style,
    shorten,
)
from .encoders import read_numbers
from .table import Table
from .values import find_missing, parse_dates, parse_numbers

NumpyArray = np.ndarray[Any, Any]

LARGEST_GRID = 20
"""A grid of times may have so many times as many steps as the table has rows."""

EVEN_ENOUGH = 0.98
"""The share of differences that are whole multiples of the step."""

LARGEST_NUMBER = 1e30
"""A network computes in float32, which ends at 3e38; no sum or scale of such numbers leaves it."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Numbers at even steps, in the order of time.

    Args:
        target: the name of the column that is forecast.
        values: its numbers, float64 (steps,), NaN where none is known.
        names: the other columns.
        others: their numbers, float64 (steps, columns), NaN where none is known.
        date: the name of the column of times; None if there is none.
        times: datetime64[us] (steps,), or None.
        step: between two steps, timedelta64[us]; None without times, or where they are not even.
        source: the name of the file.
        notes: what was noticed, in plain words.
    """

    target: str
    values: NumpyArray
    names: tuple[str, ...]
    others: NumpyArray
    date: str | None
    times: NumpyArray | None
    step: Any
    source: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def following_times(self, count: int) -> NumpyArray | None:
        """The times of the steps after the end; None where the step is not known."""
        if self.times is None or self.step is None:
            return None
        result: NumpyArray = self.times[-1] + self.step * np.arange(1, count + 1)
        return result


def read_series(
    table: Table,
    target: str,
    drop: Sequence[str] = (),
    names: Sequence[str] | None = None,
    date: str | None = None,
) -> Series:
    """Take the target, the times and the other numeric columns of a table.

    The first column of dates gives the times: rows are sorted by it, of several rows of one time
    the first is taken, and times that are left out become steps without values. Without dates the
    rows are the steps.

    Args:
        table: the rows.
        target: the column to forecast.
        drop: columns to leave out.
        names: the other columns, if they are known already; else all that are numeric.
        date: the column of times, if it is known already.

    Raises:
        DataError: there is no such column, it holds no numbers or too large ones, or times cannot
            be read.
    """
    for name in (target, *drop, *(names or ()), *([date] if date else ())):
        table.column(name)  # an error that offers the nearest name
    values = _read_target(table, target)
    known = names is not None
    if names is None or (date is None and not known):
        date, names = _choose_columns(table, {target, *drop})
    columns = [_read_column(table, name) for name in names]
    others = np.stack(columns, axis=1) if columns else np.zeros((len(table), 0))
    notes: list[str] = []
    times = step = None
    if date is not None:
        times = _read_times(table, date)
        order, times, step = _put_on_grid(table, date, times, notes)
        values, others = (_spread(array, order) for array in (values, others))
    missing = int(np.isnan(values).sum())
    if missing:
        notes.append(
            f"{target!r} is missing at {missing:,} of {len(values):,} steps: they are neither "
            "learned nor scored, and values before them stand in for them"
        )
    return Series(
        target, values, tuple(names), others, date, times, step, table.source, tuple(notes)
    )


def _read_target(table: Table, target: str) -> NumpyArray:
    column = table.column(target)
    style = find_number_style(table, column)
    _, bad = parse_numbers(column, style)
    if 2 * len(bad) > int((~find_missing(column)).sum()):
        value = column[bad[0]]
        raise DataError(
            f"Column {target!r} of {table.source} holds no numbers; "
            f"{table.describe_row(int(bad[0]))} has {str(value)!r:.60}.",
            fix="name a numeric column with --target",
        )
    values = read_numbers(table, target, style)
    _check_size(table, target, values)
    known = values[~np.isnan(values)]
    if len(known) == 0:
        raise DataError(f"All values of {target!r} in {table.source} are missing.")
    return values


def _read_column(table: Table, name: str) -> NumpyArray:
    values = read_numbers(table, name, find_number_style(table, table.column(name)))
    _check_size(table, name, values)
    return values


def _check_size(table: Table, name: str, values: NumpyArray) -> None:
    """Refuse numbers with which a network cannot compute."""
    large = np.flatnonzero(np.abs(values) >= LARGEST_NUMBER)
    if len(large):
        place = int(large[0])
        more = f" ({len(large) - 1:,} more values are like it)" if len(large) > 1 else ""
        raise DataError(
            f"Column {name!r} of {table.source} has {shorten(table.column(name)[place])} in "
            f"{table.describe_row(place)}{more}; a network computes with numbers below "
            f"{LARGEST_NUMBER:g}.",
            fix="correct the value, leave the cell empty if it is not known, or give the column "
            "in a larger unit",
        )


def _choose_columns(table: Table, without: set[str]) -> tuple[str | None, list[str]]:
    """The first column of dates, and the numeric ones."""
    date, names = None, []
    for name in table.names:
        if name in without:
            continue
        kind = decide_kind(table, name).kind
        if kind == "date" and date is None:
            date = name
        elif kind == "numeric":
            names.append(name)
    return date, names


def _read_times(table: Table, name: str) -> NumpyArray:
    column = table.column(name)
    missing = np.flatnonzero(find_missing(column))
    if len(missing):
        raise DataError(
            f"{table.describe_row(int(missing[0]))} has no time in column {name!r}.",
            fix="fill it in, remove the row, or leave the column out with --drop",
        )
    style, _, _ = find_date_style(column, len(column))
    times, bad = parse_dates(column, style)
    check_dates(table, name, bad, style)
    return times.astype("datetime64[us]")


def _put_on_grid(
    table: Table, name: str, times: NumpyArray, notes: list[str]
) -> tuple[NumpyArray, NumpyArray, Any]:
    """For each step the row that it takes (-1 for none), its time, and the step."""
    order = np.argsort(times, kind="stable")
    if (order[1:] < order[:-1]).any():
        notes.append(f"the rows were sorted by {name!r}")
    ordered = times[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    if not first.all():
        notes.append(
            f"rows that repeat the time of the row before are left out: {int((~first).sum()):,}"
        )
    order, ordered = order[first], ordered[first]
    if len(ordered) < 3:
        raise DataError(
            f"{table.source} has {len(ordered)} different times in {name!r}; a series needs more."
        )
    differences = np.diff(ordered).astype(np.int64)
    steps, counts = np.unique(differences, return_counts=True)
    step = int(steps[np.argmax(counts)])
    even = (differences % step == 0).mean()
    places = (ordered - ordered[0]).astype(np.int64) // step
    length = int(places[-1]) + 1
    if even < 1.0 and even < EVEN_ENOUGH:
        notes.append(f"the times in {name!r} are not evenly spaced; each row counts as one step")
        return order, ordered, None
    if length > LARGEST_GRID * len(order):
        raise DataError(
            f"The times in {name!r} leave most steps out: {len(order):,} rows for {length:,} steps "
            f"of {describe_step(step / 1e6)}.",
            fix="give a series without long gaps, or leave the times out with --drop",
        )
    rows = np.full(length, -1, np.int64)
    rows[places[::-1]] = order[::-1]  # of two rows of one step the first
    grid = ordered[0] + np.arange(length) * np.timedelta64(step, "us")
    return rows, grid, np.timedelta64(step, "us")


def describe_step(seconds: float) -> str:
    """The time between two steps in the largest unit that it is a whole number of.

    Example:
        >>> [describe_step(seconds) for seconds in (86400.0, 7200.0, 90.0, 0.5)]
        ['1 day', '2 hours', '90 seconds', '0.5 seconds']
    """
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds and seconds % length == 0:
            number = int(seconds // length)
            return f"{number:,} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"


def describe_time(time: np.datetime64) -> str:
    """A time to the second, of midnight only the date.

    Example:
        >>> describe_time(np.datetime64("2022-01-01T00:00:00.000000"))
        '2022-01-01'
        >>> describe_time(np.datetime64("2022-01-01T06:30"))
        '2022-01-01 06:30:00'
    """
    return str(time.astype("datetime64[s]")).replace("T", " ").removesuffix(" 00:00:00")


def _spread(array: NumpyArray, rows: NumpyArray) -> NumpyArray:
    found: NumpyArray = array[rows]
    found[rows < 0] = np.nan
    return found


def fill_forward(values: NumpyArray) -> NumpyArray:
    """The last known value where one is missing; before the first known one, that one.

    Example:
        >>> fill_forward(np.array([np.nan, 1.0, np.nan, 3.0])).tolist()
        [1.0, 1.0, 1.0, 3.0]
    """
    known = ~np.isnan(values)
    if not known.any():
        return np.zeros_like(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    result: NumpyArray = values[np.where(last < 0, int(np.argmax(known)), last)]
    return result


def fill_seasonally(values: NumpyArray, season: int) -> NumpyArray:
    """The last known value a whole number of seasons before, where one is missing; else the last.

    Only values of the past are used, but before the first known one.

    Example:
        >>> fill_seasonally(np.array([1.0, 2.0, np.nan, 4.0, np.nan, np.nan]), 2).tolist()
        [1.0, 2.0, 1.0, 4.0, 1.0, 4.0]
    """
    seasons = -(-len(values) // season)
    padded = np.full(seasons * season, np.nan)
    padded[: len(values)] = values
    table = padded.reshape(seasons, season)
    last = np.where(np.isnan(table), -1, np.arange(seasons)[:, None])
    last = np.maximum.accumulate(last, axis=0)
    filled = np.where(last < 0, np.nan, np.take_along_axis(table, np.maximum(last, 0), axis=0))
    return fill_forward(filled.reshape(-1)[: len(values)])

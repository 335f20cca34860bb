"""The kind of one column, from its values and its name alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrograd.data.table import Table
from retrograd.data.values import (
    DATE_STYLES,
    NUMBER_STYLES,
    Column,
    find_missing,
    number_values,
    parse_dates,
    parse_numbers,
)
from retrograd.errors import DataError

USED_KINDS = ("numeric", "categorical", "date")
UNUSED_KINDS = (
    "identifier", "constant", "empty", "too many categories", "leak", "text", "dropped",
)  # fmt: skip
KINDS = USED_KINDS + UNUSED_KINDS

LARGEST_CATEGORY_COUNT = 100
FEWEST_ROWS_TO_JUDGE = 20  # in smaller tables, "all different" and "one to one" happen by chance

_IDENTIFIER_NAME = re.compile(
    r"(.*[ _\-.])?(id|ids|uuid|guid|index|idx|key|rowid|rownum|rownumber|number|no|nr)"
    r"|unnamed: ?\d+|.*[a-z](Id|ID)|(row|record|sample)[ _\-]?(id|number|nr|no)?",
)
_ORDER_NAME = re.compile(
    r"(.*[ _\-.])?(x|t|time|date|period|step|second|minute|hour|day|week|month|quarter|year)s?",
    re.IGNORECASE,
)
_NUMBER = r"[-+]?\d[\d.,']*"
_NUMBER_WITH_UNIT = re.compile(rf"[-+]?[$€£¥]\s?{_NUMBER}|{_NUMBER}(\s?[%‰€£¥°]|\s[^\W\d]{{1,4}})")


@dataclass(frozen=True, slots=True)
class ColumnDecision:
    """One column: its kind, the reason in words, and how its numbers or dates are written.

    Args:
        name: the column.
        kind: `numeric`, `categorical` and `date` are used; `identifier`, `constant`, `empty`,
            `too many categories`, `leak`, `text` and `dropped` are not.
        reason: why, for the user.
        style: how numbers or dates are written; empty for other kinds.
    """

    name: str
    kind: str
    reason: str
    style: str = ""

    @property
    def is_used(self) -> bool:
        """Whether the network sees the column."""
        return self.kind in USED_KINDS


def decide_kind(table: Table, name: str, forced: str | None = None) -> ColumnDecision:
    """Decide the kind of one column.

    Args:
        table: the rows whose target is known.
        name: the column.
        forced: the kind that the user asked for, if any.

    Raises:
        DataError: infinite values, or a few texts in a column of numbers or dates.
    """
    column = table.column(name)
    is_missing = find_missing(column)
    count = int((~is_missing).sum())
    if count == 0:
        return ColumnDecision(name, "empty", "all its values are missing")
    missing = _describe_missing(len(column) - count, len(column))
    if forced == "categorical":
        _, distinct = number_values(column)
        return ColumnDecision(name, forced, f"{_count(len(distinct), 'value')}, as you asked")
    if forced != "date" and column.dtype.kind != "M":
        style = find_number_style(table, column)
        numbers, bad = parse_numbers(column, style)
        if forced == "numeric" or is_meant_as(numbers, bad, count):
            check_numbers(table, name, numbers, bad, style)
            decision = _decide_number(name, numbers[~is_missing], style, missing, len(column))
            if forced == "numeric" and not decision.is_used:
                reason = f"{describe_numbers(numbers[~is_missing])}, as you asked"
                return ColumnDecision(name, "numeric", reason, style)
            return decision
    if forced != "numeric":
        style, dates, bad = find_date_style(column, count)
        if forced == "date" or len(bad) <= 0.1 * count:
            check_dates(table, name, bad, style)
            return _decide_date(name, dates, style, missing)
    return _decide_text(name, column, missing, len(column))


def find_number_style(table: Table, column: Column) -> str:
    """How most of the values are written, if they are numbers."""
    if column.dtype.kind != "O":
        return "plain"
    _, bad = parse_numbers(column, "plain")
    if not any("," in column[place] for place in bad[:1000]):
        return "plain"
    found = {style: len(parse_numbers(column, style)[1]) for style in NUMBER_STYLES}
    # 1,234 may be either. It means thousands, except between semicolons: that is what programs
    # write where the comma is the decimal point.
    order = NUMBER_STYLES if table.delimiter == ";" else ("plain", *reversed(NUMBER_STYLES[1:]))
    return min(order, key=lambda style: found[style])


def find_date_style(column: Column, count: int) -> tuple[str, np.ndarray, np.ndarray]:
    """The style with the fewest values that are no dates; a tie goes to the first."""
    if column.dtype.kind == "M":
        return DATE_STYLES[0], column, np.empty(0, dtype=np.int64)
    sample = column[~find_missing(column)][:50]
    readable = [style for style in DATE_STYLES if len(parse_dates(sample, style)[1]) < len(sample)]
    best = None
    for style in readable:
        dates, bad = parse_dates(column, style)
        # On a tie between day and month first, the month: what other programs assume.
        if (
            best is None
            or len(bad) < len(best[2])
            or (len(bad) == len(best[2]) and style == "month first")
        ):
            best = style, dates, bad
    if best is None:
        return DATE_STYLES[0], *parse_dates(column, DATE_STYLES[0])
    return best


def is_meant_as(numbers: np.ndarray, bad: np.ndarray, count: int) -> bool:
    """Whether a column is one of numbers, a few stray texts aside."""
    if len(bad) == 0:
        return True
    share = len(bad) / count
    if share > 0.1 or count == len(bad):
        return False
    # "0", "1", "2", "3+" are categories; a stray text among many numbers is a mistake.
    return share <= 0.01 or len(np.unique(numbers[~np.isnan(numbers)])) > 20


def check_numbers(
    table: Table, name: str, numbers: np.ndarray, bad: np.ndarray, style: str
) -> None:
    """Refuse texts and infinite values in a numeric column.

    Raises:
        DataError: names the column, the first such row and its value.
    """
    if len(bad):
        value = table.column(name)[bad[0]]
        more = f" ({len(bad) - 1} more values are like it)" if len(bad) > 1 else ""
        written = "" if style == "plain" else f" with a {style}"
        raise DataError(
            f"Column {name!r} holds numbers{written}, but {table.describe_row(int(bad[0]))} has "
            f"{shorten(value)}{more}.",
            fix="Correct the value, leave the cell empty if it is not known (NA, NaN, null and ? "
            "mean the same), or drop the column.",
        )
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        place = int(infinite[0])
        value = table.column(name)[place]
        more = f" ({len(infinite) - 1} more rows)" if len(infinite) > 1 else ""
        raise DataError(
            f"Column {name!r} has an infinite value, {shorten(value)}, in "
            f"{table.describe_row(place)}{more}.",
            fix="Correct the value, or leave the cell empty if it is not known.",
        )


def check_dates(table: Table, name: str, bad: np.ndarray, style: str) -> None:
    """Refuse values that are no dates in a column of dates.

    Raises:
        DataError: names the column, the first such row and its value.
    """
    if len(bad):
        value = table.column(name)[bad[0]]
        more = f" ({len(bad) - 1} more values are like it)" if len(bad) > 1 else ""
        raise DataError(
            f"Column {name!r} holds dates ({style}), but {table.describe_row(int(bad[0]))} has "
            f"{shorten(value)}{more}.",
            fix="Correct the value, leave the cell empty if it is not known, or drop the column.",
        )


def shorten(value: object) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def describe_numbers(values: np.ndarray) -> str:
    """The range and variety of numbers in words."""
    low, high = float(values.min()), float(values.max())
    return f"numbers from {low:.6g} to {high:.6g}, {_count(len(np.unique(values)), 'value')}"


def _count(number: int, noun: str) -> str:
    return f"{number} different {noun}s" if number != 1 else f"one {noun}"


def _describe_missing(count: int, total: int) -> str:
    if count == 0:
        return ""
    share = 100.0 * count / total
    return f", {count} missing ({share:.1f} %)" if share >= 0.1 else f", {count} missing"


def _decide_number(
    name: str, values: np.ndarray, style: str, missing: str, total: int
) -> ColumnDecision:
    distinct = len(np.unique(values))
    if distinct == 1:
        if not missing:
            return ColumnDecision(name, "constant", f"every row has {values[0]:.6g}")
        return ColumnDecision(name, "categorical", f"one value or none{missing}")
    if np.array_equal(values, np.floor(values)):
        reason = _find_identifier(name, values, distinct, total)
        if reason:
            return ColumnDecision(name, "identifier", reason)
    written = "" if style == "plain" else f", written with a {style}"
    return ColumnDecision(name, "numeric", f"{describe_numbers(values)}{missing}{written}", style)


def _find_identifier(name: str, values: np.ndarray, distinct: int, total: int) -> str | None:
    count = len(values)
    if count < FEWEST_ROWS_TO_JUDGE:
        return None
    if _is_identifier_name(name) and distinct >= 0.8 * count:
        return f"its name, and {distinct} different whole numbers in {count} rows"
    counts_rows = count == total and values[0] in (0, 1) and bool((np.diff(values) == 1).all())
    if counts_rows and not _ORDER_NAME.fullmatch(name):
        return f"it counts the rows, from {values[0]:.0f} to {values[-1]:.0f}"
    return None


def _is_identifier_name(name: str) -> bool:
    return bool(_IDENTIFIER_NAME.fullmatch(name) or _IDENTIFIER_NAME.fullmatch(name.lower()))


def _decide_date(name: str, dates: np.ndarray, style: str, missing: str) -> ColumnDecision:
    known = dates[~np.isnat(dates)]
    low, high = known.min(), known.max()
    if low == high and not missing:
        return ColumnDecision(name, "constant", f"every row has {low.astype('datetime64[D]')}")
    span = f"from {low.astype('datetime64[D]')} to {high.astype('datetime64[D]')}"
    written = f", read with the {style}" if style in ("day first", "month first") else ""
    return ColumnDecision(name, "date", f"dates {span}{missing}{written}", style)


def _decide_text(name: str, column: Column, missing: str, total: int) -> ColumnDecision:
    codes, distinct = number_values(column)
    count = int((codes >= 0).sum())
    if len(distinct) == 1:
        if not missing:
            return ColumnDecision(name, "constant", f"every row has {shorten(distinct[0])}")
        return ColumnDecision(name, "categorical", f"one value or none{missing}")
    is_varied = len(distinct) > max(2, count // 2)
    if len(distinct) <= LARGEST_CATEGORY_COUNT and not is_varied:
        return ColumnDecision(name, "categorical", f"{_count(len(distinct), 'value')}{missing}")
    found = f"{len(distinct)} different values in {count} rows"
    words = np.mean([len(text.split()) for text in distinct[:1000]])
    if words >= 4:
        reason = f"free text, {words:.0f} words on average: --task text learns from such"
        return ColumnDecision(name, "text", reason)
    hint = _find_unit(distinct)
    if len(distinct) == count and count >= FEWEST_ROWS_TO_JUDGE:
        reason = f"every one of {count} rows has its own text{hint}"
        return ColumnDecision(name, "identifier", reason)
    if _is_identifier_name(name) and is_varied:
        return ColumnDecision(name, "identifier", f"its name, and {found}")
    if hint:
        return ColumnDecision(name, "too many categories", f"{found}{hint}")
    limit = f"at most {LARGEST_CATEGORY_COUNT}, each in two rows on average, are used"
    return ColumnDecision(name, "too many categories", f"{found}; {limit}")


def _find_unit(texts: Sequence[str]) -> str:
    """A hint for `12.5 %`, `$1,200` or `3 kg`: numbers to people, and texts to a table."""
    sample = texts[:1000]
    found = [text for text in sample if _NUMBER_WITH_UNIT.fullmatch(text)]
    if len(found) < 0.9 * len(sample):
        return ""
    return f"; {shorten(found[0])} would be used as a number if it were written without its unit"

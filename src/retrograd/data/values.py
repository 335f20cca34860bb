"""The values of one column: what counts as missing, as a number, as a date, as text.

A column is a NumPy array of one of three kinds: objects (each a `str` or None), float64 (NaN is
missing) or datetime64[us] (NaT is missing).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from retrograd.errors import DataError

Column = np.ndarray[Any, Any]

MISSING_WORDS = frozenset(
    ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "null", "NULL", "Null", "?"]
)

EXACT_INTEGERS = 2.0**53  # beyond it float64 no longer tells neighbouring integers apart

NUMBER_STYLES = ("plain", "decimal comma", "thousands comma")
DATE_STYLES = ("year first", "day first", "month first", "month name")

_DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?([eE][+-]?\d+)?")
_THOUSANDS_COMMA = re.compile(r"[+-]?(\d+|[1-9]\d{0,2}(,\d{3})+)(\.\d+)?")
_CLOCK = r"(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([AaPp][Mm])?)?"
_YEAR_FIRST = re.compile(r"(\d{4})([/.\-])(\d{1,2})\2(\d{1,2})" + _CLOCK)
_YEAR_MONTH = re.compile(r"(\d{4})-(\d{2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([/.\-])(\d{1,2})\2(\d{4}|(?<=/)\d{2})" + _CLOCK)
_DAY_NAME = re.compile(r"(\d{1,2})[ \-/.]+([A-Za-z]{3,9})[ \-/.,]+(\d{4})" + _CLOCK)
_NAME_DAY = re.compile(r"([A-Za-z]{3,9})[ .]+(\d{1,2}),? +(\d{4})" + _CLOCK)
_MONTHS = {
    name[:length]: number
    for number, name in enumerate(
        "january february march april may june july august september october november "
        "december".split(),
        start=1,
    )
    for length in (3, 4, len(name))
}


def clean_texts(values: Iterable[str]) -> Column:
    """Strip blanks and turn the words for "missing" into None."""
    stripped = [value.strip() for value in values]
    column = np.empty(len(stripped), dtype=object)
    column[:] = [None if value in MISSING_WORDS else value for value in stripped]
    return column


def as_column(name: str, values: Sequence[Any] | Column) -> Column:
    """Bring a list or an array to one of the three column kinds.

    Raises:
        DataError: more than one dimension, or complex numbers.
    """
    array = values if isinstance(values, np.ndarray) else _list_to_array(values)
    if array.ndim != 1:
        raise DataError(
            f"Column {name!r} has the shape {array.shape}; a column of a table has one dimension.",
            fix="Give one value for each row.",
        )
    kind = array.dtype.kind
    if kind == "f":
        return array.astype(np.float64)
    if kind in "iu":
        if array.size and max(abs(int(array.min())), abs(int(array.max()))) > EXACT_INTEGERS:
            return _objects([str(value) for value in array.tolist()])
        return array.astype(np.float64)
    if kind == "b":
        return _objects(["True" if value else "False" for value in array.tolist()])
    if kind == "M":
        return array.astype("datetime64[us]")
    if kind in "OUT":
        return _objects([_as_optional_text(value) for value in array.tolist()])
    raise DataError(
        f"Column {name!r} holds values of the type {array.dtype}, which a table cannot use.",
        fix="Give numbers, texts, booleans or dates.",
    )


def _list_to_array(values: Sequence[Any]) -> Column:
    types = {type(value) for value in values if value is not None}
    if types and types <= {int, float}:
        has_large_integers = any(
            isinstance(value, int) and abs(value) > EXACT_INTEGERS for value in values
        )
        if not has_large_integers:
            return np.array(
                [np.nan if value is None else value for value in values], dtype=np.float64
            )
    return _objects(list(values))


def _objects(values: list[Any]) -> Column:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _as_optional_text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    text = str(value).strip()
    return None if text in MISSING_WORDS else text


def find_missing(column: Column) -> np.ndarray[Any, Any]:
    """A boolean array: which values are missing."""
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind == "M":
        return np.isnat(column)
    return np.fromiter((value is None for value in column), dtype=bool, count=len(column))


def format_number(value: float) -> str:
    """A number as text: integers without a point, the rest with the fewest exact digits."""
    if abs(value) < EXACT_INTEGERS and value == int(value):
        return str(int(value))
    return repr(float(value))


def as_texts(column: Column) -> Column:
    """A column as objects: `str`, or None where missing."""
    if column.dtype.kind == "O":
        return column
    if column.dtype.kind == "M":
        return _objects([None if value == "NaT" else value for value in column.astype(str)])
    return _objects([None if value != value else format_number(value) for value in column.tolist()])


def number_values(column: Column) -> tuple[np.ndarray[Any, Any], list[Any]]:
    """Codes (-1 where missing) and the distinct values in order of first appearance."""
    texts = as_texts(column).tolist()
    numbers: dict[Any, int] = {None: -1}
    codes = np.fromiter(
        (numbers.setdefault(text, len(numbers) - 1) for text in texts),
        dtype=np.int64,
        count=len(texts),
    )
    del numbers[None]
    return codes, list(numbers)


def parse_numbers(
    column: Column, style: str = "plain"
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Numbers as float64 (NaN where missing) and the positions of values that are not numbers.

    Example:
        >>> parse_numbers(clean_texts(["1.5", "", "x"]))
        (array([1.5, nan, nan]), array([2]))
    """
    if column.dtype.kind == "f":
        return column, np.empty(0, dtype=np.int64)
    if column.dtype.kind == "M":
        return np.full(len(column), np.nan), np.flatnonzero(~np.isnat(column))
    if style == "plain":
        try:
            numbers = column.astype(np.float64)
        except ValueError:
            pass
        else:
            # Python reads "1_000" as a number; no table means that.
            if not any("_" in value for value in column.tolist() if value is not None):
                return numbers, np.empty(0, dtype=np.int64)
    read = _NUMBER_READERS[style]
    return _parse_each(column, lambda text: read(text), np.nan, np.float64)


def _read_plain(text: str) -> float | None:
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _read_decimal_comma(text: str) -> float | None:
    return float(text.replace(",", ".")) if _DECIMAL_COMMA.fullmatch(text) else None


def _read_thousands_comma(text: str) -> float | None:
    return float(text.replace(",", "")) if _THOUSANDS_COMMA.fullmatch(text) else None


_NUMBER_READERS: dict[str, Callable[[str], float | None]] = {
    "plain": _read_plain,
    "decimal comma": _read_decimal_comma,
    "thousands comma": _read_thousands_comma,
}


def parse_dates(column: Column, style: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Dates as datetime64[us] (NaT where missing), and the positions of values that are none.

    The clock time is kept as written: an offset from UTC is not applied.
    """
    if column.dtype.kind == "M":
        return column, np.empty(0, dtype=np.int64)
    if column.dtype.kind == "f":
        all_missing = np.full(len(column), np.datetime64("NaT"), dtype="datetime64[us]")
        return all_missing, np.flatnonzero(~np.isnan(column))
    nothing = np.datetime64("NaT")
    return _parse_each(column, lambda text: _read_date(text, style), nothing, "datetime64[us]")


def _parse_each(
    column: Column, read: Callable[[str], Any], missing: Any, dtype: Any
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    codes, distinct = number_values(column)
    values = [read(text) for text in distinct]
    is_bad = np.array([value is None for value in values] + [False], dtype=bool)
    parsed = np.array([missing if value is None else value for value in values] + [missing], dtype)
    return parsed[codes], np.flatnonzero(is_bad[codes])


def _read_date(text: str, style: str) -> datetime.datetime | None:
    if len(text) > 40 or not any(character.isdigit() for character in text):
        return None
    try:
        return _read_date_parts(text, style)
    except ValueError:  # a day or month outside its range
        return None


def _read_date_parts(text: str, style: str) -> datetime.datetime | None:
    clock: list[Any]
    if style == "year first":
        if match := _YEAR_FIRST.fullmatch(text):
            year, _, month, day, *clock = match.groups()
            return _make_date(year, int(month), day, clock)
        if match := _YEAR_MONTH.fullmatch(text):
            return datetime.datetime(int(match[1]), int(match[2]), 1)
        if len(text) >= 10 and text[4] == "-":
            return datetime.datetime.fromisoformat(text).replace(tzinfo=None)
        return None
    if style == "month name":
        if match := _DAY_NAME.fullmatch(text):
            day, name, year, *clock = match.groups()
        elif match := _NAME_DAY.fullmatch(text):
            name, day, year, *clock = match.groups()
        else:
            return None
        number = _MONTHS.get(name.lower())
        return None if number is None else _make_date(year, number, day, clock)
    if match := _YEAR_LAST.fullmatch(text):
        first, _, second, year, *clock = match.groups()
        day, month = (first, second) if style == "day first" else (second, first)
        if len(year) == 2:
            year = ("20" if int(year) < 70 else "19") + year
        return _make_date(year, int(month), day, clock)
    return None


def _make_date(year: str, month: int, day: str, clock: Sequence[Any]) -> datetime.datetime:
    hour, minute, second, half = clock
    hours = int(hour or 0)
    if half:
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    return datetime.datetime(int(year), month, int(day), hours, int(minute or 0), int(second or 0))

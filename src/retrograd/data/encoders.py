"""One encoder for each kind of column: values of a table to columns of numbers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from retrograd.data.column_kinds import ColumnDecision, check_dates, check_numbers
from retrograd.data.table import Table
from retrograd.data.values import (
    DATE_STYLES,
    NUMBER_STYLES,
    as_texts,
    find_missing,
    number_values,
    parse_dates,
    parse_numbers,
)
from retrograd.errors import DataError, FileFormatError

DATE_PARTS = ("days", "year", "month", "day", "weekday", "day_of_year", "hour")
LARGEST_INPUT = 3e38  # of float32

Floats = np.ndarray[Any, Any]


@dataclass(slots=True)
class EncodingReport:
    """What was met while encoding that the training part did not have.

    Args:
        unseen: for each categorical column how often each unknown category came; they are encoded
            as zeros.
        missing: for each column the number of missing values.
        ignored: columns of the table that the model does not know.
    """

    unseen: dict[str, dict[str, int]]
    missing: dict[str, int]
    ignored: tuple[str, ...] = ()


class ColumnEncoder(ABC):
    """The encoding of one column, fitted on the training part."""

    kind: ClassVar[str]
    name: str

    @property
    @abstractmethod
    def feature_names(self) -> list[str]:
        """The names of the columns of numbers that it makes."""

    @abstractmethod
    def encode(self, table: Table, out: Floats, report: EncodingReport) -> None:
        """Write the features of each row into `out`, (rows, features)."""

    @abstractmethod
    def check(self) -> bool:
        """Whether the fields make sense; asked after they were read from a file."""

    def to_json(self) -> dict[str, Any]:
        """The fields as a plain dict."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class NumericEncoder(ColumnEncoder):
    r"""A number, standardised: :math:`(x - mean) / scale`; the median where it is missing.

    Where values were missing in the training part, a second feature says so (1 or 0). A number that
    did not vary in the training part has the scale 0 and makes no feature.
    """

    kind: ClassVar[str] = "numeric"

    name: str
    style: str
    mean: float
    scale: float
    median: float
    indicator: bool

    @staticmethod
    def fit(table: Table, column: ColumnDecision) -> NumericEncoder:
        numbers = read_numbers(table, column.name, column.style)
        known = numbers[~np.isnan(numbers)]
        indicator = len(known) < len(numbers)
        if len(known) == 0:
            return NumericEncoder(column.name, column.style, 0.0, 0.0, 0.0, False)
        mean, scale = find_mean_and_scale(known)
        return NumericEncoder(
            column.name, column.style, mean, scale, float(np.median(known)), indicator
        )

    @property
    def feature_names(self) -> list[str]:
        names = [self.name] if self.scale > 0.0 else []
        return [*names, f"{self.name} is missing"] if self.indicator else names

    def encode(self, table: Table, out: Floats, report: EncodingReport) -> None:
        numbers = read_numbers(table, self.name, self.style)
        is_missing = np.isnan(numbers)
        _count_missing(report, self.name, is_missing)
        if self.scale > 0.0:
            filled = np.where(is_missing, self.median, numbers)
            with np.errstate(over="ignore"):
                standardised = (filled - self.mean) / self.scale
            _check_range(table, self.name, standardised)
            out[:, 0] = standardised
        if self.indicator:
            out[:, -1] = is_missing

    def check(self) -> bool:
        numbers = (self.mean, self.scale, self.median)
        return (
            _are_finite(numbers)
            and self.scale >= 0.0
            and self.style in NUMBER_STYLES
            and isinstance(self.indicator, bool)
        )


@dataclass(frozen=True, slots=True)
class CategoricalEncoder(ColumnEncoder):
    """One feature for each category of the training part: 1 for the value of the row, else 0.

    Missing values have a feature of their own if the training part had any. A category that it did
    not have is encoded as zeros and counted.
    """

    kind: ClassVar[str] = "categorical"

    name: str
    categories: tuple[str, ...]
    indicator: bool

    @staticmethod
    def fit(table: Table, column: ColumnDecision) -> CategoricalEncoder:
        codes, distinct = number_values(table.column(column.name))
        return CategoricalEncoder(column.name, tuple(sort_texts(distinct)), bool((codes < 0).any()))

    @property
    def feature_names(self) -> list[str]:
        names = [f"{self.name} = {category}" for category in self.categories]
        return [*names, f"{self.name} is missing"] if self.indicator else names

    def encode(self, table: Table, out: Floats, report: EncodingReport) -> None:
        codes, distinct = number_values(table.column(self.name))
        _count_missing(report, self.name, codes < 0)
        places = {category: place for place, category in enumerate(self.categories)}
        # One place more, for missing values: codes of -1 read the last entry.
        place_of = np.array([places.get(value, -1) for value in distinct] + [-1], dtype=np.int64)
        place = place_of[codes]
        rows = np.flatnonzero(place >= 0)
        out[:] = 0.0
        out[rows, place[rows]] = 1.0
        if self.indicator:
            out[codes < 0, -1] = 1.0
        unseen = codes[(place < 0) & (codes >= 0)]
        if len(unseen):
            counts = Counter(unseen.tolist())
            report.unseen[self.name] = {
                distinct[code]: count for code, count in counts.most_common()
            }

    def check(self) -> bool:
        return (
            isinstance(self.categories, tuple)
            and len(set(self.categories)) == len(self.categories)
            and all(isinstance(item, str) for item in self.categories)
            and isinstance(self.indicator, bool)
        )


@dataclass(frozen=True, slots=True)
class DateEncoder(ColumnEncoder):
    """A date as standardised numbers: days, year, month, day, weekday, day of the year, hour.

    Parts that did not vary in the training part are left out. A missing date has the mean of every
    part, and a feature that says so if the training part had any.
    """

    kind: ClassVar[str] = "date"

    name: str
    style: str
    parts: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    indicator: bool

    @staticmethod
    def fit(table: Table, column: ColumnDecision) -> DateEncoder:
        dates = _read_dates(table, column.name, column.style)
        known = dates[~np.isnat(dates)]
        fitted: list[tuple[str, float, float]] = []
        for part in DATE_PARTS if len(known) else ():
            mean, scale = find_mean_and_scale(take_date_part(known, part))
            if scale > 0.0:
                fitted.append((part, mean, scale))
        return DateEncoder(
            column.name,
            column.style,
            tuple(part for part, _, _ in fitted),
            tuple(mean for _, mean, _ in fitted),
            tuple(scale for _, _, scale in fitted),
            0 < len(known) < len(dates),
        )

    @property
    def feature_names(self) -> list[str]:
        names = [f"{self.name} {part}" for part in self.parts]
        return [*names, f"{self.name} is missing"] if self.indicator else names

    def encode(self, table: Table, out: Floats, report: EncodingReport) -> None:
        dates = _read_dates(table, self.name, self.style)
        is_missing = np.isnat(dates)
        _count_missing(report, self.name, is_missing)
        filled = np.where(is_missing, np.datetime64(0, "us"), dates)
        for place, (part, mean, scale) in enumerate(zip(self.parts, self.means, self.scales)):
            numbers = (take_date_part(filled, part) - mean) / scale
            out[:, place] = np.where(is_missing, 0.0, numbers)
        if self.indicator:
            out[:, -1] = is_missing

    def check(self) -> bool:
        return (
            self.style in DATE_STYLES
            and isinstance(self.parts, tuple)
            and len(self.parts) == len(self.means) == len(self.scales)
            and all(part in DATE_PARTS for part in self.parts)
            and _are_finite((*self.means, *self.scales))
            and all(scale > 0.0 for scale in self.scales)
            and isinstance(self.indicator, bool)
        )


ENCODERS: dict[str, type[Any]] = {
    encoder.kind: encoder for encoder in (NumericEncoder, CategoricalEncoder, DateEncoder)
}


def encoder_from_json(data: Any) -> ColumnEncoder:
    """The encoder that `to_json` wrote.

    Raises:
        FileFormatError: fields that are missing, of another type or without meaning.
    """
    try:
        fields = dict(data)
        encoder = ENCODERS[fields.pop("kind")](
            **{key: tuple(item) if isinstance(item, list) else item for key, item in fields.items()}
        )
        is_sound = isinstance(encoder.name, str) and encoder.check()
    except (KeyError, TypeError, ValueError):
        is_sound = False
    if not is_sound:
        name = data.get("name") if isinstance(data, dict) else data
        raise FileFormatError(
            f"The encoding of the column {name!r} cannot be read from the model.",
            fix="Train the model again: its preprocessing file is damaged or of another version.",
        )
    return encoder


def sort_texts(values: list[str]) -> list[str]:
    """Sorted by number if all are numbers, else as text."""
    try:
        return sorted(values, key=lambda value: (float(value), value))
    except ValueError:
        return sorted(values)


def read_numbers(table: Table, name: str, style: str) -> Floats:
    """A numeric column as float64, NaN where missing.

    Raises:
        DataError: text or an infinite value; names the row and the value.
    """
    numbers, bad = parse_numbers(table.column(name), style)
    check_numbers(table, name, numbers, bad, style)
    return numbers


def _read_dates(table: Table, name: str, style: str) -> np.ndarray[Any, Any]:
    dates, bad = parse_dates(table.column(name), style)
    check_dates(table, name, bad, style)
    return dates


def take_date_part(dates: np.ndarray[Any, Any], part: str) -> Floats:
    """One part of dates as float64: days since 1970, year, month (1-12), day (1-31), weekday
    (0 is Monday), day_of_year (1-366) or hour (0-24, minutes as a fraction)."""
    days = dates.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    years = dates.astype("datetime64[Y]")
    values: Any
    if part == "days":
        values = days.astype(np.int64)
    elif part == "year":
        values = years.astype(np.int64) + 1970
    elif part == "month":
        values = months.astype(np.int64) % 12 + 1
    elif part == "day":
        values = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    elif part == "weekday":
        values = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    elif part == "day_of_year":
        values = (days - years.astype("datetime64[D]")).astype(np.int64) + 1
    else:
        values = (dates - days).astype("timedelta64[s]").astype(np.int64) / 3600.0
    return np.asarray(values, dtype=np.float64)


def find_mean_and_scale(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation; the latter is 0 where the values differ only by rounding."""
    largest = float(np.max(np.abs(values)))
    if largest == 0.0:
        return 0.0, 0.0
    # Squares of very large or small numbers would leave float64; a power of two rounds nothing.
    largest = 2.0 ** (math.frexp(largest)[1] - 1)
    scaled = values / largest
    mean, spread = float(scaled.mean()), float(scaled.std())
    if spread <= 1e-14:
        return mean * largest, 0.0
    return mean * largest, spread * largest


def _count_missing(report: EncodingReport, name: str, is_missing: np.ndarray[Any, Any]) -> None:
    count = int(is_missing.sum())
    if count:
        report.missing[name] = count


def _check_range(table: Table, name: str, standardised: Floats) -> None:
    beyond = np.flatnonzero(~(np.abs(standardised) < LARGEST_INPUT))
    if len(beyond):
        place = int(beyond[0])
        value = as_texts(table.column(name))[place]
        raise DataError(
            f"Column {name!r} has {value!r} in {table.describe_row(place)}, which is too far from "
            "the values of the training part to be a float32 number.",
            fix="Correct the value, or leave the cell empty if it is not known.",
        )


def _are_finite(values: tuple[Any, ...]) -> bool:
    return all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    )


def find_rows_without(table: Table, name: str) -> np.ndarray[Any, Any]:
    """The positions of the rows in which the column is missing."""
    return np.flatnonzero(find_missing(table.column(name)))

"""Windows of a series: what a forecaster sees, and what it is to say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..errors import DataError
from .encoders import take_date_part
from .series import Series, fill_forward, fill_seasonally

NumpyArray = np.ndarray[Any, Any]

LONGEST_WINDOW = 200
LONGEST_RECENT = 24
MOST_WINDOWS = 100_000
MOST_REPEATS = 4
LIMIT = 5.0
"""Standard deviations at which other columns are cut off: an outlier there says no more."""

COUNTS = ("horizon", "window", "recent", "season", "repeats")
DAY, WEEK = 86_400.0, 604_800.0


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """How a series becomes rows of features, and a network's outputs a forecast.

    The network gives the difference to the mean of the values one, two, ... seasons before, in
    units of `scale`. A missing value is filled by that a season before, or by the last one known.

    Args:
        horizon: steps to forecast.
        window: steps of the target that are seen.
        recent: steps of the other columns that are seen.
        season: steps after which the series is expected to repeat itself.
        repeats: how many seasons before are seen of the steps to forecast.
        mean, scale: of the target.
        means, scales: of the other columns.
        step: seconds of a step; None if the time plays no part.
    """

    horizon: int
    window: int
    recent: int
    season: int
    repeats: int
    mean: float
    scale: float
    means: tuple[float, ...]
    scales: tuple[float, ...]
    step: float | None

    @property
    def reach(self) -> int:
        """How many steps before its end a forecast looks at."""
        return max(self.window, self.recent, self.find_reach(self.repeats))

    def find_reach(self, repeats: int) -> int:
        """How many steps before its end so many repeats of the season look at."""
        return self.season * (repeats - 1 + -(-self.horizon // self.season))

    @property
    def features(self) -> int:
        """How many numbers the network sees of a window."""
        calendar = 0
        if self.step is not None:
            calendar = make_calendar(np.zeros(1, "datetime64[us]"), self.step).shape[1]
        columns = self.window + self.repeats * self.horizon + self.recent * (len(self.means) + 1)
        return columns + calendar

    def to_json(self) -> dict[str, Any]:
        """The plan as a plain dict."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> WindowPlan:
        """The plan that `to_json` gave.

        Raises:
            ValueError, TypeError, KeyError: it is damaged.
        """
        horizon, window, recent, season, repeats = counts = [int(data[name]) for name in COUNTS]
        mean, scale = float(data["mean"]), float(data["scale"])
        means, scales = (tuple(float(x) for x in data[name]) for name in ("means", "scales"))
        step = None if data["step"] is None else float(data["step"])
        numbers = [mean, scale, *means, *scales, 0.0 if step is None else step]
        if min(counts) < 1 or not all(map(math.isfinite, numbers)) or scale <= 0:
            raise ValueError("a number is outside its limits")
        if len(means) != len(scales):
            raise ValueError("means and scales differ in number")
        sizes = (horizon, window, recent, season, repeats)
        return WindowPlan(*sizes, mean, scale, means, scales, step)

    # -- windows ------------------------------------------------------------------------------

    def find_ends(self, series: Series, start: int, stop: int) -> NumpyArray:
        """The last steps of the windows whose forecasts lie in the steps from start to stop.

        Windows of which less than half is known, or nothing of their forecasts, are left out.
        """
        ends = np.arange(max(start - 1, self.reach - 1), stop - self.horizon)
        if len(ends) == 0:
            return ends
        known = np.concatenate([[0], np.cumsum(~np.isnan(series.values))])
        seen = known[ends + 1] - known[ends + 1 - self.window]
        told = known[ends + 1 + self.horizon] - known[ends + 1]
        return ends[(2 * seen >= self.window) & (told > 0)]

    def make_features(self, series: Series, ends: NumpyArray) -> NumpyArray:
        """What the network sees of windows with these last steps, float32 (windows, features)."""
        target = (fill_seasonally(series.values, self.season) - self.mean) / self.scale
        parts = [target[ends[:, None] + np.arange(1 - self.window, 1)]]
        parts += [self._look_back(target, ends, number) for number in range(self.repeats)]
        recent = ends[:, None] + np.arange(1 - self.recent, 1)
        for place, (mean, scale) in enumerate(zip(self.means, self.scales)):
            column = series.others[:, place]
            filled = (fill_forward(column) - mean) / scale if scale > 0 else np.zeros(len(column))
            parts.append(np.clip(filled, -LIMIT, LIMIT)[recent])
        parts.append(np.isnan(series.values)[recent].astype(np.float64))
        if self.step is not None and series.times is not None:
            parts.append(make_calendar(series.times[ends], self.step))
        return np.concatenate(parts, axis=1).astype(np.float32)

    def forecast_naively(self, series: Series, ends: NumpyArray) -> NumpyArray:
        """The values one season before those to forecast, (windows, horizon)."""
        return forecast_seasonally(series.values, ends, self.horizon, self.season)

    def _expect(self, series: Series, ends: NumpyArray) -> NumpyArray:
        """The mean of the values one, two, ... seasons before, (windows, horizon)."""
        filled = fill_seasonally(series.values, self.season)
        parts = [self._look_back(filled, ends, number) for number in range(self.repeats)]
        mean: NumpyArray = np.mean(parts, axis=0)
        return mean

    def _look_back(self, filled: NumpyArray, ends: NumpyArray, number: int) -> NumpyArray:
        ahead = np.arange(1, self.horizon + 1)
        back = self.season * (-(-ahead // self.season) + number)
        found: NumpyArray = filled[ends[:, None] + ahead - back]
        return found

    def make_targets(self, series: Series, ends: NumpyArray) -> NumpyArray:
        """What the network is to give, and 1 where that is known: float32 (windows, horizon, 2)."""
        wanted = series.values[ends[:, None] + np.arange(1, self.horizon + 1)]
        known = ~np.isnan(wanted)
        difference = (wanted - self._expect(series, ends)) / self.scale
        return np.stack([np.where(known, difference, 0.0), known], axis=2).astype(np.float32)

    def read_outputs(self, outputs: NumpyArray, series: Series, ends: NumpyArray) -> NumpyArray:
        """The forecasts in the unit of the target, float64 (windows, horizon)."""
        expected = self._expect(series, ends)
        result: NumpyArray = expected + outputs.astype(np.float64) * self.scale
        return result


def plan_windows(series: Series, horizon: int, train: int) -> WindowPlan:
    """Choose the windows from the first `train` steps alone.

    Raises:
        DataError: the series is too short for the horizon, or constant.
    """
    values = series.values[:train]
    known = values[~np.isnan(values)]
    if len(known) == 0 or float(known.std()) <= 1e-12 * max(1.0, float(np.abs(known).max())):
        raise DataError(
            f"{series.target!r} does not change in the first {train:,} steps of {series.source}: "
            "there is nothing to learn.",
        )
    step = None if series.step is None else float(series.step / np.timedelta64(1, "s"))
    seasons = find_seasons(values, step)
    season = choose_season(values, horizon, seasons)
    window = max([horizon, 8, *(s for s in seasons if s <= LONGEST_WINDOW)])
    window = max(1, min(window, LONGEST_WINDOW, (train - horizon) // 3))
    recent = min(LONGEST_RECENT, window)
    # Few windows are lost to their beginnings.
    repeats = int(np.clip((train // 6 - horizon) // season, 1, MOST_REPEATS))
    counts = (horizon, window, recent, season, repeats)
    return WindowPlan(*counts, *_find_scales(series, train), step)


def rescale(plan: WindowPlan, series: Series) -> WindowPlan:
    """The same windows with the means and scales of a whole series."""
    mean, scale, means, scales = _find_scales(series, len(series))
    return replace(plan, mean=mean, scale=scale, means=means, scales=scales)


def _find_scales(
    series: Series, train: int
) -> tuple[float, float, tuple[float, ...], tuple[float, ...]]:
    """Means and scales of the target and of the other columns in the first steps."""
    known = series.values[:train][~np.isnan(series.values[:train])]
    others = series.others[:train]
    columns = [others[:, place][~np.isnan(others[:, place])] for place in range(others.shape[1])]
    means = tuple(float(column.mean()) if len(column) else 0.0 for column in columns)
    return float(known.mean()), float(known.std()), means, tuple(map(_find_scale, columns))


def _find_scale(column: NumpyArray) -> float:
    """A spread that a few outliers do not widen; 0 for a constant."""
    if len(column) == 0:
        return 0.0
    low, high = np.percentile(column, [2.0, 98.0])
    inner = np.clip(column, low, high)
    return float(inner.std()) or float(column.std())


def find_seasons(values: NumpyArray, step: float | None) -> list[int]:
    """After how many steps the series may repeat itself: a day, a week, a year; or 12 months.

    Args:
        values: the part to learn.
        step: seconds; None if not known, then the seasons are those of the strongest correlation.

    Example:
        >>> find_seasons(np.zeros(10_000), 3600.0)
        [24, 168]
        >>> find_seasons(np.tile([1.0, 2.0, 5.0, 3.0], 50), None)
        [4]
    """
    longest = len(values) // 3
    if step is not None:
        periods = [round(span / step) for span in (DAY, WEEK, 365.25 * DAY)]
        return [period for period in periods if 2 <= period <= longest]
    filled = fill_forward(values)
    shifted = filled - filled.mean()
    longest = min(longest, 400)
    if longest < 2 or not shifted.any():
        return []
    size = 2 ** math.ceil(math.log2(2 * len(shifted)))
    power = np.abs(np.fft.rfft(shifted, size)) ** 2
    correlation = np.fft.irfft(power, size)[: longest + 2]
    correlation = correlation / correlation[0]
    inner = correlation[1:-1]
    peaks = np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:])) + 1
    peaks = peaks[(peaks >= 2) & (correlation[peaks] > 0.3)]
    return [int(peaks[np.argmax(correlation[peaks])])] if len(peaks) else []


def choose_season(values: NumpyArray, horizon: int, seasons: list[int]) -> int:
    """The season with the smallest mean absolute error of the seasonal-naive forecast; 1, the last
    value, where there is no season."""
    best, smallest = 1, math.inf
    for season in seasons:
        ends = np.arange(season - 1, len(values) - horizon)
        if len(ends) == 0:
            continue
        wanted = values[ends[:, None] + np.arange(1, horizon + 1)]
        error = np.abs(forecast_seasonally(values, ends, horizon, season) - wanted)
        if not np.isnan(error).all() and np.nanmean(error) < smallest:
            best, smallest = season, float(np.nanmean(error))
    return best


def forecast_seasonally(
    values: NumpyArray, ends: NumpyArray, horizon: int, season: int
) -> NumpyArray:
    """The seasonal-naive forecast: the last value known one or more whole seasons before.

    Example:
        >>> forecast_seasonally(np.array([1.0, 2.0, 3.0]), np.array([2]), 4, 2).tolist()
        [[2.0, 3.0, 2.0, 3.0]]
    """
    ahead = np.arange(1, horizon + 1)
    places = ends[:, None] + ahead - season * -(-ahead // season)
    result: NumpyArray = fill_seasonally(values, season)[places]
    return result


def make_calendar(times: NumpyArray, step: float) -> NumpyArray:
    """Hour, weekday and day of the year, as far as steps of so many seconds tell them apart."""
    parts: list[NumpyArray] = []
    if step < DAY:
        parts += _make_waves(take_date_part(times, "hour") / 24.0, 3)
    if step <= DAY:
        weekday = take_date_part(times, "weekday").astype(np.int64)
        parts += list(np.eye(7)[weekday].T)
    parts += _make_waves(take_date_part(times, "day_of_year") / 365.25, 2)
    return np.stack(parts, axis=1)


def _make_waves(phase: NumpyArray, count: int) -> list[NumpyArray]:
    angles = [2.0 * math.pi * number * phase for number in range(1, count + 1)]
    return [wave(angle) for angle in angles for wave in (np.sin, np.cos)]

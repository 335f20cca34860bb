"""A trained forecaster: the network, its windows, and how it was trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import nn
from ....data.forecast import WindowPlan
from ....data.series import Series, describe_step, read_series
from ....data.table import Table
from ....errors import DataError, FileFormatError
from ....train.saving import load_model, save_model
from ..sections import read_section, tell_damaged, tell_mismatch

NumpyArray = np.ndarray[Any, Any]

SECTION = "forecast"
VERSION = 1
BATCH = 1024


@dataclass(frozen=True, slots=True, eq=False)
class ForecastModel:
    """A network that forecasts a column of a table.

    Args:
        network: features of a window to differences to the seasonal-naive forecast.
        plan: the windows.
        target: the column that is forecast.
        names: the other columns that are seen.
        date: the column of times, or None.
        report: how it was trained and tested, as plain values.
    """

    network: nn.Sequential
    plan: WindowPlan
    target: str
    names: tuple[str, ...]
    date: str | None
    report: dict[str, Any]

    def forecast(self, series: Series, ends: NumpyArray) -> NumpyArray:
        """The forecasts after these steps, float64 (windows, horizon)."""
        self.network.eval()
        x = self.plan.make_features(series, ends)
        pieces = [np.asarray(self.network(x[at : at + BATCH])) for at in range(0, len(x), BATCH)]
        return self.plan.read_outputs(np.concatenate(pieces), series, ends)

    def forecast_after(self, table: Table) -> tuple[Series, NumpyArray]:
        """The series of a table, and the forecast of the steps that follow it, (horizon,).

        Raises:
            DataError: a column is missing, the steps are others, or there are too few.
        """
        series = read_series(table, self.target, names=self.names, date=self.date)
        self.check_series(series)
        known = int((~np.isnan(series.values[-self.plan.window :])).sum())
        if 2 * known < self.plan.window:
            raise DataError(
                f"Of the last {self.plan.window:,} steps of {series.source} only {known:,} have a "
                f"value of {self.target!r}.",
                fix="fill them in, or end the file where the values end",
            )
        found = self.forecast(series, np.array([len(series) - 1]))[0]
        if not np.isfinite(found).all():
            raise FileFormatError(
                "The network gives NaN or infinite forecasts: its weights are damaged.",
                fix="train the model again",
            )
        return series, found

    def check_series(self, series: Series) -> None:
        """Raise a DataError unless a series has the steps that were learned, and enough of them."""
        step = None if series.step is None else float(series.step / np.timedelta64(1, "s"))
        if step != self.plan.step:
            raise DataError(
                f"The steps of {series.source} are {_describe_step(step)}; the model learned steps "
                f"of {_describe_step(self.plan.step)}.",
                fix="give a series with the steps of the one that was learned",
            )
        if len(series) < self.plan.reach:
            raise DataError(
                f"{series.source} has {len(series):,} steps; a forecast looks at the last "
                f"{self.plan.reach:,}.",
                fix="give more of the past",
            )

    def save(self, path: str) -> None:
        """Write the model directory, whole or not at all."""
        section = {
            "version": VERSION,
            "plan": self.plan.to_json(),
            "target": self.target,
            "columns": list(self.names),
            "date": self.date,
            "report": self.report,
        }
        save_model(self.network, path, extra={SECTION: section})


def _describe_step(seconds: float | None) -> str:
    return "not known" if seconds is None else describe_step(seconds)


def load_forecast_model(path: str) -> ForecastModel:
    """Read a directory that `retrograd train --task forecast` wrote.

    Raises:
        FileFormatError: not such a directory, damaged, or of a later version.
    """
    section = read_section(path, SECTION, VERSION, "forecaster")
    try:
        plan = WindowPlan.from_json(section["plan"])
        target, date, names = section["target"], section["date"], tuple(section["columns"])
        texts = [target, *names, *([] if date is None else [date])]
        if not all(isinstance(text, str) for text in texts) or len(names) != len(plan.means):
            raise TypeError("columns are named by strings")
        report = dict(section["report"])
    except (KeyError, TypeError, ValueError) as error:
        raise tell_damaged(path, SECTION, error) from None
    network = load_model(path)
    first = network.layers[0] if isinstance(network, nn.Sequential) else None
    last = network.layers[-1] if first is not None else None
    fits = isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    if not fits or _find_sizes(first, last) != (plan.features, plan.horizon):
        raise tell_mismatch(path, f"take {plan.features} features to {plan.horizon} steps")
    return ForecastModel(network, plan, target, names, date, report)


def _find_sizes(first: Any, last: Any) -> tuple[int, int]:
    return int(first.weight.type.shape[0]), int(last.weight.type.shape[1])

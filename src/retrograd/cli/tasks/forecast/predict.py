"""Forecasts of the steps that follow a series, and how good they are."""

from __future__ import annotations

from typing import Any

from ....data.series import read_series
from ....data.table import read_table, write_predictions
from ....errors import DataError
from ...run import Output, count
from ..task import PredictRequest
from .model import load_forecast_model
from .scoring import score, show_scores


def predict_following(request: PredictRequest, output: Output) -> None:
    """Print or write the steps that follow a series."""
    out = request.out
    request.refuse_probabilities("forecasts numbers")
    request.check_out()
    trained = load_forecast_model(request.model)
    table = read_table(request.data)
    series, forecast = trained.forecast_after(table)
    output.warn(*table.notes, *series.notes)
    times = series.following_times(len(forecast))
    columns: dict[str, list[Any]] = {}
    if times is not None and series.date is not None:
        texts = [str(time.astype("datetime64[s]")).replace("T", " ") for time in times]
        columns[series.date] = texts
    else:
        columns["step"] = [str(number) for number in range(1, len(forecast) + 1)]
    first = next(iter(columns))
    columns["prediction"] = [float(value) for value in forecast]
    if out is not None:
        write_predictions(out, columns)
        output.say(f"The {count(len(forecast), 'step')} of {series.target!r} that follow: {out}")
    else:
        rows = [[label, f"{value:.6g}"] for label, value in zip(columns[first], forecast)]
        output.show_table([[first, series.target], *rows], indent="")
    output.finish({"out": out, "target": series.target, "forecast": columns})


def evaluate_series(model: str, data: str, output: Output) -> None:
    """Score a forecaster on all windows of a series whose values are known."""
    trained = load_forecast_model(model)
    table = read_table(data)
    series = read_series(table, trained.target, names=trained.names, date=trained.date)
    trained.check_series(series)
    output.warn(*table.notes, *series.notes)
    ends = trained.plan.find_ends(series, 0, len(series))
    if len(ends) == 0:
        raise DataError(
            f"{series.source} has no window whose {trained.plan.horizon:,} following steps are "
            "known.",
            fix="give a longer series, or one with fewer missing values",
        )
    scores = score(trained, series, ends)
    output.say(f"{data}: {count(len(ends), 'window')}; mean absolute error by steps ahead:")
    show_scores(scores, trained.plan, output)
    about = {"model": model, "target": trained.target, "steps": len(series), "windows": len(ends)}
    output.finish({**about, "scores": scores})

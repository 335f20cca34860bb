"""How good forecasts are, beside those that they must beat."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....data.forecast import WindowPlan, forecast_seasonally
from ....data.series import Series
from ...run import Output, count
from .model import ForecastModel

NumpyArray = np.ndarray[Any, Any]

SHOWN_STEPS = 8


def score(model: ForecastModel, series: Series, ends: NumpyArray) -> dict[str, Any]:
    """Mean absolute errors of the network and of what it must beat, over all and by step."""
    horizon = model.plan.horizon
    wanted = series.values[ends[:, None] + np.arange(1, horizon + 1)]
    forecasts = {
        "network": model.forecast(series, ends),
        "seasonal_naive": model.plan.forecast_naively(series, ends),
        "last_value": forecast_seasonally(series.values, ends, horizon, 1),
    }
    scores = {}
    known = ~np.isnan(wanted)
    for name, forecast in forecasts.items():
        errors = np.where(known, np.abs(forecast - np.where(known, wanted, 0.0)), 0.0)
        times = known.sum(axis=0)
        by_step = [float(e / n) if n else None for e, n in zip(errors.sum(axis=0), times)]
        scores[name] = {"mae": float(errors.sum() / times.sum()), "mae_by_step": by_step}
    return scores


def show_scores(scores: dict[str, Any], plan: WindowPlan, output: Output) -> None:
    """The errors by steps ahead, as a table."""
    shown = np.unique(np.linspace(1, plan.horizon, min(SHOWN_STEPS, plan.horizon)).round())
    steps = [int(step) for step in shown]
    season = count(plan.season, "step")
    words = {"seasonal_naive": f"seasonal naive ({season} before)", "last_value": "last value"}
    rows = [["", "all", *map(str, steps)]]
    for name, found in scores.items():
        numbers = [found["mae"], *(found["mae_by_step"][step - 1] for step in steps)]
        cells = ["-" if number is None else f"{number:.4g}" for number in numbers]
        rows.append([words.get(name, name), *cells])
    output.show_table(rows)
    network, naive = scores["network"]["mae"], scores["seasonal_naive"]["mae"]
    if network >= naive:
        output.warn("the network is no better than the values one season before")
    elif naive > 0:
        output.say(f"The network's error is {100 * (1 - network / naive):.0f} % below the naive.")

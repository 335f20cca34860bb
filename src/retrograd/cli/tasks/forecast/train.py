"""`retrograd train --task forecast`: from a series to a tested forecaster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import optim
from ....data.forecast import MOST_WINDOWS, WindowPlan, plan_windows, rescale
from ....data.series import Series, describe_time, read_series
from ....data.table import read_table
from ....errors import DataError
from ....ops import random
from ....ops.arithmetic import abs as absolute
from ....ops.arithmetic import maximum
from ....ops.promotion import as_array
from ....ops.reduce import sum as total_of
from ....ops.shape import expand_dims
from ....train.callbacks import Callback, EarlyStopping
from ....train.trainer import Trainer
from ...progress import LiveBar
from ...run import Output, count, quote, shorten_list
from ..ending import end_training
from ..networks import SideBySide
from ..task import TrainRequest
from .model import ForecastModel
from .scoring import score, show_scores

NumpyArray = np.ndarray[Any, Any]

TEST_SHARE = VALIDATION_SHARE = 0.15


def train_forecast(request: TrainRequest, output: Output) -> None:
    """Read, train, measure, learn all, save and report."""
    data, out, seed, epochs = request.data, request.out, request.seed, request.epochs
    target, horizon = request.options["--target"], request.options["--horizon"]
    started = time.monotonic()
    table = read_table(data)
    series = read_series(table, target, request.options.get("--drop", ()))
    _show_series(data, series, len(table), output, table.notes)
    parts = split_steps(series, horizon)
    plan = plan_windows(series, horizon, parts[0][1])
    sets = [_cut(plan, series, *part) for part in parts]
    _check_sets(series, plan, sets)
    output.say(
        f"Windows: {len(sets[0]):,} to train on, {len(sets[1]):,} to stop on, {len(sets[2]):,} to "
        "test with (the end of the series)"
    )
    ahead = count(horizon, "step")
    output.say(f"Sees {count(plan.window, 'step')} of {target!r}, forecasts {ahead}")
    fitted = fit_forecaster(plan, series, sets[0], sets[1], seed, epochs)
    if fitted.epochs == 0:
        raise KeyboardInterrupt
    output.say(f"Best on the validation part after {count(fitted.epochs, 'epoch')}")

    model = ForecastModel(fitted.network, plan, target, series.names, series.date, {})
    scores = score(model, series, sets[2])
    output.say()
    output.say("Test part (used only now), mean absolute error by steps ahead:")
    show_scores(scores, plan, output)
    report: dict[str, Any] = {
        "source": series.source,
        "steps": len(series),
        "windows": {n: len(s) for n, s in zip(("train", "validation", "test"), sets)},
        "horizon": horizon,
        "season": plan.season,
        "seed": seed,
        "epochs": fitted.epochs,
        "test": scores,
        "refit": False,
        "warnings": [*table.notes, *series.notes],
        "seconds": round(time.monotonic() - started, 3),
    }
    model = ForecastModel(fitted.network, plan, target, series.names, series.date, report)
    model.save(out)
    interrupted = fitted.is_interrupted
    if not interrupted:
        # The newest steps say most about those to come: learn them too.
        final = rescale(plan, series)
        everything = _cut(final, series, 0, len(series))
        last = fit_forecaster(final, series, everything, None, seed, fitted.epochs)
        interrupted = last.is_interrupted
        if not interrupted:
            report |= {"refit": True, "seconds": round(time.monotonic() - started, 3)}
            ForecastModel(last.network, final, target, series.names, series.date, report).save(out)
            output.say("Then learned the whole series in as many epochs.")
    about = {"model": out, "task": "forecast", "target": target, "columns": list(series.names)}
    following = f"predict {quote(out)} {quote(data)}"
    end_training(output, out, started, following, about | report, interrupted)


def split_steps(series: Series, horizon: int) -> list[tuple[int, int]]:
    """First and last step (exclusive) of the parts to learn, to stop on and to test with.

    Raises:
        DataError: the series is too short for the horizon.
    """
    length = len(series)
    test, validation = (
        max(horizon, round(share * length)) for share in (TEST_SHARE, VALIDATION_SHARE)
    )
    if length < 5 * horizon or length < 30:
        raise DataError(
            f"{series.source} has {length:,} steps: too few to learn, stop and test forecasts of "
            f"{count(horizon, 'step')}; at least {max(5 * horizon, 30):,} are needed.",
            fix="give a longer series or a smaller --horizon",
        )
    first, second = length - test - validation, length - test
    return [(0, first), (first, second), (second, length)]


def _cut(plan: WindowPlan, series: Series, start: int, stop: int) -> NumpyArray:
    ends = plan.find_ends(series, start, stop)
    chosen: NumpyArray = ends[:: max(1, -(-len(ends) // MOST_WINDOWS))]
    return chosen


def _check_sets(series: Series, plan: WindowPlan, sets: Sequence[NumpyArray]) -> None:
    for name, part in zip(("learn", "stop on", "test with"), sets):
        if len(part) == 0:
            raise DataError(
                f"{series.source} has no window to {name}: {series.target!r} is known at too few "
                f"steps one after the other (a window has {plan.window} and {plan.horizon} more).",
                fix="give a longer series, fewer missing values, or a smaller --horizon",
            )


@dataclass(frozen=True, slots=True, eq=False)
class FittedForecaster:
    """A trained network, how many epochs its weights have seen, and whether Ctrl-C ended it."""

    network: Any
    epochs: int
    is_interrupted: bool


def fit_forecaster(
    plan: WindowPlan,
    series: Series,
    train: NumpyArray,
    validation: NumpyArray | None,
    seed: int,
    epochs: int | None,
) -> FittedForecaster:
    """Train networks side by side on windows, and stop where the validation error is lowest.

    Args:
        plan, series: what windows hold.
        train, validation: the last steps of windows; without validation all epochs are trained.
        seed: of everything random.
        epochs: at most so many.
    """
    random.seed(seed)
    x, y = plan.make_features(series, train), plan.make_targets(series, train)
    width, members = (64, 4) if len(train) < 5_000 else (128, 4)
    networks = SideBySide(members, (x.shape[1], width, width, plan.horizon), 0.1)
    batch = int(np.clip(2 ** round(np.log2(max(len(x), 1) / 32)), 8, 256))
    limit = int(np.clip(6_000 // -(-len(x) // batch), 20, 200))
    trainer = Trainer(networks, mean_absolute_error, optim.AdamW(1e-3, weight_decay=0.02))
    callbacks: list[Callback] = [LiveBar("training" if validation is not None else "all steps")]
    stopping = EarlyStopping(max(4, limit // 8))
    held_out = None
    if validation is not None:
        callbacks.append(stopping)
        features = plan.make_features(series, validation)
        held_out = (features, plan.make_targets(series, validation))
    history = trainer.fit(
        x,
        y,
        epochs=limit if epochs is None else epochs,
        batch_size=min(batch, len(x)),
        validation_data=held_out,
        callbacks=callbacks,
        verbose=False,
    )
    done = len(history.epochs) if stopping.best_epoch is None else stopping.best_epoch
    return FittedForecaster(networks.average(), done, history.stopped_by == "interrupt")


def mean_absolute_error(outputs: Any, targets: Any) -> Any:
    """The mean absolute error of outputs (batch, members, horizon), where the target is known.

    Args:
        outputs: of networks side by side.
        targets: (batch, horizon, 2): the number, and 1 where it is known, else 0.
    """
    wanted = expand_dims(as_array(targets), 1)
    known = wanted[..., 1]
    errors = absolute(outputs - wanted[..., 0]) * known
    return total_of(errors) / (maximum(total_of(known), 1.0) * outputs.type.shape[1])


def _show_series(
    data: str, series: Series, rows: int, output: Output, notes: Sequence[str]
) -> None:
    step = "" if series.step is None else f" of {series.step.astype(object)}"
    output.say(f"{data}: {count(rows, 'row')}, {count(len(series), 'step')}{step}")
    output.warn(*notes, *series.notes)
    if series.date is not None:
        first, last = (describe_time(series.times[place]) for place in (0, -1))  # type: ignore[index]
        output.say(f"Times: {series.date!r}, from {first} to {last}")
    if series.names:
        output.say(f"Also sees: {shorten_list([repr(name) for name in series.names], 20)}")

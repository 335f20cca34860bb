"""`retrograd predict`: a column of predictions for the rows of a table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .run import Output, count, shorten_list

if TYPE_CHECKING:
    from ..data.encode import EncodingReport
    from ..data.table import Table
    from .table_model import Predictions, TableModel


def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A directory that `retrograd train` wrote.")
    ],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A CSV or Parquet file with the model's columns.")
    ],
    out: Annotated[
        Optional[str],  # noqa: UP045 - older versions of typer do not read `str | None`
        typer.Option(help="The CSV file to write; a forecast is else printed."),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add a column for each class.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Predict the target for every row of a table.

    The file has a column `prediction`, one line for each row in the same order. Columns are found
    by name; the target may be absent. Of a forecaster it has the steps that follow the end of the
    table, with their times.

    Examples:

    \b
      retrograd predict model new.csv --out predictions.csv
      retrograd predict model new.csv --out predictions.csv --probabilities --json
    """
    from ..data.table import read_table, write_predictions
    from ..errors import ArgumentError
    from ..train.saving import load_model_info
    from .forecast_model import is_forecaster
    from .table_model import load_table_model

    if is_forecaster(load_model_info(model)):
        _forecast(model, data, out, probabilities, json)
        return
    if out is None:
        raise typer.BadParameter("Missing option '--out'.")
    # A pipe or a device may be stdout itself.
    output = Output(json, aside=os.path.exists(out) and not os.path.isfile(out))
    trained = load_table_model(model)
    if probabilities and trained.preprocessor.task == "regression":
        raise ArgumentError(
            f"{model!r} predicts numbers, which have no class probabilities.",
            fix="Leave out --probabilities.",
        )
    _check_out(out, data)
    table = read_table(data)
    for note in table.notes:
        output.warn(note)
    found = trained.predict(table)
    write_predictions(out, _make_columns(trained, found, probabilities))
    output.say(f"{count(len(table), 'prediction')} of {trained.plan.target.name!r} in {out}")
    show_report(found.report, table, output)
    output.finish(
        {
            "out": out,
            "rows": len(table),
            "target": trained.plan.target.name,
            "unseen_categories": found.report.unseen,
            "missing_values": found.report.missing,
            "ignored_columns": list(found.report.ignored),
        }
    )


def _forecast(model: str, data: str, out: str | None, probabilities: bool, json: bool) -> None:
    """The steps that follow a series."""
    from ..data.table import read_table, write_predictions
    from ..errors import ArgumentError
    from .forecast_model import load_forecast_model

    output = Output(json, aside=out is not None and os.path.exists(out) and not os.path.isfile(out))
    if probabilities:
        raise ArgumentError(
            f"{model!r} forecasts numbers, which have no class probabilities.",
            fix="Leave out --probabilities.",
        )
    if out is not None:
        _check_out(out, data)
    trained = load_forecast_model(model)
    table = read_table(data)
    series, forecast = trained.forecast_after(table)
    for note in (*table.notes, *series.notes):
        output.warn(note)
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


def _make_columns(
    trained: TableModel, found: Predictions, probabilities: bool
) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"prediction": found.values}
    if probabilities and found.probabilities is not None:
        for place, label in enumerate(trained.preprocessor.classes):
            shares = found.probabilities[:, place]
            columns[f"probability {label}"] = [float(f"{share:.6g}") for share in shares]
    return columns


def show_report(report: EncodingReport, table: Table, output: Output) -> None:
    """What the table had that the training part did not."""
    for name, categories in report.unseen.items():
        shown = [f"{category!r} ({times})" for category, times in categories.items()]
        rows = count(sum(categories.values()), "row")
        output.warn(f"column {name!r}: unknown in training, {rows}: {shorten_list(shown)}")
    if report.missing:
        shown = [f"{name!r} ({number})" for name, number in report.missing.items()]
        output.warn(f"missing values, filled as in training: {shorten_list(shown)}")
    if report.ignored:
        names = [repr(name) for name in report.ignored]
        output.say(f"Not used by the model: {shorten_list(names)}")


def _check_out(out: str, data: str) -> None:
    """Refuse before the work what would fail after it, or would overwrite the input."""
    from ..errors import ArgumentError, SaveError

    if os.path.isdir(out):
        raise SaveError(f"{out!r} is a directory.", fix="Give the name of a file to --out.")
    if out == "-":
        raise ArgumentError(
            "--out '-' would write a file with the name '-'.",
            fix="Give /dev/stdout to print the predictions, or ./- for that file.",
        )
    if os.path.isfile(out) and os.path.exists(data) and os.path.samefile(out, data):
        raise ArgumentError(
            f"--out {out!r} is the table itself, which would be lost.", fix="Give another name."
        )

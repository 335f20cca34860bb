"""`retrograd predict`: a column of predictions for the rows of a table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

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
    out: Annotated[str, typer.Option(help="The CSV file to write.")],
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add a column for each class.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Predict the target for every row of a table.

    The file has a column `prediction`, one line for each row in the same order. Columns are found
    by name; the target may be absent.

    Examples:

    \b
      retrograd predict model new.csv --out predictions.csv
      retrograd predict model new.csv --out predictions.csv --probabilities --json
    """
    from ..data.table import read_table, write_predictions
    from ..errors import ArgumentError
    from .table_model import load_table_model

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

"""`retrograd predict`: what a model says about new data."""

from __future__ import annotations

from typing import Annotated, Optional

import typer


def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A directory that `retrograd train` wrote.")
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A CSV or Parquet file with the model's columns; for models of texts also a text "
            "file, or - for stdin.",
        ),
    ],
    out: Annotated[
        Optional[str],  # noqa: UP045 - older versions of typer do not read `str | None`
        typer.Option(help="The file to write; forecasts, tags and translations are else printed."),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add a column for each class.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Predict the target for every row of a table.

    The file has a column `prediction`, one line for each row in the same order. Columns are found
    by name; the target may be absent. Of a forecaster it has the steps that follow the end of the
    table, with their times. A translator writes a translation for each line of a text, a tagger the
    lines of a file with a tag behind each word.

    Examples:

    \b
      retrograd predict model new.csv --out predictions.csv
      retrograd predict translator new.txt
      retrograd predict tagger new.conll --out tagged.conll
      retrograd predict model new.csv --out predictions.csv --probabilities --json
    """
    from .tasks import find_task_of
    from .tasks.task import PredictRequest

    request = PredictRequest(model, data, out, probabilities)
    find_task_of(model).predict(request, request.make_output(json))

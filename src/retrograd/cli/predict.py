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
    """Predict what a trained model tells of new data, by its task:

    \b
      table        the target of each row, in the same order
      text         the class of each row of a table, or of each line of a text
      forecast     the steps that follow the end of the table, with their times
      tags         the lines of the file with a tag behind each word
      translation  a translation of each row of a table, or of each line of a text

    In tables what is predicted is the column `prediction`. Columns are found by name; the target
    may be absent. A language model writes with `retrograd generate`; an encoder (--task masked) is
    where `retrograd train --task text --encoder` starts.

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

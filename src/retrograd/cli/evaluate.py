"""`retrograd evaluate`: how well a model predicts a table whose target is known."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .run import Output, count


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A directory that `retrograd train` wrote.")
    ],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A CSV or Parquet file with the target.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Score a model on a table whose target is known.

    Rows without a target are left out. Rows that the model was trained on say little about new
    ones.

    Examples:

    \b
      retrograd evaluate model held_out.csv
      retrograd evaluate model held_out.csv --json
    """
    import numpy as np

    from ..data.encoders import find_rows_without
    from ..data.table import read_table
    from ..errors import DataError
    from .predict import show_report
    from .scores import (
        describe_classes,
        lay_out_scores,
        report_classes,
        score_classes,
        score_numbers,
    )
    from .table_model import load_table_model

    output = Output(json)
    trained = load_table_model(model)
    table = read_table(data)
    preprocessor, target = trained.preprocessor, trained.preprocessor.target.name
    left_out = 0
    if target in table:
        without = find_rows_without(table, target)
        left_out = len(without)
        table = table.rows(np.setdiff1d(np.arange(len(table)), without))
    if len(table) == 0:
        raise DataError(
            f"No row of {table.source} has a value of {target!r}.",
            fix="Give rows whose target is known.",
        )
    goal = preprocessor.encode_target(table)
    found = trained.predict(table)
    classes: dict[str, Any] | None = None
    if found.indices is None or found.probabilities is None:
        scores = score_numbers(np.asarray(found.values), preprocessor.inverse_transform(goal))
    else:
        scores = score_classes(found.probabilities, goal)
        classes = report_classes(goal, found.indices, preprocessor.classes)
    output.say(f"{data}: {count(len(table), 'row')} with {target!r}")
    if left_out:
        output.warn(f"{count(left_out, 'row')} without {target!r} left out")
    show_report(found.report, table, output)
    output.show_table(lay_out_scores({"network": scores}))
    for line in describe_classes(classes) if classes else []:
        output.say(f"  {line}")
    output.finish(
        {
            "model": model,
            "rows": len(table),
            "left_out": left_out,
            "target": target,
            **scores,
            **(classes or {}),
            "unseen_categories": found.report.unseen,
            "missing_values": found.report.missing,
        }
    )

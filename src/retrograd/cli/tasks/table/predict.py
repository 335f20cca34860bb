"""Predictions for the rows of a table, and how good they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....data.encode import EncodingReport
from ....data.encoders import find_rows_without
from ....data.table import Table, read_table, write_predictions
from ....errors import DataError
from ...run import Output, UsageError, count, shorten_list
from ..scores import describe_classes, lay_out_scores, report_classes, score_classes, score_numbers
from ..task import PredictRequest
from .model import Predictions, TableModel, load_table_model


def predict_rows(request: PredictRequest, output: Output) -> None:
    """Write a prediction for each row of a table."""
    out = request.out
    if out is None:
        raise UsageError("Predictions for a table need --out.", fix="Add --out predictions.csv.")
    trained = load_table_model(request.model)
    if trained.preprocessor.task == "regression":
        request.refuse_probabilities("predicts numbers")
    request.check_out()
    table = read_table(request.data)
    output.warn(*table.notes)
    found = trained.predict(table)
    write_predictions(out, _make_columns(trained, found, request.probabilities))
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


def evaluate_rows(model: str, data: str, output: Output) -> None:
    """Score a model on a table whose target is known. Rows without a target are left out."""
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

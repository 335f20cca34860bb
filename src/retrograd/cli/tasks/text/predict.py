"""The classes of texts, and how often they are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import typer

from ....data.encoders import find_rows_without
from ....data.table import Table, read_table, write_predictions
from ....data.text import Vocabulary
from ....data.texts import read_texts
from ....errors import DataError
from ...run import Output, count
from ..scores import describe_classes, lay_out_scores, report_classes, score_classes
from ..task import PredictRequest
from .model import TextModel, load_text_model


def predict_texts(request: PredictRequest, output: Output) -> None:
    """Write the class of each text of a table."""
    out = request.out
    if out is None:
        raise typer.BadParameter("Missing option '--out'.")
    request.check_out()
    trained = load_text_model(request.model)
    table = _read(request.data, trained, output)
    probabilities, unknown = _judge(trained, table, output)
    chosen = probabilities.argmax(axis=1)
    columns: dict[str, list[Any]] = {"prediction": trained.target.decode(chosen)}
    if request.probabilities:
        for place, label in enumerate(trained.target.classes):
            shares = probabilities[:, place]
            columns[f"probability {label}"] = [float(f"{share:.6g}") for share in shares]
    write_predictions(out, columns)
    output.say(f"{count(len(table), 'prediction')} of {trained.target.name!r} in {out}")
    output.finish(
        {"out": out, "rows": len(table), "target": trained.target.name, "unknown_texts": unknown}
    )


def evaluate_texts(model: str, data: str, output: Output) -> None:
    """Score a model on texts whose classes are known. Rows without a class are left out."""
    trained = load_text_model(model)
    table, name = _read(data, trained, output), trained.target.name
    without = find_rows_without(table, name)
    table = table.rows(np.setdiff1d(np.arange(len(table)), without))
    if len(table) == 0:
        raise DataError(
            f"No row of {table.source} has a value of {name!r}.",
            fix="Give rows whose class is known.",
        )
    labels = trained.target.encode(table)
    output.say(f"{data}: {count(len(table), 'row')} with {name!r}")
    if len(without):
        output.warn(f"{count(len(without), 'row')} without {name!r} left out")
    probabilities, unknown = _judge(trained, table, output)
    scores = score_classes(probabilities, labels)
    classes = report_classes(labels, probabilities.argmax(axis=1), trained.target.classes)
    output.show_table(lay_out_scores({"network": scores}))
    for line in describe_classes(classes):
        output.say(f"  {line}")
    output.finish(
        {
            "model": model,
            "rows": len(table),
            "left_out": len(without),
            "target": name,
            **scores,
            **classes,
            "unknown_texts": unknown,
        }
    )


def _read(data: str, trained: TextModel, output: Output) -> Table:
    table = read_table(data)
    for note in table.notes:
        output.warn(note)
    return table


def _judge(trained: TextModel, table: Table, output: Output) -> tuple[Any, int]:
    """The probabilities of the classes, and of how many texts nothing is known."""
    texts = read_texts(table, trained.column)
    rows = trained.encode(texts)
    unknown = count_unknown(rows, trained.vocabulary)
    if unknown:
        output.warn(
            f"{count(unknown, 'text')} with no word that the model knows: it can but guess there"
        )
    return trained.find_probabilities(rows), unknown


def count_unknown(rows: Sequence[Any], vocabulary: Vocabulary) -> int:
    """How many texts have no token that is known."""
    return sum(1 for row in rows if not (row != vocabulary.unknown).any())

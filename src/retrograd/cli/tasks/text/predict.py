"""The classes of texts, and how often they are right."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....data.encoders import find_rows_without
from ....data.table import Table, read_table, write_predictions
from ....data.text import Vocabulary
from ....data.texts import read_texts
from ....errors import DataError
from ...plain import STANDARD_INPUT, read_lines
from ...run import Output, count
from ..scores import describe_classes, lay_out_scores, report_classes, score_classes
from ..task import PredictRequest
from .model import TextModel, load_text_model, tell_cut


def predict_texts(request: PredictRequest, output: Output) -> None:
    """Write, or print, the class of each text of a table or of each line of a text file."""
    request.check_out()
    trained = load_text_model(request.model)
    if request.out is None:
        output = Output(output.json, aside=True)  # stdout is for the classes
    texts = _read_new_texts(request.data, trained, output)
    probabilities, unknown = _judge(trained, texts, output)
    columns: dict[str, list[Any]] = {
        "prediction": trained.target.decode(probabilities.argmax(axis=1))
    }
    if request.probabilities:
        for place, label in enumerate(trained.target.classes):
            shares = probabilities[:, place]
            columns[f"probability {label}"] = [float(f"{share:.6g}") for share in shares]
    if request.out is not None:
        write_predictions(request.out, columns)
        output.say(f"{count(len(texts), 'prediction')} of {trained.target.name!r} in {request.out}")
    elif not output.json:
        for row in zip(*columns.values()):
            print(*row, sep="\t", flush=True)
    about = {"out": request.out, "rows": len(texts), "target": trained.target.name}
    found = {} if request.out else {"predictions": columns}
    output.finish({**about, "unknown_texts": unknown, **found})


def evaluate_texts(model: str, data: str, output: Output) -> None:
    """Score a model on texts whose classes are known. Rows without a class are left out."""
    trained = load_text_model(model)
    table, name = _read_table(data, output), trained.target.name
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
    probabilities, unknown = _judge(trained, read_texts(table, trained.column), output)
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


def _read_new_texts(data: str, trained: TextModel, output: Output) -> list[str]:
    """The column of a table, or the lines of a text file or of stdin."""
    if data == STANDARD_INPUT or os.path.splitext(data)[1].lower() == ".txt":
        return read_lines(data)
    return read_texts(_read_table(data, output), trained.column)


def _read_table(data: str, output: Output) -> Table:
    table = read_table(data)
    output.warn(*table.notes)
    return table


def _judge(trained: TextModel, texts: Sequence[str], output: Output) -> tuple[Any, int]:
    """The probabilities of the classes, and of how many texts nothing is known."""
    rows = trained.encode(texts)
    tell_cut(trained.vocabulary, texts, trained.longest, output)
    unknown = count_unknown(rows, trained.vocabulary)
    if unknown:
        output.warn(
            f"{count(unknown, 'text')} with no word that the model knows: it can but guess there"
        )
    return trained.find_probabilities(rows), unknown


def count_unknown(rows: Sequence[Any], vocabulary: Vocabulary) -> int:
    """How many texts have no token that is known."""
    return sum(1 for row in rows if not (row != vocabulary.unknown).any())

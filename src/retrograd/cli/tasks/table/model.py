"""A trained model of a table: the network and all that belongs around it, in one directory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import nn
from ....data.columns import ColumnPlan
from ....data.encode import EncodingReport, Preprocessor
from ....data.table import Table
from ....train.saving import load_model, save_model
from ..networks import check_outputs, find_probabilities
from ..sections import read_section, tell_damaged, tell_mismatch

Floats = np.ndarray[Any, Any]

SECTION = "table"
VERSION = 1
BATCH = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model says about the rows of a table.

    Args:
        values: class labels, or numbers in the unit of the target; one for each row.
        indices: class indices, int64 (rows,); None for a regression.
        probabilities: (rows, classes); None for a regression.
        report: unseen categories, missing values and ignored columns.
    """

    values: list[Any]
    indices: Floats | None
    probabilities: Floats | None
    report: EncodingReport


@dataclass(frozen=True, slots=True, eq=False)
class TableModel:
    """A network for a table.

    Args:
        network: features to logits, or to the standardised target.
        preprocessor: fitted on the rows that the network learned.
        plan: what was decided for each column, and why.
        report: how it was trained and tested, as plain values.
    """

    network: nn.Sequential
    preprocessor: Preprocessor
    plan: ColumnPlan
    report: dict[str, Any]

    def outputs(self, x: Floats) -> Floats:
        """What the network gives for encoded rows, (rows, outputs)."""
        self.network.eval()
        pieces = [
            np.asarray(self.network(x[start : start + BATCH])) for start in range(0, len(x), BATCH)
        ]
        return check_outputs(np.concatenate(pieces))

    def predict(self, table: Table) -> Predictions:
        """Predict every row of a table, in its order.

        Raises:
            DataError: a column is missing, or holds what it cannot.
        """
        encoded = self.preprocessor.encode(table)
        outputs = self.outputs(encoded.x)
        if self.preprocessor.task == "regression":
            numbers = self.preprocessor.inverse_transform(outputs)
            return Predictions(numbers.tolist(), None, None, encoded.report)
        probabilities = find_probabilities(outputs)
        indices = probabilities.argmax(axis=1)
        labels = self.preprocessor.labels(indices)
        return Predictions(list(labels), indices, probabilities, encoded.report)

    def save(self, path: str) -> None:
        """Write the model directory, whole or not at all."""
        section = {
            "version": VERSION,
            "preprocessor": self.preprocessor.to_json(),
            "plan": self.plan.to_json(),
            "report": self.report,
        }
        save_model(self.network, path, extra={SECTION: section})


def load_table_model(path: str) -> TableModel:
    """Read a directory that `retrograd train` wrote.

    Raises:
        FileFormatError: not such a directory, damaged, or of a later version.
    """
    section = read_section(path, SECTION, VERSION, "model of a table")
    try:
        preprocessor = Preprocessor.from_json(section["preprocessor"])
        plan, report = ColumnPlan.from_json(section["plan"]), dict(section["report"])
    except (KeyError, TypeError, ValueError) as error:
        raise tell_damaged(path, SECTION, error) from None
    network = load_model(path)
    features = len(preprocessor.feature_names)
    try:
        shape = np.asarray(network(np.zeros((1, features), np.float32))).shape
    except (TypeError, ValueError):
        shape = ()
    if shape != (1, preprocessor.outputs):
        raise tell_mismatch(path, f"take {features} features to {preprocessor.outputs} outputs")
    return TableModel(network, preprocessor, plan, report)

"""The preprocessor: fitted on the training part, it turns tables into arrays and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.data.columns import ColumnPlan
from retrograd.data.encoders import (
    ENCODERS,
    ColumnEncoder,
    EncodingReport,
    Floats,
    encoder_from_json,
    find_rows_without,
)
from retrograd.data.table import Table
from retrograd.data.target_encoders import (
    ClassTarget,
    NumberTarget,
    TargetEncoder,
    fit_target,
    target_from_json,
)
from retrograd.errors import DataError, FileFormatError, suggest

__all__ = ["EncodedFeatures", "EncodingReport", "Preprocessor"]

VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFeatures:
    """Features as float32, (rows, features), and what was met on the way."""

    x: Floats
    report: EncodingReport


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """All that happens to a table before the network, and to its outputs after.

    Args:
        columns: one encoder for each column that is used.
        target: the classes, or the mean and scale of the target.
    """

    columns: tuple[ColumnEncoder, ...]
    target: TargetEncoder

    @staticmethod
    def fit(table: Table, plan: ColumnPlan) -> Preprocessor:
        """Learn means, scales and categories from the training part.

        Args:
            table: the training part, and nothing else.
            plan: the decisions of `decide_columns`.

        Raises:
            DataError: no rows, missing or infinite values, or nothing that varies in them.

        Example:
            >>> from retrograd.data.columns import decide_columns
            >>> table = Table.from_columns({"size": [1.0, 3.0, 1.0, 3.0], "kind": list("aabb")})
            >>> preprocessor = Preprocessor.fit(table, decide_columns(table, "kind"))
            >>> x, y = preprocessor.transform(table)
            >>> x[:, 0].tolist(), y.tolist(), preprocessor.classes
            ([-1.0, 1.0, -1.0, 1.0], [0, 0, 1, 1], ('a', 'b'))
        """
        if len(table) == 0:
            raise DataError(
                "The training part has no rows.", fix="Give more rows, or a smaller test part."
            )
        columns = tuple(ENCODERS[item.kind].fit(table, item) for item in plan.features)
        preprocessor = Preprocessor(columns, fit_target(table, plan.target))
        if not preprocessor.feature_names:
            names = ", ".join(repr(item.name) for item in plan.features)
            raise DataError(
                f"No column varies in the {len(table)} rows of the training part ({names}).",
                fix="Give more rows, or other columns.",
            )
        return preprocessor

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of x."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def task(self) -> str:
        """`classification` or `regression`."""
        return self.target.task

    @property
    def classes(self) -> tuple[str, ...]:
        """The class labels, by index; empty for a regression."""
        return self.target.classes if isinstance(self.target, ClassTarget) else ()

    @property
    def outputs(self) -> int:
        """How many numbers the network must give for each row: one a class, or one."""
        return len(self.classes) if self.task == "classification" else 1

    def encode(self, table: Table) -> EncodedFeatures:
        """The features of a table, and what in it the training part did not have.

        Columns are found by name: their order does not matter, and others are ignored. The rows
        keep their number and order.

        Raises:
            DataError: a column is missing, a numeric column has text or an infinite value.
        """
        self._check_columns(table)
        report = EncodingReport({}, {})
        known = {column.name for column in self.columns} | {self.target.name}
        report.ignored = tuple(name for name in table.names if name not in known)
        widths = [len(column.feature_names) for column in self.columns]
        x = np.zeros((len(table), sum(widths)), dtype=np.float32)
        start = 0
        for column, width in zip(self.columns, widths):
            column.encode(table, x[:, start : start + width], report)
            start += width
        return EncodedFeatures(x, report)

    def transform(self, table: Table) -> tuple[Floats, np.ndarray[Any, Any]]:
        """Features and targets for training or evaluation.

        Returns:
            (x, y): x is float32 (rows, features); y is int32 (rows,) with class indices, or float32
            (rows, 1) with standardised numbers.

        Raises:
            DataError: as `encode`; and a target that is missing, or a class that is not known.
        """
        y = self.encode_target(table)
        return self.encode(table).x, y

    def encode_target(self, table: Table) -> np.ndarray[Any, Any]:
        """The targets of a table; see `transform`."""
        if self.target.name not in table:
            raise DataError(
                f"The target {self.target.name!r} is not a column of {table.source}.",
                fix=suggest(self.target.name, table.names),
            )
        missing = find_rows_without(table, self.target.name)
        if len(missing):
            raise DataError(
                f"The target {self.target.name!r} is missing in {len(missing)} of {len(table)} "
                f"rows, first in {table.describe_row(int(missing[0]))}.",
                fix="Leave those rows out.",
            )
        return self.target.encode(table)

    def inverse_transform(self, outputs: np.ndarray[Any, Any]) -> Floats:
        """Predicted numbers in the unit of the target: outputs x scale + mean.

        Args:
            outputs: (rows,) or (rows, 1), standardised.

        Returns:
            float64, (rows,).
        """
        if not isinstance(self.target, NumberTarget):
            raise DataError(
                "inverse_transform is for a regression, and this is a classification.",
                fix="Use preprocessor.labels(indices).",
            )
        return self.target.decode(outputs)

    def labels(self, indices: Sequence[int] | np.ndarray[Any, Any]) -> list[str]:
        """The class labels of predicted class indices, (rows,), as they stood in the table."""
        if not isinstance(self.target, ClassTarget):
            raise DataError(
                "labels is for a classification, and this is a regression.",
                fix="Use preprocessor.inverse_transform(outputs).",
            )
        return self.target.decode(indices)

    def to_json(self) -> dict[str, Any]:
        """All that was learned, as plain dicts, for a model directory."""
        return {
            "version": VERSION,
            "columns": [column.to_json() for column in self.columns],
            "target": self.target.to_json(),
        }

    @staticmethod
    def from_json(data: Any) -> Preprocessor:
        """The preprocessor that `to_json` wrote.

        Raises:
            FileFormatError: damaged, or of a later version.
        """
        if not isinstance(data, dict) or not isinstance(data.get("columns"), list):
            raise FileFormatError(
                "The preprocessing of the model is not a list of columns and a target.",
                fix="Train the model again: the file is damaged or of another kind.",
            )
        if data.get("version") != VERSION:
            raise FileFormatError(
                f"The preprocessing of the model has the version {data.get('version')!r}; this "
                f"retrograd reads {VERSION}.",
                fix="Install the version of retrograd that wrote the model, or train it again.",
            )
        columns = tuple(encoder_from_json(column) for column in data["columns"])
        return Preprocessor(columns, target_from_json(data.get("target")))

    def _check_columns(self, table: Table) -> None:
        missing = [column.name for column in self.columns if column.name not in table]
        if not missing:
            return
        shown = ", ".join(repr(name) for name in missing[:10])
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        known = {column.name for column in self.columns}
        spare = [name for name in table.names if name not in known]
        hints = [f"for {name!r}: {suggest(name, spare)}" for name in missing[:3] if spare]
        raise DataError(
            f"{table.source} lacks {len(missing)} of the {len(self.columns)} columns that the "
            f"model was trained on: {shown}{more}.",
            fix="Add them under these names. " + " ".join(hints),
        )

"""Targets as numbers and back: class labels and indices, quantities and standardised numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from retrograd.data.encoders import find_mean_and_scale, read_numbers, sort_texts
from retrograd.data.table import Table
from retrograd.data.target import TargetDecision
from retrograd.data.values import NUMBER_STYLES, number_values
from retrograd.errors import DataError, FileFormatError, IndexRangeError, ShapeError, suggest


@dataclass(frozen=True, slots=True)
class ClassTarget:
    """The classes of a classification: a label for each index."""

    name: str
    classes: tuple[str, ...]

    @property
    def task(self) -> str:
        return "classification"

    def encode(self, table: Table) -> np.ndarray[Any, Any]:
        """Class indices, int32 (rows,).

        Raises:
            DataError: a label that is no class; names the row and offers the nearest.
        """
        codes, distinct = number_values(table.column(self.name))
        places = {label: place for place, label in enumerate(self.classes)}
        numbers = _index_by_number(self.classes)
        index_of = np.full(len(distinct), -1, dtype=np.int32)
        for place, label in enumerate(distinct):
            # "1.0" is the class "1" if the classes are numbers.
            index_of[place] = places.get(label, numbers.get(_to_number(label), -1))
        indices = index_of[codes]
        unknown = np.flatnonzero(indices < 0)
        if len(unknown):
            first = int(unknown[0])
            label = distinct[codes[first]]
            raise DataError(
                f"The target {self.name!r} has {label!r} in {table.describe_row(first)}, which is "
                f"none of the {len(self.classes)} classes of the training part "
                f"({len(unknown)} such rows).",
                fix=suggest(label, self.classes),
            )
        return indices

    def decode(self, indices: Sequence[int] | np.ndarray[Any, Any]) -> list[str]:
        """The labels of class indices."""
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise ShapeError(
                f"Expected class indices as whole numbers of the shape (rows,), received "
                f"{chosen.dtype} of the shape {chosen.shape}.",
                fix="Take the argmax over the classes first.",
            )
        if chosen.size and not (0 <= int(chosen.min()) and int(chosen.max()) < len(self.classes)):
            raise IndexRangeError(
                f"Class indices from {chosen.min()} to {chosen.max()}, but the classes are 0 to "
                f"{len(self.classes) - 1}.",
                fix="Use the model that belongs to this preprocessor.",
            )
        return [self.classes[index] for index in chosen.tolist()]

    def to_json(self) -> dict[str, Any]:
        return {"task": self.task, **asdict(self)}


@dataclass(frozen=True, slots=True)
class NumberTarget:
    """The quantity of a regression, standardised."""

    name: str
    style: str
    mean: float
    scale: float

    @property
    def task(self) -> str:
        return "regression"

    def encode(self, table: Table) -> np.ndarray[Any, Any]:
        """(y - mean) / scale, float32 (rows, 1)."""
        numbers = read_numbers(table, self.name, self.style)
        return ((numbers - self.mean) / self.scale).astype(np.float32)[:, None]

    def decode(self, outputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """outputs x scale + mean, float64 (rows,)."""
        numbers = np.asarray(outputs, dtype=np.float64)
        if numbers.ndim == 2 and numbers.shape[1] == 1:
            numbers = numbers[:, 0]
        if numbers.ndim != 1:
            raise ShapeError(
                f"Expected predictions of the shape (rows,) or (rows, 1), received "
                f"{numbers.shape}.",
                fix="A regression has one output for each row.",
            )
        return numbers * self.scale + self.mean

    def to_json(self) -> dict[str, Any]:
        return {"task": self.task, **asdict(self)}


TargetEncoder = ClassTarget | NumberTarget


def fit_target(table: Table, target: TargetDecision) -> TargetEncoder:
    """Learn the classes, or mean and scale, from the training part.

    Raises:
        DataError: one class only, or a number that does not vary.
    """
    if target.task == "classification":
        codes, distinct = number_values(table.column(target.name))
        if len(distinct) < 2:
            raise DataError(
                f"The target {target.name!r} has only {distinct} in the {len(table)} rows of the "
                "training part.",
                fix="Give more rows of the other classes.",
            )
        return ClassTarget(target.name, tuple(sort_texts(distinct)))
    numbers = read_numbers(table, target.name, target.style)
    known = numbers[~np.isnan(numbers)]
    mean, scale = find_mean_and_scale(known) if len(known) else (0.0, 0.0)
    if scale == 0.0:
        raise DataError(
            f"The target {target.name!r} does not vary in the {len(table)} rows of the training "
            "part.",
            fix="Give more rows with other values.",
        )
    return NumberTarget(target.name, target.style, mean, scale)


def target_from_json(data: Any) -> TargetEncoder:
    """The target that `to_json` wrote.

    Raises:
        FileFormatError: fields that are missing, of another type or without meaning.
    """
    try:
        name = data["name"]
        if data["task"] == "classification" and isinstance(name, str):
            classes = tuple(data["classes"])
            if len(set(classes)) >= 2 and all(isinstance(label, str) for label in classes):
                return ClassTarget(name, classes)
        elif data["task"] == "regression" and isinstance(name, str):
            mean, scale, style = float(data["mean"]), float(data["scale"]), data["style"]
            if np.isfinite(mean) and np.isfinite(scale) and scale > 0 and style in NUMBER_STYLES:
                return NumberTarget(name, style, mean, scale)
    except (KeyError, TypeError, ValueError):
        pass
    raise FileFormatError(
        "The target in the preprocessing of the model cannot be read.",
        fix="Train the model again: its preprocessing file is damaged or of another version.",
    )


def _to_number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def _index_by_number(classes: tuple[str, ...]) -> dict[float | None, int]:
    numbers = [_to_number(label) for label in classes]
    if None in numbers or len(set(numbers)) < len(numbers):
        return {}
    return {number: place for place, number in enumerate(numbers)}

"""Texts with classes, as a table holds them: which column they are in, and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, suggest
from .column_kinds import ColumnDecision
from .columns import ColumnPlan
from .ngrams import NGrams
from .table import Table
from .target import decide_target
from .values import as_texts, find_missing

FEWEST_WORDS = 2.0
"""Words of a text on average, from which on a column is taken for one of texts."""
SAMPLE = 500


@dataclass(frozen=True, slots=True, eq=False)
class LabelledTexts:
    """The rows of a table that have a text and a class.

    Args:
        table: these rows alone.
        plan: the target, and the column of texts as the only feature.
        column: of the texts.
        reason: why this one, for the user.
        notes: what was noticed, in plain words.
    """

    table: Table
    plan: ColumnPlan
    column: str
    reason: str
    notes: tuple[str, ...]

    @property
    def target(self) -> str:
        """The column of classes."""
        return self.plan.target.name

    @property
    def texts(self) -> list[str]:
        """The texts of all rows."""
        return read_texts(self.table, self.column)


def read_labelled_texts(table: Table, target: str, column: str | None = None) -> LabelledTexts:
    """Find texts and classes in a table. Rows that lack one of them are left out, and told.

    Args:
        table: the whole table.
        target: the column of classes.
        column: that of the texts; None for the one with the most words in a row.

    Raises:
        DataError: a column is missing, one class only, nearly as many classes as rows, or no
            column of texts.

    Example:
        >>> table = Table.from_columns(
        ...     {"said": ["good and warm", "bad and cold"] * 9, "mood": ["up", "down"] * 9}
        ... )
        >>> read_labelled_texts(table, "mood").column
        'said'
    """
    if target not in table:
        raise DataError(
            f"There is no column {target!r} in {table.source} (given as --target).",
            fix=suggest(target, table.names),
        )
    found, labelled = decide_target(table, target, "classification")
    column, reason = find_text_column(table, target, column)
    has_text = ~find_missing(table.column(column))
    notes = [*found.warnings]
    empty = int((labelled & ~has_text).sum())
    if empty:
        notes.append(f"{empty} of {len(table)} rows have no text in {column!r} and are left out")
    kept = np.flatnonzero(labelled & has_text)
    if len(kept) == 0:
        raise DataError(
            f"No row of {table.source} has both a text in {column!r} and a value of {target!r}.",
            fix="Give rows with both.",
        )
    feature = ColumnDecision(
        column, "categorical", "the texts"
    )  # rows with one text belong together
    plan = ColumnPlan(found.target, (feature,))
    return LabelledTexts(table.rows(kept), plan, column, reason, tuple(notes))


def find_text_column(table: Table, target: str, column: str | None = None) -> tuple[str, str]:
    """The column of texts and why it is the one.

    Args:
        table: the whole table.
        target: is not the one.
        column: the one that the user named, or None.

    Raises:
        DataError: there is no such column, or none of texts.
    """
    if column is not None:
        if column not in table:
            raise DataError(
                f"There is no column {column!r} in {table.source} (given as --text).",
                fix=suggest(column, table.names),
            )
        if column == target:
            raise DataError(
                f"{column!r} is given as --target and as --text.",
                fix="Name the column of the texts in --text.",
            )
        return column, "as you asked"
    words = {name: _count_words(table, name) for name in table.names if name != target}
    texts = {name: number for name, number in words.items() if number >= FEWEST_WORDS}
    if not texts:
        listed = ", ".join(f"{name!r} {number:.1f}" for name, number in list(words.items())[:8])
        raise DataError(
            f"No column of {table.source} holds texts: words in a row on average: "
            f"{listed or 'the table has only the target'}.",
            fix="Name the column with --text, or leave out --task for a table.",
        )
    best = max(texts, key=lambda name: texts[name])
    return best, f"it has the most words, {texts[best]:.0f} on average"


def read_texts(table: Table, column: str) -> list[str]:
    """The texts of a column; "" where one is missing.

    Raises:
        DataError: there is no such column.
    """
    return ["" if text is None else text for text in as_texts(table.column(column)).tolist()]


def _count_words(table: Table, name: str) -> float:
    """Words in a row on average; 0 for numbers and dates."""
    column = table.column(name)
    if column.dtype.kind != "O":
        return 0.0
    known: Any = column[~find_missing(column)][:SAMPLE]
    return float(np.mean([len(NGrams.cut(text)) for text in known])) if len(known) else 0.0

"""A table in memory: named columns, and where each row stood in its file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retrograd.data.csv_file import check_names, read_csv
from retrograd.data.table_files import find_format, read_bytes, write_predictions
from retrograd.data.values import Column, as_column, clean_texts
from retrograd.errors import DataError, suggest

__all__ = ["Table", "read_table", "write_predictions"]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Named columns of one length.

    Args:
        names: the column names, all different.
        columns: one array for each name: objects (`str` or None), float64 or datetime64[us].
        row_numbers: for each row its number in the file, from 1, the header not counted.
        line_numbers: for each row the line of the file on which it starts; None if not from text.
        source: the name of the file, for messages.
        notes: what was noticed while reading, in plain words.
        delimiter: what separated the cells; None if not from CSV.
    """

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    row_numbers: np.ndarray[Any, Any]
    line_numbers: np.ndarray[Any, Any] | None = None
    source: str = "the table"
    notes: tuple[str, ...] = ()
    delimiter: str | None = None

    @staticmethod
    def from_columns(
        columns: Mapping[str, Sequence[Any] | Column],
        source: str = "the table",
        notes: tuple[str, ...] = (),
    ) -> Table:
        """Make a table of lists or one-dimensional arrays.

        Raises:
            DataError: no column, columns of different lengths, or values that fit no column.

        Example:
            >>> table = Table.from_columns({"size": [1.0, None], "colour": ["red", "blue"]})
            >>> len(table), table.names
            (2, ('size', 'colour'))
        """
        if not columns:
            raise DataError(f"No columns in {source}.", fix="Give at least one column.")
        names = [str(name) for name in columns]
        check_names(names, source)
        arrays = tuple(as_column(name, values) for name, values in columns.items())
        count = len(arrays[0])
        for name, array in zip(names, arrays):
            if len(array) != count:
                raise DataError(
                    f"Column {name!r} of {source} has {len(array)} rows, but column {names[0]!r} "
                    f"has {count}.",
                    fix="Give one value for each row; None means missing.",
                )
        return Table(tuple(names), arrays, np.arange(1, count + 1), None, source, notes)

    def __len__(self) -> int:
        return len(self.row_numbers)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def column(self, name: str) -> Column:
        """The values of one column.

        Raises:
            DataError: there is no such column; the nearest name is offered.
        """
        if name not in self.names:
            raise DataError(
                f"There is no column {name!r} in {self.source}.", fix=suggest(name, self.names)
            )
        return self.columns[self.names.index(name)]

    def rows(self, positions: Sequence[int] | np.ndarray[Any, Any]) -> Table:
        """A table of the rows at these positions (from 0), in this order."""
        chosen = np.asarray(positions)
        if chosen.dtype.kind != "b":
            chosen = chosen.astype(np.int64)
        lines = self.line_numbers
        return replace(
            self,
            columns=tuple(column[chosen] for column in self.columns),
            row_numbers=self.row_numbers[chosen],
            line_numbers=None if lines is None else lines[chosen],
        )

    def describe_row(self, position: int) -> str:
        """The row in words, as the user finds it in the file: `row 3 (line 4 of data.csv)`."""
        row = f"row {self.row_numbers[position]}"
        if self.line_numbers is None:
            return f"{row} of {self.source}"
        return f"{row} (line {self.line_numbers[position]} of {self.source})"


def read_table(path: str) -> Table:
    """Read a table from a CSV file (any of `, ; tab |`) or from a Parquet file.

    The first line of a CSV file names the columns. Empty cells and the words NA, N/A, NaN, null
    and ? are missing values. Parquet needs the `tables` extra.

    Args:
        path: the file.

    Returns:
        A Table; `notes` tell what was assumed (delimiter, encoding, skipped blank lines).

    Raises:
        DataError: no such file, no rows, ragged rows, names that are empty or appear twice.
        FileFormatError: a file of another kind, or damaged.
        MissingDependencyError: a Parquet file, without polars.
    """
    path = str(path)
    # What was read from a pipe is gone: a second look at it would begin in the middle.
    content = read_bytes(path) if _is_pipe(path) else None
    if find_format(path, None if content is None else content[:8192]) == "parquet":
        from retrograd.data.parquet_file import read_parquet

        if content is not None:
            raise DataError(
                f"{path!r} is a pipe with a Parquet file in it, which must be read out of order.",
                fix="Write it to a file first.",
            )
        columns, source = read_parquet(path)
        table = Table.from_columns(columns, source)
        _check_has_rows(table)
        return table
    contents = read_csv(read_bytes(path) if content is None else content, path)
    table = Table(
        tuple(contents.names),
        tuple(clean_texts(values) for values in contents.columns),
        np.arange(1, len(contents.lines) + 1),
        np.asarray(contents.lines, dtype=np.int64),
        contents.source,
        tuple(contents.notes),
        contents.delimiter,
    )
    _check_has_rows(table)
    return table


def _is_pipe(path: str) -> bool:
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))


def _check_has_rows(table: Table) -> None:
    if len(table) == 0:
        raise DataError(
            f"{table.source} has column names ({len(table.names)}), but no rows.",
            fix="Give at least one row of values below the names.",
        )

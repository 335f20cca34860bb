"""CSV files as they are found: any delimiter, quoting or encoding, or an error that says where."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from retrograd.errors import DataError, FileFormatError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}

SAMPLE_ROWS = 100
LARGEST_CELL = 1 << 24  # characters; beyond it a quote was surely not closed


@dataclass(frozen=True, slots=True)
class CsvContents:
    """The cells of a CSV file, by column, as they were written."""

    names: list[str]
    columns: list[Sequence[str]]
    lines: list[int]
    source: str
    notes: list[str]
    delimiter: str


def read_csv(content: bytes, path: str) -> CsvContents:
    """Take a CSV file apart.

    Args:
        content: the bytes of the file.
        path: its path, for messages.

    Raises:
        DataError: an empty file, ragged rows, names that are empty or appear twice.
        FileFormatError: a quote that is never closed.
    """
    source = os.path.basename(path)
    text, notes = decode(content)
    if not text.strip():
        raise DataError(
            f"{source} is empty ({len(content)} bytes); expected column names and rows.",
            fix="Write a first line with column names and one line for each row.",
        )
    delimiter = find_delimiter(text)
    if delimiter != ",":
        notes.append(f"the cells are separated by a {DELIMITERS[delimiter]}")
    records, lines, blanks = _read_records(text, delimiter, source, notes)
    names = [name.strip() for name in records[0]]
    check_names(names, source)
    if blanks:
        notes.append(f"{blanks} blank line{'s' if blanks > 1 else ''} skipped")
    if all(_is_number(name) for name in names):
        notes.append(
            "the first line holds only numbers, but is read as column names: "
            "if it is a row of data, write a line of names above it"
        )
    rows = records[1:]
    _check_widths(rows, lines[1:], names, delimiter, source)
    columns: list[Sequence[str]] = list(zip(*rows)) if rows else [()] * len(names)
    return CsvContents(names, columns, lines[1:], source, notes, delimiter)


def decode(content: bytes) -> tuple[str, list[str]]:
    """Bytes to text: UTF-8 with or without a mark, UTF-16 with its mark, else Latin-1."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace"), ["the file is in UTF-16"]
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        # Windows programs write cp1252, which is Latin-1 with letters in a range of controls.
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
        return text, [f"line {line} is not UTF-8: the file is read as Latin-1"]


def find_delimiter(text: str) -> str:
    """The delimiter that cuts most of the first rows into as many cells as the header has.

    Example:
        >>> find_delimiter("a;b\\n1,5;2\\n")
        ';'
    """
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = []
        try:
            lines = io.StringIO(text, newline="")
            for record in csv.reader(lines, delimiter=delimiter, skipinitialspace=True):
                if record:
                    widths.append(len(record))
                if len(widths) > SAMPLE_ROWS:
                    break
        except csv.Error:
            pass  # a cell that is too long: told when the whole file is read
        if not widths or widths[0] == 1:
            continue
        agreement = Counter(widths[1:])[widths[0]] / max(1, len(widths) - 1)
        if (agreement, widths[0]) > best_score:
            best, best_score = delimiter, (agreement, widths[0])
    return best


def _read_records(
    text: str, delimiter: str, source: str, notes: list[str]
) -> tuple[list[list[str]], list[int], int]:
    try:
        return _parse_records(text, delimiter, strict=True)
    except _UnclosedQuote as error:
        raise FileFormatError(
            f"The quote that opens in line {error.line} of {source} is never closed.",
            fix='Close it, or write a quote inside a cell as two quotes ("").',
        ) from None
    except csv.Error:
        notes.append("some cells have text after a closing quote; it is kept")
        return _parse_records(text, delimiter, strict=False)


class _UnclosedQuote(Exception):
    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__(line)


def _parse_records(
    text: str, delimiter: str, strict: bool
) -> tuple[list[list[str]], list[int], int]:
    """Records, the line on which each begins, and how many blank lines were passed over."""
    records: list[list[str]] = []
    lines: list[int] = []
    blanks = 0
    previous = 0
    earlier_limit = csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=strict, skipinitialspace=True
    )
    try:
        for record in reader:
            if record:
                records.append(record)
                lines.append(previous + 1)
            else:
                blanks += 1
            previous = reader.line_num
    except csv.Error as error:
        if "unexpected end" in str(error) or "field larger" in str(error):
            raise _UnclosedQuote(previous + 1) from None
        raise
    finally:
        csv.field_size_limit(earlier_limit)
    return records, lines, blanks


def check_names(names: Sequence[str], source: str) -> None:
    """Refuse column names that are empty or appear twice.

    Raises:
        DataError: names the position of the column, or the name.
    """
    for position, name in enumerate(names, start=1):
        if not name:
            raise DataError(
                f"Column {position} of {source} has no name (of {len(names)} columns).",
                fix="Name every column in the first line; an index column that pandas wrote is "
                "left out with to_csv(..., index=False).",
            )
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        positions = [str(place) for place, other in enumerate(names, 1) if other == name]
        raise DataError(
            f"The column name {name!r} appears {count} times in {source}, at the columns "
            f"{', '.join(positions)}.",
            fix="Give every column a name of its own.",
        )


def _check_widths(
    rows: list[list[str]], lines: list[int], names: list[str], delimiter: str, source: str
) -> None:
    ragged = [place for place, row in enumerate(rows) if len(row) != len(names)]
    if not ragged:
        return
    first = ragged[0]
    others = f" {len(ragged) - 1} more rows are like it." if len(ragged) > 1 else ""
    raise DataError(
        f"Row {first + 1} (line {lines[first]}) of {source} has {len(rows[first])} cells, but the "
        f"header names {len(names)} columns.{others}",
        fix=f"Give every row {len(names)} cells, separated by a {DELIMITERS[delimiter]}; put "
        'cells that contain it into quotes ("...").',
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

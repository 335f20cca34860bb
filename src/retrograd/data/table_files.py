"""Files on the disk: which kind they are, reading them whole, writing them whole or not at all."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from retrograd.errors import DataError, FileFormatError, SaveError, suggest

FOREIGN_KINDS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstandard",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF document",
    b"\x93NUMPY": "a NumPy array",
}


def read_bytes(path: str, limit: int = -1) -> bytes:
    """The content of a file, or its first `limit` bytes.

    Raises:
        DataError: the file is not there or cannot be read; a near name is offered.
    """
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        folder = os.path.dirname(path) or "."
        fix = "Check the path."
        if os.path.isdir(folder):
            fix = suggest(os.path.basename(path), sorted(os.listdir(folder))) or fix
        if path == "-":
            fix = "Give /dev/stdin for a table on stdin."
        raise DataError(f"There is no file {path!r}.", fix=fix) from None
    except IsADirectoryError:
        raise DataError(
            f"{path!r} is a folder; a table is one CSV or Parquet file.",
            fix="Name a file inside it.",
        ) from None
    except OSError as error:
        raise DataError(
            f"The file {path!r} cannot be read: {error.strerror}.",
            fix="Check the path and the permissions.",
        ) from None


def find_format(path: str, start: bytes | None = None) -> str:
    """`csv` or `parquet`, decided by the first bytes and not by the name.

    Args:
        path: the file.
        start: its first bytes, if they are known already.

    Raises:
        FileFormatError: a file of a kind that is known and not a table.
    """
    if start is None:
        start = read_bytes(path, 8192)
    if start.startswith(b"PAR1"):
        return "parquet"
    for mark, kind in FOREIGN_KINDS.items():
        if start.startswith(mark):
            raise FileFormatError(
                f"{path!r} is {kind}; expected a CSV or Parquet file.",
                fix="Unpack it, or save the table as CSV.",
            )
    if path.lower().endswith((".parquet", ".pq")) and start:
        raise FileFormatError(
            f"{path!r} does not begin with the mark of a Parquet file (PAR1).",
            fix="Write the file again: it is damaged or of another kind.",
        )
    is_utf16 = start.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\x00" in start and not is_utf16:
        raise FileFormatError(
            f"{path!r} holds binary data; expected a CSV or Parquet file.",
            fix="Save the table as CSV in UTF-8.",
        )
    return "csv"


def write_predictions(path: str, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns as a CSV file, whole or not at all.

    The rows go to a new file beside the target, which is then renamed, so that a full disk or a
    killed process leaves an earlier file as it was.

    Args:
        path: the file to write.
        columns: values by column name, all of one length; None is written as an empty cell.

    Raises:
        DataError: columns of different lengths.
        SaveError: the file could not be written.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "out.csv"
        >>> write_predictions(path, {"prediction": ["red", "blue"], "p": [0.5, 0.25]})
        >>> path.read_text().split()
        ['prediction,p', 'red,0.5', 'blue,0.25']
    """
    path = str(path)
    # A pipe or a device such as /dev/stdout: nothing to keep, and not to be replaced.
    is_stream = os.path.exists(path) and not os.path.isfile(path)
    if not is_stream:
        path = os.path.realpath(path)  # through a link, to the file that it names
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "The columns to write have different lengths: "
            + ", ".join(f"{name!r} {length}" for name, length in lengths.items())
            + ".",
            fix="Give one value for each row.",
        )
    temporary: str | None = None
    try:
        if is_stream:
            with open(path, "w", encoding="utf-8", newline="") as stream:
                _write_rows(stream, columns)
            return
        handle, temporary = tempfile.mkstemp(
            prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path) or "."
        )
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            _write_rows(file, columns)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _permissions_for(path))
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise SaveError(
            f"The file {path!r} could not be written: {error.strerror or error}.",
            fix="Check that the folder exists, may be written to and has room.",
        ) from None
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _write_rows(file: TextIO, columns: Mapping[str, Sequence[Any]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns.keys())
    writer.writerows(zip(*columns.values()))


def _permissions_for(path: str) -> int:
    """Those of the file that is replaced, or what a plain `open` would give."""
    try:
        return os.stat(path).st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask

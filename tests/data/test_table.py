"""Reading tables: what is understood, and what each unreadable file is told."""

from __future__ import annotations

import builtins
import errno
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.data.table import Table, read_table, write_predictions
from retrograd.errors import DataError, FileFormatError, MissingDependencyError, SaveError


def write(folder: Path, content: str | bytes, name: str = "data.csv") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    rows = [["name", "size"], ["a", "1.5"], ["b", "2"]]
    table = read_table(write(tmp_path, "\n".join(delimiter.join(row) for row in rows)))
    assert table.names == ("name", "size")
    assert table.column("size").tolist() == ["1.5", "2"]
    assert table.delimiter == delimiter


def test_a_semicolon_file_with_decimal_commas(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a;b\n1,5;2,5\n3,5;4,5\n"))
    assert table.names == ("a", "b")
    assert table.column("a").tolist() == ["1,5", "3,5"]
    assert table.notes == ("the cells are separated by a semicolon",)


def test_quotes_newlines_in_cells_and_line_numbers(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'a,b\r\n"x, ""y""","two\r\nlines"\r\n\r\n z ,w\r\n'))
    assert table.column("a").tolist() == ['x, "y"', "z"]
    assert table.column("b").tolist() == ["two\r\nlines", "w"]
    assert table.describe_row(1) == "row 2 (line 5 of data.csv)"
    assert table.notes == ("1 blank line skipped",)


def test_the_words_for_missing(tmp_path: Path) -> None:
    words = ["NA", "N/A", "NaN", "null", "?", "", "  "]
    table = read_table(write(tmp_path, "a,b\n" + "".join(f"{word},1\n" for word in words)))
    assert table.column("a").tolist() == [None] * len(words)
    assert table.column("b").tolist() == ["1"] * len(words)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"\xef\xbb\xbfname,b\nK\xc3\xb6ln,1\n", None),
        (b"name,b\nK\xf6ln,1\n", "line 2 is not UTF-8: the file is read as Latin-1"),
        ("name,b\nKöln,1\n".encode("utf-16"), "the file is in UTF-16"),
    ],
)
def test_encodings(tmp_path: Path, content: bytes, note: str | None) -> None:
    table = read_table(write(tmp_path, content))
    assert table.names == ("name", "b")
    assert table.column("name").tolist() == ["Köln"]
    assert table.notes == (() if note is None else (note,))


def test_a_pipe_is_read_from_its_beginning(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    rows = [f"{number},{number * 2}" for number in range(5000)]  # more than one look at a file
    content = "\n".join(["a,b", *rows])
    writer = threading.Thread(target=lambda: pipe.write_text(content))
    writer.start()
    table = read_table(str(pipe))
    writer.join(timeout=60)
    assert table.names == ("a", "b") and len(table) == 5000


def test_one_row_and_one_column_can_be_read(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a\n1"))
    assert (len(table), table.names) == (1, ("a",))


def test_a_first_line_of_numbers_is_noticed(tmp_path: Path) -> None:
    assert "only numbers" in read_table(write(tmp_path, "1,2\n3,4\n")).notes[0]


def test_text_after_a_quote_is_kept(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'a,b\n"x" y,1\n'))
    assert table.column("a").tolist() == ["x y"]
    assert "after a closing quote" in table.notes[0]


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", DataError, ["data.csv", "empty", "0 bytes"]),
        (b" \n\n", DataError, ["empty"]),
        (b"a,b\n", DataError, ["column names (2)", "no rows"]),
        (b"a,b\n1,2\n1,2,3\n4\n", DataError, ["Row 2", "line 3", "3 cells", "2 columns", "1 more"]),
        (b"a,b,a\n1,2,3\n", DataError, ["'a'", "2 times", "1, 3"]),
        (b",b\n1,2\n", DataError, ["Column 1", "no name", "index=False"]),
        (b'a,b\n1,2\n3,"4\n5,6\n', FileFormatError, ["line 3", "never closed"]),
        (b"PK\x03\x04rest", FileFormatError, ["Excel", "CSV"]),
        (b"\x1f\x8brest", FileFormatError, ["gzip"]),
        (b"a,b\n\x00\x01", FileFormatError, ["binary"]),
    ],
)
def test_unreadable_files(tmp_path: Path, content: bytes, error: Any, words: list[str]) -> None:
    with pytest.raises(error) as caught:
        read_table(write(tmp_path, content))
    for word in words:
        assert word in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, "a\n1\n", "houses.csv")
    with pytest.raises(DataError, match="no file.*house.csv") as caught:
        read_table(str(tmp_path / "house.csv"))
    assert "'houses.csv'" in str(caught.value)
    with pytest.raises(DataError, match="is a folder"):
        read_table(str(tmp_path))


def test_parquet(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    import datetime

    frame = polars.DataFrame(
        {
            "whole": [1, None, 3],
            "large": [2**60, 2**60 + 1, 0],
            "real": [0.5, None, float("nan")],
            "text": ["a", "NA", None],
            "yes": [True, None, False],
            "day": [datetime.date(2020, 2, 29), None, datetime.date(1969, 1, 1)],
        }
    )
    path = str(tmp_path / "data.parquet")
    frame.write_parquet(path)
    table = read_table(path)
    np.testing.assert_array_equal(table.column("whole"), [1.0, np.nan, 3.0])
    assert table.column("large").tolist() == [str(2**60), str(2**60 + 1), "0"]
    np.testing.assert_array_equal(table.column("real"), [0.5, np.nan, np.nan])
    assert table.column("text").tolist() == ["a", None, None]
    assert table.column("yes").tolist() == ["True", None, "False"]
    assert table.column("day").astype(str).tolist() == [
        "2020-02-29T00:00:00.000000", "NaT", "1969-01-01T00:00:00.000000",
    ]  # fmt: skip
    content = Path(path).read_bytes()
    with pytest.raises(FileFormatError, match="truncated or damaged"):
        read_table(write(tmp_path, content[: len(content) // 2], "half.parquet"))
    with pytest.raises(FileFormatError, match="PAR1"):
        read_table(write(tmp_path, b"a,b\n1,2\n", "false.parquet"))
    polars.DataFrame({"items": [[1, 2]]}).write_parquet(path)
    with pytest.raises(DataError, match=r"'items'.*List"):
        read_table(path)


def test_parquet_without_polars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "polars":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match="polars") as caught:
        read_table(write(tmp_path, b"PAR1 and more", "data.parquet"))
    assert "retrograd[tables]" in str(caught.value)


def test_rows_keep_their_numbers(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a,b\n1,2\n3,4\n5,6\n")).rows([2, 0])
    assert table.column("a").tolist() == ["5", "1"]
    assert table.describe_row(0) == "row 3 (line 4 of data.csv)"


def test_unknown_columns_and_unequal_lengths() -> None:
    table = Table.from_columns({"length": [1], "width": [2]})
    with pytest.raises(DataError, match="'lenght'") as caught:
        table.column("lenght")
    assert "Did you mean 'length'?" in str(caught.value)
    with pytest.raises(DataError, match="'b'.*2 rows.*'a'.*has 1"):
        Table.from_columns({"a": [1], "b": [1, 2]})
    with pytest.raises(DataError, match="'a'.*shape"):
        Table.from_columns({"a": np.zeros((2, 2))})
    with pytest.raises(DataError, match="'a'.*complex"):
        Table.from_columns({"a": np.zeros(2, dtype=complex)})
    with pytest.raises(DataError, match="No columns"):
        Table.from_columns({})


def test_predictions_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.csv"
    write_predictions(str(path), {"prediction": ["a,b", None], "p": np.array([0.1, 1], "float32")})
    assert path.read_text() == 'prediction,p\n"a,b",0.1\n,1.0\n'
    assert path.stat().st_mode & 0o444 == 0o444 & ~_umask()

    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SaveError, match=r"out\.csv.*No space left"):
        write_predictions(str(path), {"prediction": ["c"]})
    assert path.read_text().startswith("prediction,p\n")
    assert [item.name for item in tmp_path.iterdir()] == ["out.csv"]
    monkeypatch.undo()
    with pytest.raises(SaveError, match="No such file"):
        write_predictions(str(tmp_path / "missing" / "out.csv"), {"prediction": ["c"]})
    with pytest.raises(SaveError):
        write_predictions(str(tmp_path), {"prediction": ["c"]})
    with pytest.raises(DataError, match="'a' 1, 'b' 2"):
        write_predictions(str(path), {"a": [1], "b": [1, 2]})


def test_predictions_follow_links(tmp_path: Path) -> None:
    target = tmp_path / "real.csv"
    target.write_text("old")
    (tmp_path / "link.csv").symlink_to(target)
    write_predictions(str(tmp_path / "link.csv"), {"prediction": ["new"]})
    assert target.read_text() == "prediction\nnew\n"
    assert (tmp_path / "link.csv").is_symlink()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device /dev/full")
def test_a_full_device_is_told_and_not_replaced() -> None:
    with pytest.raises(SaveError, match="No space left"):
        write_predictions("/dev/full", {"prediction": ["c"] * 10000})
    assert not os.path.isfile("/dev/full")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Bad tables and wrong usage: a clear message, the exit code, and nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrograd.cli.main import main
from retrograd.errors import FileFormatError
from tests.cli.helpers import Runner, make_flowers, make_houses, write_table

Columns = dict[str, Any]


def misspell(columns: Columns) -> None:
    columns["pryce"] = columns.pop("price")


def make_constant(columns: Columns) -> None:
    columns["price"] = [5] * len(columns["area"])


def put_text(columns: Columns) -> None:
    columns["area"] = [*columns["area"][:6], "large", *columns["area"][7:]]


def put_infinity(columns: Columns) -> None:
    columns["age"] = [*columns["age"][:2], "inf", *columns["age"][3:]]


def keep(rows: int) -> Callable[[Columns], None]:
    def cut(columns: Columns) -> None:
        for name in columns:
            columns[name] = columns[name][:rows]

    return cut


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (misspell, ["no column 'price'", "Did you mean 'pryce'?"]),
        (make_constant, ["'price'", "nothing to learn"]),
        (put_text, ["'area'", "line 8", "'large'"]),
        (put_infinity, ["'age'", "infinite", "line 4"]),
        (keep(0), ["no rows"]),
        (keep(1), ["one row"]),
        (keep(6), ["6 rows"]),
    ],
)
def test_a_bad_table_is_told(
    run: Runner, tmp_path: Path, change: Callable[[Columns], None], words: list[str]
) -> None:
    columns = dict(make_houses())
    change(columns)
    table = write_table(tmp_path / "houses.csv", columns)
    outcome = run("train", table, "--target", "price", "--out", tmp_path / "m", "--json")
    assert outcome.code == 1 and outcome.out == ""
    assert "error: " in outcome.err and "fix: " in outcome.err and "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err
    assert not (tmp_path / "m").exists()


def test_ragged_rows_and_empty_files_are_told(run: Runner, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("x,y\n1,2\n3,4,5\n")
    outcome = run("train", table, "--target", "y", "--out", tmp_path / "m")
    assert outcome.code == 1 and "line 3" in outcome.err
    table.write_text("")
    assert run("train", table, "--target", "y", "--out", tmp_path / "m").code == 1
    outcome = run("train", tmp_path / "b.csv", "--target", "y", "--out", tmp_path / "m")
    assert outcome.code == 1 and "Did you mean 'a.csv'?" in outcome.err


def test_a_column_missing_at_predict_is_told(run: Runner, houses: Path, tmp_path: Path) -> None:
    columns = dict(make_houses(10))
    columns["aera"] = columns.pop("area")
    table = write_table(tmp_path / "new.csv", columns)
    outcome = run("predict", houses / "model", table, "--out", tmp_path / "p.csv")
    assert outcome.code == 1 and "'area'" in outcome.err and "Did you mean 'aera'?" in outcome.err
    assert not (tmp_path / "p.csv").exists()


def test_text_in_a_number_is_told_at_predict(run: Runner, houses: Path, tmp_path: Path) -> None:
    columns: Columns = dict(make_houses(10))
    columns["area"] = [*columns["area"][:4], "wide", *columns["area"][5:]]
    table = write_table(tmp_path / "new.csv", columns)
    outcome = run("predict", houses / "model", table, "--out", tmp_path / "p.csv")
    assert outcome.code == 1 and "'wide'" in outcome.err and "line 6" in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["tarin"],
        ["train"],
        ["train", "a.csv", "--out", "m"],
        ["train", "a.csv", "--target", "y", "--out", "m", "--epochs", "0"],
        ["train", "a.csv", "--target", "y", "--out", "m", "--seed", "-1"],
        ["predict", "m"],
        ["demo", "--fast"],
    ],
)
def test_wrong_usage_is_code_2(run: Runner, arguments: list[str]) -> None:
    assert run(*arguments).code == 2


def test_only_a_forecaster_predicts_without_out(run: Runner, houses: Path) -> None:
    outcome = run("predict", houses / "model", houses / "houses.csv")
    assert outcome.code == 2 and "--out" in outcome.err
    # Which of both it is cannot be known of a model that is not there.
    assert "'m'" in run("predict", "m", "a.csv").err


@pytest.mark.parametrize("command", ["demo", "train", "predict", "evaluate", "info"])
def test_help_shows_examples(run: Runner, command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.code == 0 and outcome.out.count(f"\n    retrograd {command}") >= 2


def test_a_full_traceback_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETROGRAD_FULL_TRACEBACK", "1")
    with pytest.raises(FileFormatError):
        main(["predict", str(tmp_path), str(tmp_path / "x.csv"), "--out", str(tmp_path / "p.csv")])


def test_ctrl_c_is_code_130(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("retrograd.cli.tasks.table.train.read_table", interrupt)
    outcome = run("train", "a.csv", "--target", "y", "--out", tmp_path / "m")
    assert outcome.code == 130 and "Interrupted" in outcome.err


def test_as_a_program(tmp_path: Path, flowers: Path) -> None:
    """Codes, streams and a closed pipe, as a shell sees them."""
    command = [sys.executable, "-m", "retrograd"]
    table = write_table(tmp_path / "new.csv", make_flowers(20))

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [*command, *(str(argument) for argument in arguments)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    assert call("--version").stdout.startswith("retrograd 0.")
    failed = call("info", tmp_path)
    assert failed.returncode == 1 and failed.stdout == "" and "Traceback" not in failed.stderr
    piped = call("predict", flowers / "model", table, "--out", "/dev/stdout")
    assert piped.returncode == 0 and piped.stdout.splitlines()[0] == "prediction"
    assert len(piped.stdout.splitlines()) == 21 and "20 predictions" in piped.stderr
    reading, writing = os.pipe()
    os.close(reading)
    words = [*command, "info", str(flowers / "model")]
    gone = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert gone.returncode == 1 and gone.stderr == b""


@pytest.mark.parametrize("given", [[], ["--json"]])
def test_a_reader_that_leaves_does_not_lose_a_model(tmp_path: Path, given: list[str]) -> None:
    table = write_table(tmp_path / "flowers.csv", make_flowers())
    out = tmp_path / "model"
    words = [sys.executable, "-m", "retrograd", "train", str(table), "--target", "kind"]
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*words, "--epochs", "2", "--out", str(out), *given],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr and "Broken" not in ended.stderr
    assert main(["info", str(out)]) == 0

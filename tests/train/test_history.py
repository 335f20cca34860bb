"""History, curves and progress."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import retrograd as rg
from retrograd.errors import ArgumentError, MissingDependencyError, SaveError
from retrograd.train import History
from tests.train.helpers import AtBatch, interrupt, make_data, make_trainer

X, Y = make_data(40)


def make_history() -> History:
    return History({"loss": [4.0, 2.0, 1.0], "val_loss": [5.0, 3.0, 2.0], "accuracy": [0, 0.5, 1]})


def test_history_is_a_mapping_of_lists() -> None:
    history = make_history()
    assert history["loss"] == [4.0, 2.0, 1.0]
    assert history.epochs == [1, 2, 3]
    assert list(history) == ["loss", "val_loss", "accuracy"] and len(history) == 3
    assert History(history.to_dict()).to_dict() == history.to_dict()
    history.to_dict()["loss"].append(9.0)
    assert len(history["loss"]) == 3
    with pytest.raises(KeyError, match="Did you mean 'accuracy'"):
        history["acuracy"]
    with pytest.raises(ArgumentError):
        history.append({"loss": 1.0})


def test_text_curves_show_both_lines_with_their_numbers() -> None:
    text = make_history().plot_text(width=20, height=5)
    loss, accuracy = text.split("\n\n")
    lines = loss.splitlines()
    assert lines[0] == "loss (* training, o validation)"
    assert re.match(r" +5 \|o$", lines[1]) and re.match(r" +1 \|.*\*$", lines[5])
    assert loss.count("*") == 1 + 3 and loss.count("o ") >= 1
    assert "accuracy (* training)" in accuracy
    assert History().plot_text() == "no epochs yet"
    flat = History({"loss": [1.0, float("nan"), 1.0]}).plot_text()
    assert "nan" not in flat


@pytest.mark.parametrize("name", ["curves.png", "curves.svg"])
def test_the_picture_is_written(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    make_history().plot(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    assert data.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    with pytest.raises(ArgumentError, match="'xyz'"):
        make_history().plot(tmp_path / "curves.xyz")
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError):
        make_history().plot(tmp_path / "file" / "curves.png")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(MissingDependencyError, match="matplotlib") as caught:
        make_history().plot("curves.png")
    assert "retrograd[plots]" in (caught.value.fix or "")


def test_away_from_a_terminal_there_is_one_line_an_epoch(capsys: Any) -> None:
    make_trainer().fit(X, Y, 3, validation_split=0.2)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 3
    assert re.match(r"epoch 3/3  loss [\d.]+  accuracy [\d.]+  val_loss .* samples/s$", lines[2])
    make_trainer().fit(X, Y, 60)
    assert len(capsys.readouterr().err.splitlines()) < 10  # at most one a second


def test_not_verbose_is_silent(capfd: Any) -> None:
    make_trainer().fit(X, Y, 2, verbose=False)
    assert capfd.readouterr() == ("", "")


def test_an_interruption_is_told(capsys: Any) -> None:
    make_trainer().fit(X, Y, 3, callbacks=[AtBatch(2, 1, interrupt)])
    assert "Interrupted after 1 complete epochs" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_is_a_bar_and_it_is_taken_away(monkeypatch: Any) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("retrograd.train.progress.REFRESH_SECONDS", 0.0)
    make_trainer().fit(X, Y, 2, batch_size=10)
    text = terminal.getvalue()
    for part in ("epoch 1/2", "loss", "accuracy", "samples/s", "left", "━"):
        assert part in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back

    def fail(trainer: rg.Trainer) -> None:
        raise RuntimeError

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(RuntimeError):
        make_trainer().fit(X, Y, 2, batch_size=10, callbacks=[AtBatch(1, 2, fail)])
    assert terminal.getvalue().count("\x1b[?25h") == 1


def test_an_empty_history_says_that_it_is_empty() -> None:
    with pytest.raises(KeyError, match="no epoch was completed"):
        History()["loss"]

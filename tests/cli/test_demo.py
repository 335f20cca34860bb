"""`retrograd demo`: the split, the files, the refusals; a full run learns the digits."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import retrograd as rg
from retrograd.cli import demo_digits
from retrograd.data.datasets import digits
from tests.cli.helpers import Runner


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_digits, "EPOCHS", 1)


def test_json_is_one_object(run: Runner, tmp_path: Path, short: None) -> None:
    out = tmp_path / "digits"
    outcome = run("demo", "--json", "--out", out)
    assert outcome.code == 0
    report = outcome.json
    assert 0.1 < report["test_accuracy"] <= 1.0 and report["seconds"] > 0
    assert report["model"] == str(out) and report["test_digits"] == 359
    assert "Next:" in outcome.err


def test_the_model_is_what_was_tested(run: Runner, tmp_path: Path, short: None) -> None:
    out = tmp_path / "digits"
    report = run("demo", "--json", "--seed", 3, "--out", out).json
    (_, _), (x, y) = digits(0.2, 3)
    model = rg.load_model(out).eval()
    right = np.asarray(model(x[..., None])).argmax(axis=1) == y
    assert right.mean() == pytest.approx(report["test_accuracy"])
    described = run("info", out)
    assert described.code == 0 and "classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n" in described.out
    outcome = run("predict", out, out / "model.json", "--out", tmp_path / "p.csv")
    assert outcome.code == 1 and "nothing that `retrograd train` wrote" in outcome.err


def test_the_test_part_is_never_trained_or_stopped_on(short: None) -> None:
    result = demo_digits.train_digits(0)
    x, _ = digits()
    used = {image.tobytes() for image in digits(0.2, 0)[0][0]}
    parts = np.concatenate([result.training, result.validation])
    assert sorted(parts.tolist()) == list(range(len(x) - len(result.labels)))
    held_out = {image.tobytes() for image in result.images[..., 0]}
    assert not used & held_out


def test_only_its_own_directory_is_replaced(
    run: Runner, tmp_path: Path, flowers: Path, short: None
) -> None:
    out = tmp_path / "digits"
    assert run("demo", "--out", out).code == 0
    assert run("demo", "--out", out, "--seed", 1).code == 0
    before = (flowers / "model" / "model.json").read_bytes()
    outcome = run("demo", "--out", flowers / "model")
    assert outcome.code == 1 and "--out" in outcome.err
    assert (flowers / "model" / "model.json").read_bytes() == before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.txt").write_text("meow")
    assert run("demo", "--out", tmp_path / "photos").code == 1


def test_pictures_with_matplotlib(run: Runner, tmp_path: Path, short: None) -> None:
    pytest.importorskip("matplotlib")
    pictures = run("demo", "--json", "--out", tmp_path / "d").json["pictures"]
    assert [Path(picture).name for picture in pictures] == ["curves.png", "predictions.png"]
    for picture in pictures:
        assert Path(picture).read_bytes().startswith(b"\x89PNG")


def test_text_without_matplotlib(
    run: Runner, tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "d").mkdir()
    outcome = run("demo", "--out", tmp_path / "d")
    assert outcome.code == 0 and "epoch 1 to 1" in outcome.out and "Pictures" not in outcome.out
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        "model.json",
        "weights.safetensors",
    ]


@pytest.mark.slow
def test_learns_the_digits(run: Runner, tmp_path: Path) -> None:
    report = run("demo", "--json", "--out", tmp_path / "d").json
    assert report["test_accuracy"] >= 0.98

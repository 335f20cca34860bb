"""`retrograd train --task masked`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.cli.tasks import rounds
from retrograd.cli.tasks.masked import fit
from retrograd.cli.tasks.masked.model import load_masked_model
from tests.cli.helpers import Runner

WORDS = ["the cat sat on the mat. ", "the dog ate the fish. ", "a bird sang in the tree. "]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "story.txt"
    random = np.random.default_rng(0)
    file.write_text("".join(WORDS[place] for place in random.integers(0, 3, 150)))
    return file


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks: the recipe is for novels."""

    def choose(kind: str, tokens: int) -> fit.MaskedRecipe:
        sizes = {"features": 16, "heads": 2, "layers": 1, "context": 24}
        return fit.MaskedRecipe(sizes, 8, 1e-2)

    monkeypatch.setattr("retrograd.cli.tasks.masked.train.choose_masked_recipe", choose)


@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_an_encoder_is_pretrained(run: Runner, text: Path, tmp_path: Path, tokens: str) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        given = ("--task", "masked", "--tokens", tokens, "--epochs", 100, "--seed", seed)
        outcome = run("train", text, *given, "--out", tmp_path / name, "--json")
        assert outcome.code == 0, outcome.err
        assert outcome.json["task"] == "masked" and outcome.json["interrupted"] is False
        scores = outcome.json["test"]
        assert set(scores) == {"network", "neighbours", "frequencies"}
        assert scores["network"]["bits"] < scores["frequencies"]["bits"] - 0.3
        assert outcome.json["hidden"] == pytest.approx(
            0.15 * outcome.json["parts"]["test"], rel=0.2, abs=2
        )
        state = load_masked_model(str(tmp_path / name)).network.named_state()
        weights.append(np.concatenate([np.asarray(array).ravel() for array in state.values()]))
    assert np.array_equal(weights[0], weights[1]) and not np.array_equal(weights[0], weights[2])

    told = run("info", tmp_path / "a")
    assert told.code == 0 and "at once" in told.out and "counting" in told.out
    measured = run("evaluate", tmp_path / "a", text, "--json")
    assert measured.code == 0 and measured.json["bits"] < scores["frequencies"]["bits"]
    refused = run("predict", tmp_path / "a", text, "--out", tmp_path / "p.csv")
    assert refused.code == 1 and "--encoder" in refused.err


def test_minutes_end_a_training(run: Runner, text: Path, tmp_path: Path) -> None:
    given = ("--task", "masked", "--minutes", 0.02, "--json")
    outcome = run("train", text, *given, "--out", tmp_path / "m")
    assert outcome.code == 0 and outcome.json["steps"] >= 1
    assert outcome.json["training_seconds"] < 60


def test_ctrl_c_keeps_what_was_learned(
    run: Runner, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(rounds.Watch):
        def on_batch_end(self, trainer: Any, event: Any) -> None:
            super().on_batch_end(trainer, event)
            if self.done >= 25:
                raise KeyboardInterrupt

    monkeypatch.setattr(rounds, "Watch", Interrupted)
    given = ("--task", "masked", "--epochs", 500, "--out", tmp_path / "m")
    outcome = run("train", text, *given)
    assert outcome.code == 130 and "the best network so far was kept" in outcome.out
    assert load_masked_model(str(tmp_path / "m")).report["steps"] >= 25


@pytest.mark.parametrize(
    ("best", "words"), [("neighbours", "neighbours"), ("frequencies", "characters")]
)
def test_no_better_than_counting_is_told(
    run: Runner,
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    best: str,
    words: str,
) -> None:
    def measure(*given: Any) -> tuple[int, dict[str, dict[str, float]]]:
        names = ("neighbours", "frequencies")
        return 9, {name: {"bits": 0.0 if name == best else 99.0, "accuracy": 0.5} for name in names}

    monkeypatch.setattr("retrograd.cli.tasks.masked.train.measure_counts", measure)
    outcome = run("train", text, "--task", "masked", "--epochs", 1, "--out", tmp_path / "m")
    assert outcome.code == 0 and f"note: counting {words} does as well" in outcome.out


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"  \n ", ["holds no text"]),
        (b"too short", ["9 characters", "at least 1,000"]),
        (b"\x80\xff" * 900, ["not UTF-8"]),
        (b"ab\0\0" * 900, ["no text", "zero bytes"]),
        (b"a\0" * 900, ["iconv -f UTF-16LE"]),
    ],
)
def test_a_bad_text_is_told(run: Runner, tmp_path: Path, content: bytes, words: list[str]) -> None:
    file = write(tmp_path / "text.txt", content)
    outcome = run("train", file, "--task", "masked", "--out", tmp_path / "m")
    assert outcome.code == 1 and all(word in outcome.err for word in words), outcome.err
    assert not (tmp_path / "m").exists()


def test_a_text_without_words_is_told(run: Runner, tmp_path: Path) -> None:
    for content in (b"word " * 300 + b" " * 4000, b" \n" * 10 + b"x" * 2000):
        file = write(tmp_path / "text.txt", content)
        given = ("--task", "masked", "--tokens", "words", "--out", tmp_path / "m")
        outcome = run("train", file, *given)
        assert outcome.code == 1 and "error:" in outcome.err, outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "x"], "--target has no meaning for masked"),
        (["--network", "gpt"], "--network has no meaning for masked"),
        (["--tokens", "letters"], "characters, words"),
        (["--minutes", "0"], "--minutes"),
    ],
)
def test_wrong_options_are_told(
    run: Runner, text: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    outcome = run("train", text, "--task", "masked", "--out", tmp_path / "m", *arguments)
    assert outcome.code == 1 and words in outcome.err
    assert not (tmp_path / "m").exists()


def test_damaged_and_foreign_models_are_told(run: Runner, text: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert run("train", text, "--task", "masked", "--epochs", 1, "--out", model).code == 0
    foreign = write(tmp_path / "foreign.txt", "日本語".encode() * 50)
    assert "none of the model's" in run("evaluate", model, foreign).err
    for change, words in (
        (lambda section: section["vocabulary"]["symbols"].pop(), "does not know"),
        (lambda section: section.update(version=99), "version"),
        (lambda section: section.update(report=None), "damaged"),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(model, copy, dirs_exist_ok=True)
        content = json.loads((copy / "model.json").read_text())
        change(content["extra"]["masked"])
        (copy / "model.json").write_text(json.dumps(content))
        outcome = run("evaluate", copy, text)
        assert outcome.code == 1 and words in outcome.err, outcome.err

"""`retrograd train --task language` and `retrograd generate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.cli.tasks import rounds
from retrograd.cli.tasks.language.model import load_language_model
from retrograd.data.corpus import measure_entropy, read_corpus, split_text
from tests.cli.helpers import Runner

WORDS = ["the cat sat on the mat. ", "the dog ate the fish. ", "a bird sang in the tree. "]


def make_text(sentences: int = 120) -> str:
    random = np.random.default_rng(0)
    return "".join(WORDS[place] for place in random.integers(0, 3, sentences))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "story.txt"
    file.write_text(make_text())
    return file


@pytest.fixture(scope="module")
def model(text: Path) -> Path:
    from retrograd.cli.main import main

    out = text.parent / "model"
    arguments = ["--task", "language", "--network", "lstm", "--epochs", "60", "--out", str(out)]
    assert main(["train", str(text), *arguments]) == 0
    return out


def test_learns_more_than_pairs_of_characters(run: Runner, model: Path) -> None:
    report = load_language_model(str(model)).report
    bits = report["test_bits"]
    assert bits["network"] < 0.8 * bits["bigram"] and bits["bigram"] < bits["unigram"]
    assert report["parts"]["test"] == pytest.approx(0.1 * sum(report["parts"].values()), abs=1)
    made = run("generate", model, "--prompt", "the dog ", "--length", 60, "--temperature", 0)
    assert made.code == 0 and made.out.startswith("the dog ate the fish. ") and made.err == ""
    assert len(made.out) == 8 + 60 + 1


def test_generate_by_seed_and_as_json(run: Runner, model: Path) -> None:
    arguments = ("generate", model, "--length", 30, "--temperature", 1.5, "--top-k", 500, "--json")
    texts = [run(*arguments, "--seed", seed).json["text"] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    strange = run("generate", model, "--prompt", "the Ω", "--length", 3, "--top-p", 0.9)
    assert strange.code == 0 and "does not know 'Ω'" in strange.err


@pytest.mark.parametrize("seeds", [{"gpt": [1]}, {"lstm": [1, 1, 2]}])
def test_reports_and_the_same_seed_gives_the_same_model(
    run: Runner, text: Path, tmp_path: Path, seeds: dict[str, list[int]]
) -> None:
    weights = []
    ((network, given_seeds),) = seeds.items()
    for name, seed in zip("abc", given_seeds):
        given = ("--task", "language", "--network", network, "--epochs", 1, "--seed", seed)
        outcome = run("train", text, *given, "--out", tmp_path / name, "--json")
        assert outcome.code == 0, outcome.err
        assert outcome.json["task"] == "language" and outcome.json["interrupted"] is False
        assert set(outcome.json["test_bits"]) == {"network", "bigram", "unigram"}
        assert "bits per character" in outcome.err
        state = load_language_model(str(tmp_path / name)).network.named_state()
        weights.append(np.concatenate([np.asarray(a).ravel() for a in state.values()]))
    for one, seed in zip(weights, given_seeds):
        assert np.array_equal(one, weights[0]) == (seed == given_seeds[0])
    told = run("info", tmp_path / "a")
    assert told.code == 0 and "Bits per character" in told.out


def test_evaluate_measures_a_text(run: Runner, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("the cat sat on the mat. " * 20 + "Ω")
    found = run("evaluate", model, other, "--json")
    assert found.code == 0 and found.json["unknown"] == ["Ω"] and found.json["bits"] < 1.5
    refused = run("predict", model, other, "--out", tmp_path / "p")
    assert refused.code == 1 and "language model" in refused.err
    other.write_text("x")
    assert run("evaluate", model, other).code == 1


def test_minutes_end_a_training(run: Runner, text: Path, tmp_path: Path) -> None:
    given = ("--task", "language", "--network", "lstm", "--minutes", 0.02, "--json")
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
    given = ("--task", "language", "--network", "lstm", "--epochs", 50, "--out", tmp_path / "m")
    outcome = run("train", text, *given)
    assert outcome.code == 130 and "the best network so far was kept" in outcome.out
    assert run("generate", tmp_path / "m", "--length", 5).code == 0


@pytest.mark.parametrize(("best", "words"), [(1, "pairs of characters"), (0, "characters")])
def test_no_better_than_counting_is_told(
    run: Runner,
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    best: int,
    words: str,
) -> None:
    def measure(train: Any, test: Any, classes: int, order: int) -> float:
        return 0.01 if order == best else 99.0

    monkeypatch.setattr("retrograd.cli.tasks.language.train.measure_entropy", measure)
    given = ("--task", "language", "--network", "lstm", "--epochs", 1, "--out", tmp_path / "m")
    outcome = run("train", text, *given)
    assert outcome.code == 0 and f"note: counting {words} does as well" in outcome.out


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["holds no text"]),
        (b"  \n ", ["holds no text"]),
        (b"too short", ["9 characters", "at least 1,000"]),
        (b"\x80\xff" * 900, ["not UTF-8"]),
        (b"ab\0\0" * 900, ["no text", "zero bytes"]),
        (b"a\0" * 900, ["iconv -f UTF-16LE"]),
    ],
)
def test_a_bad_text_is_told(run: Runner, tmp_path: Path, content: bytes, words: list[str]) -> None:
    file = write(tmp_path / "text.txt", content)
    outcome = run("train", file, "--task", "language", "--out", tmp_path / "m")
    assert outcome.code == 1 and all(word in outcome.err for word in words), outcome.err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--target", "x"], 1, "--target has no meaning for language"),
        (["--network", "rnn"], 1, "gpt, lstm"),
        (["--minutes", "0"], 1, "--minutes"),
        (["--minutes", "nan"], 1, "--minutes"),
    ],
)
def test_wrong_options_are_told(
    run: Runner, text: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    outcome = run("train", text, "--task", "language", "--out", tmp_path / "m", *arguments)
    assert outcome.code == code and words in outcome.err
    assert not (tmp_path / "m").exists()


def test_generate_refuses_what_is_no_language_model(
    run: Runner, flowers: Path, model: Path
) -> None:
    assert "no language model" in run("generate", flowers / "model").err
    assert run("generate", model, "--temperature", -1).code == 1
    assert run("generate", model, "--top-p", 1.5).code == 1
    assert run("generate", model / "nothing").code == 1
    assert run("predict", model, flowers / "flowers.csv", "--out", "x.csv").code == 1


def test_a_damaged_vocabulary_is_told(run: Runner, model: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    content = json.loads((copy / "model.json").read_text())
    content["extra"]["language"]["vocabulary"]["symbols"].pop()
    (copy / "model.json").write_text(json.dumps(content))
    outcome = run("generate", copy)
    assert outcome.code == 1 and "does not predict" in outcome.err


def test_a_folder_is_split_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("b" * 2000)
    (tmp_path / "a.txt").write_text("a" * 1000)
    (tmp_path / "c.md").write_text("c" * 1000)
    corpus = read_corpus(tmp_path)
    assert corpus.files == ("a.txt", "b.txt")
    assert corpus.test == "a" * 100 + "b" * 200
    assert corpus.validation == "a" * 50 + "b" * 100 and corpus.train == "a" * 850 + "b" * 1700


def test_entropy_by_counts() -> None:
    random = np.random.default_rng(0)
    numbers = random.integers(0, 8, 40_000)
    train, test = numbers[:20_000], numbers[20_000:]
    assert measure_entropy(train, test, 8, 0) == pytest.approx(3.0, abs=0.01)
    assert measure_entropy(train, test, 8, 1) == pytest.approx(3.0, abs=0.02)
    unseen = measure_entropy(np.zeros(98, int), np.array([0, 1]), 2, 0)
    assert unseen == pytest.approx(np.log2(100.0))
    assert "".join(split_text("abcdefghij" * 7)) == "abcdefghij" * 7

"""`retrograd train --task translation`, and the translator that it makes."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.cli.tasks.translation import fit, train
from retrograd.cli.tasks.translation.batches import cut_epoch, make_buckets
from retrograd.cli.tasks.translation.model import load_translation_model
from retrograd.data.pairs import Pairs
from retrograd.data.text import Characters
from retrograd.metrics import chrf
from tests.cli.helpers import Outcome, Runner, read_column

pytest.importorskip("tokenizers")

ENGLISH = ["zero", "one", "two", "three", "four", "five"]
SPANISH = ["cero", "uno", "dos", "tres", "cuatro", "cinco"]
COLUMNS = ("--task", "translation", "--source", "english", "--target", "spanish")


def make_rows(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Numbers in words; in Spanish from the last to the first."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        digits = random.integers(0, 6, random.integers(1, 5))
        rows.append(
            (" ".join(ENGLISH[d] for d in digits), " ".join(SPANISH[d] for d in digits[::-1]))
        )
    return rows


def write_rows(path: Path, rows: list[tuple[str, str]]) -> Path:
    lines = ["english\tspanish", *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("pairs") / "pairs.tsv", make_rows(500))


@pytest.fixture(scope="module")
def model(pairs: Path) -> Path:
    from retrograd.cli.main import main

    out = pairs.parent / "model"
    assert main(["train", str(pairs), *COLUMNS, "--epochs", "30", "--out", str(out)]) == 0
    return out


def test_learns_more_than_what_can_be_looked_up(run: Runner, model: Path) -> None:
    report = load_translation_model(str(model)).report
    scores = report["test_chrf"]
    assert scores["network"] > 85.0 > scores["nearest"] + 5.0
    parts = report["parts"]
    assert sum(parts.values()) == 500 and parts["test"] >= 50
    told = run("info", model)
    assert told.code == 0 and "Translates 'english' into 'spanish'" in told.out
    assert f"{scores['network']:.1f}" in told.out
    assert run("info", model, "--json").json["training"] == report


def test_predicts_lines_tables_and_stdin(
    run: Runner, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["one two", "", "five"]
    (tmp_path / "new.txt").write_text("\n".join(lines) + "\n")
    printed = run("predict", model, tmp_path / "new.txt")
    assert printed.code == 0 and printed.err == ""
    found = printed.out.splitlines()
    assert len(found) == 3 and found[1] == "" and found[2] == "cinco"
    out = tmp_path / "out.txt"
    assert run("predict", model, tmp_path / "new.txt", "--out", out).code == 0
    assert out.read_text().splitlines() == found
    (tmp_path / "new.csv").write_text('id,english\n1,one two\n2,""\n3,five\n')
    table = tmp_path / "out.csv"
    assert run("predict", model, tmp_path / "new.csv", "--out", table).code == 0
    assert read_column(table, "prediction") == found
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one two\r\n\r\nfive")))
    piped = run("predict", model, "-", "--json")
    assert piped.json["translations"] == found


def test_evaluates(run: Runner, model: Path, tmp_path: Path) -> None:
    rows = make_rows(40, seed=7)
    outcome = run("evaluate", model, write_rows(tmp_path / "new.tsv", rows), "--json")
    trained = load_translation_model(str(model))
    translations = trained.translate([a for a, _ in rows])
    references = [b for _, b in rows]
    assert outcome.json["chrf"] == pytest.approx(chrf(translations, references))
    assert outcome.json["same"] == sum(a == b for a, b in zip(translations, references))
    # Alone or among others, in any order: the same translation.
    assert trained.translate([rows[3][0]]) == [translations[3]]


def test_the_same_seed_gives_the_same_model(run: Runner, pairs: Path, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        given = (*COLUMNS, "--epochs", 1, "--seed", seed, "--out", tmp_path / name, "--json")
        outcome = run("train", pairs, *given)
        assert outcome.code == 0, outcome.err
        assert outcome.json["task"] == "translation" and outcome.json["interrupted"] is False
        weights.append(np.asarray(load_translation_model(str(tmp_path / name)).network.mix.weight))
    assert np.array_equal(weights[0], weights[1]) and not np.array_equal(weights[0], weights[2])


def test_a_test_file_is_kept_apart(run: Runner, pairs: Path, tmp_path: Path) -> None:
    test = write_rows(tmp_path / "test.tsv", make_rows(20, seed=9))
    arguments = (*COLUMNS, "--test", test, "--epochs", 1, "--out", tmp_path / "m", "--json")
    outcome = run("train", pairs, *arguments)
    assert outcome.code == 0, outcome.err
    parts = outcome.json["parts"]
    assert parts["test"] == 20 and sum(parts.values()) < 520
    assert "have a text of the test file and are not learnt" in outcome.err


@pytest.mark.parametrize("after", [0, 3])
def test_ctrl_c_keeps_the_best_so_far(
    run: Runner, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    original = fit.Trainer.fit
    calls = 0

    def interrupt(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return original(self, *arguments, **options)

    monkeypatch.setattr(fit.Trainer, "fit", interrupt)
    out = tmp_path / "model"
    outcome = run("train", pairs, *COLUMNS, "--epochs", 5, "--out", out)
    assert outcome.code == 130
    if after:
        assert "the best network so far was kept" in outcome.out
        report = load_translation_model(str(out)).report
        assert 0 < report["epochs"] < 5 and report["validation_chrf"] >= 0.0
    else:
        assert "Interrupted" in outcome.err and not out.exists()


def fail(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 1 and outcome.err.startswith("error: "), outcome
    assert all(word in outcome.err for word in words), outcome.err


def test_bad_tables(run: Runner, pairs: Path, tmp_path: Path) -> None:
    end = ("--out", tmp_path / "model")
    fail(run("train", tmp_path / "none.tsv", *COLUMNS, *end), "There is no file")
    other = (*COLUMNS[:-1], "spansh", *end)
    fail(run("train", pairs, *other), "no column 'spansh'", "spanish")
    fail(run("train", pairs, *COLUMNS[:-1], "english", *end), "source and as the target")
    few = write_rows(tmp_path / "few.tsv", make_rows(20))
    fail(run("train", few, *COLUMNS, *end), "There are 20 pairs", "at least 50")
    same = write_rows(tmp_path / "same.tsv", [("one", "uno")] * 80)
    fail(run("train", same, *COLUMNS, *end), "Nothing is left to learn")
    empty = write_rows(tmp_path / "empty.tsv", [])
    fail(run("train", empty, *COLUMNS, *end), "no rows")
    words = " ".join(f"word{number}" for number in range(300))
    long = write_rows(tmp_path / "long.tsv", [(f"{n} {words}", f"{words} {n}") for n in range(60)])
    fail(run("train", long, *COLUMNS, *end), "more than 64 subwords")
    (tmp_path / "bytes.tsv").write_bytes(b"english\tspanish\n\x00\x01\t\xff\xfe\n" * 60)
    fail(run("train", tmp_path / "bytes.tsv", *COLUMNS, *end), "binary data")
    assert not (tmp_path / "model").exists()


def test_options_that_are_missing_or_mean_nothing(run: Runner, pairs: Path, tmp_path: Path) -> None:
    end = ("--out", tmp_path / "model")
    missing = run("train", pairs, *COLUMNS[:4], *end)
    assert missing.code == 2 and "--target" in missing.err
    fail(run("train", pairs, *COLUMNS, "--horizon", 3, *end), "--horizon has no meaning")
    fail(run("train", pairs, "--target", "spanish", "--source", "english", *end), "--source has no")
    fail(run("train", pairs, *COLUMNS, "--minutes", -1, *end), "--minutes is a number above 0")


def test_bad_texts_to_translate(
    run: Runner, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "half.csv").write_text("english\none\n")
    fail(run("predict", model, tmp_path / "empty.txt"), "holds no text")
    (tmp_path / "latin.txt").write_bytes("mañana".encode("latin-1"))
    fail(run("predict", model, tmp_path / "latin.txt"), "is not UTF-8", "iconv")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    fail(run("predict", model, "-"), "Nothing came on stdin")
    (tmp_path / "new.txt").write_text("one\n" + "two " * 5000 + "\n")
    fail(run("predict", model, tmp_path / "new.txt", "--probabilities"), "no class probabilities")
    fail(run("predict", model, tmp_path / "new.txt", "--out", tmp_path / "half.csv" / "x"), "")
    long = run("predict", model, tmp_path / "new.txt", "--json")
    assert long.code == 0 and len(long.json["translations"]) == 2
    assert "1 text with more than 64 subwords" in long.err
    plain = run("predict", model, tmp_path / "new.txt")
    assert plain.out.splitlines() == long.json["translations"] and "1 text with" in plain.err
    fail(run("evaluate", model, tmp_path / "half.csv"), "no column 'spanish'")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"version": 9}, "version 9"),
        ({"vocabulary": {"kind": "characters", "symbols": ["a"]}}, "does not write"),
        ({"vocabulary": None}, "no vocabulary"),
        ({"longest": 0}, "damaged"),
        ({"beams": "4"}, "damaged"),
        ({"source": None}, "damaged"),
        ({"report": []}, "damaged"),
    ],
)
def test_damaged_models(
    run: Runner, model: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    broken = tmp_path / "model"
    broken.mkdir()
    for file in model.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    content = json.loads((broken / "model.json").read_text())
    found = [part for part in (content, content.get("extra", {})) if "translation" in part]
    found[0]["translation"].update(change)
    (broken / "model.json").write_text(json.dumps(content))
    (tmp_path / "new.txt").write_text("one\n")
    fail(run("predict", broken, tmp_path / "new.txt"), words)


def test_batches_hold_every_pair_once_and_nothing_else() -> None:
    rows = make_rows(200)
    vocabulary = Characters.of(*[text for row in rows for text in row])
    buckets, left = make_buckets(Pairs.of(rows), vocabulary, longest=20)
    found = []
    for bucket in buckets:
        for one, two, following in zip(bucket.source, bucket.target, bucket.following):
            end = following.tolist().index(vocabulary.end)
            assert two[0] == vocabulary.start and np.array_equal(two[1 : end + 1], following[:end])
            assert not following[end + 1 :].any() and not two[end + 1 :].any()
            found.append((vocabulary.decode(one), vocabulary.decode(following)))
            assert vocabulary.decode(two) == vocabulary.decode(following)
    kept = [row for row in rows if max(map(len, row)) < 20]
    assert sorted(found) == sorted(kept) and left == len(rows) - len(kept)
    seen = set()
    for number, size, places in cut_epoch(buckets, 100, np.random.default_rng(0)):
        assert len(places) % size == 0 and size * buckets[number].length <= 100
        new = {(number, int(place)) for place in places}
        assert len(new) == len(places) and not new & seen
        seen |= new
    assert len(seen) > 0.9 * len(kept)


def test_a_table_without_the_column_is_told(run: Runner, model: Path, tmp_path: Path) -> None:
    for name in ("sales.csv", "SALES.TSV"):
        (tmp_path / name).write_text("day,sold\n1,2\n")
        fail(run("predict", model, tmp_path / name), "no column 'english'", name, "day")
    (tmp_path / "table").write_text("id,english\n1,five\n")
    assert run("predict", model, tmp_path / "table").out == "cinco\n"


def test_the_model_is_kept_if_the_report_fails(
    run: Runner, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_to_report(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(train, "find_nearest", fail_to_report)
    out = tmp_path / "model"
    assert run("train", pairs, *COLUMNS, "--epochs", 1, "--out", out).code == 1
    assert load_translation_model(str(out)).translate(["one"]) != []
    told = run("info", out)
    assert told.code == 0 and "not whole" in told.out

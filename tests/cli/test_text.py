"""`retrograd train --task text`, and what is done with the model."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.cli.main import main
from retrograd.cli.run import Output
from retrograd.cli.tasks.text.batches import TextBatches, choose_lengths
from retrograd.cli.tasks.text.fit import fit_texts
from retrograd.cli.tasks.text.model import load_text_model, tell_cut
from retrograd.cli.tasks.text.recipe import choose_text_recipe
from retrograd.data.text import Words
from retrograd.ops import random
from tests.cli.helpers import Outcome, Runner, read_column, write_table

Columns = dict[str, Any]
GIVEN = ("--task", "text", "--target", "mood")
FILLING = "the a day we went there and saw it all then came back home with them".split()


def make_reviews(rows: int = 300, seed: int = 0) -> Columns:
    """Texts of very different lengths; "not" turns what follows around."""
    generator = np.random.default_rng(seed)
    texts, moods = [], []
    for row in range(rows):
        words = [str(word) for word in generator.choice(FILLING, int(generator.integers(2, 40)))]
        good = row % 2 == 0
        turned = bool(generator.integers(0, 2))
        word = "lovely" if good != turned else "awful"
        words.insert(int(generator.integers(0, len(words))), f"not {word}" if turned else word)
        texts.append(" ".join(words))
        moods.append("good" if good else "bad")
    return {"number": list(range(rows)), "review": texts, "mood": moods}


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reviews")
    table = write_table(folder / "reviews.csv", make_reviews())
    assert main(["train", str(table), *GIVEN, "--out", str(folder / "model")]) == 0
    return folder


def test_learns_pairs_of_words(reviews: Path, run: Runner, tmp_path: Path) -> None:
    model = load_text_model(str(reviews / "model"))
    assert model.column == "review" and model.target.classes == ("bad", "good")
    assert model.report["refit"] is True and set(model.report["rows"]) == {
        "train",
        "validation",
        "test",
    }
    assert set(model.report["test"]) == {
        "network",
        "linear_model_on_tf-idf",
        "most_frequent_class",
    }
    new = write_table(tmp_path / "new.csv", make_reviews(100, seed=5))
    outcome = run("evaluate", reviews / "model", new, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["accuracy"] > 0.8 and outcome.json["rows"] == 100


def test_predicts_in_the_order_of_the_rows(reviews: Path, run: Runner, tmp_path: Path) -> None:
    columns = make_reviews(60, seed=7)
    del columns["mood"]
    columns["review"][3] = ""
    columns["review"][4] = "zzz qqq"
    columns["review"][5] = "lovely " * 5_000
    new = write_table(tmp_path / "new.csv", columns)
    out = tmp_path / "out.csv"
    outcome = run("predict", reviews / "model", new, "--out", out, "--probabilities", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["unknown_texts"] == 2 and outcome.json["rows"] == 60
    whole = read_column(out, "prediction")
    shares = [[float(x) for x in read_column(out, f"probability {c}")] for c in ("bad", "good")]
    np.testing.assert_allclose(np.sum(shares, axis=0), 1.0, atol=1e-5)
    assert whole == [("bad", "good")[int(g > b)] for b, g in zip(*shares)]
    # A text has the same answer alone as among others.
    alone = write_table(tmp_path / "one.csv", {"review": [columns["review"][9]]})
    assert run("predict", reviews / "model", alone, "--out", out).code == 0
    assert read_column(out, "prediction") == [whole[9]]


def test_info_tells_about_it(reviews: Path, run: Runner) -> None:
    outcome = run("info", reviews / "model")
    assert outcome.code == 0 and "'review'" in outcome.out and "linear model" in outcome.out
    assert run("info", reviews / "model", "--json").json["classes"] == ["bad", "good"]


def test_the_same_seed_gives_the_same_model(run: Runner, tmp_path: Path) -> None:
    table = write_table(tmp_path / "r.csv", make_reviews(40))
    for out in ("a", "b", "c"):
        seed = 2 if out == "c" else 1
        given = (*GIVEN, "--out", tmp_path / out, "--epochs", 2, "--seed", seed)
        assert run("train", table, *given).code == 0
    first, second, other = (
        np.asarray(load_text_model(str(tmp_path / out)).network.head.weight) for out in "abc"
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_reads_words_in_their_order_with_a_gru(run: Runner, tmp_path: Path) -> None:
    table = write_table(tmp_path / "r.csv", make_reviews(40))
    given = (*GIVEN, "--network", "gru", "--epochs", 1, "--out", tmp_path / "m", "--json")
    outcome = run("train", table, *given)
    assert outcome.code == 0, outcome.err
    assert "GRU" in outcome.json["network"]
    assert run("evaluate", tmp_path / "m", table).code == 0


def test_many_classes_of_other_scripts(run: Runner, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    signs = [chr(0x4E00 + n) for n in range(20)]
    texts = ["".join(generator.choice(signs, 6)) + signs[row % 20] * 2 + "。" for row in range(200)]
    table = write_table(tmp_path / "t.csv", {"t": texts, "c": [f"k{r % 20}" for r in range(200)]})
    given = ("--task", "text", "--target", "c", "--out", tmp_path / "m", "--json")
    outcome = run("train", table, *given)
    assert outcome.code == 0, outcome.err
    assert outcome.json["test"]["network"]["accuracy"] > 0.3
    assert outcome.json["test"]["most_frequent_class"]["accuracy"] < 0.1


def refuse(run: Runner, folder: Path, columns: Columns, *given: object) -> Outcome:
    table = write_table(folder / "table.csv", columns)
    outcome = run("train", table, *(given or GIVEN), "--out", folder / "m", "--epochs", 1)
    assert outcome.code in (1, 2) and not (folder / "m").exists(), outcome.out
    assert "Traceback" not in outcome.err
    return outcome


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda c: {**c, "mood": ["good"] * 40}, "nothing to learn"),
        (lambda c: {k: v for k, v in c.items() if k != "review"}, "--text"),
        (lambda c: {k: v for k, v in c.items() if k != "mood"}, "no column 'mood'"),
        (lambda c: {k: v[:1] for k, v in c.items()}, "one row"),
        (lambda c: {k: v[:6] for k, v in c.items()}, "at least 10"),
        (lambda c: {k: [] for k in c}, "no rows"),
        (lambda c: {**c, "review": [""] * 40}, "--text"),
        (lambda c: {**c, "mood": [f"m{n}" for n in range(40)]}, "too many"),
    ],
)
def test_bad_tables_are_refused(
    run: Runner, tmp_path: Path, change: Callable[[Columns], Columns], words: str
) -> None:
    outcome = refuse(run, tmp_path, change(make_reviews(40)))
    assert words in outcome.err and "fix:" in outcome.err


def test_bad_options_are_refused(run: Runner, tmp_path: Path) -> None:
    columns = make_reviews(40)
    assert "--text" in refuse(run, tmp_path, columns, *GIVEN, "--text", "reveiw").err
    assert "ngrams, gru" in refuse(run, tmp_path, columns, *GIVEN, "--network", "gpt").err
    assert "--horizon" in refuse(run, tmp_path, columns, *GIVEN, "--horizon", 3).err
    assert "--target" in refuse(run, tmp_path, columns, "--task", "text").err


def test_other_encodings_are_read(reviews: Path, run: Runner, tmp_path: Path) -> None:
    table = tmp_path / "latin.csv"
    table.write_bytes("review;mood\nqué lovely día;good\n".encode("latin-1"))
    outcome = run("evaluate", reviews / "model", table)
    assert outcome.code == 0 and "Latin-1" in outcome.out


def test_evaluate_and_predict_refuse_what_does_not_fit(
    reviews: Path, run: Runner, tmp_path: Path
) -> None:
    model = reviews / "model"
    strange = write_table(tmp_path / "a.csv", {"review": ["so lovely"], "mood": ["odd"]})
    assert "none of the 2 classes" in run("evaluate", model, strange).err
    without = write_table(tmp_path / "b.csv", {"text": ["so lovely"], "mood": ["good"]})
    assert "no column 'review'" in run("evaluate", model, without).err
    empty = write_table(tmp_path / "c.csv", {"review": ["so lovely"], "mood": [""]})
    assert "has a value" in run("evaluate", model, empty).err


def test_predicts_lines_and_prints_without_out(
    reviews: Path, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = tmp_path / "new.txt"
    lines.write_text("we were there, so lovely\n\nsuch an awful day\n", encoding="utf-8")
    outcome = run("predict", reviews / "model", lines)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[::2] == ["good", "bad"]
    assert len(outcome.out.splitlines()) == 3 and "no word" in outcome.err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.read_bytes())))
    found = run("predict", reviews / "model", "-", "--probabilities", "--json").json
    assert found["predictions"]["prediction"][::2] == ["good", "bad"] and found["rows"] == 3
    assert len(found["predictions"]) == 3
    # Notes about the file stay out of what is printed.
    table = tmp_path / "new.csv"
    table.write_text("review;n\nso lovely here;1\n\n", encoding="utf-8")
    assert run("predict", reviews / "model", table).out == "good\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    nothing = run("predict", reviews / "model", "-")
    assert nothing.out == "" and "Nothing came on stdin" in nothing.err
    # What other programs do not take for the end of a line is none.
    content = "so\u2028lovely\x0bthere\nan awful day"
    lines.write_text(content, encoding="utf-8")
    assert len(run("predict", reviews / "model", lines).out.splitlines()) == 2
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    assert len(run("predict", reviews / "model", "-").out.splitlines()) == 2
    lines.write_bytes("día\n".encode("latin-1"))
    assert "not UTF-8" in run("predict", reviews / "model", lines).err


def test_ctrl_c_keeps_the_best_so_far(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [generator.integers(4, 30, 5).astype(np.int32) for _ in range(60)]
    labels = np.array([int(9 in row) for row in rows], np.int32)
    recipe = choose_text_recipe("ngrams", 40, epochs=40)
    for stop in (0.01, 0.3):
        random.seed(0)
        network = recipe.make_network(30, 2)

        def show(share: float, text: str, stop: float = stop) -> None:
            if share > stop:
                raise KeyboardInterrupt

        held_out = (rows[40:], labels[40:])
        fitted = fit_texts(network, recipe, rows[:40], labels[:40], 0, None, held_out, show=show)
        assert fitted.is_interrupted and 1 <= fitted.epochs <= 13
        assert all(np.isfinite(np.asarray(array)).all() for array in network.named_state().values())


def test_damaged_models_are_told(reviews: Path, run: Runner, tmp_path: Path) -> None:
    table = reviews / "reviews.csv"
    for number, change in enumerate(
        (
            {"version": 99},
            {"target": {"task": "classification", "name": "mood", "classes": ["a", "b", "c"]}},
            {"target": None},
            {"column": 3},
            {"longest": 0},
            {"vocabulary": {"kind": "ngrams", "symbols": ["a"]}},
            {"report": 7},
        )
    ):
        folder = tmp_path / str(number)
        shutil.copytree(reviews / "model", folder)
        described = json.loads((folder / "model.json").read_text())
        described["extra"]["text"] |= change
        (folder / "model.json").write_text(json.dumps(described))
        outcome = run("evaluate", folder, table)
        assert outcome.code == 1 and "fix:" in outcome.err, change


def test_batches_hold_each_text_and_few_shapes() -> None:
    generator = np.random.default_rng(0)
    rows = [np.full(n, n, np.int32) for n in generator.integers(0, 90, 101)]
    labels = np.arange(101, dtype=np.int32)
    lengths = choose_lengths(rows)
    batches = TextBatches(rows, labels, 8, lengths, seed=0)
    seen = []
    for x, y in batches.draw_epoch():
        assert len(x) % 8 == 0 and x.shape[1] in lengths
        for row, label in zip(x, y):
            np.testing.assert_array_equal(row[: len(rows[label])], rows[label])
            assert not row[len(rows[label]) :].any()
        seen += y.tolist()
    assert set(seen) == set(range(101)) and len(seen) == 104
    assert len(lengths) <= 4
    longer = TextBatches([np.arange(1, 6)], labels[:1], 1, [3], seed=0)
    assert [x.tolist() for x, _ in longer.draw_epoch()] == [[[1, 2, 3]]]


def test_training_stops_and_keeps_the_best_weights() -> None:
    generator = np.random.default_rng(0)
    rows = [generator.integers(4, 30, 5).astype(np.int32) for _ in range(60)]
    labels = generator.integers(0, 2, 60).astype(np.int32)  # nothing to learn
    recipe = choose_text_recipe("ngrams", 40, epochs=40)
    random.seed(0)
    network = recipe.make_network(30, 2)
    held_out = (rows[40:], labels[40:])
    fitted = fit_texts(network, recipe, rows[:40], labels[:40], 0, None, held_out)
    assert 1 <= fitted.epochs < 40 and not fitted.is_interrupted
    from retrograd.cli.tasks.text.fit import find_logits, measure_loss

    assert measure_loss(find_logits(network, rows[40:]), labels[40:], None) == pytest.approx(
        fitted.validation_loss
    )


def test_texts_that_are_cut_off_are_told(
    run: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = make_reviews(40)
    # In whichever part the long text is.
    columns["review"] = [*columns["review"], " ".join(FILLING * 400), " ".join(FILLING)]
    columns["mood"] = [*columns["mood"], "good", "bad"]
    columns["number"] = list(range(42))
    table, out = write_table(tmp_path / "long.csv", columns), tmp_path / "m"
    trained = run("train", table, *GIVEN, "--network", "gru", "--epochs", 1, "--out", out)
    assert trained.code == 0, trained.err
    assert trained.out.count("1 text cut off after 512 tokens") == 1
    assert "1 text cut off after" in run("predict", out, table).err
    assert "1 text cut off after" in run("evaluate", out, table).out
    # What is just as long as is read is whole.
    tell_cut(
        Words.of("one two three"), ["one two three", "one two", "one one one one"], 3, Output(False)
    )
    assert capsys.readouterr().out == "note: 1 text cut off after 3 tokens\n"


def test_numbers_are_no_classes_and_no_advice_for_a_regression(run: Runner, tmp_path: Path) -> None:
    columns = make_reviews(40)
    outcome = refuse(run, tmp_path, {**columns, "mood": [n / 7 for n in range(40)]})
    assert "too many to be classes" in outcome.err and "regression" not in outcome.err


def test_missing_options_are_told_as_other_errors(run: Runner, tmp_path: Path) -> None:
    outcome = refuse(run, tmp_path, make_reviews(40), "--task", "text")
    assert outcome.code == 2 and outcome.err.startswith(
        "error: --task text needs --target.\n  fix:"
    )

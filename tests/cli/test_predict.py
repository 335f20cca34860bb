"""`retrograd predict`, `evaluate` and `info`: rows, columns, reports and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.helpers import Runner, make_flowers, make_houses, read_column, write_table


def test_rows_keep_their_number_and_order(run: Runner, flowers: Path, tmp_path: Path) -> None:
    columns = make_flowers(31, seed=7)
    table = write_table(tmp_path / "new.csv", columns)
    outcome = run("predict", flowers / "model", table, "--out", tmp_path / "p.csv")
    assert outcome.code == 0 and "31 predictions" in outcome.out
    found = read_column(tmp_path / "p.csv", "prediction")
    assert np.mean([a == b for a, b in zip(found, columns["kind"], strict=True)]) > 0.9
    backwards = {name: list(reversed(values)) for name, values in columns.items()}
    write_table(table, backwards)
    run("predict", flowers / "model", table, "--out", tmp_path / "q.csv")
    assert read_column(tmp_path / "q.csv", "prediction") == list(reversed(found))


def test_columns_are_found_by_name(run: Runner, flowers: Path, tmp_path: Path) -> None:
    columns = make_flowers(20, seed=7)
    names = ["colour", "width", "length"]  # another order, neither target nor unused columns
    write_table(tmp_path / "few.csv", {name: columns[name] for name in names})
    write_table(tmp_path / "all.csv", {**columns, "weather": ["fine"] * 20})
    for name in ("few", "all"):
        out = tmp_path / f"{name}.out"
        assert run("predict", flowers / "model", tmp_path / f"{name}.csv", "--out", out).code == 0
    assert (tmp_path / "few.out").read_bytes() == (tmp_path / "all.out").read_bytes()


def test_unseen_categories_and_missing_values_are_counted(
    run: Runner, flowers: Path, tmp_path: Path
) -> None:
    columns: dict[str, Any] = {name: list(v) for name, v in make_flowers(20).items()}
    columns["colour"][:3] = ["green", "green", "gold"]
    columns["width"][4] = ""
    table = write_table(tmp_path / "new.csv", columns)
    outcome = run("predict", flowers / "model", table, "--out", tmp_path / "p.csv", "--json")
    assert outcome.json["unseen_categories"] == {"colour": {"green": 2, "gold": 1}}
    assert outcome.json["missing_values"] == {"width": 1}
    assert outcome.json["rows"] == 20
    assert "'green' (2)" in outcome.err and "'width' (1)" in outcome.err


def test_probabilities_have_a_column_for_each_class(
    run: Runner, flowers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    table = flowers / "flowers.csv"
    assert run("predict", flowers / "model", table, "--out", out, "--probabilities").code == 0
    header = out.read_text().splitlines()[0]
    assert header == "prediction,probability iris,probability lily,probability rose"
    labels = ["iris", "lily", "rose"]
    shares = np.array([read_column(out, f"probability {label}") for label in labels], dtype=float)
    assert np.allclose(shares.sum(axis=0), 1.0, atol=1e-5)
    chosen = [labels[place] for place in shares.argmax(axis=0)]
    assert chosen == read_column(out, "prediction")


def test_numbers_come_in_the_unit_of_the_target(run: Runner, houses: Path, tmp_path: Path) -> None:
    columns = make_houses(30, seed=5)
    table = write_table(tmp_path / "new.csv", columns)
    out = tmp_path / "p.csv"
    assert run("predict", houses / "model", table, "--out", out).code == 0
    found = np.array(read_column(out, "prediction"), dtype=float)
    assert np.corrcoef(found, columns["price"])[0, 1] > 0.95
    assert abs(found.mean() / np.mean(columns["price"]) - 1) < 0.15
    outcome = run("predict", houses / "model", table, "--out", out, "--probabilities")
    assert outcome.code == 1 and "--probabilities" in outcome.err


def test_out_is_never_the_input_nor_a_directory(run: Runner, flowers: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "new.csv", make_flowers(20))
    before = table.read_bytes()
    for out in (table, tmp_path, tmp_path / "absent" / "p.csv"):
        outcome = run("predict", flowers / "model", table, "--out", out)
        assert outcome.code == 1 and "fix:" in outcome.err and outcome.out.count("\n") == 0
    assert table.read_bytes() == before


def test_a_table_that_is_not_there_is_told_also_beside_earlier_predictions(
    run: Runner, flowers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    out.write_text("earlier")
    outcome = run("predict", flowers / "model", tmp_path / "absent.csv", "--out", out)
    assert outcome.code == 1 and "There is no file" in outcome.err
    assert out.read_text() == "earlier"


def test_no_file_is_named_after_a_dash(
    run: Runner, flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("predict", flowers / "model", flowers / "flowers.csv", "--out", "-")
    assert outcome.code == 1 and "/dev/stdout" in outcome.err
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_earlier_predictions(
    run: Runner, flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "p.csv"
    out.write_text("earlier")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("retrograd.data.table_files.os.fsync", refuse)
    outcome = run("predict", flowers / "model", flowers / "flowers.csv", "--out", out)
    assert outcome.code == 1 and "No space left" in outcome.err
    assert out.read_text() == "earlier" and list(tmp_path.iterdir()) == [out]


def test_evaluate_scores_the_rows_that_have_a_target(
    run: Runner, flowers: Path, tmp_path: Path
) -> None:
    columns: dict[str, Any] = {name: list(v) for name, v in make_flowers(40, seed=3).items()}
    columns["kind"][0] = ""
    table = write_table(tmp_path / "new.csv", columns)
    outcome = run("evaluate", flowers / "model", table, "--json")
    report = outcome.json
    assert report["rows"] == 39 and report["left_out"] == 1
    assert {item["class"] for item in report["classes"]} == {"rose", "lily", "iris"}
    assert sum(item["rows"] for item in report["classes"]) == 39
    wrong = sum(item["rows"] for item in report["confusions"])
    assert report["accuracy"] == pytest.approx(1 - wrong / 39)


def test_evaluate_needs_known_targets(run: Runner, flowers: Path, tmp_path: Path) -> None:
    columns: dict[str, Any] = {name: list(v) for name, v in make_flowers(20).items()}
    columns["kind"][2] = "tulip"
    outcome = run("evaluate", flowers / "model", write_table(tmp_path / "a.csv", columns))
    assert outcome.code == 1 and "'tulip'" in outcome.err and "line 4" in outcome.err
    columns["kind"] = [""] * 20
    outcome = run("evaluate", flowers / "model", write_table(tmp_path / "b.csv", columns))
    assert outcome.code == 1 and "No row" in outcome.err
    del columns["kind"]
    outcome = run("evaluate", flowers / "model", write_table(tmp_path / "c.csv", columns))
    assert outcome.code == 1 and "'kind' is not a column" in outcome.err


def test_info_tells_the_columns_and_the_test(run: Runner, flowers: Path) -> None:
    outcome = run("info", flowers / "model")
    assert outcome.code == 0
    for words in ("Predicts 'kind'", "iris, lily, rose", "identifier", "flowers.csv", "network"):
        assert words in outcome.out
    report = run("info", flowers / "model", "--json").json
    assert report["class"] == "Sequential" and report["classes"] == ["iris", "lily", "rose"]
    assert report["features"] == ["length", "width", "colour = blue", "colour = red"]
    assert report["training"]["test"]["network"]["accuracy"] > 0.8


def damage(flowers: Path, tmp_path: Path, name: str, change: Any) -> Path:
    """A copy of the model with one file changed."""
    copy = tmp_path / "copy"
    copy.mkdir(exist_ok=True)
    for file in (flowers / "model").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / name).write_bytes(change((copy / name).read_bytes()))
    return copy


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_a_truncated_model_is_refused(
    run: Runner, flowers: Path, tmp_path: Path, name: str
) -> None:
    copy = damage(flowers, tmp_path, name, lambda data: data[: len(data) // 2])
    outcome = run("predict", copy, flowers / "flowers.csv", "--out", tmp_path / "p.csv")
    assert outcome.code == 1 and name in outcome.err and "fix:" in outcome.err
    assert not (tmp_path / "p.csv").exists()


def test_a_model_whose_parts_do_not_belong_together_is_refused(
    run: Runner, flowers: Path, tmp_path: Path
) -> None:
    def drop_a_column(data: bytes) -> bytes:
        manifest = json.loads(data)
        del manifest["extra"]["table"]["preprocessor"]["columns"][0]
        return json.dumps(manifest).encode()

    def drop_the_plan(data: bytes) -> bytes:
        manifest = json.loads(data)
        del manifest["extra"]["table"]["plan"]
        return json.dumps(manifest).encode()

    def drop_the_table(data: bytes) -> bytes:
        manifest = json.loads(data)
        del manifest["extra"]["table"]
        return json.dumps(manifest).encode()

    for change, words in (
        (drop_a_column, "does not take 3 features"),
        (drop_the_plan, "damaged"),
        (drop_the_table, "nothing that `retrograd train` wrote"),
    ):
        copy = damage(flowers, tmp_path, "model.json", change)
        outcome = run("predict", copy, flowers / "flowers.csv", "--out", tmp_path / "p.csv")
        assert outcome.code == 1 and words in outcome.err


def test_parquet_gives_what_csv_gives(run: Runner, flowers: Path, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    columns = make_flowers(30, seed=2)
    polars.DataFrame(columns).write_parquet(tmp_path / "new.parquet")
    write_table(tmp_path / "new.csv", columns)
    for ending in ("parquet", "csv"):
        arguments = (tmp_path / f"new.{ending}", "--out", tmp_path / f"{ending}.out")
        assert run("predict", flowers / "model", *arguments).code == 0
    assert (tmp_path / "parquet.out").read_bytes() == (tmp_path / "csv.out").read_bytes()
    arguments = ("--target", "kind", "--out", tmp_path / "m", "--epochs", 1)
    assert run("train", tmp_path / "new.parquet", *arguments).code == 0

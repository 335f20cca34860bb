"""`retrograd train`: what it decides, reports, writes and refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.cli.tasks.table import fit as fit_table
from retrograd.cli.tasks.table import stages
from retrograd.cli.tasks.table import train as train_table
from retrograd.data.columns import decide_columns
from retrograd.data.encoders import NumericEncoder
from retrograd.data.table import Table
from retrograd.data.table_split import RowSplit
from retrograd.errors import DataError
from retrograd.train.saving import load_model, load_model_info
from tests.cli.helpers import Runner, make_flowers, make_houses, write_table


def test_tells_each_column_and_the_scores(run: Runner, tmp_path: Path) -> None:
    table = write_table(tmp_path / "flowers.csv", make_flowers())
    outcome = run("train", table, "--target", "kind", "--out", tmp_path / "m", "--epochs", 60)
    assert outcome.code == 0, outcome.err
    words = {line.split("  ")[1]: line for line in outcome.out.splitlines() if line[:2] == "  "}
    assert "identifier" in words["flower id"] and "own text" in words["flower id"]
    assert "constant" in words["garden"] and "'north'" in words["garden"]
    assert "numeric" in words["length"] and "categorical" in words["colour"]
    for predictor in ("network", "linear model", "most frequent class"):
        assert " %" in words[predictor]
    assert "Test part" in outcome.out and outcome.err == ""
    assert "learned all 90 rows" in outcome.out


def test_json_is_one_object_and_the_text_goes_to_stderr(run: Runner, tmp_path: Path) -> None:
    table = write_table(tmp_path / "houses.csv", make_houses())
    out = tmp_path / "m"
    outcome = run("train", table, "--target", "price", "--out", out, "--json", "--epochs", 5)
    report = outcome.json
    assert outcome.code == 0 and "Test part" in outcome.err
    assert report["task"] == "regression" and report["refit"] is True
    assert set(report["test"]) == {"network", "linear_model", "mean"}
    assert set(report["test"]["network"]) == {"r2", "mae", "rmse"}
    assert sum(report["rows"].values()) == 80 and report["rows"]["left_out"] == 0
    assert report["columns"][0]["column"] == "price" and report["model"] == str(out)
    assert report["epochs"] <= 5


def test_learns_both_kinds_of_tables(run: Runner, flowers: Path, houses: Path) -> None:
    labels = run("evaluate", flowers / "model", flowers / "flowers.csv", "--json").json
    assert labels["accuracy"] > 0.9
    numbers = run("evaluate", houses / "model", houses / "houses.csv", "--json").json
    assert numbers["r2"] > 0.9 and numbers["mae"] > 100.0  # in the unit of the price


def test_the_same_seed_gives_the_same_model(run: Runner, tmp_path: Path) -> None:
    table = write_table(tmp_path / "flowers.csv", make_flowers())
    weights = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        arguments = ("--target", "kind", "--epochs", 2, "--seed", seed, "--out", tmp_path / name)
        assert run("train", table, *arguments).code == 0
        weights.append(np.asarray(load_model(tmp_path / name).layers[0].weight))
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_splits_before_it_encodes() -> None:
    columns = make_houses()
    table = Table.from_columns(columns)
    prepared = stages.prepare(table, decide_columns(table, "price"), 0, 5)
    area = np.asarray(columns["area"])
    encoder = prepared.preprocessor.columns[0]
    assert isinstance(encoder, NumericEncoder)
    assert encoder.mean == pytest.approx(area[prepared.split.train].mean())
    assert encoder.mean != pytest.approx(area.mean())
    parts = (prepared.split.train, prepared.split.validation, prepared.split.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(80))


def test_a_class_that_went_with_its_duplicates_is_learned() -> None:
    columns = {"x": [float(place) for place in range(40)], "label": list("ab") * 20}
    table = Table.from_columns({"x": [*columns["x"], 3.0], "label": [*columns["label"], "rare"]})
    plan = decide_columns(table, "label")
    everything = np.arange(41)
    split = RowSplit(everything[:30], everything[30:35], everything[35:], everything[:0])
    kept = stages.keep_classes(table, plan, split)
    assert 40 in kept.train and 40 not in kept.test and "1 row moved" in kept.notes[-1]
    parts = np.concatenate([kept.train, kept.validation, kept.test])
    assert sorted(parts.tolist()) == everything.tolist()
    same = stages.keep_classes(table, plan, kept)
    assert same is kept


def test_rare_classes_weigh_more(run: Runner, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rare = np.arange(120) % 10 == 0
    table = write_table(
        tmp_path / "rare.csv",
        {
            "x": (2.0 * rare + generator.normal(size=120)).round(3).tolist(),
            "label": ["yes" if value else "no" for value in rare],
        },
    )
    report = run(
        "train", table, "--target", "label", "--out", tmp_path / "m", "--json", "--epochs", 5
    ).json
    no, yes = report["class_weights"]
    assert yes == pytest.approx(3 * no, rel=0.1)
    assert "balanced_accuracy" in report["test"]["network"]


def test_drop_kind_and_task_are_obeyed(run: Runner, tmp_path: Path) -> None:
    columns: dict[str, Any] = {**make_houses(), "zone": [place % 4 for place in range(80)]}
    table = write_table(tmp_path / "houses.csv", columns)
    arguments = ("train", table, "--target", "price", "--out", tmp_path / "m", "--epochs", 1)
    report = run(
        *arguments, "--drop", "age", "--kind", "zone=categorical", "--task", "regression", "--json"
    ).json
    kinds = {item["column"]: item["kind"] for item in report["columns"]}
    assert kinds["age"] == "dropped" and kinds["zone"] == "categorical"
    outcome = run(*arguments, "--kind", "zone", "--force")
    assert outcome.code == 1 and "--kind COLUMN=KIND" in outcome.err


def test_the_average_is_one_plain_network(flowers: Path) -> None:
    model = load_model(flowers / "model")
    assert type(model) is rg.nn.Sequential
    assert [type(layer).__name__ for layer in model][:3] == ["Linear", "ReLU", "Dropout"]


def test_an_existing_model_is_replaced_only_by_force(run: Runner, tmp_path: Path) -> None:
    table = write_table(tmp_path / "flowers.csv", make_flowers())
    arguments = ("train", table, "--target", "kind", "--epochs", 1, "--out", tmp_path / "m")
    assert run(*arguments).code == 0
    before = (tmp_path / "m" / "weights.safetensors").read_bytes()
    outcome = run(*arguments, "--seed", 1)
    assert outcome.code == 1 and "--force" in outcome.err
    assert (tmp_path / "m" / "weights.safetensors").read_bytes() == before
    assert run(*arguments, "--seed", 1, "--force").code == 0
    assert (tmp_path / "m" / "weights.safetensors").read_bytes() != before


def test_a_foreign_directory_or_file_is_never_replaced(run: Runner, tmp_path: Path) -> None:
    table = write_table(tmp_path / "flowers.csv", make_flowers())
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.txt").write_text("meow")
    for out in ("photos", "flowers.csv"):
        outcome = run("train", table, "--target", "kind", "--out", tmp_path / out, "--force")
        assert outcome.code == 1 and "--out" in outcome.err
    assert (tmp_path / "photos" / "cat.txt").read_text() == "meow"


def test_an_unwritable_place_is_told_before_the_training(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_table(tmp_path / "flowers.csv", make_flowers())
    outcome = run("train", table, "--target", "kind", "--out", table / "below" / "m")
    assert outcome.code == 1 and "flowers.csv" in outcome.err and "fix:" in outcome.err

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("retrograd.cli.destination.tempfile.mkdtemp", refuse)
    outcome = run("train", table, "--target", "kind", "--out", tmp_path / "m")
    assert outcome.code == 1 and "may write" in outcome.err and "rows" not in outcome.out


def test_a_failing_second_stage_leaves_the_tested_model(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DataError("planted")

    monkeypatch.setattr(train_table, "refit", fail)
    table = write_table(tmp_path / "flowers.csv", make_flowers())
    outcome = run("train", table, "--target", "kind", "--epochs", 1, "--out", tmp_path / "m")
    assert outcome.code == 1 and "planted" in outcome.err
    assert load_model_info(tmp_path / "m").extra["table"]["report"]["refit"] is False
    assert run("predict", tmp_path / "m", table, "--out", tmp_path / "p.csv").code == 0


def test_ctrl_c_keeps_the_best_network(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupt(fit_table.LiveBar):
        def on_epoch_end(self, trainer: Any, event: Any) -> None:
            if event.epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(fit_table, "LiveBar", Interrupt)
    table = write_table(tmp_path / "flowers.csv", make_flowers())
    outcome = run("train", table, "--target", "kind", "--out", tmp_path / "m", "--json")
    assert outcome.code == 130
    assert outcome.json["interrupted"] is True and outcome.json["refit"] is False
    assert run("predict", tmp_path / "m", table, "--out", tmp_path / "p.csv").code == 0


def test_a_killed_training_leaves_the_earlier_model_whole(run: Runner, tmp_path: Path) -> None:
    table = write_table(tmp_path / "flowers.csv", make_flowers())
    arguments = ["train", str(table), "--target", "kind", "--out", str(tmp_path / "m"), "--force"]
    assert run(*arguments, "--epochs", 2).code == 0
    before = (tmp_path / "m" / "model.json").read_bytes()
    command = [sys.executable, "-m", "retrograd.cli.main", *arguments, "--seed", "5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(b"Network:"):  # from here on it trains
            break
    time.sleep(0.05)
    process.kill()
    process.communicate()
    assert (tmp_path / "m" / "model.json").read_bytes() == before
    assert run("predict", tmp_path / "m", table, "--out", tmp_path / "p.csv").code == 0


def test_threads_are_told_to_numpy(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    for place in ("retrograd.cli.threads", "retrograd.cli.tasks.table.train"):
        monkeypatch.setattr(f"{place}.limit_threads", lambda n: asked.append(n) or True)
    table = write_table(tmp_path / "flowers.csv", make_flowers())
    arguments = ("train", table, "--target", "kind", "--epochs", 1, "--force")
    assert run(*arguments, "--out", tmp_path / "m", "--threads", 3).code == 0
    assert run(*arguments, "--out", tmp_path / "m").code == 0
    monkeypatch.setenv("RETROGRAD_THREADS", "2")
    assert run(*arguments, "--out", tmp_path / "m").code == 0
    assert asked == [3, 1, 2]
    monkeypatch.setenv("RETROGRAD_THREADS", "many")
    outcome = run(*arguments, "--out", tmp_path / "m")
    assert outcome.code == 1 and "RETROGRAD_THREADS" in outcome.err

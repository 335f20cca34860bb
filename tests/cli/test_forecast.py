"""`retrograd train --task forecast`, and `retrograd predict` with what it made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.cli.main import main
from retrograd.cli.tasks.forecast.model import load_forecast_model
from retrograd.cli.tasks.forecast.train import split_steps
from retrograd.data.forecast import WindowPlan, plan_windows
from retrograd.data.series import fill_forward, fill_seasonally, read_series
from retrograd.data.table import Table
from tests.cli.helpers import Outcome, Runner, read_column, write_table

Columns = dict[str, Any]


def make_sales(steps: int = 600) -> Columns:
    """Hours with a daily wave that a price, seen three hours before, moves up and down."""
    random = np.random.default_rng(0)
    times = np.datetime64("2024-03-01T00:00:00") + np.arange(steps) * np.timedelta64(1, "h")
    price = np.cumsum(random.normal(size=steps)) * 0.3
    price -= np.convolve(price, np.ones(48) / 48, mode="same")
    before = np.concatenate([np.zeros(3), price[:-3]])
    sold = 50 + 10 * np.sin(2 * np.pi * np.arange(steps) / 24) + 8 * before
    return {
        "hour": [str(time).replace("T", " ") for time in times],
        "price": price.round(4).tolist(),
        "shop": ["north"] * steps,
        "sold": (sold + 0.3 * random.normal(size=steps)).round(3).tolist(),
    }


GIVEN = ("--task", "forecast", "--target", "sold")


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sales")
    table = write_table(folder / "sales.csv", make_sales())
    out = str(folder / "model")
    given = [*GIVEN, "--horizon", "3", "--out", out, "--epochs", "40"]
    assert main(["train", str(table), *given]) == 0
    return folder


def test_beats_the_seasonal_naive(sales: Path) -> None:
    report = load_forecast_model(str(sales / "model")).report
    network, naive = (report["test"][name] for name in ("network", "seasonal_naive"))
    assert report["season"] == 24 and report["refit"] is True
    assert network["mae"] < 0.6 * naive["mae"]
    assert len(network["mae_by_step"]) == 3
    assert np.mean(network["mae_by_step"]) == pytest.approx(network["mae"])


def test_forecasts_what_follows_the_file(run: Runner, sales: Path, tmp_path: Path) -> None:
    columns = make_sales()
    cut = write_table(tmp_path / "cut.csv", {k: v[:500] for k, v in columns.items()})
    out = tmp_path / "forecast.csv"
    outcome = run("predict", sales / "model", cut, "--out", out, "--json")
    assert outcome.code == 0, outcome.err
    assert read_column(out, "hour") == columns["hour"][500:503]
    found = np.array(read_column(out, "prediction"), float)
    assert np.abs(found - columns["sold"][500:503]).max() < 4.0
    assert outcome.json["forecast"]["hour"] == columns["hour"][500:503]
    printed = run("predict", sales / "model", cut)
    assert printed.code == 0 and columns["hour"][502] in printed.out


def train(run: Runner, folder: Path, columns: Columns, *given: object) -> Outcome:
    table = write_table(folder / "table.csv", columns)
    return run("train", table, *GIVEN, "--out", folder / "m", "--epochs", 2, *given)


def test_gaps_repeats_and_disorder_are_told(run: Runner, tmp_path: Path) -> None:
    columns = make_sales(400)
    for place in (50, 51, 200, 399):
        columns["sold"][place] = ""
    rows = [*range(0, 100), *range(110, 400), 30]  # a hole of ten hours, and a row that comes twice
    columns = {name: [values[row] for row in rows] for name, values in columns.items()}
    outcome = train(run, tmp_path, columns, "--horizon", 6, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["steps"] == 400
    assert "missing at 14 of 400 steps" in outcome.err and "sorted by 'hour'" in outcome.err
    assert "repeat the time of the row before are left out: 1" in outcome.err


def test_without_times_the_rows_are_the_steps(run: Runner, tmp_path: Path) -> None:
    columns = make_sales(300)
    outcome = train(run, tmp_path, columns, "--horizon", 4, "--drop", "hour", "--json")
    assert outcome.code == 0 and outcome.json["season"] == 24, outcome.err
    printed = run("predict", tmp_path / "m", tmp_path / "table.csv", "--out", tmp_path / "p.csv")
    assert printed.code == 0 and read_column(tmp_path / "p.csv", "step") == ["1", "2", "3", "4"]


def test_the_same_seed_gives_the_same_model(run: Runner, tmp_path: Path) -> None:
    outputs = []
    for seed in (1, 1, 2):
        given = ("--horizon", 2, "--seed", seed, "--force")
        assert train(run, tmp_path, make_sales(200), *given).code == 0
        outputs.append(run("predict", tmp_path / "m", tmp_path / "table.csv").out)
    assert outputs[0] == outputs[1] != outputs[2]


def drop_all(columns: Columns) -> None:
    columns["sold"] = [""] * len(columns["sold"])


def make_constant(columns: Columns) -> None:
    columns["sold"] = [7] * len(columns["sold"])


def put_text(columns: Columns) -> None:
    columns["sold"][6] = "many"


def put_a_huge_number(columns: Columns) -> None:
    columns["sold"][-3] = 1e300


def put_a_huge_price(columns: Columns) -> None:
    columns["price"][20:22] = [-1e200, 1e36]


def lose_a_time(columns: Columns) -> None:
    columns["hour"][4] = ""


def shorten(columns: Columns) -> None:
    for name in columns:
        columns[name] = columns[name][:20]


def nothing(columns: Columns) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "given", "words"),
    [
        (drop_all, ["--horizon", 2], ["'sold'", "missing"]),
        (make_constant, ["--horizon", 2], ["nothing to learn"]),
        (put_text, ["--horizon", 2], ["'sold'", "'many'", "line 8"]),
        (put_a_huge_number, ["--horizon", 2], ["'sold'", "1e+300", "line 199", "below 1e+30"]),
        (put_a_huge_price, ["--horizon", 2], ["'price'", "-1e+200", "line 22", "1 more"]),
        (lose_a_time, ["--horizon", 2], ["no time", "row 5"]),
        (shorten, ["--horizon", 2], ["20 steps", "too few"]),
        (nothing, ["--horizon", 100], ["200 steps", "100 steps", "smaller --horizon"]),
        (nothing, ["--horizon", 2, "--target", "solt"], ["'solt'", "'sold'"]),
        (nothing, ["--horizon", 2, "--target", "shop"], ["'shop'", "no numbers"]),
        (nothing, ["--horizon", 2, "--network", "gpt"], ["--network has no meaning"]),
        (nothing, ["--horizon", 2, "--kind", "shop=numeric"], ["--kind has no meaning"]),
    ],
)
def test_a_bad_series_is_told(
    run: Runner,
    tmp_path: Path,
    change: Callable[[Columns], None],
    given: list[object],
    words: list[str],
) -> None:
    columns = make_sales(200)
    change(columns)
    outcome = train(run, tmp_path, columns, *given)
    assert outcome.code == 1 and all(word in outcome.err for word in words), outcome.err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("place", [20, 150, 195])
def test_a_large_outlier_is_computed_with(run: Runner, tmp_path: Path, place: int) -> None:
    columns = make_sales(200)
    columns["sold"][place] = columns["price"][place] = 9e29
    outcome = train(run, tmp_path, columns, "--horizon", 2)
    assert outcome.code == 0, outcome.err
    assert run("predict", tmp_path / "m", tmp_path / "table.csv").code == 0


def test_a_table_that_does_not_fit_the_model_is_told(
    run: Runner, sales: Path, flowers: Path, tmp_path: Path
) -> None:
    def predict(columns: Columns) -> str:
        table = write_table(tmp_path / "t.csv", columns)
        outcome = run("predict", sales / "model", table, "--out", tmp_path / "out.csv")
        assert outcome.code == 1 and not (tmp_path / "out.csv").exists()
        return outcome.err

    columns = make_sales(600)
    assert "no column 'price'" in predict({k: v for k, v in columns.items() if k != "price"})
    assert "steps" in predict({k: v[:9] for k, v in columns.items()})
    assert "learned steps" in predict({k: v[::2] for k, v in columns.items()})
    assert "only" in predict({**columns, "sold": columns["sold"][:400] + [""] * 200})
    model = sales / "model"
    assert run("predict", model, sales / "sales.csv", "--probabilities").code == 1
    assert run("predict", flowers / "model", flowers / "flowers.csv").code == 2
    assert run("train", sales / "sales.csv", *GIVEN, "--out", tmp_path / "m").code == 2


def test_evaluate_and_info_tell_of_a_forecaster(run: Runner, sales: Path) -> None:
    model = sales / "model"
    told = run("info", model)
    assert told.code == 0 and "Forecasts 'sold', 3 steps ahead" in told.out
    found = run("evaluate", model, sales / "sales.csv", "--json")
    scores = found.json["scores"]
    assert found.code == 0 and scores["network"]["mae"] < scores["seasonal_naive"]["mae"]
    columns = {name: values[:9] for name, values in make_sales(600).items()}
    short = run("evaluate", model, write_table(sales / "short.csv", columns))
    assert short.code == 1 and "steps" in short.err


@pytest.mark.parametrize("change", [{"window": 5}, {"scale": 0.0}, {"season": "x"}])
def test_a_damaged_model_is_told(
    run: Runner, sales: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(sales / "model", copy)
    content = json.loads((copy / "model.json").read_text())
    content["extra"]["forecast"]["plan"].update(change)
    (copy / "model.json").write_text(json.dumps(content))
    outcome = run("predict", copy, sales / "sales.csv")
    assert outcome.code == 1 and "train the model again" in outcome.err


def make_plan(**changes: Any) -> tuple[WindowPlan, Any]:
    series = read_series(Table.from_columns(make_sales(300) | changes), "sold")
    return plan_windows(series, 5, 200), series


def test_windows_hold_nothing_of_what_they_forecast() -> None:
    plan, series = make_plan()
    ends = np.array([200, 220])
    before = plan.make_features(series, ends)
    series.values[221:] += 1000.0
    series.others[221:] -= 1000.0
    assert np.array_equal(plan.make_features(series, ends), before)
    assert before.shape == (2, plan.features)
    series.values[:] = np.where(np.arange(300) % 7 == 3, np.nan, series.values)
    with_gaps = plan.make_features(series, ends)
    series.values[221:] = -5.0
    assert np.array_equal(plan.make_features(series, ends), with_gaps)


def test_parts_do_not_share_what_they_forecast() -> None:
    plan, series = make_plan()
    parts = split_steps(series, 5)
    told = []
    for start, stop in parts:
        ends = plan.find_ends(series, start, stop)
        steps = (ends[:, None] + np.arange(1, 6)).ravel()
        assert start <= steps.min() and steps.max() == stop - 1
        told.append({*steps.tolist()})
    assert not told[0] & told[1] and not told[1] & told[2]
    assert WindowPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    # Scales come from the part to learn alone.
    series.values[200:] *= 100.0
    assert plan_windows(series, 5, 200) == plan


def test_targets_and_outputs_are_inverse() -> None:
    plan, series = make_plan()
    ends = np.array([150, 180, 250])
    targets = plan.make_targets(series, ends)
    back = plan.read_outputs(targets[..., 0], series, ends)
    np.testing.assert_allclose(back, series.values[ends[:, None] + np.arange(1, 6)], rtol=1e-5)


def test_filling_takes_only_the_past() -> None:
    values = np.array([np.nan, 2.0, np.nan, np.nan, 5.0, np.nan])
    assert fill_forward(values).tolist() == [2.0, 2.0, 2.0, 2.0, 5.0, 5.0]
    assert fill_seasonally(values, 3).tolist() == [2.0, 2.0, 2.0, 2.0, 5.0, 5.0]
    assert fill_seasonally(np.array([1.0, 2.0, np.nan, np.nan]), 2).tolist() == [1, 2, 1, 2]

"""What both sides of `make novels-parity` are given, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from benchmarks import novels, novels_plan, novels_retrograd
from benchmarks.novels import Training
from retrograd import models
from retrograd.cli.tasks.language.fit import LanguageRecipe

TEXT = np.arange(1, 2001, dtype=np.int32)
GPT = LanguageRecipe("gpt", {}, 3, 8, 1e-2)
LSTM = LanguageRecipe("lstm", {}, 4, 16, 1e-2)


@pytest.mark.parametrize("recipe", [GPT, LSTM])
def test_all_steps_have_a_batch_and_a_rate(recipe: LanguageRecipe) -> None:
    x, y, segments = novels_plan.draw_batches(recipe, TEXT, 130, seed=1)
    assert x.shape == y.shape == (130, recipe.batch_size, recipe.steps)
    assert (y == x + 1).all()  # the number of a place is that of the character there
    assert sum(steps for steps, _, _ in segments) == 130
    rates = [rate for _, rate, _ in segments]
    assert 0 < rates[-1] < rates[0] < max(rates) <= 1e-2
    again, _, _ = novels_plan.draw_batches(recipe, TEXT, 130, seed=1)
    other, _, _ = novels_plan.draw_batches(recipe, TEXT, 130, seed=2)
    assert (again == x).all() and not (other == x).all()


def test_streams_go_on_but_where_they_begin_anew() -> None:
    x, _, segments = novels_plan.draw_batches(LSTM, TEXT, 100, seed=0)
    begins, place = [], 0
    for steps, _, restart in segments:
        if restart:
            begins.append(place)
        place += steps
    # 4 streams of 499 characters have about 30 pieces of 16.
    assert begins[0] == 0 and len(begins) == 4
    goes_on = (x[1:, :, 0] == x[:-1, :, -1] + 1).all(axis=1)
    assert sorted({*range(1, 100)} - {*(np.flatnonzero(goes_on) + 1).tolist()}) == begins[1:]


def test_windows_never_begin_anew() -> None:
    _, _, segments = novels_plan.draw_batches(GPT, TEXT, 20, seed=0)
    assert not any(restart for _, _, restart in segments)


@pytest.mark.parametrize(
    ("network", "model"),
    [
        ("gpt", models.GPT(11, 8, 2, 2, 16)),
        ("lstm", models.CharacterLSTM(11, 4, 8)),
    ],
)
def test_the_weights_come_back(network: str, model: Any, tmp_path: Path) -> None:
    names = {
        "gpt": ("features", "heads", "layers", "context"),
        "lstm": ("features", "hidden_features", "layers"),
    }
    options = {name: model.config()[name] for name in names[network]}
    weights = novels_plan.name_weights(model)
    plan = {"network": network, "vocabulary": 11, "options": options, "segments": []}
    novels_plan.write_arrays(tmp_path, plan, weights)
    found, arrays = novels_plan.read_plan(tmp_path)
    assert {name: found[name] for name in plan} == plan
    copy = novels_retrograd.make_model(found, arrays)
    state = model.named_state()
    assert {*copy.named_state()} == {*state}
    for path, array in copy.named_state().items():
        assert (np.asarray(array) == np.asarray(state[path])).all(), path
    tokens = rg.array(np.arange(10).reshape(2, 5).astype("int32"))
    assert (np.asarray(copy(tokens)) == np.asarray(model(tokens))).all()


def test_the_table_says_how_far_apart_they_end() -> None:
    plan = {"network": "gpt", "numbers": 1000, "batch": [16, 64], "test_characters": 5000}
    segments = [{"steps": 5, "bits": 3.0, "seconds": 0.1}, {"steps": 5, "bits": 2, "seconds": 0.1}]
    trainings = {
        "retrograd": Training([6.5, 1.9], segments),
        "PyTorch": Training([6.5, 1.915], segments),
    }
    told = novels.describe(plan, trainings)
    assert novels.find_difference(trainings) == pytest.approx(0.015)
    assert "10 steps on 16 rows of 64 characters" in told
    assert "they end 0.0150 bits apart (allowed: 0.02)" in told
    assert "20.0" in told  # milliseconds


def test_a_network_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        novels.parse(["--networks", "gtp"])
    assert "there is no network 'gtp'" in capsys.readouterr().err

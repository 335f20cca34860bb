"""`retrograd bench`: no timing decides a test."""

from __future__ import annotations

import re

import pytest

from retrograd.cli.main import main
from retrograd.workloads import WORKLOADS
from tests.cli.helpers import Runner


def test_a_table_of_steps(run: Runner) -> None:
    outcome = run("bench", "tiny", "--seconds", "0.05")
    assert outcome.code == 0 and outcome.err == ""
    lines = outcome.out.splitlines()
    assert "GFLOP/s on one core" in lines[1]
    assert "of limit" in lines[3]
    assert lines[4].split()[0] == "tiny" and "MLP 4-32-32-3 tanh, batch 32" in lines[4]


def test_explain_shows_the_kernels(run: Runner) -> None:
    outcome = run("bench", "tiny", "--seconds", "0.05", "--explain", "--kernels", "3")
    assert outcome.code == 0
    assert "step(model, optimizer, x, y): native" in outcome.out
    assert "in kernels" in outcome.out and "layers.2" in outcome.out
    assert "more kernels" in outcome.out


def test_json_has_the_report(run: Runner) -> None:
    outcome = run("bench", "tiny", "--seconds", "0.05", "--explain", "--json")
    assert outcome.code == 0
    (tiny,) = outcome.json["workloads"]
    assert tiny["name"] == "tiny" and tiny["batch"] == 32 and tiny["parameters"] == 1315
    assert tiny["step"] >= tiny["best"] > 0 and tiny["first"] > tiny["prepare"] > 0
    assert tiny["of_limit"] == tiny["limit"] / tiny["step"]
    report = tiny["report"]
    assert len(report["kernels"]) == len(report["profile"]["kernels"]) > 5
    assert report["profile"]["runs"] >= 5
    assert outcome.json["limits"]["peak"] > 0 and "cpu" in outcome.json["machine"]


def test_without_explain_there_is_no_report(run: Runner) -> None:
    outcome = run("bench", "tiny", "--seconds", "0.05", "--json", "--executor", "numpy")
    assert outcome.json["workloads"][0]["report"] is None
    assert outcome.json["executor"] == "numpy"


def test_the_numpy_executor_has_no_kernels_to_explain(run: Runner) -> None:
    outcome = run("bench", "tiny", "--seconds", "0.05", "--explain", "--executor", "numpy")
    assert outcome.code == 0
    assert "makes no kernels" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tinny"], f"no workload 'tinny'; there are {', '.join(WORKLOADS)}. Did you"),
        (["tiny", "--seconds", "0"], "--seconds is 0; expected a time above 0"),
        (["tiny", "--seconds", "nan"], "--seconds is nan"),
        (["tiny", "--executor", "nativ"], "no executor 'nativ'. Did you mean 'native'"),
    ],
)
def test_what_makes_no_sense_is_told(run: Runner, arguments: list[str], message: str) -> None:
    outcome = run("bench", *arguments)
    assert outcome.code == 1 and outcome.out == ""
    assert message in outcome.err


def test_help_names_all_workloads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    words = set(re.findall(r"\w+", capsys.readouterr().out))
    assert set(WORKLOADS) <= words


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    assert "retrograd bench mlp --explain" in capsys.readouterr().out

"""The benchmark itself: its networks, its counts and its report. No timing decides a test."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fashion, report, run, side_retrograd, sides
from benchmarks.protocol import Session, measure_blocks, read_peak_memory
from retrograd import losses, seed, tree
from retrograd.report.limits import Limits
from retrograd.workloads import (
    WORKLOADS,
    attend,
    conv,
    dense,
    draw_data,
    make_model,
    table,
)

ROOT = Path(__file__).resolve().parent.parent
LIMITS = Limits(threads=2, peak=1e9, peak_all=2e9, bandwidth=1e8, bandwidth_all=1e8)


# --- workloads


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_networks_have_the_counted_parameters_and_give_one_logit_for_each_class(name: str) -> None:
    seed(0)
    workload = WORKLOADS[name]
    model = make_model(workload)
    trained = sum(leaf.type.size for leaf in tree.leaves(model.parameters()))
    kept = sum(array.type.size for array in model.named_state().values()) - trained
    assert trained == workload.parameters
    assert kept == sum(layer.buffers for layer in workload.layers)
    x, y = draw_data(workload, 16)
    assert x.shape == (16, *workload.sample)
    outputs = model(x)
    assert outputs.shape == (16, *workload.targets, workload.classes)
    assert y.shape == outputs.shape[:-1]
    # Initial logits are small: all classes are about equally likely.
    loss = float(losses.cross_entropy(outputs, y))
    assert abs(loss - math.log(workload.classes)) < 0.4


def test_flops_by_hand() -> None:
    # The first layer has two products for each weight and sample (forward, and the gradient of the
    # weight), the others have three; a product is a multiplication and an addition.
    by_hand = 2 * 32 * (2 * 4 * 32 + 3 * 32 * 32 + 3 * 32 * 3)
    assert WORKLOADS["tiny"].flops == by_hand == 231_424
    by_hand = 2 * 128 * (2 * 784 * 256 + 3 * 256 * 128 + 3 * 128 * 10)
    assert WORKLOADS["mlp"].flops == by_hand
    first, second = 28 * 28 * 9 * 16, 14 * 14 * (9 * 16) * 32
    by_hand = 2 * 64 * (2 * first + 3 * second + 3 * 1568 * 128 + 3 * 128 * 10)
    assert WORKLOADS["cnn"].flops == by_hand


def test_flops_of_sequences_by_hand() -> None:
    # 64 steps: the inputs are data, the states are not.
    for name, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
        products = 64 * (2 * 32 + 3 * 128) * gates * 128 + 3 * 128 * 10
        assert WORKLOADS[name].flops == 2 * 32 * products
    # A token of a block: project to query, key and value, merge, widen four times, and back. Each
    # of the 64 queries has the keys up to its own, and each pair a score and a part of a sum.
    width = 128
    token = 4 * (3 + 1 + 4 + 4) * width * width + width * 65
    pairs = 4 * 2 * sum(range(1, 65)) * width
    assert WORKLOADS["gpt"].flops == 2 * 3 * 16 * (64 * token + pairs)


def test_parameters_of_sequences_by_hand() -> None:
    # PyTorch's recurrent layers have a bias beside each of their two weights.
    for name, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
        layer = gates * 128 * (32 + 128 + 2)
        assert WORKLOADS[name].parameters == layer + 128 * 10 + 10
    width = 128
    block = 12 * width * width + (3 + 1 + 4 + 1) * width + 2 * 2 * width
    ends = (65 + 64) * width + 2 * width + width * 65 + 65
    assert WORKLOADS["gpt"].parameters == 4 * block + ends


def test_bytes_of_sequences_count_a_label_for_each_token() -> None:
    workload = WORKLOADS["gpt"]
    assert workload.bytes == 4 * (2 * 3 * workload.parameters + 16 * (64 + 64))


def test_resnet20_has_the_published_size() -> None:
    # He et al., "Deep Residual Learning for Image Recognition", 2015, table 6: 0.27 million
    # parameters, with shortcuts that have none; ours have two convolutions of 1x1.
    workload = WORKLOADS["resnet20"]
    shortcuts = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert workload.parameters - shortcuts == 269_722
    assert len(workload.layers) == 20 + 2


def test_layers_by_hand() -> None:
    assert (dense(3, 5).parameters, dense(3, 5).terms) == (20, 3)
    layer = conv(8, 4, 6, norm=True)
    assert (layer.places, layer.terms, layer.outputs) == (64, 36, 6)
    assert (layer.parameters, layer.buffers) == (36 * 6 + 12, 12)
    assert conv(8, 4, 6).parameters == 36 * 6 + 6
    assert (dense(3, 5, places=7).places, dense(3, 5, places=7).parameters) == (7, 20)
    assert (table(9, 4).places, table(9, 4).parameters) == (0, 36)
    # 5 queries have 15 keys in all; each of 2 heads has scores of 3 products, and sums of 3.
    layer = attend(5, 2, 6)
    assert (layer.places * layer.terms * layer.outputs, layer.parameters) == (2 * 15 * 2 * 3, 0)


def test_bytes_by_hand() -> None:
    # Each parameter with two moments, read and written; the batch with its labels read once.
    parameters = 4 * 32 + 32 + 32 * 32 + 32 + 32 * 3 + 3
    assert WORKLOADS["tiny"].bytes == 4 * (2 * 3 * parameters + 32 * (4 + 1))


# --- limits


def test_the_limit_is_the_larger_of_arithmetic_and_bytes() -> None:
    assert LIMITS.seconds(4e9, 1e8) == 2.0
    assert LIMITS.bound(4e9, 1e8) == "FLOPs"
    assert LIMITS.seconds(1e9, 3e8) == 3.0
    assert LIMITS.bound(1e9, 3e8) == "bytes"


def test_a_better_measurement_of_a_limit_counts() -> None:
    other = Limits(threads=2, peak=2e9, peak_all=1e9, bandwidth=1e7, bandwidth_all=2e8)
    assert LIMITS.raise_to(other) == Limits(2, 2e9, 2e9, 1e8, 2e8)


# --- processes


class Counting(Session):
    """Steps that take no time."""

    def __init__(self) -> None:
        self.steps = 0

    def prepare(self) -> dict[str, Any]:
        return {}

    def run(self, steps: int) -> int:
        self.steps += steps
        return steps


def test_blocks_are_times_of_one_step() -> None:
    session = Counting()
    times = measure_blocks(session, 0.0)
    assert len(times) == 1 and session.steps > 1
    assert 0 < times[0] < 0.01


def test_peak_memory_is_in_bytes() -> None:
    assert 10e6 < read_peak_memory() < 1e12


def make_side(**changes: Any) -> sides.Side:
    values: dict[str, Any] = {
        "name": "PyTorch",
        "python": Path(sys.executable),
        "module": "benchmarks.rivals.missing",
        "settings": ({"workload": "tiny", "threads": 1},),
        "rival": True,
        "form": "call",
    }
    return sides.Side(**{**values, **changes})


def test_a_side_that_fails_is_reported_and_the_rest_goes_on() -> None:
    results, failures = sides.measure_sides([make_side()], 1, 0.1, lambda text: None)
    assert results == []
    assert len(failures) == 1
    assert "PyTorch failed" in failures[0] and "benchmarks.rivals.missing" in failures[0]
    missing = make_side(python=Path("no/such/python"))
    assert "no/such/python" in sides.measure_sides([missing], 1, 0.1, lambda text: None)[1][0]


def test_checks_that_cost_time_are_off_in_measured_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RETROGRAD_VERIFY", "1")
    monkeypatch.setenv("RETROGRAD_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    variables = sides.make_environment(make_side(rival=False), tmp_path)
    assert "RETROGRAD_VERIFY" not in variables
    assert variables["RETROGRAD_THREADS"] == "1"
    assert Path(variables["XDG_CACHE_HOME"]).parent == tmp_path
    assert "elsewhere" in variables["PYTHONPATH"]
    assert "PYTHONPATH" not in sides.make_environment(make_side(), tmp_path)


def test_the_rivals_try_all_their_settings() -> None:
    python = Path(sys.executable)
    (torch,) = sides.list_torch_sides(WORKLOADS["cnn"], python, 4, compiled=False)
    tried = {(s["threads"], s.get("channels_last", False)) for s in torch.settings}
    assert tried == {(n, last) for n in (1, 2, 4) for last in (False, True)}
    (torch,) = sides.list_torch_sides(WORKLOADS["mlp"], python, 1, compiled=True)
    assert [s.get("compile", False) for s in torch.settings] == [False, True]
    call, scan = sides.list_jax_sides(WORKLOADS["mlp"], python, 2)
    assert (call.form, scan.form) == ("call", "loop")
    assert all(s["inner"] == 64 for s in scan.settings)
    assert len(sides.list_jax_sides(WORKLOADS["cnn"], python, 2)) == 1
    for workload in (WORKLOADS["lstm"], WORKLOADS["gpt"]):
        (torch,) = sides.list_torch_sides(workload, python, 4, compiled=False)
        assert [s["threads"] for s in torch.settings] == [1, 2, 4]
        assert not any("channels_last" in s for s in torch.settings)
        assert [s.form for s in sides.list_jax_sides(workload, python, 2)] == ["call", "loop"]


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({}, None),
        ({"parameters": 1316}, "PyTorch trains 1,316 parameters, the workload has 1,315"),
        (
            {"losses": [3.5, 1.0]},
            "the first loss is 3.5; with 3 classes one about 1.1 was",
        ),
        ({"losses": [math.nan, 1.0]}, "the first loss is nan"),
    ],
)
def test_a_side_that_trains_another_network_is_reported(
    changes: dict[str, Any], mistake: str | None
) -> None:
    result = make_result("PyTorch", [0.1], True, "call")
    result.prepared |= {"parameters": 1315, "losses": [1.05, 1.0], **changes}
    found = report.find_mistakes(WORKLOADS["tiny"], [result])
    assert found == [] if mistake is None else len(found) == 1 and mistake in found[0]


def test_an_epoch_of_a_large_step_is_short() -> None:
    for workload in WORKLOADS.values():
        batches = side_retrograd.count_batches(workload)
        assert 4 <= batches <= 1024
        assert batches == 4 or batches * workload.flops < 1.02 * side_retrograd.EPOCH_FLOPS


# --- the report


def make_result(name: str, steps: list[float], rival: bool, form: str) -> sides.Result:
    side = make_side(name=name, rival=rival, form=form)
    prepared = {"threads": 2, "first": 0.5, "versions": {"python": "3", name: "1.0"}}
    result = sides.Result(side, side.settings[0], prepared, rounds=steps, best=min(steps))
    result.busy, result.peak_bytes = [1.5], 100_000_000
    return result


def make_report(*results: sides.Result) -> dict[str, Any]:
    measurement = report.Measurement(WORKLOADS["tiny"], list(results), ["JAX failed: why"])
    machine = {"cpu": "a CPU", "system": "a system", "load": None, "time": "now"}
    return report.to_json(machine, LIMITS, {"rounds": 3, "seconds": 1.0}, [measurement])


def test_ratios_are_of_medians_to_the_best_rival_and_to_the_best_of_the_same_form() -> None:
    made = make_report(
        make_result("retrograd", [0.001, 0.002, 0.009], False, "call"),
        make_result("PyTorch", [0.003, 0.004, 0.005], True, "call"),
        make_result("JAX scan", [0.001, 0.001, 0.001], True, "loop"),
    )
    (workload,) = made["workloads"]
    own, torch, scan = workload["sides"]
    assert own["step"] == 0.002 and own["best"] == 0.001
    assert workload["best_rival"] == "JAX scan"
    assert own["faster"] == 0.5 and own["faster_same_form"] == 2.0
    assert "faster" not in torch and "faster" not in scan
    tiny = WORKLOADS["tiny"]
    assert workload["limit"] == tiny.bytes / 1e8 and workload["bound"] == "bytes"
    assert math.isclose(own["share"], workload["limit"] / 0.002)
    text = report.format_report(made)
    assert "0.50 (2.00)" in text
    assert "best rival: JAX scan" in text
    assert "JAX failed: why" in text
    assert json.loads(json.dumps(made)) == made


def test_without_rivals_there_is_no_ratio() -> None:
    made = make_report(make_result("retrograd", [0.002], False, "call"))
    assert made["workloads"][0]["best_rival"] is None
    assert "faster" not in made["workloads"][0]["sides"][0]
    assert "best rival:" not in report.format_report(made)


def test_times_have_the_unit_of_their_size() -> None:
    assert report.format_time(2.5e-6) == "2.5 us"
    assert report.format_time(0.0123) == "12.3 ms"
    assert report.format_time(3.0) == "3 s"


def test_the_command_measures_prints_and_writes(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    options = ["--no-rivals", "--workloads", "tiny", "--rounds", "1", "--seconds", "0.2"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *options, "--json", str(file)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads(file.read_text(encoding="utf-8"))
    assert done.stdout.strip() == report.format_report(made)
    assert done.stderr == ""
    assert made["format"] == report.FORMAT
    (workload,) = made["workloads"]
    call, fit = workload["sides"]
    assert (call["name"], fit["name"]) == ("retrograd", "retrograd fit")
    for side in (call, fit):
        assert side["step"] > 0 and side["first"] > 0 and side["peak_bytes"] > 10e6
        assert all(math.isfinite(loss) for loss in side["losses"])
    assert call["trace"] > 0 and call["cached"] > 0 and call["losses"][1] < call["losses"][0]
    assert made["limits"]["peak"] > 0 and made["limits"]["bandwidth"] > 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--workloads", "tinny"], "there is no workload 'tinny'; there are tiny, mlp"),
        (["--workloads", ","], "name at least one workload"),
        (["--rounds", "0"], "expected a whole number from 1, received '0'"),
        (["--seconds", "-1"], "expected seconds above 0, received '-1'"),
    ],
)
def test_wrong_options_are_explained(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run.parse(arguments)
    assert expected in capsys.readouterr().err


def test_names_of_workloads_are_read() -> None:
    read: Callable[[list[str]], Any] = run.parse
    assert read(["--workloads", "mlp, cnn"]).workloads == ["mlp", "cnn"]
    assert read([]).workloads == list(WORKLOADS)


# --- Fashion-MNIST


def test_a_crossing_lies_between_epochs() -> None:
    curve = [(2.0, 0.8), (4.0, 0.88), (6.0, 0.92)]
    assert fashion.find_crossing(curve, 0.9) == pytest.approx(5.0)
    assert fashion.find_crossing(curve, 0.8) == 2.0
    assert fashion.find_crossing(curve, 0.95) is None


def test_the_sums_are_compared_only_where_all_seeds_got_there() -> None:
    curves = {"retrograd": [[(1.0, 0.95)], [(2.0, 0.95)]], "PyTorch": [[(4.0, 0.95)], [(5.0, 0.9)]]}
    assert "3.00 times as long" in fashion.describe(curves, 0.9)
    assert "times as long" not in fashion.describe(curves, 0.93)
    assert "never" in fashion.describe(curves, 0.93)

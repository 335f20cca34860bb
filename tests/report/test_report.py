"""What a report says of a program: its stages, its kernels and where they come from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import config, losses, nn, optim
from retrograd.codegen.kernels import normalise
from retrograd.errors import ArgumentError
from retrograd.ir.loops import Access, Buffer, Expression, LoopNest, Schedule, Store
from retrograd.passes.pipeline import PASSES
from retrograd.report import Report
from retrograd.report.counts import count_bytes, count_flops
from tests.report.steps import draw, make_step


def report_of(function: Any, *arrays: Any) -> Report:
    """The report of a function on the native executor."""
    return rg.compile(function, executor="native").report(*map(rg.array, arrays))


# -- FLOPs and bytes ------------------------------------------------------------------------------


def test_a_product_of_matrices() -> None:
    (kernel,) = report_of(lambda x, w: x @ w, draw(32, 48), draw(48, 64)).kernels
    assert (kernel.kind, kernel.what) == ("contraction", "dot")
    assert kernel.flops == 2 * 32 * 48 * 64
    assert kernel.bytes == 4 * (32 * 48 + 48 * 64 + 32 * 64)
    assert kernel.shape == "32x48, 48x64 -> 32x64"


def test_an_operand_in_float64_counts_twice_the_bytes() -> None:
    (kernel,) = report_of(lambda x, w: x @ w, draw(8, 8) * 1.0, draw(8, 8)).kernels
    wide = [draw(8, 8).astype(np.float64), draw(8, 8).astype(np.float64)]
    (other,) = report_of(lambda x, w: x @ w, *wide).kernels
    assert (other.flops, other.bytes) == (kernel.flops, 2 * kernel.bytes)
    assert (kernel.width, other.width) == (4, 8)


def test_a_fused_loop_moves_inputs_and_outputs_once() -> None:
    (kernel,) = report_of(lambda x, y: rg.tanh(x * y + x), draw(10, 100), draw(10, 100)).kernels
    assert kernel.what == "fused loop"
    assert dict(kernel.operations) == {"multiply": 1, "add": 1, "tanh": 1}
    assert kernel.flops == 3 * 1000
    assert kernel.bytes == 4 * 3 * 1000


def test_what_does_not_depend_on_an_axis_counts_once() -> None:
    float32 = np.dtype(np.float32)
    buffers = [Buffer(float32, shape, "arena") for shape in ((50, 20), (20,), (50, 20))]
    nest = LoopNest(
        (50, 20),
        (False, False),
        (
            Expression("load", float32, access=Access(0, 0, (20, 1))),
            Expression("load", float32, access=Access(1, 0, (0, 1))),
            Expression("exp", float32, (1,)),
            Expression("multiply", float32, (0, 2)),
        ),
        (Store(Access(2, 0, (20, 1)), 3),),
    )
    assert count_flops(nest) == 50 * 20 + 20
    assert count_bytes(nest, Schedule(buffers, [nest])) == 4 * (2 * 50 * 20 + 20)


def test_an_element_that_is_read_twice_counts_once() -> None:
    (kernel,) = report_of(lambda x: x[1:] + x[:-1], draw(100)).kernels
    assert kernel.bytes == 4 * (100 + 99)


def test_a_reduction() -> None:
    (kernel,) = report_of(lambda x: (x * x).sum(0), draw(30, 40)).kernels
    assert kernel.flops == 2 * 30 * 40
    assert kernel.bytes == 4 * (30 * 40 + 40)
    assert kernel.shape == "30x40 over 30"


def test_comparisons_and_integers_are_no_flops() -> None:
    (kernel,) = report_of(lambda x: rg.where(x > 0, x, 0.0), draw(100)).kernels
    assert kernel.flops == 0 and kernel.bytes == 800
    (kernel,) = report_of(lambda x: x * 3, np.arange(10, dtype=np.int32)).kernels
    assert kernel.flops == 0 and kernel.bytes == 80


def test_a_convolution_reads_its_image_once() -> None:
    image, weights = draw(4, 10, 10, 3), draw(3, 3, 3, 8)
    report = report_of(lambda x, w: rg.conv(x, w), image, weights)
    (kernel,) = [k for k in report.kernels if k.kind == "contraction"]
    assert kernel.what == "conv"
    assert kernel.flops == 2 * 4 * 8 * 8 * 9 * 3 * 8
    assert kernel.bytes == 4 * (image.size + weights.size + 4 * 8 * 8 * 8)


def test_a_gather_reads_what_it_takes() -> None:
    table, rows = draw(1000, 16), np.arange(5, dtype=np.int32)
    (kernel,) = report_of(lambda t, i: t[i], table, rows).kernels
    assert dict(kernel.operations)["gather"] == 1
    assert 4 * (2 * 5 * 16 + 5) <= kernel.bytes < table.nbytes


def test_a_loop_around_kernels_counts_every_step() -> None:
    def run(x: Any, w: Any) -> Any:
        return rg.scan(lambda h, _: (rg.tanh(h @ w), None), x, None, length=7)[0]

    outer, *inner = report_of(run, draw(8, 16), draw(16, 16)).kernels
    assert (outer.kind, outer.what, outer.depth) == ("repeat", "scan", 0)
    (dot,) = [kernel for kernel in inner if kernel.what == "dot"]
    assert (dot.depth, dot.runs) == (1, 7)
    assert dot.flops == 7 * 2 * 8 * 16 * 16
    assert outer.flops == sum(kernel.flops for kernel in inner)


def test_kernels_of_a_layer_that_is_a_loop_name_the_layer() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            self.cells, self.head = nn.LSTM(4, 8), nn.Linear(8, 3)

        def __call__(self, x: Any) -> Any:
            return self.head(self.cells(x)[0][:, -1])

    step = rg.compile(lambda model, x: model(x), executor="native")
    report = step.report(Last(), rg.array(draw(2, 5, 4)))
    inner = [kernel for kernel in report.kernels if kernel.depth]
    assert inner and all(kernel.paths == ("cells",) for kernel in inner)
    assert all(kernel.runs == 5 for kernel in inner)


# -- where kernels come from ----------------------------------------------------------------------


def test_kernels_name_their_module_the_parameters_that_they_make_and_the_users_line() -> None:
    step, arguments = make_step()
    report = step.report(*arguments)
    dots = [kernel for kernel in report.kernels if kernel.what == "dot"]
    assert {path for kernel in dots for path in kernel.paths} == {"layers.0", "layers.2"}
    first = dots[0]
    assert first.shape == "16x4, 4x8 -> 16x8" and first.paths == ("layers.0",)
    assert first.source is not None and "model(x)" in first.source.text()
    activation = next(kernel for kernel in report.kernels if "tanh" in dict(kernel.operations))
    assert "layers.1" in activation.paths
    made = {name for kernel in report.kernels for name in kernel.writes}
    assert {f"layers.{n}.{name}" for n in (0, 2) for name in ("weight", "bias")} <= made
    assert "optimizer.state.0.mean.layers.0.weight" in made
    updates = [kernel for kernel in report.kernels if "layers.0.weight" in kernel.writes]
    assert len(updates) == 1 and updates[0].writes[0] == "layers.0.weight"
    assert updates[0].source is not None and "optimizer.update" in updates[0].source.text()


def test_a_product_tells_what_it_does_to_its_results() -> None:
    model = nn.Sequential(nn.Linear(30, 70), nn.ReLU())
    step = rg.compile(lambda model, x: model(x), executor="native")
    (kernel,) = step.report(model, rg.array(draw(64, 30))).kernels
    assert (kernel.kind, kernel.what) == ("contraction", "dot")
    assert kernel.paths == ("layers.0", "layers.1")
    assert {"dot", "add"} < set(dict(kernel.operations))
    assert kernel.flops > 2 * 64 * 30 * 70
    assert kernel.bytes == 4 * (64 * 30 + 30 * 70 + 70 + 64 * 70)


def test_labels_do_not_part_equal_kernels() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.first, self.second = nn.Linear(32, 32), nn.Linear(32, 32)

        def __call__(self, x: Any) -> Any:
            return self.second(self.first(x))

    model = Twice()
    step = rg.compile(lambda model, x: model(x), executor="native")
    report = step.report(model, rg.array(draw(16, 32)))
    dots = [kernel for kernel in report.kernels if kernel.what == "dot"]
    assert [kernel.paths for kernel in dots] == [("first",), ("second",)]
    program = step.graph(model, rg.array(draw(16, 32))).cache["native"]
    kernels = {normalise(kernel)[0] for kernel in program.schedule.kernels}
    assert report.distinct == len(kernels) < len(report.kernels)


def test_copies_say_for_what_they_are() -> None:
    step, arguments = make_step(widths=(256, 256, 10))
    report = step.report(*arguments)
    copies = [kernel for kernel in report.kernels if kernel.what.startswith("copy")]
    assert copies and all(kernel.what == "copy for dot" for kernel in copies)
    assert all(kernel.paths for kernel in copies)


# -- stages ---------------------------------------------------------------------------------------


def test_the_stages_are_the_passes_of_the_pipeline() -> None:
    step, arguments = make_step()
    report = step.report(*arguments)
    names = [stage.name for stage in report.stages]
    assert names == ["traced", *(apply.__name__ for apply in PASSES)]
    assert report.graph() is step.graph(*arguments)
    for stage in report.stages:
        assert report.graph(stage.name) is stage.graph
        assert stage.nodes == len(list(stage.graph.walk())) and stage.seconds > 0
    assert report.text() == step.text(*arguments)
    with pytest.raises(ArgumentError, match="inlin.*there are traced, inline"):
        report.graph("inlin")


def test_llvm_and_assembly_are_those_of_the_usual_step() -> None:
    step, arguments = make_step()
    report = step.report(*arguments)
    names = {kernel.name for kernel in report.kernels}
    assert len(names) == report.distinct
    for name in names:
        assert f"@{name}(" in report.llvm and f"{name}:" in report.assembly
    assert "readcyclecounter" not in report.llvm


# -- the whole ------------------------------------------------------------------------------------


def test_summary() -> None:
    step, arguments = make_step()
    report = step.report(*arguments)
    model = arguments[0]
    size = sum(leaf.type.size for leaf in rg.tree.leaves(model.parameters()))
    assert report.parameters == size == 4 * 8 + 8 + 8 * 3 + 3
    assert report.memory["state"] == 4 * 3 * size + 4  # with both moments and the count of steps
    assert report.memory["in_place"] == report.memory["state"]
    assert report.memory["inputs"] > report.memory["state"] and report.memory["arena"] > 0
    assert list(report.times) == ["trace", "cache", "passes", "text", "llvm", "load"]
    assert all(seconds >= 0 for seconds in report.times.values())
    page = str(report)
    assert page.startswith("step(model, optimizer, x, y): native, 1 thread")
    assert "parameters  67" in page and "layers.0.weight" in page
    assert "native" in repr(report) and "step(model" in repr(report)


def test_a_report_runs_nothing() -> None:
    step, arguments = make_step()
    before = np.array(arguments[0].layers[0].weight)
    step.report(*arguments)
    assert step.trace_count == 1
    assert (np.array(arguments[0].layers[0].weight) == before).all()
    step(*arguments)
    assert step.trace_count == 1
    assert (np.array(arguments[0].layers[0].weight) != before).any()


def test_json_says_the_same() -> None:
    step, arguments = make_step()
    report = step.report(*arguments)
    assert json.loads(report.to_json()) == report.as_dict()
    report.profile(repeats=5)
    found = json.loads(report.to_json())
    assert found == report.as_dict()
    assert len(found["kernels"]) == len(found["profile"]["kernels"])


def test_a_page_shows_as_many_kernels_as_wanted() -> None:
    step, arguments = make_step()
    report = step.report(*arguments)
    count = len(report.kernels)
    assert f"and {count - 2} more kernels" in report.page(2)
    assert "more kernel" not in report.page()


@pytest.fixture
def disk_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path))
    config.get_config.cache_clear()
    yield
    monkeypatch.undo()
    config.get_config.cache_clear()


@pytest.mark.usefixtures("disk_cache")
def test_a_program_from_the_disk_cache_has_the_same_report() -> None:
    reports = []
    for _ in range(2):
        step, arguments = make_step()
        reports.append(step.report(*arguments))
    first, second = reports
    assert (first.cached, second.cached) == (False, True)
    assert list(second.times) == ["trace", "cache", "load"]
    assert "from the disk cache" in str(second)
    assert [k.as_dict() for k in first.kernels] == [k.as_dict() for k in second.kernels]
    assert first.memory == second.memory and first.llvm == second.llvm
    assert second.profile(repeats=5).measured is not None


# -- what is not there ----------------------------------------------------------------------------


def test_the_numpy_executor_says_that_it_has_no_kernels() -> None:
    f = rg.compile(lambda x: rg.exp(x).sum(), executor="numpy")
    report = f.report(rg.ones((3,)))
    assert report.kernels == () and [stage.name for stage in report.stages] == ["traced"]
    page = str(report)
    assert "numpy, node by node" in page and 'executor="native"' in page
    assert json.loads(report.to_json())["kernels"] == []
    for ask in (lambda: report.llvm, lambda: report.assembly, report.profile):
        with pytest.raises(ArgumentError, match="NumPy executor") as caught:
            ask()
        assert caught.value.fix is not None and 'executor="native"' in caught.value.fix


def test_a_report_inside_of_a_traced_function_is_an_error() -> None:
    inner = rg.compile(lambda x: x * 2.0, executor="native")
    with pytest.raises(ArgumentError, match="being traced"):
        rg.compile(lambda x: inner.report(x))(rg.ones((3,)))


def test_a_function_without_work_has_a_report() -> None:
    report = report_of(lambda x: x, draw(3))
    assert report.kernels == () and "nodes" in str(report)


def test_loss_and_optimizer_are_reported_with_any_number_of_arguments() -> None:
    model, optimizer = nn.Linear(3, 1), optim.SGD(0.1)

    @rg.compile(executor="native")
    def step(model: Any, optimizer: Any, *, x: Any, y: Any) -> Any:
        loss, gradients = rg.value_and_grad(lambda m: losses.mse(m(x), y))(model)
        optimizer.update(model, gradients)
        return loss

    report = step.report(model, optimizer, x=rg.ones((5, 3)), y=rg.ones((5, 1)))
    assert report.call == "step(model, optimizer, x, y)" and report.parameters == 4


# -- methods --------------------------------------------------------------------------------------


class Scaled(nn.Module):
    def __init__(self) -> None:
        self.line = nn.Linear(4, 3)

    @rg.compile
    def __call__(self, x: Any) -> Any:
        return self.line(x)

    @rg.compile(executor="numpy")
    def scale(self, x: Any, factor: float = 1.0) -> Any:
        return (self.line(x) * factor).sum()


def test_compiled_methods_have_what_compiled_functions_have() -> None:
    model, x = Scaled(), rg.ones((2, 4))
    report = model.__call__.report(x)
    assert {kernel.paths for kernel in report.kernels} == {("line",)}
    assert report.parameters == 15
    assert "scale(self, x, factor)" in str(model.scale.report(x, factor=2.0))
    assert model.scale.graph(x).output_types == model.scale.capture(x)[0].output_types
    assert "dot" in model.scale.text(x)
    assert (model.scale.executor, model.scale.__name__) == ("numpy", "scale")
    before = Scaled.scale.trace_count
    for _ in range(2):
        expected = np.asarray(x) @ np.asarray(model.line.weight) + np.asarray(model.line.bias)
        np.testing.assert_allclose(model.scale(x, factor=2.0), 2 * expected.sum(), rtol=1e-5)
    assert model.scale.trace_count == before
    with pytest.raises(AttributeError):
        model.scale.unknown  # noqa: B018


def test_a_compiled_call_of_a_layer_keeps_its_path_in_a_larger_program() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.first, self.head = Scaled(), nn.Linear(3, 2)

        def __call__(self, x: Any) -> Any:
            return self.head(rg.tanh(self.first(x)))

    graph = rg.compile(lambda model, x: model(x)).graph(Two(), rg.ones((2, 4)))
    assert {node.path for node in graph.nodes} == {"first.line", "head", ""}

"""Profiles: copies run, the parts make the whole, the limits are the larger of two times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import config
from retrograd.codegen.clock import write_stamps
from retrograd.errors import ArgumentError, ArgumentTypeError
from retrograd.report.limits import Limits, Meter
from retrograd.report.profile import summarise
from retrograd.runtime import jit
from retrograd.runtime.target import describe_target
from tests.report.steps import draw, make_step

LIMITS = Limits(2, 1e9, 2e9, 1e8, 1.5e8, ((1000, 1e10, 2e10),))


def state_of(arguments: tuple[Any, ...]) -> list[np.ndarray[Any, Any]]:
    model, optimizer = arguments[:2]
    arrays = rg.tree.leaves([model.parameters(), optimizer.state])
    return [np.array(array) for array in arrays]


def test_the_users_model_stays_as_it_is() -> None:
    step, arguments = make_step()
    for _ in range(3):
        step(*arguments)
    before = state_of(arguments)
    report = step.report(*arguments).profile(repeats=7, limits=LIMITS)
    assert report.measured is not None and report.measured.runs == 7
    for old, new in zip(before, state_of(arguments), strict=True):
        assert (old == new).all()
    # A step after the profile is the step that it would have been.
    other, same = make_step()
    for _ in range(3):
        other(*same)
    assert float(step(*arguments)) == float(other(*same))


def check_parts(profile: Any, kernels: Any) -> None:
    """Shares make the whole."""
    top = [time for kernel, time in zip(kernels, profile.kernels) if not kernel.depth]
    parts = sum(time.seconds for time in top) + profile.waiting + profile.between
    assert np.isclose(sum(time.share for time in top) * parts, sum(time.seconds for time in top))
    assert all(time.seconds >= 0 and time.waiting >= 0 for time in profile.kernels)
    assert any(time.seconds > 0 for time in profile.kernels)
    assert profile.between >= 0 and profile.step > 0 and profile.stamped > 0


def test_the_parts_of_a_step_by_hand() -> None:
    def run(x: Any, w: Any) -> Any:
        return rg.scan(lambda h, _: (rg.tanh(h @ w), None), x, None, length=4)[0]

    f = rg.compile(run, executor="native")
    rows = f.report(rg.array(draw(32, 64)), rg.array(draw(64, 64))).kernels
    outer, *inner = rows
    assert len(inner) == 2
    # Step, end, the counter, then each kernel and the waiting before it.
    times = np.array([[10.0, 1.0, 99.0, 6.0, 0.5, 4.0, 0.0, 1.5, 0.0]] * 3)
    times[0] *= 100  # another program took one run
    profile = summarise(rows, times, [9.0, 99.0, 9.5], LIMITS, threads=1)
    assert (profile.step, profile.stamped, profile.runs) == (9.25, 10.0, 3)
    assert [time.seconds for time in profile.kernels] == [6.0, 4.0, 1.5]
    assert profile.kernels[0].waiting == 0.5
    assert (profile.waiting, profile.between) == (1.5, 2.5)
    assert [time.share for time in profile.kernels] == [0.6, 0.4, 0.15]
    # The lower quartile counts.
    many = np.concatenate([times[1:] * factor for factor in range(1, 21)])
    profile = summarise(rows, many, list(many[:, 0]), LIMITS, threads=1)
    assert (profile.runs, profile.median) == (40, 105.0)
    assert (profile.step, profile.stamped) == (57.5, 57.5)
    assert np.isclose(profile.kernels[0].seconds, 0.6 * 57.5)


def test_the_parts_make_the_whole() -> None:
    step, arguments = make_step(widths=(16, 32, 10), batch=32)
    report = step.report(*arguments).profile(limits=LIMITS, seconds=0.1)
    assert report.measured is not None and report.measured.threads == report.threads == 1
    assert report.measured.waiting == 0
    check_parts(report.measured, report.kernels)
    page = str(report)
    assert "in kernels" in page and "of limit" in page and "between kernels" in page


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RETROGRAD_THREADS", "2")
    config.get_config.cache_clear()
    yield
    monkeypatch.undo()
    config.get_config.cache_clear()


@pytest.mark.usefixtures("two_threads")
def test_a_step_on_two_threads() -> None:
    step, arguments = make_step(widths=(256, 256, 10), batch=128)
    report = step.report(*arguments).profile(limits=LIMITS, seconds=0.3)
    assert report.threads == 2 and report.measured is not None
    assert report.measured.threads == 2
    check_parts(report.measured, report.kernels)
    assert "waiting for other threads" in str(report)


def test_kernels_inside_of_a_loop_are_measured_over_all_its_steps() -> None:
    def run(x: Any, w: Any) -> Any:
        return rg.scan(lambda h, _: (rg.tanh(h @ w), None), x, None, length=50)[0]

    f = rg.compile(run, executor="native")
    report = f.report(rg.array(draw(32, 64)), rg.array(draw(64, 64))).profile(
        repeats=9, limits=LIMITS
    )
    assert report.measured is not None
    assert len(report.kernels) == len(report.measured.kernels) == 3
    assert all(time.seconds > 0 for time in report.measured.kernels)


def test_callbacks_are_measured_too() -> None:
    f = rg.compile(lambda x: rg.sort(x) * 2.0, executor="native")
    report = f.report(rg.array(draw(1000))).profile(repeats=5, limits=LIMITS)
    found = {kernel.kind: kernel for kernel in report.kernels}
    assert found["callback"].what == "sort"
    assert report.measured is not None
    assert report.measured.kernels[found["callback"].number].seconds > 0


def test_the_limit_of_a_kernel() -> None:
    f = rg.compile(lambda x, w: x @ w, executor="native")
    report = f.report(rg.array(draw(64, 64)), rg.array(draw(64, 64)))
    report.profile(repeats=5, limits=LIMITS)
    assert report.measured is not None
    (time,) = report.measured.kernels
    arithmetic, moving = 2 * 64**3 / 1e9, 3 * 64 * 64 * 4 / 1e8
    assert (time.limit, time.bound) == (max(arithmetic, moving), "FLOPs")
    assert np.isclose(time.of_limit, time.limit / time.seconds)


def test_limits_of_kernels_by_hand() -> None:
    assert LIMITS.times(1e9, 1e8, threads=1) == (1.0, 1.0)
    assert LIMITS.times(1e9, 1.5e8, threads=2) == (0.5, 1.0)
    # What fits into a cache is held against that cache.
    assert LIMITS.times(0.0, 1000, threads=1) == (0.0, 1e-7)
    assert LIMITS.times(0.0, 2000, threads=2) == (0.0, 1e-7)
    assert LIMITS.times(0.0, 2001, threads=2) == (0.0, 2001 / 1.5e8)


def test_limits_are_raised_cache_by_cache() -> None:
    other = replace(LIMITS, caches=((1000, 2e10, 1e10),))
    assert LIMITS.raise_to(other).caches == ((1000, 2e10, 2e10),)


def test_the_meter_measures_this_machine() -> None:
    limits = Meter(1).measure(1)
    assert limits.peak > 1e8 and limits.bandwidth > 1e7
    assert limits.peak_all >= limits.peak
    assert len(limits.caches) > 1 and all(one > 1e7 for _, one, _ in limits.caches)


def test_senseless_settings_are_errors() -> None:
    f = rg.compile(lambda x: x + 1.0, executor="native")
    report = f.report(rg.ones((3,)))
    with pytest.raises(ArgumentError, match="repeats is 0"):
        report.profile(repeats=0)
    with pytest.raises(ArgumentTypeError, match="repeats is 1.5"):
        report.profile(repeats=1.5)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="seconds is -1"):
        report.profile(seconds=-1)


def test_arguments_that_have_changed_are_an_error() -> None:
    step, arguments = make_step()
    report = step.report(*arguments)
    arguments[0].layers[0].weight = rg.zeros((5, 8))
    with pytest.raises(ArgumentError, match="have changed") as caught:
        report.profile(repeats=5)
    assert caught.value.fix == "ask for a new report"


def test_progress_is_told() -> None:
    f = rg.compile(lambda x: x + 1.0, executor="native")
    told: list[float] = []
    f.report(rg.ones((3,))).profile(repeats=8, limits=LIMITS, progress=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) == 8


@pytest.mark.parametrize("triple", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"])
def test_stamps_assemble_on_other_platforms(triple: str) -> None:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    arm = triple.startswith("aarch64")
    target = describe_target(triple, "neoverse-n1" if arm else "x86-64", "")
    assembly = jit.write_assembly(write_stamps(triple), target)
    assert assembly.lower().count("cntvct_el0" if arm else "rdtsc") >= 4

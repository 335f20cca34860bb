"""`retrograd bench`: how fast training steps are on this machine, and where their time goes."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ArgumentError, suggest
from .run import Output

if TYPE_CHECKING:
    from ..report import Report
    from ..report.limits import Limits
    from ..workloads import Workload

BLOCK_SECONDS = 0.02
"""Steps are timed in blocks of so long: a step may be shorter than what a clock can tell."""
FORMAT = 1
"""Of the JSON; it changes when a name or a unit does."""
PARTS = 3  # of a workload in the progress: compile, measure, explain


def bench(
    workloads: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORKLOAD",
            help="tiny, mlp, mlpbig, cnn, resnet20, rnn, lstm, gru, gpt; or all.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every kernel: its time and share of the limit.")
    ] = False,
    kernels: Annotated[
        int, typer.Option(min=1, metavar="N", help="Kernels to show with --explain.")
    ] = 25,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="For how long each workload is measured.")
    ] = 1.0,
    executor: Annotated[
        str, typer.Option(metavar="NAME", help="What runs the steps: native or numpy.")
    ] = "native",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Time training steps on this machine, beside what it could do at the most.

    A step is forward, backward and an update with Adam on one batch. The limit is the larger of
    two times: its multiplications and additions at the speed of multiply-adds in registers, and
    the bytes of parameters, moments and batch at the speed of memory. Both are measured.

    Examples:

    \b
      retrograd bench
      retrograd bench mlp cnn
      retrograd bench mlp --explain
      retrograd bench resnet20 --explain --kernels 100 --json > resnet20.json
    """
    from ..compile import EXECUTORS
    from ..report.limits import Meter
    from ..report.machine import describe_machine
    from ..runtime.processors import choose_thread_count
    from ..workloads import WORKLOADS
    from .progress import show_parts

    names = list(dict.fromkeys(workloads or WORKLOADS))
    for name in names:
        if name not in WORKLOADS:
            raise ArgumentError(
                f"There is no workload {name!r}; there are {', '.join(WORKLOADS)}. "
                f"{suggest(name, WORKLOADS)}".rstrip()
            )
    if executor not in EXECUTORS:
        raise ArgumentError(f"There is no executor {executor!r}. {suggest(executor, EXECUTORS)}")
    if not 0.0 < seconds < 1e5:
        raise ArgumentError(f"--seconds is {seconds:g}; expected a time above 0.")
    output = Output(json)
    meter = Meter(choose_thread_count())
    limits = meter.measure()
    found: list[tuple[Workload, dict[str, float], Report]] = []
    with show_parts(PARTS * len(names)) as advance:
        for name in names:
            workload = WORKLOADS[name]
            found.append(
                (workload, *_measure(workload, executor, seconds, explain, limits, advance))
            )
            limits = limits.raise_to(meter.measure())
            gc.collect()
    machine = describe_machine()
    _show_table(found, machine, limits, output)
    if explain:
        for _, _, report in found:
            output.say()
            output.say(report.page(kernels))
    output.finish(
        {
            "format": FORMAT,
            "machine": machine,
            "executor": executor,
            "seconds": seconds,
            "limits": limits.as_dict(),
            "workloads": [_as_dict(*item, limits, explain) for item in found],
        }
    )


def _measure(
    workload: Workload,
    executor: str,
    seconds: float,
    explain: bool,
    limits: Limits,
    advance: Callable[[str], None],
) -> tuple[dict[str, float], Report]:
    """The times of a workload in seconds, and the report of its step."""
    from ..workloads import make_step

    advance(f"{workload.name}: compile")
    step, arguments = make_step(workload, executor)
    begin = time.perf_counter()
    report = step.report(*arguments)
    times = {"prepare": time.perf_counter() - begin}
    loss = float(step(*arguments))
    times["first"] = time.perf_counter() - begin
    if loss != loss:
        raise ArgumentError(f"The first loss of {workload.name} is not a number.")
    advance(f"{workload.name}: measure")
    blocks = _time_blocks(lambda: step(*arguments), seconds)
    times |= {"step": statistics.median(blocks), "best": min(blocks)}
    advance(f"{workload.name}: explain" if explain else workload.name)
    if explain and report.is_native:
        report.profile(seconds=seconds, limits=limits)
    return times, report


def _time_blocks(run: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of a call, for each block of calls; at least three blocks after two calls."""
    run()
    begin = time.perf_counter()
    run()
    calls = max(1, int(BLOCK_SECONDS / max(time.perf_counter() - begin, 1e-7)))
    blocks: list[float] = []
    end = time.perf_counter() + seconds
    while len(blocks) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        for _ in range(calls):
            run()
        blocks.append((time.perf_counter() - begin) / calls)
    return blocks


def _show_table(
    found: list[tuple[Workload, dict[str, float], Report]],
    machine: dict[str, Any],
    limits: Limits,
    output: Output,
) -> None:
    from ..report.page import format_time

    cores = f"{limits.threads} core" + "s" * (limits.threads > 1)
    output.say(f"{machine['cpu']}, {cores}, {machine['system']}")
    output.say(
        f"multiply-adds {limits.peak / 1e9:.0f} GFLOP/s on one core, {limits.peak_all / 1e9:.0f} "
        f"on all; memory {limits.bandwidth_all / 1e9:.0f} GB/s"
    )
    output.say()
    rows = [["", "trace + compile", "step", "best", "limit", "of limit", "samples/s", "network"]]
    for workload, times, report in found:
        limit = limits.seconds(workload.flops, workload.bytes)
        ready = format_time(times["prepare"]) + (" (cached)" if report.cached else "")
        rows.append(
            [
                workload.name,
                ready,
                format_time(times["step"]),
                format_time(times["best"]),
                f"{format_time(limit)} ({limits.bound(workload.flops, workload.bytes)})",
                f"{100 * limit / times['step']:.0f} %",
                f"{workload.batch / times['step']:,.0f}",
                workload.title,
            ]
        )
    output.show_table(rows)


def _as_dict(
    workload: Workload, times: dict[str, float], report: Report, limits: Limits, explain: bool
) -> dict[str, Any]:
    limit = limits.seconds(workload.flops, workload.bytes)
    return {
        "name": workload.name,
        "title": workload.title,
        "batch": workload.batch,
        "parameters": workload.parameters,
        "flops": workload.flops,
        "bytes": workload.bytes,
        **times,
        "from_disk_cache": report.cached,
        "limit": limit,
        "bound": limits.bound(workload.flops, workload.bytes),
        "of_limit": limit / times["step"],
        "report": report.as_dict() if explain else None,
    }

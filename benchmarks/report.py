"""What was measured, as lines of text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from retrograd.report.limits import Limits
from retrograd.workloads import Workload

from .sides import Result

FORMAT = 1
"""Of the JSON; it changes when a name or a unit does."""

FIRST_LOSS_BAND = 1.0
"""How far the first loss may lie from that of equal probabilities: initial logits are small."""


@dataclass(frozen=True)
class Measurement:
    """One workload: the results of all sides, and the limits as they were found beside them."""

    workload: Workload
    results: list[Result]
    failures: list[str]

    def best_rival(self, form: str | None = None) -> Result | None:
        """The rival with the shortest median step, of one form or of all."""
        rivals = [r for r in self.results if r.side.rival and form in (None, r.side.form)]
        return min(rivals, key=lambda r: r.median, default=None)


def find_mistakes(workload: Workload, results: Sequence[Result]) -> list[str]:
    """Sides that cannot have trained the network of the workload."""
    expected, mistakes = math.log(workload.classes), []
    for result in results:
        name, count = result.side.name, result.prepared["parameters"]
        if count != workload.parameters:
            mistakes.append(
                f"{name} trains {count:,} parameters, the workload has {workload.parameters:,}"
            )
        loss = result.prepared["losses"][0]
        if not abs(loss - expected) < FIRST_LOSS_BAND:
            mistakes.append(
                f"{name}: the first loss is {loss:.4g}; with {workload.classes} classes one about "
                f"{expected:.3g} was expected"
            )
    return mistakes


def collect_versions(measurements: list[Measurement]) -> dict[str, str]:
    versions: dict[str, str] = {}
    for measurement in measurements:
        for result in measurement.results:
            own = dict(result.prepared.get("versions", {}))
            own.pop("python" if result.side.rival else "", None)
            versions |= own
    return versions


# -- JSON ------------------------------------------------------------------------------------------


def to_json(
    machine: dict[str, Any],
    limits: Limits,
    options: dict[str, Any],
    measurements: list[Measurement],
) -> dict[str, Any]:
    """All that was measured. Times in seconds, memory in bytes, peaks in FLOP/s and bytes/s."""
    return {
        "format": FORMAT,
        "machine": machine,
        "versions": collect_versions(measurements),
        "options": options,
        "limits": limits.as_dict(),
        "workloads": [_workload_to_json(m, limits) for m in measurements],
    }


def _workload_to_json(measurement: Measurement, limits: Limits) -> dict[str, Any]:
    workload = measurement.workload
    limit = limits.seconds(workload.flops, workload.bytes)
    rival = measurement.best_rival()
    return {
        "name": workload.name,
        "title": workload.title,
        "parameters": workload.parameters,
        "flops": workload.flops,
        "bytes": workload.bytes,
        "limit": limit,
        "bound": limits.bound(workload.flops, workload.bytes),
        "best_rival": None if rival is None else rival.side.name,
        "failures": measurement.failures,
        "sides": [_result_to_json(r, measurement, limit) for r in measurement.results],
    }


def _result_to_json(result: Result, measurement: Measurement, limit: float) -> dict[str, Any]:
    ratios: dict[str, float] = {}
    if not result.side.rival:
        for name, form in (("faster", None), ("faster_same_form", result.side.form)):
            rival = measurement.best_rival(form)
            if rival is not None:
                ratios[name] = rival.median / result.median
    stages = {name: result.prepared.get(name) for name in ("trace", "compile", "cached", "first")}
    return {
        "name": result.side.name,
        "rival": result.side.rival,
        "form": result.side.form,
        "setting": {k: v for k, v in result.setting.items() if k != "workload"},
        "threads": result.prepared.get("threads"),
        "versions": result.prepared.get("versions", {}),
        "losses": result.prepared.get("losses", []),
        "trials": [
            {"setting": {k: v for k, v in setting.items() if k != "workload"}, "step": step}
            for setting, step in result.trials
        ],
        **stages,
        "step": result.median,
        "best": result.best,
        "rounds": result.rounds,
        "cores": result.cores,
        "peak_bytes": result.peak_bytes,
        "share": limit / result.median,
        **ratios,
    }


# -- text ------------------------------------------------------------------------------------------


def format_report(report: dict[str, Any]) -> str:
    """The report for people, from what `to_json` gives."""
    return "\n".join([*_head(report), *(line for w in report["workloads"] for line in _body(w))])


def _head(report: dict[str, Any]) -> Iterator[str]:
    machine, limits, options = report["machine"], report["limits"], report["options"]
    yield f"{machine['cpu']}, {limits['threads']} cores, {machine['system']}"
    yield ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    yield (
        f"FMA peak {limits['peak'] / 1e9:.0f} GFLOP/s on one core, "
        f"{limits['peak_all'] / 1e9:.0f} on all; memory {limits['bandwidth'] / 1e9:.0f} GB/s on "
        f"one core, {limits['bandwidth_all'] / 1e9:.0f} on all"
    )
    load = "" if machine["load"] is None else f"; load of the machine before: {machine['load']:.1f}"
    yield (
        f"{machine['time']}; {options['rounds']} rounds of {options['seconds']:g} s, in turns{load}"
    )


COLUMNS = (
    ("", 14),
    ("setting", 26),
    ("trace s", 8),
    ("compile s", 10),
    ("cached s", 9),
    ("first s", 8),
    ("step", 10),
    ("best", 10),
    ("of limit", 9),
    ("cores", 6),
    ("memory", 8),
    ("best rival / it", 16),
)


def _body(workload: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield (
        f"{workload['name']}: {workload['title']}; {workload['parameters']:,} parameters, "
        f"{workload['flops'] / 1e6:.4g} MFLOP, {workload['bytes'] / 1e6:.3g} MB"
    )
    yield f"limit {format_time(workload['limit'])} ({workload['bound']})"
    yield "".join(
        f"{name:<{width}}" if n < 2 else f"{name:>{width}}"
        for n, (name, width) in enumerate(COLUMNS)
    )
    for side in workload["sides"]:
        yield _row(side)
    if workload["best_rival"] is not None:
        yield f"best rival: {workload['best_rival']}"
    yield from workload["failures"]


def _row(side: dict[str, Any]) -> str:
    setting = ", ".join(
        name if value is True else f"{name} {value}"
        for name, value in side["setting"].items()
        if name not in ("form", "executor")
    )
    cells = [side["name"], setting or f"threads {side['threads']}"]
    stages = ("trace", "compile", "cached", "first")
    cells += ["" if side[name] is None else f"{side[name]:.3f}" for name in stages]
    cells += [format_time(side["step"]), format_time(side["best"]), f"{100 * side['share']:.0f} %"]
    cells += [f"{side['cores']:.1f}", f"{side['peak_bytes'] / 1e6:.0f} MB"]
    ratio = f"{side['faster']:.2f}" if "faster" in side else ""
    if "faster_same_form" in side and side["faster_same_form"] != side["faster"]:
        ratio += f" ({side['faster_same_form']:.2f})"
    cells.append(ratio)
    return "".join(
        f"{cell:<{width}}" if n < 2 else f"{cell:>{width}}"
        for n, (cell, (_, width)) in enumerate(zip(cells, COLUMNS))
    ).rstrip()


def format_time(seconds: float) -> str:
    """A time in the unit in which people would say it."""
    if seconds < 1e-3:
        return f"{1e6 * seconds:.4g} us"
    return f"{1e3 * seconds:.4g} ms" if seconds < 1 else f"{seconds:.4g} s"

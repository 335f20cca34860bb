"""Whole training steps of retrograd beside PyTorch and JAX, and beside the limits of the machine.

    make bench [ARGS="--workloads mlp,cnn --rounds 5 --seconds 1 --no-rivals --json FILE"]

All sides of a workload are alive at once, in processes of their own, and take turns: what else the
machine does falls on all of them. docs/benchmarks.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retrograd.cli.progress import show_parts
from retrograd.report.limits import Limits, Meter
from retrograd.report.machine import describe_machine
from retrograd.workloads import WORKLOADS, Workload

from . import report, sides

TORCH_FOLDER, JAX_FOLDER = ".venv-bench-torch", ".venv-bench-jax"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--workloads", type=read_names, default=list(WORKLOADS), help=",".join(WORKLOADS)
    )
    parser.add_argument("--rounds", type=read_count, default=5, help="turns of each side")
    parser.add_argument("--seconds", type=read_seconds, default=1.0, help="of a turn")
    parser.add_argument("--no-rivals", action="store_true", help="measure retrograd alone")
    parser.add_argument("--torch-compile", action="store_true", help="try torch.compile too")
    parser.add_argument("--executor", default="native", help="of retrograd")
    parser.add_argument("--json", type=Path, help="write all figures there")
    return parser.parse_args(arguments)


def read_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in WORKLOADS:
            raise argparse.ArgumentTypeError(
                f"there is no workload {name!r}; there are {', '.join(WORKLOADS)}"
            )
    if not names:
        raise argparse.ArgumentTypeError("name at least one workload")
    return names


def read_count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, received {text!r}")
    return int(text)


def read_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < 3600.0:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, received {text!r}")
    return seconds


def list_sides(workload: Workload, options: argparse.Namespace, cores: int) -> list[sides.Side]:
    """Who is measured on a workload."""
    found = sides.list_own_sides(workload, options.executor)
    if options.no_rivals:
        return found
    torch, jax = (sides.ROOT / folder / "bin" / "python" for folder in (TORCH_FOLDER, JAX_FOLDER))
    if torch.exists():
        found += sides.list_torch_sides(workload, torch, cores, options.torch_compile)
    if jax.exists():
        found += sides.list_jax_sides(workload, jax, cores)
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything that the options ask for; the report as JSON."""
    from retrograd.runtime.processors import choose_thread_count

    cores = choose_thread_count()
    machine = describe_machine()
    chosen = {name: list_sides(WORKLOADS[name], options, cores) for name in options.workloads}
    meter = Meter(cores)
    limits: Limits = meter.measure()
    measurements = []
    parts = sum(sides.count_parts(len(found), options.rounds) for found in chosen.values())
    with show_parts(parts) as advance:
        for name, found in chosen.items():
            results, failures = sides.measure_sides(
                found, options.rounds, options.seconds, lambda text, n=name: advance(f"{n}, {text}")
            )
            failures += report.find_mistakes(WORKLOADS[name], results)
            measurements.append(report.Measurement(WORKLOADS[name], results, failures))
            limits = limits.raise_to(meter.measure())
    settings = {"rounds": options.rounds, "seconds": options.seconds}
    return report.to_json(machine, limits, settings, measurements)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if not options.no_rivals:
        for folder in (TORCH_FOLDER, JAX_FOLDER):
            if not (sides.ROOT / folder / "bin" / "python").exists():
                print(f"{folder} is missing, hence its side too; `make bench` makes it.")
    try:
        found = measure(options)
    except KeyboardInterrupt:
        print("stopped: nothing is reported", file=sys.stderr)
        return 130
    print(report.format_report(found), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if any(workload["failures"] for workload in found["workloads"]) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

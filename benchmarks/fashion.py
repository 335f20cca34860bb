"""Fashion-MNIST from starting Python to 90 % of the test images, retrograd beside PyTorch.

    make fashion DATA=FOLDER [ARGS="--seeds 5 --target 0.9 --json FILE"]

The folder holds the four IDX files (Debian's package dataset-fashion-mnist has them). Both sides
train the network of the workload cnn with PyTorch's initial distributions, Adam at 1e-3 and batches
of 64, on all cores; each seed is a process of its own, and the sides take turns. The clock starts
before Python does; retrograd's cache of machine code is empty. Where the accuracy crosses the
target is interpolated between epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retrograd.cli.progress import show_parts

from .run import TORCH_FOLDER, read_count
from .sides import ROOT

OWN, RIVAL = "retrograd", "PyTorch"
Curve = list[tuple[float, float]]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fashion", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder with the four files")
    parser.add_argument("--seeds", type=read_count, default=5)
    parser.add_argument("--target", type=float, default=0.9, help="the test accuracy to reach")
    parser.add_argument("--epochs", type=read_count, default=15, help="at the most")
    parser.add_argument("--no-rivals", action="store_true", help="retrograd alone")
    parser.add_argument("--json", type=Path, help="write all figures there")
    return parser.parse_args(arguments)


def train(name: str, options: argparse.Namespace, seed: int) -> Curve:
    """One training in a fresh process: (seconds since its start, test accuracy) by epoch."""
    own = name == OWN
    python = sys.executable if own else str(ROOT / TORCH_FOLDER / "bin" / "python")
    module = "benchmarks.fashion_retrograd" if own else "benchmarks.rivals.fashion_torch"
    settings = {"data": str(options.data.resolve()), "seed": seed, "epochs": options.epochs}
    curve: Curve = []
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            **os.environ,
            "RETROGRAD_CACHE": cache,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        }
        command = [python, "-m", module, json.dumps(settings)]
        start = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                curve.append((time.perf_counter() - start, float(line)))
                if curve[-1][1] >= options.target:
                    process.kill()
                    break
            else:
                if process.wait():
                    raise SystemExit(f"{name} failed with status {process.returncode}")
    return curve


def find_crossing(curve: Curve, target: float) -> float | None:
    """When the accuracy reached the target, between epochs along a straight line."""
    before = (0.0, 0.0)
    for order, (seconds, accuracy) in enumerate(curve):
        if accuracy >= target:
            if not order:
                return seconds
            share = (target - before[1]) / (accuracy - before[1])
            return before[0] + share * (seconds - before[0])
        before = (seconds, accuracy)
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)
    names = [OWN] if options.no_rivals else [OWN, RIVAL]
    curves: dict[str, list[Curve]] = {name: [] for name in names}
    with show_parts(options.seeds * len(names)) as advance:
        for seed in range(options.seeds):
            # Each side comes first as often as the other.
            for name in names if seed % 2 == 0 else names[::-1]:
                advance(f"{name}, seed {seed}")
                curves[name].append(train(name, options, seed))
    print(describe(curves, options.target))
    if options.json:
        options.json.write_text(json.dumps({"target": options.target, "curves": curves}, indent=1))
    return 0


def describe(curves: dict[str, list[Curve]], target: float) -> str:
    """The seconds to the target by seed, their sum, and the accuracies by epoch."""
    lines = [f"seconds to {100 * target:g} % of the test images, from starting Python"]
    sums: dict[str, float | None] = {}
    for name, found in curves.items():
        crossings = [find_crossing(curve, target) for curve in found]
        reached = [seconds for seconds in crossings if seconds is not None]
        sums[name] = sum(reached) if len(reached) == len(crossings) else None
        shown = "  ".join("never" if s is None else f"{s:5.2f}" for s in crossings)
        total = "" if sums[name] is None else f"   sum {sums[name]:.2f}"
        lines.append(f"{name:10} {shown}{total}")
    own, rival = sums.get(OWN), sums.get(RIVAL)
    if own and rival:
        lines.append(f"{RIVAL} takes {rival / own:.2f} times as long as {OWN}")
    lines.append("mean test accuracy after each epoch (%), over the seeds that got so far")
    for name, found in curves.items():
        longest = max(len(curve) for curve in found)
        means: list[Any] = []
        for epoch in range(longest):
            values = [curve[epoch][1] for curve in found if len(curve) > epoch]
            means.append(f"{100 * sum(values) / len(values):5.2f} ({len(values)})")
        lines.append(f"{name:10} " + "  ".join(means))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

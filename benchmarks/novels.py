"""Character models of Jane Austen's novels: retrograd and PyTorch trained in the same way.

    make novels-parity [DATA=FOLDER] [ARGS="--networks gpt,lstm --steps 4000 --seed 0"]

Both sides begin with the same weights and see the same windows in the same order with the same
learning rates, those of `retrograd train --task language`. What must agree is the bits per
character on the last tenth of each novel: the command fails where they differ by more than 0.02.
The sides run one after the other, on all cores; their times mean something on a quiet machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from applications.novels import write_novels
from applications.packages import ROOT
from retrograd.cli.progress import show_parts
from retrograd.errors import DataError

from .novels_plan import write_plan
from .run import TORCH_FOLDER, read_count

OWN, RIVAL = "retrograd", "PyTorch"
NETWORKS = ("gpt", "lstm")
LARGEST_DIFFERENCE = 0.02


@dataclass
class Training:
    """What a side told: bits per character of the test part before and after, and each segment."""

    tests: list[float] = field(default_factory=list)
    segments: list[dict[str, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(segment["seconds"] for segment in self.segments)

    @property
    def steps(self) -> int:
        return int(sum(segment["steps"] for segment in self.segments))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make novels-parity", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder with the package of the novels")
    parser.add_argument("--networks", type=read_networks, default=list(NETWORKS))
    parser.add_argument("--steps", type=read_count, default=4000)
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the windows")
    parser.add_argument(
        "--threads", type=read_count, help="of each side; by default its own choice"
    )
    parser.add_argument("--python", type=Path, help="one with PyTorch")
    parser.add_argument("--json", type=Path, help="write all figures there")
    return parser.parse_args(arguments)


def read_networks(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in NETWORKS:
            raise argparse.ArgumentTypeError(f"there is no network {name!r}; there are {NETWORKS}")
    return names


def train(
    name: str, python: Path, folder: Path, threads: int | None, show: Callable[[str], None]
) -> Training:
    """One side in a fresh process."""
    own = name == OWN
    module = "benchmarks.novels_retrograd" if own else "benchmarks.rivals.novels_torch"
    path = [ROOT, ROOT / "src"] if own else [ROOT]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    if threads is not None:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "RETROGRAD_THREADS"), str(threads))
    command = [str(python), "-m", module, str(folder)]
    found = Training()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told: dict[str, Any] = json.loads(line)
            if "test" in told:
                found.tests.append(told["test"])
            else:
                found.segments.append(told)
                show(f"{name}, {found.steps:,} steps, {told['bits']:.3f} bits")
    if process.returncode:
        raise SystemExit(f"{name} failed with status {process.returncode}")
    return found


def describe(plan: dict[str, Any], trainings: dict[str, Training]) -> str:
    """A table of the sides, and how far apart they end."""
    rows, steps = plan["batch"]
    (first, *_rest) = trainings.values()
    batch = f"{rows} rows of {steps} characters"
    size = f"{plan['numbers']:,} numbers, {first.steps:,} steps on {batch}"
    lines = [
        f"{plan['network']}: {size}, {plan['test_characters']:,} characters to test with",
        f"{'bits per character':20} {'before':>8} {'after':>8} {'seconds':>8} {'ms a step':>10}",
    ]
    for name, found in trainings.items():
        before, after = found.tests
        each = 1e3 * found.seconds / found.steps
        lines.append(f"{name:20} {before:8.4f} {after:8.4f} {found.seconds:8.1f} {each:10.1f}")
    difference = find_difference(trainings)
    lines.append(f"they end {difference:.4f} bits apart (allowed: {LARGEST_DIFFERENCE})")
    return "\n".join(lines)


def find_difference(trainings: dict[str, Training]) -> float:
    """How far apart the sides end, in bits per character."""
    ends = [training.tests[-1] for training in trainings.values()]
    return max(ends) - min(ends)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        texts = write_novels(ROOT / "runs" / "novels", options.data)
    except DataError as error:
        raise SystemExit(f"error: {error.message}\n  fix: {error.fix}") from None
    rival = options.python or ROOT / TORCH_FOLDER / "bin" / "python"
    sides = {OWN: Path(sys.executable), RIVAL: rival}
    figures: dict[str, Any] = {}
    failed = False
    for network in options.networks:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            plan = write_plan(folder, texts, network, options.steps, options.seed)
            with show_parts(len(sides) * len(plan["segments"])) as advance:
                trainings = {
                    side: train(side, python, folder, options.threads, advance)
                    for side, python in sides.items()
                }
        print(describe(plan, trainings), flush=True)
        failed = failed or not find_difference(trainings) <= LARGEST_DIFFERENCE
        figures[network] = {side: vars(found) for side, found in trainings.items()}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

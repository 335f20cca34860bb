"""Many processes that compile, run and fork with one cache, while some are killed and files break.

    python -m tests.native.storm 1000

Every process that is not killed must end by itself, with status 0 and the bits of a process that
ran alone without a cache. A process does one of these, by its number:

- plain: two programs, on two threads;
- fork: forks when the workers of its team run, and its children compile and run;
- busy: forks again and again while another of its threads compiles and runs;
- killed: is killed at a random time, perhaps in the middle of a compilation or of a file.

Meanwhile files of the cache are cut short, changed, emptied and removed.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VARIANTS = 6
CHILDREN = 4
PATIENCE = 180
"""Seconds after which a process counts as hanging; a little before, it prints where it is."""
KINDS = ("plain", "fork", "busy", "killed")


# -- inside a process ------------------------------------------------------------------------------


def train(variant: int) -> str:
    """A few steps of a small network; a hash of all bits."""
    import numpy as np

    import retrograd as rg
    from retrograd import losses, nn, optim

    rg.seed(variant)
    width = 128 + 16 * variant
    layers = [nn.Linear(96, width), nn.BatchNorm(width), nn.ReLU(), nn.Linear(width, 10)]
    model, optimizer = nn.Sequential(*layers), optim.Adam(1e-2)
    draw = np.random.default_rng(variant)
    x = draw.normal(size=(256, 96)).astype(np.float32)
    y = draw.integers(0, 10, 256).astype(np.int32)

    @rg.compile(executor="native")
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        def loss_of(model: Any, x: Any, y: Any) -> Any:
            return losses.cross_entropy(model(x), y)

        loss, gradients = rg.value_and_grad(loss_of)(model, x, y)
        optimizer.update(model, gradients)
        return loss

    total = hashlib.sha256()
    for _ in range(5):
        total.update(step(model, optimizer, x, y).numpy().tobytes())
    for array in rg.tree.leaves(model.parameters()):
        total.update(array.numpy().tobytes())
    return total.hexdigest()


def fork_and_check(variant: int, expected: list[str]) -> int:
    """The process number of a child that trains, and ends with status 0 if its bits are right."""
    child = os.fork()
    if child:
        return child
    status = 3
    try:
        status = 0 if train(variant % VARIANTS) == expected[variant % VARIANTS] else 4
    finally:
        os._exit(status)


def wait_for(children: list[int]) -> int:
    """How many children did not end well."""
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


def act(kind: str, number: int, expected: list[str]) -> int:
    """What one process does; its exit status."""
    # Python cannot fork while another thread imports: what users import comes before (NumPy
    # imports numpy.random when it is first asked for).
    import numpy.random  # noqa: F401

    from retrograd import losses, nn, optim  # noqa: F401

    # Not faulthandler.dump_traceback_later: in a child it waits for a thread that is not there.
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(PATIENCE - 20)
    os.register_at_fork(after_in_child=lambda: signal.alarm(PATIENCE - 20))

    if kind == "busy":
        stop = threading.Event()
        wrong: list[int] = []

        def work() -> None:
            turn = number
            while not stop.is_set():
                turn += 1
                if train(turn % VARIANTS) != expected[turn % VARIANTS]:
                    wrong.append(turn)

        worker = threading.Thread(target=work)
        worker.start()
        children = []
        for order in range(CHILDREN):
            time.sleep(random.Random(number + order).uniform(0.0, 0.2))
            children.append(fork_and_check(number + order, expected))
        bad = wait_for(children)
        stop.set()
        worker.join()
        return 5 if bad or wrong else 0
    if train(number % VARIANTS) != expected[number % VARIANTS]:
        return 4
    if kind == "fork":
        children = [fork_and_check(number + order, expected) for order in range(CHILDREN)]
        return 5 if wait_for(children) else 0
    return 0 if train((number + 1) % VARIANTS) == expected[(number + 1) % VARIANTS] else 4


# -- outside ---------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What became of all processes.

    Args:
        processes: how many there were, with forked ones.
        ends: how many processes of each kind were started.
        failures: what went wrong, in words.
        damaged: how many files were damaged.
    """

    processes: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    damaged: int = 0


def damage(folder: Path, draw: random.Random) -> bool:
    """Break one file of the cache, if there is one."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if not files:
        return False
    path = draw.choice(files)
    try:
        content = path.read_bytes()
        kind = draw.randrange(4)
        if kind == 0:
            path.write_bytes(content[: draw.randrange(len(content) + 1)])
        elif kind == 1 and content:
            place = draw.randrange(len(content))
            path.write_bytes(
                content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
            )
        elif kind == 2:
            path.write_bytes(b"")
        else:
            path.unlink()
    except OSError:  # it went away meanwhile
        return False
    return True


def start(kind: str, number: int, folder: str, expected: list[str]) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "RETROGRAD_CACHE": folder,
        "RETROGRAD_THREADS": "2",
        "PYTHONPATH": str(ROOT / "src"),
    }
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", __file__]
    command += ["--act", kind, "--number", str(number), "--expected", *expected]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, stderr=pipe, text=True, start_new_session=True
    )


def run(processes: int, at_once: int, seed: int, quiet: bool = True) -> Outcome:
    """Start processes until there have been so many, with forked ones."""
    draw, outcome = random.Random(seed), Outcome()
    alone = subprocess.run(
        [sys.executable, __file__, "--act", "expect"],
        env={**os.environ, "RETROGRAD_CACHE": "off", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = alone.stdout.split()
    with tempfile.TemporaryDirectory() as folder:
        running: list[tuple[subprocess.Popen[str], str, float, float]] = []
        number = 0
        while running or outcome.processes < processes:
            while outcome.processes < processes and len(running) < at_once:
                kind = draw.choice(KINDS)
                begun = time.monotonic()
                end = begun + (draw.uniform(0.05, 2.0) if kind == "killed" else PATIENCE)
                running.append((start(kind, number, folder, expected), kind, begun, end))
                number += 1
                outcome.ends[kind] += 1
                outcome.processes += 1 + (CHILDREN if kind in ("fork", "busy") else 0)
                if not quiet and number % 25 == 0:
                    print(f"{outcome.processes} processes, {len(outcome.failures)} failures")
            time.sleep(0.02)
            if draw.random() < 0.1:
                outcome.damaged += damage(Path(folder), draw)
            still = []
            for process, kind, begun, end in running:
                if process.poll() is None:
                    if time.monotonic() < end:
                        still.append((process, kind, begun, end))
                        continue
                    os.killpg(process.pid, signal.SIGKILL)  # its children too
                    if kind != "killed":
                        outcome.failures.append(f"{kind} hangs")
                errors = process.communicate()[1]
                if kind != "killed" and process.returncode:
                    outcome.failures.append(f"{kind}: status {process.returncode}: {errors}")
            running = still
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("processes", type=int, nargs="?", default=1000)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--act", default="", help="what a process that this script starts does")
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--expected", nargs="*", default=[])
    given = parser.parse_args()
    if given.act == "expect":
        print(*[train(variant) for variant in range(VARIANTS)])
        return 0
    if given.act:
        return act(given.act, given.number, given.expected)
    outcome = run(given.processes, given.at_once, given.seed, quiet=False)
    print(f"{outcome.processes} processes {dict(outcome.ends)}, {outcome.damaged} files damaged")
    for failure in outcome.failures:
        print(failure)
    print(f"{len(outcome.failures)} failures")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""The measured sides: their processes, the settings that are tried, and the turns they take."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrograd.workloads import Workload

ROOT = Path(__file__).resolve().parent.parent
REST_SECONDS = 0.05
"""Between two turns: threads that still wait for work in a loop go to sleep."""

TRIAL_SECONDS = 1.0
"""The most that a setting is tried for."""

SCAN_STEPS = {"tiny": 64, "mlp": 64, "mlpbig": 8, "rnn": 8, "lstm": 8, "gru": 8, "gpt": 4}
"""Steps in one call of JAX. Not for convolutions: XLA's are slower inside of a loop."""


class SideError(Exception):
    """A measured process failed."""


@dataclass(frozen=True)
class Side:
    """Something that trains.

    Args:
        name: what the report calls it.
        python: the interpreter of its environment.
        module: what is run there.
        settings: all that may be best; the fastest in a short trial is measured.
        rival: whether it is not retrograd.
        form: "call" (a call from Python is a step) or "loop" (many steps in a call).
    """

    name: str
    python: Path
    module: str
    settings: tuple[dict[str, Any], ...]
    rival: bool
    form: str


@dataclass
class Result:
    """What was measured of one side: seconds, bytes.

    Args:
        setting: the best one.
        prepared: what the process said of itself: stages of its start, versions, threads.
        rounds: the median of a step in each round.
        best: the quickest block.
        cores: how many it kept busy, the median over the rounds.
        peak_bytes: the memory of the whole process at its largest.
        trials: a step of the quickest block, for each setting that was tried.
    """

    side: Side
    setting: dict[str, Any]
    prepared: dict[str, Any]
    rounds: list[float] = field(default_factory=list)
    best: float = float("inf")
    busy: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    trials: list[tuple[dict[str, Any], float]] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def cores(self) -> float:
        return statistics.median(self.busy)


class Process:
    """A side with one setting, alive: it prepares its step when it is made."""

    def __init__(
        self,
        side: Side,
        setting: dict[str, Any],
        scratch: Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.side = side
        self.environment = environment or make_environment(side, scratch)
        self._errors = tempfile.TemporaryFile(mode="w+", encoding="utf-8")
        try:
            self._process = subprocess.Popen(
                [str(side.python), "-m", side.module, json.dumps(setting)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                cwd=ROOT,
                env=self.environment,
            )
        except OSError:
            self._errors.close()
            raise
        try:
            self.prepared = self._read()
        except BaseException:
            self.close()
            raise

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has ended: reading says why
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-12:]
            raise SideError(f"{self.side.name} failed:\n  " + "\n  ".join(last))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process; one that does not end by itself is killed."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def make_environment(side: Side, scratch: Path) -> dict[str, str]:
    """The caller's variables, with empty caches and none of retrograd's checks."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RETROGRAD_") or name == "RETROGRAD_THREADS"
    }
    kept["XDG_CACHE_HOME"] = tempfile.mkdtemp(dir=scratch)
    kept["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(dir=scratch)
    # This tree is measured, not one that is installed; the rivals see their own environment alone.
    inherited = kept.pop("PYTHONPATH", "")
    if not side.rival:
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), inherited]))
    return kept


# -- who is measured -------------------------------------------------------------------------------


def list_own_sides(workload: Workload, executor: str) -> list[Side]:
    common = {"workload": workload.name, "executor": executor}
    python, module = Path(sys.executable), "benchmarks.side_retrograd"
    return [
        Side("retrograd", python, module, ({**common, "form": "step"},), False, "call"),
        Side("retrograd fit", python, module, ({**common, "form": "fit"},), False, "loop"),
    ]


def list_torch_sides(workload: Workload, python: Path, cores: int, compiled: bool) -> list[Side]:
    settings: list[dict[str, Any]] = []
    for threads in sorted({1, max(1, cores // 2), cores}):
        for channels_last in (False, True) if workload.reads_images else (False,):
            for compile_too in (False, True) if compiled else (False,):
                setting: dict[str, Any] = {"workload": workload.name, "threads": threads}
                if channels_last:
                    setting["channels_last"] = True
                if compile_too:
                    setting["compile"] = True
                settings.append(setting)
    module = "benchmarks.rivals.peer_torch"
    return [Side("PyTorch", python, module, tuple(settings), True, "call")]


def list_jax_sides(workload: Workload, python: Path, cores: int) -> list[Side]:
    module = "benchmarks.rivals.peer_jax"
    choices = [{"workload": workload.name, "threads": n} for n in sorted({1, cores})]
    sides = [Side("JAX", python, module, tuple(choices), True, "call")]
    if workload.name in SCAN_STEPS:
        inner = {"inner": SCAN_STEPS[workload.name]}
        scans = tuple(choice | inner for choice in choices)
        sides.append(Side("JAX scan", python, module, scans, True, "loop"))
    return sides


# -- measuring -------------------------------------------------------------------------------------


@contextmanager
def scratch_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="retrograd-bench-") as folder:
        yield Path(folder)


def choose_setting(side: Side, seconds: float, scratch: Path) -> Result:
    """Try all settings for a short time each, in processes of their own."""
    trials: list[tuple[dict[str, Any], float]] = []
    for setting in side.settings if len(side.settings) > 1 else ():
        process = Process(side, setting, scratch)
        try:
            # The quickest block, not the median: a busy moment must not decide for the whole run.
            trials.append((setting, min(process.ask({"seconds": seconds})["steps"])))
        finally:
            process.close()
    best = min(trials, key=lambda trial: trial[1])[0] if trials else side.settings[0]
    return Result(side, best, {}, trials=trials)


def measure_sides(
    sides: Sequence[Side], rounds: int, seconds: float, advance: Any
) -> tuple[list[Result], list[str]]:
    """Measure all sides of a workload in turns.

    Args:
        rounds: how many turns each side has; each begins with another side.
        seconds: of a turn.
        advance: called with a text when a part is done; there are
            `count_parts(len(sides), rounds)` parts.

    Returns:
        The results, and what failed.
    """
    results: list[Result] = []
    processes: list[Process] = []
    failures: list[str] = []
    with scratch_folder() as scratch:
        try:
            for side in sides:
                advance(f"{side.name}: settings")
                try:
                    result = choose_setting(side, min(seconds, TRIAL_SECONDS), scratch)
                    process = Process(side, result.setting, scratch)
                except (SideError, OSError) as error:
                    failures.append(str(error))
                    continue
                result.prepared = process.prepared
                results.append(result)
                processes.append(process)
                if not side.rival and side.form == "call":
                    cached = measure_cached_start(process, result.setting, scratch)
                    result.prepared["cached"] = cached
            for number in range(rounds):
                order = list(range(len(processes)))
                start = number % max(1, len(order))
                for index in order[start:] + order[:start]:
                    advance(f"{results[index].side.name}: round {number + 1} of {rounds}")
                    time.sleep(REST_SECONDS)
                    answer = processes[index].ask({"seconds": seconds})
                    result = results[index]
                    result.rounds.append(statistics.median(answer["steps"]))
                    result.best = min(result.best, *answer["steps"])
                    result.busy.append(answer["cores"])
            for result, process in zip(results, processes):
                result.peak_bytes = process.ask({"finish": True})["peak_bytes"]
        finally:
            for process in processes:
                process.close()
    return results, failures


def measure_cached_start(process: Process, setting: dict[str, Any], scratch: Path) -> float:
    """Seconds from the function to a callable, where an earlier process has filled the cache."""
    second = Process(process.side, setting, scratch, process.environment)
    second.close()
    return float(second.prepared["trace"] + second.prepared["compile"])


def count_parts(sides: int, rounds: int) -> int:
    return sides * (rounds + 1)

"""How long each kernel of a program takes on this machine.

A variant of the step with time stamps around its kernels runs again and again on copies of the
inputs; where the usual step writes new values over old ones, so does this one. What is measured is
what the first thread sees, in the order and with the caches of a real step.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..codegen.clock import END, FIRST, NOW, STEP, Clock
from ..native import NativeProgram, OutOfRange
from ..runtime.buffers import empty_state
from ..runtime.processors import choose_thread_count
from .kernels import KernelReport, walk_kernels
from .limits import Limits, Meter

NumpyArray = np.ndarray[Any, Any]
LEAST_RUNS = 5
MOST_RUNS = 500
QUARTILE = 25
LEAST_SPAN = 0.03
"""Seconds between two readings of both clocks, from which the speed of the ticks follows."""


@dataclass(frozen=True, slots=True)
class KernelTime:
    """What was measured of one kernel.

    Args:
        seconds: the lower quartile of its time in a step, all its runs together.
        waiting: for which the first thread waited for others before it could start.
        share: of the step: of the sum of all parts.
        limit: the least possible time: the larger of its arithmetic and its bytes; 0 where
            nothing is known, as how often a kernel in a while_loop or cond has run.
        bound: which of the two: "FLOPs" or "bytes".
    """

    seconds: float
    waiting: float
    share: float
    limit: float
    bound: str

    @property
    def of_limit(self) -> float:
        """The limit by the time; above 1 where the bytes came from a nearer cache."""
        return self.limit / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """The times of all kernels: lower quartiles over the steps.

    Other programs only ever slow a step down.

    Args:
        runs: how many steps were measured.
        median: seconds of the step as it is, with its call from Python, over all of them.
        step: the lower quartile of the same.
        stamped: seconds of the step with time stamps, without that call.
        kernels: one for each kernel of the report, in its order.
        waiting: seconds in which the first thread waited for others, before kernels and at the
            end of the step.
        between: seconds of the step that are neither in a kernel nor waiting.
        limits: of this machine, as measured beside it.
        threads: how many ran the step.
    """

    runs: int
    median: float
    step: float
    stamped: float
    kernels: tuple[KernelTime, ...]
    waiting: float
    between: float
    limits: Limits
    threads: int

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON would have it."""
        return {
            "runs": self.runs,
            "median": self.median,
            "step": self.step,
            "stamped": self.stamped,
            "waiting": self.waiting,
            "between": self.between,
            "threads": self.threads,
            "limits": self.limits.as_dict(),
            "kernels": [asdict(time) | {"of_limit": time.of_limit} for time in self.kernels],
        }


class Copies:
    """A program bound to copies of its inputs.

    Args:
        program: the machine code, with a memory of its own.
        arrays: the inputs.
        replaced: for each output that is a new value of an input, the position of that input.
        inside: whether results lie at cache lines, as those inside of a program do; NumPy's own
            large arrays, which callers get, do not.
    """

    def __init__(
        self,
        program: NativeProgram,
        arrays: Sequence[NumpyArray],
        replaced: dict[int, int],
        inside: bool = False,
    ) -> None:
        self.program = program
        # Of the inputs, then of the results that are written elsewhere.
        self.arrays = [empty_state(array.shape, array.dtype) for array in arrays]
        for copy, array in zip(self.arrays, arrays, strict=True):
            copy[...] = array
        for slot, position in program.inputs:
            program.table[slot] = self.arrays[position].ctypes.data
        pairs = program.plan.lifetimes.select([(i, o) for o, i in replaced.items()])
        over = {target: source for source, target in pairs}
        for position, number in enumerate(program.outputs):
            buffer = program.buffers[number]
            if buffer.kind != "arena":
                continue
            if position in over:
                memory = self.arrays[over[position]]
            else:
                memory = np.zeros(buffer.shape, buffer.dtype)
                if inside:
                    memory = empty_state(buffer.shape, buffer.dtype)
                    memory[...] = 0
                self.arrays.append(memory)
            program.table[program.slots[number]] = memory.ctypes.data

    def run(self) -> float:
        """Run once; the seconds that it took."""
        begin = time.perf_counter()
        try:
            self.program.execute({})
        except OutOfRange:
            raise self.program.explain(self.arrays) from None
        return time.perf_counter() - begin


def measure_profile(
    program: NativeProgram,
    rows: Sequence[KernelReport],
    arrays: Sequence[NumpyArray],
    replaced: dict[int, int],
    known: Limits | None,
    repeats: int | None,
    seconds: float,
    tell: Callable[[float], None] = lambda part: None,
) -> Profile:
    """Measure every kernel of a program.

    Args:
        program: the program; it is not run itself.
        rows: its kernels.
        arrays: the inputs; they are copied.
        replaced: for each output that is a new value of an input, the position of that input.
        known: limits of this machine that were measured before.
        repeats: how many steps; by default as many as `seconds` allow, at least 5.
        seconds: for how long.
        tell: is told which part of the work is done.
    """
    meter = Meter(choose_thread_count()) if known is None else None
    limits = meter.measure() if meter is not None else known
    clock = Clock()
    stamped = program.duplicate(clock)
    ticks = clock.ticks
    marked = Copies(stamped, arrays, replaced)
    plain = Copies(program.duplicate(), arrays, replaced)
    for copies in (marked, plain, marked, plain):
        copies.run()
    steps: list[float] = []
    found: list[NumpyArray] = []
    begin = time.perf_counter()
    while True:
        ticks[:] = 0
        marked.run()
        now = time.perf_counter()
        found.append(ticks.copy())
        if len(found) == 1:
            first = now
        steps.append(plain.run())
        done = min((time.perf_counter() - begin) / seconds, len(steps) / LEAST_RUNS)
        if repeats is not None:
            done = len(steps) / repeats
        elif len(steps) == MOST_RUNS:
            done = 1.0
        tell(min(done, 1.0))
        if done >= 1.0:
            break
    time.sleep(max(0.0, first + LEAST_SPAN - time.perf_counter()))
    marked.run()
    second = (ticks[NOW] - found[0][NOW]) / (time.perf_counter() - first)
    if meter is not None and limits is not None:
        limits = limits.raise_to(meter.measure())
    assert limits is not None
    columns = list(range(FIRST))
    for kernel, *_ in walk_kernels(program.schedule):  # in the order of the rows
        columns += [clock.place_of(kernel), clock.place_of(kernel, waiting=True)]
    times = np.array(found)[:, columns] / second
    return summarise(rows, times, steps, limits, stamped.threads or 1)


def summarise(
    rows: Sequence[KernelReport],
    times: NumpyArray,
    steps: Sequence[float],
    limits: Limits,
    threads: int,
) -> Profile:
    """What was counted, as a profile.

    Args:
        rows: the kernels.
        times: (runs, counts): seconds in the places of codegen/clock.py.
        steps: (runs,): seconds of the steps without stamps.
        limits: of this machine.
        threads: how many ran the step.
    """
    # Kernels inside of loops count with their loop, and so does what is waited there.
    top = [FIRST + 2 * row.number for row in rows if not row.depth]
    before = [place + 1 for place in top]
    waits = times[:, END] + times[:, before].sum(1)
    quartiles = np.percentile(times, QUARTILE, axis=0)
    waiting = float(quartiles[END] + quartiles[before].sum())
    between = np.percentile(times[:, STEP] - times[:, top].sum(1) - waits, QUARTILE)
    # What other programs take from a step falls on some kernel or other: the parts add up to less
    # than the quartile of the whole.
    total = float(quartiles[top].sum() + waiting + between)
    return Profile(
        runs=len(times),
        median=statistics.median(steps),
        step=float(np.percentile(steps, QUARTILE)),
        stamped=float(quartiles[STEP]),
        kernels=tuple(_tell_time(row, quartiles, total, limits, threads) for row in rows),
        waiting=waiting,
        between=float(between),
        limits=limits,
        threads=threads,
    )


def _tell_time(
    row: KernelReport, quartiles: NumpyArray, total: float, limits: Limits, threads: int
) -> KernelTime:
    """What the counts say of a kernel."""
    place = FIRST + 2 * row.number
    seconds, waiting = float(quartiles[place]), float(quartiles[place + 1])
    # How often it ran is not known where that depends on values.
    arithmetic, moving = (
        (0.0, 0.0)
        if row.when
        else (
            row.runs * part
            for part in limits.times(
                row.flops / row.runs * row.width / 4, row.bytes / row.runs, threads
            )
        )
    )
    return KernelTime(
        seconds=seconds,
        waiting=waiting,
        share=seconds / total if total else 0.0,
        limit=max(arithmetic, moving),
        bound="FLOPs" if arithmetic >= moving else "bytes",
    )

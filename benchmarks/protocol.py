"""How a measured process talks with `run.py`: lines of JSON, one side at a time.

A process gets its settings as its only argument, prepares its training step, reports how long that
took, and then waits. On `{"seconds": s}` it trains for about so long and answers with the seconds
of a step, block by block, and with the cores that it kept busy; on `{"finish": true}` it answers
with its peak memory and ends. Between the turns it sleeps, so that the others have the machine for
themselves. Nothing but Python's own library is imported here: the rivals' environments have no
retrograd.
"""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

BLOCK_SECONDS = 0.03
"""A block of steps lasts about so long: the clock and a wait for the end cost nothing beside it."""


class Session(ABC):
    """A training that goes on, step by step."""

    @abstractmethod
    def prepare(self) -> dict[str, Any]:
        """Make the step and do it once: seconds by stage, versions, threads."""

    @abstractmethod
    def run(self, steps: int) -> int:
        """Train for about so many steps and wait for their end; how many they were."""


def read_peak_memory() -> int:
    """The largest resident size of this process so far, in bytes.

    Linux hands `ru_maxrss` down from the process that started this one; its status file does not.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def measure_blocks(session: Session, seconds: float) -> list[float]:
    """Seconds of a step in each block of steps, for about so long."""
    begin = time.perf_counter()
    # The first step finds the caches cold and the threads asleep: it does not count.
    each = measure_block(session, 1)
    times: list[float] = []
    while not times or time.perf_counter() - begin < seconds:
        each = measure_block(session, max(1, round(BLOCK_SECONDS / each)))
        times.append(each)
    return times


def measure_block(session: Session, steps: int) -> float:
    """Seconds of a step, from about so many of them."""
    begin = time.perf_counter()
    done = session.run(steps)
    return (time.perf_counter() - begin) / done


class Kernels(ABC):
    """A side that runs single kernels."""

    @abstractmethod
    def prepare(self) -> dict[str, Any]:
        """Set the number of threads; versions."""

    @abstractmethod
    def load(self, name: str) -> list[Callable[[], Any]]:
        """What computes a case, in all forms of which the best is to be taken; [] if nothing can.

        The results may be left where they are, and written over by the next call.
        """


def serve_kernels(make: Callable[[dict[str, Any]], Kernels]) -> None:
    """Answer `{"case": name, "seconds": s}` with the seconds of a call, until the input ends.

    One thread is measured by its processor time, several by the clock on the wall.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    settings = json.loads(sys.argv[1])
    clock = time.thread_time if settings["threads"] == 1 else time.perf_counter
    side = make(settings)
    answer(side.prepare())
    loaded, forms = "", []
    for line in sys.stdin:
        order = json.loads(line)
        if order["case"] != loaded:
            forms.clear()  # the memory of the case before
            loaded, forms = order["case"], side.load(order["case"])
            if len(forms) > 1:
                forms = [min(forms, key=lambda run: measure_calls(run, clock, 0.2))]
        taken = measure_calls(forms[0], clock, order["seconds"]) if forms else None
        answer({"seconds": taken})


def measure_calls(run: Callable[[], Any], clock: Callable[[], float], seconds: float) -> float:
    """Seconds of the quickest call, after one that does not count."""
    run()
    best = float("inf")
    end = time.perf_counter() + seconds
    calls = 0
    while calls < 3 or time.perf_counter() < end:
        begin = clock()
        run()
        best = min(best, clock() - begin)
        calls += 1
    return best


def serve(make: Callable[[dict[str, Any]], Session]) -> None:
    """Answer the orders that come on standard input, until the last."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not get between the answers

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    session = make(json.loads(sys.argv[1]))
    answer(session.prepare())
    for line in sys.stdin:
        order = json.loads(line)
        if "seconds" in order:
            wall, processor = time.perf_counter(), time.process_time()
            steps = measure_blocks(session, order["seconds"])
            used = (time.process_time() - processor) / (time.perf_counter() - wall)
            answer({"steps": steps, "cores": used})
        else:
            answer({"peak_bytes": read_peak_memory()})
            return

"""What this machine can do at the most: multiply-adds and memory, on one core and on all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

COPIED_BYTES = 1 << 27
"""Of one array of a copy: two of them are larger than the caches of most machines."""


@dataclass(frozen=True)
class Limits:
    """Measured limits.

    Args:
        threads: how many cores "all" are.
        peak, peak_all: FLOP/s of float32 multiply-adds in registers, on one core and on all.
        bandwidth, bandwidth_all: bytes/s of a copy in memory (reads and writes).
    """

    threads: int
    peak: float
    peak_all: float
    bandwidth: float
    bandwidth_all: float

    def raise_to(self, other: Limits) -> Limits:
        """The better of two measurements: other programs only ever lower them."""
        mine, theirs = asdict(self), asdict(other)
        return Limits(**{name: max(mine[name], theirs[name]) for name in mine})

    def seconds(self, flops: float, moved: float) -> float:
        """The least time of a step on all cores: the larger of its arithmetic and its bytes."""
        return max(flops / self.peak_all, moved / self.bandwidth_all)

    def bound(self, flops: float, moved: float) -> str:
        """Which of the two it is."""
        return "FLOPs" if flops / self.peak_all >= moved / self.bandwidth_all else "bytes"


class Meter:
    """Measures the limits again and again, with memory and machine code made once."""

    def __init__(self, threads: int) -> None:
        # The loop of multiply-adds is that of the benchmark of single kernels.
        from .kernels import make_peak

        self.threads = threads
        self._peaks: list[tuple[Callable[[], float], Any]] = [make_peak() for _ in range(threads)]
        # Split before it is measured, so that "one core" and "all" copy the same bytes.
        part = COPIED_BYTES // 4 // threads
        self._arrays = [
            (np.ones(part, np.float32), np.zeros(part, np.float32)) for _ in range(threads)
        ]

    def measure(self, repeats: int = 3) -> Limits:
        """All four limits, each the best of several."""
        one_peak = max(self._measure_peaks(1) for _ in range(repeats))
        all_peak = max(self._measure_peaks(self.threads) for _ in range(repeats))
        one_copy = max(self._measure_copies(1) for _ in range(repeats))
        all_copy = max(self._measure_copies(self.threads) for _ in range(repeats))
        # On a busy machine one core may look better than all of them.
        return Limits(
            self.threads, one_peak, max(one_peak, all_peak), one_copy, max(one_copy, all_copy)
        )

    def _measure_peaks(self, threads: int) -> float:
        """FLOP/s of all threads together, by the processor time of each."""
        speeds = [0.0] * threads

        def work(number: int) -> None:
            speeds[number] = self._peaks[number][0]() * 1e9

        run_together([lambda n=n: work(n) for n in range(threads)])  # type: ignore[misc]
        return sum(speeds)

    def _measure_copies(self, threads: int) -> float:
        """Bytes/s of all threads together, by the clock on the wall."""
        shares = [self._arrays[n::threads] for n in range(threads)]

        def work(number: int) -> None:
            for source, target in shares[number]:
                np.copyto(target, source)

        begin = time.perf_counter()
        run_together([lambda n=n: work(n) for n in range(threads)])  # type: ignore[misc]
        moved = 2 * sum(source.nbytes for source, _ in self._arrays)
        return moved / (time.perf_counter() - begin)


def run_together(jobs: list[Callable[[], None]]) -> None:
    """Run each job on a thread of its own, the first on this one."""
    others = [threading.Thread(target=job) for job in jobs[1:]]
    for thread in others:
        thread.start()
    jobs[0]()
    for thread in others:
        thread.join()

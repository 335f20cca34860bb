"""What this machine can do at the most: multiply-adds and memory, on one core and on all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..codegen.peak import write_copies, write_peak
from ..runtime import jit, kept
from ..runtime.target import host_target

COPIED_BYTES = 1 << 27
"""Of one array of a copy: two of them are larger than the caches of most machines."""
CACHED_BYTES = (1 << 14, 1 << 18, 1 << 21, 1 << 24)
"""Of both arrays of copies inside of caches, for each thread: the first, second and third level of
most machines hold so much, but for the last, which is more than some."""
CACHED_WORK = 1 << 25
"""Bytes of such copies in one measurement."""


@dataclass(frozen=True)
class Limits:
    """Measured limits.

    Args:
        threads: how many cores "all" are.
        peak, peak_all: FLOP/s of float32 multiply-adds in registers, on one core and on all.
        bandwidth, bandwidth_all: bytes/s in memory (reads and writes), the better of a copy and of
            an update in place.
        caches: the same of copies inside of caches: (bytes that each thread works on, bytes/s on
            one core, bytes/s on all).
        copy, copy_all: bytes/s of a copy in memory alone: what writes elsewhere is no quicker.
    """

    threads: int
    peak: float
    peak_all: float
    bandwidth: float
    bandwidth_all: float
    caches: tuple[tuple[int, float, float], ...] = ()
    copy: float = 0.0
    copy_all: float = 0.0

    def raise_to(self, other: Limits) -> Limits:
        """The better of two measurements: other programs only ever lower them."""
        mine, theirs = asdict(self), asdict(other)
        caches = tuple(
            (size, max(one, other_one), max(together, other_together))
            for (size, one, together), (_, other_one, other_together) in zip(
                self.caches, other.caches
            )
        )
        highest = {name: max(mine[name], theirs[name]) for name in mine if name != "caches"}
        return Limits(**highest, caches=caches)

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON would have it."""
        return asdict(self) | {"caches": [list(cache) for cache in self.caches]}

    def seconds(self, flops: float, moved: float) -> float:
        """The least time of a step on all cores: the larger of its arithmetic and its bytes."""
        return max(flops / self.peak_all, moved / self.bandwidth_all)

    def times(self, flops: float, moved: float, threads: int) -> tuple[float, float]:
        """The least seconds of the arithmetic of a kernel, and of its bytes.

        What is small enough for a cache is held against the bandwidth of that cache.

        Args:
            flops: in float32.
            moved: bytes.
            threads: 1, or all of them.
        """
        peak, bandwidth = self.peak, self.bandwidth
        if threads > 1:
            peak, bandwidth = self.peak_all, self.bandwidth_all
        for size, one, together in self.caches:
            if moved / threads <= size:
                bandwidth = max(bandwidth, one if threads == 1 else together)
                break
        return flops / peak, moved / bandwidth

    def bound(self, flops: float, moved: float) -> str:
        """Which of the two it is."""
        return "FLOPs" if flops / self.peak_all >= moved / self.bandwidth_all else "bytes"


class Peak:
    """Multiply-adds in the registers of one core."""

    def __init__(self) -> None:
        text, count, self._operations = write_peak(host_target())
        self._library = jit.load(kept.assemble(text), ["peak"])
        self._function = jit.function(self._library, "peak", 1)
        self._memory = np.full(count, 0.5, np.float32)

    def measure(self, repeats: int = 5) -> float:
        """FLOP/s in float32 by the processor time of this thread: the best of several."""
        best = float("inf")
        for _ in range(repeats):
            begin = time.thread_time()
            self._function(self._memory.ctypes.data)
            best = min(best, time.thread_time() - begin)
        return self._operations / best


class Copies:
    """Copies inside of the caches of one core, and updates of memory in place."""

    def __init__(self) -> None:
        library = jit.load(kept.assemble(write_copies(host_target())), ["copy", "negate"])
        self._library = library
        self._copy, self._negate = (jit.function(library, n, 4) for n in ("copy", "negate"))
        self._memory = np.ones(max(CACHED_BYTES) + 256, np.uint8)
        self._address = -(-self._memory.ctypes.data // 128) * 128

    def measure(self, size: int, repeats: int = 5) -> float:
        """Bytes/s (reads and writes) by the processor time of this thread: the best of several."""
        best, times = float("inf"), CACHED_WORK // size
        for _ in range(repeats):
            begin = time.thread_time()
            self._copy(self._address, self._address + size // 2, size // 2, times)
            best = min(best, time.thread_time() - begin)
        return times * size / best

    def update(self, array: np.ndarray[Any, Any]) -> None:
        """Read and write every element once, but for a few at the ends."""
        start = -(-array.ctypes.data // 256) * 256
        size = (array.ctypes.data + array.nbytes - start) // 256 * 256
        self._negate(start, start, size, 1)


class Meter:
    """Measures the limits again and again, with memory and machine code made once."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._peaks = [Peak() for _ in range(threads)]
        self._copies = [Copies() for _ in range(threads)]
        # Split before it is measured, so that "one core" and "all" copy the same bytes.
        part = COPIED_BYTES // 4 // threads
        self._arrays = [
            (np.ones(part, np.float32), np.zeros(part, np.float32)) for _ in range(threads)
        ]

    def measure(self, repeats: int = 3) -> Limits:
        """All limits, each the best of several."""
        # These are short: other programs spoil most of few.
        one_peak = max(self._measure_peaks(1) for _ in range(10 * repeats))
        all_peak = max(self._measure_peaks(self.threads) for _ in range(10 * repeats))
        one = [self._measure_memory(1) for _ in range(repeats)]
        together = [self._measure_memory(self.threads) for _ in range(repeats)]
        one_copy, one_update = (max(speeds) for speeds in zip(*one))
        all_copy, all_update = (max(speeds) for speeds in zip(*together))
        caches = []
        for size in CACHED_BYTES:
            alone = max(self._measure_cached(size, 1) for _ in range(repeats))
            shared = max(self._measure_cached(size, self.threads) for _ in range(repeats))
            caches.append((size, alone, max(alone, shared)))
        # On a busy machine one core may look better than all of them.
        return Limits(
            self.threads,
            one_peak,
            max(one_peak, all_peak),
            max(one_copy, one_update),
            max(one_copy, one_update, all_copy, all_update),
            tuple(caches),
            one_copy,
            max(one_copy, all_copy),
        )

    def _measure_peaks(self, threads: int) -> float:
        """FLOP/s of all threads together, by the processor time of each."""
        speeds = [0.0] * threads

        def work(number: int) -> None:
            speeds[number] = self._peaks[number].measure()

        run_together([lambda n=n: work(n) for n in range(threads)])  # type: ignore[misc]
        return sum(speeds)

    def _measure_cached(self, size: int, threads: int) -> float:
        """Bytes/s of all threads together inside of caches, by the processor time of each."""
        speeds = [0.0] * threads

        def work(number: int) -> None:
            speeds[number] = self._copies[number].measure(size)

        run_together([lambda n=n: work(n) for n in range(threads)])  # type: ignore[misc]
        return sum(speeds)

    def _measure_memory(self, threads: int) -> tuple[float, float]:
        """Bytes/s of all threads together, of a copy and of an update in place.

        By the processor time of one thread; by the clock on the wall where threads share memory.
        """
        clock = time.thread_time if threads == 1 else time.perf_counter
        shares = [self._arrays[n::threads] for n in range(threads)]

        def copy(number: int) -> None:
            for source, target in shares[number]:
                np.copyto(target, source)

        def update(number: int) -> None:
            for pair in shares[number]:
                for array in pair:
                    self._copies[number].update(array)

        moved = [2 * sum(source.nbytes for source, _ in self._arrays)]
        moved.append(2 * moved[0])
        speeds = []
        for work, size in zip((copy, update), moved):
            begin = clock()
            run_together([lambda n=n, work=work: work(n) for n in range(threads)])  # type: ignore[misc]
            speeds.append(size / (clock() - begin))
        return speeds[0], speeds[1]


def run_together(jobs: list[Callable[[], None]]) -> None:
    """Run each job on a thread of its own, the first on this one."""
    others = [threading.Thread(target=job) for job in jobs[1:]]
    for thread in others:
        thread.start()
    jobs[0]()
    for thread in others:
        thread.join()

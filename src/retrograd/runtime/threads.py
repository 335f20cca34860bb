"""Threads that run machine code together: workers that are started once and wait for jobs.

A worker is a daemon thread of Python that calls one function of machine code and never comes back:
it holds no lock of Python's, so that the interpreter ends without it. How workers wait and meet is
machine code too, written by codegen/team.py.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, final

from ..config import MOST_THREADS
from . import jit
from .forks import LOCK, renew_in_child
from .processors import count_processors

NAMES = ["run_job", "work", "size", "prepare", "count_workers"]
ALIGNMENT = 128

SPINS = 100
"""Looks with a pause between before a waiting thread yields: about 4 microseconds. Spinning longer
gains nothing, since a yield returns at once where no other thread waits for the core, and costs
much where one does: with 2000, threads that share a core met twenty times more slowly."""

FEW_SPINS = 20
"""The same where threads outnumber processors: the one that is waited for needs this one's."""

YIELDS = 4000
"""Yields before a waiting thread sleeps: about 2 milliseconds."""

FEW_YIELDS = 400
"""The same where threads outnumber processors: each yield then takes as long as others work."""

PATIENCE = 5.0
"""Seconds to wait for new workers to arrive. Without them, jobs run on the calling thread."""


@final
class Pool:
    """A team of threads: the caller's, and workers that wait for jobs.

    Workers are started by the first job. After a fork the child starts its own. A job that comes
    while another is under way, from a second thread or from inside the first job, runs alone on
    its own thread: programs give the same bits on any number of threads.

    Args:
        threads: how many, with the calling one.
        library: the machine code of codegen/team.py.
    """

    def __init__(self, threads: int, library: jit.Library) -> None:
        self.threads = threads
        self._library = library
        self._run = _bind(library, "run_job", 3)
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """A team without workers, in fresh memory: in a child, the old one's state is unknown."""
        self._lock = threading.Lock()
        self._started = self.threads == 1
        size = _bind(self._library, "size", 1)(self.threads)
        self._memory = ctypes.create_string_buffer(size + ALIGNMENT)
        start = ctypes.addressof(self._memory)
        self._address = start + -start % ALIGNMENT
        crowded = self.threads > count_processors()
        patience = (FEW_SPINS, FEW_YIELDS) if crowded else (SPINS, YIELDS)
        prepare = _bind(self._library, "prepare", 4)
        if prepare(self._address, self.threads, *patience):
            raise OSError("The C library cannot make a lock.")

    def run(self, function: int, table: int) -> int:
        """Run a job on all threads of the team, and wait for its end.

        Ctrl-C during a job is raised after it.

        Args:
            function: the address of an `i64 step(ptr table, i64 thread, i64 threads, ptr team)`.
            table: its first argument. What it points to must stay alive until the end.

        Returns:
            The first result that is not zero in the order of the threads, or zero.
        """
        if not self._started:
            self._start()
        result: int = self._run(self._address, function, table)
        return result

    def _start(self) -> None:
        """Start the workers. Where the system gives no more threads, jobs run alone."""
        with self._lock:
            if self._started or sys.is_finalizing():
                return
            present = _bind(self._library, "count_workers", 1)
            for number in range(1, self.threads):
                name = f"retrograd worker {number}"
                # The arguments keep code and memory alive as long as the worker uses them.
                arguments = (self._library, self._memory, self._address, number)
                try:
                    threading.Thread(target=_work, args=arguments, name=name, daemon=True).start()
                except RuntimeError:
                    break
            else:
                limit = time.monotonic() + PATIENCE
                while present(self._address) < self.threads - 1 and time.monotonic() < limit:
                    time.sleep(2e-5)
            self._started = True


def _work(library: jit.Library, memory: Any, address: int, number: int) -> None:
    """A worker's life. If its place has a worker already, it ends at once."""
    _bind(library, "work", 2)(address, number)


def _bind(library: jit.Library, name: str, arguments: int) -> Any:
    return jit.function(library, name, arguments)


_pools: dict[int, Pool] = {}
_library: jit.Library | None = None


def get_pool(threads: int, assemble: Callable[[], bytes]) -> Pool:
    """The team with so many threads; each is made once in a process.

    Args:
        threads: from 1 to 256, the calling thread among them.
        assemble: gives the object code of codegen/team.py; called when no pool exists yet.
    """
    global _library
    pool = _pools.get(threads)
    if pool is not None:  # without the lock: somebody may be compiling
        return pool
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"{threads} threads; from 1 to {MOST_THREADS} are possible")
    with LOCK:
        if threads not in _pools:
            if _library is None:
                _library = jit.load(assemble(), NAMES, process=True)
            _pools[threads] = Pool(threads, _library)
        return _pools[threads]

"""The team of threads and processes: forks, many processes, the end of the interpreter."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd
import retrograd as rg
from retrograd import native
from retrograd.runtime import jit
from tests.native.jobs import count_threads, expect_chain, get_team, hold, run_chain

# Python warns of a fork where several threads run; here that is what is tested.
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def fork(work: Callable[[], bool]) -> None:
    """The work in a child must give True within ten seconds."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    limit = time.monotonic() + 10
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        if time.monotonic() > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(1e-3)


def check(count: int = 2) -> bool:
    team = get_team(count)
    return run_chain(team) == expect_chain() and count_threads(team) == count


@forks
def test_parent_child_and_grandchild_run_jobs() -> None:
    def generations() -> bool:
        fork(check)
        return check()

    for _ in range(5):
        assert check()
        fork(check)
        fork(generations)
        assert check()


@forks
def test_a_child_does_not_wait_for_the_job_that_ran_at_the_fork() -> None:
    team = get_team(2)
    count_threads(team)
    holder, table = hold(team)
    fork(check)
    table[0] = 1
    holder.join(10)
    assert check()


@forks
def test_a_fork_while_another_thread_compiles() -> None:
    stop = threading.Event()

    def compile_answer() -> int:
        library = jit.load(jit.assemble("define i64 @answer() { ret i64 42 }"), ["answer"])
        answer: int = jit.function(library, "answer", 0)()
        return answer

    def compile_on() -> None:
        while not stop.is_set():
            compile_answer()

    def compile_here() -> bool:
        return compile_answer() == 42 and check()

    compiler = threading.Thread(target=compile_on)
    compiler.start()
    try:
        for _ in range(30):
            fork(compile_here)
    finally:
        stop.set()
        compiler.join()


@forks
def test_a_fork_while_another_thread_lowers(monkeypatch: pytest.MonkeyPatch) -> None:
    # functools.cached_property has a lock for all programs: a child found it taken.
    inside, go_on = threading.Event(), threading.Event()
    lower = native.lower

    def lower_slowly(*arguments: Any, **keywords: Any) -> Any:
        if threading.current_thread() is thread:
            inside.set()
            go_on.wait(30)
        return lower(*arguments, **keywords)

    def run() -> bool:
        x = np.full((3, 5), 2.0, np.float32)
        return bool((rg.compile(lambda x: x * x + x)(x).numpy() == 6).all())

    monkeypatch.setattr(native, "lower", lower_slowly)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert inside.wait(30)
        fork(run)
    finally:
        go_on.set()
        thread.join()


LOCKS = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"}
LOCKS |= {"Queue", "SimpleQueue", "LifoQueue", "PriorityQueue", "cached_property"}


def find_locks(tree: ast.AST, function: str = "") -> Iterator[tuple[str, int, str]]:
    """What makes a lock or has one inside: its name, its line, and the function around it."""
    for child in ast.iter_child_nodes(tree):
        inner = child.name if isinstance(child, ast.FunctionDef) else function
        made = [child.func] if isinstance(child, ast.Call) else getattr(child, "decorator_list", [])
        for one in made:
            name = getattr(one, "attr", getattr(one, "id", ""))
            if name in LOCKS:
                yield name, one.lineno, inner
        yield from find_locks(child, inner)


def test_every_lock_is_made_anew_in_a_child() -> None:
    root = Path(retrograd.__file__).parent
    found = []
    for path in root.rglob("*.py"):
        if path.parent.name == "runtime" and path.name in ("forks.py", "turns.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [(path.name, *place) for place in find_locks(tree) if place[2] != "renew"]
    assert not found, "use retrograd.runtime.forks: LOCK, renew_in_child or computed_once"


# -- other processes ------------------------------------------------------------------------------


def run_script(script: str, code: int = 0) -> float:
    """Run Python in a process of its own; the seconds between its last line and its end."""
    paths = [str(Path(retrograd.__file__).parents[1]), str(Path(__file__).parents[2])]
    script = "from tests.native.jobs import *\nimport os, sys, threading, time\n" + script
    script += "\nprint(time.time(), flush=True)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    end = time.time()
    assert done.returncode == code, done.stderr
    assert not done.stderr
    return end - float(done.stdout.split()[-1])


@pytest.mark.parametrize(
    "script",
    [
        "get_team(2)",
        "count_threads(get_team(2))",
        "count_threads(get_team(4)); time.sleep(0.1)",
        "for n in (2, 3, 8): count_threads(get_team(n))",
    ],
    ids=["without a job", "hot", "asleep", "several teams"],
)
def test_the_interpreter_ends_with_idle_workers(script: str) -> None:
    assert run_script(script) < 1.0


def test_the_interpreter_ends_while_a_daemon_thread_runs_a_job() -> None:
    script = """
table = np.zeros(2, np.int64)
threading.Thread(target=run, args=(get_team(2), "flag", table), daemon=True).start()
while not table[1]:
    time.sleep(1e-3)
"""
    assert run_script(script) < 1.0


def test_jobs_run_in_exit_handlers() -> None:
    script = """
import atexit
def late():
    assert run_chain(get_team(3)) == expect_chain() and run_chain(get_team(2)) == expect_chain()
atexit.register(late)
count_threads(get_team(2))
"""
    run_script(script)


def test_two_hundred_processes_start_and_end() -> None:
    # Some of the children end as an interpreter does, which takes longer than os._exit.
    script = """
import warnings
warnings.simplefilter("ignore")
team = get_team(2)
wanted = expect_chain()
assert run_chain(team) == wanted
for number in range(200):
    child = os.fork()
    if child == 0:
        code = 0 if run_chain(team) == wanted and count_threads(team) == 2 else 3
        sys.exit(code) if number % 8 == 0 else os._exit(code)
    assert os.waitpid(child, 0)[1] == 0, number
assert run_chain(team) == wanted
"""
    run_script(script)


def test_no_wake_up_is_lost() -> None:
    # Whoever waits sleeps at once, and the other comes at every moment of its going to sleep.
    # In a process of its own, so that a lost wake-up ends in a timeout.
    script = """
from retrograd.runtime import threads
threads.SPINS = threads.YIELDS = threads.FEW_SPINS = threads.FEW_YIELDS = 1
team, table = make_team(2), np.zeros(2, np.int64)
assert count_threads(team) == 2
limit = time.monotonic() + 4
for delay in range(5_000):
    if time.monotonic() > limit:  # where both threads share a core, each job takes a time slice
        break
    table[:] = 1 + delay, 0
    assert run(team, "late", table) == 0
"""
    run_script(script)


def test_the_workers_of_multiprocessing_run_jobs() -> None:
    script = """
import multiprocessing, warnings
warnings.simplefilter("ignore")
wanted = [expect_chain(seed) for seed in range(8)]
assert run_chain(get_team(2)) == wanted[0]
def work(seed): return run_chain(get_team(2), seed)
with multiprocessing.get_context("fork").Pool(3) as pool:
    assert pool.map(work, range(8)) == wanted
assert run_chain(get_team(2)) == wanted[0]
"""
    run_script(script)

"""The team of threads: same bits on any number, and it survives forks, Ctrl-C and the end."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import retrograd
from retrograd.codegen.team import write_team
from retrograd.config import MOST_THREADS
from retrograd.runtime import jit, threads
from tests.native.jobs import (
    GRAIN,
    call_directly,
    count_threads,
    expect_chain,
    get_team,
    load_jobs,
    make_team,
    run,
    run_chain,
)

COUNTS = (1, 2, 3, 4, 8)

# Python warns of a fork where several threads run; here that is what is tested.
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.mark.parametrize("count", COUNTS)
def test_results_do_not_depend_on_the_number_of_threads(count: int) -> None:
    team = get_team(count)
    for seed in range(5):
        assert run_chain(team, seed) == expect_chain(seed)
    assert count_threads(team) == count


@pytest.mark.parametrize("count", COUNTS)
def test_nobody_passes_a_barrier_before_all_have_arrived(count: int) -> None:
    rounds = 100_000 if count <= 2 else 5_000
    table = np.zeros(1 + count, np.int64)
    table[0] = rounds
    assert run(get_team(count), "barriers", table) == 0
    assert (table[1:] == rounds - 1).all()


@pytest.mark.parametrize("count", [2, 3, 8])
def test_sleeping_workers_wake_for_every_job(count: int) -> None:
    team = get_team(count)
    for pause in (0.0, 1e-4, 1e-3, 4e-3, 8e-3, 2e-2) * 5:
        time.sleep(pause)
        assert count_threads(team) == count


def test_a_thread_that_waits_long_at_a_barrier_sleeps_and_wakes() -> None:
    team = get_team(3)
    kind = ctypes.CFUNCTYPE(None)
    for _ in range(3):
        before = time.process_time()
        callback = kind(lambda: time.sleep(0.3))
        address = ctypes.cast(callback, ctypes.c_void_p).value
        assert run(team, "call", np.array([address], np.int64)) == 0
        assert time.process_time() - before < 0.25


def test_idle_workers_take_no_time() -> None:
    for count in COUNTS:
        count_threads(get_team(count))
    time.sleep(0.3)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.05


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 256])
def test_shares_are_a_partition_in_multiples_of_the_grain(count: int) -> None:
    for items in (0, 1, GRAIN - 1, GRAIN, GRAIN + 1, 100, 1000, 4096, 10_007, 2**40 + 5):
        ranges = []
        for thread in range(count):
            table = np.array([items, -1, -1], np.int64)
            call_directly("range", table, thread, count)
            ranges.append((int(table[1]), int(table[2])))
        assert ranges[0][0] == 0 and ranges[-1][1] == items
        assert all(a[1] == b[0] for a, b in zip(ranges, ranges[1:]))
        assert all(first % GRAIN == 0 or first == items for first, _ in ranges)
        pieces = [-(-(last - first) // GRAIN) for first, last in ranges]
        assert max(pieces) - min(pieces) <= 1


def test_several_python_threads_run_jobs_at_once() -> None:
    team, results = get_team(2), []

    def work(seed: int) -> None:
        results.extend(run_chain(team, seed) == expect_chain(seed) for _ in range(40))

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert results == [True] * 160
    assert count_threads(team) == 2


def hold(team: threads.Pool) -> tuple[threading.Thread, np.ndarray]:
    """A job of another thread that runs until the first word of the table is set."""
    table = np.zeros(2, np.int64)
    holder = threading.Thread(target=run, args=(team, "flag", table), daemon=True)
    holder.start()
    while not table[1]:
        time.sleep(1e-4)
    return holder, table


def test_a_job_beside_another_runs_alone() -> None:
    team = get_team(2)
    assert count_threads(team) == 2
    holder, table = hold(team)
    assert count_threads(team) == 1
    assert run_chain(team, 3) == expect_chain(3)
    table[0] = 1
    holder.join(10)
    assert count_threads(team) == 2


def test_a_job_inside_a_job_runs_alone() -> None:
    team, seen = get_team(2), []
    callback = ctypes.CFUNCTYPE(None)(lambda: seen.append(count_threads(team)))
    address = ctypes.cast(callback, ctypes.c_void_p).value
    assert run(team, "call", np.array([address], np.int64)) == 0
    assert seen == [1]
    assert count_threads(team) == 2


def test_ctrl_c_during_a_job_is_raised_after_it() -> None:
    team = get_team(2)
    count_threads(team)
    for _ in range(3):
        table = np.zeros(2, np.int64)

        def interrupt(table: np.ndarray = table) -> None:
            time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.02)
            table[0] = 1

        helper = threading.Thread(target=interrupt)
        with pytest.raises(KeyboardInterrupt):
            helper.start()
            run(team, "flag", table)
            time.sleep(5)
        assert table[0] == 1, "the job was torn"
        helper.join()
        assert count_threads(team) == 2
        assert run_chain(team) == expect_chain()


def test_an_interrupted_start_is_taken_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    team, start = make_team(4), threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.endswith("2"):
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        count_threads(team)
    monkeypatch.undo()
    assert count_threads(team) == 4
    assert run_chain(team) == expect_chain()


def test_where_no_thread_can_be_started_jobs_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    team = make_team(3)
    assert count_threads(team) == 1
    assert run_chain(team) == expect_chain()


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="only there libraries change the word"
)
def test_denormals_are_kept_whatever_the_calling_thread_does() -> None:
    text = """
define i64 @set(ptr %word) {
  call void @llvm.x86.sse.ldmxcsr(ptr %word)
  ret i64 0
}
define i64 @get(ptr %word) {
  call void @llvm.x86.sse.stmxcsr(ptr %word)
  ret i64 0
}
declare void @llvm.x86.sse.ldmxcsr(ptr)
declare void @llvm.x86.sse.stmxcsr(ptr)
"""
    library = jit.load(jit.assemble(text), ["set", "get"])
    team, flushing = make_team(3), 0x9FC0
    tables, words = [], []

    def work() -> None:
        word = np.array([flushing], np.int32)
        jit.function(library, "set", 1)(word.ctypes.data)
        table = np.array([1e-310, 0.0, 0.0, 0.0])
        run(team, "small", table)
        word[0] = 0
        jit.function(library, "get", 1)(word.ctypes.data)
        tables.append(table)
        words.append(int(word[0]))

    thread = threading.Thread(target=work)  # not the main thread, whose word stays as it is
    thread.start()
    thread.join()
    assert (tables[0].view(np.int64)[1:] == np.array(2.5e-311).view(np.int64)).all()
    assert words[0] & 0xFFC0 == flushing, "the caller's word is given back"


# -- forks ----------------------------------------------------------------------------------------


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


# -- other processes ------------------------------------------------------------------------------


def run_script(script: str, code: int = 0) -> float:
    """Run Python in a process of its own; the seconds between its last line and its end."""
    paths = [str(Path(retrograd.__file__).parents[1]), str(Path(__file__).parents[2])]
    script = "from tests.native.jobs import *\nimport os, sys, threading, time\n" + script
    script += "\nprint(time.time(), flush=True)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
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


# -- other machines -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "triple", ["aarch64-unknown-linux-gnu", "arm64-apple-macosx", "riscv64-unknown-linux-gnu"]
)
def test_the_text_assembles_for_other_processors(triple: str) -> None:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(opt=3)
    module = llvm.parse_assembly(write_team(triple))
    module.triple = triple
    module.verify()
    assembly = machine.emit_assembly(module)
    arm = triple.startswith(("aarch64", "arm64"))
    assert "run_job" in assembly and ("isb" in assembly) == arm


def test_a_team_of_no_or_too_many_threads_is_refused() -> None:
    for count in (0, -1, MOST_THREADS + 1):
        with pytest.raises(ValueError, match=f"from 1 to {MOST_THREADS}"):
            get_team(count)


def test_the_largest_team_works() -> None:
    team = make_team(MOST_THREADS)
    assert count_threads(team) == MOST_THREADS
    assert load_jobs().addresses["threads"]

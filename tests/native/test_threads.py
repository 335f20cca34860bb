"""The team of threads: same bits on any number, barriers, sleep, Ctrl-C, jobs beside jobs."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import threading
import time

import numpy as np
import pytest

from retrograd.codegen.team import write_team
from retrograd.config import MOST_THREADS
from retrograd.runtime import jit
from tests.native.jobs import (
    GRAIN,
    call_directly,
    count_threads,
    expect_chain,
    get_team,
    hold,
    load_jobs,
    make_team,
    run,
    run_chain,
)

COUNTS = (1, 2, 3, 4, 8)


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

"""Jobs for a team of threads, in machine code, and what they must give."""

from __future__ import annotations

import ctypes
import threading
import time
from functools import lru_cache
from typing import Any

import numpy as np

from retrograd.codegen.emit import Function, Module
from retrograd.codegen.team import write_team
from retrograd.codegen.threads import emit_barrier, emit_share, share
from retrograd.runtime import jit
from retrograd.runtime.target import host_target
from retrograd.runtime.threads import Pool, get_pool

NumpyArray = np.ndarray[Any, Any]

ITEMS, CHUNK, GRAIN = 10_007, 1000, 16
CHUNKS = -(-ITEMS // CHUNK)


def get_team(threads: int) -> Pool:
    return get_pool(threads, lambda: jit.assemble(write_team(host_target().triple)))


def make_team(threads: int) -> Pool:
    """A team of its own, whose workers have not been started."""
    return Pool(threads, get_team(1)._library)


@lru_cache
def load_jobs() -> jit.Library:
    """Every job of this file, compiled once."""
    jobs = [
        write_chain(),
        write_barriers(),
        write_late(),
        write_threads(),
        write_flag(),
        write_small(),
        write_call(),
        write_range(),
    ]
    module = Module()
    module.functions.extend(jobs)
    return jit.load(jit.assemble(module.text()), JOBS)


JOBS = ["chain", "barriers", "late", "threads", "flag", "small", "call", "range"]


def begin(name: str) -> Function:
    arguments = [("ptr", "%table"), ("i64", "%thread"), ("i64", "%threads"), ("ptr", "%team")]
    return Function(name, arguments, result="i64")


def read(step: Function, place: int | str, kind: str = "ptr") -> str:
    address = step.emit(f"getelementptr i64, ptr %table, i64 {place}")
    return step.emit(f"load {kind}, ptr {address}")


def meet(step: Function) -> None:
    emit_barrier(step, "%thread", "%threads", "%team")


def write_chain() -> Function:
    """table: x, y, sums, rounds. In each round y[i] = x[i] * x[n - 1 - i] + x[i], then
    sums[c] = the sum of the c-th chunk of y, then x[i] = y[i] / sums[i % chunks]."""
    step = begin("chain")
    x, y, sums = (read(step, place) for place in range(3))
    with step.loop("0", read(step, 3, "i64"), hint="round"):
        with share(step, ITEMS, GRAIN, "%thread", "%threads") as (first, last):
            with step.loop(first, last) as i:
                mirrored = step.emit(f"sub i64 {ITEMS - 1}, {i}")
                a, b = element(step, x, i), element(step, x, mirrored)
                product = step.emit(f"fmul float {a}, {b}")
                store(step, step.emit(f"fadd float {product}, {a}"), y, i)
        meet(step)
        with share(step, CHUNKS, 1, "%thread", "%threads") as (first, last):
            with step.loop(first, last) as chunk:
                start = step.emit(f"mul i64 {chunk}, {CHUNK}")
                after = step.emit(f"add i64 {start}, {CHUNK}")
                stop = step.call("i64", "llvm.umin.i64", ("i64", after), ("i64", str(ITEMS)))
                place = step.emit(f"getelementptr float, ptr {sums}, i64 {chunk}")
                step.do(f"store float 0.0, ptr {place}")
                with step.loop(start, stop) as i:
                    total = step.emit(f"load float, ptr {place}")
                    total = step.emit(f"fadd float {total}, {element(step, y, i)}")
                    step.do(f"store float {total}, ptr {place}")
        meet(step)
        with share(step, str(ITEMS), GRAIN, "%thread", "%threads") as (first, last):
            with step.loop(first, last) as i:
                divisor = element(step, sums, step.emit(f"urem i64 {i}, {CHUNKS}"))
                store(step, step.emit(f"fdiv float {element(step, y, i)}, {divisor}"), x, i)
        meet(step)
    step.do("ret i64 0")
    return step


def element(step: Function, array: str, index: str) -> str:
    return step.emit(f"load float, ptr {locate(step, array, index)}")


def store(step: Function, value: str, array: str, index: str) -> None:
    step.do(f"store float {value}, ptr {locate(step, array, index)}")


def locate(step: Function, array: str, index: str) -> str:
    return step.emit(f"getelementptr float, ptr {array}, i64 {index}")


def run_chain(pool: Pool, seed: int = 0, rounds: int = 3) -> bytes:
    """The bits of x after some rounds."""
    x = draw(seed)
    y, sums = np.zeros_like(x), np.zeros(CHUNKS, np.float32)
    table = np.array([x.ctypes.data, y.ctypes.data, sums.ctypes.data, rounds], np.int64)
    assert run(pool, "chain", table) == 0
    return x.tobytes()


def expect_chain(seed: int = 0, rounds: int = 3) -> bytes:
    """The same, with NumPy and in the same order."""
    x = draw(seed)
    for _ in range(rounds):
        y = x * x[::-1] + x
        chunks = [y[start : start + CHUNK] for start in range(0, ITEMS, CHUNK)]
        sums = np.array([np.add.accumulate(chunk)[-1] for chunk in chunks], np.float32)
        x = y / sums[np.arange(ITEMS) % CHUNKS]
    return x.tobytes()


def draw(seed: int) -> NumpyArray:
    return np.random.default_rng(seed).uniform(0.5, 1.5, ITEMS).astype(np.float32)


def write_barriers() -> Function:
    """table: rounds, then one word a thread. Gives how often a thread was seen elsewhere."""
    step = begin("barriers")
    errors = step.reserve("i64", 8)
    step.do(f"store i64 0, ptr {errors}")
    place = step.emit("add i64 %thread, 1")
    own = step.emit(f"getelementptr i64, ptr %table, i64 {place}")
    with step.loop("0", read(step, 0, "i64"), hint="round") as number:
        step.do(f"store i64 {number}, ptr {own}")
        meet(step)
        with step.loop("0", "%threads") as other:
            theirs = read(step, step.emit(f"add i64 {other}, 1"), "i64")
            wrong = step.emit(f"zext i1 {step.emit(f'icmp ne i64 {theirs}, {number}')} to i64")
            before = step.emit(f"load i64, ptr {errors}")
            step.do(f"store i64 {step.emit(f'add i64 {before}, {wrong}')}, ptr {errors}")
        meet(step)
    step.do(f"ret i64 {step.emit(f'load i64, ptr {errors}')}")
    return step


def write_late() -> Function:
    """Two threads meet. Number 1 goes there at once and sets table[1] just before; number 0 sees
    that, and comes later, after table[0] loads."""
    step = begin("late")
    ready = step.emit("getelementptr i64, ptr %table, i64 1")
    with step.when(step.emit("icmp eq i64 %thread, 1")):
        step.do(f"store atomic i64 1, ptr {ready} seq_cst, align 8")
    with step.when(step.emit("icmp eq i64 %thread, 0")):
        step.do("br label %again")
        step.block("again")
        value = step.emit(f"load atomic i64, ptr {ready} seq_cst, align 8")
        step.do(f"br i1 {step.emit(f'icmp eq i64 {value}, 0')}, label %again, label %seen")
        step.block("seen")
        with step.loop("0", read(step, 0, "i64")):
            step.emit("load atomic i64, ptr %table seq_cst, align 8")
    meet(step)
    step.do("ret i64 0")
    return step


def write_threads() -> Function:
    """Gives the number of threads, from the last of them alone."""
    step = begin("threads")
    meet(step)
    after = step.emit("add i64 %thread, 1")
    last = step.emit(f"icmp eq i64 {after}, %threads")
    step.do(f"ret i64 {step.emit(f'select i1 {last}, i64 %threads, i64 0')}")
    return step


def count_threads(pool: Pool) -> int:
    return run(pool, "threads", np.zeros(1, np.int64))


def write_flag() -> Function:
    """Runs until table[0] is not zero; table[1] says that it runs."""
    step = begin("flag")
    running = step.emit("getelementptr i64, ptr %table, i64 1")
    step.do(f"store atomic i64 1, ptr {running} seq_cst, align 8")
    step.do("br label %again")
    step.block("again")
    value = step.emit("load atomic i64, ptr %table seq_cst, align 8")
    step.do(f"br i1 {step.emit(f'icmp eq i64 {value}, 0')}, label %again, label %leave")
    step.block("leave")
    step.do("ret i64 0")
    return step


def write_small() -> Function:
    """table: a double d, then d * 0.25 of each thread."""
    step = begin("small")
    given = step.emit("load double, ptr %table")
    after = step.emit("add i64 %thread, 1")
    place = step.emit(f"getelementptr double, ptr %table, i64 {after}")
    step.do(f"store double {step.emit(f'fmul double {given}, 0.25')}, ptr {place}")
    step.do("ret i64 0")
    return step


def write_call() -> Function:
    """Thread 0 calls the function of no arguments in table[0] while the others wait."""
    step = begin("call")
    with step.when(step.emit("icmp eq i64 %thread, 0")):
        step.do(f"call void {read(step, 0)}()")
    meet(step)
    step.do("ret i64 0")
    return step


def write_range() -> Function:
    """table: count, begin, end, of which the last two are written; the grain is 16."""
    step = begin("range")
    first, last = emit_share(step, read(step, 0, "i64"), GRAIN, "%thread", "%threads")
    for place, value in ((1, first), (2, last)):
        address = step.emit(f"getelementptr i64, ptr %table, i64 {place}")
        step.do(f"store i64 {value}, ptr {address}")
    step.do("ret i64 0")
    return step


def run(pool: Pool, job: str, table: NumpyArray) -> int:
    return pool.run(load_jobs().addresses[job], table.ctypes.data)


def call_directly(job: str, table: NumpyArray, thread: int, threads: int) -> int:
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
    )
    result: int = kind(load_jobs().addresses[job])(table.ctypes.data, thread, threads, None)
    return result


def hold(team: Pool) -> tuple[threading.Thread, NumpyArray]:
    """A job of another thread that runs until the first word of the table is set."""
    table = np.zeros(2, np.int64)
    holder = threading.Thread(target=run, args=(team, "flag", table), daemon=True)
    holder.start()
    while not table[1]:
        time.sleep(1e-4)
    return holder, table

"""A series: one program run many times without coming back to Python. Its LLVM text, and its job.

The functions of the module that `write_series` gives:

    i64 series(ptr job, i64 thread, i64 threads, ptr team)   for a step that threads share
    i64 series_alone(ptr job)                                for a step of one thread

Before each step, pointers in the program's table are moved (to the place of this step's results,
to the next rows of the data), and rows of the data are copied together into batches. Both return
the status of the last step; the first that is not zero ends the series. A job is a table of
words, at the positions that are named below. A move is (position in the table, base, stride,
delta): step i gets the address `base + i * stride + (i & 1) * delta` there. A gather is (source,
target, bytes of a row).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, final

import numpy as np

from .emit import Function, Module
from .threads import emit_barrier, share

WORDS = 10
STEP, COUNT, TABLE, MOVE_COUNT, MOVES, GATHER_COUNT, GATHERS, ROWS, BATCH, DONE = range(WORDS)
"""The words of a job: the step's code, how often it runs, its table of pointers; moves; gathers;
the numbers of the rows, those of one batch after the other; how many a batch has; and how many
steps are complete, which is written."""

MOVE_WORDS, GATHER_WORDS = 4, 3

NumpyArray = np.ndarray[Any, Any]


@final
class Job:
    """What a series is asked to do: how pointers move from step to step, and what is gathered.

    Args:
        steps: how many.
        batch: the rows of a batch.
    """

    def __init__(self, steps: int, batch: int) -> None:
        self.steps, self.batch, self.rows = steps, batch, 0
        self._fixed: dict[int, int] = {}
        self._moves: list[tuple[int, int, int, int]] = []
        self._gathers: list[tuple[int, int, int]] = []
        self._kept: list[NumpyArray] = []
        self._words: NumpyArray | None = None

    @property
    def done(self) -> int:
        """How many steps are complete."""
        return 0 if self._words is None else int(self._words[DONE])

    def set(self, slot: int | None, address: int) -> None:
        """The same address in every step; without a slot nothing reads it."""
        if slot is not None:
            self._fixed[slot] = address

    def move(self, slot: int | None, base: int, stride: int, delta: int) -> None:
        """The address `base + step * stride + (step & 1) * delta`."""
        if slot is None:
            return
        if stride or delta:
            self._moves.append((slot, base, stride, delta))
        else:
            self._fixed[slot] = base

    def gather(self, source: int, target: int, size: int) -> None:
        """Copy rows of so many bytes into the batch at the target."""
        if size:
            self._gathers.append((source, target, size))

    def fill(self, step: int, table: NumpyArray) -> NumpyArray:
        """The words of the job, with the pointers that stay put into the program's table."""
        table[list(self._fixed)] = list(self._fixed.values())
        moves = np.array(self._moves, np.int64).reshape(-1)
        gathers = np.array(self._gathers, np.int64).reshape(-1)
        self._kept = [moves, gathers]
        words = self._words = np.zeros(WORDS, np.int64)
        words[:DONE] = (
            step,
            self.steps,
            table.ctypes.data,
            len(self._moves),
            moves.ctypes.data,
            len(self._gathers),
            gathers.ctypes.data,
            self.rows,
            self.batch,
        )
        return words


@lru_cache
def write_series() -> str:
    """The module of series, as above. It needs memcpy from the process."""
    module = Module()
    module.functions += [_write(shared=True), _write(shared=False)]
    return module.text()


def _write(shared: bool) -> Function:
    arguments = [("ptr", "%job")]
    if shared:
        arguments += [("i64", "%thread"), ("i64", "%threads"), ("ptr", "%team")]
    thread, threads = ("%thread", "%threads") if shared else ("0", "1")
    f = Function("series" if shared else "series_alone", arguments, result="i64")
    job = [_load(f, "%job", str(position), kind) for position, kind in enumerate(KINDS)]
    with f.loop("0", job[COUNT], 1, "step") as step:
        first = f.emit(f"icmp eq i64 {thread}, 0")
        moving = f.emit(f"icmp ne i64 {job[MOVE_COUNT]}, 0")
        with f.when(f.emit(f"and i1 {first}, {moving}")):
            _write_moves(f, job, step)
        with f.when(f.emit(f"icmp ne i64 {job[GATHER_COUNT]}, 0")):
            _write_gathers(f, job, step, thread, threads)
        if shared:
            with f.when(f.emit("icmp ugt i64 %threads, 1")):
                emit_barrier(f, thread, threads, "%team")
        given = ", i64 %thread, i64 %threads, ptr %team" if shared else ""
        status = f.emit(f"call i64 {job[STEP]}(ptr {job[TABLE]}{given})")
        with f.when(f.emit(f"icmp ne i64 {status}, 0")):
            f.do(f"ret i64 {status}")
            f.block(f.new_label("unreachable"))
        with f.when(first):
            place = f.emit(f"getelementptr i64, ptr %job, i64 {DONE}")
            f.do(f"store i64 {f.emit(f'add nuw i64 {step}, 1')}, ptr {place}")
    f.do("ret i64 0")
    return f


KINDS = ("ptr", "i64", "ptr", "i64", "ptr", "i64", "ptr", "ptr", "i64")


def _load(f: Function, table: str, position: str, kind: str = "i64") -> str:
    place = f.emit(f"getelementptr i64, ptr {table}, i64 {position}")
    return f.emit(f"load {kind}, ptr {place}")


def _write_moves(f: Function, job: list[str], step: str) -> None:
    odd = f.emit(f"and i64 {step}, 1")
    with f.loop("0", job[MOVE_COUNT], 1, "move") as number:
        start = f.emit(f"mul nuw nsw i64 {number}, {MOVE_WORDS * 8}")
        move = f.emit(f"getelementptr i8, ptr {job[MOVES]}, i64 {start}")
        slot, base, stride, delta = (_load(f, move, str(word)) for word in range(MOVE_WORDS))
        along, across = f.emit(f"mul i64 {step}, {stride}"), f.emit(f"mul i64 {odd}, {delta}")
        address = f.emit(f"add i64 {f.emit(f'add i64 {base}, {along}')}, {across}")
        place = f.emit(f"getelementptr i64, ptr {job[TABLE]}, i64 {slot}")
        f.do(f"store i64 {address}, ptr {place}")


def _write_gathers(f: Function, job: list[str], step: str, thread: str, threads: str) -> None:
    """Each thread copies its part of the batch."""
    offset = f.emit(f"mul nuw nsw i64 {step}, {job[BATCH]}")
    rows = f.emit(f"getelementptr i64, ptr {job[ROWS]}, i64 {offset}")
    with (
        f.loop("0", job[GATHER_COUNT], 1, "gather") as number,
        share(f, job[BATCH], 1, thread, threads) as (begin, end),
    ):
        start = f.emit(f"mul nuw nsw i64 {number}, {GATHER_WORDS * 8}")
        gather = f.emit(f"getelementptr i8, ptr {job[GATHERS]}, i64 {start}")
        source, target = _load(f, gather, "0", "ptr"), _load(f, gather, "1", "ptr")
        size = _load(f, gather, "2")
        with f.loop(begin, end, 1, "sample") as sample:
            row = _load(f, rows, sample)
            old = f.emit(f"getelementptr i8, ptr {source}, i64 {f.emit(f'mul i64 {row}, {size}')}")
            new = f.emit(f"mul nuw nsw i64 {sample}, {size}")
            place = f.emit(f"getelementptr i8, ptr {target}, i64 {new}")
            f.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {place}, ptr {old}, i64 {size}, i1 false)")
            f.intrinsics.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")

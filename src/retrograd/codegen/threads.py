"""What the code of a step needs to run on several threads: barriers, and a thread's share.

A job is one function `i64 step(ptr table, i64 thread, i64 threads, ptr team)`. Every thread of the
team runs all of it and works on its own share of each kernel; where a kernel reads what another
thread wrote, a barrier lies between. The cut is static, so that results do not depend on timing.
How threads wait for jobs and for each other is in team.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .emit import Function
from .team import BARRIER


def emit_barrier(step: Function, thread: str, threads: str, team: str) -> None:
    """Let all threads arrive before one goes on. All of them must come to it."""
    place = step.emit(f"getelementptr i8, ptr {team}, i64 {BARRIER}")
    barrier = step.emit(f"load ptr, ptr {place}")
    step.do(f"call void {barrier}(ptr {team}, i64 {thread}, i64 {threads})")


def emit_share(
    function: Function, count: int | str, grain: int, thread: str, threads: str
) -> tuple[str, str]:
    """The range `[begin, end)` of `count` items that a thread works on; it may be empty.

    Every range begins at a multiple of `grain`, and the ranges of all threads are as equal as
    that allows. Equal counts and grains are cut equally in all kernels.

    Args:
        count: the number of items: a constant or the name of an i64.
        grain: items that stay together, from 1.
        thread: the name of the i64 that holds the thread's number.
        threads: the name of the i64 that holds the number of threads.

    Returns:
        The names of two i64 values.
    """
    if isinstance(count, int):
        pieces = str(-(-count // grain))
    else:
        raised = function.emit(f"add nuw nsw i64 {count}, {grain - 1}")
        pieces = function.emit(f"udiv i64 {raised}, {grain}")
    after = function.emit(f"add nuw nsw i64 {thread}, 1")
    edges = []
    for number in (thread, after):
        scaled = function.emit(f"mul nuw nsw i64 {pieces}, {number}")
        piece = function.emit(f"udiv i64 {scaled}, {threads}")
        item = function.emit(f"mul nuw nsw i64 {piece}, {grain}")
        edges.append(function.call("i64", "llvm.umin.i64", ("i64", item), ("i64", str(count))))
    return edges[0], edges[1]


@contextmanager
def share(
    function: Function, count: int | str, grain: int, thread: str, threads: str
) -> Iterator[tuple[str, str]]:
    """`emit_share`, and what is written inside runs only if the range is not empty."""
    begin, end = emit_share(function, count, grain, thread, threads)
    with function.when(function.emit(f"icmp ult i64 {begin}, {end}")):
        yield begin, end

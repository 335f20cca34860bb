"""The step: it walks over records and calls the kernels that they name. It is the same machine
code for all programs, so that a new program costs LLVM its new kernels alone.

    i64 step(ptr table)                                          gives the status
    i64 step_shared(ptr table, i64 thread, i64 threads, ptr team)   all threads of a team run it

A record is a row of words: the address of a function, the bytes to the next record (plus 1 where
the status is to be looked at afterwards), then what the function is given. A word of 0 ends them.
The function of a record gets the table and the words:

    kernels                     a slot of the table and an offset for each pointer, then numbers
    call_python                 the number of the callback, the count of pointers, the pointers
    repeat                      runs the records of an inner program again and again, for all pieces
    repeat_open                 runs them as long as a carried bool is true
    when                        another function and its words, where a bool in memory has a value
    grid                        runs them at every place of a grid

and in a shared step also the thread, the number of threads and the team:

    alone                       another function and its words, for the first thread
    share                       a kernel that is cut into pieces; each thread takes its own
    when_shared                 when, for a function that threads share
    grid_shared                 a grid; each thread takes its own places
    repeat_shared               repeat; each thread takes its own pieces
    repeat_together             repeat of one piece, whose kernels all threads share
    meet                        all threads arrive before one goes on

Before each step, loops look at a word that the root table points to: where it is not zero, they end
with a status. Slots and offsets are in bytes. An inner program has a table of its own; where
threads share its kernels, each thread has one. A status that is not zero is also written into the
root table, where all threads find it.
"""

from __future__ import annotations

from functools import lru_cache

from .grid_step import GRID
from .repeating import REPEAT
from .table import CALLBACK, CODE, OPEN_TABLE, ROOT, STATUS, cut_share, load_words
from .team import BARRIER

PARTS = {
    "step": ("step",),
    "shared": ("step_shared", "alone", "share", "meet"),
    "python": ("call_python",),
    "loops": (
        *("repeat", "repeat_shared", "repeat_together", "repeat_open"),
        *("when", "when_shared", "grid", "grid_shared"),
    ),
}
"""The functions by modules: a module is compiled when the first program needs it."""
FUNCTIONS = frozenset(name for names in PARTS.values() for name in names)


@lru_cache
def write_steps(part: str) -> str:
    """The module of one of PARTS."""
    if part == "step":
        return STEP + RUN
    if part == "shared":
        return "\n".join((MEET, RUN_SHARED, STEP_SHARED, ALONE, SHARE))
    if part == "python":
        return FIND + CALL_PYTHON
    meet = MEET.replace("define", "define internal")
    return "\n".join((RUN, meet, RUN_SHARED, FIND, OPEN_TABLE, REPEAT, GRID))


STEP = f"""
define i64 @step(ptr %table) nounwind {{
start:
  %place = getelementptr ptr, ptr %table, i64 {CODE}
  %code = load ptr, ptr %place
  call void @run(ptr %table, ptr %code)
  %status.place = getelementptr i64, ptr %table, i64 {STATUS}
  %status = load i64, ptr %status.place
  ret i64 %status
}}
"""


def write_walk(arguments: str, back: str, ended: str) -> str:
    """The blocks that go from record to record; `look` follows where a record asks for it.

    Args:
        arguments: what functions are given after the table and the words.
        back: the block that goes on after `look`.
        ended: the block behind the last record.
    """
    return f"""next:
  %record = phi ptr [ %code, %start ], [ %following, %work ], [ %following, %{back} ]
  %function = load ptr, ptr %record
  %none = icmp eq ptr %function, null
  br i1 %none, label %{ended}, label %work
work:
  %words = getelementptr i64, ptr %record, i64 2
  call void %function(ptr %table, ptr %words{arguments})
  %size.place = getelementptr i64, ptr %record, i64 1
  %size = load i64, ptr %size.place
  %bytes = and i64 %size, -8
  %following = getelementptr i8, ptr %record, i64 %bytes
  %looks = trunc i64 %size to i1
  br i1 %looks, label %look, label %next"""


RUN = f"""
define internal void @run(ptr %table, ptr %code) nounwind {{
start:
  %status.place = getelementptr i64, ptr %table, i64 {STATUS}
  br label %next
{write_walk("", back="look", ended="done")}
look:
  %status = load i64, ptr %status.place
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %next, label %done
done:
  ret void
}}
"""

MEET = f"""
define void @meet(ptr %table, ptr %words, i64 %thread, i64 %threads, ptr %team) nounwind {{
start:
  %several = icmp ugt i64 %threads, 1
  br i1 %several, label %arrive, label %done
arrive:
  %place = getelementptr i8, ptr %team, i64 {BARRIER}
  %barrier = load ptr, ptr %place
  call void %barrier(ptr %team, i64 %thread, i64 %threads)
  br label %done
done:
  ret void
}}
"""

STEP_SHARED = f"""
define i64 @step_shared(ptr %table, i64 %thread, i64 %threads, ptr %team) nounwind {{
start:
  %place = getelementptr ptr, ptr %table, i64 {CODE}
  %code = load ptr, ptr %place
  %status = call i64 @run_shared(ptr %table, ptr %code, i64 %thread, i64 %threads, ptr %team)
  ret i64 %status
}}
"""

RUN_SHARED = f"""
define internal i64 @run_shared(
  ptr %table, ptr %code, i64 %thread, i64 %threads, ptr %team
) nounwind {{
start:
  %own.place = getelementptr i64, ptr %table, i64 {STATUS}
  %root.place = getelementptr ptr, ptr %table, i64 {ROOT}
  %root = load ptr, ptr %root.place
  %status.place = getelementptr i64, ptr %root, i64 {STATUS}
  br label %next
{write_walk(", i64 %thread, i64 %threads, ptr %team", back="ask", ended="end")}
look:
  %own = load i64, ptr %own.place
  %failed = icmp ne i64 %own, 0
  br i1 %failed, label %tell, label %ask
tell:
  store i64 %own, ptr %status.place
  br label %ask
ask:
  ; The second barrier keeps a fast thread from setting the status before a slow one has looked.
  call void @meet(ptr %table, ptr %words, i64 %thread, i64 %threads, ptr %team)
  %status = load i64, ptr %status.place
  call void @meet(ptr %table, ptr %words, i64 %thread, i64 %threads, ptr %team)
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %next, label %done
end:
  %last = load i64, ptr %own.place
  ret i64 %last
done:
  ret i64 %status
}}
"""

FIND = """
; The address that a slot and an offset stand for.
define internal ptr @find(ptr %table, ptr %words, i64 %position) nounwind alwaysinline {
start:
  %first = getelementptr i64, ptr %words, i64 %position
  %slot = load i64, ptr %first
  %second = getelementptr i64, ptr %first, i64 1
  %offset = load i64, ptr %second
  %place = getelementptr i8, ptr %table, i64 %slot
  %base = load ptr, ptr %place
  %address = getelementptr i8, ptr %base, i64 %offset
  ret ptr %address
}
"""

CALL_PYTHON = f"""
define void @call_python(ptr %table, ptr %words) nounwind {{
start:
  %number = load i64, ptr %words
{load_words(count=1)}
  %pointers = alloca ptr, i64 %count, align 16
  %callback.place = getelementptr ptr, ptr %table, i64 {CALLBACK}
  %callback = load ptr, ptr %callback.place
  br label %next
next:
  %n = phi i64 [ 0, %start ], [ %n.next, %fill ]
  %more = icmp ult i64 %n, %count
  br i1 %more, label %fill, label %call
fill:
  %twice = shl i64 %n, 1
  %position = add i64 %twice, 2
  %pointer = call ptr @find(ptr %table, ptr %words, i64 %position)
  %place = getelementptr ptr, ptr %pointers, i64 %n
  store ptr %pointer, ptr %place
  %n.next = add i64 %n, 1
  br label %next
call:
  call void %callback(i64 %number, ptr %pointers)
  ; Python sets the status of the whole program.
  %root.place = getelementptr ptr, ptr %table, i64 {ROOT}
  %root = load ptr, ptr %root.place
  %there.place = getelementptr i64, ptr %root, i64 {STATUS}
  %there = load i64, ptr %there.place
  %here.place = getelementptr i64, ptr %table, i64 {STATUS}
  store i64 %there, ptr %here.place
  ret void
}}
"""

ALONE = """
define void @alone(ptr %table, ptr %words, i64 %thread, i64 %threads, ptr %team) nounwind {
start:
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %work, label %done
work:
  %function = load ptr, ptr %words
  %own = getelementptr i64, ptr %words, i64 1
  call void %function(ptr %table, ptr %own)
  br label %done
done:
  ret void
}
"""

SHARE = f"""
; Words: the kernel; the number of pieces; the units of the axis that is cut, the elements of a
; unit, the elements of the axis; the position of the piece's extent among the kernel's words, or
; -1; the kernel's pointers and words; for each pointer the bytes from unit to unit; the kernel's
; words.
define void @share(ptr %table, ptr %words, i64 %thread, i64 %threads, ptr %team) nounwind {{
start:
  %kernel = load ptr, ptr %words
{load_words(count=1, units=2, unit=3, total=4, extent=5, pointers=6, size=7)}
  %moves = getelementptr i64, ptr %words, i64 8
  %own = getelementptr i64, ptr %moves, i64 %pointers
{cut_share("%count")}
  %any = icmp ult i64 %begin, %end
  br i1 %any, label %prepare, label %done
prepare:
  %copy = alloca i64, i64 %size, align 16
  br label %fill
fill:
  %n = phi i64 [ 0, %prepare ], [ %n.next, %fill ]
  %n.from = getelementptr i64, ptr %own, i64 %n
  %n.word = load i64, ptr %n.from
  %n.to = getelementptr i64, ptr %copy, i64 %n
  store i64 %n.word, ptr %n.to
  %n.next = add i64 %n, 1
  %n.more = icmp ult i64 %n.next, %size
  br i1 %n.more, label %fill, label %piece
piece:
  %number = phi i64 [ %begin, %fill ], [ %number.next, %call ]
  %number.next = add i64 %number, 1
  %from.scaled = mul i64 %number, %units
  %from.unit = udiv i64 %from.scaled, %count
  %from = mul i64 %from.unit, %unit
  %to.scaled = mul i64 %number.next, %units
  %to.unit = udiv i64 %to.scaled, %count
  %to.whole = mul i64 %to.unit, %unit
  %beyond = icmp ugt i64 %to.whole, %total
  %to = select i1 %beyond, i64 %total, i64 %to.whole
  %sized = icmp sge i64 %extent, 0
  br i1 %sized, label %size.it, label %move
size.it:
  %part = sub i64 %to, %from
  %part.place = getelementptr i64, ptr %copy, i64 %extent
  store i64 %part, ptr %part.place
  br label %move
move:
  %p = phi i64 [ 0, %piece ], [ 0, %size.it ], [ %p.next, %move ]
  %p.move.place = getelementptr i64, ptr %moves, i64 %p
  %p.move = load i64, ptr %p.move.place
  %p.twice = shl i64 %p, 1
  %p.position = add i64 %p.twice, 1
  %p.from = getelementptr i64, ptr %own, i64 %p.position
  %p.offset = load i64, ptr %p.from
  %p.step = mul i64 %from.unit, %p.move
  %p.moved = add i64 %p.offset, %p.step
  %p.to = getelementptr i64, ptr %copy, i64 %p.position
  store i64 %p.moved, ptr %p.to
  %p.next = add i64 %p, 1
  %p.more = icmp ult i64 %p.next, %pointers
  br i1 %p.more, label %move, label %call
call:
  call void %kernel(ptr %table, ptr %copy)
  %more = icmp ult i64 %number.next, %end
  br i1 %more, label %piece, label %done
done:
  ret void
}}
"""

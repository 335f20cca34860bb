"""The functions of records that run an inner program at every place of a grid. See steps.py."""

from __future__ import annotations

from .table import ARENA, FAIL, STATUS, cut_share, load_words

GRID = f"""
; Words: the first record; the pieces; the extents of both axes; the words of the inner table; the
; number of moving pointers; the workspace, and the bytes of it for each piece; for each moving
; pointer its slot in the inner table, the pointer, and the bytes that it moves along each axis.
define internal void @places(ptr %table, ptr %words, i64 %begin, i64 %end) nounwind {{
start:
  %code = load ptr, ptr %words
{load_words(pieces=1, rows=2, columns=3, size=4, moving=5)}
  %workspace = call ptr @find(ptr %table, ptr %words, i64 6)
{load_words(part=8)}
  %movers = getelementptr i64, ptr %words, i64 9
  %length = mul i64 %rows, %columns
  %own = alloca ptr, i64 %size, align 16
  call void @open_table(ptr %own, ptr %table)
  %own.status = getelementptr i64, ptr %own, i64 {STATUS}
  %own.arena = getelementptr ptr, ptr %own, i64 {ARENA}
  %any = icmp ult i64 %begin, %end
  br i1 %any, label %piece, label %done
piece:
  %number = phi i64 [ %begin, %start ], [ %number.next, %piece.done ]
  %number.next = add i64 %number, 1
  %offset = mul i64 %number, %part
  %arena = getelementptr i8, ptr %workspace, i64 %offset
  store ptr %arena, ptr %own.arena
  %first.scaled = mul i64 %number, %length
  %first = udiv i64 %first.scaled, %pieces
  %last.scaled = mul i64 %number.next, %length
  %last = udiv i64 %last.scaled, %pieces
  %some = icmp ult i64 %first, %last
  br i1 %some, label %place, label %piece.done
place:
  %at = phi i64 [ %first, %piece ], [ %at.next, %fine ]
  %row = udiv i64 %at, %columns
  %column = urem i64 %at, %columns
  br label %move
move:
  %m = phi i64 [ 0, %place ], [ %m.next, %move.one ]
  %m.more = icmp ult i64 %m, %moving
  br i1 %m.more, label %move.one, label %call
move.one:
  %m.start = mul i64 %m, 5
  %mover = getelementptr i64, ptr %movers, i64 %m.start
  %m.slot = load i64, ptr %mover
  %m.base = call ptr @find(ptr %table, ptr %mover, i64 1)
  %m.down.place = getelementptr i64, ptr %mover, i64 3
  %m.down = load i64, ptr %m.down.place
  %m.along.place = getelementptr i64, ptr %mover, i64 4
  %m.along = load i64, ptr %m.along.place
  %m.rows = mul i64 %row, %m.down
  %m.columns = mul i64 %column, %m.along
  %m.offset = add i64 %m.rows, %m.columns
  %m.pointer = getelementptr i8, ptr %m.base, i64 %m.offset
  %m.place = getelementptr i8, ptr %own, i64 %m.slot
  store ptr %m.pointer, ptr %m.place
  %m.next = add i64 %m, 1
  br label %move
call:
  call void @run(ptr %own, ptr %code)
  %status = load i64, ptr %own.status
  %failed = icmp ne i64 %status, 0
  br i1 %failed, label %fail, label %fine
fine:
  %at.next = add i64 %at, 1
  %again = icmp ult i64 %at.next, %last
  br i1 %again, label %place, label %piece.done
piece.done:
  %more = icmp ult i64 %number.next, %end
  br i1 %more, label %piece, label %done
{FAIL}

define void @grid(ptr %table, ptr %words) nounwind {{
start:
{load_words(pieces=1)}
  call void @places(ptr %table, ptr %words, i64 0, i64 %pieces)
  ret void
}}

define void @grid_shared(
    ptr %table, ptr %words, i64 %thread, i64 %threads, ptr %team) nounwind {{
start:
{load_words(pieces=1)}
{cut_share("%pieces")}
  call void @places(ptr %table, ptr %words, i64 %begin, i64 %end)
  ret void
}}
"""

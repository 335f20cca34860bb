"""The table of a program: what its machine code finds where. Inner programs have their own."""

from __future__ import annotations

ARENA, CODE, STATUS, CALLBACK, ROOT, TICKS, FIRST = range(7)
"""Positions in a table: the arena, the first record, the status, the function that calls Python,
the table of the whole program, the counts of a profile, the pointers to buffers."""

OPEN_TABLE = f"""
; Fills what the table of an inner program has of the one around it.
define internal void @open_table(ptr %own, ptr %table) nounwind alwaysinline {{
start:
  %callback.place = getelementptr ptr, ptr %table, i64 {CALLBACK}
  %callback = load ptr, ptr %callback.place
  %own.callback = getelementptr ptr, ptr %own, i64 {CALLBACK}
  store ptr %callback, ptr %own.callback
  %root.place = getelementptr ptr, ptr %table, i64 {ROOT}
  %root = load ptr, ptr %root.place
  %own.root = getelementptr ptr, ptr %own, i64 {ROOT}
  store ptr %root, ptr %own.root
  %own.status = getelementptr i64, ptr %own, i64 {STATUS}
  store i64 0, ptr %own.status
  ret void
}}
"""

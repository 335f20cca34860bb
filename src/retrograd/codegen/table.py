"""The table of a program: what its machine code finds where. Inner programs have their own."""

from __future__ import annotations

ARENA, CODE, STATUS, CALLBACK, ROOT, TICKS, STOP, FIRST = (*range(7), 9)
"""Positions in a table: the arena, the first record, the status, the function that calls Python,
the table of the whole program, the counts of a profile, the pointer to the word that asks loops to
stop (with two words in which threads tell each other that it does), the pointers to buffers."""

OUT_OF_RANGE, PYTHON_ERROR, STOPPED = 1, 2, 3
"""What a status that is not zero says."""

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

ROOT_TABLE = f"""  %root.place = getelementptr ptr, ptr %table, i64 {ROOT}
  %root = load ptr, ptr %root.place
  %stop.place = getelementptr ptr, ptr %root, i64 {STOP}
  %stop = load ptr, ptr %stop.place"""
"""Text that loads the table of the whole program, and where its loops are asked to stop."""

ASK = """  %asked = load atomic i64, ptr %stop monotonic, align 8
  %stops = icmp ne i64 %asked, 0"""

FAIL = f"""halt:
  %halt.place = getelementptr i64, ptr %table, i64 {STATUS}
  store i64 {STOPPED}, ptr %halt.place
  br label %done
fail:
  %status.place = getelementptr i64, ptr %table, i64 {STATUS}
  store i64 %status, ptr %status.place
  br label %done
done:
  ret void
}}"""
"""The end of a function that runs an inner program: its `%status` is that of the one around it, or
it was stopped."""


def load_words(**positions: int) -> str:
    """Text that loads words of a record, each under its own name."""
    return "\n".join(
        f"  %{name}.place = getelementptr i64, ptr %words, i64 {position}\n"
        f"  %{name} = load i64, ptr %{name}.place"
        for name, position in positions.items()
    )


def cut_share(count: str) -> str:
    """Text for the part of a thread: from `%begin` to before `%end`, of so many."""
    return (
        f"  %scaled = mul i64 {count}, %thread\n"
        "  %begin = udiv i64 %scaled, %threads\n"
        f"  %scaled.next = add i64 %scaled, {count}\n"
        "  %end = udiv i64 %scaled.next, %threads"
    )

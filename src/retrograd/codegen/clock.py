"""Time stamps in a step, for profiles: how many ticks each kernel takes on the first thread.

Only the records that a profile runs have them; kernels are the same. The ticks are added up in an
array whose address stands in the table of the program:

    0           the whole step
    1           waiting for the other threads at its end
    2           the counter itself, at the end of the step
    3 + 2 n     kernel n
    4 + 2 n     waiting for the other threads before kernel n may start

Functions of records (steps.py): `begin` and `end` of a step; `timed` and, where threads share the
step, `timed_shared` have a place in the array, then another function and its words.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..ir.loops import Kernel
from .table import ROOT
from .table import TICKS as SLOT

STEP, END, NOW, FIRST = 0, 1, 2, 3
STAMPS = ("begin", "end", "timed", "timed_shared")


class Clock:
    """The counts of one program."""

    def __init__(self) -> None:
        self.kernels: list[Kernel] = []  # in the order in which the step meets them
        self._numbers: dict[int, int] = {}
        self.ticks: np.ndarray[Any, np.dtype[np.int64]] = np.zeros(0, np.int64)

    def place_of(self, kernel: Kernel, waiting: bool = False) -> int:
        """Where the ticks of a kernel are counted; kernels get their numbers as they come."""
        number = self._numbers.get(id(kernel))
        if number is None:
            number = self._numbers[id(kernel)] = len(self.kernels)
            self.kernels.append(kernel)
        return FIRST + 2 * number + int(waiting)

    def make_counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The array; to be asked for when all kernels are known."""
        self.ticks = np.zeros(FIRST + 2 * len(self.kernels), np.int64)
        return self.ticks


@lru_cache(maxsize=1)
def write_stamps(triple: str) -> str:
    """The module of these functions.

    Args:
        triple: LLVM's name of the platform.
    """
    read, declared = "call i64 @llvm.readcyclecounter()", "declare i64 @llvm.readcyclecounter()\n"
    if triple.startswith(("aarch64", "arm64")):
        # The counter of cycles, which some versions of LLVM read, is closed to programs there.
        read = "call i64 @llvm.read_volatile_register.i64(metadata !0)"
        declared = 'declare i64 @llvm.read_volatile_register.i64(metadata)\n!0 = !{!"CNTVCT_EL0"}\n'
    text = ADD.replace("READ", read)
    for name, more, given, condition in (
        ("timed", "", "", "icmp eq i64 0, 0"),
        (
            "timed_shared",
            ", i64 %thread, i64 %threads, ptr %team",
            ", i64 %thread, i64 %threads, ptr %team",
            "icmp eq i64 %thread, 0",
        ),
    ):
        body = TIMED.replace("NAME", name).replace("MORE", more).replace("GIVEN", given)
        text += body.replace("CONDITION", condition).replace("READ", read)
    return text + declared


ADD = f"""
; The place of a count.
define internal ptr @count(ptr %table, i64 %place) nounwind alwaysinline {{
start:
  %root.place = getelementptr ptr, ptr %table, i64 {ROOT}
  %root = load ptr, ptr %root.place
  %ticks.place = getelementptr ptr, ptr %root, i64 {SLOT}
  %ticks = load ptr, ptr %ticks.place
  %count = getelementptr i64, ptr %ticks, i64 %place
  ret ptr %count
}}

define void @begin(ptr %table, ptr %words) nounwind {{
start:
  %now = READ
  %place = call ptr @count(ptr %table, i64 {STEP})
  %before = load i64, ptr %place
  %after = sub i64 %before, %now
  store i64 %after, ptr %place
  ret void
}}

define void @end(ptr %table, ptr %words) nounwind {{
start:
  %now = READ
  %place = call ptr @count(ptr %table, i64 {STEP})
  %before = load i64, ptr %place
  %after = add i64 %before, %now
  store i64 %after, ptr %place
  %now.place = call ptr @count(ptr %table, i64 {NOW})
  store i64 %now, ptr %now.place
  ret void
}}
"""

TIMED = """
define void @NAME(ptr %table, ptr %wordsMORE) nounwind {
start:
  %number = load i64, ptr %words
  %function.place = getelementptr ptr, ptr %words, i64 1
  %function = load ptr, ptr %function.place
  %own = getelementptr i64, ptr %words, i64 2
  %begin = READ
  call void %function(ptr %table, ptr %ownGIVEN)
  %end = READ
  %first = CONDITION
  br i1 %first, label %add, label %done
add:
  %taken = sub i64 %end, %begin
  %place = call ptr @count(ptr %table, i64 %number)
  ; Several threads run the kernels of a loop that is cut: their ticks are added up.
  %before = atomicrmw add ptr %place, i64 %taken monotonic
  br label %done
done:
  ret void
}
"""

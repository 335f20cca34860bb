"""Time stamps in a step, for profiles: how many ticks each kernel takes on the first thread.

Only the variant of a step that a profile runs has them; the text of the usual step does not change.
The ticks are added up in a global array of the module, `@ticks`:

    0           the whole step
    1           waiting for the other threads at its end
    2           the counter itself, at the end of the step
    3 + 2 n     kernel n
    4 + 2 n     waiting for the other threads before kernel n may start
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..ir.loops import Kernel
from .emit import Function

TICKS = "ticks"
STEP, END, NOW, FIRST = 0, 1, 2, 3


class Clock:
    """Writes the stamps of one program.

    Args:
        triple: LLVM's name of the platform.
    """

    def __init__(self, triple: str) -> None:
        self.kernels: list[Kernel] = []  # in the order in which the step meets them
        self._numbers: dict[int, int] = {}
        self._arm = triple.startswith(("aarch64", "arm64"))

    def place_of(self, kernel: Kernel, waiting: bool = False) -> int:
        """Where the ticks of a kernel are counted; kernels get their numbers as they come."""
        number = self._numbers.get(id(kernel))
        if number is None:
            number = self._numbers[id(kernel)] = len(self.kernels)
            self.kernels.append(kernel)
        return FIRST + 2 * number + int(waiting)

    @contextmanager
    def count(self, f: Function, place: int, thread: str | None = None) -> Iterator[None]:
        """Count the ticks of what is written inside.

        Args:
            f: the function.
            place: where they are counted.
            thread: the number of the thread, where several run the function: the first one counts.
        """
        begin = self._read(f)
        yield
        if thread is None:
            self._add(f, place, begin)
        else:
            with f.when(f.emit(f"icmp eq i64 {thread}, 0")):
                self._add(f, place, begin)

    def declare(self) -> str:
        """The global array; to be asked for when all kernels are known."""
        return f"@{TICKS} = global [{self.size} x i64] zeroinitializer, align 64"

    @property
    def size(self) -> int:
        """The number of counts."""
        return FIRST + 2 * len(self.kernels)

    def _read(self, f: Function) -> str:
        if self._arm:  # the counter of cycles is closed to programs there
            return f.emit('call i64 asm sideeffect "mrs $0, cntvct_el0", "=r"()')
        return f.call("i64", "llvm.readcyclecounter")

    def _add(self, f: Function, place: int, begin: str) -> None:
        now = self._read(f)
        taken = f.emit(f"sub i64 {now}, {begin}")
        address = f.emit(f"getelementptr i64, ptr @{TICKS}, i64 {place}")
        before = f.emit(f"load i64, ptr {address}")
        f.do(f"store i64 {f.emit(f'add i64 {before}, {taken}')}, ptr {address}")
        if place == STEP:
            f.do(f"store i64 {now}, ptr {f.emit(f'getelementptr i64, ptr @{TICKS}, i64 {NOW}')}")

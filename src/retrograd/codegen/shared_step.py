"""A step that several threads run together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir.loops import Callback, Kernel, Repeat, reads, writes
from .emit import Function
from .kernels import can_fail, normalise
from .pieces import Hazards, Pieces, cut
from .threads import emit_barrier, emit_share

if TYPE_CHECKING:
    from .program import Frame, ProgramWriter


class SharedStep:
    """Writes a step that all threads of a team run together.

    Each thread works on its pieces of a kernel; what is not cut is done by the first one alone.
    Threads wait for each other only where one touches what another has worked on.

    Args:
        writer: the program.
        frame: the step's function.
    """

    def __init__(self, writer: ProgramWriter, frame: Frame) -> None:
        self.writer = writer
        self.frame = frame
        self.hazards = Hazards(writer.schedule, writer.places)
        self._shares: dict[int, tuple[str, str]] = {}  # of this thread, by the number of pieces

    def write(self) -> Function:
        """The kernels, with barriers between them; gives the function that waits at one."""
        f = self.frame.f
        self.writer.write_status(self.frame)
        for kernel in self.writer.schedule.kernels:
            pieces = cut(kernel)
            if self.hazards.must_wait(kernel, shared=pieces is not None):
                self._wait(kernel)
            # Pointers are loaded for each kernel anew: values that live through all of a long step
            # take LLVM more time than all kernels.
            self.frame.forget()
            for number in sorted({*reads(kernel), *writes(kernel)}):
                self.frame.pointer(number)  # here, so that it is known in every branch
            with self.writer.timed(f, kernel):
                if pieces is not None:
                    self._write_pieces(pieces)
                else:
                    with f.when(f.emit("icmp eq i64 %thread, 0")):
                        self.writer.write_kernel(self.frame, kernel)
            if can_fail(kernel) or isinstance(kernel, (Callback, Repeat)):
                self._stop_on_error(kernel)
        self._wait()
        arguments = [("ptr", "%team"), ("i64", "%thread"), ("i64", "%threads")]
        wait = Function("wait", arguments, linkage="internal")
        with wait.when(wait.emit("icmp ugt i64 %threads, 1")):
            emit_barrier(wait, "%thread", "%threads", "%team")
        wait.do("ret void")
        return wait

    def _write_pieces(self, pieces: Pieces) -> None:
        f = self.frame.f
        normal, accesses = normalise(pieces.kernel)
        if pieces.count not in self._shares:
            self._shares[pieces.count] = emit_share(f, pieces.count, 1, "%thread", "%threads")
        begin, end = self._shares[pieces.count]
        with (
            f.when(f.emit(f"icmp ult i64 {begin}, {end}")),
            f.loop(begin, end, 1, "piece") as piece,
        ):
            pointers = []
            for access in accesses:
                pointer = self.frame.pointer(access.buffer, access.offset)
                size = self.writer.schedule.buffers[access.buffer].dtype.itemsize
                move = pieces.move(access) * size
                if move:
                    offset = f.emit(f"mul nsw i64 {piece}, {move}")
                    pointer = f.emit(f"getelementptr i8, ptr {pointer}, i64 {offset}")
                pointers.append(pointer)
            self.writer.call(f, normal, pointers)

    def _wait(self, kernel: Kernel | None = None) -> None:
        """All threads arrive before one goes on; at this kernel, or at the end."""
        with self.writer.timed(self.frame.f, kernel, waiting=True):
            self.frame.f.do("call void @wait(ptr %team, i64 %thread, i64 %threads)")

    def _stop_on_error(self, kernel: Kernel) -> None:
        """All threads return together when a kernel has set the status.

        The second barrier keeps a fast thread from setting it again before a slow one has looked.
        """
        f = self.frame.f
        self._wait(kernel)
        status = f.emit("load i64, ptr %status")
        self._wait(kernel)
        self.hazards.clear()
        with f.when(f.emit(f"icmp ne i64 {status}, 0")):
            f.do(f"ret i64 {status}")
            f.block(f.new_label("unreachable"))

"""A step that several threads run together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir.loops import Callback, Repeat
from .kernels import can_fail, normalise
from .pieces import Hazards, Pieces, cut
from .threads import emit_barrier, share

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

    def write(self) -> None:
        """The kernels, with barriers between them."""
        f = self.frame.f
        self.writer.write_status(self.frame)
        for number in range(len(self.writer.schedule.buffers)):
            self.frame.pointer(number)  # here, so that it is known in every branch
        for kernel in self.writer.schedule.kernels:
            pieces = cut(kernel)
            if self.hazards.must_wait(kernel, shared=pieces is not None):
                self._wait()
            if pieces is not None:
                self._write_pieces(pieces)
            else:
                with f.when(f.emit("icmp eq i64 %thread, 0")):
                    self.writer.write_kernel(self.frame, kernel)
            if can_fail(kernel) or isinstance(kernel, (Callback, Repeat)):
                self._stop_on_error()
        self._wait()

    def _write_pieces(self, pieces: Pieces) -> None:
        f = self.frame.f
        normal, accesses = normalise(pieces.kernel)
        with (
            share(f, pieces.count, 1, "%thread", "%threads") as (begin, end),
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

    def _wait(self) -> None:
        """All threads arrive before one goes on."""
        f = self.frame.f
        with f.when(f.emit("icmp ugt i64 %threads, 1")):
            emit_barrier(f, "%thread", "%threads", "%team")

    def _stop_on_error(self) -> None:
        """All threads return together when a kernel has set the status.

        The second barrier keeps a fast thread from setting it again before a slow one has looked.
        """
        f = self.frame.f
        self._wait()
        status = f.emit("load i64, ptr %status")
        self._wait()
        self.hazards.clear()
        with f.when(f.emit(f"icmp ne i64 {status}, 0")):
            f.do(f"ret i64 {status}")
            f.block(f.new_label("unreachable"))

"""The limit of kernels that memory bounds: the same arrays, read and written without arithmetic.

How fast memory is depends on how many arrays are walked at once and on which of them are written,
and on a virtual machine it changes from minute to minute. So this is measured like a side: in
turns with the others, by the same clock, on as many arrays of the same size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from retrograd.codegen.peak import write_streams
from retrograd.codegen.team import write_team
from retrograd.ir.types import float32
from retrograd.runtime import jit, kept
from retrograd.runtime.buffers import empty_state
from retrograd.runtime.target import host_target
from retrograd.runtime.threads import get_pool

from .kernel_cases import CASES, STREAMS
from .protocol import Kernels, serve_kernels


class Streams:
    """Arrays in memory that threads walk side by side.

    Args:
        threads: how many.
        elements: of each array, in float32.
        read, updated, written: how many arrays are only read, updated in place, only written.
        around: whether what is written goes around the caches.
    """

    def __init__(
        self, threads: int, elements: int, read: int, updated: int, written: int, around: bool
    ) -> None:
        target = host_target()
        text = write_streams(target, read, updated, written, around)
        self._library = jit.load(kept.assemble(text), ["streams"])
        self.arrays = [empty_state((elements,), float32) for _ in range(read + updated + written)]
        for array in self.arrays:
            if array.ctypes.data % target.vector_bytes:
                raise ValueError(f"{elements} elements are too few: an array of 1 MiB is aligned")
            array[...] = 0.0
        words = [self.arrays[0].nbytes, *(array.ctypes.data for array in self.arrays)]
        self._table = np.array(words, np.int64)
        self._pool = get_pool(threads, lambda: kept.assemble(write_team(target.triple)))

    def run(self) -> None:
        """Walk all of them once."""
        self._pool.run(self._library.addresses["streams"], self._table.ctypes.data)


class LimitKernels(Kernels):
    """The limits of what memory bounds; nothing for contractions."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.threads = settings["threads"]

    def prepare(self) -> dict[str, Any]:
        return {}

    def load(self, name: str) -> list[Callable[[], Any]]:
        case = CASES[name]
        if case.kind not in STREAMS:
            return []
        read, updated, written = STREAMS[case.kind]
        forms = (False, True) if written else (False,)
        return [
            Streams(self.threads, *case.sizes, read, updated, written, around).run
            for around in forms
        ]


if __name__ == "__main__":
    serve_kernels(LimitKernels)

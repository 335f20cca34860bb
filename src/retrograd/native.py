"""The native executor: a Graph as one function of machine code, called with pointers."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .codegen.elementwise import ROWS
from .codegen.program import ProgramWriter
from .config import get_config
from .errors import IndexRangeError, VerificationError
from .ir import Graph
from .passes.arena import plan_arena
from .passes.lowering import lower
from .passes.pipeline import prepare
from .runtime import jit
from .runtime.buffers import GUARD, Memory, array_at
from .runtime.target import Target, host_target
from .trace import evaluate

NumpyArray = np.ndarray[Any, Any]


@dataclass(slots=True)
class Times:
    """Seconds spent on the stages of a compilation."""

    passes: float = 0.0
    text: float = 0.0
    llvm: float = 0.0
    load: float = 0.0


class NativeProgram:
    """A Graph compiled for this machine."""

    def __init__(
        self, graph: Graph, poison: bool | None = None, target: Target | None = None
    ) -> None:
        self.graph = graph
        self.poison = get_config().poison if poison is None else poison
        self.times = Times()
        start = time.perf_counter()
        self.schedule = lower(prepare(graph), frozenset((*ROWS, "cast")))
        self.arena = plan_arena(self.schedule, GUARD if self.poison else 0)
        self.times.passes = time.perf_counter() - start
        start = time.perf_counter()
        writer = ProgramWriter(self.schedule, self.arena.places, target or host_target())
        self.text = writer.write()
        self.writer = writer
        self.slots, self.callbacks = writer.slots, writer.callbacks
        self.distinct = len(writer.known)
        self.times.text = time.perf_counter() - start
        start = time.perf_counter()
        code = jit.assemble(self.text, target)
        self.times.llvm = time.perf_counter() - start
        start = time.perf_counter()
        self.library = jit.load(code, ["step"])
        self.function = jit.function(self.library, "step", 1)
        self.times.load = time.perf_counter() - start
        self._prepare()

    # -- running --------------------------------------------------------------------------------

    def _prepare(self) -> None:
        buffers = self.schedule.buffers
        self.memory = Memory(self.arena.size, self.poison)
        self.table = np.zeros(self.writer.callback_slot + 1, np.int64)
        for slot, value in self.writer.constants:
            self.table[slot] = value.ctypes.data
        self.table[0] = self.memory.address
        self.inputs: list[tuple[int, int]] = []
        self.fresh: list[int] = []
        for number, slot in self.slots.items():
            if number < 0:
                continue
            buffer = buffers[number]
            if buffer.kind == "constant":
                self.table[slot] = buffer.value.ctypes.data
            elif buffer.kind == "input":
                self.inputs.append((slot, buffer.position))
            else:
                self.fresh.append(number)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)
        self._callback = kind(self._call_back)
        address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        self.table[self.writer.callback_slot] = address
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self.table_address = self.table.ctypes.data

    def run(self, arrays: Sequence[NumpyArray]) -> list[NumpyArray]:
        """Run the program on one value for each input."""
        buffers = self.schedule.buffers
        with self._lock:
            held = []
            for slot, position in self.inputs:
                array = np.ascontiguousarray(arrays[position])
                held.append(array)
                self.table[slot] = array.ctypes.data
            live: dict[int, NumpyArray] = {}
            for number in self.fresh:
                live[number] = made = np.empty(buffers[number].shape, buffers[number].dtype)
                self.table[self.slots[number]] = made.ctypes.data
            self._execute(live)
        results = []
        for number in self.schedule.outputs:
            buffer = buffers[number]
            if buffer.kind == "input":
                results.append(np.array(arrays[buffer.position]))
            elif buffer.kind == "constant":
                results.append(np.array(buffer.value))
            else:
                results.append(live[number])
        return results

    def _execute(self, live: dict[int, NumpyArray]) -> None:
        """Call the machine code, with all pointers in the table."""
        self.table[self.writer.status_slot] = 0
        status = self._run_guarded(live) if self.poison else self.function(self.table_address)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if status:
            raise IndexRangeError("An index is out of range in a compiled program.")

    def _run_guarded(self, live: dict[int, NumpyArray]) -> int:
        """Run with all memory filled with NaN, and check that nothing is written beside it."""
        buffers = self.schedule.buffers
        guarded = []
        for number, array in live.items():
            memory = Memory(array.nbytes, True)
            guarded.append((number, memory, [(0, array.nbytes)]))
            self.table[self.slots[number]] = memory.address
        places = [(place, buffers[n].bytes) for n, place in self.arena.places.items()]
        guarded.append((-1, self.memory, places))
        for _, memory, inside in guarded:
            memory.fill(inside)
        status: int = self.function(self.table.ctypes.data)
        for number, memory, inside in guarded:
            if memory.is_damaged(inside):
                what = "the arena" if number < 0 else f"output {number}"
                raise VerificationError(f"A kernel writes outside its buffer, in {what}.")
            if number >= 0:
                array = live[number]
                array.reshape(-1).view(np.uint8)[...] = memory.read(0, array.nbytes)
        return status

    def _call_back(self, number: int, addresses: int) -> None:
        try:
            callback = self.callbacks[number]
            node = callback.node
            atoms = [*node.inputs, *node.outputs]
            pointers = (ctypes.c_int64 * len(atoms)).from_address(addresses)
            arrays = [
                array_at(pointer, atom.type.dtype, atom.type.shape)
                for pointer, atom in zip(pointers, atoms, strict=True)
            ]
            count = len(node.inputs)
            results = evaluate(node.primitive, arrays[:count], dict(node.parameters))
            for target, result in zip(arrays[count:], results, strict=True):
                target[...] = result
        except BaseException as error:
            self._error = error
            self.table[self.writer.status_slot] = 2  # the status: the step returns


def run(graph: Graph, arrays: Sequence[NumpyArray]) -> list[NumpyArray]:
    """Run a program natively; it is compiled at the first call."""
    program = graph.cache.get("native")
    if program is None:
        program = graph.cache["native"] = NativeProgram(graph)
    return program.run(arrays)

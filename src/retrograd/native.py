"""The native executor: a Graph as one function of machine code, called with pointers."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .codegen.contraction import ContractionEmitter
from .codegen.elementwise import ROWS
from .codegen.emit import Function, Module
from .codegen.loops import LoopEmitter, list_accesses
from .codegen.tiles import plan_contraction
from .config import get_config
from .errors import IndexRangeError, VerificationError
from .ir import Graph
from .ir.loops import Access, Callback, Contraction, Kernel, LoopNest
from .passes.arena import plan_arena
from .passes.lowering import lower
from .passes.nests import collapse
from .runtime import jit
from .runtime.buffers import GUARD, Memory, array_at
from .runtime.target import host_target
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

    def __init__(self, graph: Graph, poison: bool | None = None) -> None:
        self.graph = graph
        self.poison = get_config().poison if poison is None else poison
        self.times = Times()
        start = time.perf_counter()
        self.schedule = lower(graph, frozenset((*ROWS, "cast")))
        self.schedule.kernels = [
            collapse(k) if isinstance(k, LoopNest) else k for k in self.schedule.kernels
        ]
        self.arena = plan_arena(self.schedule, GUARD if self.poison else 0)
        self.times.passes = time.perf_counter() - start
        start = time.perf_counter()
        self.text = self._write()
        self.times.text = time.perf_counter() - start
        start = time.perf_counter()
        code = jit.assemble(self.text)
        self.times.llvm = time.perf_counter() - start
        start = time.perf_counter()
        self.library = jit.load(code, ["step"])
        self.function = jit.function(self.library, "step", 1)
        self.times.load = time.perf_counter() - start
        self._prepare()

    # -- text -----------------------------------------------------------------------------------

    def _write(self) -> str:
        """The module: each different kernel once, and the step that calls them in order."""
        module = Module()
        target = host_target()
        step = Function("step", [("ptr", "%table")], result="i64")
        self.slots = self._assign_slots()
        known: dict[Any, str] = {}
        step.lines.append(f"  %status = getelementptr i64, ptr %table, i64 {len(self.slots)}")
        bases: dict[int, str] = {}
        self.callbacks: list[Callback] = []
        for kernel in self.schedule.kernels:
            if isinstance(kernel, Callback):
                self._write_callback(step, bases, kernel)
                continue
            normal, accesses = normalise(kernel)
            if normal not in known:
                name = f"kernel{len(known)}"
                known[normal] = name
                module.functions.append(emit_kernel(normal, name, target))
            pointers = [self._pointer(step, bases, access) for access in accesses]
            listed = ", ".join(f"ptr {p}" for p in [*pointers, "%status"])
            step.do(f"call void @{known[normal]}({listed})")
            if isinstance(kernel, LoopNest) and any(e.kind == "gather" for e in kernel.expressions):
                self._stop_on_error(step)
        result = step.emit("load i64, ptr %status")
        step.do(f"ret i64 {result}")
        module.functions.append(step)
        self.distinct = len(known)
        return module.text()

    def _write_callback(self, step: Function, bases: dict[int, str], kernel: Callback) -> None:
        """Call Python with the number of the callback and the addresses of its arrays."""
        number = len(self.callbacks)
        self.callbacks.append(kernel)
        whole = [Access(buffer, 0, ()) for buffer in (*kernel.inputs, *kernel.outputs)]
        pointers = [self._pointer(step, bases, access) for access in whole]
        listed = step.reserve(f"[{max(len(pointers), 1)} x ptr]")
        for order, pointer in enumerate(pointers):
            place = step.emit(f"getelementptr ptr, ptr {listed}, i64 {order}")
            step.do(f"store ptr {pointer}, ptr {place}")
        place = step.emit(f"getelementptr i64, ptr %table, i64 {len(self.slots) + 1}")
        address = step.emit(f"load ptr, ptr {place}")
        step.do(f"call void {address}(i64 {number}, ptr {listed})")
        self._stop_on_error(step)

    def _stop_on_error(self, step: Function) -> None:
        """Return at once when a kernel has set the status: nothing may be changed after that."""
        status = step.emit("load i64, ptr %status")
        failed = step.emit(f"icmp ne i64 {status}, 0")
        with step.when(failed):
            step.do(f"ret i64 {status}")
            step.block(step.new_label("unreachable"))

    def _assign_slots(self) -> dict[int, int]:
        """The places of buffers in the table of pointers; all arena buffers share the first."""
        slots: dict[int, int] = {-1: 0}
        for number in range(len(self.schedule.buffers)):
            if number not in self.arena.places:
                slots[number] = len(slots)
        return slots

    def _pointer(self, step: Function, bases: dict[int, str], access: Access) -> str:
        place = self.arena.places.get(access.buffer)
        slot = self.slots[-1 if place is not None else access.buffer]
        if slot not in bases:
            entry = step.emit(f"getelementptr i64, ptr %table, i64 {slot}")
            bases[slot] = step.emit(f"load ptr, ptr {entry}")
        size = self.schedule.buffers[access.buffer].dtype.itemsize
        offset = (place or 0) + access.offset * size
        if not offset:
            return bases[slot]
        return step.emit(f"getelementptr i8, ptr {bases[slot]}, i64 {offset}")

    # -- running --------------------------------------------------------------------------------

    def _prepare(self) -> None:
        buffers = self.schedule.buffers
        self.memory = Memory(self.arena.size, self.poison)
        self.table = np.zeros(len(self.slots) + 2, np.int64)
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
        self.table[len(self.slots) + 1] = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
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
        self.table[len(self.slots)] = 0
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
            self.table[len(self.slots)] = 2  # the status: the step returns


def emit_kernel(kernel: Kernel, name: str, target: Any) -> Function:
    """The machine code of a kernel, as text."""
    if isinstance(kernel, LoopNest):
        return LoopEmitter(kernel, name, target.vector_bytes).emit()
    assert isinstance(kernel, Contraction)
    plan = plan_contraction(kernel, target.vector_bytes, target.registers)
    return ContractionEmitter(kernel, plan, name).emit()


def normalise(kernel: Kernel) -> tuple[Kernel, list[Access]]:
    """The kernel with its pointers numbered, so that equal kernels are equal; and its accesses."""
    if isinstance(kernel, Contraction):
        accesses = [kernel.a, kernel.b, kernel.out]
        local = [replace(a, buffer=i, offset=0) for i, a in enumerate(accesses)]
        return replace(kernel, a=local[0], b=local[1], out=local[2]), accesses
    assert isinstance(kernel, LoopNest)
    found = list_accesses(kernel)
    local_of = {a: replace(a, buffer=i, offset=0) for i, a in enumerate(found)}
    expressions = tuple(
        e if e.access is None else replace(e, access=local_of[e.access]) for e in kernel.expressions
    )
    stores = tuple(replace(s, access=local_of[s.access]) for s in kernel.stores)
    return replace(kernel, expressions=expressions, stores=stores), found


def run(graph: Graph, arrays: Sequence[NumpyArray]) -> list[NumpyArray]:
    """Run a program natively; it is compiled at the first call."""
    program = graph.cache.get("native")
    if program is None:
        program = graph.cache["native"] = NativeProgram(graph)
    return program.run(arrays)

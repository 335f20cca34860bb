"""The native executor: a Graph as one function of machine code, called with pointers."""

from __future__ import annotations

import copy
import ctypes
import time
import weakref
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import interpret
from .codegen import table as words
from .codegen.clock import STAMPS, Clock, write_stamps
from .codegen.elementwise import ROWS
from .codegen.program import ProgramWriter
from .codegen.series import Job
from .codegen.steps import FUNCTIONS, PARTS, write_steps
from .common_code import get_handler, get_team, load_series
from .config import get_config
from .errors import IndexRangeError, RetrogradError, VerificationError
from .ir import Graph
from .ir.fingerprint import fingerprint
from .ir.loops import Schedule
from .passes.arena import Arena, plan_arena
from .passes.in_place import find_lifetimes
from .passes.lowering import lower
from .passes.pipeline import check_names, list_names, prepare
from .runtime import jit, kept
from .runtime.buffers import GUARD, Memory, array_at
from .runtime.forks import computed_once, renew_in_child
from .runtime.jit import Library
from .runtime.libraries import find_kernels, load_library, make_kernels
from .runtime.plan import Plan, link
from .runtime.processors import choose_thread_count
from .runtime.stopping import Stopping
from .runtime.target import Target, host_target
from .runtime.threads import Pool
from .runtime.turns import Turn
from .trace import evaluate

NumpyArray = np.ndarray[Any, Any]
LOOPS = frozenset(("repeat", "repeat_shared", "repeat_together", "repeat_open"))


@dataclass(slots=True)
class Times:
    """Seconds spent on the stages of a compilation."""

    cache: float = 0.0
    passes: float = 0.0
    text: float = 0.0
    llvm: float = 0.0
    load: float = 0.0


class OutOfRange(Exception):
    """The machine code met an index that is out of range. Nothing has changed."""


class NativeProgram:
    """A Graph compiled for this machine.

    Args:
        graph: the program.
        poison: fill memory with NaN and guard it; None for the setting.
        target: the CPU; None for this one.
        without: names of passes to leave out (`passes/pipeline.py`); None for the setting.
    """

    def __init__(
        self,
        graph: Graph,
        poison: bool | None = None,
        target: Target | None = None,
        without: Iterable[str] | None = None,
    ) -> None:
        self.graph = replace(graph, cache={})  # the cache of the Graph holds this program
        self.without = check_names(get_config().without_passes if without is None else without)
        self.poison = get_config().poison if poison is None else poison
        self.times = Times()
        self.target = target or host_target()
        start = time.perf_counter()
        known = fingerprint(graph)
        self.name, constants = ("", []) if known is None else (self._name(known[0]), known[1])
        plan = kept.load_plan(self.name, constants) if self.name else None
        libraries = None if plan is None else self._load_libraries(plan)
        self.times.cache = time.perf_counter() - start
        self.cached = libraries is not None
        self.compiled = 0  # kernels that were neither in memory nor in the cache
        if plan is None or libraries is None:
            plan, libraries = self._make(constants)
        self.plan, self.libraries = plan, libraries
        self.buffers, self.outputs = self.plan.buffers, self.plan.outputs
        self.slots, self.callbacks = self.plan.slots, self.plan.callbacks
        self.distinct, self.shared = self.plan.distinct, self.plan.shared
        self.arena = Arena(self.plan.places, self.plan.size)
        start = time.perf_counter()
        part, name = ("shared", "step_shared") if self.shared else ("step", "step")
        steps = kept.load(write_steps(part), PARTS[part])
        self.address = steps.addresses[name]
        self.function = jit.function(steps, name, 4 if self.shared else 1)
        self.start, self.words = plan.start, plan.link(self._list_addresses(plan.links))
        self.times.load = time.perf_counter() - start
        self._prepare()

    # -- making ---------------------------------------------------------------------------------

    def _name(self, graph: str) -> str:
        """The name of the program in the cache, from the fingerprint of its Graph."""
        passes = [name for name in list_names() if name not in self.without]
        return kept.name_plan(graph, self.target, [self.poison, *passes])

    def _load_libraries(self, plan: Plan) -> list[Library] | None:
        """The libraries that a plan names; None where a kernel is missing."""
        found = [load_library(name, self.target) for name in plan.libraries]
        libraries = [library for library in found if library is not None]
        known = set(FUNCTIONS).union(*(library.addresses for library in libraries))
        return libraries if known.issuperset(filter(None, plan.links)) else None

    def _list_addresses(self, names: Collection[str]) -> dict[str, int]:
        """The addresses of the functions that records call, by name."""
        addresses: dict[str, int] = {}
        for part, functions in PARTS.items():
            if any(name in names for name in functions):
                addresses.update(kept.load(write_steps(part), functions).addresses)
        for library in self.libraries:
            addresses.update(library.addresses)
        return addresses

    def _make(self, constants: Sequence[NumpyArray]) -> tuple[Plan, list[Library]]:
        """The plan and the machine code, by all stages; kept for the next process."""
        schedule = self.schedule
        start = time.perf_counter()
        arena = plan_arena(schedule, GUARD if self.poison else 0)
        lifetimes = find_lifetimes(schedule)
        self.times.passes += time.perf_counter() - start
        start = time.perf_counter()
        writer = ProgramWriter(schedule, arena.places, self.target)
        found = find_kernels(writer.kernels, self.target)
        new = [name for name in writer.kernels if name not in found]
        text = writer.text(new)
        self.compiled = len(new)
        self.times.text = time.perf_counter() - start
        start = time.perf_counter()
        libraries = list(dict.fromkeys(found.values()))
        if new:
            libraries.append(make_kernels(text, new, self.target))
        self.times.llvm = time.perf_counter() - start
        plan = Plan(
            buffers=schedule.buffers,
            outputs=schedule.outputs,
            places=arena.places,
            size=arena.size,
            slots=writer.slots,
            constants=writer.constants,
            callbacks=writer.callbacks,
            table_size=writer.layout.size,
            shared=writer.shared,
            lifetimes=lifetimes,
            distinct=len(writer.kernels),
            start=writer.start,
            words=np.array(writer.words, np.int64),
            links=writer.links,
            libraries=[library.name for library in libraries],
        )
        if self.name:
            kept.keep_plan(self.name, plan, constants)
        return plan, libraries

    @computed_once
    def schedule(self) -> Schedule:
        """The kernels; lowered when somebody asks where the program came from the cache."""
        start = time.perf_counter()
        schedule = lower(
            prepare(self.graph, self.without),
            frozenset((*ROWS, "cast")),
            without=self.without,
        )
        self.times.passes = time.perf_counter() - start
        return schedule

    @property
    def text(self) -> str:
        """The LLVM text of all its kernels, written anew."""
        return ProgramWriter(self.schedule, self.plan.places, self.target).text()

    def duplicate(self, clock: Clock | None = None) -> NativeProgram:
        """This program once more, with memory of its own.

        Args:
            clock: counts the ticks of its kernels.
        """
        other = copy.copy(self)
        other.poison = False
        if clock is not None:
            writer = ProgramWriter(self.schedule, self.plan.places, self.target, clock)
            records = np.array(writer.words, np.int64)
            stamps = kept.load(write_stamps(host_target().triple), STAMPS)
            addresses = {**self._list_addresses(writer.links), **stamps.addresses}
            other.start, other.words = writer.start, link(records, writer.links, addresses)
        other._prepare()
        if clock is not None:
            other.table[words.TICKS] = clock.make_counts().ctypes.data
        return other

    # -- running --------------------------------------------------------------------------------

    def _prepare(self) -> None:
        buffers = self.buffers
        self.memory = Memory(self.arena.size, self.poison)
        self.table = np.zeros(self.plan.table_size, np.int64)
        for slot, value in self.plan.constants:
            self.table[slot] = value.ctypes.data
        self.table[words.ARENA] = self.memory.address
        self.table[words.CODE] = self.words.ctypes.data + 8 * self.start
        self.table[words.ROOT] = self.table.ctypes.data
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
        myself: Any = weakref.ref(self)  # else memory would be freed by the garbage collector alone

        self._callback = kind(lambda number, addresses: myself()._call_back(number, addresses))
        address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        self.table[words.CALLBACK] = address
        self._error: BaseException | None = None
        loops = LOOPS.intersection(self.plan.links)
        stop = self.table[words.STOP : words.STOP + 3]
        self.stopping = Stopping(stop, "repeat_open" in loops, get_handler) if loops else None
        self.table_address = self.table.ctypes.data
        self.threads: int | None = None
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """A free lock; in the child of a fork, the thread that ran the program is gone."""
        self.lock = Turn()
        self.ready_for: Any = None  # the mark of the call that the pointers are those of

    def run(self, arrays: Sequence[NumpyArray]) -> list[NumpyArray]:
        """Run the program on one value for each input."""
        buffers = self.buffers
        with self.lock:
            self.ready_for = None
            held = []
            for slot, position in self.inputs:
                array = np.ascontiguousarray(arrays[position])
                held.append(array)
                self.table[slot] = array.ctypes.data
            live: dict[int, NumpyArray] = {}
            for number in self.fresh:
                live[number] = made = np.empty(buffers[number].shape, buffers[number].dtype)
                self.table[self.slots[number]] = made.ctypes.data
            try:
                self.execute(live)
            except OutOfRange:
                raise self.explain(arrays) from None
        results = []
        for number in self.outputs:
            buffer = buffers[number]
            if buffer.kind == "input":
                results.append(np.array(arrays[buffer.position]))
            elif buffer.kind == "constant":
                results.append(np.array(buffer.value))
            else:
                results.append(live[number])
        return results

    def _call(self, function: Any, code: int, table: int) -> int:
        """Run machine code, on several threads where the program is worth it.

        Args:
            function: takes the table; with threads also the thread, their number and the team.
            code: its address.
            table: what it is given.
        """
        pool = self._find_pool() if self.shared else None
        if self.stopping is not None:
            self.stopping.begin()
        if not self.shared:
            status = function(table)
        elif pool is None:
            status = function(table, 0, 1, 0)
        else:
            status = pool.run(code, table)
        if self.stopping is not None:
            self.stopping.end()
        return int(status)

    def _find_pool(self) -> Pool | None:
        """The team of threads; None where there is one thread."""
        if self.threads is None:  # once: finding out reads the files of the control groups
            self.threads = choose_thread_count()
        if self.threads == 1:
            return None
        return get_team(self.threads)

    def run_job(self, job: Job) -> None:
        """Run the machine code many times, in one call."""
        address = job.fill(self.address, self.table).ctypes.data
        self.table[words.STATUS] = 0
        if not job.steps:
            return
        name = "series" if self.shared else "series_alone"
        function = jit.function(load_series(), name, 4 if self.shared else 1)
        self._check(self._call(function, load_series().addresses[name], address))

    def execute(self, live: dict[int, NumpyArray]) -> None:
        """Call the machine code, with all pointers in the table."""
        self.table[words.STATUS] = 0
        if self.poison:
            self._check(self._run_guarded(live))
        else:
            self._check(self._call(self.function, self.address, self.table_address))

    def _check(self, status: int) -> None:
        """Raise what went wrong inside of the machine code."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if status == words.STOPPED:
            raise KeyboardInterrupt  # Python's own has come before, where nobody forbids it
        if status:
            raise OutOfRange

    def explain(self, arrays: Sequence[NumpyArray]) -> Exception:
        """Why the program fails: the interpreter tells the value, the axis and the user's line."""
        try:
            interpret.run(self.graph, arrays)
        except RetrogradError as error:
            return error
        return IndexRangeError("An index is out of range in a compiled program.")

    def _run_guarded(self, live: dict[int, NumpyArray]) -> int:
        """Run with all memory filled with NaN, and check that nothing is written beside it."""
        buffers = self.buffers
        guarded = []
        for number, array in live.items():
            memory = Memory(array.nbytes, True)
            guarded.append((number, memory, [(0, array.nbytes)]))
            self.table[self.slots[number]] = memory.address
        places = [(place, buffers[n].bytes) for n, place in self.arena.places.items()]
        guarded.append((-1, self.memory, places))
        for _, memory, inside in guarded:
            memory.fill(inside)
        status = self._call(self.function, self.address, self.table_address)
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
            self.table[words.STATUS] = words.PYTHON_ERROR  # the step returns


def get_program(graph: Graph) -> NativeProgram:
    """The machine code of a Graph; it is compiled when it is first asked for."""
    program = graph.cache.get("native")
    if program is None:
        program = graph.cache["native"] = NativeProgram(graph)
    assert isinstance(program, NativeProgram)
    return program


def run(graph: Graph, arrays: Sequence[NumpyArray]) -> list[NumpyArray]:
    """Run a program natively; it is compiled at the first call."""
    return get_program(graph).run(arrays)

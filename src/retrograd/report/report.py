"""The report of a compiled program: what it is made of, what that costs, how long it takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, suggest
from ..ir import Graph, format_graph
from ..runtime.forks import computed_once
from .counts import add_up, count_bytes, count_flops
from .kernels import KernelReport, describe_kernels
from .page import format_report

if TYPE_CHECKING:
    from ..native import NativeProgram
    from .limits import Limits
    from .profile import Profile

NumpyArray = np.ndarray[Any, Any]
FORMAT = 1
"""Of the JSON; it changes when a name or a unit does."""
TRACED = "traced"


@dataclass(frozen=True, slots=True)
class Stage:
    """A program on its way to kernels.

    Args:
        name: "traced", or the pass that made it.
        graph: the program.
        seconds: what tracing or the pass took.
    """

    name: str
    graph: Graph
    seconds: float

    @property
    def nodes(self) -> int:
        """The number of nodes, those of Graphs inside of nodes included."""
        return sum(1 for _ in self.graph.walk())


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about.

    Args:
        graph: the traced program.
        executor: what runs it.
        call: the function with the names of its arguments.
        traced: seconds that tracing took.
        parameters: trained numbers of the Modules among the arguments.
        replaced: for each output that is a new value of an input, the position of that input.
        read: gives the values of the inputs as they are now.
    """

    graph: Graph
    executor: str
    call: str
    traced: float
    parameters: int
    replaced: dict[int, int]
    read: Callable[[], Sequence[NumpyArray]]


@final
class Report:
    """What a compiled function is made of; `print` shows it as a page.

    Made by `report` of a compiled function. It holds the arguments of that call; a profile runs on
    copies of their values.

    Example:
        >>> import retrograd as rg
        >>> @rg.compile(executor="native")
        ... def f(x, w):
        ...     return rg.tanh(x @ w).sum()
        >>> report = f.report(rg.ones((8, 16)), rg.ones((16, 4)))
        >>> [kernel.what for kernel in report.kernels]
        ['dot', 'fused loop']
        >>> report.kernels[0].flops == 2 * 8 * 16 * 4
        True
        >>> print(report.text())  # the traced program; report.text("inline") after that pass
        f(a: float32[8,16] 'x', b: float32[16,4] 'w'):
          c: float32[8,4] = dot(a, b, ...
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.executor = subject.executor
        self.call = subject.call
        self.parameters = subject.parameters
        self.measured: Profile | None = None
        self.cached = False
        self.times: dict[str, float] = {"trace": subject.traced}
        if self.is_native:
            from ..native import get_program

            self._program: NativeProgram = get_program(subject.graph)
            self.cached = self._program.cached
            own = self._program.times
            stages = {"cache": own.cache, "load": own.load}
            if not self.cached:
                stages = {
                    "cache": own.cache,
                    "passes": own.passes,
                    "text": own.text,
                    "llvm": own.llvm,
                    "load": own.load,
                }
            self.times |= stages

    @property
    def is_native(self) -> bool:
        """Whether the program is machine code."""
        return self.executor == "native"

    def _native(self, what: str) -> NativeProgram:
        if not self.is_native:
            raise ArgumentError(
                f"There is no {what} of {self.call}: the NumPy executor runs the program node by "
                "node and makes no machine code.",
                fix='compile the function with rg.compile(f, executor="native")',
            )
        return self._program

    # -- the program -----------------------------------------------------------------------------

    @computed_once
    def stages(self) -> tuple[Stage, ...]:
        """The program as it was traced, and after each pass."""
        graph = self._subject.graph
        found = [Stage(TRACED, graph, self._subject.traced)]
        if self.is_native:
            from ..passes.pipeline import walk_passes

            found += [Stage(*stage) for stage in walk_passes(graph, self._program.without)]
        return tuple(found)

    def graph(self, stage: str = TRACED) -> Graph:
        """The program at a stage: "traced", or after the pass of that name.

        Raises:
            ArgumentError: there is no such stage.
        """
        known = {found.name: found.graph for found in self.stages}
        if stage not in known:
            raise ArgumentError(
                f"There is no stage {stage!r} in the report of {self.call}; there are "
                f"{', '.join(known)}. {suggest(str(stage), known)}".rstrip()
            )
        return known[stage]

    def text(self, stage: str = TRACED) -> str:
        """The program at a stage, printed with source lines and module paths."""
        return format_graph(self.graph(stage), sources=True)

    @computed_once
    def kernels(self) -> tuple[KernelReport, ...]:
        """The kernels in their order; none for the NumPy executor."""
        if not self.is_native:
            return ()
        inputs = self._subject.graph.inputs
        names = {o: inputs[i].name or "" for o, i in self._subject.replaced.items()}
        program = self._program
        return tuple(describe_kernels(program.schedule, names, program.shared, program.target))

    @property
    def work(self) -> tuple[int, int]:
        """FLOPs of a run, and the bytes that it moves.

        Of two branches of a cond the one with more counts, of a while_loop one iteration.
        """
        if not self.is_native:
            return 0, 0
        schedule = self._program.schedule
        return (
            add_up(schedule.kernels, count_flops),
            add_up(schedule.kernels, lambda kernel: count_bytes(kernel, schedule)),
        )

    @property
    def distinct(self) -> int:
        """How many kernels are different: the others share their machine code."""
        return self._program.distinct if self.is_native else 0

    @property
    def threads(self) -> int:
        """How many threads run the program."""
        from ..runtime.processors import choose_thread_count

        return choose_thread_count() if self.is_native and self._program.shared else 1

    @computed_once
    def memory(self) -> dict[str, int]:
        """Bytes: the arena, the inputs, the state that the program replaces, and how much of that
        it may write over in place."""
        graph, replaced = self._subject.graph, self._subject.replaced
        sizes = [v.type.size * v.type.dtype.itemsize for v in graph.inputs]
        found = {"inputs": sum(sizes), "state": sum(sizes[i] for i in replaced.values())}
        if self.is_native:
            pairs = self._program.plan.lifetimes.select([(i, o) for o, i in replaced.items()])
            found["in_place"] = sum(sizes[i] for i, _ in pairs)
            found["arena"] = self._program.plan.size
        return found

    @property
    def llvm(self) -> str:
        """The LLVM text of all kernels; the name of a kernel is that of its function."""
        return self._native("LLVM text").text

    @property
    def assembly(self) -> str:
        """The assembly of all kernels, as they run on this machine."""
        from ..runtime import jit

        program = self._native("assembly")
        return jit.write_assembly(program.text, program.target)

    # -- measuring -------------------------------------------------------------------------------

    def profile(
        self,
        repeats: int | None = None,
        *,
        seconds: float = 1.0,
        limits: Limits | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Report:
        """Measure how long each kernel takes, beside what this machine could do.

        The program runs on copies of the arguments: nothing of the caller's changes. Afterwards
        the page shows the kernels by their time, and `measured` has the numbers.

        Args:
            repeats: how many steps; by default as many as fit into `seconds`, 5 to 500.
            seconds: for how long to measure. Limits of the machine take half a second more.
            limits: of this machine, where they were measured before.
            progress: is told the part of the work that is done, from 0 to 1.

        Returns:
            This report.

        Raises:
            ArgumentError: the program runs on the NumPy executor, or the arguments have changed.

        Example:
            >>> import retrograd as rg
            >>> f = rg.compile(lambda x: rg.exp(x).sum(), executor="native")
            >>> report = f.report(rg.ones((1000,))).profile(repeats=5)
            >>> report.measured.runs
            5
        """
        program = self._native("profile")
        if repeats is not None and (isinstance(repeats, bool) or not isinstance(repeats, int)):
            raise ArgumentTypeError(f"repeats is {repeats!r}; expected a whole number from 1.")
        if repeats is not None and repeats < 1:
            raise ArgumentError(f"repeats is {repeats}; expected a whole number from 1.")
        if not 0.0 < seconds < 1e6:
            raise ArgumentError(f"seconds is {seconds}; expected a time above 0.")
        from .profile import measure_profile

        arrays = self._subject.read()
        graph = self._subject.graph
        types = [(array.dtype, array.shape) for array in arrays]
        if types != [(v.type.dtype, v.type.shape) for v in graph.inputs]:
            raise ArgumentError(
                f"The arguments of {self.call} have changed their shapes or dtypes since the "
                "report was made.",
                fix="ask for a new report",
            )
        self.measured = measure_profile(
            program,
            self.kernels,
            arrays,
            self._subject.replaced,
            limits,
            repeats,
            seconds,
            progress or (lambda part: None),
        )
        return self

    # -- showing ---------------------------------------------------------------------------------

    def page(self, kernels: int | None = None) -> str:
        """The report as text.

        Args:
            kernels: how many kernels to show at the most; by default all.
        """
        return format_report(self, kernels)

    def __str__(self) -> str:
        return format_report(self, 40)

    def __repr__(self) -> str:
        measured = "" if self.measured is None else ", profiled"
        return f"<Report of {self.call}: {self.executor}, {len(self.kernels)} kernels{measured}>"

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON would have it: times in seconds, memory in bytes."""
        found: dict[str, Any] = {
            "format": FORMAT,
            "call": self.call,
            "executor": self.executor,
            "threads": self.threads,
            "parameters": self.parameters,
            "times": self.times,
            "from_disk_cache": self.cached,
            "memory": self.memory,
            "stages": [
                {"name": s.name, "nodes": s.nodes, "seconds": s.seconds} for s in self.stages
            ],
            "distinct_kernels": self.distinct,
            "kernels": [kernel.as_dict() for kernel in self.kernels],
            "profile": None,
        }
        if self.measured is not None:
            found["profile"] = self.measured.as_dict()
        return found

    def to_json(self, indent: int | None = 1) -> str:
        """The report as JSON text."""
        return json.dumps(self.as_dict(), indent=indent, allow_nan=False)

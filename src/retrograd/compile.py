"""rg.compile: the one place where tracing, the chain rule and an executor meet."""

from __future__ import annotations

import functools
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

from . import interpret
from .binding import Binding, find_replaced, make_key
from .errors import ArgumentError, ArgumentTypeError, ClosureError, hide_internal_frames, suggest
from .held import Executor, Program, Programs
from .ir import Graph, format_graph
from .ir.types import strong_dtype
from .ops.promotion import convert
from .runtime.forks import LOCK
from .staging import AMBIENT, Call, NeedsState, Retrace, Staged, TraceHistory, describe, trace
from .trace import Array, Tracer
from .transforms import parameter_names
from .tree import Stateful, leaves

if TYPE_CHECKING:
    from .report.report import Report
    from .series import Series


@functools.cache
def can_run_native() -> bool:
    """Whether there is a code generator; where llvmlite has no wheel, NumPy runs programs."""
    try:
        with LOCK:  # the child of a fork could not import what another thread was importing
            from . import native, series  # noqa: F401
            from .runtime.target import initialise

            initialise()
    except (ImportError, OSError) as error:
        warnings.warn(
            "Programs run on the NumPy executor, which is slower: llvmlite cannot be loaded "
            f"({error}). Install llvmlite, or pass executor='numpy' to silence this.",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def run_native(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    """Machine code; the code generator is imported when the first program is compiled."""
    if not can_run_native():
        return interpret.run(graph, arrays)
    from . import native

    return native.run(graph, arrays)


EXECUTORS: dict[str, Executor] = {"numpy": interpret.run, "native": run_native}
"""The readers of a Graph, by name."""


class CompiledFunction:
    """A function that is traced once for each structure of its arguments, and then only run.

    Made by `rg.compile`.
    """

    def __init__(self, function: Callable[..., Any], executor: str) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.executor = executor
        self.programs = Programs()
        self._names = parameter_names(function)
        self._bindings: dict[Any, Binding] = {}
        self._history = TraceHistory(getattr(function, "__name__", "function"))

    @property
    def trace_count(self) -> int:
        """How many programs have been traced: one for each structure, shapes and dtypes.

        The last 128 that were used are kept, or fewer where these need more than a gigabyte for
        their work. One that is wanted again later is traced again.
        """
        return self.programs.traced

    @property
    def retraces(self) -> list[Retrace]:
        """Why the function was traced again, the last 100 times.

        Each entry names the arguments that were not as in any call before, compared with the most
        similar one. The same is logged: `logging.getLogger("retrograd")`, level INFO. A warning
        (`errors.RetraceWarning`) comes once for an argument that has been the reason often.

        Example:
            >>> import retrograd as rg
            >>> f = rg.compile(lambda x, training: x * 2.0 if training else x)
            >>> for size, training in ((4, True), (4, True), (3, True), (3, False)):
            ...     _ = f(rg.ones(size), training)
            >>> for retrace in f.retraces:
            ...     print(retrace)
            <lambda> is traced again (program 2): x: float32[4] before, float32[3] now
            <lambda> is traced again (program 3): training: True before, False now
        """
        return list(self._history.retraces)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        key = make_key(arguments, keywords)
        if key is not None:
            binding = self._bindings.get(key)
            if binding is not None and binding.is_valid(arguments):
                self.programs.use(binding.program)
                return self._run_bound(binding, arguments)
        try:
            call = describe(arguments, keywords, self._names)
            if any(isinstance(leaf.value, Tracer) for leaf in call.leaves):
                return self.function(*arguments, **keywords)
            program, call = self._find(call, arguments, keywords)
            program.staged.check_owners(call)
            if key is not None and Binding.can_bind(call, program.staged):
                binding = self._bind(key, call, program, arguments)
                del call  # it holds the Arrays, and what somebody holds is not written over
                return self._run_bound(binding, arguments)
            inputs = [array.concrete() for array in program.staged.inputs(call)]
            outputs: list[Any] = [
                Array(value) for value in program.execute(program.staged.graph, inputs)
            ]
            program.staged.write_back(call, outputs)
            return program.staged.rebuild(outputs)
        except Exception as error:
            hide_internal_frames(error)
            raise

    def _bind(self, key: Any, call: Call, program: Program, arguments: Sequence[Any]) -> Binding:
        """Remember the places of this call's Arrays, until one of its objects is gone."""
        reference = weakref.ref(self)

        def forget() -> None:
            function = reference()
            if function is not None:
                function._bindings.pop(key, None)

        binding = Binding(call, program, arguments, forget)
        if self.executor == "native" and can_run_native():
            from . import native

            code = native.get_program(program.staged.graph)
            if not code.poison:
                binding.bind_native(code)
        self._bindings[key] = binding
        return binding

    def _run_bound(self, binding: Binding, arguments: Sequence[Any]) -> Any:
        """Run a program whose inputs and outputs have known places."""
        staged = binding.staged
        ambient = [AMBIENT[index].read() for index in staged.ambient_inputs]
        try:
            if binding.quick is not None:
                outputs = binding.run_quick(arguments, ambient)
            else:
                inputs = [*binding.read(arguments), *(array.concrete() for array in ambient)]
                outputs = [Array(value) for value in binding.execute(staged.graph, inputs)]
        except Exception as error:
            hide_internal_frames(error)
            raise
        for position in binding.targets:
            if outputs[position] is not None:
                binding.write(position, outputs[position])
        for index, position in staged.ambient_outputs:
            AMBIENT[index].write(outputs[position])
        return staged.rebuild(outputs)

    def series(self, *arguments: Any) -> Series | None:
        """These arguments bound for many native calls in one; None where that cannot be."""
        if self.executor != "native" or not can_run_native():
            return None
        from . import native
        from .series import Series

        program, call = self._look_up(arguments, {})
        program.staged.check_owners(call)
        code = native.get_program(program.staged.graph)
        if code.poison or not Binding.has_places(call, program.staged):
            return None
        binding = Binding(call, program, arguments, lambda: None)
        return Series(code, binding, call) if Series.can_run(code, binding) else None

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else CompiledMethod(self, instance)

    def wrap(self, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Put another function around the one that is traced."""
        self.function = wrapper(self.function)

    def _look_up(self, arguments: Sequence[Any], keywords: dict[str, Any]) -> tuple[Program, Call]:
        """The program for these arguments, traced if need be, and the call taken apart."""
        return self._find(describe(arguments, keywords, self._names), arguments, keywords)

    def _find(
        self, call: Call, arguments: Sequence[Any], keywords: dict[str, Any]
    ) -> tuple[Program, Call]:
        key = call.key()
        program = self.programs.get(key)
        if program is not None:
            return program, call
        prepared: list[Any] = []
        begin = time.perf_counter()
        try:
            while True:
                try:
                    staged = self._trace(call)
                    break
                except NeedsState as request:
                    prepared.append(request.prepare(call))
                    call = describe(arguments, keywords, self._names)
                    program = self.programs.get(call.key())
                    if program is not None:
                        return program, call
        except Exception:
            for original in prepared:
                original.state = None
            raise
        program = Program(staged, EXECUTORS[self.executor], time.perf_counter() - begin)
        for gone in self.programs.add(call.key(), program):
            for key, binding in list(self._bindings.items()):
                if binding.program is gone:
                    self._bindings.pop(key, None)
        self._history.record(call, self._names)
        return program, call

    def _trace(self, call: Call) -> Staged:
        for template in (*call.arguments, *(template for _, template in call.keywords)):
            _refuse_hidden_arrays(template)
        return trace(
            self.function,
            call,
            lambda leaf: True,
            name=getattr(self.function, "__name__", "function"),
            abstract="a compiled function",
            forbid_closures=True,
            trace_ambient=True,
            leave=_strengthen,
        )

    def graph(self, *arguments: Any, **keywords: Any) -> Graph:
        """The program for these arguments, without running it."""
        return self._look_up(arguments, keywords)[0].staged.graph

    def capture(self, *arguments: Any, **keywords: Any) -> tuple[Graph, list[Any]]:
        """The program for these arguments and the values of its inputs, as NumPy arrays."""
        program, call = self._look_up(arguments, keywords)
        return program.staged.graph, [a.concrete() for a in program.staged.inputs(call)]

    def text(self, *arguments: Any, **keywords: Any) -> str:
        """The program for these arguments, printed with source lines and module paths."""
        return format_graph(self.graph(*arguments, **keywords), sources=True)

    def report(self, *arguments: Any, **keywords: Any) -> Report:
        """What the program for these arguments is made of; it is compiled if need be, not run.

        The page that `print` shows has the times of tracing and compiling, the memory, and every
        kernel with the module it comes from, its FLOPs and its bytes. `report.profile()` measures
        each kernel on copies of the arguments; `report.text(stage)`, `report.llvm` and
        `report.assembly` show the program itself, `report.to_json()` is for programs.

        Args:
            arguments, keywords: those of a call. An Optimizer without state gets it, as in a call.

        Returns:
            A Report.

        Example:
            >>> import retrograd as rg
            >>> f = rg.compile(lambda x: (x * x).sum(), executor="native")
            >>> report = f.report(rg.ones((4, 8)))
            >>> [(kernel.operations_text, kernel.shape, kernel.bytes) for kernel in report.kernels]
            [('multiply, sum', '32 over 32', 132)]
            >>> print(report)
            <lambda>(x): native, 1 thread
            ...
        """
        from .report.report import Report, Subject

        try:
            call = describe(arguments, keywords, self._names)
            if any(isinstance(leaf.value, Tracer) for leaf in call.leaves):
                raise ArgumentError(
                    "report was asked for inside of a function that is being traced.",
                    fix="ask for it outside, with Arrays",
                )
            program, call = self._find(call, arguments, keywords)
            staged = program.staged

            def read() -> list[Any]:
                now = describe(arguments, keywords, self._names)
                return [array.concrete() for array in staged.inputs(now)]

            given = [*arguments, *keywords.values()]
            trained = [a for a in given if isinstance(a, Stateful) and hasattr(a, "parameters")]
            names = [*self._names[: len(arguments)], *keywords]
            return Report(
                Subject(
                    graph=staged.graph,
                    executor=self.executor,
                    call=f"{getattr(self.function, '__name__', 'function')}({', '.join(names)})",
                    traced=program.seconds,
                    parameters=sum(p.type.size for a in trained for p in leaves(a.parameters())),
                    replaced=find_replaced(staged),
                    read=read,
                )
            )
        except Exception as error:
            hide_internal_frames(error)
            raise


@final
class CompiledMethod(functools.partial[Any]):
    """A compiled function of a class, with the object in front of its arguments."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.func, name)
        takes_arguments = name in ("capture", "graph", "report", "series", "text")
        return functools.partial(found, *self.args) if takes_arguments else found


def _refuse_hidden_arrays(template: Any) -> None:
    """Arrays in an object that is no Module would be frozen into the program."""
    if template[0] == "static":
        value = template[1].value
        attributes = getattr(value, "__dict__", {})
        for name, held in () if isinstance(value, type) else attributes.items():
            if isinstance(held, Array):
                raise ClosureError(
                    f"The compiled function received a {type(value).__name__} that holds an Array "
                    f"({name!r}): it would be frozen into the program and later changes ignored.",
                    fix=f"make {type(value).__name__} an nn.Module or a dataclass, or pass the "
                    "Arrays themselves",
                )
    children = template[2] if template[0] == "container" else ()
    if template[0] == "object":
        children = [child for _, child in template[3]]
    for child in children:
        _refuse_hidden_arrays(child)


def _strengthen(value: Array) -> Array:
    """Python numbers leave a program as float32, int32 or bool."""
    return convert(value, strong_dtype(value.type.dtype)) if value.weak else value


def compile(function: Callable[..., Any] | None = None, *, executor: str = "native") -> Any:
    """A function traced once and run as a whole program: forward, backward and update.

    Calls with the same structure, shapes and dtypes reuse the program. Arrays and numbers are
    inputs; bools, strings and None are part of the program. Modules and Optimizers that are
    passed may be changed; a Module reached through a closure is an error.

    Args:
        function: any function of Arrays, Modules, Optimizers and trees of them.
        executor: what runs the program: "native", machine code made through LLVM (sorting and a
            few other operations call NumPy in the middle of the program), or "numpy", the
            interpreter, to debug or where llvmlite is missing.

    Returns:
        A CompiledFunction: called like the function; `trace_count` says how often it was traced,
        `retraces` why.

    Raises:
        ClosureError: parameters of a Module that was not passed are used, or an object that is no
            Module holds Arrays.
        TracingError: the value of an Array is needed while tracing (`if x > 0`, `print`).

    Example:
        >>> import retrograd as rg
        >>> @rg.compile
        ... def f(x):
        ...     return (x * x).sum()
        >>> float(f(rg.array([1.0, 2.0])))
        5.0
    """
    if executor not in EXECUTORS:
        raise ArgumentError(f"There is no executor {executor!r}. {suggest(executor, EXECUTORS)}")
    if function is None:
        return lambda wrapped: compile(wrapped, executor=executor)
    if not callable(function):
        raise ArgumentTypeError(
            f"compile takes a function, received {type(function).__name__}.",
            fix="decorate a function with @rg.compile",
        )
    return CompiledFunction(function, executor)

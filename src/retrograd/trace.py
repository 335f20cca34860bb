"""Array (eager), Tracer (recording), and `bind`, the door through which every operation goes.

An operation on Arrays is evaluated with NumPy at once. An operation on a Tracer is written as a
node into the program that is being recorded, with the user's source line and the module path.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import SourceLine, TracingError, find_user_line
from .ir import ArrayType, Atom, Constant, Graph, Node, Primitive, Transforms, Variable
from .ir.types import DType, Shape, intern_type

NumpyArray = np.ndarray[Any, Any]


class Array:
    """An immutable n-dimensional array: NumPy's, with gradients.

    Make one with `rg.array`; operators, indexing and methods follow NumPy. `.numpy()` and
    `np.asarray(x)` give a read-only view that later steps never change.

    Example:
        >>> import retrograd as rg
        >>> x = rg.array([1.0, 2.0, 3.0])
        >>> (x * 2).numpy()
        array([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_type", "_value", "address", "owner", "writable")

    _value: NumpyArray
    _type: ArrayType | None
    owner: Any
    address: int  # of its elements, once a native program has asked for it
    writable: bool  # whether the memory there is this Array's own

    def __init__(self, value: NumpyArray) -> None:
        if value.flags.writeable:
            value.flags.writeable = False
        self._value = value
        self._type = None
        self.owner = None
        self.address = 0
        self.writable = False

    @property
    def type(self) -> ArrayType:
        found = self._type
        if found is None:
            found = self._type = intern_type(self._value.dtype, self._value.shape)
        return found

    @property
    def weak(self) -> bool:
        """Whether this stands for a Python number, which never widens an array."""
        return False

    def concrete(self) -> NumpyArray:
        """The value as a read-only NumPy array."""
        return self._value

    if TYPE_CHECKING:
        # ops/operators.py gives Array its operators and methods; type checkers read them here.
        shape: Shape
        dtype: DType
        ndim: int
        size: int
        T: Array

        def __add__(self, other: Any) -> Array: ...
        def __radd__(self, other: Any) -> Array: ...
        def __sub__(self, other: Any) -> Array: ...
        def __rsub__(self, other: Any) -> Array: ...
        def __mul__(self, other: Any) -> Array: ...
        def __rmul__(self, other: Any) -> Array: ...
        def __truediv__(self, other: Any) -> Array: ...
        def __rtruediv__(self, other: Any) -> Array: ...
        def __floordiv__(self, other: Any) -> Array: ...
        def __rfloordiv__(self, other: Any) -> Array: ...
        def __mod__(self, other: Any) -> Array: ...
        def __rmod__(self, other: Any) -> Array: ...
        def __pow__(self, other: Any) -> Array: ...
        def __rpow__(self, other: Any) -> Array: ...
        def __matmul__(self, other: Any) -> Array: ...
        def __rmatmul__(self, other: Any) -> Array: ...
        def __and__(self, other: Any) -> Array: ...
        def __rand__(self, other: Any) -> Array: ...
        def __or__(self, other: Any) -> Array: ...
        def __ror__(self, other: Any) -> Array: ...
        def __xor__(self, other: Any) -> Array: ...
        def __rxor__(self, other: Any) -> Array: ...
        def __eq__(self, other: Any) -> Array: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Array: ...  # type: ignore[override]
        def __lt__(self, other: Any) -> Array: ...
        def __le__(self, other: Any) -> Array: ...
        def __gt__(self, other: Any) -> Array: ...
        def __ge__(self, other: Any) -> Array: ...
        def __neg__(self) -> Array: ...
        def __pos__(self) -> Array: ...
        def __abs__(self) -> Array: ...
        def __invert__(self) -> Array: ...
        def __getitem__(self, key: Any) -> Array: ...
        def __bool__(self) -> bool: ...
        def __float__(self) -> float: ...
        def __int__(self) -> int: ...
        def __index__(self) -> int: ...
        def __len__(self) -> int: ...
        def __iter__(self) -> Iterator[Array]: ...
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> NumpyArray: ...
        def numpy(self) -> NumpyArray: ...
        def item(self) -> Any: ...
        def tolist(self) -> Any: ...
        def astype(self, dtype: Any) -> Array: ...
        def reshape(self, *shape: Any) -> Array: ...
        def flatten(self) -> Array: ...
        def transpose(self, *axes: Any) -> Array: ...
        def swapaxes(self, axis1: int, axis2: int) -> Array: ...
        def squeeze(self, axis: Any = None) -> Array: ...
        def sum(self, axis: Any = None, keepdims: bool = False) -> Array: ...
        def mean(self, axis: Any = None, keepdims: bool = False) -> Array: ...
        def prod(self, axis: Any = None, keepdims: bool = False) -> Array: ...
        def max(self, axis: Any = None, keepdims: bool = False) -> Array: ...
        def min(self, axis: Any = None, keepdims: bool = False) -> Array: ...
        def var(self, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Array: ...
        def std(self, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Array: ...
        def argmax(self, axis: int | None = None, keepdims: bool = False) -> Array: ...
        def argmin(self, axis: int | None = None, keepdims: bool = False) -> Array: ...
        def all(self, axis: Any = None, keepdims: bool = False) -> Array: ...
        def any(self, axis: Any = None, keepdims: bool = False) -> Array: ...
        def dot(self, other: Any) -> Array: ...
        def clip(self, minimum: Any = None, maximum: Any = None) -> Array: ...


class Tracer(Array):
    """A value of a program that is being recorded."""

    __slots__ = ("atom", "recorder", "weak_type")

    def __init__(self, recorder: Recorder, atom: Variable, weak: bool = False) -> None:
        self.recorder = recorder
        self.atom = atom
        self.weak_type = weak
        self.owner = None

    @property
    def type(self) -> ArrayType:
        return self.atom.type

    @property
    def weak(self) -> bool:
        return self.weak_type

    def concrete(self) -> NumpyArray:
        self.recorder.check_alive()
        return self.recorder.value_of(self.atom)


class _State(threading.local):
    """What goes on in this thread: the recorders, outermost first, and the place in the model."""

    def __init__(self) -> None:
        self.recorders: list[Recorder] = []
        self.paths: list[str] = []
        self.origin: tuple[SourceLine | None, str] | None = None


_state = _State()
_transforms: list[Transforms] = []


def install_transforms(transforms: Transforms) -> None:
    """Say what evaluates, splits and pushes forward the Graphs that primitives hold."""
    _transforms[:] = [transforms]


def get_transforms() -> Transforms:
    return _transforms[0]


class Recorder:
    """Writes a Graph, node by node.

    Args:
        name: the name of the Graph.
        forbid_owned: refuse Arrays that belong to a Module or Optimizer that was not passed;
            called with such an Array.
        abstract: why the values are unknown while tracing ("a compiled function"); None if the
            tracers carry their values.
    """

    def __init__(
        self,
        name: str = "program",
        *,
        abstract: str | None = None,
        forbid_owned: Callable[[Array], None] | None = None,
    ) -> None:
        self.name = name
        self.abstract = abstract
        self.forbid_owned = forbid_owned
        self.level = len(_state.recorders)
        self.inputs: list[Variable] = []
        self.nodes: list[Node] = []
        self.captured: dict[int, tuple[Tracer, Variable]] = {}
        self.constants: dict[int, tuple[Array, Constant]] = {}
        self.alive = True
        self._given: dict[int, Callable[[], NumpyArray]] = {}
        self._values: dict[int, NumpyArray] = {}
        self._evaluated = 0

    # -- inputs -------------------------------------------------------------------------------

    def add_input(
        self,
        type: ArrayType,
        name: str | None = None,
        value: Callable[[], NumpyArray] | None = None,
        weak: bool = False,
    ) -> Tracer:
        """A new input of the program; `value` gives what it stands for, when it is known."""
        variable = Variable(type, name)
        self.inputs.append(variable)
        if value is not None:
            self._given[id(variable)] = value
        return Tracer(self, variable, weak)

    def lift(self, array: Array) -> Atom:
        """The atom that stands for a value in this program."""
        if isinstance(array, Tracer):
            if array.recorder is self:
                return array.atom
            array.recorder.check_alive()
            if array.recorder.level >= self.level:
                raise TracingError("A value of an inner traced function was used outside of it.")
            return self._capture(array)
        known = self.constants.get(id(array))
        if known is None:
            _check_owned(array)
            known = (array, Constant(array.concrete(), array.type))
            self.constants[id(array)] = known
        return known[1]

    def _capture(self, array: Tracer) -> Variable:
        known = self.captured.get(id(array.atom))
        if known is None:
            variable = Variable(array.type, array.atom.name)
            self.captured[id(array.atom)] = known = (array, variable)
            if self.abstract is None:
                self._given[id(variable)] = array.concrete
        return known[1]

    # -- nodes --------------------------------------------------------------------------------

    def record(
        self, primitive: Primitive, inputs: Sequence[Array], parameters: dict[str, Any]
    ) -> list[Array]:
        """Write one node and give its outputs."""
        origin = _state.origin
        if origin is None:
            origin = (find_user_line(), current_path())
        atoms = tuple(self.lift(array) for array in inputs)
        types = primitive.infer(*(atom.type for atom in atoms), **parameters)
        outputs = tuple(Variable(type) for type in types)
        self.nodes.append(Node(primitive, atoms, parameters, outputs, origin[0], origin[1]))
        return [Tracer(self, variable) for variable in outputs]

    def finish(self, outputs: Sequence[Array]) -> Graph:
        """The recorded program; captured values of outer programs are its last inputs."""
        atoms = tuple(self.lift(output) for output in outputs)
        captured = tuple(variable for _, variable in self.captured.values())
        return Graph((*self.inputs, *captured), tuple(self.nodes), atoms, self.name)

    def captured_arrays(self) -> list[Array]:
        """The outer values that the captured inputs stand for, in order."""
        return [array for array, _ in self.captured.values()]

    # -- values -------------------------------------------------------------------------------

    def check_alive(self) -> None:
        if not self.alive:
            raise TracingError(
                "A value from inside a traced function was kept and used after the function "
                "had returned.",
                fix="return it from the function instead (value_and_grad has has_aux=True)",
            )

    def value_of(self, atom: Atom) -> NumpyArray:
        """The value of an atom, evaluated on demand; an error where values are unknown."""
        if isinstance(atom, Constant):
            return atom.value
        if self.abstract is not None:
            raise TracingError(
                f"The value of an array is needed here, but inside {self.abstract} only its "
                f"type is known ({atom.type}).",
                fix="use rg.where or rg.cond instead of `if`, rg.while_loop instead of `while`; "
                "return values instead of printing them; take sizes and counts from x.shape or "
                "from outside, not from an argument; or debug without the compilation: call the "
                "function as it is",
            )
        while id(atom) not in self._values and self._evaluated < len(self.nodes):
            self._evaluate_next()
        if id(atom) not in self._values:
            self._values[id(atom)] = self._given[id(atom)]()
        return self._values[id(atom)]

    def _evaluate_next(self) -> None:
        node = self.nodes[self._evaluated]
        arrays = []
        for atom in node.inputs:
            if not isinstance(atom, Constant) and id(atom) not in self._values:
                self._values[id(atom)] = self._given[id(atom)]()
            arrays.append(atom.value if isinstance(atom, Constant) else self._values[id(atom)])
        results = evaluate(node.primitive, arrays, dict(node.parameters))
        for variable, result in zip(node.outputs, results, strict=True):
            self._values[id(variable)] = result
        self._evaluated += 1


def evaluate(
    primitive: Primitive, arrays: Sequence[NumpyArray], parameters: dict[str, Any]
) -> list[NumpyArray]:
    """Apply the NumPy meaning of a primitive."""
    with np.errstate(all="ignore"):
        if primitive.holds_graphs:
            results = primitive.evaluate(*arrays, **parameters, transforms=get_transforms())
        else:
            results = primitive.evaluate(*arrays, **parameters)
    return [np.asarray(result) for result in results]


def bind(primitive: Primitive, *inputs: Array, **parameters: Any) -> list[Array]:
    """Apply a primitive: evaluate it at once, or record it if an input is being traced."""
    recorder: Recorder | None = None
    for array in inputs:
        if isinstance(array, Tracer):
            array.recorder.check_alive()
            if recorder is None or array.recorder.level > recorder.level:
                recorder = array.recorder
    if recorder is not None:
        return recorder.record(primitive, inputs, parameters)
    # A result has no owner any more: what is computed from parameters must be refused here.
    for array in inputs:
        _check_owned(array)
    primitive.infer(*(array.type for array in inputs), **parameters)
    values = [array.concrete() for array in inputs]
    return [Array(result) for result in evaluate(primitive, values, parameters)]


def _check_owned(array: Array) -> None:
    """Refuse an Array of a Module or Optimizer that was not passed to the function being traced."""
    if array.owner is not None:
        for recorder in _state.recorders:
            if recorder.forbid_owned is not None:
                recorder.forbid_owned(array)


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Make `recorder` the innermost program of this thread, and close it afterwards."""
    _state.recorders.append(recorder)
    try:
        yield recorder
    finally:
        _state.recorders.remove(recorder)
        recorder.alive = False


def recording_depth() -> int:
    """How many programs are being recorded in this thread."""
    return len(_state.recorders)


def is_compiling(level: int = 0) -> bool:
    """Whether values are unknown now, because a program of this level or inside is traced."""
    return any(r.abstract is not None and r.level >= level for r in _state.recorders)


@contextmanager
def module_path(path: str) -> Iterator[None]:
    """Nodes recorded inside belong to this place in the model."""
    _state.paths.append(path)
    try:
        yield
    finally:
        _state.paths.pop()


def current_path() -> str:
    return _state.paths[-1] if _state.paths else ""


@contextmanager
def origin_of(node: Node) -> Iterator[None]:
    """Nodes recorded inside come from the source line and the module path of `node`."""
    before = _state.origin
    _state.origin = (node.source, node.path)
    try:
        yield
    finally:
        _state.origin = before


def replay(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """Apply a program to values: node by node through `bind`, so that it can be recorded again."""
    values: dict[int, Array] = {
        id(variable): array for variable, array in zip(graph.inputs, inputs, strict=True)
    }
    for node in graph.nodes:
        arguments = [read_atom(values, atom) for atom in node.inputs]
        with origin_of(node):
            results = bind(node.primitive, *arguments, **node.parameters)
        for variable, result in zip(node.outputs, results, strict=True):
            values[id(variable)] = result
    return [read_atom(values, atom) for atom in graph.outputs]


def read_atom(values: dict[int, Array], atom: Atom) -> Array:
    """The Array that stands for an atom while a program is replayed."""
    if isinstance(atom, Constant):
        known = values.get(id(atom))
        if known is None:
            known = values[id(atom)] = Array(atom.value)
        return known
    return values[id(atom)]

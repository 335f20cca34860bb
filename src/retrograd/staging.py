"""Traces a structural copy of the caller's arguments into a Graph, and writes changes back once.

Every transform (grad, compile, scan, checkpoint, jvp) works in the same steps: `describe` finds
the Arrays in the arguments, Modules and Optimizers included; `trace` calls the function with
copies that hold tracers; what the function changed in the copies comes back as extra outputs;
`write_back` puts those into the caller's objects when everything has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .errors import ArgumentTypeError, ClosureError, StateError, hide_internal_frames
from .ir import ArrayType, Graph, prune, verify
from .ir.types import DTYPES, float64, int64
from .config import get_config
from .trace import Array, Recorder, Tracer, recording
from .tree import Stateful, join_path, open_container, rebuild_container

Template = tuple[Any, ...]


class Static:
    """A value that is part of the program, compared when a program is looked up."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Static):
            return NotImplemented
        if self.value is other.value:
            return True
        if type(self.value) is not type(other.value):
            return False
        if isinstance(self.value, (np.ndarray, Array)):
            return False
        try:
            return bool(self.value == other.value)
        except Exception:
            return False

    def __hash__(self) -> int:
        try:
            return hash(self.value)
        except TypeError:
            return hash(type(self.value))

    def __repr__(self) -> str:
        return repr(self.value)


@dataclass(slots=True)
class Leaf:
    """A value in the arguments that can be an input of the program."""

    value: Any
    path: str
    kind: str  # "array", "ndarray" or "number"
    in_object: bool
    trainable: bool
    argument: int | str

    def as_array(self) -> Array:
        """The leaf as an Array (a Python number as a 0-d float64 or int64)."""
        if self.kind == "array":
            return self.value  # type: ignore[no-any-return]
        if self.kind == "ndarray":
            return array_from_numpy(self.value)
        dtype = float64 if isinstance(self.value, float) else int64
        return Array(np.array(self.value, dtype))


def array_from_numpy(value: Any) -> Array:
    """A NumPy array as an Array, keeping its dtype, which must be a supported one."""
    if value.dtype.name not in DTYPES:
        from .ir import as_dtype

        as_dtype(value.dtype)
    return Array(np.array(value))


class Description:
    """The arguments of a call, taken apart: templates, leaves and stateful objects."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.objects: list[Stateful] = []
        self.object_paths: list[str] = []
        self._object_index: dict[int, int] = {}
        self._tied: dict[int, int] = {}

    def visit(
        self, value: Any, path: str, argument: int | str, inside: bool, trainable: bool
    ) -> Template:
        """The template of a value; its leaves and objects are collected."""
        if isinstance(value, Array):
            if inside and id(value) in self._tied:
                return ("leaf", self._tied[id(value)])
            index = self._add_leaf(Leaf(value, path, "array", inside, trainable, argument))
            if inside:
                self._tied[id(value)] = index
            return ("leaf", index)
        if isinstance(value, Stateful):
            return self._visit_object(value, path, argument)
        if not inside:
            if isinstance(value, (np.ndarray, np.generic)):
                array = np.asarray(value)
                leaf = Leaf(array, path, "ndarray", False, True, argument)
                return ("leaf", self._add_leaf(leaf))
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return ("leaf", self._add_leaf(Leaf(value, path, "number", False, True, argument)))
        container = open_container(value)
        if container is None:
            return ("static", Static(value))
        children = tuple(
            self.visit(child, join_path(path, name), argument, inside, trainable)
            for name, child in zip(container.names, container.children, strict=True)
        )
        return ("container", container.kind, children)

    def _add_leaf(self, leaf: Leaf) -> int:
        self.leaves.append(leaf)
        return len(self.leaves) - 1

    def _visit_object(self, value: Stateful, path: str, argument: int | str) -> Template:
        known = self._object_index.get(id(value))
        if known is not None:
            return ("seen", known)
        index = self.register(value, path)
        attributes = tuple(
            (name, self.visit(item, join_path(path, name), argument, True, trainable))
            for name, item, trainable in value.state_items()
        )
        return ("object", index, type(value), attributes)

    def register(self, value: Stateful, path: str) -> int:
        index = len(self.objects)
        self.objects.append(value)
        self.object_paths.append(path)
        self._object_index[id(value)] = index
        return index


@dataclass(slots=True)
class Call:
    """One call of a transformed function, taken apart."""

    description: Description
    arguments: tuple[Template, ...]
    keywords: tuple[tuple[str, Template], ...]

    @property
    def leaves(self) -> list[Leaf]:
        return self.description.leaves

    def key(self) -> tuple[Any, ...]:
        """What a program depends on: the structure and the type of every leaf."""
        types = tuple(
            (type(leaf.value),)
            if leaf.kind == "number"
            else (leaf.kind, leaf.value.type if leaf.kind == "array" else _type_of(leaf.value))
            for leaf in self.leaves
        )
        return (self.arguments, self.keywords, types)


def _type_of(value: NumpyValue) -> ArrayType:
    return ArrayType(value.dtype, value.shape)


NumpyValue = Any


def describe(
    arguments: Sequence[Any], keywords: dict[str, Any], names: Sequence[str] = ()
) -> Call:
    """Take the arguments of a call apart.

    Args:
        arguments: positional arguments.
        keywords: keyword arguments.
        names: the parameter names of the function, for paths in messages and programs.
    """
    description = Description()
    objects = sum(isinstance(value, Stateful) and value.describe_path("x") == "" for value in
                  {id(v): v for v in (*arguments, *keywords.values())}.values())

    def root(value: Any, name: str) -> str:
        if isinstance(value, Stateful) and objects == 1:
            return value.describe_path(name)
        return name

    templates = []
    for position, value in enumerate(arguments):
        name = names[position] if position < len(names) else str(position)
        templates.append(description.visit(value, root(value, name), position, False, True))
    named = tuple(
        (name, description.visit(keywords[name], root(keywords[name], name), name, False, True))
        for name in sorted(keywords)
    )
    return Call(description, tuple(templates), named)


class _Builder:
    """Builds the copies that a function is traced with."""

    def __init__(self, description: Description, values: Sequence[Any], level: int) -> None:
        self.values = values
        self.paths = description.object_paths
        self.level = level
        self.copies: dict[int, Stateful] = {}
        self.templates: dict[int, Template] = {}

    def build(self, template: Template) -> Any:
        form = template[0]
        if form == "leaf":
            return self.values[template[1]]
        if form == "static":
            return template[1].value
        if form == "container":
            return rebuild_container(template[1], [self.build(child) for child in template[2]])
        if form == "seen":
            return self.copies[template[1]]
        _, index, kind, attributes = template
        copy = object.__new__(kind)
        self.copies[index] = copy
        self.templates[index] = template
        for name, child in attributes:
            copy.__dict__[name] = self.build(child)
        copy.__dict__["_path"] = self.paths[index]
        copy.__dict__["_level"] = self.level
        return copy


@dataclass(slots=True)
class Change:
    """A leaf of a stateful object that the function replaced."""

    object: int
    attribute: str
    keys: tuple[int, ...]  # positions in nested containers
    value: Array


@dataclass(slots=True)
class AmbientSource:
    """Hidden state of the library (the default random generator) that programs may use."""

    read: Callable[[], Array]
    write: Callable[[Array], None]


_ambient: list[AmbientSource] = []


def register_ambient(read: Callable[[], Array], write: Callable[[Array], None]) -> None:
    """Make a piece of hidden state an input and an output of every program that changes it."""
    _ambient.append(AmbientSource(read, write))


@dataclass(slots=True)
class Staged:
    """A traced function: its program and what its inputs and outputs stand for."""

    graph: Graph
    input_leaves: list[int]
    weak_inputs: list[bool]
    ambient_inputs: list[int]
    captured: list[Array]
    result: Template
    result_count: int
    changes: list[Change]
    change_outputs: list[int]
    ambient_outputs: list[tuple[int, int]]
    static_changes: list[tuple[int, str, Any]]
    weak_outputs: list[bool] = field(default_factory=list)

    def inputs(self, call: Call) -> list[Array]:
        """The values of the program's inputs for a call of the same structure."""
        arrays = [call.leaves[index].as_array() for index in self.input_leaves]
        arrays += [_ambient[index].read() for index in self.ambient_inputs]
        return arrays + self.captured

    def rebuild(self, outputs: Sequence[Any]) -> Any:
        """The function's result with these output values."""
        return build_result(self.result, outputs)

    def write_back(self, call: Call, outputs: Sequence[Array]) -> None:
        """Put what the function changed into the caller's objects."""
        for change, position in zip(self.changes, self.change_outputs, strict=True):
            _write(call.description.objects[change.object], change, outputs[position])
        for index, name, value in self.static_changes:
            setattr(call.description.objects[index], name, value)
        for index, position in self.ambient_outputs:
            _ambient[index].write(outputs[position])


class Wrapper(Protocol):
    def __call__(self, leaf: Leaf) -> bool: ...


def trace(
    function: Callable[..., Any],
    call: Call,
    select: Wrapper,
    *,
    name: str,
    abstract: str | None = None,
    forbid_closures: bool = False,
    forbid_changes: str | None = None,
    trace_ambient: bool = False,
) -> Staged:
    """Trace a function with copies of its arguments.

    Args:
        function: the user's function.
        call: its arguments, taken apart.
        select: which leaves become inputs of the program; the others keep their values.
        name: the name of the program.
        abstract: why values are unknown while tracing; None if tracers carry their values.
        forbid_closures: Arrays of Modules that were not passed are an error.
        forbid_changes: where changes of state are an error ("scan"); None where they are fine.
        trace_ambient: make the random generator an input.

    Returns:
        The program, whose outputs are the result's Arrays, then changed leaves, then the
        generator's state.

    Raises:
        StateError: the function changed what it must not.
        ClosureError: a Module was reached through a closure.
    """
    recorder = Recorder(
        name, abstract=abstract, forbid_owned=_refuse_owned if forbid_closures else None
    )
    before = [source.read() for source in _ambient]
    with recording(recorder):
        try:
            return _trace_with(
                recorder, function, call, select, before, forbid_changes, trace_ambient, abstract
            )
        except BaseException as error:
            for source, value in zip(_ambient, before, strict=True):
                source.write(value)
            raise hide_internal_frames(error)


def _trace_with(
    recorder: Recorder,
    function: Callable[..., Any],
    call: Call,
    select: Wrapper,
    ambient_before: list[Array],
    forbid_changes: str | None,
    trace_ambient: bool,
    abstract: str | None,
) -> Staged:
    values: list[Any] = []
    input_leaves: list[int] = []
    for index, leaf in enumerate(call.leaves):
        if select(leaf):
            array = leaf.as_array()
            given = None if abstract is not None else array.concrete
            weak = leaf.kind == "number" and abstract is not None
            values.append(recorder.add_input(array.type, leaf.path, given, weak))
            input_leaves.append(index)
        else:
            values.append(leaf.value)
    ambient_given = list(ambient_before)
    ambient_inputs: list[int] = []
    if trace_ambient:
        for index, array in enumerate(ambient_before):
            given = None if abstract is not None else array.concrete
            ambient_given[index] = recorder.add_input(array.type, "random state", given)
            _ambient[index].write(ambient_given[index])
            ambient_inputs.append(index)
    builder = _Builder(call.description, values, recorder.level + 1)
    arguments = [builder.build(template) for template in call.arguments]
    keywords = {name: builder.build(template) for name, template in call.keywords}
    result = function(*arguments, **keywords)
    outputs: list[Array] = []
    template = describe_result(result, outputs)
    result_count = len(outputs)
    changes, static_changes = _find_changes(builder, values, call, abstract)
    if forbid_changes and (changes or static_changes):
        first = changes[0] if changes else static_changes[0]
        index, attribute = (
            (first.object, first.attribute) if isinstance(first, Change) else first[:2]
        )
        place = join_path(call.description.object_paths[index], attribute)
        raise StateError(
            f"The function changed {place!r} inside {forbid_changes}, where state cannot change.",
            fix="carry it as a value (in the carry of scan), or call model.eval() first",
        )
    change_outputs = []
    for change in changes:
        change_outputs.append(_position(outputs, change.value, result_count))
    ambient_outputs: list[tuple[int, int]] = []
    for index, source in enumerate(_ambient):
        now = source.read()
        if now is not ambient_given[index]:
            if trace_ambient or _is_traced_by(now, recorder):
                ambient_outputs.append((index, _position(outputs, now, result_count)))
                source.write(ambient_before[index])
        elif trace_ambient:
            source.write(ambient_before[index])
    graph, captured = _drop_unused(prune(recorder.finish(outputs)), recorder)
    if get_config().verify:
        verify(graph, f"tracing {recorder.name}")
    return Staged(
        graph=graph,
        input_leaves=input_leaves,
        weak_inputs=[call.leaves[index].kind == "number" for index in input_leaves],
        ambient_inputs=ambient_inputs,
        captured=captured,
        result=template,
        result_count=result_count,
        changes=changes,
        change_outputs=change_outputs,
        ambient_outputs=ambient_outputs,
        static_changes=static_changes,
        weak_outputs=[output.weak for output in outputs],
    )


def _drop_unused(graph: Graph, recorder: Recorder) -> tuple[Graph, list[Array]]:
    """The graph without captured inputs that nothing uses, and the values of the others."""
    used = {id(atom) for node in graph.nodes for atom in node.inputs}
    used.update(id(atom) for atom in graph.outputs)
    own = len(recorder.inputs)
    pairs = zip(graph.inputs[own:], recorder.captured_arrays(), strict=True)
    kept = [(variable, array) for variable, array in pairs if id(variable) in used]
    inputs = (*graph.inputs[:own], *(variable for variable, _ in kept))
    pruned = Graph(inputs, graph.nodes, graph.outputs, graph.name)
    return pruned, [array for _, array in kept]


def _is_traced_by(array: Array, recorder: Recorder) -> bool:
    return isinstance(array, Tracer) and array.recorder is recorder


def _position(outputs: list[Array], value: Array, start: int) -> int:
    """The position of a value among the outputs after `start`, added if it is new."""
    for position in range(start, len(outputs)):
        if outputs[position] is value:
            return position
    outputs.append(value)
    return len(outputs) - 1


def describe_result(value: Any, outputs: list[Array]) -> Template:
    """The template of a result; its Arrays are appended to `outputs`."""
    if isinstance(value, Array):
        outputs.append(value)
        return ("leaf", len(outputs) - 1)
    if isinstance(value, np.ndarray) and value.dtype.name in DTYPES:
        outputs.append(array_from_numpy(value))
        return ("leaf", len(outputs) - 1)
    if isinstance(value, Stateful):
        raise ArgumentTypeError(
            f"The function returned a {type(value).__name__}; a transformed function returns "
            "Arrays (in dicts, lists, tuples).",
            fix="return model.parameters() or the outputs; changes of a Module that was passed "
            "are kept without returning it",
        )
    container = open_container(value)
    if container is None:
        return ("static", Static(value))
    children = tuple(describe_result(child, outputs) for child in container.children)
    return ("container", container.kind, children)


def build_result(template: Template, outputs: Sequence[Any]) -> Any:
    """The result of this template with these leaves."""
    if template[0] == "leaf":
        return outputs[template[1]]
    if template[0] == "static":
        return template[1].value
    children = [build_result(child, outputs) for child in template[2]]
    return rebuild_container(template[1], children)


def _find_changes(
    builder: _Builder, values: Sequence[Any], call: Call, abstract: str | None
) -> tuple[list[Change], list[tuple[int, str, Any]]]:
    """Compare the copies with what they were given."""
    after = Description()
    for index in sorted(builder.copies):
        after.register(builder.copies[index], builder.paths[index])
    changes: list[Change] = []
    static_changes: list[tuple[int, str, Any]] = []
    for index in sorted(builder.copies):
        copy = builder.copies[index]
        attributes = dict(builder.templates[index][3])
        now = {name: (value, trainable) for name, value, trainable in copy.state_items()}
        for name in sorted(set(attributes) - set(now)):
            _refuse_structure(call, index, name, "was deleted")
        for name, (value, trainable) in now.items():
            place = join_path(builder.paths[index], name)
            template = after.visit(value, place, 0, True, trainable)
            if name not in attributes:
                if template[0] == "static" and abstract is None:
                    static_changes.append((index, name, value))
                    continue
                _refuse_structure(call, index, name, "was added")
            verdict = _compare(attributes[name], template, values, after, (), changes, index, name)
            if verdict == "static" and abstract is None:
                static_changes.append((index, name, value))
            elif verdict == "static":
                raise StateError(
                    f"The Python value {place!r} was changed to {value!r} inside {abstract}: it "
                    "would change while tracing only, not at each call.",
                    fix="keep it as an nn.Buffer, or change it outside",
                )
            elif verdict == "structure":
                _refuse_structure(call, index, name, "changed its structure")
    return changes, static_changes


def _refuse_structure(call: Call, index: int, name: str, what: str) -> None:
    owner = type(call.description.objects[index]).__name__
    raise StateError(
        f"Attribute {name!r} of {owner} {what} inside a traced function.",
        fix="create every parameter, Buffer and Module in __init__; return intermediate values "
        "(value_and_grad has has_aux=True) instead of storing them",
    )


def _compare(
    old: Template,
    new: Template,
    values: Sequence[Any],
    after: Description,
    keys: tuple[int, ...],
    changes: list[Change],
    index: int,
    name: str,
) -> str:
    if old[0] == "leaf" and new[0] == "leaf":
        given, now = values[old[1]], after.leaves[new[1]].value
        if given is not now:
            if given.type != now.type:
                raise StateError(
                    f"{after.leaves[new[1]].path!r} was {given.type} and was changed to "
                    f"{now.type} inside a traced function.",
                    fix="keep dtype and shape: .astype(...) or .reshape(...) the new value",
                )
            changes.append(Change(index, name, keys, now))
        return "same"
    if old[0] == "static" and new[0] == "static":
        return "same" if old[1] == new[1] else "static"
    if old[0] in ("object", "seen") and new[0] == "seen":
        return "same" if old[1] == new[1] else "structure"
    if old[0] == "container" and new[0] == "container" and old[1] == new[1]:
        verdicts = [
            _compare(left, right, values, after, (*keys, position), changes, index, name)
            for position, (left, right) in enumerate(zip(old[2], new[2], strict=True))
        ]
        for verdict in ("structure", "static"):
            if verdict in verdicts:
                return verdict
        return "same"
    return "structure"


def _write(target: Stateful, change: Change, value: Array) -> None:
    current = getattr(target, change.attribute)
    setattr(target, change.attribute, _replace(current, change.keys, value))


def _replace(value: Any, keys: tuple[int, ...], leaf: Array) -> Any:
    if not keys:
        return leaf
    container = open_container(value)
    assert container is not None
    children = list(container.children)
    children[keys[0]] = _replace(children[keys[0]], keys[1:], leaf)
    return rebuild_container(container.kind, children)


def _refuse_owned(array: Array) -> None:
    owner, path = array.owner
    name = owner() if callable(owner) else owner
    raise ClosureError(
        f"The compiled function uses {path!r} of {describe_owner(name)}, which was not passed to "
        "it: its value would be frozen into the program and later updates would be ignored.",
        fix="pass the Module (or Optimizer) as an argument of the compiled function",
    )


def describe_owner(owner: Any) -> str:
    """`a Net` for an object, for messages."""
    return "an object that is gone" if owner is None else f"a {type(owner).__name__}"

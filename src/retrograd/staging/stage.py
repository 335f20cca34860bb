"""Traces a function with copies of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..config import get_config
from ..errors import ClosureError, StateError, hide_internal_frames
from ..ir import Graph, prune, verify
from ..trace import Array, Recorder, Tracer, recording
from ..tree import join_path
from .ambient import AMBIENT
from .changes import Builder, Change, find_changes, write_change
from .describe import Call, Leaf, Template
from .results import build_result, check_result, describe_result


@dataclass(slots=True)
class Staged:
    """A traced function: its program and what its inputs and outputs stand for."""

    graph: Graph
    input_leaves: list[int]
    ambient_inputs: list[int]
    captured: list[Array]
    result: Template
    result_count: int
    changes: list[Change]
    change_outputs: list[int]
    ambient_outputs: list[tuple[int, int]]
    static_changes: list[tuple[int, str, Any]]
    updates: list[tuple[int, int]]  # each Optimizer among the objects, and the Module it updates

    def check_owners(self, call: Call) -> None:
        """An error if an Optimizer holds the state of another Module than it will update."""
        objects = call.description.objects
        for optimizer, model in self.updates:
            objects[optimizer].check_owner(objects[model])
            objects[optimizer].set_owner(objects[model])

    def inputs(self, call: Call) -> list[Array]:
        """The values of the program's inputs for a call of the same structure."""
        arrays = [call.leaves[index].as_array() for index in self.input_leaves]
        arrays += [AMBIENT[index].read() for index in self.ambient_inputs]
        return arrays + self.captured

    def rebuild(self, outputs: Sequence[Any]) -> Any:
        """The function's result with these output values."""
        return build_result(self.result, outputs)

    def write_back(self, call: Call, outputs: Sequence[Array]) -> None:
        """Put what the function changed into the caller's objects."""
        for change, position in zip(self.changes, self.change_outputs, strict=True):
            write_change(call.description.objects[change.object], change, outputs[position])
        for index, name, value in self.static_changes:
            setattr(call.description.objects[index], name, value)
        for index, position in self.ambient_outputs:
            AMBIENT[index].write(outputs[position])
        self.check_owners(call)  # a new state has no owner


Select = Callable[[Leaf], bool]


def trace(
    function: Callable[..., Any],
    call: Call,
    select: Select,
    *,
    name: str,
    abstract: str | None = None,
    forbid_closures: bool = False,
    forbid_changes: str | None = None,
    trace_ambient: bool = False,
    leave: Callable[[Array], Array] | None = None,
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
        leave: what is done to each value that leaves the program.

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
    before = [source.read() for source in AMBIENT]
    with recording(recorder):
        try:
            return _trace_with(
                recorder,
                function,
                call,
                select,
                before,
                forbid_changes,
                trace_ambient,
                abstract,
                leave,
            )
        except BaseException as error:
            for source, value in zip(AMBIENT, before, strict=True):
                source.write(value)
            hide_internal_frames(error)
            raise


def _trace_with(
    recorder: Recorder,
    function: Callable[..., Any],
    call: Call,
    select: Select,
    ambient_before: list[Array],
    forbid_changes: str | None,
    trace_ambient: bool,
    abstract: str | None,
    leave: Callable[[Array], Array] | None,
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
            AMBIENT[index].write(ambient_given[index])
            ambient_inputs.append(index)
    builder = Builder(call.description, values, recorder.level + 1)
    arguments = [builder.build_argument(template) for template in call.arguments]
    keywords = {name: builder.build_argument(template) for name, template in call.keywords}
    result = function(*arguments, **keywords)
    builder.check_arguments()
    outputs: list[Array] = []
    template = describe_result(result, outputs)
    check_result(template, recorder)
    result_count = len(outputs)
    changes, static_changes = find_changes(builder, values, call, abstract)
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
    for index, source in enumerate(AMBIENT):
        now = source.read()
        if now is not ambient_given[index]:
            if trace_ambient or _is_traced_by(now, recorder):
                ambient_outputs.append((index, _position(outputs, now, result_count)))
                source.write(ambient_before[index])
        elif trace_ambient:
            source.write(ambient_before[index])
    if leave is not None:
        outputs = [leave(output) for output in outputs]
    own = len(input_leaves)
    optional = range(own, own + len(ambient_inputs))
    graph, captured, gone = _drop_unused(prune(recorder.finish(outputs)), recorder, optional)
    ambient_inputs = [
        index for order, index in enumerate(ambient_inputs) if own + order not in gone
    ]
    if get_config().verify:
        verify(graph, f"tracing {recorder.name}")
    return Staged(
        graph=graph,
        input_leaves=input_leaves,
        ambient_inputs=ambient_inputs,
        captured=captured,
        result=template,
        result_count=result_count,
        changes=changes,
        change_outputs=change_outputs,
        ambient_outputs=ambient_outputs,
        static_changes=static_changes,
        updates=_find_updates(builder),
    )


def _find_updates(builder: Builder) -> list[tuple[int, int]]:
    """The Optimizers that the function used, and what each updates."""
    numbers = {id(copy): index for index, copy in builder.copies.items()}
    found = []
    for index, copy in builder.copies.items():
        updated = copy.__dict__.get("_updated")
        if id(updated) in numbers:
            found.append((index, numbers[id(updated)]))
    return found


def _drop_unused(
    graph: Graph, recorder: Recorder, optional: Sequence[int]
) -> tuple[Graph, list[Array], list[int]]:
    """The graph without inputs that nobody passes and nothing uses.

    Args:
        graph: the program; its last inputs are the captured values.
        recorder: what recorded it.
        optional: positions of further inputs that may go (the random generator's state).

    Returns:
        The graph, the captured values that are left, and the positions that went.
    """
    used = {id(atom) for node in graph.nodes for atom in node.inputs}
    used.update(id(atom) for atom in graph.outputs)
    own = len(recorder.inputs)
    gone = [position for position in optional if id(graph.inputs[position]) not in used]
    captured = recorder.captured_arrays()
    kept = [
        variable
        for position, variable in enumerate(graph.inputs)
        if position not in gone and (position < own or id(variable) in used)
    ]
    pairs = zip(graph.inputs[own:], captured, strict=True)
    arrays = [array for variable, array in pairs if id(variable) in used]
    return Graph(tuple(kept), graph.nodes, graph.outputs, graph.name), arrays, gone


def _is_traced_by(array: Array, recorder: Recorder) -> bool:
    return isinstance(array, Tracer) and array.recorder is recorder


def _position(outputs: list[Array], value: Array, start: int) -> int:
    """The position of a value among the outputs after `start`, added if it is new."""
    for position in range(start, len(outputs)):
        if outputs[position] is value:
            return position
    outputs.append(value)
    return len(outputs) - 1


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

"""cond and while_loop: bodies that run where a bool in memory says so."""

from __future__ import annotations

from ..ir import Graph, Node
from ..ir.loops import Repeat, aligned
from ..ir.types import DTYPES, bool_
from ..trace import Array, Recorder, recording, replay
from .inner_programs import lower_body
from .values import Values


def lower_cond(values: Values, node: Node) -> bool:
    """Two loops of one step or none, which write the same memory."""
    flag = values.whole(node.inputs[0])
    inputs = tuple(values.whole(atom) for atom in node.inputs[1:])
    outputs = [values.new(variable.type.dtype, variable.type.shape) for variable in node.outputs]
    numbers = tuple(view.buffer for view in outputs)
    for name, expected in (("on_true", True), ("on_false", False)):
        graph = node.parameters[name]
        _append_call(values, graph, inputs, numbers, (flag, expected))
    for variable, view in zip(node.outputs, outputs, strict=True):
        values.known[id(variable)] = view
    return True


def _append_call(
    values: Values,
    graph: Graph,
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    condition: tuple[int, bool] | None = None,
) -> None:
    """One run of a body."""
    body = lower_body(values, graph)
    workspace = values.new(DTYPES["uint8"], (aligned(body.size),)).buffer
    call = Repeat(body, 1, False, len(inputs), 0, inputs, outputs, workspace, condition=condition)
    values.schedule.kernels.append(call)


def lower_while(values: Values, node: Node) -> bool:
    """The condition is carried: it is computed once before the loop, and at the end of a step."""
    condition, body = node.parameters["condition"], node.parameters["body"]
    constants = node.parameters["constants"]
    inputs = tuple(values.whole(atom) for atom in node.inputs)
    flag = values.new(bool_, ()).buffer
    _append_call(values, condition, inputs, (flag,))
    step = lower_body(values, _make_step(condition, body, constants))
    carried = [flag, *inputs[constants:]]
    size = step.size
    for number in carried:
        size += 2 * aligned(values.schedule.buffers[number].bytes)
    workspace = values.new(DTYPES["uint8"], (aligned(size),)).buffer
    outputs = [values.new(variable.type.dtype, variable.type.shape) for variable in node.outputs]
    last = (values.new(bool_, ()).buffer, *(view.buffer for view in outputs))
    loop = Repeat(
        step,
        1,
        False,
        constants,
        len(carried),
        (*inputs[:constants], *carried),
        last,
        workspace,
        open=True,
    )
    values.schedule.kernels.append(loop)
    for variable, view in zip(node.outputs, outputs, strict=True):
        values.known[id(variable)] = view
    return True


def _make_step(condition: Graph, body: Graph, constants: int) -> Graph:
    """`[constants, flag, carry] -> [flag, carry]`."""
    if "step" not in body.cache:
        recorder = Recorder(body.name, abstract="a loop")
        with recording(recorder):
            given: list[Array] = [recorder.add_input(v.type) for v in body.inputs]
            state = replay(body, given)
            alive = replay(condition, [*given[:constants], *state])[0]
            recorder.add_input(alive.type, "goes on")
            graph = recorder.finish([alive, *state])
        *own, flag = graph.inputs
        inputs = (*own[:constants], flag, *own[constants:])
        body.cache["step"] = Graph(inputs, graph.nodes, graph.outputs, graph.name)
    step = body.cache["step"]
    assert isinstance(step, Graph)
    return step

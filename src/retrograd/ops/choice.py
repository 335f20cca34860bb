"""rg.cond and rg.while_loop: control flow that depends on values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, DTypeError, ShapeError
from ..ir import ArrayType, Graph, prune
from ..ir.types import bool_, int32
from ..staging import Call, Staged, Template, build_result, describe, describe_result, trace
from ..trace import Array, bind
from ..tree import map as map_tree
from .branch import bind_branches, share_inputs
from .elementwise import zeros_of
from .promotion import as_array
from .random import default_generator, fold_state
from .while_loops import while_p

Function = Callable[..., Any]


def cond(predicate: Any, true_function: Function, false_function: Function, *operands: Any) -> Any:
    """One of two functions of the same operands, by a bool that may be known only when it runs.

    `true_function(*operands) if predicate else false_function(*operands)`, also where `predicate`
    is being traced. Only the branch that is chosen runs, forward and backward. Under `rg.vmap`
    with a predicate for each example both run for all of them, and each example takes its own: an
    index that is out of range is an error only for the examples that take its branch.

    Args:
        predicate: one bool: a Python bool or an Array of shape ().
        true_function, false_function: functions of the operands; they return the same tree, with
            the same shapes and dtypes.
        operands: Arrays, Modules, and trees of them.

    Returns:
        What the chosen function returns. Random numbers that it draws are those of one draw.

    Raises:
        ShapeError: the predicate is no single value, or the branches return different trees or
            shapes.
        DTypeError: the predicate is not a bool, or the branches return different dtypes.
        StateError: a branch changes a Module.

    Example:
        >>> import retrograd as rg
        >>> f = lambda x: rg.cond(x > 0, lambda x: x * x, lambda x: -x, x)
        >>> float(f(rg.array(3.0))), float(rg.grad(f)(rg.array(-2.0)))
        (9.0, -1.0)
    """
    for name, function in (("true_function", true_function), ("false_function", false_function)):
        if not callable(function):
            raise ArgumentTypeError(
                f"cond: {name} must be a function, received {type(function).__name__}.",
                fix="write rg.cond(x > 0, lambda x: ..., lambda x: ..., x)",
            )
    chosen = as_array(predicate)
    call = describe(operands, {}, [f"operand {n}" for n in range(len(operands))])
    draws: list[bool] = []
    staged = [_trace_branch(function, call, draws) for function in (true_function, false_function)]
    if draws:
        default_generator().advance()
    _check_branches(*staged)
    captured = [len(part.captured) for part in staged]
    first, second = share_inputs([part.graph for part in staged], captured)
    own = len(staged[0].graph.inputs) - captured[0]
    values = [*staged[0].inputs(call)[:own], *staged[0].captured, *staged[1].captured]
    return staged[0].rebuild(bind_branches(chosen, values, (first, second)))


def _trace_branch(function: Function, call: Call, draws: list[bool]) -> Staged:
    def branch(*given: Any) -> Any:
        # Only one branch runs: both may use the draws of one state.
        with fold_state(Array(np.zeros((), np.int32))) as drawn:
            result = _as_arrays(function(*given))
        draws.extend(drawn)
        return result

    return trace(
        branch,
        call,
        lambda leaf: leaf.kind != "number",
        name=getattr(function, "__name__", "branch"),
        abstract="a branch of rg.cond",
        forbid_changes="cond",
    )


def _check_branches(first: Staged, second: Staged) -> None:
    if first.result != second.result:
        raise ShapeError(
            "cond: the two functions return different trees: "
            f"{_describe(first.result)} and {_describe(second.result)}.",
            fix="return the same dicts, lists and tuples, and Arrays in the same places",
        )
    pairs = zip(first.graph.output_types, second.graph.output_types, strict=True)
    for position, (one, other) in enumerate(pairs):
        if one != other:
            error = ShapeError if one.shape != other.shape else DTypeError
            raise error(
                f"cond: the functions return different types in place {position}: {one} if true, "
                f"{other} if false.",
                fix="bring them to one shape and dtype, e.g. with rg.broadcast_to or .astype",
            )


def _describe(template: Template) -> str:
    if template[0] == "leaf":
        return "an Array"
    if template[0] == "static":
        return f"{template[1].value!r:.40}"
    kind = template[1][0]
    return f"a {kind} of {len(template[2])}"


def _as_arrays(value: Any) -> Any:
    """Numbers in a tree become Arrays."""
    return map_tree(
        lambda leaf: (
            as_array(leaf) if isinstance(leaf, (bool, int, float, np.ndarray, np.generic)) else leaf
        ),
        value,
    )


def while_loop(condition: Function, body: Function, init: Any) -> Any:
    """A loop that runs while a condition holds: `while condition(carry): carry = body(carry)`.

    It has forward-mode derivatives (`rg.jvp`) and no gradient: where that is needed, use
    `rg.scan`, whose number of steps is known. Under `rg.vmap` it runs while any example goes on;
    examples that are done keep their values.

    Args:
        condition: takes the carry, returns one bool.
        body: takes the carry, returns the next one: the same tree, shapes and dtypes.
        init: the first carry, any tree of Arrays and numbers.

    Returns:
        The first carry for which the condition does not hold.

    Raises:
        ShapeError: the condition is no single value, or the carry changes its tree or type.
        DTypeError: the condition is not a bool.
        StateError: a function changes a Module.

    Example:
        >>> import retrograd as rg
        >>> float(rg.while_loop(lambda x: x < 100, lambda x: x * 2, 3.0))
        192.0
    """
    for name, function in (("condition", condition), ("body", body)):
        if not callable(function):
            raise ArgumentTypeError(
                f"while_loop: {name} must be a function, received {type(function).__name__}."
            )
    leaves: list[Array] = []
    template = describe_result(_as_arrays(init), leaves)
    if not leaves:
        raise ArgumentTypeError(
            "while_loop: the carry holds no Array, so that the condition could never change.",
            fix="carry what the condition depends on",
        )
    draws: list[bool] = []

    def test(state: list[Array], number: Array) -> list[Array]:
        return [_check_condition(_as_arrays(condition(build_result(template, state))))]

    def step(state: list[Array], number: Array) -> list[Array]:
        with fold_state(number) as drawn:
            result = _as_arrays(body(build_result(template, state)))
        draws.extend(drawn)
        outputs: list[Array] = []
        after = describe_result(result, outputs)
        _check_carry(template, after, state, outputs)
        return [*outputs, number + 1]

    counter = zeros_of(ArrayType(int32, ()))
    call = describe([[zeros_of(leaf.type) for leaf in leaves], counter], {}, ["carry", "step"])
    staged = [
        trace(
            function,
            call,
            lambda leaf: True,
            name=getattr(given, "__name__", "loop"),
            abstract="a while_loop",
            forbid_changes="while_loop",
        )
        for function, given in ((test, condition), (step, body))
    ]
    if draws:
        default_generator().advance()
    state = [*leaves, Array(np.zeros((), np.int32))]
    return build_result(template, _bind(staged, state, counted=bool(draws)))


def _bind(staged: Sequence[Staged], state: list[Array], counted: bool) -> list[Array]:
    """The node; without the number of the step if nothing is drawn."""
    captured = [len(part.captured) for part in staged]
    graphs = share_inputs([part.graph for part in staged], captured)
    count = len(state)
    first, second = (
        Graph((*g.inputs[count:], *g.inputs[:count]), g.nodes, g.outputs, g.name) for g in graphs
    )
    if not counted:
        state.pop()
        first = Graph(first.inputs[:-1], first.nodes, first.outputs, first.name)
        second = prune(Graph(second.inputs[:-1], second.nodes, second.outputs[:-1], second.name))
    constants = [*staged[0].captured, *staged[1].captured]
    return bind(while_p, *constants, *state, condition=first, body=second, constants=len(constants))


def _check_condition(value: Any) -> Array:
    if not isinstance(value, Array):
        raise ArgumentTypeError(
            f"while_loop: the condition must return one bool, received {type(value).__name__}."
        )
    if value.type.shape != ():
        raise ShapeError(
            f"while_loop: the condition must return one bool, received shape {value.type.shape}.",
            fix="reduce it with .any() or .all()",
        )
    if value.type.dtype != bool_:
        raise DTypeError(
            f"while_loop: the condition must return a bool, received {value.type.dtype.name}.",
            fix="compare: return error > 1e-6",
        )
    return value


def _check_carry(
    before: Template, after: Template, old: Sequence[Array], new: Sequence[Array]
) -> None:
    if before != after:
        raise ShapeError(
            f"while_loop: the body received {_describe(before)} and returns {_describe(after)}.",
            fix="return the carry in the tree in which it came",
        )
    for position, (left, right) in enumerate(zip(old, new, strict=True)):
        if left.type != right.type:
            raise ShapeError(
                f"while_loop: part {position} of the carry is {left.type} and becomes "
                f"{right.type}.",
                fix="make init of the shape and dtype that the body returns (e.g. 0.0 in the "
                "place of 0, or .astype)",
            )

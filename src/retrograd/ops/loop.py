"""rg.scan: a loop with state, traced once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ir import ArrayType, Graph, Variable
from ..ir.types import int32
from ..staging import build_result, describe, describe_result, trace
from ..trace import Array
from ..tree import map as map_tree
from . import comparison
from .chunks import run_steps
from .elementwise import zeros_of
from .promotion import as_array
from .random import default_generator, fold_state


def scan(
    function: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    length: int | None = None,
    reverse: bool = False,
    *,
    truncate: int | None = None,
    checkpoint_every: int | None = None,
) -> tuple[Any, Any]:
    """A loop with state over the leading axis: `carry, y[t] = function(carry, x[t])`.

    Its gradient is backpropagation through time. It is traced once, whatever the length.

    Args:
        function: takes the carry and one step of `xs`; returns the new carry (the same tree,
            shapes and dtypes) and an output.
        init: the first carry, any tree of Arrays and numbers.
        xs: a tree of Arrays with the steps on their leading axis; None with `length`.
        length: the number of steps, needed only without `xs`.
        reverse: from the last step to the first.
        truncate: gradients do not flow through the carry into step k, 2 k, ... in the order in
            which the steps run (truncated backpropagation through time). Values are the same.
        checkpoint_every: keep only the carry of every k-th step for the gradient, and compute the
            steps between again when it is needed: memory for about `length / k` carries and the
            inner values of k steps, for one more forward pass. Values and gradients are the same.

    Returns:
        The last carry, and the outputs stacked along a new leading axis.

    Raises:
        ShapeError: leading axes differ, or the carry changes its type.
        StateError: the function changes a Module.
        ArgumentError: there is no number of steps, or `truncate` or `checkpoint_every` is not a
            positive integer.

    Source: R. Williams, J. Peng, An efficient gradient-based algorithm for on-line training of
    recurrent network trajectories, Neural Computation 2 (1990), for truncation.

    Example:
        >>> import retrograd as rg
        >>> total, sums = rg.scan(lambda c, x: (c + x, c + x), 0.0, rg.array([1.0, 2.0, 3.0]))
        >>> sums.numpy()
        array([1., 3., 6.], dtype=float32)
    """
    carry_leaves: list[Array] = []
    x_leaves: list[Array] = []
    carry_template = describe_result(_as_arrays(init), carry_leaves)
    x_template = describe_result(_as_arrays(xs), x_leaves)
    steps = _check_length(x_leaves, length)
    for name, number in (("truncate", truncate), ("checkpoint_every", checkpoint_every)):
        _check_count(name, number)
    types = [x.type.with_shape(x.type.shape[1:]) for x in x_leaves]

    draws: list[bool] = []

    def step(carry: list[Array], x: list[Array], index: Array) -> Any:
        if truncate is not None:
            done = steps - 1 - index if reverse else index
            carry = _cut_gradients(carry, done, truncate)
        with fold_state(index) as drawn:
            result = function(build_result(carry_template, carry), build_result(x_template, x))
        draws.extend(drawn)
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentTypeError(
                f"The function of scan returns (carry, output), received {type(result).__name__}.",
                fix="return carry, None if there is no output",
            )
        outputs: list[Array] = []
        template = describe_result(_as_arrays(result[0]), outputs)
        _check_carry(carry_template, template, carry, outputs)
        return outputs, result[1]

    index_type = ArrayType(int32, ())
    examples = [[zeros_of(c.type) for c in carry_leaves], [zeros_of(t) for t in types]]
    call = describe([*examples, zeros_of(index_type)], {}, ["carry", "x", "step"])
    staged = trace(
        step,
        call,
        lambda leaf: True,
        name=getattr(function, "__name__", "step"),
        abstract="a scan",
        forbid_changes="scan",
        trace_ambient=False,
    )
    if draws:
        default_generator().advance()
    captured = staged.captured
    count = len(carry_leaves)
    inner = staged.graph
    own = len(inner.inputs) - len(captured)
    body = Graph((*inner.inputs[own:], *inner.inputs[:own]), inner.nodes, inner.outputs, inner.name)
    sequences = list(x_leaves)
    if _uses(body, body.inputs[-1]):
        sequences.append(Array(np.arange(steps, dtype=np.int32)))
    else:
        body = Graph(body.inputs[:-1], body.nodes, body.outputs, body.name)
    results = run_steps(
        body, captured, carry_leaves, sequences, steps, reverse, checkpoint_every or steps
    )
    return (
        build_result(carry_template, results[:count]),
        build_result(staged.result[2][1], results),
    )


def _check_count(name: str, number: Any) -> None:
    if number is None:
        return
    whole = hasattr(number, "__index__") and not isinstance(number, bool)
    if not whole or number.__index__() < 1:
        raise ArgumentError(f"scan: {name} must be a positive integer, received {number!r:.40}.")


def _cut_gradients(carry: list[Array], done: Array, truncate: int) -> list[Array]:
    """The carry, constant for the gradient where a multiple of `truncate` steps is done."""
    at_border = comparison.logical_and(comparison.greater(done, 0), done % truncate == 0)
    return [
        comparison.where(at_border, comparison.stop_gradient(value), value)
        if value.type.floating
        else value
        for value in carry
    ]


def _uses(graph: Graph, variable: Variable) -> bool:
    atoms = [atom for node in graph.nodes for atom in node.inputs]
    return any(atom is variable for atom in (*atoms, *graph.outputs))


def _as_arrays(value: Any) -> Any:
    """Numbers in a tree become Arrays."""
    return map_tree(
        lambda leaf: (
            as_array(leaf) if isinstance(leaf, (int, float, np.ndarray, np.generic)) else leaf
        ),
        value,
    )


def _check_length(x_leaves: Sequence[Array], length: int | None) -> int:
    sizes = set()
    for x in x_leaves:
        if x.type.ndim == 0:
            raise ShapeError("scan: every Array of xs needs a leading axis for the steps.")
        sizes.add(x.type.shape[0])
    if length is not None:
        sizes.add(length)
    if not sizes:
        raise ArgumentError("scan needs xs or length to know the number of steps.")
    if len(sizes) > 1:
        raise ShapeError(f"scan: the numbers of steps differ: {sorted(sizes)}.")
    return sizes.pop()


def _check_carry(before: Any, after: Any, old: Sequence[Array], new: Sequence[Array]) -> None:
    if before != after:
        raise ShapeError(
            "scan: the carry that the function returns is not the tree that it received.",
            fix="return the same dicts, lists and tuples",
        )
    for position, (left, right) in enumerate(zip(old, new, strict=True)):
        if left.type != right.type:
            raise ShapeError(
                f"scan: part {position} of the carry is {left.type} and becomes {right.type}.",
                fix="make init of the shape and dtype that the function returns "
                "(e.g. 0.0 in the place of 0, or .astype)",
            )

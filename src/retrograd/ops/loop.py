"""rg.scan: a loop with state, traced once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ir import ArrayType, Graph, Variable
from ..ir.types import int32
from ..staging import build_result, describe, describe_result, trace
from ..trace import Array, bind
from ..tree import map as map_tree
from .elementwise import zeros_of
from .promotion import as_array
from .random import default_generator, fold_state
from .scan import scan_p


def scan(
    function: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    length: int | None = None,
    reverse: bool = False,
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

    Returns:
        The last carry, and the outputs stacked along a new leading axis.

    Raises:
        ShapeError: leading axes differ, or the carry changes its type.
        StateError: the function changes a Module.

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
    types = [x.type.with_shape(x.type.shape[1:]) for x in x_leaves]

    draws: list[bool] = []

    def step(carry: list[Array], x: list[Array], index: Array) -> Any:
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
    sequences = [*x_leaves, Array(np.arange(steps, dtype=np.int32))]
    if not _uses(body, body.inputs[-1]):
        body = Graph(body.inputs[:-1], body.nodes, body.outputs, body.name)
        sequences.pop()
    results = bind(
        scan_p,
        *captured,
        *carry_leaves,
        *sequences,
        body=body,
        constants=len(captured),
        carry=count,
        length=steps,
        reverse=reverse,
    )
    return (
        build_result(carry_template, results[:count]),
        build_result(staged.result[2][1], results),
    )


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

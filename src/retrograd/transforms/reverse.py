"""Reverse mode: value_and_grad, grad and vjp."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backprop
from ..errors import ArgumentTypeError, NotDifferentiableError, ShapeError, hide_internal_frames
from ..staging import Staged
from ..trace import Array
from .arguments import Function, check_function, match_tangents, stage
from .graphs import apply_graph
from .row_reads import evaluate_gradients


def value_and_grad(
    function: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Function:
    """The function that returns the value and the gradient of a scalar function.

    Args:
        function: returns a scalar, or `(scalar, aux)` with `has_aux`.
        argnums: which positional arguments to differentiate by; a tuple gives a tuple.
        has_aux: the function returns something else besides, which is passed on.

    Returns:
        A function that returns `(value, gradients)`, with `has_aux` `((value, aux), gradients)`.
        Gradients have the tree of the argument; for a Module that of `model.parameters()`. The
        weight of an `nn.Embedding(..., sparse=True)` has a RowGradient in its place.

    Raises:
        ShapeError: the value is not a scalar.
        NotDifferentiableError: an argument or the value is not floating.

    Example:
        >>> import retrograd as rg
        >>> value, gradient = rg.value_and_grad(lambda x: (x * x).sum())(rg.array([1.0, 2.0]))
        >>> float(value), gradient.numpy()
        (5.0, array([2., 4.], dtype=float32))
    """
    return _value_and_grad(function, argnums, has_aux, "value_and_grad")


def _value_and_grad(
    function: Function, argnums: int | Sequence[int], has_aux: bool, name: str
) -> Function:
    check_function(function, name)

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        try:
            gradients, staged = stage(function, arguments, keywords, argnums, name)
            _check_scalar(staged, has_aux)
            inputs = staged.inputs(gradients.call)
            seeds = []
            for position, type in enumerate(staged.graph.output_types):
                if type.floating:
                    seed = np.ones if position == 0 else np.zeros
                    seeds.append(Array(np.broadcast_to(seed((), type.dtype), type.shape)))
            outputs, values = evaluate_gradients(
                staged.graph, len(gradients.wanted), gradients.tables, inputs, seeds
            )
            trees = tuple(
                gradients.build(gradients.call.arguments[position], values)
                for position in gradients.positions
            )
            result = staged.rebuild(outputs)
            staged.write_back(gradients.call, outputs)
            return result, trees[0] if isinstance(argnums, int) else trees
        except Exception as error:
            hide_internal_frames(error)
            raise

    return wrapped


def grad(function: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """The gradient of a scalar function: `grad(f)(x) = df/dx`.

    Args:
        function, argnums, has_aux: as for `value_and_grad`.

    Returns:
        A function that returns the gradients, with `has_aux` `(gradients, aux)`. Arguments that
        the value does not depend on get zeros.

    Example:
        >>> import retrograd as rg
        >>> float(rg.grad(lambda x: x**3)(2.0))
        12.0
        >>> float(rg.grad(rg.grad(lambda x: x**3))(2.0))
        12.0
    """
    both = _value_and_grad(function, argnums, has_aux, "grad")

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        value, gradients = both(*arguments, **keywords)
        return (gradients, value[1]) if has_aux else gradients

    return wrapped


def _check_scalar(staged: Staged, has_aux: bool) -> None:
    template = staged.result
    if has_aux:
        pair = template[0] == "container" and template[1][0] == "tuple" and len(template[2]) == 2
        if not pair:
            raise ArgumentTypeError("With has_aux=True the function returns (value, aux).")
        template = template[2][0]
    if template[0] != "leaf" or template[1] != 0:
        static = template[0] == "static"
        form = template[1].value if static else template[1][0]
        received = repr(form) if static else "None" if form == "none" else f"a {form}"
        raise ArgumentTypeError(
            f"The function to differentiate must return a scalar Array, received {received}.",
            fix="compute the loss from its arguments, with Arrays and rg's functions"
            if static
            else "return the loss alone, or (loss, aux) with has_aux=True",
        )
    type = staged.graph.output_types[0]
    if type.shape != ():
        raise ShapeError(
            f"The function to differentiate must return a scalar, received shape {type.shape}.",
            fix="reduce it with .sum() or .mean(), or use rg.jacobian or rg.vjp",
        )
    if not type.floating:
        raise NotDifferentiableError(
            f"The value to differentiate has dtype {type.dtype.name}, not a floating one.",
            fix="return a loss of floating numbers: argmax, comparisons and integers have no "
            "gradient",
        )


def vjp(function: Function, *primals: Any) -> tuple[Any, Function]:
    """The value, and the function that carries a cotangent back: `v -> v^T J`.

    Args:
        function: any function of Arrays and trees of them.
        primals: its arguments, all of which are differentiated.

    Returns:
        `(value, pullback)`; `pullback(cotangent)` takes a tree like the value and gives a tuple
        with one cotangent tree for each primal.

    Example:
        >>> import retrograd as rg
        >>> value, pullback = rg.vjp(lambda x: x * x, rg.array([1.0, 2.0]))
        >>> pullback(rg.array([1.0, 10.0]))[0].numpy()
        array([ 2., 40.], dtype=float32)
    """
    check_function(function, "vjp")
    try:
        gradients, staged = stage(function, primals, {}, range(len(primals)), "vjp")
        forward, backward, count = backprop.split(staged.graph, range(len(gradients.wanted)))
        outputs = apply_graph(forward, staged.inputs(gradients.call))
        results = outputs[: len(outputs) - count]
        residuals = outputs[len(outputs) - count :]
        staged.write_back(gradients.call, results)
    except Exception as error:
        hide_internal_frames(error)
        raise
    value = staged.rebuild(results)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        try:
            given = match_tangents(cotangent, staged, results, "pullback")
            leaving = apply_graph(backward, [*residuals, *given])
            return tuple(gradients.build(t, leaving) for t in gradients.call.arguments)
        except Exception as error:
            hide_internal_frames(error)
            raise

    return value, pullback

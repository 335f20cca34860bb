"""Matrices of derivatives: jacobian and hessian."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import backprop
from ..errors import ArgumentTypeError
from ..ops.control import scan
from ..ops.shape import reshape
from ..trace import Array, replay
from .arguments import Function, check_function, stage
from .graphs import apply_graph
from .reverse import grad


def jacobian(function: Function, argnums: int = 0) -> Function:
    """The matrix of all partial derivatives: `J[i..., j...] = d f(x)[i...] / d x[j...]`.

    Args:
        function: from an Array to an Array.
        argnums: which argument to differentiate by.

    Returns:
        A function that gives an Array of the value's shape followed by the argument's.

    Example:
        >>> import retrograd as rg
        >>> rg.jacobian(lambda x: x * x)(rg.array([1.0, 2.0])).numpy()
        array([[2., 0.],
               [0., 4.]], dtype=float32)
    """
    check_function(function, "jacobian")

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        gradients, staged = stage(
            function, arguments, keywords, argnums, "jacobian", forbid_changes="jacobian"
        )
        if staged.result[0] != "leaf" or len(gradients.wanted) != 1:
            raise ArgumentTypeError(
                "jacobian takes a function from one Array to one Array.",
                fix="concatenate what you differentiate by into one Array, or use rg.vjp",
            )
        forward, backward, count = backprop.split(staged.graph, [0])
        outputs = apply_graph(forward, staged.inputs(gradients.call))
        value, residuals = outputs[0], outputs[len(outputs) - count :]
        size = value.type.size
        shape = gradients.call.leaves[gradients.wanted[0]].as_array().type.shape
        basis = Array(np.eye(size, dtype=value.type.dtype).reshape(size, *value.type.shape))

        def carry_back(carry: Any, cotangent: Array) -> tuple[Any, Array]:
            return carry, replay(backward, [*residuals, cotangent])[0]

        _, rows = scan(carry_back, None, basis)
        return reshape(rows, value.type.shape + shape)

    return wrapped


def hessian(function: Function, argnums: int = 0) -> Function:
    """The matrix of second derivatives of a scalar function: the jacobian of its gradient.

    Returns:
        A function that gives an Array of the argument's shape twice.

    Example:
        >>> import retrograd as rg
        >>> rg.hessian(lambda x: (x**3).sum())(rg.array([1.0, 2.0])).numpy()
        array([[ 6.,  0.],
               [ 0., 12.]], dtype=float32)
    """
    return jacobian(grad(function, argnums), argnums)

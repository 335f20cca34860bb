"""How elementwise primitives are declared: type rule, NumPy meaning and one gradient per input.

The Jacobian of an elementwise operation is diagonal, so one function serves both directions:
`gradient(g, *inputs, output)` multiplies `g` by the partial derivative. In backward mode `g` is
the output's cotangent and the result the input's; in forward mode `g` is the input's tangent and
the result its share of the output's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ir import NONDIFFERENTIABLE, ArrayType, Primitive, declare
from ..ir.types import bool_
from ..trace import Array, bind
from . import batch_rules
from .promotion import align, mark_weak

Gradient = Callable[..., Array]

KINDS = {"any": "fiub", "number": "fiu", "float": "f", "bool": "b", "integer": "iu"}
KIND_WORDS = {
    "number": "numbers",
    "float": "floating numbers",
    "bool": "bools",
    "integer": "integers",
}


def infer_elementwise(name: str, accepts: str, result: Any) -> Callable[..., tuple[ArrayType]]:
    """The type rule: all inputs of one type, the output of that type or of dtype `result`."""

    def infer(*types: ArrayType, **parameters: Any) -> tuple[ArrayType]:
        first = types[0]
        for other in types[1:]:
            if other.shape != first.shape:
                listed = " and ".join(str(type.shape) for type in types)
                raise ShapeError(f"{name}: shapes {listed} are not equal.")
            if other.dtype != first.dtype:
                listed = " and ".join(type.dtype.name for type in types)
                raise DTypeError(f"{name}: dtypes {listed} are not equal.")
        if first.dtype.kind not in KINDS[accepts]:
            raise DTypeError(
                f"{name} takes {KIND_WORDS[accepts]}, received {first.dtype.name}.",
                fix="convert with .astype('float32')"
                if accepts != "bool"
                else "compare first (x > 0), or convert with .astype('bool')",
            )
        return (first if result is None else first.with_dtype(result),)

    return infer


def declare_elementwise(
    name: str,
    meaning: Callable[..., Any],
    gradients: Sequence[Gradient] | None,
    *,
    accepts: str = "number",
    result: Any = None,
) -> Primitive:
    """Declare an elementwise primitive.

    Args:
        name: its name.
        meaning: its NumPy meaning.
        gradients: for each input, `gradient(g, *inputs, output)`; None: nondifferentiable.
        accepts: the dtypes it takes, a key of KINDS.
        result: the dtype of the output when it is not that of the inputs.
    """

    def evaluate(*arrays: Any, **parameters: Any) -> tuple[Any]:
        return (meaning(*arrays, **parameters),)

    infer = infer_elementwise(name, accepts, result)
    if gradients is None:
        return declare(
            name,
            infer=infer,
            evaluate=evaluate,
            jvp=NONDIFFERENTIABLE,
            backward=NONDIFFERENTIABLE,
            batch=batch_rules.elementwise,
            elementwise=True,
        )

    def jvp(
        primals: Sequence[Array],
        tangents: Sequence[Array | None],
        outputs: Sequence[Array],
        **parameters: Any,
    ) -> list[Array | None]:
        total: Array | None = None
        for gradient, tangent in zip(gradients, tangents, strict=True):
            if tangent is not None:
                share = gradient(tangent, *primals, outputs[0], **parameters)
                total = share if total is None else total + share
        return [total]

    def backward(
        residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool], **parameters: Any
    ) -> list[Array | None]:
        inputs, outputs = residuals
        return [
            gradient(cotangents[0], *inputs, outputs[0], **parameters) if wanted else None
            for gradient, wanted in zip(gradients, needed, strict=True)
        ]

    return declare(
        name,
        infer=infer,
        evaluate=evaluate,
        jvp=jvp,
        backward=backward,
        batch=batch_rules.elementwise,
        elementwise=True,
    )


def declare_comparison(name: str, meaning: Callable[..., Any]) -> Primitive:
    """Declare a comparison: bool out, no gradient."""
    return declare_elementwise(name, meaning, None, accepts="any", result=bool_)


def apply(primitive: Primitive, *values: Any, floating: bool = False) -> Array:
    """Apply an elementwise primitive to operands of any dtypes and shapes that go together."""
    arrays, weak = align(primitive.name, *values, floating=floating)
    return mark_weak(bind(primitive, *arrays)[0], weak)


def zeros_like(value: Array) -> Array:
    """Zeros of the type of `value`, without memory for them."""
    return zeros_of(value.type)


def zeros_of(type: ArrayType) -> Array:
    """Zeros of this type, without memory for them."""
    return Array(np.broadcast_to(np.zeros((), type.dtype), type.shape))

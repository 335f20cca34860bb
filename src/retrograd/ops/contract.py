"""dot, the batched contraction: the one primitive behind matmul, tensordot and einsum.

`dot(a, b, contract, batch)` multiplies and sums over the contracted axes, and runs side by side
over the batch axes. The output's axes are: batch, the free axes of a, the free axes of b. Its
gradients are dots again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ir import ArrayType, Primitive, declare
from ..trace import Array, bind
from .arithmetic import accumulate
from .batch_rules import Batched, give_all, move_axis
from .promotion import as_array, broadcast_shapes, convert, result_dtype
from .shape import Sizes, broadcast_to, check_axis, reshape, transpose

AxisPair = tuple[Sizes, Sizes]


def _free_axes(ndim: int, contracted: Sizes, batch: Sizes) -> Sizes:
    return tuple(axis for axis in range(ndim) if axis not in contracted and axis not in batch)


def _infer_dot(
    a: ArrayType, b: ArrayType, *, contract: AxisPair, batch: AxisPair
) -> tuple[ArrayType]:
    if a.dtype != b.dtype:
        raise DTypeError(f"dot: dtypes {a.dtype.name} and {b.dtype.name} are not equal.")
    for pair in (contract, batch):
        for axis_a, axis_b in zip(*pair, strict=True):
            if a.shape[axis_a] != b.shape[axis_b]:
                raise ShapeError(
                    f"dot: axis {axis_a} of {a.shape} and axis {axis_b} of {b.shape} "
                    "have different sizes."
                )
    shape = tuple(a.shape[axis] for axis in batch[0])
    shape += tuple(a.shape[axis] for axis in _free_axes(a.ndim, contract[0], batch[0]))
    shape += tuple(b.shape[axis] for axis in _free_axes(b.ndim, contract[1], batch[1]))
    return (a.with_shape(shape),)


def _evaluate_dot(a: Any, b: Any, *, contract: AxisPair, batch: AxisPair) -> tuple[Any]:
    free_a = _free_axes(a.ndim, contract[0], batch[0])
    free_b = _free_axes(b.ndim, contract[1], batch[1])
    batch_shape = [a.shape[axis] for axis in batch[0]]
    rows = [a.shape[axis] for axis in free_a]
    columns = [b.shape[axis] for axis in free_b]
    inner = math.prod(a.shape[axis] for axis in contract[0])
    count = math.prod(batch_shape)
    left = a.transpose(batch[0] + free_a + contract[0]).reshape(count, math.prod(rows), inner)
    right = b.transpose(batch[1] + contract[1] + free_b).reshape(count, inner, math.prod(columns))
    if count == 1:
        result = np.matmul(left[0], right[0])
    else:
        result = np.matmul(left, right)
    return (result.reshape(batch_shape + rows + columns),)


def _dot_jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    outputs: Sequence[Array],
    *,
    contract: AxisPair,
    batch: AxisPair,
) -> list[Array | None]:
    (a, b), (da, db) = primals, tangents
    left = None if da is None else bind(dot_p, da, b, contract=contract, batch=batch)[0]
    right = None if db is None else bind(dot_p, a, db, contract=contract, batch=batch)[0]
    return [accumulate(left, right)]


def _dot_backward(
    residuals: Any,
    cotangents: Sequence[Array],
    needed: Sequence[bool],
    *,
    contract: AxisPair,
    batch: AxisPair,
) -> list[Array | None]:
    (a, b), _ = residuals
    g = cotangents[0]
    return [
        _operand_cotangent(g, a, b, contract, batch, first=True) if needed[0] else None,
        _operand_cotangent(g, b, a, contract[::-1], batch[::-1], first=False)
        if needed[1]
        else None,
    ]


def _operand_cotangent(
    g: Array, mine: Array, other: Array, contract: AxisPair, batch: AxisPair, *, first: bool
) -> Array:
    """Contract the cotangent with the other operand over the other's free axes.

    `contract` and `batch` name the axes of `mine` first.
    """
    my_free = _free_axes(mine.type.ndim, contract[0], batch[0])
    other_free = _free_axes(other.type.ndim, contract[1], batch[1])
    count = len(batch[0])
    batch_of_g = tuple(range(count))
    start = count + (len(my_free) if first else 0)
    other_free_of_g = tuple(range(start, start + len(other_free)))
    pairs = {"contract": (other_free_of_g, other_free), "batch": (batch_of_g, batch[1])}
    result = bind(dot_p, g, other, **pairs)[0]
    # The result's axes: batch, my free axes, the contracted axes in the order of `other`.
    order = sorted(range(len(contract[1])), key=lambda position: contract[1][position])
    places = batch[0] + my_free + tuple(contract[0][position] for position in order)
    return transpose(result, tuple(int(axis) for axis in np.argsort(places)))


def _batch_dot(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    contract: AxisPair,
    batch: AxisPair,
) -> Batched:
    """The examples are one more batch axis, or one more free axis of the operand that has them."""
    pairs = {"contract": contract, "batch": batch}
    moved = {
        name: tuple(
            tuple(axis + 1 for axis in axes) if flag else axes
            for axes, flag in zip(pair, mapped, strict=True)
        )
        for name, pair in pairs.items()
    }
    if all(mapped):
        first, second = moved["batch"]
        both = {"contract": moved["contract"], "batch": ((0, *first), (0, *second))}
        return give_all(bind(primitive, *inputs, **both))
    result = bind(primitive, *inputs, **moved)[0]
    place = len(batch[0])
    if mapped[1]:
        place = inputs[0].type.ndim - len(contract[0])
    return give_all([move_axis(result, place, 0)])


dot_p = declare(
    "dot",
    infer=_infer_dot,
    evaluate=_evaluate_dot,
    jvp=_dot_jvp,
    backward=_dot_backward,
    batch=_batch_dot,
)


def contract_axes(a: Array, b: Array, contract: AxisPair, batch: AxisPair = ((), ())) -> Array:
    """Apply dot to two Arrays of one dtype."""
    return bind(dot_p, a, b, contract=contract, batch=batch)[0]


def _operands(a: Any, b: Any) -> tuple[Array, Array]:
    first, second = as_array(a), as_array(b)
    dtype = result_dtype([first, second])
    return convert(first, dtype), convert(second, dtype)


def matmul(a: Any, b: Any) -> Array:
    """Matrix product `a @ b`: over the last axis of a and the last but one of b.

    `out[..., i, j] = sum over k of a[..., i, k] * b[..., k, j]`. Vectors lose their axis; leading
    axes broadcast.

    Raises:
        ShapeError: the inner sizes differ, or an operand has no axes.

    Example:
        >>> import retrograd as rg
        >>> rg.matmul(rg.ones((2, 3)), rg.ones((3, 4))).shape
        (2, 4)
    """
    first, second = _operands(a, b)
    shape_a, shape_b = first.type.shape, second.type.shape
    if not shape_a or not shape_b:
        raise ShapeError(
            f"matmul needs at least one axis on each side, received {shape_a} and {shape_b}.",
            fix="use * to multiply by a number",
        )
    inner = len(shape_b) - 2 if len(shape_b) > 1 else 0
    if shape_a[-1] != shape_b[inner]:
        raise ShapeError(
            f"matmul: {shape_a} @ {shape_b}: the last axis of the first ({shape_a[-1]}) and axis "
            f"{inner} of the second ({shape_b[inner]}) must be equal.",
            fix="transpose an operand (.T), or give the layer the right number of features",
        )
    if len(shape_b) <= 2:
        return contract_axes(first, second, ((len(shape_a) - 1,), (inner,)))
    if len(shape_a) == 1:
        expanded = matmul(reshape(first, (1, -1)), second)
        shape = expanded.type.shape
        return reshape(expanded, shape[:-2] + shape[-1:])
    leading = broadcast_shapes(shape_a[:-2], shape_b[:-2], operation="matmul")
    first = broadcast_to(first, leading + shape_a[-2:])
    second = broadcast_to(second, leading + shape_b[-2:])
    axes = tuple(range(len(leading)))
    last = len(leading) + 1
    return contract_axes(first, second, ((last,), (last - 1,)), (axes, axes))


def dot(a: Any, b: Any) -> Array:
    """Product sum over the last axis of a and the last but one (or only) axis of b, as NumPy's.

    Example:
        >>> import retrograd as rg
        >>> float(rg.dot(rg.array([1.0, 2.0]), rg.array([3.0, 4.0])))
        11.0
    """
    first, second = _operands(a, b)
    if not first.type.shape or not second.type.shape:
        return first * second
    inner = max(second.type.ndim - 2, 0)
    if first.type.shape[-1] != second.type.shape[inner]:
        raise ShapeError(f"dot: {first.type.shape} and {second.type.shape} do not go together.")
    return contract_axes(first, second, ((first.type.ndim - 1,), (inner,)))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Array:
    """Product sum over several axes at once.

    Args:
        axes: a number n (the last n of a with the first n of b), or a pair of axis lists.

    Example:
        >>> import retrograd as rg
        >>> rg.tensordot(rg.ones((2, 3, 4)), rg.ones((3, 4, 5))).shape
        (2, 5)
    """
    first, second = _operands(a, b)
    ndim_a, ndim_b = first.type.ndim, second.type.ndim
    if isinstance(axes, int):
        if not 0 <= axes <= min(ndim_a, ndim_b):
            raise ShapeError(f"tensordot: cannot sum over {axes} axes of {ndim_a} and {ndim_b}.")
        pair = (tuple(range(ndim_a - axes, ndim_a)), tuple(range(axes)))
    else:
        lists = [given if isinstance(given, (tuple, list)) else (given,) for given in axes]
        pair = (
            tuple(check_axis(axis, ndim_a, "tensordot") for axis in lists[0]),
            tuple(check_axis(axis, ndim_b, "tensordot") for axis in lists[1]),
        )
        if len(pair[0]) != len(pair[1]):
            raise ShapeError(f"tensordot: {pair[0]} and {pair[1]} name unequal numbers of axes.")
    return contract_axes(first, second, pair)


def outer(a: Any, b: Any) -> Array:
    """Outer product of two flattened arrays: `out[i, j] = a[i] * b[j]`.

    Example:
        >>> import retrograd as rg
        >>> rg.outer(rg.ones(2), rg.ones(3)).shape
        (2, 3)
    """
    first, second = _operands(a, b)
    return contract_axes(reshape(first, (-1,)), reshape(second, (-1,)), ((), ()))

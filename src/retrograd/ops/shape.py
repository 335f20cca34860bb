"""Primitives that move elements: reshape, transpose, broadcast, slice, pad, flip, concatenate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, ShapeError
from ..ir import ArrayType, Primitive, declare
from ..ir.types import Shape
from ..trace import Array, bind
from . import batch_rules
from .promotion import as_array, mark_weak

Sizes = tuple[int, ...]


def declare_linear(name: str, infer: Any, evaluate: Any, transpose: Any, batch: Any) -> Primitive:
    """Declare a primitive of one input that is linear: its derivative is itself.

    Args:
        transpose: `transpose(cotangent, input_type, **parameters) -> cotangent of the input`.
        batch: the batching rule.
    """

    def jvp(
        primals: Sequence[Array],
        tangents: Sequence[Array | None],
        outputs: Sequence[Array],
        **parameters: Any,
    ) -> list[Array | None]:
        if tangents[0] is None:
            return [None]
        return list(bind(primitive, tangents[0], **parameters))

    def backward(
        residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool], **parameters: Any
    ) -> list[Array | None]:
        (x,), _ = residuals
        return [transpose(cotangents[0], x.type, **parameters)]

    primitive = declare(
        name,
        infer=infer,
        evaluate=lambda x, **parameters: (evaluate(x, **parameters),),
        jvp=jvp,
        backward=backward,
        batch=batch,
    )
    return primitive


# -- reshape ------------------------------------------------------------------------------------


def _infer_reshape(type: ArrayType, *, shape: Shape) -> tuple[ArrayType]:
    if math.prod(shape) != type.size:
        raise ShapeError(
            f"reshape: {type.shape} has {type.size} elements, {shape} has {math.prod(shape)}.",
            fix="use -1 for one axis to have its size worked out",
        )
    return (type.with_shape(shape),)


reshape_p = declare_linear(
    "reshape",
    _infer_reshape,
    lambda x, *, shape: x.reshape(shape),
    lambda g, type, *, shape: reshape(g, type.shape),
    batch_rules.longer_shape,
)


def _infer_transpose(type: ArrayType, *, axes: Sizes) -> tuple[ArrayType]:
    if sorted(axes) != list(range(type.ndim)):
        raise ShapeError(f"transpose: axes {axes} are not a permutation of {type.ndim} axes.")
    return (type.with_shape(tuple(type.shape[axis] for axis in axes)),)


transpose_p = declare_linear(
    "transpose",
    _infer_transpose,
    lambda x, *, axes: np.transpose(x, axes),
    lambda g, type, *, axes: transpose(g, tuple(int(axis) for axis in np.argsort(axes))),
    batch_rules.leading_axis_stays,
)


# -- broadcast: the axes in `axes` are new -------------------------------------------------------


def _infer_broadcast(type: ArrayType, *, shape: Shape, axes: Sizes) -> tuple[ArrayType]:
    kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    if kept != type.shape:
        raise ShapeError(f"broadcast: {type.shape} does not fit into {shape} without axes {axes}.")
    return (type.with_shape(shape),)


def _evaluate_broadcast(x: Any, *, shape: Shape, axes: Sizes) -> Any:
    return np.broadcast_to(np.expand_dims(x, axes), shape)


def _transpose_broadcast(g: Array, type: ArrayType, *, shape: Shape, axes: Sizes) -> Array:
    from .reduce import sum_p

    return bind(sum_p, g, axes=axes)[0]


broadcast_p = declare_linear(
    "broadcast",
    _infer_broadcast,
    _evaluate_broadcast,
    _transpose_broadcast,
    batch_rules.longer_shape,
)


# -- slice, pad, flip ---------------------------------------------------------------------------


def _infer_slice(type: ArrayType, *, starts: Sizes, stops: Sizes, steps: Sizes) -> tuple[ArrayType]:
    for size, start, stop, step in zip(type.shape, starts, stops, steps, strict=True):
        if not 0 <= start <= stop <= size or step < 1:
            raise ShapeError(f"slice: {start}:{stop}:{step} does not fit into size {size}.")
    shape = tuple(
        -(-(stop - start) // step) for start, stop, step in zip(starts, stops, steps, strict=True)
    )
    return (type.with_shape(shape),)


def _evaluate_slice(x: Any, *, starts: Sizes, stops: Sizes, steps: Sizes) -> Any:
    return x[tuple(slice(*triple) for triple in zip(starts, stops, steps, strict=True))]


def _transpose_slice(
    g: Array, type: ArrayType, *, starts: Sizes, stops: Sizes, steps: Sizes
) -> Array:
    low, high, interior = [], [], []
    for size, start, step, length in zip(type.shape, starts, steps, g.type.shape, strict=True):
        used = (length - 1) * step + 1 if length else 0
        low.append(start)
        high.append(size - start - used)
        interior.append(step - 1)
    return bind(pad_p, g, low=tuple(low), high=tuple(high), interior=tuple(interior))[0]


def _batch_slice(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    starts: Sizes,
    stops: Sizes,
    steps: Sizes,
) -> batch_rules.Batched:
    ranges = {"starts": (0, *starts), "stops": (size, *stops), "steps": (1, *steps)}
    return batch_rules.give_all(bind(primitive, *inputs, **ranges))


slice_p = declare_linear("slice", _infer_slice, _evaluate_slice, _transpose_slice, _batch_slice)


def _infer_pad(type: ArrayType, *, low: Sizes, high: Sizes, interior: Sizes) -> tuple[ArrayType]:
    shape = []
    for size, before, after, between in zip(type.shape, low, high, interior, strict=True):
        padded = before + after + size + max(size - 1, 0) * between
        if padded < 0 or between < 0:
            raise ShapeError(f"pad: {(before, after, between)} does not fit an axis of {size}.")
        shape.append(padded)
    return (type.with_shape(tuple(shape)),)


def _evaluate_pad(x: Any, *, low: Sizes, high: Sizes, interior: Sizes) -> Any:
    dilated = x
    if any(interior):
        shape = [n + max(n - 1, 0) * k for n, k in zip(x.shape, interior, strict=True)]
        dilated = np.zeros(shape, x.dtype)
        dilated[tuple(slice(None, None, between + 1) for between in interior)] = x
    positive = [(max(a, 0), max(b, 0)) for a, b in zip(low, high, strict=True)]
    padded = np.pad(dilated, positive) if any(map(any, positive)) else dilated
    crop = tuple(
        slice(max(-a, 0), size - max(-b, 0))
        for a, b, size in zip(low, high, padded.shape, strict=True)
    )
    return padded[crop]


def _transpose_pad(g: Array, type: ArrayType, *, low: Sizes, high: Sizes, interior: Sizes) -> Array:
    undo_low, undo_high = tuple(-n for n in low), tuple(-n for n in high)
    cropped = bind(pad_p, g, low=undo_low, high=undo_high, interior=(0,) * g.type.ndim)[0]
    if not any(interior):
        return cropped
    steps = tuple(between + 1 for between in interior)
    return bind(slice_p, cropped, starts=(0,) * g.type.ndim, stops=cropped.type.shape, steps=steps)[
        0
    ]


def _batch_pad(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    **widths: Sizes,
) -> batch_rules.Batched:
    longer = {name: (0, *along) for name, along in widths.items()}
    return batch_rules.give_all(bind(primitive, *inputs, **longer))


pad_p = declare_linear("pad", _infer_pad, _evaluate_pad, _transpose_pad, _batch_pad)

flip_p: Primitive = declare_linear(
    "flip",
    lambda type, *, axes: (type,),
    lambda x, *, axes: np.flip(x, axes),
    lambda g, type, *, axes: bind(flip_p, g, axes=axes)[0],
    batch_rules.several_axes,
)


# -- helpers for other operations ---------------------------------------------------------------


def check_axis(axis: Any, ndim: int, operation: str) -> int:
    """The axis counted from the front; an error that names the operation if it is out of range."""
    if isinstance(axis, (bool, float)) or not hasattr(axis, "__index__"):
        raise ArgumentTypeError(f"{operation}: axis must be an integer, received {axis!r}.")
    index = axis.__index__()
    if not -ndim <= index < ndim:
        raise ShapeError(f"{operation}: axis {index} is out of range for {ndim} axes.")
    return int(index % ndim)


def check_axes(axes: Any, ndim: int, operation: str) -> Sizes:
    """Sorted axes counted from the front: all for None, one for a number."""
    if axes is None:
        return tuple(range(ndim))
    given = axes if isinstance(axes, (tuple, list)) else (axes,)
    checked = tuple(sorted(check_axis(axis, ndim, operation) for axis in given))
    if len(set(checked)) != len(checked):
        raise ShapeError(f"{operation}: an axis is named twice in {tuple(given)}.")
    return checked


def as_shape(shape: Any, operation: str) -> Shape:
    """A shape from a number or a sequence of numbers."""
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    result = []
    for size in sizes:
        if isinstance(size, (bool, float)) or not hasattr(size, "__index__"):
            raise ArgumentTypeError(
                f"{operation}: sizes are integers, received {size!r}.",
                fix="shapes are fixed when a program is traced; use Python integers",
            )
        result.append(int(size.__index__()))
    return tuple(result)


def as_sizes(shape: Any, operation: str) -> Shape:
    """A shape without negative sizes, for what is made from nothing."""
    sizes = as_shape(shape, operation)
    if any(size < 0 for size in sizes):
        raise ShapeError(f"{operation}: sizes cannot be negative, received {sizes}.")
    return sizes


def slice_axis(x: Array, axis: int, start: int, stop: int, step: int = 1) -> Array:
    """`x[..., start:stop:step, ...]` along one axis."""
    ndim, shape = x.type.ndim, x.type.shape
    starts = tuple(start if a == axis else 0 for a in range(ndim))
    stops = tuple(stop if a == axis else shape[a] for a in range(ndim))
    steps = tuple(step if a == axis else 1 for a in range(ndim))
    return bind(slice_p, x, starts=starts, stops=stops, steps=steps)[0]


def reshape(x: Any, *shape: Any) -> Array:
    """The same elements in another shape, in row-major order.

    Args:
        shape: sizes, of which one may be -1 and is then worked out.

    Raises:
        ShapeError: the number of elements is not the same.

    Example:
        >>> import retrograd as rg
        >>> rg.reshape(rg.arange(6), (2, -1)).shape
        (2, 3)
    """
    value = as_array(x)
    wanted = shape[0] if len(shape) == 1 else shape
    sizes = list(as_shape(wanted, "reshape"))
    if sizes.count(-1) > 1:
        raise ShapeError(f"reshape: only one size can be -1, received {tuple(sizes)}.")
    if -1 in sizes:
        rest = math.prod(size for size in sizes if size != -1)
        if rest == 0 or value.type.size % rest:
            raise ShapeError(f"reshape: {value.type.shape} does not fit into {tuple(sizes)}.")
        sizes[sizes.index(-1)] = value.type.size // rest
    if any(size < 0 for size in sizes):
        raise ShapeError(f"reshape: sizes cannot be negative, received {tuple(sizes)}.")
    if tuple(sizes) == value.type.shape:
        return value
    return mark_weak(bind(reshape_p, value, shape=tuple(sizes))[0], value.weak)


def transpose(x: Any, axes: Any = None) -> Array:
    """The axes in another order: reversed, or as given.

    Example:
        >>> import retrograd as rg
        >>> rg.transpose(rg.zeros((2, 3, 4)), (1, 0, 2)).shape
        (3, 2, 4)
    """
    value = as_array(x)
    ndim = value.type.ndim
    if axes is None:
        order = tuple(reversed(range(ndim)))
    else:
        order = tuple(check_axis(axis, ndim, "transpose") for axis in axes)
    if order == tuple(range(ndim)):
        return value
    return bind(transpose_p, value, axes=order)[0]


def broadcast_to(x: Any, shape: Any) -> Array:
    """The array repeated along new axes and axes of size 1, without copies.

    Raises:
        ShapeError: the shape cannot be reached.

    Example:
        >>> import retrograd as rg
        >>> rg.broadcast_to(rg.array([1.0, 2.0]), (3, 2)).shape
        (3, 2)
    """
    value = as_array(x)
    target = as_shape(shape, "broadcast_to")
    source = value.type.shape
    if source == target:
        return value
    extra = len(target) - len(source)
    fits = extra >= 0 and all(size in (1, target[extra + axis]) for axis, size in enumerate(source))
    if not fits:
        raise ShapeError(
            f"broadcast_to: {source} cannot be broadcast to {target}.",
            fix="sizes must be equal, or 1, counted from the last axis",
        )
    repeated = tuple(
        axis for axis, size in enumerate(source) if size == 1 and target[extra + axis] != 1
    )
    kept = tuple(size for axis, size in enumerate(source) if axis not in repeated)
    new_axes = tuple(range(extra)) + tuple(extra + axis for axis in repeated)
    squeezed = reshape(value, kept)
    return mark_weak(bind(broadcast_p, squeezed, shape=target, axes=new_axes)[0], value.weak)


def expand_dims(x: Any, axis: Any) -> Array:
    """The array with new axes of size 1, at these places of the result.

    Example:
        >>> import retrograd as rg
        >>> rg.expand_dims(rg.zeros(3), 0).shape
        (1, 3)
    """
    value = as_array(x)
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = check_axes(tuple(given), value.type.ndim + len(given), "expand_dims")
    shape = list(value.type.shape)
    for new in axes:
        shape.insert(new, 1)
    return reshape(value, tuple(shape))

"""The geometry that convolutions and windows share: which input element meets which output.

Along one axis, output `p` at kernel place `k` reads the element `u` of the input with

    p * stride + k * dilation - low = u * input_dilation,

if there is one. For a fixed `k` (or a fixed `p`) the solutions are arithmetic progressions: two
slices of equal length. Evaluating by these slices neither pads nor multiplies the zeros that a
dilation puts between elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..ir import ArrayType
from ..ir.types import Shape
from .shape import Sizes

NumpyArray = np.ndarray[Any, Any]
Pair = tuple[int, int]
Pairs = tuple[Pair, ...]
Meeting = tuple[slice, slice] | None
"""The slices of outputs and of inputs that meet; None where none do."""


@lru_cache(maxsize=4096)
def meet(offset: int, step: int, count: int, dilation: int, size: int) -> Meeting:
    """The `p` below `count` and the `u` below `size` with `p * step + offset = u * dilation`."""
    common = math.gcd(step, dilation)
    if offset % common or count == 0:
        return None
    step_p, step_u = dilation // common, step // common
    first = -offset // common * pow(step_u, -1, step_p) % step_p if step_p > 1 else 0
    least = -(offset // step)  # the smallest p with u >= 0
    if least > first:
        first += -(-(least - first) // step_p) * step_p
    last = min(count - 1, ((size - 1) * dilation - offset) // step)
    if last < first:
        return None
    number = (last - first) // step_p + 1
    start = (first * step + offset) // dilation
    return (
        slice(first, first + (number - 1) * step_p + 1, step_p),
        slice(start, start + (number - 1) * step_u + 1, step_u),
    )


@lru_cache(maxsize=1024)
def meet_everywhere(
    fixed: int, fixed_step: int, low: int, step: int, count: int, dilation: int, size: int
) -> tuple[Meeting, ...]:
    """The meetings along one axis, for each place of the fixed partner."""
    return tuple(
        meet(place * fixed_step - low, step, count, dilation, size) for place in range(fixed)
    )


def count_outputs(size: int, kernel: int, stride: int, padding: Pair, dilation: int) -> int:
    """How many windows fit along an axis; zero or less if none does."""
    return (size + sum(padding) - (kernel - 1) * dilation - 1) // stride + 1


def check_geometry(operation: str, rank: int, positive: dict[str, Sizes], padding: Pairs) -> None:
    """Check the static parameters of a primitive: one entry an axis, sizes and steps at least 1."""
    for name, values in {**positive, "padding": padding}.items():
        if len(values) != rank:
            raise ShapeError(
                f"{operation}: {name} {values} must have one entry for each of the {rank} axes "
                "of space."
            )
    for name, values in positive.items():
        if any(value < 1 for value in values):
            raise ShapeError(f"{operation}: {name} must be at least 1, received {values}.")


# -- windows: every element of one channel at a time -----------------------------------------------


def count_windows(
    name: str, type: ArrayType, size: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> Shape:
    """The shape of the output; an error if the windows do not fit."""
    rank = len(size)
    if type.dtype.kind not in "fiu":
        raise DTypeError(
            f"{name} takes numbers, received {type.dtype.name}.",
            fix="convert with .astype('float32')",
        )
    if rank < 1 or type.ndim != rank + 2:
        raise ShapeError(
            f"{name}: windows of size {size} need an array (batch, *space, channels) of "
            f"{rank + 2} axes, received {type.shape}.",
            fix="add an axis of size 1 for a missing batch or channel: x[None], x[..., None]",
        )
    steps = {"size": size, "stride": stride, "dilation": dilation}
    check_geometry(name, rank, steps, padding)
    space = []
    for axis in range(rank):
        length, sides = type.shape[1 + axis], padding[axis]
        count = count_outputs(length, size[axis], stride[axis], sides, dilation[axis])
        if count < 1 or length == 0:
            span = (size[axis] - 1) * dilation[axis] + 1
            raise ShapeError(
                f"{name}: a window covers {span} places along axis {axis} of space, the padded "
                f"input only {max(length + sum(sides), 0)} (x is {type.shape}, padding {sides}).",
                fix="add padding, or use a smaller window, or larger images",
            )
        space.append(count)
    return (type.shape[0], *space, type.shape[-1])


def check_filled(name: str, type: ArrayType, counts: Sequence[NumpyArray], padding: Pairs) -> None:
    """Every window must hold an element of the input: padding has no maximum and no mean."""
    for axis, count in enumerate(counts):
        if count.min() == 0:
            raise ShapeError(
                f"{name}: window {int(count.argmin())} along axis {axis} of space lies wholly in "
                f"the padding {padding[axis]} (x is {type.shape}).",
                fix="use less padding than the size of the window",
            )


def count_elements(
    space: Sizes, size: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> list[NumpyArray]:
    """For each axis, how many elements of the input each window holds along it."""
    result = []
    for along, n, step, sides, holes in zip(space, size, stride, padding, dilation, strict=True):
        count = np.zeros(count_outputs(along, n, step, sides, holes), np.int64)
        for met in meet_everywhere(n, holes, sides[0], step, count.size, 1, along):
            if met is not None:
                count[met[0]] += 1
        result.append(count)
    return result


def find_places(
    space: Sizes, windows: Sizes, size: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> Iterator[tuple[int, tuple[slice, ...], tuple[slice, ...]]]:
    """For each place in the window: its number, and the outputs and the inputs that meet there."""
    along = [
        meet_everywhere(n, holes, sides[0], step, count, 1, length)
        for length, count, n, step, sides, holes in zip(
            space, windows, size, stride, padding, dilation, strict=True
        )
    ]
    for number, met in enumerate(product(*along)):
        if all(pair is not None for pair in met):
            outputs, inputs = zip(*(pair for pair in met if pair is not None), strict=True)
            yield number, (slice(None), *outputs), (slice(None), *inputs)


# -- arguments as users give them ------------------------------------------------------------------


def as_sizes(value: Any, rank: int, operation: str, name: str, least: int = 1) -> Sizes:
    """One integer an axis, from one number for all axes or a sequence with one an axis."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(values) != rank:
        raise ShapeError(
            f"{operation}: {name}={value!r} has {len(values)} entries, and there are {rank} axes "
            "of space.",
            fix=f"pass one number for all axes, or a tuple of {rank}",
        )
    checked = tuple(_as_integer(item, operation, name) for item in values)
    if any(item < least for item in checked):
        raise ArgumentError(f"{operation}: {name} must be at least {least}, received {value!r}.")
    return checked


def as_padding(value: Any, rank: int, operation: str) -> Pairs:
    """A (low, high) pair an axis, from a number, or numbers or pairs for the axes."""
    if isinstance(value, str):
        raise ArgumentError(
            f"{operation}: padding={value!r} is not known here.",
            fix="pass a number, a number for each axis, or a (low, high) pair for each axis",
        )
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(values) != rank:
        raise ShapeError(
            f"{operation}: padding={value!r} has {len(values)} entries, and there are {rank} axes "
            "of space.",
            fix=f"pass one number, a tuple of {rank} numbers, or a tuple of {rank} (low, high) "
            "pairs",
        )
    return tuple(_as_pair(item, operation) for item in values)


def _as_pair(item: Any, operation: str) -> Pair:
    if not isinstance(item, (tuple, list)):
        both = _as_integer(item, operation, "padding")
        return both, both
    if len(item) != 2:
        raise ShapeError(
            f"{operation}: padding of an axis is a number or a (low, high) pair, "
            f"received {tuple(item)!r}."
        )
    low, high = (_as_integer(side, operation, "padding") for side in item)
    return low, high


def _as_integer(item: Any, operation: str, name: str) -> int:
    if isinstance(item, (bool, float)) or not hasattr(item, "__index__"):
        raise ArgumentTypeError(f"{operation}: {name} takes integers, received {item!r}.")
    return int(item.__index__())

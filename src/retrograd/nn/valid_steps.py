"""Sequences of different lengths: which steps of a batch count."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..ops.comparison import less
from ..ops.composite import swapaxes
from ..ops.creation import arange
from ..ops.index import check_indices
from ..ops.promotion import as_array, convert
from ..ops.shape import expand_dims
from ..trace import Array, Tracer
from .layer import place_of
from .module import Module


def find_valid_steps(layer: Module, lengths: Any, mask: Any, batch: int, time: int) -> Array | None:
    """Which steps count, (time, batch, 1); None if all do."""
    if lengths is None and mask is None:
        return None
    name = place_of(layer)
    if lengths is not None and mask is not None:
        raise ArgumentError(
            f"{name}: received both lengths and a mask.",
            fix="pass one of them: True in a mask is a step that counts",
        )
    if mask is not None:
        steps = as_array(mask)
        if steps.type.dtype.kind != "b":
            raise DTypeError(
                f"{name}: a mask holds bools (True: the step counts), received {steps.type}.",
                fix="compare it: mask != 0",
            )
        _check_shape(name, "mask", steps, (batch, time))
        return expand_dims(swapaxes(steps, 0, 1), -1)
    counts = as_array(lengths)
    if counts.type.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}: lengths are integers, received {counts.type}.",
            fix="convert them with .astype('int32')",
        )
    _check_shape(name, "lengths", counts, (batch,))
    if isinstance(counts, Tracer):
        counts = check_indices(counts, time + 1, name)
    else:
        _check_known(name, counts.concrete(), time)
    steps = arange(time, dtype="int32")
    valid = less(expand_dims(steps, -1), convert(counts, steps.type.dtype))
    return expand_dims(valid, -1)


def _check_shape(name: str, what: str, given: Array, expected: tuple[int, ...]) -> None:
    if given.type.shape != expected:
        raise ShapeError(
            f"{name}: {what} has shape {given.type.shape}, expected {expected} for this batch."
        )


def _check_known(name: str, counts: Any, time: int) -> None:
    for place, count in enumerate(counts.tolist()):
        if not 0 <= count <= time:
            raise IndexRangeError(
                f"{name}: the length of sequence {place} is {count}; the sequences have {time} "
                "steps.",
            )

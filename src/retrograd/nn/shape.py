"""Flatten and Rescale: what stands between data and layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError
from ..ops.promotion import array, as_array
from ..ops.shape import reshape
from ..trace import Array
from .layer import Layer, as_floating, as_number, check_features, place_of

__all__ = ["Flatten", "Rescale"]


class Flatten(Layer):
    """All axes but the batch in one: (batch, ...) to (batch, product of the rest).

    Raises:
        ShapeError: x has no axis.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.Flatten()(rg.ones((8, 7, 7, 32))).shape
        (8, 1568)
    """

    def __call__(self, x: Any) -> Array:
        value = as_array(x)
        shape = value.type.shape
        if not shape:
            raise ShapeError(
                f"{place_of(self)}: expected an input of shape (batch, ...), received a single "
                "number.",
                fix="add the axis of the batch",
            )
        return reshape(value, (shape[0], math.prod(shape[1:])))

    def config(self) -> dict[str, Any]:
        return {}


class Rescale(Layer):
    """`y = scale * x + offset`, with integers and bools converted to float32 before.

    uint8 images come into the range 0 to 1 with `nn.Rescale(1 / 255)`; this keeps the data small
    until the training step.

    Args:
        scale: a number, or one for each channel (the last axis).
        offset: a number, or one for each channel, added after scaling.

    Raises:
        ShapeError: numbers for each channel do not fit the last axis of x.

    Example:
        >>> import numpy as np
        >>> from retrograd import nn
        >>> nn.Rescale(1 / 255)(np.array([[0, 255]], np.uint8)).numpy()
        array([[0., 1.]], dtype=float32)
    """

    def __init__(
        self, scale: float | Sequence[float], offset: float | Sequence[float] = 0.0
    ) -> None:
        self.scale = _as_numbers(scale, "scale")
        self.offset = _as_numbers(offset, "offset")

    def __call__(self, x: Any) -> Array:
        value = as_floating(x)
        for numbers in (self.scale, self.offset):
            if isinstance(numbers, tuple):
                check_features(self, value, len(numbers), "channels")
        dtype = value.type.dtype
        scale, offset = (
            array(list(numbers), dtype) if isinstance(numbers, tuple) else numbers
            for numbers in (self.scale, self.offset)
        )
        scaled = value * scale
        return scaled if self.offset == 0.0 else scaled + offset

    def config(self) -> dict[str, Any]:
        return {
            name: list(numbers) if isinstance(numbers, tuple) else numbers
            for name, numbers in (("scale", self.scale), ("offset", self.offset))
        }


def _as_numbers(value: Any, name: str) -> float | tuple[float, ...]:
    if isinstance(value, Array) or hasattr(value, "__array__"):
        value = value.tolist()
    if isinstance(value, (list, tuple)) and value:
        return tuple(as_number(item, name, "Rescale") for item in value)
    return as_number(value, name, "Rescale")

"""Positions in a sequence: sinusoids that are added, and rotations of queries and keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..ir.types import float64
from ..ops.creation import arange
from ..ops.index import take
from ..ops.joining import concatenate
from ..ops.promotion import as_array, convert
from ..ops.shape import broadcast_to, reshape
from ..ops.transcendental import cos, exp, sin
from ..trace import Array
from .layer import Layer, as_count, as_floating, as_number, place_of

__all__ = ["SinusoidalPositions", "rotary", "sinusoidal_positions"]


def sinusoidal_positions(length: int, features: int, base: float = 10000.0) -> Any:
    """A table of positions: `P[t, 2i] = sin(t / base^(2i / features))`, `P[t, 2i + 1] = cos(...)`.

    Args:
        length: the number of positions.
        features: the size of a row.
        base: the ratio of the longest period to the shortest.

    Returns:
        A float64 NumPy array (length, features).

    Example:
        >>> from retrograd import nn
        >>> nn.sinusoidal_positions(2, 4).round(3).tolist()
        [[0.0, 1.0, 0.0, 1.0], [0.841, 0.54, 0.01, 1.0]]

    Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017, section 3.5.
    """
    length = as_count(length, "length", "sinusoidal_positions")
    features = as_count(features, "features", "sinusoidal_positions")
    base = as_number(base, "base", "sinusoidal_positions", low=1e-300)
    even = np.arange(0, features, 2)
    angles = np.arange(length)[:, None] * np.exp(even * (-math.log(base) / features))
    table = np.zeros((length, features))
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles[:, : features // 2])
    return table


class SinusoidalPositions(Layer):
    """Adds a fixed sinusoid for each position: `y[..., t, :] = x[..., t, :] + P[t]`.

    P is the table of `nn.sinusoidal_positions`. Nothing is trained.

    Args:
        length: the longest sequence.
        features: the size of the last axis.
        base: the ratio of the longest period to the shortest.

    Shapes: x (..., time, features) with time at most length, the result the same.

    Raises:
        ShapeError: the sequence is longer than length, or the last axis is not features.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.SinusoidalPositions(16, 4)(rg.zeros((2, 3, 4)))[1, 0].tolist()
        [0.0, 1.0, 0.0, 1.0]

    Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017, section 3.5.
    """

    def __init__(self, length: int, features: int, base: float = 10000.0) -> None:
        self.length = as_count(length, "length", "SinusoidalPositions")
        self.features = as_count(features, "features", "SinusoidalPositions")
        self.base = as_number(base, "base", "SinusoidalPositions", low=1e-300)

    def __call__(self, x: Any, position: Any = 0) -> Array:
        value = as_floating(x)
        shape = value.type.shape
        if len(shape) < 2 or shape[-2] > self.length or shape[-1] != self.features:
            raise ShapeError(
                f"{place_of(self)}: expected an input of shape (..., time, {self.features}) with "
                f"at most {self.length} times, received {shape}.",
                fix="build the layer for longer sequences, or cut the input",
            )
        table = sinusoidal_positions(self.length, self.features, self.base)
        whole = convert(as_array(table), value.type.dtype)
        if isinstance(position, int) and position == 0:
            return value + whole[: shape[-2]]
        return value + take(whole, as_array(position) + arange(shape[-2]), axis=0)

    def config(self) -> dict[str, Any]:
        return {"length": self.length, "features": self.features, "base": self.base}


def rotary(x: Any, position: Any = 0, base: float = 10000.0) -> Array:
    """Turns pairs of features by angles that grow with the position.

    With `half = features / 2` and the angle `a = (position + t) * base^(-i / half)`:

        y[..., t, i]        = x[..., t, i] cos a - x[..., t, half + i] sin a
        y[..., t, half + i] = x[..., t, half + i] cos a + x[..., t, i] sin a

    The product of a query and a key that are turned so depends on the distance of their places
    alone. (The paper pairs neighbours, 2i and 2i + 1: the same up to an order of the features.)

    Args:
        x: (..., time, features), with an even number of features.
        position: the place of the first row: an integer, or an integer Array of no axes.
        base: the ratio of the longest period to the shortest.

    Returns:
        The shape and dtype of x.

    Raises:
        ShapeError: the number of features is odd.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.rotary(rg.array([[1.0, 0.0], [1.0, 0.0]])).numpy().round(3)
        array([[1.   , 0.   ],
               [0.54 , 0.841]], dtype=float32)

    Source: J. Su et al., RoFormer: enhanced transformer with rotary position embedding (2021).
    """
    value = as_floating(x)
    if value.type.ndim < 2 or value.type.shape[-1] % 2:
        raise ShapeError(
            "rotary: expected an input of shape (..., time, features) with an even number of "
            f"features, received {value.type.shape}."
        )
    number = as_number(base, "base", "rotary", low=1e-300)
    place = as_array(position)
    if place.type.ndim or place.type.dtype.kind not in "iu":
        raise ArgumentError(f"rotary: position is one integer, received {place.type}.")
    time, half = value.type.shape[-2], value.type.shape[-1] // 2
    places = convert(arange(time) + place, float64)
    rates = exp(convert(arange(half), float64) * (-math.log(number) / max(half, 1)))
    angles = reshape(places, (time, 1)) * reshape(rates, (1, half))
    shape = (*value.type.shape[:-1], half)
    cosine, sine = (
        broadcast_to(convert(function(angles), value.type.dtype), shape) for function in (cos, sin)
    )
    first, second = value[..., :half], value[..., half:]
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    return concatenate(turned, axis=-1)

"""Initialiser, the abstract base, and the fans of a weight."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ..errors import ShapeError
from ..ir import as_dtype
from ..ir.types import float32
from ..ops import random
from ..ops.shape import as_shape
from ..trace import Array
from .layer import as_number

Shape = tuple[int, ...]
Fans = tuple[int, int]


def compute_fans(shape: Any) -> Fans:
    """The number of inputs and outputs that one weight stands between, from the shape.

    Args:
        shape: (in, out) or (*kernel, in / groups, out).

    Returns:
        (fan_in, fan_out).

    Raises:
        ShapeError: fewer than two axes.

    Example:
        >>> from retrograd import nn
        >>> nn.init.compute_fans((3, 3, 16, 32))
        (144, 288)
    """
    sizes = as_shape(shape, "compute_fans")
    if len(sizes) < 2:
        raise ShapeError(
            f"A weight of shape {sizes} has no fan-in and fan-out: at least two axes are needed.",
            fix="use nn.init.Zeros(), Constant, Normal or Uniform for biases and scales",
        )
    kernel = math.prod(sizes[:-2])
    return kernel * sizes[-2], kernel * sizes[-1]


class Initialiser:
    """The abstract base: draws the initial value of a weight.

    Example:
        >>> from retrograd import nn
        >>> isinstance(nn.init.Zeros(), nn.init.Initialiser)
        True
    """

    def __call__(
        self,
        shape: Any,
        dtype: Any = float32,
        generator: random.Generator | None = None,
        fans: Fans | None = None,
    ) -> Array:
        """An Array of the shape.

        Args:
            shape: the shape of the weight.
            dtype: float32 or float64.
            generator: the default one when None.
            fans: (fan_in, fan_out) where they cannot be read from the shape.
        """
        sizes = as_shape(shape, type(self).__name__)
        return self.draw(sizes, as_dtype(dtype), generator, fans)

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        raise NotImplementedError


def check_numbers(initialiser: Any, **limits: float) -> None:
    """Every field is a finite number, of at least its limit if it has one."""
    for field in dataclasses.fields(initialiser):
        value = getattr(initialiser, field.name)
        low = limits.get(field.name, -math.inf)
        number = as_number(value, field.name, type(initialiser).__name__, low=low)
        object.__setattr__(initialiser, field.name, number)

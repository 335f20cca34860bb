"""Initialisers: how the weights of a layer begin.

An initialiser is called with a shape and gives an Array: `init(shape, dtype="float32",
generator=None)`. Layers take one by object or by name, `nn.Linear(8, 4, init="he_normal")`, or any
function `shape -> array`. Numbers come from `rg.random`, so that `rg.seed` repeats them.

The fans are read from our layouts: a weight (in, out) of Linear has fan_in = in, fan_out = out; a
kernel (*kernel, in / groups, out) has fan_in = prod(kernel) * in / groups and
fan_out = prod(kernel) * out. A transposed convolution counts as PyTorch does: fan_in is
prod(kernel) * out / groups, fan_out prod(kernel) * in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError
from ..ops import creation, random
from ..trace import Array
from .gains import calculate_gain
from .init_base import Fans, Initialiser, Shape, check_numbers, compute_fans
from .init_scaled import (
    FanInUniform,
    HeNormal,
    HeUniform,
    LeCunNormal,
    LeCunUniform,
    Orthogonal,
    XavierNormal,
    XavierUniform,
)

__all__ = [
    "Constant",
    "FanInUniform",
    "HeNormal",
    "HeUniform",
    "Initialiser",
    "LeCunNormal",
    "LeCunUniform",
    "Normal",
    "Orthogonal",
    "Uniform",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
    "calculate_gain",
    "compute_fans",
]


@dataclass(frozen=True)
class Zeros(Initialiser):
    """Zeros: for biases. Weights that are all equal would learn all the same.

    Example:
        >>> from retrograd import nn
        >>> nn.init.Zeros()((2,)).numpy()
        array([0., 0.], dtype=float32)
    """

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        return creation.zeros(shape, dtype)


@dataclass(frozen=True)
class Constant(Initialiser):
    """One value everywhere.

    Args:
        value: the value.

    Example:
        >>> from retrograd import nn
        >>> nn.init.Constant(0.5)((2,)).numpy()
        array([0.5, 0.5], dtype=float32)
    """

    value: float

    def __post_init__(self) -> None:
        check_numbers(self)

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        return creation.full(shape, self.value, dtype)


@dataclass(frozen=True)
class Normal(Initialiser):
    """Small random numbers from the normal distribution N(mean, std^2).

    Args:
        std: the standard deviation.
        mean: the mean.

    Example:
        >>> from retrograd import nn
        >>> nn.init.Normal(std=0.02)((100, 10)).shape
        (100, 10)
    """

    std: float = 0.01
    mean: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, std=0.0)

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        return random.normal(shape, self.mean, self.std, dtype=dtype, generator=generator)


@dataclass(frozen=True)
class Uniform(Initialiser):
    """Random numbers, uniform in [low, high).

    Args:
        low, high: the interval.

    Example:
        >>> from retrograd import nn
        >>> nn.init.Uniform(-0.1, 0.1)((100, 10)).shape
        (100, 10)
    """

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.low > self.high:
            raise ArgumentError(f"Uniform: low {self.low} is above high {self.high}.")

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        return random.uniform(shape, self.low, self.high, dtype=dtype, generator=generator)


NAMES: dict[str, Callable[[], Initialiser]] = {
    "default": FanInUniform,
    "normal": Normal,
    "uniform": Uniform,
    "xavier_uniform": XavierUniform,
    "xavier_normal": XavierNormal,
    "glorot_uniform": XavierUniform,
    "glorot_normal": XavierNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "kaiming_uniform": HeUniform,
    "kaiming_normal": HeNormal,
    "lecun_uniform": LeCunUniform,
    "lecun_normal": LeCunNormal,
    "orthogonal": Orthogonal,
    "zeros": Zeros,
}
CLASSES: dict[str, type[Initialiser]] = {
    cls.__name__: cls
    for cls in (
        Constant,
        FanInUniform,
        HeNormal,
        HeUniform,
        LeCunNormal,
        LeCunUniform,
        Normal,
        Orthogonal,
        Uniform,
        XavierNormal,
        XavierUniform,
        Zeros,
    )
}

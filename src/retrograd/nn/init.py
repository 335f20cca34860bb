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

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..ir import as_dtype
from ..ir.types import float32
from ..ops import creation, random
from ..ops.shape import as_shape
from ..trace import Array
from .gains import calculate_gain
from .layer import as_number

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


def _check(initialiser: Any, **limits: float) -> None:
    """Every field is a finite number, of at least its limit if it has one."""
    for field in dataclasses.fields(initialiser):
        value = getattr(initialiser, field.name)
        low = limits.get(field.name, -math.inf)
        number = as_number(value, field.name, type(initialiser).__name__, low=low)
        object.__setattr__(initialiser, field.name, number)


def _uniform(bound: float, shape: Shape, dtype: Any, generator: Any) -> Array:
    return random.uniform(shape, -bound, bound, dtype=dtype, generator=generator)


def _normal(std: float, shape: Shape, dtype: Any, generator: Any) -> Array:
    return random.normal(shape, 0.0, std, dtype=dtype, generator=generator)


def _fan(count: int) -> int:
    return max(count, 1)


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
        _check(self)

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
        _check(self, std=0.0)

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
        _check(self)
        if self.low > self.high:
            raise ArgumentError(f"Uniform: low {self.low} is above high {self.high}.")

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        return random.uniform(shape, self.low, self.high, dtype=dtype, generator=generator)


@dataclass(frozen=True)
class FanInUniform(Initialiser):
    """U(-b, b) with b = 1 / sqrt(fan_in): the default of Linear and convolutions, as PyTorch's.

    Example:
        >>> from retrograd import nn
        >>> weight = nn.init.FanInUniform()((100, 10))
        >>> bool((abs(weight) <= 0.1).all())
        True
    """

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        fan_in = (fans or compute_fans(shape))[0]
        return _uniform(1.0 / math.sqrt(_fan(fan_in)), shape, dtype, generator)


@dataclass(frozen=True)
class XavierUniform(Initialiser):
    """U(-b, b) with b = gain * sqrt(6 / (fan_in + fan_out)); for tanh, sigmoid and linear layers.

    Args:
        gain: see `calculate_gain`.

    Example:
        >>> from retrograd import nn
        >>> nn.init.XavierUniform()((3, 3)).shape
        (3, 3)

    Source: X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural
    networks, AISTATS 2010.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _check(self, gain=0.0)

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        total = sum(fans or compute_fans(shape))
        return _uniform(self.gain * math.sqrt(6.0 / _fan(total)), shape, dtype, generator)


@dataclass(frozen=True)
class XavierNormal(Initialiser):
    """N(0, std^2) with std = gain * sqrt(2 / (fan_in + fan_out)).

    Args:
        gain: see `calculate_gain`.

    Example:
        >>> from retrograd import nn
        >>> nn.init.XavierNormal(gain=5 / 3)((3, 3)).shape
        (3, 3)

    Source: X. Glorot, Y. Bengio, AISTATS 2010.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _check(self, gain=0.0)

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        total = sum(fans or compute_fans(shape))
        return _normal(self.gain * math.sqrt(2.0 / _fan(total)), shape, dtype, generator)


def _check_he(initialiser: HeUniform | HeNormal) -> None:
    name = type(initialiser).__name__
    if initialiser.mode not in ("fan_in", "fan_out"):
        raise ArgumentError(
            f"{name}: mode is 'fan_in' (keeps the size of the signal) or 'fan_out' (of the "
            f"gradient), received {initialiser.mode!r}."
        )
    object.__setattr__(initialiser, "gain", as_number(initialiser.gain, "gain", name, low=0.0))


def _he_std(initialiser: HeUniform | HeNormal, fans: Fans) -> float:
    fan = fans[0] if initialiser.mode == "fan_in" else fans[1]
    return initialiser.gain / math.sqrt(_fan(fan))


@dataclass(frozen=True)
class HeUniform(Initialiser):
    """U(-b, b) with b = gain * sqrt(3 / fan); for ReLU and its like. Also named Kaiming.

    Args:
        mode: "fan_in" keeps the variance of the signal, "fan_out" that of the gradient.
        gain: sqrt(2) by default, that of relu; see `calculate_gain`.

    Example:
        >>> from retrograd import nn
        >>> nn.init.HeUniform()((3, 3, 8, 16)).shape
        (3, 3, 8, 16)

    Source: K. He et al., Delving deep into rectifiers, ICCV 2015.
    """

    mode: str = "fan_in"
    gain: float = math.sqrt(2.0)

    def __post_init__(self) -> None:
        _check_he(self)

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        bound = math.sqrt(3.0) * _he_std(self, fans or compute_fans(shape))
        return _uniform(bound, shape, dtype, generator)


@dataclass(frozen=True)
class HeNormal(Initialiser):
    """N(0, std^2) with std = gain / sqrt(fan); for ReLU and its like. Also named Kaiming.

    Args:
        mode: "fan_in" keeps the variance of the signal, "fan_out" that of the gradient.
        gain: sqrt(2) by default, that of relu; see `calculate_gain`.

    Example:
        >>> from retrograd import nn
        >>> layer = nn.Linear(8, 4, init=nn.init.HeNormal(mode="fan_out"))

    Source: K. He et al., Delving deep into rectifiers, ICCV 2015.
    """

    mode: str = "fan_in"
    gain: float = math.sqrt(2.0)

    def __post_init__(self) -> None:
        _check_he(self)

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        return _normal(_he_std(self, fans or compute_fans(shape)), shape, dtype, generator)


@dataclass(frozen=True)
class LeCunUniform(Initialiser):
    """U(-b, b) with b = sqrt(3 / fan_in).

    Example:
        >>> from retrograd import nn
        >>> nn.init.LeCunUniform()((8, 4)).shape
        (8, 4)

    Source: Y. LeCun et al., Efficient BackProp (1998).
    """

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        fan_in = (fans or compute_fans(shape))[0]
        return _uniform(math.sqrt(3.0 / _fan(fan_in)), shape, dtype, generator)


@dataclass(frozen=True)
class LeCunNormal(Initialiser):
    """N(0, 1 / fan_in); what SELU needs to keep mean 0 and variance 1.

    Example:
        >>> from retrograd import nn
        >>> layer = nn.Linear(8, 4, init="lecun_normal")

    Source: Y. LeCun et al., Efficient BackProp (1998); G. Klambauer et al., Self-normalizing
    neural networks, NeurIPS 2017.
    """

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        fan_in = (fans or compute_fans(shape))[0]
        return _normal(1.0 / math.sqrt(_fan(fan_in)), shape, dtype, generator)


@dataclass(frozen=True)
class Orthogonal(Initialiser):
    """A random matrix W of shape (all axes but the last, last) with W^T W = gain^2 I or W W^T so.

    The columns are orthogonal where there are no more of them than rows, else the rows. From the
    QR decomposition of a normal matrix, with the signs that make it uniform over all rotations.

    Args:
        gain: the length of each row or column; see `calculate_gain`.

    Example:
        >>> import numpy as np
        >>> from retrograd import nn
        >>> weight = nn.init.Orthogonal()((4, 3)).numpy()
        >>> bool(np.allclose(weight.T @ weight, np.eye(3), atol=1e-5))
        True

    Source: A. Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks, ICLR 2014.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _check(self, gain=0.0)

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        compute_fans(shape)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        size = (max(rows, columns), min(rows, columns))
        normal = random.normal(size, dtype="float64", generator=generator).numpy()
        q, r = np.linalg.qr(normal)
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        matrix = q if rows >= columns else q.T
        return Array((self.gain * matrix).reshape(shape).astype(dtype))


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

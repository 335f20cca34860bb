"""Initialisers whose spread follows from the number of inputs and outputs of a layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..ops import random
from ..trace import Array
from .init_base import Fans, Initialiser, Shape, check_numbers, compute_fans
from .layer import as_number


def _uniform(bound: float, shape: Shape, dtype: Any, generator: Any) -> Array:
    return random.uniform(shape, -bound, bound, dtype=dtype, generator=generator)


def _normal(std: float, shape: Shape, dtype: Any, generator: Any) -> Array:
    return random.normal(shape, 0.0, std, dtype=dtype, generator=generator)


def _fan(count: int) -> int:
    return max(count, 1)


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
        check_numbers(self, gain=0.0)

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
        check_numbers(self, gain=0.0)

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
        check_numbers(self, gain=0.0)

    def draw(self, shape: Shape, dtype: Any, generator: Any, fans: Fans | None) -> Array:
        compute_fans(shape)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        size = (max(rows, columns), min(rows, columns))
        normal = random.normal(size, dtype="float64", generator=generator).numpy()
        q, r = np.linalg.qr(normal)
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        matrix = q if rows >= columns else q.T
        return Array((self.gain * matrix).reshape(shape).astype(dtype))

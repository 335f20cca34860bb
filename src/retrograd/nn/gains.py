"""calculate_gain: how much an activation shrinks its input, to be made up for by the weights."""

from __future__ import annotations

import math

from ..errors import ArgumentError, suggest
from .layer import as_number

# The customary ones, as PyTorch has them. That of tanh and selu are advice from practice.
_CUSTOMARY = {
    "linear": 1.0,
    "identity": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}

# 1 / sqrt(E[f(z)^2]) for z from N(0, 1): the output then has the second moment 1.
_COMPUTED = {
    "elu": 1.245198300701,
    "gelu": 1.533530441196,
    "silu": 1.676532470331,
    "mish": 1.486847581273,
    "softplus": 1.041866835535,
    "softsign": 2.337533363109,
    "relu6": 1.414213565095,
    "hard_tanh": 1.392036140448,
    "hard_sigmoid": 1.897840424730,
    "hard_swish": 1.736657212767,
}


def calculate_gain(activation: str, negative_slope: float = 0.01) -> float:
    """The gain of an activation: what multiplies the standard deviation of the weights before it.

    relu has sqrt(2), leaky_relu sqrt(2 / (1 + slope^2)), tanh 5 / 3, selu 3 / 4, linear and sigmoid
    1, as in PyTorch. The others have `1 / sqrt(E[f(z)^2])` with z from N(0, 1), which gives outputs
    of mean square 1.

    Args:
        activation: the name of a function of `nn`, or "linear".
        negative_slope: that of leaky_relu.

    Returns:
        The gain.

    Raises:
        ArgumentError: an unknown name.

    Example:
        >>> from retrograd import nn
        >>> round(nn.init.calculate_gain("relu"), 4)
        1.4142
        >>> layer = nn.Linear(8, 4, init=nn.init.XavierNormal(nn.init.calculate_gain("tanh")))

    Source: K. He et al., Delving deep into rectifiers, ICCV 2015.
    """
    if activation == "leaky_relu":
        slope = as_number(negative_slope, "negative_slope", "calculate_gain")
        return math.sqrt(2.0 / (1.0 + slope**2))
    gains = _CUSTOMARY | _COMPUTED
    if activation not in gains:
        raise ArgumentError(
            f"calculate_gain: no gain is known for {activation!r}. "
            f"{suggest(str(activation), [*gains, 'leaky_relu'])}"
        )
    return gains[activation]

"""Activation functions. Where one has a corner, its gradient there is PyTorch's (relu'(0) = 0).

None of them overflows: branches that are not chosen get inputs that are safe for them, so that no
gradient becomes NaN for large |x|. A NaN stays a NaN.
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import ArgumentError
from ..ops.arithmetic import abs, clip
from ..ops.comparison import where
from ..ops.composite import log_softmax, softmax
from ..ops.promotion import as_array
from ..ops.transcendental import erf, exp, expm1, log1p, sigmoid, tanh
from ..trace import Array
from .layer import as_floating

__all__ = [
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def identity(x: Any) -> Array:
    """`y = x`.

    Example:
        >>> from retrograd import nn
        >>> nn.identity([1.0, -1.0]).numpy()
        array([ 1., -1.], dtype=float32)
    """
    return as_array(x)


def relu(x: Any) -> Array:
    """`y = max(x, 0)`; the gradient at 0 is 0.

    Args:
        x: any shape.

    Returns:
        The same shape and dtype.

    Example:
        >>> from retrograd import nn
        >>> nn.relu([-1.0, 0.0, 2.0]).numpy()
        array([0., 0., 2.], dtype=float32)

    Source: V. Nair, G. Hinton, Rectified linear units improve restricted Boltzmann machines,
    ICML 2010.
    """
    value = as_array(x)
    return where(value <= 0, 0, value)


def relu6(x: Any) -> Array:
    """`y = min(max(x, 0), 6)`; the gradient at 0 and 6 is 0.

    Example:
        >>> from retrograd import nn
        >>> nn.relu6([-1.0, 2.0, 9.0]).numpy()
        array([0., 2., 6.], dtype=float32)

    Source: A. Krizhevsky, Convolutional deep belief networks on CIFAR-10 (2010).
    """
    return _clamp(as_array(x), 0, 6)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Array:
    """`y = x` where x > 0, else `negative_slope * x`; the gradient at 0 is negative_slope.

    Args:
        x: any shape.
        negative_slope: the slope below 0.

    Example:
        >>> from retrograd import nn
        >>> nn.leaky_relu([-1.0, 2.0], 0.1).numpy()
        array([-0.1,  2. ], dtype=float32)

    Source: A. Maas et al., Rectifier nonlinearities improve neural network acoustic models,
    ICML 2013.
    """
    value = as_floating(x)
    return where(value > 0, value, value * negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Array:
    """`y = x` where x > 0, else `alpha * (exp(x) - 1)`; the gradient at 0 is alpha.

    Args:
        x: any shape.
        alpha: -alpha is the limit for large negative x.

    Example:
        >>> from retrograd import nn
        >>> nn.elu([-1.0, 2.0]).numpy().round(4)
        array([-0.6321,  2.    ], dtype=float32)

    Source: D.-A. Clevert et al., Fast and accurate deep network learning by exponential linear
    units, ICLR 2016.
    """
    value = as_floating(x)
    negative = value <= 0
    return where(negative, alpha * expm1(where(negative, value, 0.0)), value)


def selu(x: Any) -> Array:
    """`y = scale * elu(x, alpha)` with the two constants that keep mean 0 and variance 1.

    alpha = 1.67326..., scale = 1.05070...; use it with weights of `init="lecun_normal"`.

    Example:
        >>> from retrograd import nn
        >>> nn.selu([-1.0, 2.0]).numpy().round(4)
        array([-1.1113,  2.1014], dtype=float32)

    Source: G. Klambauer et al., Self-normalizing neural networks, NeurIPS 2017.
    """
    return elu(x, SELU_ALPHA) * SELU_SCALE


def gelu(x: Any, approximate: str = "none") -> Array:
    """`y = x * Phi(x) = x / 2 * (1 + erf(x / sqrt(2)))`.

    Args:
        x: any shape.
        approximate: "none" for the exact form, "tanh" for
            `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`.

    Raises:
        ArgumentError: another word for `approximate`.

    Example:
        >>> from retrograd import nn
        >>> nn.gelu([-1.0, 2.0]).numpy().round(4)
        array([-0.1587,  1.9545], dtype=float32)

    Source: D. Hendrycks, K. Gimpel, Gaussian error linear units (2016).
    """
    check_approximation(approximate, "gelu")
    value = as_floating(x)
    if approximate == "none":
        return value * 0.5 * (1.0 + erf(value * math.sqrt(0.5)))
    # The tanh is exactly 1 far inside these limits, which keep x^3 finite.
    inside = clip(value, -100.0, 100.0)
    cubic = inside * (1.0 + 0.044715 * inside * inside)
    return value * 0.5 * (1.0 + tanh(math.sqrt(2.0 / math.pi) * cubic))


def check_approximation(approximate: Any, name: str) -> None:
    """The word for `approximate` of gelu is known."""
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"{name}: approximate is 'none' or 'tanh', received {approximate!r}.")


def silu(x: Any) -> Array:
    """`y = x * sigmoid(x)`, also named swish.

    Example:
        >>> from retrograd import nn
        >>> nn.silu([-1.0, 2.0]).numpy().round(4)
        array([-0.2689,  1.7616], dtype=float32)

    Source: S. Elfwing et al., Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning (2017).
    """
    value = as_floating(x)
    return value * sigmoid(value)


def softplus(x: Any, beta: float = 1.0) -> Array:
    """`y = log(1 + exp(beta * x)) / beta`, a smooth relu; exact for any x.

    Args:
        x: any shape.
        beta: the larger, the closer to relu; not 0.

    Example:
        >>> from retrograd import nn
        >>> nn.softplus([-1000.0, 0.0, 20.0]).numpy().round(4)
        array([ 0.    ,  0.6931, 20.    ], dtype=float32)

    Source: C. Dugas et al., Incorporating second-order functional knowledge for better option
    pricing, NeurIPS 2000.
    """
    if beta != 1.0:
        return softplus(as_floating(x) * beta) / beta
    value = as_floating(x)
    positive = value > 0
    small = log1p(exp(where(positive, 0.0, value)))
    large = where(positive, value, 0.0)
    return where(positive, large + log1p(exp(-large)), small)


def mish(x: Any) -> Array:
    """`y = x * tanh(softplus(x))`.

    Example:
        >>> from retrograd import nn
        >>> nn.mish([-1.0, 2.0]).numpy().round(4)
        array([-0.3034,  1.944 ], dtype=float32)

    Source: D. Misra, Mish: a self regularized non-monotonic activation function, BMVC 2020.
    """
    value = as_floating(x)
    return value * tanh(softplus(value))


def softsign(x: Any) -> Array:
    """`y = x / (1 + |x|)`.

    Example:
        >>> from retrograd import nn
        >>> nn.softsign([-1.0, 3.0]).numpy()
        array([-0.5 ,  0.75], dtype=float32)

    Source: J. Bergstra et al., Quadratic polynomials learn better image features (2009).
    """
    value = as_floating(x)
    return value / (1.0 + abs(value))


def hard_sigmoid(x: Any) -> Array:
    """`y = min(max(x + 3, 0), 6) / 6`; the gradient at -3 and 3 is 0.

    Example:
        >>> from retrograd import nn
        >>> nn.hard_sigmoid([-4.0, 0.0, 1.5]).numpy()
        array([0.  , 0.5 , 0.75], dtype=float32)

    Source: M. Courbariaux et al., BinaryConnect, NeurIPS 2015 (with another slope).
    """
    return _clamp(as_floating(x) + 3.0, 0.0, 6.0) / 6.0


def hard_tanh(x: Any) -> Array:
    """`y = min(max(x, -1), 1)`; the gradient at -1 and 1 is 0.

    Example:
        >>> from retrograd import nn
        >>> nn.hard_tanh([-2.0, 0.5, 3.0]).numpy()
        array([-1. ,  0.5,  1. ], dtype=float32)

    Source: R. Collobert, Large scale machine learning (2004).
    """
    return _clamp(as_array(x), -1, 1)


def hard_swish(x: Any) -> Array:
    """`y = x * min(max(x + 3, 0), 6) / 6`.

    Example:
        >>> from retrograd import nn
        >>> nn.hard_swish([-4.0, 0.0, 3.0]).numpy()
        array([-0.,  0.,  3.], dtype=float32)

    Source: A. Howard et al., Searching for MobileNetV3, ICCV 2019.
    """
    value = as_floating(x)
    return value * hard_sigmoid(value)


def _clamp(value: Array, low: float, high: float) -> Array:
    """Between two limits, with the gradient 0 at both (that of `maximum` would be 1/2)."""
    return where(value <= low, low, where(value >= high, high, value))

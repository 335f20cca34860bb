"""The activations as layers, for Sequential."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..ops import creation
from ..ops.comparison import where
from ..trace import Array
from . import activations
from .layer import Layer, as_count, as_input, as_number, check_features

__all__ = [
    "ELU",
    "GELU",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "LeakyReLU",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
]


class _Activation(Layer):
    """The abstract base of activations without arguments."""

    function: staticmethod[[Any], Array]

    def __call__(self, x: Any) -> Array:
        return type(self).function(x)

    def config(self) -> dict[str, Any]:
        return {}


class Identity(_Activation):
    """`y = x`.

    Example:
        >>> from retrograd import nn
        >>> nn.Identity()([1.0, -1.0]).numpy()
        array([ 1., -1.], dtype=float32)
    """

    function = staticmethod(activations.identity)


class ReLU(_Activation):
    """`y = max(x, 0)`; the gradient at 0 is 0. See `nn.relu`.

    Example:
        >>> from retrograd import nn
        >>> nn.ReLU()([-1.0, 2.0]).numpy()
        array([0., 2.], dtype=float32)
    """

    function = staticmethod(activations.relu)


class ReLU6(_Activation):
    """`y = min(max(x, 0), 6)`. See `nn.relu6`.

    Example:
        >>> from retrograd import nn
        >>> nn.ReLU6()([-1.0, 9.0]).numpy()
        array([0., 6.], dtype=float32)
    """

    function = staticmethod(activations.relu6)


class SELU(_Activation):
    """`y = scale * elu(x, alpha)`; for weights of `init="lecun_normal"`. See `nn.selu`.

    Example:
        >>> from retrograd import nn
        >>> nn.SELU()([-1.0, 2.0]).numpy().round(4)
        array([-1.1113,  2.1014], dtype=float32)
    """

    function = staticmethod(activations.selu)


class SiLU(_Activation):
    """`y = x * sigmoid(x)`, also named swish. See `nn.silu`.

    Example:
        >>> from retrograd import nn
        >>> nn.SiLU()([-1.0, 2.0]).numpy().round(4)
        array([-0.2689,  1.7616], dtype=float32)
    """

    function = staticmethod(activations.silu)


class Sigmoid(_Activation):
    """`y = 1 / (1 + exp(-x))`. See `nn.sigmoid`.

    Example:
        >>> from retrograd import nn
        >>> nn.Sigmoid()([0.0, 2.0]).numpy().round(4)
        array([0.5   , 0.8808], dtype=float32)
    """

    function = staticmethod(activations.sigmoid)


class Tanh(_Activation):
    """`y = tanh(x)`. See `nn.tanh`.

    Example:
        >>> from retrograd import nn
        >>> nn.Tanh()([0.0, 2.0]).numpy().round(4)
        array([0.   , 0.964], dtype=float32)
    """

    function = staticmethod(activations.tanh)


class Mish(_Activation):
    """`y = x * tanh(softplus(x))`. See `nn.mish`.

    Example:
        >>> from retrograd import nn
        >>> nn.Mish()([-1.0, 2.0]).numpy().round(4)
        array([-0.3034,  1.944 ], dtype=float32)
    """

    function = staticmethod(activations.mish)


class Softsign(_Activation):
    """`y = x / (1 + |x|)`. See `nn.softsign`.

    Example:
        >>> from retrograd import nn
        >>> nn.Softsign()([-1.0, 3.0]).numpy()
        array([-0.5 ,  0.75], dtype=float32)
    """

    function = staticmethod(activations.softsign)


class HardSigmoid(_Activation):
    """`y = min(max(x + 3, 0), 6) / 6`. See `nn.hard_sigmoid`.

    Example:
        >>> from retrograd import nn
        >>> nn.HardSigmoid()([-4.0, 1.5]).numpy()
        array([0.  , 0.75], dtype=float32)
    """

    function = staticmethod(activations.hard_sigmoid)


class HardTanh(_Activation):
    """`y = min(max(x, -1), 1)`. See `nn.hard_tanh`.

    Example:
        >>> from retrograd import nn
        >>> nn.HardTanh()([-2.0, 0.5]).numpy()
        array([-1. ,  0.5], dtype=float32)
    """

    function = staticmethod(activations.hard_tanh)


class HardSwish(_Activation):
    """`y = x * min(max(x + 3, 0), 6) / 6`. See `nn.hard_swish`.

    Example:
        >>> from retrograd import nn
        >>> nn.HardSwish()([-1.0, 3.0]).numpy().round(4)
        array([-0.3333,  3.    ], dtype=float32)
    """

    function = staticmethod(activations.hard_swish)


class LeakyReLU(Layer):
    """`y = x` where x > 0, else `negative_slope * x`. See `nn.leaky_relu`.

    Args:
        negative_slope: the slope below 0.

    Example:
        >>> from retrograd import nn
        >>> nn.LeakyReLU(0.1)([-1.0, 2.0]).numpy()
        array([-0.1,  2. ], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = as_number(negative_slope, "negative_slope", "LeakyReLU")

    def __call__(self, x: Any) -> Array:
        return activations.leaky_relu(x, self.negative_slope)

    def config(self) -> dict[str, Any]:
        return {"negative_slope": self.negative_slope}


class PReLU(Layer):
    """`y = x` where x > 0, else `weight * x`, with a trainable slope.

    Args:
        features: 1 for one slope, or the size of the last axis for one slope a channel.
        slope: the initial value of the weight.

    Shapes: x (..., features), or any where features is 1; weight (features,).

    Raises:
        ShapeError: the last axis of x is not features (if that is not 1).

    Example:
        >>> from retrograd import nn
        >>> nn.PReLU()([-1.0, 2.0]).numpy()
        array([-0.25,  2.  ], dtype=float32)

    Source: K. He et al., Delving deep into rectifiers, ICCV 2015.
    """

    weight: Array

    def __init__(self, features: int = 1, slope: float = 0.25) -> None:
        self.features = as_count(features, "features", "PReLU")
        self._slope = as_number(slope, "slope", "PReLU")
        self.weight = creation.full((self.features,), self._slope, "float32")

    def __call__(self, x: Any) -> Array:
        value = as_input(x, self.weight.type.dtype)
        weight = self.weight
        if self.features == 1:
            weight = weight.reshape(())
        else:
            check_features(self, value, self.features, "channels")
        return where(value > 0, value, value * weight)

    def config(self) -> dict[str, Any]:
        return {"features": self.features, "slope": self._slope}


class ELU(Layer):
    """`y = x` where x > 0, else `alpha * (exp(x) - 1)`. See `nn.elu`.

    Args:
        alpha: -alpha is the limit for large negative x.

    Example:
        >>> from retrograd import nn
        >>> nn.ELU()([-1.0, 2.0]).numpy().round(4)
        array([-0.6321,  2.    ], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = as_number(alpha, "alpha", "ELU")

    def __call__(self, x: Any) -> Array:
        return activations.elu(x, self.alpha)

    def config(self) -> dict[str, Any]:
        return {"alpha": self.alpha}


class GELU(Layer):
    """`y = x * Phi(x)`. See `nn.gelu`.

    Args:
        approximate: "none" for the exact form with erf, "tanh" for the approximation.

    Example:
        >>> from retrograd import nn
        >>> nn.GELU()([-1.0, 2.0]).numpy().round(4)
        array([-0.1587,  1.9545], dtype=float32)
    """

    def __init__(self, approximate: str = "none") -> None:
        activations.check_approximation(approximate, "GELU")
        self.approximate = approximate

    def __call__(self, x: Any) -> Array:
        return activations.gelu(x, self.approximate)

    def config(self) -> dict[str, Any]:
        return {"approximate": self.approximate}


class Softplus(Layer):
    """`y = log(1 + exp(beta * x)) / beta`, a smooth relu. See `nn.softplus`.

    Args:
        beta: the larger, the closer to relu; above 0.

    Example:
        >>> from retrograd import nn
        >>> nn.Softplus()([0.0, 20.0]).numpy().round(4)
        array([ 0.6931, 20.    ], dtype=float32)
    """

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = as_number(beta, "beta", "Softplus", low=0.0)
        if self.beta == 0.0:
            raise ArgumentError("Softplus: beta is above 0, received 0.")

    def __call__(self, x: Any) -> Array:
        return activations.softplus(x, self.beta)

    def config(self) -> dict[str, Any]:
        return {"beta": self.beta}


class _AlongAxis(Layer):
    """The abstract base of softmax and its logarithm."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = as_count(axis, "axis", type(self).__name__, least=-64)

    def config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class Softmax(_AlongAxis):
    """`y = exp(x) / sum(exp(x))` along an axis. See `nn.softmax`.

    Losses take logits: train without this layer, and put it behind the trained model if you want
    probabilities.

    Args:
        axis: the axis that sums to 1.

    Example:
        >>> from retrograd import nn
        >>> nn.Softmax()([0.0, 0.0]).numpy()
        array([0.5, 0.5], dtype=float32)
    """

    def __call__(self, x: Any) -> Array:
        return activations.softmax(x, axis=self.axis)


class LogSoftmax(_AlongAxis):
    """`y = x - log(sum(exp(x)))` along an axis. See `nn.log_softmax`.

    Args:
        axis: the axis whose exponentials sum to 1.

    Example:
        >>> from retrograd import nn
        >>> nn.LogSoftmax()([0.0, 0.0]).numpy().round(4)
        array([-0.6931, -0.6931], dtype=float32)
    """

    def __call__(self, x: Any) -> Array:
        return activations.log_softmax(x, axis=self.axis)

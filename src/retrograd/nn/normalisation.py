"""BatchNorm and LayerNorm."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ShapeError
from ..ops import creation
from ..ops.comparison import stop_gradient
from ..ops.moments import moments
from ..ops.promotion import convert
from ..ops.transcendental import rsqrt
from ..trace import Array
from .layer import Layer, as_count, as_flag, as_input, as_number, check_features, place_of
from .module import Buffer

__all__ = ["BatchNorm", "LayerNorm"]


class BatchNorm(Layer):
    """Normalises each channel over the batch: `y = (x - mean) / sqrt(var + eps) * weight + bias`.

    In training mode mean and variance are those of the batch, over all axes but the last (the
    variance divided by the count n), and the running statistics follow:
    `running = (1 - momentum) * running + momentum * batch`, with the variance divided by n - 1. In
    evaluation mode the running statistics are used. All as in PyTorch.

    Initial values: weight and running variance 1, bias and running mean 0.

    Args:
        features: the number of channels, the size of the last axis.
        momentum: how much of the running statistics is new, from 0 to 1.
        eps: is added to the variance; at least 0.

    Shapes: x (..., features) with any number of axes before, the result the same; weight, bias,
    running_mean and running_var (features,).

    Raises:
        ShapeError: the last axis of x is not features, or training with one value a channel.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> layer = nn.BatchNorm(1)
        >>> layer(rg.array([[1.0], [3.0]])).numpy().round(3)
        array([[-1.],
               [ 1.]], dtype=float32)
        >>> float(layer.running_mean[0]), round(float(layer.running_var[0]), 3)
        (0.20000000298023224, 1.1)

    Source: S. Ioffe, C. Szegedy, Batch normalization, ICML 2015.
    """

    weight: Array
    bias: Array
    running_mean: Any
    running_var: Any

    def __init__(self, features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        self.features = as_count(features, "features", "BatchNorm")
        self.momentum = as_number(momentum, "momentum", "BatchNorm", low=0.0, high=1.0)
        self.eps = as_number(eps, "eps", "BatchNorm", low=0.0)
        self.weight = creation.ones((self.features,))
        self.bias = creation.zeros((self.features,))
        self.running_mean = Buffer(creation.zeros((self.features,)))
        self.running_var = Buffer(creation.ones((self.features,)))

    def __call__(self, x: Any) -> Array:
        value = as_input(x, self.weight.type.dtype)
        check_features(self, value, self.features, "channels")
        if not self.training:
            scale = self.weight * rsqrt(self.running_var + self.eps)
            return (value - self.running_mean) * scale + self.bias
        count = math.prod(value.type.shape[:-1])
        if count < 2:
            raise ShapeError(
                f"{place_of(self)}: training needs more than one value for each channel, received "
                f"an input of shape {value.type.shape}.",
                fix="use a larger batch (drop a last batch of one row), or model.eval()",
            )
        axes = tuple(range(value.type.ndim - 1))
        center, variance = moments(value, axes)
        self._follow(center, variance * (count / (count - 1)))
        return (value - center) * (self.weight * rsqrt(variance + self.eps)) + self.bias

    def _follow(self, center: Array, variance: Array) -> None:
        """Move the running statistics towards those of the batch."""
        for name, new in (("running_mean", center), ("running_var", variance)):
            old = getattr(self, name)
            new = convert(stop_gradient(new), old.type.dtype)
            setattr(self, name, old * (1.0 - self.momentum) + new * self.momentum)

    def config(self) -> dict[str, Any]:
        return {"features": self.features, "momentum": self.momentum, "eps": self.eps}


class LayerNorm(Layer):
    """Normalises each row over its features: `y = (x - mean) / sqrt(var + eps) * weight + bias`.

    Mean and variance (divided by the number of features) are over the last axis. The same in
    training and evaluation mode.

    Initial values: weight 1, bias 0.

    Args:
        features: the size of the last axis.
        eps: is added to the variance; at least 0.
        bias: whether there is one.

    Shapes: x (..., features), the result the same; weight and bias (features,).

    Raises:
        ShapeError: the last axis of x is not features.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.LayerNorm(2)(rg.array([[1.0, 3.0]])).numpy().round(3)
        array([[-1.,  1.]], dtype=float32)

    Source: J. Ba et al., Layer normalization (2016).
    """

    weight: Array
    bias: Array | None

    def __init__(self, features: int, eps: float = 1e-5, bias: bool = True) -> None:
        self.features = as_count(features, "features", "LayerNorm")
        self.eps = as_number(eps, "eps", "LayerNorm", low=0.0)
        self.weight = creation.ones((self.features,))
        wanted = as_flag(bias, "bias", "LayerNorm")
        self.bias = creation.zeros((self.features,)) if wanted else None

    def __call__(self, x: Any) -> Array:
        value = as_input(x, self.weight.type.dtype)
        check_features(self, value, self.features)
        if value.type.size == 0:
            return value
        center, variance = moments(value, -1, keepdims=True)
        result = (value - center) * rsqrt(variance + self.eps) * self.weight
        return result if self.bias is None else result + self.bias

    def config(self) -> dict[str, Any]:
        return {"features": self.features, "eps": self.eps, "bias": self.bias is not None}

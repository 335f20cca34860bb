"""Linear: the fully connected layer."""

from __future__ import annotations

from typing import Any

from ..ops.contract import matmul
from ..trace import Array
from .initialise import Init, describe_initialiser, draw_bias, draw_weight, get_initialiser
from .layer import Layer, as_count, as_flag, as_input, check_features

__all__ = ["Linear"]


class Linear(Layer):
    """The fully connected layer: `y = x W + b`.

    Initial values: with "default" U(-1/sqrt(in), 1/sqrt(in)) for weight and bias (as PyTorch); with
    any other initialiser the bias is zeros.

    Args:
        in_features: the size of the last axis of the input.
        out_features: the size of the last axis of the output.
        bias: whether to add b.
        init: the initialiser of the weight: a name, an object of `nn.init`, or a function of a
            shape.

    Shapes: x (..., in_features), weight (in_features, out_features), bias (out_features,), the
    result (..., out_features).

    Raises:
        ShapeError: the last axis of x is not in_features.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.Linear(784, 10, init="he_normal")(rg.ones((32, 784))).shape
        (32, 10)
    """

    weight: Array
    bias: Array | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, init: Init = "default"
    ) -> None:
        self.in_features = as_count(in_features, "in_features", "Linear")
        self.out_features = as_count(out_features, "out_features", "Linear")
        self._init = get_initialiser(init, "Linear")
        self.weight = draw_weight(self._init, (self.in_features, self.out_features), "Linear")
        self.bias = None
        if as_flag(bias, "bias", "Linear"):
            self.bias = draw_bias(self._init, self.out_features, self.in_features)

    def __call__(self, x: Any) -> Array:
        value = as_input(x, self.weight.type.dtype)
        check_features(self, value, self.in_features)
        result = matmul(value, self.weight)
        return result if self.bias is None else result + self.bias

    def config(self) -> dict[str, Any]:
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "bias": self.bias is not None,
            "init": describe_initialiser(self._init),
        }

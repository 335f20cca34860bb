"""Activations: those of retrograd.nn by their own function, others written with the operations."""

from __future__ import annotations

from typing import Any

import torch

import retrograd as rg
from adapters.common import Skip, adapts, along_axis, axis_of, need_float64
from retrograd import nn


@adapts("nn.functional.relu")
def relu(x: Any, inplace: bool = False) -> Any:
    return nn.relu(x)


@adapts("nn.functional.relu6")
def relu6(x: Any, inplace: bool = False) -> Any:
    return rg.clip(x, 0.0, 6.0)


@adapts("nn.functional.hardtanh")
def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    if min_val == max_val:
        raise Skip("an empty interval: PyTorch's gradient there is its own choice")
    return rg.clip(x, min_val, max_val)


@adapts("nn.functional.leaky_relu")
def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    return nn.leaky_relu(x, negative_slope)


@adapts("nn.functional.elu")
def elu(x: Any, alpha: float = 1.0) -> Any:
    return nn.elu(x, alpha)


@adapts("nn.functional.celu")
def celu(x: Any, alpha: float = 1.0) -> Any:
    return alpha * nn.elu(x / alpha)


@adapts("nn.functional.selu")
def selu(x: Any) -> Any:
    return nn.selu(x)


@adapts("nn.functional.silu")
def silu(x: Any) -> Any:
    return nn.silu(x)


@adapts("nn.functional.mish")
def mish(x: Any) -> Any:
    return x * rg.tanh(nn.softplus(x))


@adapts("nn.functional.gelu")
def gelu(x: Any, approximate: str = "none") -> Any:
    return nn.gelu(x) if approximate == "none" else nn.gelu(x, approximate=approximate)


@adapts("nn.functional.hardsigmoid")
def hard_sigmoid(x: Any) -> Any:
    return nn.hard_sigmoid(x)


@adapts("nn.functional.hardswish")
def hard_swish(x: Any) -> Any:
    return x * nn.hard_sigmoid(x)


@adapts("nn.functional.softplus")
def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    smooth = nn.softplus(x * beta) / beta
    return rg.where(x * beta > threshold, x, smooth)


@adapts("nn.functional.logsigmoid")
def log_sigmoid(x: Any) -> Any:
    return -nn.softplus(-x)


@adapts("nn.functional.softsign")
def softsign(x: Any) -> Any:
    return x / (1.0 + rg.abs(x))


@adapts("nn.functional.tanhshrink")
def tanhshrink(x: Any) -> Any:
    return x - rg.tanh(x)


@adapts("nn.functional.threshold")
def threshold(x: Any, threshold: float, value: float) -> Any:
    return rg.where(x > threshold, x, value)


@adapts("nn.functional.softshrink")
def softshrink(x: Any, lambd: float = 0.5) -> Any:
    return rg.where(x > lambd, x - lambd, rg.where(x < -lambd, x + lambd, x * 0.0))


@adapts("nn.functional.hardshrink")
def hardshrink(x: Any, lambd: float = 0.5) -> Any:
    return rg.where(rg.abs(x) > lambd, x, 0.0)


@adapts("nn.functional.prelu")
def prelu(x: Any, weight: Any) -> Any:
    if weight.size > 1:
        weight = weight.reshape(weight.size, *(1,) * (x.ndim - 2))
    elif x.ndim == 0:
        weight = weight.reshape()
    return rg.where(x > 0, x, weight * x)


@adapts("nn.functional.glu")
def glu(x: Any, dim: int = -1) -> Any:
    x, axis = axis_of(x, dim)
    value, gate = rg.split(x, 2, axis=axis)
    return value * rg.sigmoid(gate)


@adapts("softmax", "softmax.with_dtype")
def softmax(x: Any, dim: int, dtype: torch.dtype | None = None) -> Any:
    need_float64(dtype)
    if x.size == 0:
        raise Skip("over an empty axis: an error in retrograd")
    return along_axis(rg.softmax, x, dim)


@adapts("log_softmax", "log_softmax.with_dtype")
def log_softmax(x: Any, dim: int, dtype: torch.dtype | None = None) -> Any:
    need_float64(dtype)
    if x.size == 0:
        raise Skip("over an empty axis: an error in retrograd")
    return along_axis(rg.log_softmax, x, dim)


@adapts("nn.functional.softmin", "nn.functional.softmin.with_dtype")
def softmin(x: Any, dim: int, dtype: torch.dtype | None = None) -> Any:
    return softmax(-x, dim, dtype)

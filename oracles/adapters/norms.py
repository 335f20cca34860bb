"""Normalisation and attention, written with the operations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import retrograd as rg
from adapters.common import Skip, adapts, axes_of


def _standardize(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    centred = x - rg.mean(x, axis=axes, keepdims=True)
    return centred * rg.rsqrt(rg.mean(rg.square(centred), axis=axes, keepdims=True) + eps)


def _scale_and_shift(x: Any, weight: Any, bias: Any, axis: int) -> Any:
    shape = tuple(-1 if i == axis else 1 for i in range(x.ndim))
    if weight is not None:
        x = x * weight.reshape(*shape)
    return x if bias is None else x + bias.reshape(*shape)


@adapts("nn.functional.layer_norm")
def layer_norm(
    x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    if eps < 0:
        raise Skip("a negative eps")
    x = _standardize(x, tuple(range(x.ndim - len(normalized_shape), x.ndim)), eps)
    if weight is not None:
        x = x * weight
    return x if bias is None else x + bias


@adapts("nn.functional.rms_norm")
def rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    eps = float(np.finfo(np.float64).eps) if eps is None else eps
    if eps < 0:
        raise Skip("a negative eps")
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    x = x * rg.rsqrt(rg.mean(rg.square(x), axis=axes, keepdims=True) + eps)
    return x if weight is None else x * weight


@adapts("nn.functional.batch_norm", "nn.functional.batch_norm.without_cudnn")
def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    if x.size == 0:
        raise Skip("no rows")
    if training:
        x = _standardize(x, tuple(axis for axis in range(x.ndim) if axis != 1), eps)
    else:
        shape = tuple(-1 if axis == 1 else 1 for axis in range(x.ndim))
        x = (x - running_mean.reshape(*shape)) * rg.rsqrt(running_var.reshape(*shape) + eps)
    return _scale_and_shift(x, weight, bias, axis=1)


@adapts("nn.functional.instance_norm")
def instance_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    if not use_input_stats:
        raise Skip("running statistics of single images")
    return _scale_and_shift(_standardize(x, tuple(range(2, x.ndim)), eps), weight, bias, axis=1)


@adapts("nn.functional.group_norm")
def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    if eps < 0:
        raise Skip("a negative eps")
    if x.size == 0:
        raise Skip("no elements")
    groups = x.reshape(x.shape[0], num_groups, -1)
    x = _standardize(groups, (2,), eps).reshape(x.shape)
    return _scale_and_shift(x, weight, bias, axis=1)


@adapts("linalg.vector_norm")
def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, **kw: Any) -> Any:
    if kw.get("dtype") is not None:
        raise Skip("asks for another dtype")
    axes = axes_of(x, dim)
    if ord == 1:
        return rg.sum(rg.abs(x), axis=axes, keepdims=keepdim)
    if ord == 2:
        return rg.sqrt(rg.sum(rg.square(x), axis=axes, keepdims=keepdim))
    if x.size and math.isinf(ord):
        return (rg.max if ord > 0 else rg.min)(rg.abs(x), axis=axes, keepdims=keepdim)
    raise Skip("a norm of another order than 1, 2 or infinity")


@adapts("nn.functional.normalize")
def normalize(x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    return x / rg.maximum(vector_norm(x, p, dim, True), eps)


@adapts("nn.functional.cosine_similarity")
def cosine_similarity(a: Any, b: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    a, b = a + b * 0.0, b + a * 0.0  # the axis counts in the broadcast shape
    axes = axes_of(a, dim)
    lengths = [rg.maximum(vector_norm(x, 2, axes, True), eps) for x in (a, b)]
    return rg.sum((a / lengths[0]) * (b / lengths[1]), axis=axes)


@adapts("nn.functional.scaled_dot_product_attention")
def attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if dropout_p > 0.0:
        raise Skip("random")
    if enable_gqa:
        raise Skip("queries in groups")
    scores = rg.matmul(query, rg.swapaxes(key, -1, -2))
    scores = scores * (1.0 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        scores = rg.where(rg.array(np.tri(*scores.shape[-2:], dtype=bool)), scores, -np.inf)
    if attn_mask is not None:
        if attn_mask.dtype == np.bool_:
            scores = rg.where(attn_mask, scores, -np.inf)
        else:
            scores = scores + attn_mask
    return rg.matmul(rg.softmax(scores, axis=-1), value)

"""Scaled dot-product attention as a function."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ArgumentError, DTypeError, ShapeError
from ..ops.attention import attention_p
from ..ops.promotion import as_array, convert, result_dtype
from ..ops.random import default_generator
from ..ops.shape import broadcast_to, reshape
from ..trace import Array, bind
from .layer import as_flag, as_floating, as_number

__all__ = ["scaled_dot_product_attention"]

NAME = "scaled_dot_product_attention"


def scaled_dot_product_attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    causal: bool = False,
    bias: Any = None,
    dropout: float = 0.0,
    scale: float | None = None,
) -> Array:
    """Attention: `out = softmax(scale * q k^T + bias) v`, over the keys that a query may see.

    All weights are never in memory at once, neither here nor in the gradient, which computes them
    again in blocks from q, k and the log-sum-exp of each row: memory is linear in the length of the
    sequence. A query that may see no key gives zeros, and its gradients are zeros.

    Args:
        q: the queries, (batch, heads, queries, features).
        k: the keys, (batch, key_value_heads, keys, features). Where there are fewer heads than in
            q, equal numbers of neighbouring heads of q share one (grouped queries).
        v: the values, (batch, key_value_heads, keys, value_features).
        mask: bools, True where a query may attend to a key; broadcast to (batch, heads, queries,
            keys) from its last axes. For padding use the shape (batch, 1, 1, keys).
        causal: query i sees the keys 0 to i only.
        bias: is added to the scores; broadcast like the mask. Only its own gradient takes memory
            of the size (batch, heads, queries, keys).
        dropout: the probability that a weight is set to 0; the others are divided by
            1 - dropout. The caller says 0 in evaluation mode.
        scale: 1 / sqrt(features) when None.

    Returns:
        (batch, heads, queries, value_features).

    Raises:
        ShapeError: the shapes do not go together.
        DTypeError: the mask does not hold bools.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> q = rg.random.normal((2, 4, 5, 8))
        >>> nn.scaled_dot_product_attention(q, q, q, causal=True).shape
        (2, 4, 5, 8)

    Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017; T. Dao et al.,
    FlashAttention: fast and memory-efficient exact attention with IO-awareness, NeurIPS 2022;
    J. Ainslie et al., GQA: training generalized multi-query transformer models, EMNLP 2023.
    """
    arrays = [as_floating(x) for x in (q, k, v)]
    dtype = result_dtype(arrays)
    query, key, value = (convert(x, dtype) for x in arrays)
    for name, x in (("q", query), ("k", key), ("v", value)):
        if x.type.ndim != 4:
            raise ShapeError(
                f"{NAME}: expected {name} of shape (batch, heads, time, features), received "
                f"{x.type.shape}.",
                fix="split the heads off the features: x.reshape(batch, time, heads, -1)"
                ".swapaxes(1, 2)",
            )
    full = (*query.type.shape[:3], key.type.shape[2])
    extra = []
    if mask is not None:
        allowed = as_array(mask)
        if allowed.type.dtype.kind != "b":
            raise DTypeError(
                f"{NAME}: the mask holds bools (True means attend), received {allowed.type}.",
                fix="numbers that are added to the scores are the argument bias",
            )
        extra.append(_align(allowed, full, "mask"))
    if bias is not None:
        extra.append(_align(convert(as_floating(bias), dtype), full, "bias"))
    rate = as_number(dropout, "dropout", NAME, low=0.0, high=1.0)
    if rate:
        extra.append(default_generator().advance())
    if scale is None:
        factor = 1.0 / math.sqrt(max(query.type.shape[3], 1))
    else:
        factor = as_number(scale, "scale", NAME)
    return bind(
        attention_p,
        query,
        key,
        value,
        *extra,
        scale=factor,
        causal=as_flag(causal, "causal", NAME),
        dropout=rate,
        has_mask=mask is not None,
        has_bias=bias is not None,
    )[0]


def _align(x: Array, full: tuple[int, ...], name: str) -> Array:
    """Four axes, with the last one whole; the others may be of size 1."""
    shape = x.type.shape
    if len(shape) > 4:
        raise ArgumentError(f"{NAME}: the {name} has at most four axes, received {shape}.")
    four = reshape(x, (*([1] * (4 - len(shape))), *shape))
    if any(n not in (1, size) for n, size in zip(four.type.shape, full)):
        raise ShapeError(
            f"{NAME}: the {name} of shape {shape} does not broadcast to (batch, heads, queries, "
            f"keys) = {full}.",
            fix="for padding give the shape (batch, 1, 1, keys), for pairs (queries, keys)",
        )
    return broadcast_to(four, (*four.type.shape[:3], full[3]))

"""Multi-head attention, with a cache of keys and values for generation."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, DTypeError
from ..ops import creation
from ..ops.arithmetic import clip
from ..ops.comparison import where
from ..ops.contract import matmul
from ..ops.creation import arange
from ..ops.index import take
from ..ops.joining import concatenate
from ..ops.promotion import as_array, convert
from ..ops.shape import broadcast_to, expand_dims, reshape, transpose
from ..trace import Array
from .dot_product_attention import scaled_dot_product_attention
from .init import Normal
from .initialise import Init, describe_initialiser, draw_weight, get_initialiser
from .layer import Layer, as_count, as_flag, as_input, as_number, check_sequence, place_of
from .linear import Linear
from .positions import rotary

__all__ = ["MultiHeadAttention"]

Cache = dict[str, Array]


class MultiHeadAttention(Layer):
    """Attention of several heads between linear layers: `y = concat(heads) W_o + b_o`.

    `head_h = attention(q W_q + b_q, k W_k + b_k, v W_v + b_v)`, each with its part of the features;
    attention is `nn.scaled_dot_product_attention` with the scale `1 / sqrt(features / heads)`.

    Initial values, as PyTorch's: W_q, W_k and W_v together Xavier uniform, W_o
    U(-1/sqrt(features), 1/sqrt(features)), all biases 0.

    Args:
        features: the size of the last axis of q and of the result; a multiple of heads.
        heads: the number of heads.
        key_value_heads: the number of heads of keys and values, by which heads is divisible
            (grouped queries); heads when None.
        key_features, value_features: the last axes of k and v; features when None.
        bias: whether the linear layers add biases.
        dropout: the probability that an attention weight becomes 0 in training mode.
        rotary: turn queries and keys by their positions with this base (10000.0 is usual; see
            `nn.rotary`); not when None.
        learned_sink: one more key and value that are trained and that every query may attend to
            (PyTorch's add_bias_kv); initially normal, with the variance 1 over its size.
        zero_sink: one more key and value of zeros (PyTorch's add_zero_attn).
        init: the initialiser of W_q, W_k and W_v.

    Shapes: q (batch, queries, features), k (batch, keys, key_features), v (batch, keys,
    value_features), the result (batch, queries, features); in_weight (features, features + 2 *
    key_value_heads * features / heads) is [W_q W_k W_v]. With key_features or value_features,
    query_weight, key_weight and value_weight stand in its place.

    Raises:
        ShapeError: an input or mask does not fit.
        ArgumentError: features is no multiple of heads, or heads none of key_value_heads.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> layer = nn.MultiHeadAttention(16, heads=4)
        >>> layer(rg.ones((2, 5, 16)), causal=True).shape
        (2, 5, 16)

    Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017, section 3.2.
    """

    in_weight: Array | None
    query_weight: Array | None
    key_weight: Array | None
    value_weight: Array | None
    in_bias: Array | None
    key_sink: Array | None
    value_sink: Array | None

    def __init__(
        self,
        features: int,
        heads: int,
        key_value_heads: int | None = None,
        key_features: int | None = None,
        value_features: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        rotary: float | None = None,
        learned_sink: bool = False,
        zero_sink: bool = False,
        init: Init = "xavier_uniform",
    ) -> None:
        name = "MultiHeadAttention"
        self.features = as_count(features, "features", name)
        self.heads = as_count(heads, "heads", name)
        shared = self.heads if key_value_heads is None else key_value_heads
        self.key_value_heads = as_count(shared, "key_value_heads", name)
        if self.features % self.heads or self.heads % self.key_value_heads:
            raise ArgumentError(
                f"{name}: features is a multiple of heads, and heads of key_value_heads; received "
                f"{self.features} features, {self.heads} heads and {self.key_value_heads} "
                "key_value_heads."
            )
        self.head_features = self.features // self.heads
        if rotary is not None and self.head_features % 2:
            raise ArgumentError(
                f"{name}: rotary positions need an even number of features in each head, received "
                f"{self.head_features}."
            )
        self.rotary = None if rotary is None else as_number(rotary, "rotary", name, low=1e-300)
        self.key_features = as_count(
            self.features if key_features is None else key_features, "key_features", name
        )
        self.value_features = as_count(
            self.features if value_features is None else value_features, "value_features", name
        )
        self.dropout = as_number(dropout, "dropout", name, low=0.0, high=1.0)
        self._init = get_initialiser(init, name)
        width = self.key_value_heads * self.head_features
        total = self.features + 2 * width
        self.in_weight = self.query_weight = self.key_weight = self.value_weight = None
        if self._is_packed:
            self.in_weight = draw_weight(self._init, (self.features, total), name)
        else:
            shapes = (
                (self.features, self.features),
                (self.key_features, width),
                (self.value_features, width),
            )
            weights = [draw_weight(self._init, shape, name) for shape in shapes]
            self.query_weight, self.key_weight, self.value_weight = weights
        self.key_sink = self.value_sink = None
        if as_flag(learned_sink, "learned_sink", name):
            self.key_sink, self.value_sink = (
                draw_weight(Normal(width**-0.5), (width,), name) for _ in range(2)
            )
        self.zero_sink = as_flag(zero_sink, "zero_sink", name)
        self.out = Linear(self.features, self.features, bias=as_flag(bias, "bias", name))
        self.in_bias = None
        if bias:
            self.in_bias = creation.zeros((total,))
            self.out.bias = creation.zeros((self.features,))

    @property
    def _is_packed(self) -> bool:
        return self.key_features == self.features == self.value_features

    def __call__(
        self, q: Any, k: Any = None, v: Any = None, mask: Any = None, causal: bool = False
    ) -> Array:
        """The attention of q to k and v.

        Args:
            q: (batch, queries, features).
            k: (batch, keys, key_features); q when None.
            v: (batch, keys, value_features); k when None.
            mask: bools, True means attend: (queries, keys), (batch, queries, keys) or
                (batch, heads, queries, keys), each axis but the last may be 1.
            causal: query i sees the keys 0 to i only.
        """
        query, key, value = self._project(q, k, v)
        if self.rotary is not None:
            query, key = rotary(query, 0, self.rotary), rotary(key, 0, self.rotary)
        key, value, seen, causal = self._add_sinks(query, key, value, self._align(mask), causal)
        heads = scaled_dot_product_attention(
            query,
            key,
            value,
            mask=seen,
            causal=causal,
            dropout=self.dropout if self.training else 0.0,
        )
        return self._join(heads)

    # -- generation -----------------------------------------------------------------------------

    def make_cache(self, batch: int, length: int) -> Cache:
        """Room for the keys and values of a sequence, for `step`.

        Args:
            batch: the number of sequences.
            length: the longest sequence.
        """
        shape = (
            as_count(batch, "batch", "MultiHeadAttention"),
            self.key_value_heads,
            as_count(length, "length", "MultiHeadAttention"),
            self.head_features,
        )
        dtype = self._dtype
        return {"key": creation.zeros(shape, dtype), "value": creation.zeros(shape, dtype)}

    def step(self, x: Any, cache: Cache, position: Any) -> tuple[Array, Cache]:
        """Causal self-attention of the next rows of a sequence, whose first rows are in the cache.

        Shapes do not change from call to call, so that a compiled step is traced once.

        Args:
            x: (batch, rows, features): the rows at position, position + 1, ...
            cache: from `make_cache` or the step before.
            position: an integer or an integer Array of no axes; position + rows is at most the
                length of the cache.

        Returns:
            The rows of the result (batch, rows, features), and the cache with these rows.
        """
        query, key, value = self._project(x, None, None)
        length, rows = cache["key"].type.shape[2], query.type.shape[2]
        if isinstance(position, int) and not 0 <= position <= length - rows:
            raise ArgumentError(
                f"{place_of(self)}: {rows} rows at position {position} do not fit into a cache for "
                f"{length}.",
                fix="make a longer cache",
            )
        place = as_array(position)
        if self.rotary is not None:
            query = rotary(query, place, self.rotary)
            key = rotary(key, place, self.rotary)
        filled = {
            "key": _write(cache["key"], key, place),
            "value": _write(cache["value"], value, place),
        }
        seen = expand_dims(arange(rows) + place, 1) >= arange(length)
        key, value, mask, _ = self._add_sinks(
            query, filled["key"], filled["value"], seen, causal=False
        )
        heads = scaled_dot_product_attention(query, key, value, mask=mask)
        return self._join(heads), filled

    # -- parts ----------------------------------------------------------------------------------

    @property
    def _dtype(self) -> Any:
        weight = self.in_weight if self.in_weight is not None else self.query_weight
        assert weight is not None
        return weight.type.dtype

    def _project(self, q: Any, k: Any, v: Any) -> tuple[Array, Array, Array]:
        """Queries, keys and values (batch, heads, time, head_features)."""
        dtype = self._dtype
        k = q if k is None else k
        v = k if v is None else v
        query = self._check(as_input(q, dtype), "q", self.features)
        key = query if k is q else self._check(as_input(k, dtype), "k", self.key_features)
        value = key if v is k else self._check(as_input(v, dtype), "v", self.value_features)
        width = self.key_value_heads * self.head_features
        ends = (self.features, self.features + width, self.features + 2 * width)
        heads = (self.heads, self.key_value_heads, self.key_value_heads)
        if self.in_weight is not None and query is key is value:
            parts = [(0, 3, query)]  # one product for all three
        elif self.in_weight is not None and key is value:
            parts = [(0, 1, query), (1, 3, key)]
        else:
            parts = [(0, 1, query), (1, 2, key), (2, 3, value)]
        found = []
        for first, last, x in parts:
            start = ends[first - 1] if first else 0
            product = matmul(x, self._weight(first, start, ends[last - 1]))
            if self.in_bias is not None:
                product = product + self.in_bias[start : ends[last - 1]]
            for order in range(first, last):
                begin = (ends[order - 1] if order else 0) - start
                found.append(_split(product[..., begin : ends[order] - start], heads[order]))
        return found[0], found[1], found[2]

    def _weight(self, order: int, start: int, end: int) -> Array:
        if self.in_weight is not None:
            return self.in_weight[:, start:end]
        weight = (self.query_weight, self.key_weight, self.value_weight)[order]
        assert weight is not None
        return weight

    def _check(self, x: Array, name: str, features: int) -> Array:
        check_sequence(self, x, features, name)
        return x

    def _align(self, mask: Any) -> Array | None:
        """The mask with an axis for the heads."""
        if mask is None:
            return None
        allowed = as_array(mask)
        if allowed.type.dtype.kind != "b":
            raise DTypeError(
                f"{place_of(self)}: a mask holds bools, True means attend; received {allowed.type}."
            )
        return expand_dims(allowed, 1) if allowed.type.ndim == 3 else allowed

    def _add_sinks(
        self, query: Array, key: Array, value: Array, mask: Array | None, causal: bool
    ) -> tuple[Array, Array, Array | None, bool]:
        """Keys and values with those that all queries see at their end, and the mask for them."""
        batch, groups, keys, width = key.type.shape
        sinks: list[tuple[Array, Array]] = []
        if self.key_sink is not None and self.value_sink is not None:
            sinks.append((self.key_sink, self.value_sink))
        if self.zero_sink:
            nothing = creation.zeros((groups * width,), key.type.dtype)
            sinks.append((nothing, nothing))
        if not sinks:
            return key, value, mask, causal
        shape = (batch, groups, 1, width)
        parts = [
            [broadcast_to(reshape(sink, (groups, 1, width)), shape) for sink in column]
            for column in zip(*sinks, strict=True)
        ]
        if causal:
            before = expand_dims(arange(query.type.shape[2]), 1) >= arange(keys)
            mask = before if mask is None else mask & before
        if mask is not None:
            leading = mask.type.shape[:-1]
            always = creation.ones((*leading, len(sinks)), "bool")
            mask = concatenate([broadcast_to(mask, (*leading, keys)), always], axis=-1)
        key = concatenate([key, *parts[0]], axis=2)
        return key, concatenate([value, *parts[1]], axis=2), mask, False

    def _join(self, heads: Array) -> Array:
        """The heads side by side, through the last linear layer."""
        batch, _, time, _ = heads.type.shape
        return self.out(reshape(transpose(heads, (0, 2, 1, 3)), (batch, time, self.features)))

    def config(self) -> dict[str, Any]:
        return {
            "features": self.features,
            "heads": self.heads,
            "key_value_heads": self.key_value_heads,
            "key_features": self.key_features,
            "value_features": self.value_features,
            "bias": self.in_bias is not None,
            "dropout": self.dropout,
            "rotary": self.rotary,
            "learned_sink": self.key_sink is not None,
            "zero_sink": self.zero_sink,
            "init": describe_initialiser(self._init),
        }


def _split(x: Array, heads: int) -> Array:
    """(batch, time, heads * n) as (batch, heads, time, n)."""
    batch, time, width = x.type.shape
    return transpose(reshape(x, (batch, time, heads, width // heads)), (0, 2, 1, 3))


def _write(cache: Array, rows: Array, position: Array) -> Array:
    """The cache with rows at a position."""
    count, length = rows.type.shape[2], cache.type.shape[2]
    order = arange(length) - position
    if count > 1:
        rows = take(rows, convert(clip(order, 0, count - 1), order.type.dtype), axis=2)
    inside = (order >= 0) & (order < count)
    return where(expand_dims(inside, 1), rows, cache)

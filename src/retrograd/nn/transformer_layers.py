"""Transformer layers: attention and a feed-forward network, each with a residual sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError, suggest
from ..trace import Array
from . import activations
from .attention import Cache, MultiHeadAttention
from .dropout import Dropout
from .layer import Layer, as_count, as_flag, as_input, as_number, check_sequence
from .linear import Linear
from .normalisation import LayerNorm

__all__ = ["TransformerDecoderLayer", "TransformerEncoderLayer"]

ACTIVATIONS: dict[str, Callable[[Any], Array]] = {
    "relu": activations.relu,
    "gelu": activations.gelu,
    "silu": activations.silu,
    "tanh": activations.tanh,
}


def get_activation(name: Any, layer: str) -> Callable[[Any], Array]:
    """The activation of a name."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ArgumentError(
            f"{layer}: there is no activation {name!r:.60}. {suggest(str(name), ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]


class TransformerParts(Layer):
    """The abstract base of encoder and decoder layers: the feed-forward half, and what is saved."""

    def __init__(
        self,
        features: int,
        heads: int,
        hidden_features: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
        bias: bool = True,
        eps: float = 1e-5,
        key_value_heads: int | None = None,
        rotary: float | None = None,
    ) -> None:
        name = type(self).__name__
        self.features = as_count(features, "features", name)
        self.heads = as_count(heads, "heads", name)
        self.hidden_features = as_count(hidden_features, "hidden_features", name)
        self.dropout = as_number(dropout, "dropout", name, low=0.0, high=1.0)
        get_activation(activation, name)
        self.activation = activation
        self.norm_first = as_flag(norm_first, "norm_first", name)
        self.bias = as_flag(bias, "bias", name)
        self.eps = as_number(eps, "eps", name, low=0.0)
        self.key_value_heads = key_value_heads
        self.rotary = rotary
        self.attention = MultiHeadAttention(
            self.features,
            self.heads,
            key_value_heads,
            bias=self.bias,
            dropout=self.dropout,
            rotary=rotary,
        )
        self.attention_norm = LayerNorm(self.features, self.eps, self.bias)
        self.hidden = Linear(self.features, self.hidden_features, bias=self.bias)
        self.out = Linear(self.hidden_features, self.features, bias=self.bias)
        self.out_norm = LayerNorm(self.features, self.eps, self.bias)
        self.drop = Dropout(self.dropout)

    def _check(self, x: Any, name: str = "the input") -> Array:
        """The input in the dtype of the parameters, of shape (batch, time, features)."""
        value = as_input(x, self.hidden.weight.type.dtype)
        check_sequence(self, value, self.features, name)
        return value

    def _add(self, x: Array, norm: LayerNorm, part: Callable[[Array], Array]) -> Array:
        """One residual part, with its normalisation before it or after the sum."""
        if self.norm_first:
            return x + self.drop(part(norm(x)))
        return norm(x + self.drop(part(x)))

    def _feed_forward(self, x: Array) -> Array:
        activate = ACTIVATIONS[self.activation]
        return self.out(self.drop(activate(self.hidden(x))))

    def config(self) -> dict[str, Any]:
        return {
            "features": self.features,
            "heads": self.heads,
            "hidden_features": self.hidden_features,
            "dropout": self.dropout,
            "activation": self.activation,
            "norm_first": self.norm_first,
            "bias": self.bias,
            "eps": self.eps,
            "key_value_heads": self.key_value_heads,
            "rotary": self.rotary,
        }


class TransformerEncoderLayer(TransformerParts):
    """Self-attention and a feed-forward network, each with a residual sum and a LayerNorm.

        x = norm(x + drop(attention(x)))                      norm_first=False
        x = norm(x + drop(out(drop(activation(hidden(x))))))

        x = x + drop(attention(norm(x)))                      norm_first=True
        x = x + drop(out(drop(activation(hidden(norm(x))))))

    Initial values are those of MultiHeadAttention, Linear and LayerNorm, as PyTorch's.

    Args:
        features: the size of the last axis; a multiple of heads.
        heads: the number of heads.
        hidden_features: the width of the feed-forward network.
        dropout: the probability that a value is set to 0, in training mode.
        activation: "relu", "gelu", "silu" or "tanh".
        norm_first: normalise before each part (which trains more easily when deep), not after.
        bias: whether the linear layers and the LayerNorms add biases.
        eps: of the LayerNorms.
        key_value_heads, rotary: as in MultiHeadAttention.

    Shapes: x (batch, time, features), the result the same.

    Raises:
        ShapeError: the input or the mask does not fit.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> layer = nn.TransformerEncoderLayer(16, heads=4, hidden_features=64)
        >>> layer(rg.ones((2, 5, 16))).shape
        (2, 5, 16)

    Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017; R. Xiong et al., On layer
    normalization in the transformer architecture, ICML 2020.
    """

    def __call__(self, x: Any, mask: Any = None, causal: bool = False) -> Array:
        """The layer's output; mask and causal are those of MultiHeadAttention."""
        x = self._add(
            self._check(x),
            self.attention_norm,
            lambda rows: self.attention(rows, mask=mask, causal=causal),
        )
        return self._add(x, self.out_norm, self._feed_forward)

    def make_cache(self, batch: int, length: int) -> Cache:
        """Room for keys and values, as `MultiHeadAttention.make_cache`."""
        return self.attention.make_cache(batch, length)

    def step(self, x: Any, cache: Cache, position: Any) -> tuple[Array, Cache]:
        """The next rows of a causal sequence, as `MultiHeadAttention.step`."""
        filled = cache

        def attend(rows: Array) -> Array:
            nonlocal filled
            result, filled = self.attention.step(rows, cache, position)
            return result

        x = self._add(self._check(x), self.attention_norm, attend)
        return self._add(x, self.out_norm, self._feed_forward), filled


class TransformerDecoderLayer(TransformerParts):
    """Causal self-attention, attention to a memory, and a feed-forward network.

    As TransformerEncoderLayer, with a part `attention(x, memory)` between the two.

    Args:
        features: the size of the last axis; a multiple of heads.
        heads: the number of heads.
        hidden_features: the width of the feed-forward network.
        dropout: the probability that a value is set to 0, in training mode.
        activation: "relu", "gelu", "silu" or "tanh".
        norm_first: normalise before each part, not after.
        bias: whether the linear layers and the LayerNorms add biases.
        eps: of the LayerNorms.
        key_value_heads, rotary: as in MultiHeadAttention; rotary for the self-attention alone.

    Shapes: x (batch, time, features), memory (batch, memory time, features), the result as x.

    Raises:
        ShapeError: an input or a mask does not fit.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> layer = nn.TransformerDecoderLayer(16, heads=4, hidden_features=64)
        >>> layer(rg.ones((2, 5, 16)), rg.ones((2, 7, 16))).shape
        (2, 5, 16)

    Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017.
    """

    def __init__(
        self,
        features: int,
        heads: int,
        hidden_features: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
        bias: bool = True,
        eps: float = 1e-5,
        key_value_heads: int | None = None,
        rotary: float | None = None,
    ) -> None:
        super().__init__(
            features,
            heads,
            hidden_features,
            dropout,
            activation,
            norm_first,
            bias,
            eps,
            key_value_heads,
            rotary,
        )
        self.memory_attention = MultiHeadAttention(
            self.features, self.heads, key_value_heads, bias=self.bias, dropout=self.dropout
        )
        self.memory_norm = LayerNorm(self.features, self.eps, self.bias)

    def __call__(
        self,
        x: Any,
        memory: Any,
        mask: Any = None,
        memory_mask: Any = None,
        causal: bool = True,
    ) -> Array:
        """The layer's output; `mask` is for the rows of x, `memory_mask` for those of memory."""
        source = self._check(memory, "the memory")
        x = self._add(
            self._check(x),
            self.attention_norm,
            lambda rows: self.attention(rows, mask=mask, causal=causal),
        )
        x = self._add(
            x,
            self.memory_norm,
            lambda rows: self.memory_attention(rows, source, mask=memory_mask),
        )
        return self._add(x, self.out_norm, self._feed_forward)

    def make_cache(self, batch: int, length: int) -> Cache:
        """Room for keys and values of the self-attention, as `MultiHeadAttention.make_cache`."""
        return self.attention.make_cache(batch, length)

    def step(
        self, x: Any, memory: Any, cache: Cache, position: Any, memory_mask: Any = None
    ) -> tuple[Array, Cache]:
        """The next rows of a causal sequence, as `MultiHeadAttention.step`."""
        filled = cache

        def attend(rows: Array) -> Array:
            nonlocal filled
            result, filled = self.attention.step(rows, cache, position)
            return result

        source = self._check(memory, "the memory")
        x = self._add(self._check(x), self.attention_norm, attend)
        x = self._add(
            x,
            self.memory_norm,
            lambda rows: self.memory_attention(rows, source, mask=memory_mask),
        )
        return self._add(x, self.out_norm, self._feed_forward), filled

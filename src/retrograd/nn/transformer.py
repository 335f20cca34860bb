"""Stacks of transformer layers."""

from __future__ import annotations

from typing import Any

from ..trace import Array
from .attention import Cache
from .layer import Layer, as_count, as_flag, as_input, check_sequence
from .normalisation import LayerNorm
from .transformer_layers import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = ["TransformerDecoder", "TransformerEncoder"]


class _Stack(Layer):
    """The abstract base of stacks: equal layers, and a LayerNorm at the end if wanted."""

    LAYER: type[Any]

    def __init__(
        self,
        features: int,
        heads: int,
        layers: int,
        hidden_features: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
        final_norm: bool | None = None,
        bias: bool = True,
        eps: float = 1e-5,
        key_value_heads: int | None = None,
        rotary: float | None = None,
    ) -> None:
        name = type(self).__name__
        self.layers: list[Any] = [
            self.LAYER(
                features,
                heads,
                hidden_features=hidden_features,
                dropout=dropout,
                activation=activation,
                norm_first=norm_first,
                bias=bias,
                eps=eps,
                key_value_heads=key_value_heads,
                rotary=rotary,
            )
            for _ in range(as_count(layers, "layers", name))
        ]
        wanted = self.layers[0].norm_first if final_norm is None else final_norm
        self.final_norm: LayerNorm | None = None
        if as_flag(wanted, "final_norm", name):
            self.final_norm = LayerNorm(features, self.layers[0].eps, self.layers[0].bias)

    def make_cache(self, batch: int, length: int) -> list[Cache]:
        """Room for the keys and values of all layers."""
        return [layer.attention.make_cache(batch, length) for layer in self.layers]

    def _check(self, x: Any) -> Array:
        value = as_input(x, self.layers[0].hidden.weight.type.dtype)
        check_sequence(self, value, self.layers[0].features)
        return value

    def _finish(self, x: Array) -> Array:
        return x if self.final_norm is None else self.final_norm(x)

    def config(self) -> dict[str, Any]:
        return {
            **self.layers[0].config(),
            "layers": len(self.layers),
            "final_norm": self.final_norm is not None,
        }


class TransformerEncoder(_Stack):
    """A stack of TransformerEncoderLayers.

    Args:
        features: the size of the last axis; a multiple of heads.
        heads: the number of heads.
        layers: the number of layers.
        hidden_features: the width of the feed-forward networks.
        dropout: the probability that a value is set to 0, in training mode.
        activation: "relu", "gelu", "silu" or "tanh".
        norm_first: normalise before each part, not after.
        final_norm: whether a LayerNorm comes last; as norm_first when None.
        bias: whether the linear layers and the LayerNorms add biases.
        eps: of the LayerNorms.
        key_value_heads, rotary: as in MultiHeadAttention.

    Shapes: x (batch, time, features), the result the same.

    Raises:
        ShapeError: the input or the mask does not fit.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> encoder = nn.TransformerEncoder(16, heads=4, layers=2, hidden_features=64)
        >>> encoder(rg.ones((2, 5, 16))).shape
        (2, 5, 16)

    Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017.
    """

    LAYER = TransformerEncoderLayer

    def __call__(self, x: Any, mask: Any = None, causal: bool = False) -> Array:
        """The output of the last layer; mask and causal are those of MultiHeadAttention."""
        x = self._check(x)
        for layer in self.layers:
            x = layer(x, mask=mask, causal=causal)
        return self._finish(x)

    def step(self, x: Any, cache: list[Cache], position: Any) -> tuple[Array, list[Cache]]:
        """The next rows of a causal sequence, as `MultiHeadAttention.step`."""
        filled = []
        for layer, part in zip(self.layers, cache, strict=True):
            x, new = layer.step(x, part, position)
            filled.append(new)
        return self._finish(x), filled


class TransformerDecoder(_Stack):
    """A stack of TransformerDecoderLayers.

    Args:
        features: the size of the last axis; a multiple of heads.
        heads: the number of heads.
        layers: the number of layers.
        hidden_features: the width of the feed-forward networks.
        dropout: the probability that a value is set to 0, in training mode.
        activation: "relu", "gelu", "silu" or "tanh".
        norm_first: normalise before each part, not after.
        final_norm: whether a LayerNorm comes last; as norm_first when None.
        bias: whether the linear layers and the LayerNorms add biases.
        eps: of the LayerNorms.
        key_value_heads, rotary: as in TransformerDecoderLayer.

    Shapes: x (batch, time, features), memory (batch, memory time, features), the result as x.

    Raises:
        ShapeError: an input or a mask does not fit.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> decoder = nn.TransformerDecoder(16, heads=4, layers=2, hidden_features=64)
        >>> decoder(rg.ones((2, 5, 16)), rg.ones((2, 7, 16))).shape
        (2, 5, 16)

    Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017.
    """

    LAYER = TransformerDecoderLayer

    def __call__(
        self,
        x: Any,
        memory: Any,
        mask: Any = None,
        memory_mask: Any = None,
        causal: bool = True,
    ) -> Array:
        """The output of the last layer; the masks are those of TransformerDecoderLayer."""
        x = self._check(x)
        for layer in self.layers:
            x = layer(x, memory, mask=mask, memory_mask=memory_mask, causal=causal)
        return self._finish(x)

    def step(
        self, x: Any, memory: Any, cache: list[Cache], position: Any, memory_mask: Any = None
    ) -> tuple[Array, list[Cache]]:
        """The next rows of a causal sequence, as `MultiHeadAttention.step`."""
        filled = []
        for layer, part in zip(self.layers, cache, strict=True):
            x, new = layer.step(x, memory, part, position, memory_mask)
            filled.append(new)
        return self._finish(x), filled

"""TextEncoder: a transformer that sees both sides of each token, and what is trained with it."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..nn.build import build_layer, describe_layer, register_layer
from ..nn.dropout import Dropout
from ..nn.embedding import Embedding
from ..nn.init import Normal
from ..nn.initialise import Init, describe_initialiser, get_initialiser
from ..nn.layer import Layer, as_count, check_integers, place_of
from ..nn.linear import Linear
from ..nn.normalisation import LayerNorm
from ..nn.transformer import TransformerEncoder
from ..nn.transformer_layers import get_activation
from ..ops import creation
from ..ops.comparison import not_equal
from ..ops.contract import matmul
from ..ops.index import take_along_axis
from ..ops.promotion import as_array
from ..ops.shape import broadcast_to, expand_dims, transpose
from ..trace import Array

__all__ = ["MaskedLanguageModel", "TextEncoder"]

POSITIONS = ("learned", "rotary")
STANDARD = Normal(0.1)


class TextEncoder(Layer):
    """A stack of transformer layers in which each token sees all others, before and behind it.

        x = embedding[tokens] + position[t]                 (positions="learned")
        x = x + attention(norm(x)); x = x + out(activation(hidden(norm(x))))    for each layer
        y = norm(x)

    Padding is never seen: what comes out at a token does not depend on how much of it follows.
    There is one more vector than the vocabulary has tokens: the number `mask`, equal to
    `vocabulary`, stands for a token that is hidden.

    MaskedLanguageModel pretrains it; TextClassifier starts from its weights.

    Initial values: embeddings N(0, 0.1^2), the rest as the layers of `nn`.

    Args:
        vocabulary: the number of different tokens.
        features: the width; a multiple of heads.
        heads: the number of heads.
        layers: the number of layers.
        context: the longest sequence.
        hidden_features: the width of the feed-forward networks; 4 * features when None.
        dropout: the probability that a value is set to 0, in training mode.
        activation: "relu", "gelu", "silu" or "tanh".
        positions: "learned", or "rotary" (which turns queries and keys, with the base 10000).
        padding: the token that fills rows up at their end; None if all rows are full.
        init: the initialiser of the embeddings.

    Shapes: tokens (batch, time) of integers with time at most context, the result (batch, time,
    features).

    Raises:
        ShapeError: the tokens are no (batch, time), or longer than the context.

    Example:
        >>> import numpy as np
        >>> from retrograd import models
        >>> encoder = models.TextEncoder(vocabulary=65, features=32, heads=2, layers=2)
        >>> short, long = [[7, 8, 9]], [[7, 8, 9, 0, 0]]
        >>> bool(np.allclose(encoder(short), encoder(long)[:, :3], atol=1e-5))
        True

    Source: J. Devlin et al., BERT: pre-training of deep bidirectional transformers for language
    understanding, NAACL 2019; with layers that normalise first.
    """

    positions: Embedding | None

    def __init__(
        self,
        vocabulary: int,
        features: int = 128,
        heads: int = 4,
        layers: int = 4,
        context: int = 128,
        hidden_features: int | None = None,
        dropout: float = 0.0,
        activation: str = "gelu",
        positions: str = "learned",
        padding: int | None = 0,
        init: Init = STANDARD,
    ) -> None:
        self.vocabulary = as_count(vocabulary, "vocabulary", "TextEncoder")
        self.features = as_count(features, "features", "TextEncoder")
        self.context = as_count(context, "context", "TextEncoder")
        if positions not in POSITIONS:
            raise ArgumentError(
                f"TextEncoder: positions is one of {', '.join(POSITIONS)}; received "
                f"{positions!r:.60}."
            )
        self.padding = None
        if padding is not None:
            self.padding = as_count(padding, "padding", "TextEncoder", least=0)
            if self.padding >= self.vocabulary:
                raise ArgumentError(
                    f"TextEncoder: padding is {padding}, but there are {self.vocabulary} tokens.",
                    fix=f"choose one of 0 to {self.vocabulary - 1}, or None",
                )
        hidden = 4 * self.features if hidden_features is None else hidden_features
        self._init = get_initialiser(init, "TextEncoder")
        self.embedding = Embedding(self.vocabulary + 1, self.features, init=self._init)
        self.positions = None
        if positions == "learned":
            self.positions = Embedding(self.context, self.features, init=self._init)
        self.drop = Dropout(dropout)
        self.blocks = TransformerEncoder(
            self.features,
            heads,
            layers,
            hidden,
            dropout,
            activation,
            norm_first=True,
            rotary=None if self.positions is not None else 10000.0,
        )

    @property
    def mask(self) -> int:
        """The number that stands for a hidden token."""
        return self.vocabulary

    def __call__(self, tokens: Any) -> Array:
        """What the layers make of each token, (batch, time, features)."""
        places = self.check_tokens(tokens)
        x = self.embedding(places)
        if self.positions is not None:
            x = x + self.positions.weight[: places.type.shape[1]]
        seen = None
        if self.padding is not None:
            seen = expand_dims(self.find_tokens(places), 1)
        return self.blocks(self.drop(x), mask=seen)

    def find_tokens(self, tokens: Any) -> Array:
        """Where there is a token and no padding: bools (batch, time)."""
        places = as_array(tokens)
        return not_equal(places, -1 if self.padding is None else self.padding)

    def check_tokens(self, tokens: Any) -> Array:
        """The tokens as an Array, if they are (batch, time) and not too long."""
        places = as_array(tokens)
        check_integers(self, places)
        shape = places.type.shape
        if len(shape) != 2 or shape[1] > self.context:
            raise ShapeError(
                f"{place_of(self)}: expected tokens (batch, time) with time at most "
                f"{self.context}, received {shape}.",
                fix="add an axis for the batch: tokens[None]"
                if len(shape) == 1
                else "cut the sequences, or build the model with a longer context",
            )
        return places

    def config(self) -> dict[str, Any]:
        inner = self.blocks.config()
        return {
            "vocabulary": self.vocabulary,
            "features": self.features,
            "heads": inner["heads"],
            "layers": inner["layers"],
            "context": self.context,
            "hidden_features": inner["hidden_features"],
            "dropout": inner["dropout"],
            "activation": inner["activation"],
            "positions": "rotary" if self.positions is None else "learned",
            "padding": self.padding,
            "init": describe_initialiser(self._init),
        }


class MaskedLanguageModel(Layer):
    """An encoder that says which tokens are hidden: what it is pretrained as.

        h = norm(activation(encoder(tokens) W_1 + b_1))
        logits = h E^T + b                (E: the embedding of the tokens)

    The loss is taken at the places alone that `data.masking.mask_tokens` has chosen: pass them as
    `places`, and the last layers are computed there and nowhere else.

    Args:
        encoder: is trained in place.

    Shapes: tokens (batch, time), places (batch, count) of integers; the result (batch, count,
    vocabulary), or (batch, time, vocabulary) without places. Both may come as one tuple, as
    `Trainer` passes them.

    Raises:
        ShapeError: the tokens are no (batch, time) or too long, or the places do not fit.

    Example:
        >>> import numpy as np, retrograd as rg
        >>> from retrograd import models, optim
        >>> from retrograd.data.masking import mask_tokens
        >>> rows = np.arange(4, 8) + np.zeros((64, 1), np.int32)
        >>> masked = mask_tokens(rows, vocabulary=8, random=np.random.default_rng(0))
        >>> encoder = models.TextEncoder(8, features=16, heads=2, layers=1, context=4)
        >>> trainer = rg.Trainer(models.MaskedLanguageModel(encoder), "cross_entropy", optim.Adam())
        >>> history = trainer.fit(
        ...     (masked.tokens, masked.places),
        ...     masked.targets,
        ...     epochs=2,
        ...     sample_weight=masked.weights,
        ...     verbose=False,
        ... )

    Source: J. Devlin et al., BERT, NAACL 2019, section 3.1.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        if not isinstance(encoder, TextEncoder):
            raise ArgumentTypeError(
                f"MaskedLanguageModel: expected a TextEncoder, received {type(encoder).__name__}.",
                fix="pass models.TextEncoder(vocabulary)",
            )
        self.encoder = encoder
        width = encoder.features
        self.transform = Linear(width, width)
        self.norm = LayerNorm(width)
        self.bias = creation.zeros((encoder.vocabulary,))

    @property
    def vocabulary(self) -> int:
        """The number of different tokens."""
        return self.encoder.vocabulary

    def __call__(self, tokens: Any, places: Any = None) -> Array:
        """The logits of what stands at the places."""
        if isinstance(tokens, tuple):
            tokens, places = tokens
        x = self.encoder(tokens)
        if places is not None:
            chosen = as_array(places)
            check_integers(self, chosen)
            if chosen.type.ndim != 2 or chosen.type.shape[0] != x.type.shape[0]:
                raise ShapeError(
                    f"{place_of(self)}: expected places ({x.type.shape[0]}, count), received "
                    f"{chosen.type.shape}."
                )
            x = take_along_axis(
                x, broadcast_to(expand_dims(chosen, 2), (*chosen.type.shape, x.type.shape[2])), 1
            )
        activate = get_activation(self.encoder.blocks.config()["activation"], "encoder")
        rows = self.norm(activate(self.transform(x)))
        table = self.encoder.embedding.weight[: self.vocabulary]
        return matmul(rows, transpose(table, (1, 0))) + self.bias

    def config(self) -> dict[str, Any]:
        return {"encoder": describe_layer(self.encoder)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A new model from what `config()` gave."""
        encoder: Any = build_layer(config["encoder"])
        return cls(encoder)


register_layer(TextEncoder)
register_layer(MaskedLanguageModel)

"""CharacterLSTM: a recurrent language model, with a memory that goes on from batch to batch."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentTypeError, ShapeError
from ..nn.buffer import Buffer
from ..nn.build import register_layer
from ..nn.dropout import Dropout
from ..nn.embedding import Embedding
from ..nn.layer import Layer, as_count, as_number, place_of
from ..nn.linear import Linear
from ..nn.recurrent import LSTM
from ..ops import creation
from ..ops.comparison import stop_gradient
from ..ops.promotion import as_array
from ..trace import Array

__all__ = ["CharacterLSTM"]

State = tuple[Array, Array]


class CharacterLSTM(Layer):
    """LSTM layers between an embedding and a last layer that predict the next token at each place.

        outputs, state = lstm(embedding[tokens], state)
        logits = outputs W + b

    Called on its own, it reads each row from its beginning. After `carry(streams)` it goes on, in
    training mode, where the batch before has ended: that is truncated backpropagation through time
    over the pieces of `data.sequences.cut_streams`. No gradient flows from one piece into another.

    Initial values are those of the layers of `nn`, with forget biases of 1.

    Args:
        vocabulary: the number of different tokens.
        features: the width of the embedding.
        hidden_features: the size of the memory of each layer.
        layers: the number of LSTM layers.
        dropout: the probability that an output of a layer is set to 0, in training mode.
        streams: as for `carry`.

    Shapes: tokens (batch, time) of integers, the result (batch, time, vocabulary).

    Raises:
        ShapeError: the tokens are no (batch, time).

    Example:
        >>> import retrograd as rg
        >>> from retrograd import models
        >>> model = models.CharacterLSTM(vocabulary=65, features=16, hidden_features=32)
        >>> model(rg.zeros((4, 10), "int32")).shape
        (4, 10, 65)

    Source: A. Graves, Generating sequences with recurrent neural networks (2013).
    """

    context = None  # it reads sequences of any length
    hidden: Any
    memory: Any

    def __init__(
        self,
        vocabulary: int,
        features: int = 64,
        hidden_features: int = 256,
        layers: int = 1,
        dropout: float = 0.0,
        streams: int | None = None,
    ) -> None:
        self.vocabulary = as_count(vocabulary, "vocabulary", "CharacterLSTM")
        self.features = as_count(features, "features", "CharacterLSTM")
        rate = as_number(dropout, "dropout", "CharacterLSTM", low=0.0, high=1.0)
        self.embedding = Embedding(self.vocabulary, self.features)
        self.lstm = LSTM(self.features, hidden_features, layers, dropout=rate, forget_bias=1.0)
        self.drop = Dropout(rate)
        self.head = Linear(self.lstm.cells[0].hidden_size, self.vocabulary)
        self.carry(streams)

    def __call__(self, tokens: Any) -> Array:
        """The logits of the token that follows each place."""
        places = self._check(tokens)
        carried = self.training and self.hidden is not None
        if carried and places.type.shape[0] != self.hidden.type.shape[1]:
            raise ShapeError(
                f"{place_of(self)}: a state of {self.hidden.type.shape[1]} streams is carried on, "
                f"received a batch of {places.type.shape[0]}.",
                fix="pass pieces of cut_streams with as many streams, or call carry(None)",
            )
        logits, state = self._run(places, (self.hidden, self.memory) if carried else None)
        if carried:
            self.hidden, self.memory = (stop_gradient(part) for part in state)
        return logits

    def carry(self, streams: int | None) -> None:
        """Start with an empty memory, and keep it from batch to batch in training mode.

        Args:
            streams: the rows of a batch; None to read each row from its beginning again.

        Example:
            >>> from retrograd import models
            >>> model = models.CharacterLSTM(vocabulary=9, features=4, hidden_features=8)
            >>> model.carry(2)
            >>> logits = model([[1, 2, 3], [4, 5, 6]])
            >>> bool((model.hidden == 0.0).all())
            False
        """
        if streams is None:
            for name in ("hidden", "memory"):
                if name in self.__dict__:
                    delattr(self, name)  # no buffer any more
                setattr(self, name, None)
            return
        hidden, memory = self.make_cache(as_count(streams, "streams", "CharacterLSTM"))
        self.hidden, self.memory = Buffer(hidden), Buffer(memory)

    def make_cache(self, batch: int, length: int | None = None) -> State:
        """The state before the first token, for `step`.

        Args:
            batch: how many sequences.
            length: has no meaning here; a state does not grow.
        """
        cell = self.lstm.cells[0]
        shape = (self.lstm.layers, batch, cell.hidden_size)
        dtype = cell.hidden_weight.type.dtype
        return creation.zeros(shape, dtype), creation.zeros(shape, dtype)

    def step(self, tokens: Any, cache: State, position: Any = None) -> tuple[Array, State]:
        """The logits of the next tokens, and the state after these.

        Args:
            tokens: (batch, time).
            cache: from `make_cache` or the step before.
            position: has no meaning here; as for GPT.
        """
        if not isinstance(cache, (tuple, list)) or len(cache) != 2:
            raise ArgumentTypeError(f"{place_of(self)}: a cache comes from make_cache or step.")
        return self._run(self._check(tokens), (cache[0], cache[1]))

    def _run(self, places: Array, state: State | None) -> tuple[Array, State]:
        outputs, (hidden, memory) = self.lstm(self.embedding(places), state)
        return self.head(self.drop(outputs)), (hidden, memory)

    def _check(self, tokens: Any) -> Array:
        places = as_array(tokens)
        if places.type.ndim != 2:
            raise ShapeError(
                f"{place_of(self)}: expected tokens (batch, time), received {places.type.shape}.",
                fix="add an axis for the batch: tokens[None]",
            )
        return places

    def config(self) -> dict[str, Any]:
        return {
            "vocabulary": self.vocabulary,
            "features": self.features,
            "hidden_features": self.lstm.cells[0].hidden_size,
            "layers": self.lstm.layers,
            "dropout": self.drop.p,
            "streams": None if self.hidden is None else self.hidden.type.shape[1],
        }


register_layer(CharacterLSTM)

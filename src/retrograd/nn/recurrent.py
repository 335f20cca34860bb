"""RNN, LSTM and GRU: layers of cells that run over sequences, in one or both directions."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..ops.comparison import where
from ..ops.composite import swapaxes
from ..ops.joining import concatenate, stack
from ..ops.loop import scan
from ..trace import Array
from .cell import Cell, State, as_parts
from .dropout import drop
from .initialise import Init
from .layer import Layer, as_count, as_flag, as_input, as_number, check_sequence
from .recurrent_cells import GRUCell, LSTMCell, RNNCell
from .valid_steps import find_valid_steps

__all__ = ["GRU", "LSTM", "RNN"]

RETURNS = ("both", "outputs", "last")
MOST_LAYERS = 1_000
"""So that no number in a file makes layers for ever."""


class Recurrent(Layer):
    """The abstract base of the recurrent layers.

    The cells stand in the order of the state's first axis: layer by layer, in each the one that
    runs forwards, then the one that runs backwards.
    """

    cells: list[Any]

    def _build(
        self,
        cell: type[Cell],
        input_size: int,
        hidden_size: int,
        layers: int,
        bidirectional: bool,
        dropout: float,
        truncate: int | None,
        checkpoint_every: int | None,
        returns: str,
        **arguments: Any,
    ) -> None:
        name = type(self).__name__
        self.layers = as_count(layers, "layers", name)
        if self.layers > MOST_LAYERS:
            raise ArgumentError(f"{name}: layers is at most {MOST_LAYERS}, received {layers}.")
        self.bidirectional = as_flag(bidirectional, "bidirectional", name)
        self.dropout = as_number(dropout, "dropout", name, low=0.0, high=1.0)
        if returns not in RETURNS:
            raise ArgumentError(
                f"{name}: returns is one of {', '.join(map(repr, RETURNS))}, received "
                f"{returns!r:.60}."
            )
        self.returns = returns
        self.truncate, self.checkpoint_every = (
            None if given is None else as_count(given, what, name)
            for given, what in ((truncate, "truncate"), (checkpoint_every, "checkpoint_every"))
        )
        size, hidden = (
            as_count(given, what, name)
            for given, what in ((input_size, "input_size"), (hidden_size, "hidden_size"))
        )
        self.cells = []
        for _ in range(self.layers):
            self.cells += [cell(size, hidden, **arguments) for _ in range(self.directions)]
            size = self.directions * self.cells[0].sizes[0]

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def __call__(self, x: Any, state: Any = None, lengths: Any = None, mask: Any = None) -> Any:
        first = self.cells[0]
        sequences = as_input(x, first.hidden_weight.type.dtype)
        check_sequence(self, sequences, first.input_size)
        batch, time, _ = sequences.type.shape
        states = self._take_apart(state, batch)
        valid = find_valid_steps(self, lengths, mask, batch, time)
        steps = swapaxes(sequences, 0, 1)
        if valid is not None:
            steps = where(valid, steps, 0.0)  # nothing of the padding gets any further
        ends: list[State] = []
        for layer in range(self.layers):
            if layer and self.training:
                steps = drop(steps, self.dropout)
            parts = []
            for direction in range(self.directions):
                cell, start = self.cells[len(ends)], states[len(ends)]
                end, part = self._run(cell, steps, start, valid, reverse=direction == 1)
                ends.append(end)
                parts.append(part)
            steps = parts[0] if len(parts) == 1 else concatenate(parts, -1)
        if self.returns == "last":
            last = [end[0] for end in ends[-self.directions :]]
            return last[0] if len(last) == 1 else concatenate(last, -1)
        after = tuple(stack(part) for part in zip(*ends, strict=True))
        outputs = swapaxes(steps, 0, 1)
        if self.returns == "outputs":
            return outputs
        return outputs, after if first.parts > 1 else after[0]

    def _take_apart(self, state: Any, batch: int) -> list[State]:
        """The first state of each cell."""
        first = self.cells[0]
        if state is None:
            return [first.as_state(None, (batch,))] * len(self.cells)
        shapes = [(len(self.cells), batch, size) for size in first.sizes]
        parts = as_parts(self, state, shapes, first.hidden_weight.type.dtype)
        return [tuple(part[order] for part in parts) for order in range(len(self.cells))]

    def _run(
        self, cell: Cell, steps: Array, start: State, valid: Array | None, reverse: bool
    ) -> tuple[State, Array]:
        """A cell over all steps.

        Args:
            cell: what makes one step.
            steps: (time, batch, features).
            start: the state before the first step.
            valid: (time, batch, 1); where it is False the state stays, and the output is 0. None:
                True.
            reverse: from the last step to the first. A state that stays at its start during the
                padding begins at the end of its own sequence.

        Returns:
            The last state, and the outputs (time, batch, size).
        """

        def step(state: State, inputs: tuple[Array, Array | None]) -> tuple[State, Array]:
            projected, here = inputs
            after = cell.advance(projected, state)
            if here is None:
                return after, after[0]
            kept = tuple(where(here, new, old) for new, old in zip(after, state, strict=True))
            return kept, where(here, after[0], 0.0)

        end, outputs = scan(
            step,
            start,
            (cell.project(steps), valid),
            reverse=reverse,
            truncate=self.truncate,
            checkpoint_every=self.checkpoint_every,
        )
        return end, outputs

    def config(self) -> dict[str, Any]:
        inner = self.cells[0].config()
        return inner | {
            "layers": self.layers,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
            "truncate": self.truncate,
            "checkpoint_every": self.checkpoint_every,
            "returns": self.returns,
        }


class RNN(Recurrent):
    """A plain recurrent network over sequences: `h[t] = tanh(x[t] W + b + h[t-1] U + d)`.

    Vanishes or explodes on long sequences: see LSTM and GRU.

    Args:
        input_size: the number of features of a step.
        hidden_size: the size of the state.
        layers: how many layers; each runs over the outputs of the one below.
        bidirectional: whether each layer has a second cell that runs from the end to the start;
            outputs are both side by side.
        dropout: the probability with which outputs between layers become 0 in training.
        bias: whether to add b and d.
        activation: "tanh" or "relu".
        truncate: gradients go back over so many steps at most, to the last multiple of them.
        checkpoint_every: keep for the gradient only the states of every so many steps, and compute
            what lies between again: less memory, one more forward pass.
        returns: "both" (outputs, state), "outputs", or "last", the outputs at the end of the
            last layer (batch, directions * hidden_size), for use in a Sequential.
        init: the initialiser of W; see RNNCell.
        recurrent_init: the initialiser of U; "orthogonal" keeps gradients longer.

    Call: `layer(x, state=None, lengths=None, mask=None)`.

    Shapes: x (batch, time, input_size); state (layers * directions, batch, hidden_size), zeros if
    it is None; lengths (batch,) integers: how many steps of each sequence count; or mask
    (batch, time) bools: which steps count. Other steps leave the state as it is, have output 0 and
    no influence, whatever they hold. Outputs (batch, time, directions * hidden_size); the state is
    that at the end of each sequence.

    Raises:
        ShapeError: x, state, lengths or mask do not have their shapes.
        IndexRangeError: a length is below 0 or above the number of steps.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> outputs, state = nn.RNN(8, 16)(rg.ones((2, 5, 8)))
        >>> outputs.shape, state.shape
        ((2, 5, 16), (1, 2, 16))

    Source: J. Elman, Finding structure in time, Cognitive Science 14 (1990); bidirectional: M.
    Schuster, K. Paliwal, Bidirectional recurrent neural networks, IEEE Transactions on Signal
    Processing 45 (1997).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        activation: str = "tanh",
        truncate: int | None = None,
        checkpoint_every: int | None = None,
        returns: str = "both",
        init: Init = "default",
        recurrent_init: Init = "default",
    ) -> None:
        self._build(
            RNNCell,
            input_size,
            hidden_size,
            layers,
            bidirectional,
            dropout,
            truncate,
            checkpoint_every,
            returns,
            bias=bias,
            activation=activation,
            init=init,
            recurrent_init=recurrent_init,
        )


class LSTM(Recurrent):
    """A long short-term memory over sequences; the formulas are those of LSTMCell.

    Args:
        input_size: the number of features of a step.
        hidden_size: the size of the memory c, and of h without a projection.
        layers: how many layers; each runs over the outputs of the one below.
        bidirectional: whether each layer has a second cell that runs from the end to the start;
            outputs are both side by side.
        dropout: the probability with which outputs between layers become 0 in training.
        bias: whether the gates have biases.
        forget_bias: what the biases of the forget gate sum to at first; None draws them.
        peepholes: whether the gates see the memory c.
        projection: the size of h if it is another than that of c.
        truncate: gradients go back over so many steps at most, to the last multiple of them.
        checkpoint_every: keep for the gradient only the states of every so many steps, and compute
            what lies between again: less memory, one more forward pass.
        returns: "both" (outputs, state), "outputs", or "last", the outputs at the end of the
            last layer (batch, directions * size of h), for use in a Sequential.
        init: the initialiser of the weights of the input; see LSTMCell.
        recurrent_init: the initialiser of the weights of the state.

    Call: `layer(x, state=None, lengths=None, mask=None)`.

    Shapes: x (batch, time, input_size); state (h, c), each (layers * directions, batch, its size),
    zeros if it is None; lengths (batch,) integers: how many steps of each sequence count; or mask
    (batch, time) bools: which steps count. Other steps leave the state as it is, have output 0 and
    no influence, whatever they hold. Outputs (batch, time, directions * size of h); the state is
    that at the end of each sequence.

    Raises:
        ShapeError: x, state, lengths or mask do not have their shapes.
        IndexRangeError: a length is below 0 or above the number of steps.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> layer = nn.LSTM(8, 16, layers=2, bidirectional=True)
        >>> outputs, (h, c) = layer(rg.ones((2, 5, 8)), lengths=[5, 3])
        >>> outputs.shape, h.shape, c.shape
        ((2, 5, 32), (4, 2, 16), (4, 2, 16))
        >>> bool((outputs[1, 3:] == 0).all())
        True

    Source: as for LSTMCell.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        forget_bias: float | None = None,
        peepholes: bool = False,
        projection: int | None = None,
        truncate: int | None = None,
        checkpoint_every: int | None = None,
        returns: str = "both",
        init: Init = "default",
        recurrent_init: Init = "default",
    ) -> None:
        self._build(
            LSTMCell,
            input_size,
            hidden_size,
            layers,
            bidirectional,
            dropout,
            truncate,
            checkpoint_every,
            returns,
            bias=bias,
            forget_bias=forget_bias,
            peepholes=peepholes,
            projection=projection,
            init=init,
            recurrent_init=recurrent_init,
        )


class GRU(Recurrent):
    """Gated recurrent units over sequences; the formulas are those of GRUCell.

    Args:
        input_size: the number of features of a step.
        hidden_size: the size of the state.
        layers: how many layers; each runs over the outputs of the one below.
        bidirectional: whether each layer has a second cell that runs from the end to the start;
            outputs are both side by side.
        dropout: the probability with which outputs between layers become 0 in training.
        bias: whether the gates have biases.
        truncate: gradients go back over so many steps at most, to the last multiple of them.
        checkpoint_every: keep for the gradient only the states of every so many steps, and compute
            what lies between again: less memory, one more forward pass.
        returns: "both" (outputs, state), "outputs", or "last", the outputs at the end of the
            last layer (batch, directions * hidden_size), for use in a Sequential.
        init: the initialiser of the weights of the input; see GRUCell.
        recurrent_init: the initialiser of the weights of the state.

    Call: `layer(x, state=None, lengths=None, mask=None)`.

    Shapes: x (batch, time, input_size); state (layers * directions, batch, hidden_size), zeros if
    it is None; lengths (batch,) integers: how many steps of each sequence count; or mask
    (batch, time) bools: which steps count. Other steps leave the state as it is, have output 0 and
    no influence, whatever they hold. Outputs (batch, time, directions * hidden_size); the state is
    that at the end of each sequence.

    Raises:
        ShapeError: x, state, lengths or mask do not have their shapes.
        IndexRangeError: a length is below 0 or above the number of steps.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> model = nn.Sequential(nn.Embedding(50, 8), nn.GRU(8, 16, returns="last"))
        >>> model([[1, 2, 3]]).shape
        (1, 16)

    Source: as for GRUCell.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        truncate: int | None = None,
        checkpoint_every: int | None = None,
        returns: str = "both",
        init: Init = "default",
        recurrent_init: Init = "default",
    ) -> None:
        self._build(
            GRUCell,
            input_size,
            hidden_size,
            layers,
            bidirectional,
            dropout,
            truncate,
            checkpoint_every,
            returns,
            bias=bias,
            init=init,
            recurrent_init=recurrent_init,
        )

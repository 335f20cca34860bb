"""RNNCell, LSTMCell and GRUCell: one step of a recurrent network."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..ops import creation
from ..ops.contract import matmul
from ..ops.joining import concatenate, stack
from ..ops.rearrange import split
from ..ops.shape import slice_axis
from ..ops.transcendental import sigmoid, tanh
from ..trace import Array
from .activations import relu
from .cell import Cell, State, add_biases
from .init import NAMES
from .initialise import Init, draw_bias, draw_weight
from .layer import as_count, as_flag, as_number

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]

ACTIVATIONS = {"tanh": tanh, "relu": relu}


class RNNCell(Cell):
    """One step of a plain recurrent network: `h' = tanh(x W + b + h U + d)`.

    Initial values: U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)) for everything, as PyTorch; with
    other initialisers the biases are zeros.

    Args:
        input_size: the size of the last axis of the input.
        hidden_size: the size of the state.
        bias: whether to add b and d.
        activation: "tanh" or "relu".
        init: the initialiser of W (input_weight).
        recurrent_init: the initialiser of U (hidden_weight), for example "orthogonal".

    Shapes: x (..., input_size), h (..., hidden_size), input_weight (input_size, hidden_size),
    hidden_weight (hidden_size, hidden_size), input_bias and hidden_bias (hidden_size,).

    Returns:
        The new state h', which is also the output.

    Raises:
        ShapeError: x or h do not have their shapes.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> cell = nn.RNNCell(3, 5)
        >>> h = cell(rg.ones((2, 3)))
        >>> cell(rg.ones((2, 3)), h).shape
        (2, 5)

    Source: J. Elman, Finding structure in time, Cognitive Science 14 (1990).
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        activation: str = "tanh",
        init: Init = "default",
        recurrent_init: Init = "default",
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ArgumentError(
                f'RNNCell: activation is "tanh" or "relu", received {activation!r:.60}.'
            )
        self.activation = activation
        self._draw(input_size, hidden_size, bias, init, recurrent_init)

    def __call__(self, x: Any, state: Any = None) -> Array:
        return self._step(x, state)[0]

    def project(self, x: Array) -> Array:
        return add_biases(matmul(x, self.input_weight), self.input_bias, self.hidden_bias)

    def advance(self, projected: Array, state: State) -> State:
        return (ACTIVATIONS[self.activation](projected + matmul(state[0], self.hidden_weight)),)

    def config(self) -> dict[str, Any]:
        return self._config() | {"activation": self.activation}


class LSTMCell(Cell):
    """One step of a long short-term memory, with gates i, f, g and o.

    `[i, f, g, o] = x W + b + h U + d`, `c' = sigmoid(f) * c + sigmoid(i) * tanh(g)` and
    `h' = sigmoid(o) * tanh(c')`. With peepholes `p * c` is added to i and f, and `p * c'` to o
    before the sigmoid; with a projection `h' = (sigmoid(o) * tanh(c')) P`.

    Initial values: U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)) for everything, as PyTorch; with
    other initialisers biases and peepholes are zeros.

    Args:
        input_size: the size of the last axis of the input.
        hidden_size: the size of c, and of h without a projection.
        bias: whether to add b and d.
        forget_bias: what the two biases of gate f sum to at first; None draws them like the
            others. 1 keeps the memory at first, and with it the gradient.
        peepholes: whether the gates see the memory c.
        projection: the size of h if it is another than that of c; None for no projection.
        init: the initialiser of W (input_weight), and of P (projection_weight).
        recurrent_init: the initialiser of U (hidden_weight).

    Shapes: x (..., input_size), h (..., hidden_size or projection), c (..., hidden_size),
    input_weight (input_size, 4 hidden_size), hidden_weight (size of h, 4 hidden_size), input_bias
    and hidden_bias (4 hidden_size,), peephole_weight (3, hidden_size) for i, f and o,
    projection_weight (hidden_size, projection).

    Returns:
        The new state (h', c'); h' is also the output.

    Raises:
        ShapeError: x, h or c do not have their shapes.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> cell = nn.LSTMCell(3, 5, forget_bias=1.0)
        >>> h, c = cell(rg.ones((2, 3)))
        >>> h, c = cell(rg.ones((2, 3)), (h, c))
        >>> h.shape, c.shape
        ((2, 5), (2, 5))

    Source: S. Hochreiter, J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997);
    F. Gers, J. Schmidhuber, F. Cummins, Learning to forget, Neural Computation 12 (2000);
    peepholes: F. Gers, N. Schraudolph, J. Schmidhuber, Learning precise timing with LSTM recurrent
    networks, JMLR 3 (2002); projection: H. Sak, A. Senior, F. Beaufays, Long short-term memory
    recurrent neural network architectures for large scale acoustic modeling, Interspeech 2014;
    forget bias: R. Jozefowicz, W. Zaremba, I. Sutskever, An empirical exploration of recurrent
    network architectures, ICML 2015.
    """

    gates = 4
    parts = 2
    peephole_weight: Array | None
    projection_weight: Array | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        forget_bias: float | None = None,
        peepholes: bool = False,
        projection: int | None = None,
        init: Init = "default",
        recurrent_init: Init = "default",
    ) -> None:
        self.projection = None
        if projection is not None:
            self.projection = as_count(projection, "projection", "LSTMCell")
        self._draw(input_size, hidden_size, bias, init, recurrent_init)
        size = self.hidden_size
        self.forget_bias = None
        if forget_bias is not None:
            self.forget_bias = as_number(forget_bias, "forget_bias", "LSTMCell")
            self._set_forget_bias(self.forget_bias)
        self.peephole_weight = self.projection_weight = None
        if as_flag(peepholes, "peepholes", "LSTMCell"):
            self.peephole_weight = stack([draw_bias(self._init, size, size) for _ in range(3)])
        if self.projection is not None:
            fans = (size, size) if self._init == NAMES["default"]() else None
            shape = (size, self.projection)
            self.projection_weight = draw_weight(self._init, shape, "LSTMCell", fans)

    def _set_forget_bias(self, value: float) -> None:
        if self.input_bias is None or self.hidden_bias is None:
            raise ArgumentError(
                "LSTMCell: forget_bias is the first value of a bias, and bias=False was passed.",
                fix="leave one of the two away",
            )
        for name, number in (("input_bias", value), ("hidden_bias", 0.0)):
            i, f, g, o = split(getattr(self, name), 4)
            setattr(self, name, concatenate([i, creation.full_like(f, number), g, o]))

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.projection or self.hidden_size, self.hidden_size)

    def __call__(self, x: Any, state: Any = None) -> tuple[Array, Array]:
        h, c = self._step(x, state)
        return h, c

    def project(self, x: Array) -> Array:
        return add_biases(matmul(x, self.input_weight), self.input_bias, self.hidden_bias)

    def advance(self, projected: Array, state: State) -> State:
        h, c = state
        i, f, g, o = split(projected + matmul(h, self.hidden_weight), 4, -1)
        peepholes = self.peephole_weight
        if peepholes is not None:
            i, f = i + peepholes[0] * c, f + peepholes[1] * c
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        if peepholes is not None:
            o = o + peepholes[2] * c
        h = sigmoid(o) * tanh(c)
        return (h if self.projection_weight is None else matmul(h, self.projection_weight)), c

    def config(self) -> dict[str, Any]:
        return self._config() | {
            "forget_bias": self.forget_bias,
            "peepholes": self.peephole_weight is not None,
            "projection": self.projection,
        }


class GRUCell(Cell):
    """One step of a gated recurrent unit, with gates r, z and n.

    `r = sigmoid(x W_r + b_r + h U_r + d_r)`, `z = sigmoid(x W_z + b_z + h U_z + d_z)`,
    `n = tanh(x W_n + b_n + r * (h U_n + d_n))` and `h' = (1 - z) * n + z * h`: the reset gate r
    comes after the recurrent product, as in PyTorch (and cuDNN), not before it as in the paper.

    Initial values: U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)) for everything, as PyTorch; with
    other initialisers the biases are zeros.

    Args:
        input_size: the size of the last axis of the input.
        hidden_size: the size of the state.
        bias: whether to add b and d.
        init: the initialiser of W (input_weight).
        recurrent_init: the initialiser of U (hidden_weight).

    Shapes: x (..., input_size), h (..., hidden_size), input_weight (input_size, 3 hidden_size),
    hidden_weight (hidden_size, 3 hidden_size), input_bias and hidden_bias (3 hidden_size,).

    Returns:
        The new state h', which is also the output.

    Raises:
        ShapeError: x or h do not have their shapes.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> cell = nn.GRUCell(3, 5)
        >>> cell(rg.ones((2, 3))).shape
        (2, 5)

    Source: K. Cho et al., Learning phrase representations using RNN encoder-decoder for statistical
    machine translation, EMNLP 2014.
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        init: Init = "default",
        recurrent_init: Init = "default",
    ) -> None:
        self._draw(input_size, hidden_size, bias, init, recurrent_init)

    def __call__(self, x: Any, state: Any = None) -> Array:
        return self._step(x, state)[0]

    def project(self, x: Array) -> Array:
        outside = self.hidden_bias
        if outside is not None:  # that of n is multiplied by r, and added in each step
            last = creation.zeros((self.hidden_size,), outside.type.dtype)
            outside = concatenate([slice_axis(outside, 0, 0, 2 * self.hidden_size), last])
        return add_biases(matmul(x, self.input_weight), self.input_bias, outside)

    def advance(self, projected: Array, state: State) -> State:
        (h,) = state
        size = self.hidden_size
        x_r, x_z, x_n = split(projected, 3, -1)
        h_r, h_z, h_n = split(matmul(h, self.hidden_weight), 3, -1)
        if self.hidden_bias is not None:
            h_n = h_n + slice_axis(self.hidden_bias, 0, 2 * size, 3 * size)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = tanh(x_n + r * h_n)
        return (n + z * (h - n),)

    def config(self) -> dict[str, Any]:
        return self._config()

"""Cell, one step of a recurrent network: what all cells share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..errors import ArgumentTypeError, ShapeError
from ..ops import creation
from ..ops.joining import concatenate
from ..ops.promotion import as_array, convert
from ..trace import Array
from .init import NAMES
from .initialise import Init, describe_initialiser, draw_bias, draw_weight, get_initialiser
from .layer import Layer, as_count, as_flag, as_input, check_features, place_of

State = tuple[Array, ...]


class Cell(Layer):
    """The abstract base of the cells.

    A step has two halves, so that a layer can do the first for all steps at once: `project` takes
    the input to the gates, `advance` takes the state on.
    """

    gates: ClassVar[int]
    parts: ClassVar[int] = 1
    """How many Arrays the state has; the first is the output."""

    input_size: int
    hidden_size: int
    input_weight: Array
    hidden_weight: Array
    input_bias: Array | None
    hidden_bias: Array | None

    def project(self, x: Array) -> Array:
        """What the input gives to the gates: (..., input_size) to (..., gates * hidden_size)."""
        raise NotImplementedError

    def advance(self, projected: Array, state: State) -> State:
        """The state after a step, from the state before it."""
        raise NotImplementedError

    @property
    def sizes(self) -> tuple[int, ...]:
        """The size of the last axis of each part of the state."""
        return (self.hidden_size,) * self.parts

    def _draw(
        self, input_size: int, hidden_size: int, bias: bool, init: Init, recurrent_init: Init
    ) -> None:
        name = type(self).__name__
        self.input_size = as_count(input_size, "input_size", name)
        self.hidden_size = as_count(hidden_size, "hidden_size", name)
        self._init = get_initialiser(init, name)
        self._recurrent_init = get_initialiser(recurrent_init, name)
        self.input_weight = self._draw_gates(self._init, self.input_size)
        self.hidden_weight = self._draw_gates(self._recurrent_init, self.sizes[0])
        self.input_bias = self.hidden_bias = None
        if as_flag(bias, "bias", name):
            width = self.gates * self.hidden_size
            self.input_bias = draw_bias(self._init, width, self.hidden_size)
            self.hidden_bias = draw_bias(self._recurrent_init, width, self.hidden_size)

    def _draw_gates(self, init: Any, inputs: int) -> Array:
        """A weight whose gates are drawn each by itself; by default from PyTorch's distribution."""
        fans = (self.hidden_size,) * 2 if init == NAMES["default"]() else None
        shape, name = (inputs, self.hidden_size), type(self).__name__
        return concatenate([draw_weight(init, shape, name, fans) for _ in range(self.gates)], -1)

    def _step(self, x: Any, state: Sequence[Any] | None) -> State:
        """One step on its own."""
        value = as_input(x, self.hidden_weight.type.dtype)
        check_features(self, value, self.input_size)
        batch = value.type.shape[:-1]
        return self.advance(self.project(value), self.as_state(state, batch))

    def as_state(self, state: Sequence[Any] | None, batch: tuple[int, ...]) -> State:
        """The parts of a state, checked; zeros if there is none."""
        dtype = self.hidden_weight.type.dtype
        shapes = [(*batch, size) for size in self.sizes]
        if state is None:
            return tuple(creation.zeros(shape, dtype) for shape in shapes)
        return as_parts(self, state, shapes, dtype)

    def _config(self) -> dict[str, Any]:
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "bias": self.input_bias is not None,
            "init": describe_initialiser(self._init),
            "recurrent_init": describe_initialiser(self._recurrent_init),
        }


def as_parts(layer: Any, state: Any, shapes: Sequence[tuple[int, ...]], dtype: Any) -> State:
    """The parts of a given state as Arrays of these shapes."""
    given = state
    if len(shapes) > 1 and (not isinstance(given, (tuple, list)) or len(given) != len(shapes)):
        raise ArgumentTypeError(
            f"{place_of(layer)}: the state is the pair (h, c), received {type(given).__name__}.",
            fix="pass the state that an earlier call returned, or None for zeros",
        )
    parts = [convert(as_array(part), dtype) for part in (given if len(shapes) > 1 else [given])]
    for name, part, shape in zip("hc", parts, shapes, strict=False):
        if part.type.shape != shape:
            raise ShapeError(
                f"{place_of(layer)}: the state {name} has shape {part.type.shape}, expected "
                f"{shape}.",
                fix="pass a state for the same batch size, or None for zeros",
            )
    return tuple(parts)


def add_biases(x: Array, *biases: Array | None) -> Array:
    """The sum of the biases, added at once."""
    given = [bias for bias in biases if bias is not None]
    for bias in given[1:]:
        given[0] = given[0] + bias
    return x + given[0] if given else x

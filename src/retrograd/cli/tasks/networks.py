"""Networks for tables: several small ones trained side by side, averaged into one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import losses, nn
from ...errors import FileFormatError
from ...nn import Module
from ...ops.contract import matmul
from ...ops.promotion import array, as_array
from ...ops.random import uniform
from ...ops.shape import broadcast_to, expand_dims, reshape, transpose
from ...trace import Array


class SideBySide(Module):
    r"""Independent networks of one shape: in each, :math:`h' = dropout(relu(h W + b))`, then
    :math:`h W + b`.

    They share the batches, but neither weights nor dropout masks; the loss is the mean of theirs,
    so that each learns as if it were alone (Adam does not see a constant factor).

    Args:
        members: how many networks.
        sizes: features, hidden units of each layer, outputs.
        dropout: the probability that a hidden unit is left out of a step.

    Shapes: x (batch, features), the result (batch, members, outputs).

    Example:
        >>> import retrograd as rg
        >>> networks = SideBySide(4, (10, 32, 3), dropout=0.1)
        >>> networks(rg.ones((5, 10))).shape
        (5, 4, 3)
    """

    def __init__(self, members: int, sizes: Sequence[int], dropout: float) -> None:
        self.members = members
        self.sizes = tuple(sizes)
        self.weights = []
        self.biases = []
        for inputs, outputs in zip(sizes, sizes[1:]):
            bound = 1.0 / math.sqrt(inputs)  # as nn.Linear
            self.weights.append(uniform((members, inputs, outputs), -bound, bound))
            self.biases.append(uniform((members, 1, outputs), -bound, bound))
        self.dropout = nn.Dropout(dropout)

    def __call__(self, x: Any) -> Array:
        value = as_array(x)
        hidden = broadcast_to(expand_dims(value, 0), (self.members, *value.type.shape))
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            hidden = matmul(hidden, weight) + bias
            if layer < len(self.weights) - 1:
                hidden = self.dropout(nn.relu(hidden))
        return transpose(hidden, (1, 0, 2))

    def average(self) -> nn.Sequential:
        """One network whose output is the mean of the members' outputs, exactly.

        The members' units lie side by side; between hidden layers the weights from one member to
        another are zero, and the last layer is divided by their number.
        """
        layers: list[Any] = []
        last = len(self.weights) - 1
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            values, shifts = np.asarray(weight), np.asarray(bias)[:, 0]
            if place == 0 == last:
                values, shifts = values.mean(axis=0), shifts.mean(axis=0)
            elif place == 0:
                values, shifts = np.concatenate(list(values), axis=1), shifts.reshape(-1)
            elif place == last:
                values, shifts = np.concatenate(list(values)) / self.members, shifts.mean(axis=0)
            else:
                values, shifts = _place_on_diagonal(values), shifts.reshape(-1)
            # Zeros: nothing is drawn only to be replaced.
            layer = nn.Linear(values.shape[0], values.shape[1], init="zeros")
            layer.weight, layer.bias = array(values.copy()), array(shifts.copy())
            layers.append(layer)
            if place < last:
                layers += [nn.ReLU(), nn.Dropout(self.dropout.p)]
        return nn.Sequential(*layers)


def _place_on_diagonal(blocks: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    members, inputs, outputs = blocks.shape
    joined = np.zeros((members * inputs, members * outputs), dtype=blocks.dtype)
    for place, block in enumerate(blocks):
        rows, columns = place * inputs, place * outputs
        joined[rows : rows + inputs, columns : columns + outputs] = block
    return joined


def mean_cross_entropy(outputs: Any, targets: Any, *, sample_weight: Any = None) -> Array:
    """The cross-entropy of labels (batch,), for logits (batch, members, classes); mean over all."""
    batch, members, classes = outputs.type.shape
    return losses.cross_entropy(
        reshape(outputs, (batch * members, classes)),
        _repeat(targets, batch, members),
        sample_weight=None if sample_weight is None else _repeat(sample_weight, batch, members),
    )


def mean_squared_error(outputs: Any, targets: Any, *, sample_weight: Any = None) -> Array:
    """The squared error of numbers (batch, 1), for outputs (batch, members, 1); mean over all."""
    batch, members, _ = outputs.type.shape
    return losses.mse(
        reshape(outputs, (batch * members, 1)),
        reshape(_repeat(reshape(targets, (batch,)), batch, members), (batch * members, 1)),
        sample_weight=None if sample_weight is None else _repeat(sample_weight, batch, members),
    )


def _repeat(values: Any, batch: int, members: int) -> Array:
    """(batch,) to (batch * members,), each value once for each member."""
    wide = broadcast_to(expand_dims(as_array(values), 1), (batch, members))
    return reshape(wide, (batch * members,))


def find_probabilities(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Class probabilities, float64 (rows, classes).

    Raises:
        FileFormatError: outputs that are not finite: the weights of the model are damaged.
    """
    shifted = check_outputs(logits).astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    result: np.ndarray[Any, Any] = powers / powers.sum(axis=1, keepdims=True)
    return result


def check_outputs(outputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The outputs, or an error if some are NaN or infinite."""
    broken = int((~np.isfinite(outputs)).any(axis=1).sum())
    if broken:
        raise FileFormatError(
            f"The network gives NaN or infinite outputs for {broken} of {len(outputs)} rows.",
            fix="Look for extreme values in these rows; if there are none, train the model again.",
        )
    return outputs

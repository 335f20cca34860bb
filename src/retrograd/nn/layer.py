"""Layer, a Module that says how to build it again; and the checks that all layers share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..ir.types import DType, float32
from ..ops.promotion import as_array, convert
from ..trace import Array
from .module import Module


class Layer(Module):
    """The abstract base of the built-in layers."""

    def config(self) -> dict[str, Any]:
        """The arguments that build this layer again, as JSON can hold them (no weights)."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A new layer from what `config()` gave."""
        return cls(**config)


def place_of(layer: Module) -> str:
    """`Linear`, or `Linear (layers.0)` where the path is known, to begin a message with."""
    path = layer.__dict__.get("_path")
    return f"{type(layer).__name__} ({path})" if path else type(layer).__name__


# -- inputs ---------------------------------------------------------------------------------------


def as_input(x: Any, dtype: DType) -> Array:
    """The input in the dtype of the parameters."""
    return convert(as_array(x), dtype)


def as_floating(x: Any) -> Array:
    """The input as it is if it is floating, else as float32."""
    value = as_array(x)
    return value if value.type.floating else convert(value, float32)


def check_features(layer: Module, x: Array, features: int, axes: str = "features") -> None:
    """The last axis of the input has the size that the layer was made for."""
    shape = x.type.shape
    if not shape or shape[-1] != features:
        raise ShapeError(
            f"{place_of(layer)}: expected an input of shape (..., {features}), {axes} last, "
            f"received {shape}.",
            fix=f"make the last axis {features} long, or build the layer for "
            f"{shape[-1] if shape else 1}",
        )


def check_sequence(layer: Module, x: Array, features: int, name: str = "the input") -> None:
    """The input is (batch, time, features)."""
    check_features(layer, x, features)
    if x.type.ndim != 3:
        raise ShapeError(
            f"{place_of(layer)}: expected {name} of shape (batch, time, {features}), received "
            f"{x.type.shape}.",
            fix="add an axis for the batch: x[None]"
            if x.type.ndim == 2
            else "reshape it: the batch comes first, the features last",
        )


def check_images(layer: Module, x: Array, rank: int, channels: int | None) -> None:
    """The input is (batch, *space, channels)."""
    shape = x.type.shape
    space = ("length",) if rank == 1 else ("depth", "height", "width")[3 - rank :]
    expected = f"({', '.join(('batch', *space))}, {'channels' if channels is None else channels})"
    if len(shape) == rank + 2 and channels in (None, shape[-1]):
        return
    if len(shape) == rank + 1 and channels in (None, 1):
        fix = "add the axis of the channels: x[..., None] (or one for the batch: x[None])"
    elif len(shape) == rank + 2 and shape[1] == channels:
        order = (0, *range(2, rank + 2), 1)
        fix = f"channels come last: x.transpose{order}"
    elif len(shape) == rank + 2:
        fix = f"build the layer for {shape[-1]} channels, or change the layer before it"
    else:
        fix = "reshape the input: the batch comes first, the channels last"
    raise ShapeError(
        f"{place_of(layer)}: expected an input of shape {expected}, received {shape}.", fix=fix
    )


def check_integers(layer: Module, x: Array) -> None:
    """The input holds integers."""
    if x.type.dtype.kind not in "iu":
        raise DTypeError(
            f"{place_of(layer)}: expected integer indices, received {x.type}.",
            fix="convert them with .astype('int32')",
        )


# -- arguments of constructors --------------------------------------------------------------------


def as_count(value: Any, name: str, layer: str, least: int = 1) -> int:
    """A Python integer of at least `least`."""
    if isinstance(value, (bool, float, np.bool_)) or not hasattr(value, "__index__"):
        raise ArgumentTypeError(f"{layer}: {name} is an integer, received {value!r:.60}.")
    count = int(value.__index__())
    if count < least:
        raise ArgumentError(f"{layer}: {name} is at least {least}, received {count}.")
    return count


def as_number(
    value: Any, name: str, layer: str, low: float = -math.inf, high: float = math.inf
) -> float:
    """A finite Python number between two limits (which count as inside)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        raise ArgumentTypeError(f"{layer}: {name} is a number, received {value!r:.60}.")
    number = float(value)
    if not math.isfinite(number) or not low <= number <= high:
        limits = {
            (False, False): "a finite number",
            (True, False): f"a number of at least {low}",
            (False, True): f"a number of at most {high}",
            (True, True): f"a number from {low} to {high}",
        }[(math.isfinite(low), math.isfinite(high))]
        raise ArgumentError(f"{layer}: {name} is {limits}, received {value!r}.")
    return number


def as_flag(value: Any, name: str, layer: str) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(f"{layer}: {name} is True or False, received {value!r:.60}.")
    return bool(value)


def plain_sizes(sizes: Any) -> Any:
    """Sizes for `config()`: one number where all axes have the same, else a list."""
    if isinstance(sizes, str):
        return sizes
    items = [plain_sizes(item) if isinstance(item, tuple) else item for item in sizes]
    same = all(item == items[0] for item in items) and not isinstance(items[0], list)
    return items[0] if same else items

"""What layers do with their argument `init`: look it up, draw weights, write it into `config()`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, ShapeError, suggest
from ..ir.types import float32
from ..ops import creation, random
from ..ops.promotion import array, convert
from ..trace import Array
from .init import CLASSES, NAMES
from .init_base import Fans, Initialiser

Init = str | dict[str, Any] | Callable[[tuple[int, ...]], Any]
"""A name, an Initialiser, any function of a shape, or the form that `config()` gave."""


def get_initialiser(init: Init, layer: str) -> Callable[..., Any]:
    """The initialiser that is meant."""
    if isinstance(init, str):
        if init not in NAMES:
            raise ArgumentError(
                f"{layer}: there is no initialiser {init!r}. {suggest(init, NAMES)}"
            )
        return NAMES[init]()
    if isinstance(init, dict):
        arguments = dict(init)
        name = arguments.pop("name", None)
        if name not in CLASSES or not set(arguments) <= _fields(CLASSES[name]):
            raise ArgumentError(f"{layer}: {init!r} does not describe an initialiser.")
        return CLASSES[name](**arguments)
    if isinstance(init, type) and issubclass(init, Initialiser):
        raise ArgumentTypeError(
            f"{layer}: init is the class {init.__name__}, not an initialiser.",
            fix=f"write nn.init.{init.__name__}()",
        )
    if not callable(init):
        raise ArgumentTypeError(
            f"{layer}: init is a name, an initialiser of nn.init or a function of a shape, "
            f"received {type(init).__name__}.",
            fix='for example init="he_normal"',
        )
    return init


def _fields(cls: type[Initialiser]) -> set[str]:
    return {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]


def describe_initialiser(init: Callable[..., Any]) -> str | dict[str, Any]:
    """The form for `config()`: a name, or a name with numbers.

    A function of the user cannot be written down and becomes "default"; what it drew is in the
    weights, which are saved beside.
    """
    for name, make in NAMES.items():
        if make() == init:
            return name
    if type(init).__name__ in CLASSES and isinstance(init, Initialiser):
        return {"name": type(init).__name__, **dataclasses.asdict(init)}  # type: ignore[call-overload]
    return "default"


def draw_weight(
    init: Callable[..., Any], shape: tuple[int, ...], layer: str, fans: Fans | None = None
) -> Array:
    """The initial value of a weight."""
    if isinstance(init, Initialiser):
        return init(shape, fans=fans)
    value = array(init(shape))
    if value.type.shape != shape:
        raise ShapeError(
            f"{layer}: the initialiser gave shape {value.type.shape} for a weight of {shape}.",
            fix="return an array of the shape that the function receives",
        )
    return value if value.type.floating else convert(value, float32)


def draw_bias(init: Callable[..., Any], features: int, fan_in: int) -> Array:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)) with the default initialiser (PyTorch's), else zeros."""
    if init == NAMES["default"]():
        bound = 1.0 / math.sqrt(max(fan_in, 1))
        return random.uniform((features,), -bound, bound)
    return creation.zeros((features,))

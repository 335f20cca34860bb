"""What a row of the gradient table is: a primitive, a function that applies it, and its inputs."""

from __future__ import annotations

import importlib
import pkgutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import retrograd as rg
import retrograd.ops
from retrograd.ir import PRIMITIVES
from retrograd.trace import bind

# All families, also one that nothing imports yet: no primitive escapes the table.
for _module in pkgutil.iter_modules(retrograd.ops.__path__):
    importlib.import_module(f"retrograd.ops.{_module.name}")

NumpyArray = np.ndarray[Any, Any]
Domain = Callable[[np.random.Generator, tuple[int, ...]], NumpyArray]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One entry: the function is checked at random points of its domains."""

    primitive: str
    function: Callable[..., Any]
    domains: tuple[Domain, ...]
    shapes: tuple[Shape, ...]
    note: str = ""
    modes: tuple[str, ...] = ("reverse", "forward")

    @property
    def name(self) -> str:
        shapes = "_".join("x".join(map(str, shape)) or "scalar" for shape in self.shapes)
        return "-".join(part for part in (self.primitive, self.note, shapes) if part)

    def draw(self) -> list[NumpyArray]:
        """The inputs: always the same for the same row."""
        random = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [
            np.asarray(domain(random, shape))
            for domain, shape in zip(self.domains, self.shapes, strict=True)
        ]


# -- domains: where there is no kink, tie or pole nearby ------------------------------------------


def anywhere(random: np.random.Generator, shape: Shape) -> NumpyArray:
    return random.uniform(-2.0, 2.0, shape)


def positive(random: np.random.Generator, shape: Shape) -> NumpyArray:
    return random.uniform(0.5, 2.0, shape)


def nonzero(random: np.random.Generator, shape: Shape) -> NumpyArray:
    return random.uniform(0.3, 2.0, shape) * random.choice([-1.0, 1.0], shape)


def between(low: float, high: float) -> Domain:
    return lambda random, shape: random.uniform(low, high, shape)


def zeros(random: np.random.Generator, shape: Shape) -> NumpyArray:
    return np.zeros(shape)


def distinct(random: np.random.Generator, shape: Shape) -> NumpyArray:
    """Numbers at least 0.2 apart from each other, and 0.1 from those of `between_distinct`."""
    size = int(np.prod(shape))
    places = random.permutation(size) - size // 2
    return (0.3 * places + random.uniform(-0.02, 0.02, size)).reshape(shape)


def between_distinct(random: np.random.Generator, shape: Shape) -> NumpyArray:
    return distinct(random, shape) + 0.15


def one_zero_in_rows(random: np.random.Generator, shape: Shape) -> NumpyArray:
    """Numbers of which the first in each row is 0."""
    values = nonzero(random, shape)
    values[..., 0] = 0.0
    return values


# -- functions ------------------------------------------------------------------------------------


def primitive(
    name: str, *, before: Sequence[Any] = (), after: Sequence[Any] = (), **parameters: Any
) -> Callable[..., Any]:
    """The function that applies a primitive, with fixed inputs before and after its arguments."""
    fixed_before, fixed_after = list(map(rg.array, before)), list(map(rg.array, after))

    def function(*values: Any) -> Any:
        outputs = bind(PRIMITIVES[name], *fixed_before, *values, *fixed_after, **parameters)
        return outputs[0] if len(outputs) == 1 else outputs

    function.parameters = parameters  # type: ignore[attr-defined]
    return function


def curved(function: Callable[..., Any]) -> Callable[..., Any]:
    """A linear function of bent arguments, so that second derivatives are not zero."""
    return lambda *values: function(*(rg.sin(value) + value * value for value in values))

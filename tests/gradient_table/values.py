"""The table of values: for every primitive, what NumPy or plain Python says it must give."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.gradient_table.table import NumpyArray

FLOATS = ("float32", "float64")
NUMBERS = ("float32", "float64", "int32", "int64", "uint8")
ALL = (*NUMBERS, "bool")


@dataclass(frozen=True)
class Value:
    """One entry: the function's value at these inputs is what the reference gives."""

    primitive: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    inputs: tuple[NumpyArray, ...]
    tolerance: float = 0.0
    note: str = ""

    @property
    def name(self) -> str:
        dtypes = "_".join(item.dtype.name for item in self.inputs[:1])
        shapes = "_".join("x".join(map(str, item.shape)) or "scalar" for item in self.inputs)
        return "-".join(part for part in (self.primitive, self.note, dtypes, shapes) if part)


def numbers(dtype: str, shape: tuple[int, ...], low: float = -3.0, high: float = 3.0) -> NumpyArray:
    """Numbers of a dtype, the same for the same arguments; small integers, so that ties occur."""
    random = np.random.default_rng([len(shape), math.prod(shape), int(10 * (high - low))])
    values = random.uniform(low, high, shape)
    if dtype == "bool":
        return values > (low + high) / 2
    if dtype.startswith("u"):
        return np.abs(np.round(values)).astype(dtype)
    return np.asarray(values if dtype.startswith("float") else np.round(values)).astype(dtype)

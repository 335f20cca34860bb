"""The type of a value in a program: a dtype and a static shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import DTypeError, suggest

DType = np.dtype[Any]
Shape = tuple[int, ...]

FLOATS = ("float32", "float64")
INTEGERS = ("uint8", "int32", "uint32", "int64")
DTYPES: dict[str, DType] = {name: np.dtype(name) for name in (*FLOATS, *INTEGERS, "bool")}

float32 = DTYPES["float32"]
float64 = DTYPES["float64"]
int32 = DTYPES["int32"]
int64 = DTYPES["int64"]
uint32 = DTYPES["uint32"]
uint8 = DTYPES["uint8"]
bool_ = DTYPES["bool"]


def as_dtype(dtype: Any) -> DType:
    """The supported NumPy dtype that `dtype` names (a name, a NumPy type, float, int or bool)."""
    if dtype is float:
        return float32
    if dtype is int:
        return int32
    if isinstance(dtype, int):
        raise DTypeError(
            f"{dtype!r} is not a dtype.",
            fix="several sizes go in a tuple: rg.zeros((2, 3))",
        )
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        raise DTypeError(f"{dtype!r} is not a dtype.", fix=suggest(str(dtype), DTYPES)) from None
    found = DTYPES.get(wanted.name)
    if found is None:
        raise DTypeError(
            f"dtype {wanted.name} is not supported; supported are {', '.join(DTYPES)}.",
            fix="convert with .astype('float32') (or another of these) first",
        )
    return found


def strong_dtype(dtype: DType) -> DType:
    """What a Python number becomes when it leaves a program: float32, int32 or bool."""
    return float32 if dtype.kind == "f" else bool_ if dtype.kind == "b" else int32


def is_floating(dtype: DType) -> bool:
    """Whether values of this dtype have gradients."""
    return dtype.kind == "f"


@dataclass(frozen=True, slots=True)
class ArrayType:
    """The dtype and shape of one value, both known when the program is traced."""

    dtype: DType
    shape: Shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def floating(self) -> bool:
        return self.dtype.kind == "f"

    def with_shape(self, shape: Shape) -> ArrayType:
        return ArrayType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: DType) -> ArrayType:
        return ArrayType(dtype, self.shape)

    def __str__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


@lru_cache(maxsize=4096)
def intern_type(dtype: DType, shape: Shape) -> ArrayType:
    """The ArrayType, as one object for equal arguments as long as it is remembered."""
    return ArrayType(dtype, shape)

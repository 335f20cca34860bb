"""Memory at known addresses: the arena, and arrays over memory that a program holds."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from ..ir.types import DType

NumpyArray = np.ndarray[Any, Any]

GUARD = 64
GUARD_BYTE = 0xA5


class Memory:
    """Bytes at an address that is a multiple of 64, between guard bytes if these are wanted."""

    def __init__(self, size: int, guarded: bool) -> None:
        edge = GUARD if guarded else 0
        self.bytes = np.empty(size + 64 + 2 * edge, np.uint8)
        self.start = -(self.bytes.ctypes.data + edge) % 64 + edge
        self.address = self.bytes.ctypes.data + self.start

    def fill(self, inside: list[tuple[int, int]]) -> None:
        """Guard bytes everywhere, and NaN (of every float dtype) in the (place, size) inside."""
        self.bytes[:] = GUARD_BYTE
        for place, size in inside:
            self.read(place, size)[:] = 0xFF

    def is_damaged(self, inside: list[tuple[int, int]]) -> bool:
        """Whether a guard byte has changed."""
        outside = np.ones(self.bytes.size, np.bool_)
        for place, size in inside:
            outside[self.start + place : self.start + place + size] = False
        return bool((self.bytes[outside] != GUARD_BYTE).any())

    def read(self, place: int, size: int) -> NumpyArray:
        return self.bytes[self.start + place : self.start + place + size]


def array_at(address: int, dtype: DType, shape: tuple[int, ...]) -> NumpyArray:
    """The memory at an address as an array."""
    size = math.prod(shape) * dtype.itemsize
    if not size:
        return np.empty(shape, dtype)
    raw: Any = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(raw, dtype).reshape(shape)

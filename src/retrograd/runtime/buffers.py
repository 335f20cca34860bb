"""Memory at known addresses: the arena, and arrays over memory that a program holds."""

from __future__ import annotations

import ctypes
import itertools
import math
import mmap
from contextlib import suppress
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


LARGE = 1 << 20
"""Bytes from which on it matters where an array begins."""
LINE, HUGE_PAGE = 64, 1 << 21
APART, PLACES = 21 * LINE, 16
"""Arrays begin in so many places, so far apart: elements of equal index in several arrays, which
an update reads together, would else crowd into the same few sets of a cache."""
_numbers = itertools.count()


class OwnMemory(mmap.mmap):
    """Memory of one array that a program made and may write over."""


def empty_state(shape: tuple[int, ...], dtype: DType) -> NumpyArray:
    """An array for values that steps will write over; a very large one lies in huge pages.

    NumPy's own begin 16 bytes behind a page: each vector in them lies in two cache lines.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE or not hasattr(mmap, "MAP_PRIVATE"):
        return np.empty(shape, dtype)
    page = HUGE_PAGE if size >= 2 * HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE") else 1
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    memory = OwnMemory(-1, size + page + APART * PLACES, flags=flags)
    if page > 1:
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    start: int = np.frombuffer(memory, np.uint8).__array_interface__["data"][0]
    # The memory is the base of this array alone, and this array that of all views of it: who
    # holds a view holds the array.
    offset = -start % page + next(_numbers) % PLACES * APART
    return np.ndarray(shape, dtype, buffer=memory, offset=offset)


def may_be_written(array: NumpyArray) -> bool:
    """Whether a program may write over an array that nobody else holds, and should.

    Of a large one that does not begin with a cache line it makes a new one instead, once.
    """
    if type(array.base) is OwnMemory:
        return True
    if array.base is not None or not array.flags.owndata:
        return False
    start: int = array.__array_interface__["data"][0]
    return array.nbytes < LARGE or start % LINE == 0 or not hasattr(mmap, "MAP_PRIVATE")


def array_at(address: int, dtype: DType, shape: tuple[int, ...]) -> NumpyArray:
    """The memory at an address as an array."""
    size = math.prod(shape) * dtype.itemsize
    if not size:
        return np.empty(shape, dtype)
    raw: Any = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(raw, dtype).reshape(shape)

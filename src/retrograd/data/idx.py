"""Reads IDX files, the format of MNIST and Fashion-MNIST: a header, then plain numbers.

An IDX file, plain or compressed with gzip, is: two zero bytes, one byte for the kind of number, one
for the number of dimensions, each dimension as a big-endian unsigned 32-bit integer, then the
numbers, big-endian, the last dimension fastest.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File
formats".
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np

from retrograd.errors import DataError, FileFormatError


class _ByteStream(Protocol):
    """What a plain file and a gzip file have in common."""

    def read(self, size: int, /) -> bytes: ...
    def readinto(self, memory: memoryview, /) -> int: ...


_NUMBER_KINDS: dict[int, np.dtype] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_GZIP_MAGIC = b"\x1f\x8b"
# Deflate can not compress by more than this factor, so that a header which claims more is wrong.
_LARGEST_GZIP_RATIO = 1032
_REPLACE_FIX = "Replace the file with a fresh copy."


def read_idx(
    path: str | os.PathLike[str],
    *,
    shape: tuple[int, ...] | None = None,
    dtype: np.dtype | type[np.generic] | None = None,
) -> np.ndarray:
    """Read an IDX file, plain or compressed with gzip, into a NumPy array.

    Whether it is compressed is seen from its first bytes, not from its name.

    Args:
        path: the file.
        shape: the shape that the file must have; any shape if None.
        dtype: the dtype that the file must have, one of uint8, int8, int16, int32, float32,
            float64; any of them if None.

    Returns:
        An array of the file's shape and dtype, in the machine's byte order.

    Raises:
        DataError: there is no such file, or it cannot be opened.
        FileFormatError: the file is not IDX, is truncated or damaged, has bytes left over, or has
            another shape or dtype than was asked for.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "two-labels"
        >>> _ = path.write_bytes(b"\\x00\\x00\\x08\\x01" + b"\\x00\\x00\\x00\\x02" + b"\\x07\\x03")
        >>> read_idx(path)
        array([7, 3], dtype=uint8)

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
    """
    file_path = Path(path)
    wanted_dtype = None if dtype is None else np.dtype(dtype)
    try:
        with open(file_path, "rb") as raw:
            stored_bytes = os.fstat(raw.fileno()).st_size
            compressed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if not compressed:
                return _read_stream(raw, file_path, shape, wanted_dtype, stored_bytes)
            with gzip.GzipFile(fileobj=raw) as stream:
                limit = stored_bytes * _LARGEST_GZIP_RATIO
                return _read_stream(stream, file_path, shape, wanted_dtype, limit)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileFormatError(
            f"{file_path}: expected a whole gzip file, but it is truncated or damaged: {error}.",
            fix=_REPLACE_FIX,
        ) from error
    except OSError as error:
        raise DataError(
            f"{file_path}: the file cannot be read: {error.strerror or error}.",
            fix="Check the path and the permissions.",
        ) from error


def _read_stream(
    stream: _ByteStream,
    path: Path,
    shape: tuple[int, ...] | None,
    dtype: np.dtype | None,
    largest_size: int,
) -> np.ndarray:
    """Read header, numbers and end of an uncompressed stream of at most `largest_size` bytes."""
    stored_dtype, stored_shape = _read_header(stream, path)
    if dtype is not None and stored_dtype.newbyteorder("=") != dtype:
        raise FileFormatError(
            f"{path}: expected numbers of dtype {dtype.name}, found {stored_dtype.name}.",
            fix="Check that this is the file it is taken for.",
        )
    if shape is not None and stored_shape != shape:
        raise FileFormatError(
            f"{path}: expected shape {shape}, found {stored_shape}.",
            fix="Check that this is the file it is taken for (images or labels, train or test).",
        )
    expected = math.prod(stored_shape) * stored_dtype.itemsize
    if expected > largest_size:
        raise FileFormatError(
            f"{path}: expected {expected} bytes of numbers for shape {stored_shape}, but a file of "
            f"this size holds at most {largest_size} bytes: it is truncated.",
            fix=_REPLACE_FIX,
        )
    numbers = np.empty(stored_shape, stored_dtype)
    found = _fill(stream, numbers.reshape(-1).view(np.uint8).data)
    if found < expected:
        raise FileFormatError(
            f"{path}: expected {expected} bytes of numbers for shape {stored_shape}, "
            f"found {found}: it is truncated.",
            fix=_REPLACE_FIX,
        )
    if stream.read(1):
        raise FileFormatError(
            f"{path}: expected the file to end after {expected} bytes of numbers for shape "
            f"{stored_shape}, found more.",
            fix=_REPLACE_FIX,
        )
    return numbers.astype(stored_dtype.newbyteorder("="), copy=False)


def _read_header(stream: _ByteStream, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    """Read the magic number and the dimensions."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _NUMBER_KINDS:
        raise FileFormatError(
            f"{path}: expected an IDX file, which begins with 0x0000, a kind of number "
            f"({', '.join(f'0x{kind:02x}' for kind in _NUMBER_KINDS)}) and the number of "
            f"dimensions; "
            f"found {'0x' + magic.hex() if magic else 'an empty file'}.",
            fix="Check that this is an IDX file, plain or compressed with gzip.",
        )
    rank = magic[3]
    dimensions = stream.read(4 * rank)
    if len(dimensions) < 4 * rank:
        raise FileFormatError(
            f"{path}: expected {rank} dimensions of 4 bytes each in the header, found "
            f"{len(dimensions)} bytes: it is truncated.",
            fix=_REPLACE_FIX,
        )
    shape = tuple(int(dimension) for dimension in np.frombuffer(dimensions, ">u4"))
    if not 1 <= rank <= 32:
        raise FileFormatError(
            f"{path}: expected 1 to 32 dimensions, found {rank}.",
            fix="Check that this is an IDX file, plain or compressed with gzip.",
        )
    return _NUMBER_KINDS[magic[2]], shape


def _fill(stream: _ByteStream, memory: memoryview) -> int:
    """Read until the memory is full or the stream ends; return the number of bytes read."""
    filled = 0
    while filled < len(memory):
        # In pieces: GzipFile.readinto makes a copy as long as what it is asked for.
        count = stream.readinto(memory[filled : filled + (1 << 20)])
        if not count:
            break
        filled += count
    return filled

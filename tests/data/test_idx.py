"""The IDX reader: every kind of number, and every kind of damage named."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from retrograd.data.idx import read_idx
from retrograd.errors import DataError, FileFormatError
from tests.data.helpers import make_idx


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")],
)
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 28, 28)])
def test_idx_round_trip(
    compress: bool, kind: int, dtype: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    numbers = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    content = make_idx(numbers, kind)
    path = tmp_path / "numbers"  # the name does not say whether it is compressed
    path.write_bytes(gzip.compress(content) if compress else content)
    read = read_idx(path, shape=shape, dtype=np.dtype(dtype))
    assert read.dtype == np.dtype(dtype) and read.dtype.isnative and read.flags.writeable
    np.testing.assert_array_equal(read, numbers)


GOOD = make_idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
ZIPPED = gzip.compress(GOOD)
HUGE = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file"),
        (b"\x00\x00", "found 0x0000"),
        (b"PK\x03\x04" + GOOD, "found 0x504b0304"),
        (b"\x00\x00\x07\x01" + GOOD[4:], "found 0x00000701"),
        (b"\x00\x00\x08\x00", "expected 1 to 32 dimensions, found 0"),
        (b"\x00\x00\x08\x21" + b"\x00\x00\x00\x01" * 33, "expected 1 to 32 dimensions, found 33"),
        (GOOD[:9], "expected 3 dimensions of 4 bytes each in the header, found 5 bytes"),
        (GOOD[:-1], "expected 24 bytes of numbers for shape .2, 3, 4."),
        (GOOD + b"\x00", "expected the file to end after 24 bytes"),
        (HUGE, "truncated"),
        (gzip.compress(HUGE), "truncated"),
        (gzip.compress(GOOD[:-1]), "expected 24 bytes .* found 23"),
        (gzip.compress(GOOD + b"\x00"), "expected the file to end after 24 bytes"),
        (ZIPPED[:-9], "expected a whole gzip file"),
        (ZIPPED[:-1], "expected a whole gzip file"),
        (ZIPPED[:5], "expected a whole gzip file"),
        (ZIPPED[:-8] + b"\x00\x00\x00\x00" + ZIPPED[-4:], "expected a whole gzip file.*CRC"),
        (ZIPPED[:12] + b"\xff\xff\xff" + ZIPPED[15:], "expected a whole gzip file"),
        (ZIPPED + b"rubbish", "expected a whole gzip file"),
    ],
)
def test_idx_damage_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_idx(path)
    assert "images-idx3-ubyte" in str(caught.value) and caught.value.fix


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "images"
    for whole in (GOOD, ZIPPED):
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(FileFormatError):
                read_idx(path)


def test_idx_of_another_shape_or_dtype(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(GOOD)
    with pytest.raises(FileFormatError, match=r"expected shape \(2, 3, 5\), found \(2, 3, 4\)"):
        read_idx(path, shape=(2, 3, 5))
    with pytest.raises(FileFormatError, match="expected numbers of dtype float32, found uint8"):
        read_idx(path, dtype=np.float32)


def test_idx_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_idx(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_idx(tmp_path)

"""R's data files, read with the package rdata: nothing of theirs is executed."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from retrograd.errors import DataError


def read_r_object(content: bytes, extension: str = ".rds") -> Any:
    """What a file of R holds: a vector as an array, a data frame as one of pandas.

    Args:
        content: of the file.
        extension: ".rds" for one object, ".rda" for several, which come as a dict.
    """
    try:
        import rdata
    except ImportError:
        raise DataError(
            "R's files are read with the package rdata, which is missing.",
            fix="pip install -e '.[applications]'",
        ) from None
    read = rdata.conversion
    # A "tibble" is a data frame.
    frames = dict.fromkeys(("tbl_df", "tbl"), read.dataframe_constructor)
    parsed = rdata.parser.parse_data(content, extension=extension)
    return read.convert(parsed, {**read.DEFAULT_CLASS_MAP, **frames})


def read_r_database(
    contents: Mapping[str, bytes], path: str, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Objects of the data of an R package, by their names.

    Args:
        contents: the files of the package.
        path: of the database without its ending: `path.rdx` lists names, places and lengths of the
            compressed objects in `path.rdb`.
        names: of the objects to read; None for all.

    Raises:
        DataError: there is no object of a name.
    """
    index = read_r_object(contents[f"{path}.rdx"])["variables"]
    blocks = contents[f"{path}.rdb"]
    found = {}
    for name in index if names is None else names:
        if name not in index:
            raise DataError(f"The R database {path} holds no object {name!r}.")
        place, length = index[name]
        block = blocks[int(place) : int(place) + int(length)]
        found[name] = read_r_object(decompress_block(block))
    return found


def decompress_block(block: bytes) -> bytes:
    """An object of a database: 4 bytes of length, then zlib, or a letter that names another way."""
    way = block[4:5]
    if way == b"2":
        content = bz2.decompress(block[5:])
    elif way == b"Z":
        filters = [{"id": lzma.FILTER_LZMA2}]
        content = lzma.decompress(block[5:], format=lzma.FORMAT_RAW, filters=filters)
    elif way == b"0":
        content = block[5:]
    else:
        content = zlib.decompress(block[4:])
    if len(content) != int.from_bytes(block[:4], "big"):
        raise DataError("An object of an R database has another length than it says.")
    return content

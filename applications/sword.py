"""Verses from the files of a SWORD module: compressed texts (zText) in OSIS markup."""

from __future__ import annotations

import html
import re
import struct
import zlib
from collections.abc import Iterator, Mapping

from retrograd.errors import DataError

NOTES = re.compile(r"<(note|title)\b[^>]*(?<!/)>.*?</\1>", re.DOTALL)
TAGS = re.compile(r"<[^>]*>")


def read_verses(files: Mapping[str, bytes], folder: str) -> list[str]:
    """The entries of a module in the order of its versification, headings and empty ones included.

    Each half ("ot", "nt") has three files. In `.bzz` lie compressed blocks; `.bzs` has 12 bytes a
    block: where it begins, its size, its size when unpacked; `.bzv` has 10 bytes an entry: its
    block, where it begins inside of it, its length.

    Args:
        files: bytes by path.
        folder: where the six files are.

    Raises:
        DataError: they do not fit together.
    """
    return [verse for half in ("ot", "nt") for verse in _read_half(files, f"{folder}/{half}")]


def _read_half(files: Mapping[str, bytes], path: str) -> Iterator[str]:
    packed, blocks, entries = (files[f"{path}.{suffix}"] for suffix in ("bzz", "bzs", "bzv"))
    if len(blocks) % 12 or len(entries) % 10:
        raise DataError(f"{path}: an index ends in the middle of an entry.")
    texts = []
    for start, size, _ in struct.iter_unpack("<III", blocks):
        try:
            texts.append(zlib.decompress(packed[start : start + size]))
        except zlib.error as error:
            raise DataError(f"{path}.bzz cannot be unpacked: {error}.") from error
    for block, start, size in struct.iter_unpack("<IIH", entries):
        if size and (block >= len(texts) or start + size > len(texts[block])):
            raise DataError(f"{path}.bzv names what lies outside of its block.")
        yield clean(texts[block][start : start + size].decode("utf-8")) if size else ""


def clean(verse: str) -> str:
    """The words alone: without notes, titles, markup and signs of paragraphs.

    Example:
        >>> clean('<title>Of light</title><w lemma="H07549">Let</w> there  be light<note>a</note>')
        'Let there be light'
    """
    text = html.unescape(TAGS.sub("", NOTES.sub("", verse)))
    return " ".join(text.replace("¶", " ").split())

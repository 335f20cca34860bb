"""Bytes to text, and what the bytes are where they are no text."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import DataError
from .table_files import FOREIGN_KINDS

MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""What files begin with that are text in another encoding; the longer ones first."""
LOOKED_AT = 4096
"""Bytes by which UTF-16 without a mark is told from what is no text."""


def decode_text(content: bytes, source: str) -> str:
    r"""The text of bytes in UTF-8, with `\n` at the ends of lines.

    Args:
        content: all bytes.
        source: where they are from, for errors.

    Raises:
        DataError: they are in another encoding, or no text.

    Example:
        >>> decode_text(b"one\r\ntwo", "the file")
        'one\ntwo'
    """
    text, line, start = None, 0, 0
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, start = content.count(b"\n", 0, error.start) + 1, error.start
    has_zeros = b"\0" in content
    if text is None or has_zeros:
        encoding = _find(MARKS, content) or (_guess_order(content) if has_zeros else None)
        if encoding is not None:
            raise DataError(
                f"{source} is not UTF-8, but {encoding}.",
                fix=f"convert it first: iconv -f {encoding} -t UTF-8",
            )
        kind = _find(FOREIGN_KINDS, content)
        if kind is not None or has_zeros:
            told = f"is {kind}, no text" if kind else "is no text: it holds zero bytes"
            raise DataError(f"{source} {told}.", fix="Give plain text in UTF-8.")
    if text is None:
        raise DataError(
            f"{source} is not UTF-8: byte {start} in line {line}.",
            fix="convert it first: iconv -f LATIN1 -t UTF-8",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _find(names: Mapping[bytes, str], content: bytes) -> str | None:
    return next((name for mark, name in names.items() if content.startswith(mark)), None)


def _guess_order(content: bytes) -> str | None:
    """UTF-16 in one order of its bytes, if every second byte is mostly zero and no other is."""
    start = content[:LOOKED_AT]
    even, odd = start[::2].count(0), start[1::2].count(0)
    most = len(start) // 4
    if odd > most and not even:
        return "UTF-16LE"
    return "UTF-16BE" if even > most and not odd else None

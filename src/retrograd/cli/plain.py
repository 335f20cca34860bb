"""Plain text from stdin and to files."""

from __future__ import annotations

import os
import sys

from ..data.decoding import decode_text
from ..data.text import read_text
from ..errors import DataError
from ..train.files import explain_write_error, write_atomically

STANDARD_INPUT = "-"
"""What stands for stdin where a file is named."""


def read_standard_input() -> str:
    r"""All of stdin, with `\n` at the ends of lines.

    Raises:
        DataError: it is no text in UTF-8.
    """
    return decode_text(sys.stdin.buffer.read(), "What stands on stdin")


def read_lines(path: str) -> list[str]:
    """The lines of a text file or of stdin, each for one answer.

    Only what ends a line for other programs ends one here, not each of Unicode's separators.

    Raises:
        DataError: there is no text, or it is not UTF-8.
    """
    text = read_standard_input() if path == STANDARD_INPUT else read_text(path)
    if not text.strip():
        raise DataError("Nothing came on stdin.", fix="Give one text a line.")
    return text.removesuffix("\n").split("\n")


def write_text(path: str, text: str) -> None:
    """Write a text file, whole or not at all; into a pipe or a device as it comes.

    Raises:
        SaveError: it cannot be written.
    """
    if not os.path.exists(path) or os.path.isfile(path):
        # Through a link, to the file that it names.
        write_atomically(os.path.realpath(path), text.encode("utf-8"))
        return
    try:
        with open(path, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise explain_write_error(path, error) from error

"""Reading files whole, at once: later changes on the disk are not seen, and nothing stays open."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from ..errors import FileFormatError, suggest
from .files import recover_directory

ATTEMPTS = 50


def read_regular_file(path: Path, what: str, directory: int | None = None) -> bytes:
    """The bytes of a plain file, read at once, so that later changes of it are not seen.

    Args:
        path: the file.
        what: what it should be, for messages ("a weights file").
        directory: an open directory in which its name is looked up instead of by its whole path.

    Raises:
        FileNotFoundError: it is missing (only when `directory` is given: it may just be replaced).
        FileFormatError: it is missing, unreadable, a directory or a device, or too large.
    """
    name = str(path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        number = os.open(path if directory is None else path.name, flags, dir_fd=directory)
        with os.fdopen(number, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise FileFormatError(
                    f"{name!r} is a device or a pipe, not {what}.", fix="give the path of a file"
                )
            return file.read()
    except FileNotFoundError as error:
        if directory is not None:
            raise
        raise FileFormatError(f"{name!r} does not exist.", fix=_near_files(path)) from error
    except IsADirectoryError as error:
        raise FileFormatError(
            f"{name!r} is a directory, not {what}.",
            fix="rg.load_model reads a model directory, rg.load_weights a weights file",
        ) from error
    except MemoryError as error:
        raise FileFormatError(f"{name!r} does not fit into memory.") from error
    except OSError as error:
        raise FileFormatError(f"{name!r} cannot be read: {error.strerror or error}.") from error


def _near_files(path: Path) -> str:
    try:
        near = get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.5)
    except OSError:
        return f"check the path: there is no folder {str(path.parent)!r}"
    return suggest(path.name, near) if near else "check the path"


def read_directory_files(path: Path, names: Iterable[str], what: str) -> dict[str, bytes]:
    """Files of a directory that `replace_directory` writes, all from the same version of it.

    Args:
        path: the directory.
        names: the names of the files.
        what: what the directory should be, for messages ("a model directory").

    Raises:
        FileFormatError: the directory or one of the files is missing or cannot be read.
    """
    wanted = list(names)
    for attempt in range(ATTEMPTS):
        try:
            recover_directory(path)
            # The open directory stays the same one while another takes its place.
            directory = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        except FileNotFoundError as error:
            if attempt + 1 < 3:  # it may just be replaced
                time.sleep(0.01)
                continue
            raise FileFormatError(
                f"{str(path)!r} does not exist.", fix=_near_files(path)
            ) from error
        except NotADirectoryError as error:
            raise FileFormatError(
                f"{str(path)!r} is a file, not {what}.",
                fix="rg.load_model reads a model directory, rg.load_weights a weights file",
            ) from error
        except OSError as error:
            raise FileFormatError(
                f"{str(path)!r} cannot be read: {error.strerror or error}."
            ) from error
        try:
            return {name: read_regular_file(path / name, what, directory) for name in wanted}
        except FileNotFoundError as error:
            if _was_replaced(path, directory):
                continue
            missing = next((n for n in wanted if not (path / n).exists()), wanted[0])
            raise FileFormatError(
                f"{str(path)!r} is not {what}: it holds no {missing}.", fix="check the path"
            ) from error
        finally:
            os.close(directory)
    raise FileFormatError(f"{str(path)!r} is replaced all the time and cannot be read.")


def _was_replaced(path: Path, directory: int) -> bool:
    """Whether another directory stands at the path now than the one that is open."""
    try:
        return not os.path.samestat(os.stat(path), os.fstat(directory))
    except OSError:
        return True

"""Downloads a file once into the user's cache, checked against its SHA-256."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from retrograd.config import get_config
from retrograd.errors import DownloadError, SaveError

_BLOCK = 1 << 18
_TIMEOUT_SECONDS = 30.0


def find_cache_folder(name: str) -> Path:
    """The folder where the data set of this name is kept after a download, as config.py says."""
    return get_config().data_folder.expanduser() / name


def compute_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download_file(url: str, path: Path, *, sha256: str, size: int, offline_fix: str) -> Path:
    """Bring a file into the cache, unless it is there already with the right bytes.

    The file is written beside its target and renamed when its checksum is right: what is at `path`
    is always whole, also when two processes download at once.

    Args:
        url: where the file is.
        path: where it is put.
        sha256: the SHA-256 of its bytes, in hexadecimal digits.
        size: its length in bytes.
        offline_fix: what to do without a network, for the error.

    Returns:
        `path`.

    Raises:
        DownloadError: the server cannot be reached, does not have the file, or sent other bytes.
        SaveError: the cache folder cannot be written.
    """
    if _is_whole(path, sha256, size):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=path.name + ".", suffix=".part", dir=path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            found_size, found_sha256 = _copy(url, file, path, size, offline_fix)
        if found_size != size or found_sha256 != sha256:
            more = " or more" if found_size > size else ""
            raise DownloadError(
                f"{url}: expected {size} bytes with SHA-256 {sha256}, received {found_size}{more} "
                f"bytes with SHA-256 {found_sha256}: the download is damaged, or the file has "
                "changed. Nothing was kept.",
                fix=f"Try again; if it stays so, {offline_fix}",
            )
        os.replace(part, path)
    except OSError as error:
        if isinstance(error, (DownloadError, SaveError)):
            raise
        raise _cannot_write(path, error) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _is_whole(path: Path, sha256: str, size: int) -> bool:
    try:
        return path.stat().st_size == size and compute_sha256(path) == sha256
    except OSError:
        return False


def _cannot_write(path: Path, error: OSError) -> SaveError:
    return SaveError(
        f"{path}: the file cannot be written: {error.strerror or error}.",
        fix="Free some space or set RETROGRAD_DATA to a folder that can be written.",
    )


def _copy(url: str, file: IO[bytes], path: Path, size: int, offline_fix: str) -> tuple[int, str]:
    """Copy what the server sends; return its length and its SHA-256."""
    digest = hashlib.sha256()
    received = 0
    try:
        # The address is one of ours (datasets.py), over HTTP; the checksum protects the content.
        response = urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS)
        with response, _show_progress(path.name, size) as advance:
            # A server that sends without end is not followed past the known size.
            while received <= size:
                block = response.read(_BLOCK)
                if not block:
                    break
                try:
                    file.write(block)
                except OSError as error:
                    raise _cannot_write(path, error) from error
                digest.update(block)
                received += len(block)
                advance(len(block))
    except SaveError:
        raise
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            reason = f"the server answered {error.code} {error.reason}"
        elif isinstance(error, urllib.error.URLError):
            reason = f"the server cannot be reached ({error.reason})"
        else:
            reason = (
                f"the connection broke after {received} of {size} bytes ({error or type(error)})"
            )
        raise DownloadError(
            f"{url}: expected a file of {size} bytes, but {reason}.",
            fix=f"Check the network and try again. Without a network, {offline_fix}",
        ) from error
    return received, digest.hexdigest()


@contextmanager
def _show_progress(name: str, size: int) -> Iterator[Callable[[int], object]]:
    """A progress bar on a terminal; silence elsewhere. Yields what takes each block's length."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=size)
        yield lambda count: progress.advance(task, count)

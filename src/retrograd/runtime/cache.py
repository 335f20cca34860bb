"""Machine code on disk, so that the second start of a script compiles nothing.

An entry is a file: a mark, the SHA-256 of the content, the content. What is loaded is run, so the
folder and its files must belong to this user and be writable by nobody else. Files are written
beside their place and renamed, so that a reader sees all of a file or none. Nothing that fails
here is an error: the code is then made anew.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import final

from ..config import get_config

MARK = b"retrograd code 1\n"
FOLDER = "native"

MOST_BYTES = 256 * 1024 * 1024
"""Beyond this, the entries that were used least recently go."""

KEPT_BYTES = MOST_BYTES * 3 // 4
"""How much is left when entries go: a full cache is not swept at every entry."""

FRESH = 3600.0
"""Seconds for which the time of use of an entry is not written again; also how long a file that
its writer has not renamed is left alone."""


@final
class Cache:
    """Entries on disk, by key.

    Safe for any number of processes and threads at once: all state is in the folder.

    Args:
        folder: entries lie in the folder `native` inside of it, which is made when the first
            entry is kept.
        most: the size in bytes of all entries, at the most.
        kept: the size that is left when entries go.
    """

    def __init__(self, folder: Path, most: int = MOST_BYTES, kept: int = KEPT_BYTES) -> None:
        self.folder = folder / FOLDER
        self.most = most
        self.kept = min(kept, most)
        self._told = False

    def get(self, key: str) -> bytes | None:
        """The content of an entry; None if there is none that is whole and ours."""
        return self.get_all([key]).get(key)

    def get_all(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The contents of those entries that are there, whole and ours."""
        contents = {}
        with suppress(OSError), self._open(make=False) as folder:
            for key in keys:
                if folder is None:
                    break
                with suppress(OSError):
                    content = self._find(folder, key)
                    if content is not None:
                        contents[key] = content
        return contents

    def put(self, key: str, content: bytes) -> bool:
        """Keep an entry, in the place of one that may be there. Whether it was kept."""
        return self.put_all({key: content})

    def put_all(self, contents: dict[str, bytes]) -> bool:
        """Keep entries. Whether all were kept; they are written in order until one is not."""
        if sum(map(len, contents.values())) > self.kept:
            return False
        with suppress(OSError), self._open(make=True) as folder:
            if folder is None:
                return False
            for key, content in contents.items():
                self._write(folder, key, MARK + hashlib.sha256(content).digest() + content)
            self._sweep(folder)
            return True
        return False

    def forget(self, key: str) -> None:
        """Remove an entry, as one whose content makes no sense."""
        with suppress(OSError), self._open(make=False) as folder:
            if folder is not None:
                os.unlink(key, dir_fd=folder)

    # -- the folder -----------------------------------------------------------------------------

    @contextmanager
    def _open(self, make: bool) -> Iterator[int | None]:
        """The folder, open, after a look at whose it is; None if it cannot be trusted.

        All files are then reached through the open folder: a path could lead elsewhere by then.
        """
        if make:
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self.folder.mkdir(mode=0o700)
        above = os.stat(self.folder.parent)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            held = os.fstat(folder)
            reason = None
            if held.st_uid != os.geteuid():
                reason = "it belongs to another user"
            elif held.st_mode & 0o022:
                reason = "others may write there"
            elif above.st_mode & 0o002 and not above.st_mode & stat.S_ISVTX:
                reason = "all users may write in the folder above"
            if reason is not None:
                self._tell(reason)
                yield None
                return
            if held.st_mode & 0o055:
                os.fchmod(folder, 0o700)
            yield folder
        finally:
            os.close(folder)

    def _tell(self, reason: str) -> None:
        """Say once why the cache is not used."""
        if not self._told:
            self._told = True
            warnings.warn(
                f"{self.folder} is not used for machine code: {reason}. Programs are compiled at "
                "each start. Remove the folder, or name another one in RETROGRAD_CACHE "
                "(RETROGRAD_CACHE=off: none).",
                UserWarning,
                stacklevel=2,
            )

    def _find(self, folder: int, key: str) -> bytes | None:
        """The content of an entry, which goes where it is damaged or not ours."""
        found = self._read(folder, key)
        if found is None:
            return None
        head = len(MARK) + 32
        content = found[head:]
        sound = found[: len(MARK)] == MARK and len(found) >= head
        if sound and hashlib.sha256(content).digest() == found[len(MARK) : head]:
            return content
        self.forget(key)
        return None

    def _read(self, folder: int, key: str) -> bytes | None:
        try:
            number = os.open(key, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except FileNotFoundError:
            return None
        with open(number, "rb") as file:
            held = os.fstat(number)
            safe = stat.S_ISREG(held.st_mode) and not held.st_mode & 0o022
            if not safe or held.st_uid != os.geteuid():
                return b""  # as a damaged one
            if time.time() - held.st_mtime > FRESH:
                with suppress(OSError):
                    os.utime(number)
            return file.read(self.most + 1)

    def _write(self, folder: int, key: str, content: bytes) -> None:
        beside = f"{uuid.uuid4().hex}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        number = os.open(beside, flags, 0o600, dir_fd=folder)
        try:
            with open(number, "wb") as file:
                file.write(content)
            os.rename(beside, key, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside, dir_fd=folder)
            raise

    def _sweep(self, folder: int) -> None:
        """Remove what was used least recently, and what dead writers left."""
        entries, total, now = [], 0, time.time()
        with os.scandir(folder) as found:
            for entry in found:
                with suppress(OSError):
                    held = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(".new"):
                        if abs(now - held.st_mtime) > FRESH:
                            os.unlink(entry.name, dir_fd=folder)
                        continue
                    entries.append((held.st_mtime, entry.name, held.st_size))
                    total += held.st_size
        if total <= self.most:
            return
        for _, name, size in sorted(entries):
            if total <= self.kept:
                break
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
            total -= size


def get_cache() -> Cache | None:
    """The cache of this process; None if there is to be none, or the system knows no owners."""
    folder = get_config().cache_folder
    if folder is None or not hasattr(os, "geteuid"):
        return None
    return _cache_in(folder)


@lru_cache
def _cache_in(folder: Path) -> Cache:
    return Cache(folder)

"""Writing files and directories so that a reader sees the old one or the new one, never a part.

A file is written beside its target, flushed to the disk and renamed. A directory is written
beside its target and swapped in by two renames; should the process die between the two,
`recover_directory` (called before reading) puts the earlier one back. Whoever swaps or recovers
holds a lock on the folder above, so that several processes may write one directory.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import SaveError

PathLike = str | os.PathLike[str]


def write_atomically(path: PathLike, data: bytes) -> None:
    """Write a file whole or not at all; the earlier file stays until the new one is complete.

    Args:
        path: the file. Its folder is made when missing.
        data: the new contents.

    Raises:
        SaveError: the disk is full or the path cannot be written. The earlier file is untouched.

    Example:
        >>> import tempfile, os
        >>> from retrograd.train.files import write_atomically
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(os.path.join(folder, "a.txt"), b"whole")
        ...     os.listdir(folder)
        ['a.txt']
    """
    target = Path(path)
    temporary: str | None = None
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a directory", str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _usual_mode())
        os.replace(temporary, target)
        temporary = None
        _sync_folder(target.parent)
    except OSError as error:
        raise explain_write_error(target, error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


@contextmanager
def replace_directory(path: PathLike, marker: str, force: bool = False) -> Iterator[Path]:
    """A folder to write into, which takes the place of the directory `path` at the end.

    If the body raises, the earlier directory is untouched. Files of other names that lay in the
    earlier directory are kept.

    Args:
        path: the directory to make or replace.
        marker: the name of a file that every directory of this kind holds. An existing directory
            that is neither empty nor has it belongs to somebody else and is refused.
        force: replace it nevertheless; its other files are kept.

    Raises:
        SaveError: the disk is full, the path cannot be written, or it is something else.

    Example:
        >>> import tempfile, os
        >>> from retrograd.train.files import replace_directory
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replace_directory(os.path.join(folder, "run"), marker="run.json") as fresh:
        ...         _ = (fresh / "run.json").write_text("{}")
        ...     os.listdir(folder)
        ['run']
    """
    target = Path(os.path.realpath(path))
    fresh: Path | None = None
    mark: int | None = None
    try:
        _check_replaceable(target, marker, force)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent):
            _recover(target)
            _remove_abandoned(target)
            fresh = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
            mark = os.open(fresh, os.O_RDONLY)
            _lock(mark, wait=True)  # told apart by it from what a killed process left
        yield fresh
        if not (fresh / marker).is_file():
            raise SaveError(f"{marker} was not written for {str(target)!r}.")
        for file in fresh.rglob("*"):
            if file.is_file():
                _sync_file(file)
        os.chmod(fresh, _usual_mode(directory=True))
        with _locked(target.parent):
            _recover(target)
            _check_replaceable(target, marker, force)
            _swap_in(fresh, target)
            fresh = None
    except OSError as error:
        if isinstance(error, SaveError):
            raise
        raise explain_write_error(target, error) from error
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)
        if mark is not None:
            os.close(mark)


def recover_directory(path: PathLike) -> None:
    """Put the earlier directory back if a process died while replacing it. Call before reading."""
    target = Path(os.path.realpath(path))
    if _previous(target).is_dir():
        with _locked(target.parent):
            _recover(target)


def _recover(target: Path) -> None:
    previous = _previous(target)
    if not previous.is_dir():
        return
    if not target.exists():
        os.rename(previous, target)
    else:
        _keep_foreign_files(previous, target)
        shutil.rmtree(previous, ignore_errors=True)


def _remove_abandoned(target: Path) -> None:
    """Remove what killed processes had begun to write for this directory."""
    for entry in target.parent.iterdir():
        if not entry.name.startswith(_prefix(target)):
            continue
        with suppress(OSError):
            number = os.open(entry, os.O_RDONLY)
            try:
                if _lock(number, wait=False):
                    shutil.rmtree(entry, ignore_errors=True)
            finally:
                os.close(number)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes and threads that swap directories in this folder waiting."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # what follows says better what is wrong with the folder
        yield
        return
    try:
        _lock(number, wait=True)
        yield
    finally:
        os.close(number)


def _lock(number: int, wait: bool) -> bool:
    """Lock an open folder until it is closed; False if it is locked, or cannot be."""
    try:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True


def explain_write_error(path: PathLike, error: OSError) -> SaveError:
    """The SaveError for an operating system's error, with what to do about it."""
    fixes = {
        errno.ENOSPC: "free some space or choose another disk",
        errno.EDQUOT: "free some of your quota or choose another disk",
        errno.EACCES: "choose a folder that you may write to",
        errno.EPERM: "choose a folder that you may write to",
        errno.EROFS: "choose a disk that can be written to",
        errno.EISDIR: "give the name of a file",
        errno.ENOTDIR: "a part of the path is a file: choose another path",
    }
    reason = error.strerror or str(error) or type(error).__name__
    return SaveError(
        f"{os.fspath(path)!r} could not be written: {reason}. What was there before is untouched.",
        fix=fixes.get(error.errno or 0, "choose another path"),
    )


def _check_replaceable(target: Path, marker: str, force: bool) -> None:
    """Looks once: another writer may be replacing the directory at this moment."""
    try:
        names = os.listdir(target)
    except FileNotFoundError:
        if target.is_symlink() and not target.exists():
            raise SaveError(
                f"{str(target)!r} is a link to nothing.", fix="choose another path"
            ) from None
        return
    except NotADirectoryError:
        if not target.exists():
            return  # a part of the path is no directory: making it tells
        raise SaveError(
            f"{str(target)!r} exists and is not a directory.", fix="choose another path"
        ) from None
    except OSError:
        return  # writing tells what is wrong
    if names and marker not in names and not force:
        raise SaveError(
            f"{str(target)!r} exists and holds other files (no {marker}).",
            fix="choose a new directory, or empty this one",
        )


def _swap_in(fresh: Path, target: Path) -> None:
    previous = _previous(target)
    if target.is_dir():
        os.rename(target, previous)
    try:
        os.rename(fresh, target)
    except OSError:
        if previous.is_dir():
            os.rename(previous, target)
        raise
    _sync_folder(target.parent)
    if previous.is_dir():
        _keep_foreign_files(previous, target)
        shutil.rmtree(previous, ignore_errors=True)


def _keep_foreign_files(previous: Path, target: Path) -> None:
    for entry in previous.iterdir():
        if not (target / entry.name).exists():
            os.rename(entry, target / entry.name)


def _prefix(target: Path) -> str:
    return f".{target.name}.writing-"


def _previous(target: Path) -> Path:
    return target.parent / f".{target.name}.previous"


def _sync_file(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Make renames in a folder durable, where the system can (Windows cannot)."""
    with suppress(OSError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _usual_mode(directory: bool = False) -> int:
    """The permissions that a plain `open` or `mkdir` would give; temporary files are private."""
    mask = os.umask(0)
    os.umask(mask)
    return (0o777 if directory else 0o666) & ~mask

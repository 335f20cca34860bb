"""The number of threads of NumPy's matrix products."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np

from ..errors import ArgumentError

SETTERS = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)


VARIABLE = "RETROGRAD_THREADS"


def choose_threads(asked: int | None) -> int | None:
    """What the user asked for, or what `RETROGRAD_THREADS` says; None if neither.

    Raises:
        ArgumentError: the variable is not a whole number from 1.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if asked is not None or not given:
        return asked
    if not (given.isascii() and given.isdigit() and int(given) > 0):
        raise ArgumentError(
            f"{VARIABLE} is {given!r}; expected a whole number from 1.", fix=f"unset {VARIABLE}"
        )
    return int(given)


def limit_threads(count: int) -> bool:
    """Let NumPy's OpenBLAS use so many threads from now on.

    Args:
        count: at least 1.

    Returns:
        Whether it could be told. Where NumPy was built on another library, the environment
        variables of that library must be set before Python starts.

    Example:
        >>> limit_threads(1) in (True, False)
        True
    """
    for path in _find_libraries():
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for name in SETTERS:
            setter = getattr(library, name, None)
            if setter is not None:
                setter.argtypes, setter.restype = [ctypes.c_int], None
                setter(int(count))
                return True
    return False


def _find_libraries() -> list[Path]:
    """The OpenBLAS that lies in NumPy's wheel: loaded already, so that this opens the same one."""
    package = Path(np.__file__).parent
    folders = [package.parent / "numpy.libs", package / ".dylibs"]
    return [file for folder in folders if folder.is_dir() for file in folder.glob("*openblas*")]

"""Every setting and environment variable, in one frozen place.

| variable                   | meaning                                        | default          |
|----------------------------|------------------------------------------------|------------------|
| `RETROGRAD_DATA`           | folder for downloaded data sets                | the user's cache |
| `RETROGRAD_CACHE`          | folder for machine code; `0` or `off`: none    | the user's cache |
| `RETROGRAD_VERIFY`         | `1` verifies every Graph (on in tests)         | `0`              |
| `RETROGRAD_POISON`         | `1` fills memory with NaN, guards every buffer | `0`              |
| `RETROGRAD_FULL_TRACEBACK` | `1` keeps retrograd's own frames in tracebacks | `0`              |
| `RETROGRAD_THREADS`        | number of threads, from 1 to 256               | all that may run |
| `RETROGRAD_WITHOUT_PASSES` | passes of the compiler to leave out, by name   | none             |
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .errors import ArgumentError

MOST_THREADS = 256


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of this process, read from the environment once."""

    data_folder: Path
    verify: bool
    poison: bool = False
    threads: int | None = None
    cache_folder: Path | None = None
    without_passes: frozenset[str] = frozenset()


def user_cache_folder() -> Path:
    """The folder for files that can be fetched again: `$XDG_CACHE_HOME` or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "retrograd"


def read_cache_folder(variable: str = "RETROGRAD_CACHE") -> Path | None:
    """The folder for machine code; None if none is to be kept."""
    given = os.environ.get(variable, "").strip()
    if given.lower() in ("0", "off"):
        return None
    return Path(given).expanduser().absolute() if given else user_cache_folder() / "code"


def read_threads(variable: str = "RETROGRAD_THREADS") -> int | None:
    """The number of threads that the user asks for; None if the machine decides.

    Raises:
        ArgumentError: the variable is not a whole number from 1 to 256.
    """
    given = os.environ.get(variable, "").strip()
    if not given:
        return None
    if given.isascii() and given.isdigit() and len(given) < 10:
        if 1 <= int(given) <= MOST_THREADS:
            return int(given)
    raise ArgumentError(
        f"{variable} is {given!r}; expected a whole number from 1 to {MOST_THREADS}.",
        fix=f"unset {variable}",
    )


def read_without_passes(variable: str = "RETROGRAD_WITHOUT_PASSES") -> frozenset[str]:
    """The names of the passes to leave out, separated by commas; `passes/pipeline.py` has all."""
    names = os.environ.get(variable, "").split(",")
    return frozenset(name.strip() for name in names if name.strip())


@lru_cache(maxsize=1)
def get_config() -> Config:
    """The frozen settings of this process."""
    data = os.environ.get("RETROGRAD_DATA")
    return Config(
        data_folder=Path(data) if data else user_cache_folder() / "data",
        verify=os.environ.get("RETROGRAD_VERIFY", "0") == "1",
        poison=os.environ.get("RETROGRAD_POISON", "0") == "1",
        threads=read_threads(),
        cache_folder=read_cache_folder(),
        without_passes=read_without_passes(),
    )

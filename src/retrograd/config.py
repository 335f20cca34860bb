"""Every setting and environment variable, in one frozen place.

| variable                    | meaning                                                    | default            |
|-----------------------------|------------------------------------------------------------|--------------------|
| `RETROGRAD_DATA`            | folder for downloaded data sets                            | the user's cache   |
| `RETROGRAD_VERIFY`          | `1` verifies every Graph that is made                      | `0` (`1` in tests) |
| `RETROGRAD_FULL_TRACEBACK`  | `1` keeps retrograd's own frames in tracebacks             | `0`                |
| `RETROGRAD_THREADS`         | number of threads of the NumPy executor's BLAS             | the library's own  |
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of this process, read from the environment once."""

    data_folder: Path
    verify: bool
    default_float: str = "float32"
    default_int: str = "int32"


def user_cache_folder() -> Path:
    """The folder for files that can be fetched again: `$XDG_CACHE_HOME` or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "retrograd"


@lru_cache(maxsize=1)
def get_config() -> Config:
    """The frozen settings of this process."""
    data = os.environ.get("RETROGRAD_DATA")
    return Config(
        data_folder=Path(data) if data else user_cache_folder() / "data",
        verify=os.environ.get("RETROGRAD_VERIFY", "0") == "1",
    )

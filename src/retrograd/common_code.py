"""Machine code that does not depend on any program: loaded once in a process."""

from __future__ import annotations

from functools import lru_cache

from .codegen.series import write_series
from .codegen.stopping import HANDLER, TEXT
from .codegen.team import write_team
from .runtime import jit, kept
from .runtime.stopping import Handler
from .runtime.target import host_target
from .runtime.threads import Pool, get_pool


@lru_cache(maxsize=1)
def load_series() -> jit.Library:
    """The machine code that runs steps one after the other."""
    return jit.load(kept.assemble(write_series()), ["series", "series_alone"], process=True)


@lru_cache(maxsize=1)
def get_handler() -> Handler:
    """What asks loops to stop when Ctrl-C is pressed."""
    return Handler(kept.load(TEXT, HANDLER))


def get_team(threads: int) -> Pool:
    """The team of so many threads."""
    return get_pool(threads, lambda: kept.assemble(write_team(host_target().triple)))

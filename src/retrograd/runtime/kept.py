"""Machine code and Plans by what they come from: from the cache, or made anew and kept.

Machine code is found by its LLVM text, a Plan by the Graph from which it was made; both with the
CPU and the versions of all that has a part in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..version import VERSION
from . import jit
from .cache import get_cache
from .jit import Library
from .plan import NumpyArray, Plan, read_plan
from .target import Target, host_target, initialise

SOURCES = ("ir", "ops", "passes", "codegen", "runtime")


def assemble(text: str, target: Target | None = None) -> bytes:
    """Object code for LLVM text, as `jit.assemble`."""
    return assemble_named(text, target)[0]


@lru_cache
def load(text: str, names: tuple[str, ...]) -> Library:
    """Functions that all programs use: loaded once, and never freed."""
    return jit.load(assemble(text), list(names))


def assemble_named(text: str, target: Target | None = None) -> tuple[bytes, str]:
    """Object code for LLVM text, and the name under which it is kept."""
    key = _key("code", text, _describe(host_target() if target is None else target))
    cache = get_cache()
    code = None if cache is None else cache.get(key)
    if code is None:
        code = jit.assemble(text, target)
        if cache is not None:
            cache.put(key, code)
    return code, key


def name_plan(graph: str, target: Target, settings: Sequence[Any]) -> str:
    """The name of the Plan of a program.

    Args:
        graph: the fingerprint of its Graph.
        target: the CPU.
        settings: all else that the Plan depends on.
    """
    return _key("plan", graph, _describe(target), hash_sources(), np.__version__, *settings)


def name_kernel(kernel: str, target: Target) -> str:
    """The name of the entry that tells in which library a kernel is."""
    return _key("kernel", kernel, _describe(target), hash_sources())


def name_library(content: bytes) -> str:
    """The name of a library; it follows from its content."""
    return _key("library", hashlib.sha256(content).hexdigest())


def load_plan(name: str, known: Sequence[NumpyArray]) -> Plan | None:
    """A Plan; None if it is not there."""
    cache = get_cache()
    content = None if cache is None else cache.get(name)
    if cache is None or content is None:
        return None
    try:
        return read_plan(content, known)
    except (ValueError, KeyError, IndexError, TypeError):
        cache.forget(name)
        return None


def keep_plan(name: str, plan: Plan, known: Sequence[NumpyArray]) -> None:
    """Keep a Plan."""
    cache = get_cache()
    content = None if cache is None else plan.write(known)
    if cache is not None and content is not None:
        cache.put(name, content)


def _key(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _describe(target: Target) -> tuple[Any, ...]:
    """The CPU and the versions of what makes code for it."""
    import llvmlite

    return (target, initialise().llvm_version_info, llvmlite.__version__, VERSION, _hash_jit())


@lru_cache(maxsize=1)
def _hash_jit() -> str:
    return _hash_files([Path(jit.__file__)])


@lru_cache(maxsize=1)
def hash_sources() -> str:
    """A SHA-256 of the files that turn Graphs into programs.

    The version alone would do for users, but not for those who change these files.
    """
    root = Path(__file__).parent.parent
    found = [path for name in SOURCES for path in sorted((root / name).glob("*.py"))]
    return _hash_files([*found, root / "native.py"])


def _hash_files(paths: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError:  # in an archive: the version must do
            content = b""
        total.update(f"{path.name} {len(content)}\n".encode() + content)
    return total.hexdigest()

"""Kernels that are in memory, and where those are that lie in the cache.

A kernel is compiled once in a process: programs that need it hold the library in which it is, and
when none does any more, its memory is freed. In the cache a library is an entry, and each of its
kernels a small entry that names the library.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from weakref import WeakValueDictionary

from . import jit, kept
from .cache import get_cache
from .forks import LOCK
from .jit import Library
from .target import Target

_by_kernel: WeakValueDictionary[tuple[Target, str], Library] = WeakValueDictionary()
_by_name: WeakValueDictionary[str, Library] = WeakValueDictionary()


def find_kernels(names: Collection[str], target: Target) -> dict[str, Library]:
    """The libraries of those kernels that are in memory or in the cache."""
    found = {}
    for name in names:
        library = _by_kernel.get((target, name))
        if library is not None:
            found[name] = library
    cache = get_cache()
    missing = {kept.name_kernel(name, target): name for name in names if name not in found}
    pointers = {} if cache is None or not missing else cache.get_all(missing)
    for content in pointers.values():
        library = load_library(content.decode(errors="replace"), target)
        for name in library.addresses if library is not None else ():
            if name in names and library is not None:
                found.setdefault(name, library)
    return found


def make_kernels(text: str, names: Iterable[str], target: Target) -> Library:
    """Compile new kernels and keep them."""
    listed = sorted(names)
    code = jit.assemble(text, target)
    content = _join(listed, code)
    name = kept.name_library(content)
    cache = get_cache()
    if cache is not None:
        own = {kept.name_kernel(kernel, target): name.encode() for kernel in listed}
        cache.put_all({name: content, **own})
    return _load(name, listed, code, target)


def load_library(name: str, target: Target) -> Library | None:
    """A library from memory or from the cache."""
    library = _by_name.get(name)
    if library is not None:
        return library
    cache = get_cache()
    content = None if cache is None else cache.get(name)
    if cache is None or content is None:
        return None
    try:
        names, code = _split(content)
    except ValueError:  # something else: it goes
        cache.forget(name)
        return None
    return _load(name, names, code, target)


def forget_all() -> None:
    """Know no library any more, as in a new process; programs keep theirs."""
    with LOCK:
        _by_name.clear()
        _by_kernel.clear()


def _load(name: str, names: list[str], code: bytes, target: Target) -> Library:
    library = jit.load(code, names)
    library.name = name
    with LOCK:
        _by_name[name] = library
        for kernel in names:
            _by_kernel.setdefault((target, kernel), library)
    return library


def _join(names: list[str], code: bytes) -> bytes:
    return " ".join(names).encode() + b"\n" + code


def _split(content: bytes) -> tuple[list[str], bytes]:
    names, code = content.split(b"\n", 1)
    return names.decode().split(), code

"""What has to be in order in the child of a fork: locks of threads that do not live there.

All locks of the package are known here. A thread that forks holds `LOCK`; every other lock belongs
to an object that makes it anew in the child (`renew_in_child`), and what is computed once has none
(`computed_once`).

The handlers stand in a module of their own, so that they are known before the first program is
compiled: a fork that began before they were would not wait.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

LOCK = threading.RLock()
"""For imports of the code generator and for LLVM: a thread that forks holds it, so that no other
one is inside of them."""


class Renewed(Protocol):
    """Something with locks of its own."""

    def renew(self) -> None:
        """Make the locks anew."""


_renewed: WeakSet[Any] = WeakSet()


def renew_in_child(thing: Renewed) -> None:
    """Call `thing.renew()` in the child of every fork, as long as the thing is alive."""
    _renewed.add(thing)


Value = TypeVar("Value")


class computed_once(Generic[Value]):  # a decorator, as `property` is
    """An attribute that is computed when it is first read.

    As `functools.cached_property`, without the lock that this has before Python 3.12. That lock is
    one for the attribute of all objects, so that a child in which a thread is missing that was
    computing would wait for it forever. Two threads that ask at the same time may both compute the
    value; both get that of the first that was ready.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Value:
        if instance is None:
            found: Any = self  # the class is asked, as documentation does
            return found
        value: Value = instance.__dict__.setdefault(self.name, self.compute(instance))
        return value


def _hold_locks() -> None:
    """Before a fork: wait until no thread is inside LLVM. A child would find its locks taken.

    What is collected by Python enters llvmlite outside of our lock, hence llvmlite's own is held
    too. Both are reentrant, for a signal handler that forks.
    """
    global _foreign
    LOCK.acquire()
    library = getattr(sys.modules.get("llvmlite.binding.ffi"), "lib", None)
    _foreign = getattr(library, "_lock", None)
    if _foreign is not None:
        _foreign.__enter__()


def _release_locks() -> None:
    if _foreign is not None:
        _foreign.__exit__(None, None, None)
    LOCK.release()


def _renew_in_child() -> None:
    _release_locks()
    for thing in list(_renewed):
        thing.renew()


_foreign: Any = None
os.register_at_fork(
    before=_hold_locks, after_in_parent=_release_locks, after_in_child=_renew_in_child
)

"""What has to be in order in the child of a fork: locks of threads that do not live there.

The handlers stand in a module of their own, so that they are known before the first program is
compiled: a fork that began before they were would not wait.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, Protocol
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

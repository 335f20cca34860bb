"""Who runs a program: one thread at a time, and never inside of its own call."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import final

from ..errors import StateError


@final
class Turn:
    """A lock around a call. A call inside of the same thread's call is an error, not a deadlock:
    the outer one is in the middle of its work.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._taken = False

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._taken:
            self._lock.release()
            raise StateError(
                "A compiled function was called while this thread is inside of a call of it.",
                fix="do not call it in a signal handler or in __del__: set a flag there, and call "
                "it later",
            )
        self._taken = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._taken = False
        self._lock.release()

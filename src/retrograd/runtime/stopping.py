"""Ctrl-C while machine code runs: loops are asked to stop, so that Python gets its turn.

A handler in machine code (codegen/stopping.py) stands before Python's: it notes the signal in a
word at which loops look, and calls Python's, which raises KeyboardInterrupt as soon as the machine
code has come back. It is put there by calls that may take long, in the main thread, where nobody
else handles the signal, and stays.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any, final

import numpy as np

from .jit import Library

QUIET = np.zeros(1, np.int64)
"""The word at which loops look that nobody asks to stop."""
QUIET_WORDS: list[Any] = [QUIET.ctypes.data, 0, 0]

LONG = 0.02
"""Seconds of a call from which on the next one can be stopped."""

ACTION_BYTES = 512
"""More than `struct sigaction` has anywhere. The handler comes first in it."""


@final
class Handler:
    """The handler of machine code.

    Args:
        library: the functions of codegen/stopping.py.
    """

    def __init__(self, library: Library) -> None:
        pointer = ctypes.CFUNCTYPE(ctypes.c_void_p)
        found = [pointer(library.addresses[name])() for name in ("find_word", "find_next")]
        self.word, self._next = (ctypes.c_int64.from_address(address) for address in found)
        self.address = found[0]
        self._own = library.addresses["handle"]
        self._action: Any = getattr(ctypes.CDLL(None), "sigaction", None)
        self._known = ctypes.create_string_buffer(ACTION_BYTES)
        self._first = ctypes.c_int64.from_buffer(self._known)

    def stand(self) -> bool:
        """Stand before the handler of Python; False where that is not possible."""
        if self._action is None or self._action(signal.SIGINT, None, self._known):
            return False
        if self._first.value != self._own:
            self._next.value = self._first.value
            self._first.value = self._own
            return not self._action(signal.SIGINT, self._known, None)
        return True


@final
class Stopping:
    """Whether the loops of a program can be stopped.

    Args:
        words: of its table: the pointer to the word at which loops look, and two of their own.
        endless: whether it has loops whose number of steps is not known.
        get_handler: gives the handler.
    """

    def __init__(self, words: Any, endless: bool, get_handler: Callable[[], Handler]) -> None:
        self._words = (ctypes.c_int64 * 3).from_address(words.ctypes.data)
        self._endless, self._get_handler = endless, get_handler
        self._long = True
        self._start = 0.0
        self._words[:] = QUIET_WORDS

    def begin(self) -> None:
        """From now on Ctrl-C ends the loops of this call, if it is one that may take long."""
        if self._long or self._endless:
            self._words[:] = QUIET_WORDS
            if _would_raise():
                handler = self._get_handler()
                handler.word.value = 0
                if handler.stand():  # a signal that came before is raised by now
                    self._words[0] = handler.address
        self._start = perf_counter()

    def end(self) -> None:
        """The call is over."""
        long = perf_counter() - self._start > LONG
        if self._long and not long:
            # Threads may have told each other to stop, and the next call leaves the words alone.
            self._words[:] = QUIET_WORDS
        self._long = long


def _would_raise() -> bool:
    """Whether Ctrl-C raises KeyboardInterrupt in this thread."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler

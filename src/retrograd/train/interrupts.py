"""Ctrl-C during a training: the first is a request, the second raises."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """Whether the user has asked to stop.

    Attributes:
        requested: Ctrl-C was pressed, or a callback raised KeyboardInterrupt.
        insisted: it was pressed again; KeyboardInterrupt is on its way to the caller of fit.
    """

    def __init__(self) -> None:
        self.requested = False
        self.insisted = False

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Inside, the first Ctrl-C sets `requested`, so that no step is torn; the second raises.

        Only in the main thread, and only where nobody else handles the signal.
        """
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return

        def handle(number: int, frame: Any) -> None:
            if self.requested:
                self.insisted = True
                raise KeyboardInterrupt
            self.requested = True

        signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

"""The progress bar: an observer of events like any callback."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from .callbacks import Callback
from .events import BatchEnd, EpochEnd, FitBegin, FitEnd

REFRESH_SECONDS = 0.1
LINES_WITHOUT_LIMIT = 50


def format_values(values: Mapping[str, float]) -> str:
    """`loss 0.1234  accuracy 0.9876`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


class ProgressBar(Callback):
    """Shows epoch, loss, metrics, speed and time left on a terminal; plain lines elsewhere.

    On a terminal it is a live bar on stderr. Elsewhere it writes one line for each epoch (with
    more than 50 epochs at most one a second).
    """

    every_batch = False

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._last = 0.0
        self._last_line = 0.0
        self._epoch_start = 0.0
        self._begin: FitBegin | None = None

    def on_fit_begin(self, trainer: Any, event: FitBegin) -> None:
        self._begin = event
        self._epoch_start = time.monotonic()
        if not _is_live(sys.stderr):
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[values]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task(
            "fit",
            total=event.epochs * event.batches,
            completed=(event.first_epoch - 1) * event.batches,
            epoch=event.first_epoch,
            epochs=event.epochs,
            values="",
            speed="",
        )
        self._bar.start()

    def on_epoch_begin(self, trainer: Any, event: Any) -> None:
        self._epoch_start = time.monotonic()

    def on_batch_end(self, trainer: Any, event: BatchEnd) -> None:
        now = time.monotonic()
        if self._bar is None or now - self._last < REFRESH_SECONDS:
            return
        self._last = now
        speed = event.samples / max(now - self._epoch_start, 1e-9)
        self._bar.update(
            self._task,
            completed=(event.epoch - 1) * event.batches + event.batch,
            epoch=event.epoch,
            values=format_values(event.values),
            speed=f"{speed:,.0f} samples/s",
        )
        self._bar.refresh()

    def on_epoch_end(self, trainer: Any, event: EpochEnd) -> None:
        now = time.monotonic()
        few = event.epochs <= LINES_WITHOUT_LIMIT or event.epoch == event.epochs
        if not few and now - self._last_line < 1.0:
            return
        self._last_line = now
        assert self._begin is not None
        speed = self._begin.samples / max(event.seconds, 1e-9)
        self._write(
            f"epoch {event.epoch}/{event.epochs}  {format_values(event.values)}  "
            f"{speed:,.0f} samples/s"
        )

    def on_fit_end(self, trainer: Any, event: FitEnd) -> None:
        self.close()
        if event.stopped_by == "interrupt":
            self._write(
                f"Interrupted after {event.epochs} complete epochs; the history and the weights "
                "are kept. trainer.save(...) now and fit(..., resume=...) later go on from here."
            )
        elif event.stopped_by is not None:
            self._write(f"Stopped after epoch {event.epochs}: {event.stopped_by}.")

    def close(self) -> None:
        """Take the bar off the terminal, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _write(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        elif sys.stderr is not None:
            print(line, file=sys.stderr, flush=True)


def _is_live(stream: Any) -> bool:
    """Whether a moving bar makes sense: a terminal, or a notebook."""
    if stream is not None and stream.isatty():
        return True
    return "ipykernel" in sys.modules

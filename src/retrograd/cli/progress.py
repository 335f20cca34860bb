"""Live bars on stderr while something takes long; nothing where stderr is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..train.callbacks import Callback
from ..train.events import BatchEnd, EpochEnd, FitBegin, FitEnd

REFRESH_SECONDS = 0.1
SHORT = {"loss": "loss", "val_loss": "val", "val_accuracy": "acc"}


class LiveBar(Callback):
    """Epochs, loss, metrics, speed and time left, on one line that disappears at the end.

    Args:
        label: what is being done, in a word or two.
    """

    every_batch = False

    def __init__(self, label: str) -> None:
        self.label = label
        self._progress: Any = None
        self._task: Any = None
        self._samples = 0
        self._values = ""
        self._start = self._last = 0.0

    def on_fit_begin(self, trainer: Any, event: FitBegin) -> None:
        if sys.stderr is None or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._samples = event.samples
        self._progress = Progress(
            TextColumn("{task.description} {task.fields[epoch]}/{task.total}"),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[values]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task(
            self.label, total=event.epochs, epoch=event.first_epoch, values="", speed=""
        )
        self._progress.start()
        self._start = time.monotonic()

    def on_batch_end(self, trainer: Any, event: BatchEnd) -> None:
        done = event.epoch - 1 + event.batch / event.batches
        self._show(event.epoch, done, event.samples + (event.epoch - 1) * self._samples)

    def on_epoch_end(self, trainer: Any, event: EpochEnd) -> None:
        # What fits into 80 columns: the losses, and how it does on rows that it does not learn.
        shown = ("loss", "val_loss", "val_accuracy")
        self._values = "  ".join(
            f"{SHORT[name]} {event.values[name]:.3f}" for name in shown if name in event.values
        )

    def on_fit_end(self, trainer: Any, event: FitEnd) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the terminal, also after an error."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self, epoch: int, done: float, samples: int) -> None:
        now = time.monotonic()
        if self._progress is None or now - self._last < REFRESH_SECONDS:
            return
        self._last = now
        speed = samples / max(now - self._start, 1e-9)
        self._progress.update(
            self._task,
            completed=done,
            epoch=epoch,
            values=self._values,
            speed=f"{speed:,.0f} rows/s",
        )
        self._progress.refresh()


@contextmanager
def show_parts(parts: int) -> Iterator[Callable[[str], None]]:
    """A bar over work in so many parts. Gives a function that is told what comes next.

    It is redrawn at each part, not by a thread that would run beside what is measured.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=parts)
        first = True

        def advance(text: str) -> None:
            nonlocal first
            progress.update(task, advance=0 if first else 1, description=text, refresh=True)
            first = False

        yield advance


@contextmanager
def show_share(label: str) -> Iterator[Callable[[float, str], None]]:
    """A bar over work of which the share done is known. Gives a function that is told it.

    Args:
        label: what is being done.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda share, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn(label),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
    ) as progress:
        task, last = progress.add_task("", total=1.0), 0.0

        def tell(share: float, text: str) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= REFRESH_SECONDS:
                last = now
                progress.update(task, completed=share, description=text, refresh=True)

        yield tell

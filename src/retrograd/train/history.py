"""History: the loss and the metrics of each epoch, and curves of them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, MissingDependencyError, suggest
from .files import write_atomically

VALIDATION = "val_"
MARKS = ("*", "o")


class History(Mapping[str, list[float]]):
    """What `Trainer.fit` returns: a list with one number for each epoch, by name.

    `stopped_by` is None when all epochs were trained, "interrupt" after Ctrl-C, else the reason
    that a callback gave.

    Example:
        >>> from retrograd.train.history import History
        >>> history = History()
        >>> history.append({"loss": 0.5, "val_loss": 0.75})
        >>> history["loss"], history.epochs
        ([0.5], [1])
    """

    def __init__(self, values: Mapping[str, Sequence[float]] | None = None) -> None:
        self._values = {name: [float(v) for v in given] for name, given in (values or {}).items()}
        self.stopped_by: str | None = None

    def append(self, values: Mapping[str, float]) -> None:
        """Add the values of one epoch."""
        if self._values and set(values) != set(self._values):
            raise ArgumentError(
                f"Each epoch has the values {sorted(self._values)}, received {sorted(values)}.",
                fix="resume with the same metrics and with validation data as before",
            )
        for name, value in values.items():
            self._values.setdefault(name, []).append(float(value))

    @property
    def epochs(self) -> list[int]:
        """The numbers of the epochs, from 1."""
        lengths = [len(values) for values in self._values.values()]
        return list(range(1, (lengths[0] if lengths else 0) + 1))

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._values:
            hint = suggest(name, self._values) or "It is empty: no epoch was completed."
            raise KeyError(f"The history has no {name!r}. {hint}")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self._values.items())
        return f"History({len(self.epochs)} epochs{': ' + last if last else ''})"

    def to_dict(self) -> dict[str, list[float]]:
        """A copy as plain lists, for JSON or a table.

        Example:
            >>> from retrograd.train.history import History
            >>> History({"loss": [0.5, 0.25]}).to_dict()
            {'loss': [0.5, 0.25]}
        """
        return {name: list(values) for name, values in self._values.items()}

    def plot_text(self, width: int = 64, height: int = 10) -> str:
        """The curves as text: one chart for each quantity, training `*` and validation `o`.

        Args:
            width, height: the size of each chart, in characters.

        Example:
            >>> from retrograd.train.history import History
            >>> print(History({"loss": [3.0, 2.0, 1.0]}).plot_text(width=9, height=3))
            loss (* training)
                   3 |*
                   2 |    *
                   1 |        *
                      epoch 1 to 3
        """
        charts = [
            _draw_chart(name, curves, max(int(width), 2), max(int(height), 2))
            for name, curves in self._pairs().items()
        ]
        return "\n\n".join(charts) if charts else "no epochs yet"

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the curves into a picture, with matplotlib.

        Args:
            path: the file; the ending chooses the format (.png, .svg, .pdf).

        Raises:
            MissingDependencyError: matplotlib is not installed (the extra `plots`).
            SaveError: the file cannot be written.
        """
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingDependencyError("matplotlib", "plots", "Drawing curves") from error
        import io

        pairs = self._pairs()
        if not pairs:
            raise ArgumentError("The history has no epochs to draw.", fix="call fit first")
        # A Figure without pyplot: no window system, no global state, nothing to close.
        figure = Figure(figsize=(5.0 * len(pairs), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        for column, (name, curves) in enumerate(pairs.items(), start=1):
            axes: Any = figure.add_subplot(1, len(pairs), column)
            for label, values in curves.items():
                epochs = range(1, len(values) + 1)
                axes.plot(epochs, values, label=label, marker="." if len(values) < 40 else None)
            axes.set_title(name)
            axes.set_xlabel("epoch")
            axes.grid(alpha=0.3)
            axes.legend()
        kind = os.path.splitext(os.fspath(path))[1].lstrip(".").lower() or "png"
        supported = figure.canvas.get_supported_filetypes()
        if kind not in supported:
            raise ArgumentError(
                f"Curves cannot be written as {kind!r}. {suggest(kind, sorted(supported))}",
                fix='use for example "curves.png"',
            )
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=120)
        write_atomically(path, buffer.getvalue())

    def _pairs(self) -> dict[str, dict[str, list[float]]]:
        """Training and validation curves side by side, by quantity."""
        pairs: dict[str, dict[str, list[float]]] = {}
        for name, values in self._values.items():
            base = name.removeprefix(VALIDATION)
            label = "training" if base == name else "validation"
            if values:
                pairs.setdefault(base, {})[label] = values
        return pairs


def _draw_chart(name: str, curves: dict[str, list[float]], width: int, height: int) -> str:
    numbers = [value for values in curves.values() for value in values if math.isfinite(value)]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
    grid = [[" "] * width for _ in range(height)]
    longest = max(len(values) for values in curves.values())
    for mark, values in zip(MARKS, curves.values(), strict=False):
        for index, value in enumerate(values):
            if not math.isfinite(value):
                continue
            column = round(index / max(longest - 1, 1) * (width - 1))
            level = (value - low) / (high - low) if high > low else 0.0
            grid[height - 1 - round(level * (height - 1))][column] = mark
    labels = [" " * 8] * height
    for row in {0, (height - 1) // 2, height - 1}:
        labels[row] = f"{high - (high - low) * row / (height - 1):8.4g}"
    legend = ", ".join(f"{mark} {label}" for mark, label in zip(MARKS, curves, strict=False))
    lines = [f"{name} ({legend})"]
    lines += [
        f"{label} |{''.join(cells)}".rstrip() for label, cells in zip(labels, grid, strict=True)
    ]
    lines.append(f"{'':10}epoch 1 to {longest}")
    return "\n".join(lines)

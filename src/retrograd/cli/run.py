"""What all commands share: errors without a traceback, exit codes, text or one JSON object."""

from __future__ import annotations

import functools
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from ..errors import ArgumentError, RetrogradError

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


class UsageError(ArgumentError):
    """A command that lacks what it needs: told as any error, with the exit code of wrong usage."""


def run_safely(command: Callable[..., None]) -> Callable[..., None]:
    """The command, its errors told on stderr with what to do about them.

    `RETROGRAD_FULL_TRACEBACK=1` lets errors through, for work on retrograd itself.
    """

    @functools.wraps(command)
    def run(*arguments: Any, **keywords: Any) -> None:
        import typer

        try:
            command(*arguments, **keywords)
            if sys.stdout is not None:  # as it is where stdout was closed from the start
                sys.stdout.flush()
        except KeyboardInterrupt:
            _write_error("Interrupted; nothing was left half written.")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader (`| head`) has left. Python would complain once more when it flushes.
            sys.stdout = open(os.devnull, "w")
            raise typer.Exit(FAILED) from None
        except RetrogradError as error:
            if wants_traceback():
                raise
            _write_error(f"error: {error.message}")
            if error.fix:
                _write_error(f"  fix: {error.fix}")
            code = WRONG_USAGE if isinstance(error, UsageError) else FAILED
            raise typer.Exit(code) from None
        except MemoryError:
            if wants_traceback():
                raise
            _write_error("error: There is not enough memory for these data.")
            _write_error("  fix: Use fewer rows or columns (--drop).")
            raise typer.Exit(FAILED) from None

    return run


def wants_traceback() -> bool:
    """Whether errors are to be shown with all their frames."""
    return os.environ.get("RETROGRAD_FULL_TRACEBACK") == "1"


def _write_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Output:
    """Where a command writes: text on stdout, or all text on stderr and one JSON object on stdout.

    Args:
        json: whether a program reads stdout.
        aside: write the text to stderr all the same, because stdout is taken.
        is_optional: drop what cannot be written, because the reader has left (`| head`) or the
            disk is full, and go on: what is worked on is worth more than what is told of it.
    """

    def __init__(self, json: bool, aside: bool = False, is_optional: bool = False) -> None:
        self.json = json
        self._is_optional = is_optional
        self._stream = sys.stderr if json or aside else sys.stdout

    def say(self, text: str = "") -> None:
        """A line of text."""
        self._write(text, self._stream)

    def warn(self, *notes: str) -> None:
        """What the user should look at, a line each."""
        for note in notes:
            self.say(f"note: {note}")

    def show_table(self, rows: Sequence[Sequence[str]], indent: str = "  ") -> None:
        """Columns of text, the last one free in width."""
        if not rows:
            return
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]) - 1)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths)]
            self.say((indent + "  ".join([*cells, row[-1]])).rstrip())

    def finish(self, result: dict[str, Any]) -> None:
        """The result, if a program asked for it."""
        if self.json:
            self._write(json.dumps(as_json(result), allow_nan=False), sys.stdout)

    def _write(self, line: str, stream: TextIO) -> None:
        try:
            print(line, file=stream, flush=True)
        except OSError:
            if not self._is_optional:
                raise
            # What waits in the buffer and all that follows goes where nothing fails any more.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())


def as_json(value: Any) -> Any:
    """The value with None in the place of numbers that JSON does not have (NaN, infinity)."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def count(number: int, noun: str) -> str:
    """`1 row`, `2 rows`, `1,797 rows`.

    Example:
        >>> count(1, "row"), count(1797, "row"), count(2, "class")
        ('1 row', '1,797 rows', '2 classes')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


def shorten_list(items: Sequence[str], shown: int = 5) -> str:
    """The first items, and how many more there are."""
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + more


def quote(path: str) -> str:
    """A path as a shell takes it.

    Example:
        >>> quote("my model")
        "'my model'"
    """
    import shlex

    return shlex.quote(path)

"""Every error that a user can meet: what was expected, what was received, where, what to do.

All classes derive from `RetrogradError` and from the built-in exception that fits, so that both
``except rg.RetrogradError`` and ``except ValueError`` work.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass

PACKAGE_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
LIKE_USERS = frozenset([PACKAGE_FOLDER + "workloads.py"])
"""Files of the package that use it as its users do: their lines are told."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of the user's code: where an operation was written."""

    file: str
    line: int
    function: str

    def text(self) -> str:
        import linecache  # here, as importing retrograd shall stay quick

        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}, in {self.function}"
        text = self.text()
        return f"{place}: {text}" if text else place


def is_internal(file: str) -> bool:
    """Whether a frame of this file belongs to retrograd and not to the user."""
    inside = file.startswith(PACKAGE_FOLDER) and file not in LIKE_USERS
    return inside or file.startswith("<frozen")


def find_user_line() -> SourceLine | None:
    """The innermost line of the call stack that is not retrograd's own."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not is_internal(file):
            return SourceLine(file, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return None


class RetrogradError(Exception):
    """The base of all errors that retrograd raises on purpose.

    Args:
        message: what went wrong: what was expected and what was received.
        fix: what to do about it.
        where: the user's line; by default the innermost one on the call stack.
    """

    def __init__(
        self, message: str, *, fix: str | None = None, where: SourceLine | None = None
    ) -> None:
        self.message = message
        self.fix = fix
        self.where = where if where is not None else find_user_line()
        super().__init__(message)

    def __str__(self) -> str:
        parts = [self.message]
        if self.where is not None:
            parts.append(f"  where: {self.where}")
        if self.fix:
            parts.append(f"  fix: {self.fix}")
        return "\n".join(parts)


class ShapeError(RetrogradError, ValueError):
    """Shapes that do not go together."""


class DTypeError(RetrogradError, TypeError):
    """A dtype that the operation does not take."""


class ArgumentError(RetrogradError, ValueError):
    """An argument with a value that makes no sense here."""


class ArgumentTypeError(RetrogradError, TypeError):
    """An argument of the wrong kind."""


class IndexRangeError(RetrogradError, IndexError):
    """An index or label outside its range."""


class ImmutableError(RetrogradError, TypeError):
    """An attempt to change an Array in place."""


class TracingError(RetrogradError, TypeError):
    """Something that cannot be done with a value that is being traced."""


class ClosureError(RetrogradError, ValueError):
    """Parameters that reach a compiled function through a closure, not as an argument."""


class StateError(RetrogradError, ValueError):
    """A change of state where none is allowed, or of a kind that is not."""


class NotDifferentiableError(RetrogradError, TypeError):
    """A gradient was asked of an operation or a value that has none."""


class GradientCheckError(RetrogradError, AssertionError):
    """A gradient that differs from finite differences."""


class VerificationError(RetrogradError, AssertionError):
    """A Graph that breaks the rules of the program form: a bug of retrograd or of a rule."""


class DivergedError(RetrogradError, ArithmeticError):
    """A training whose loss or weights became NaN or infinite."""


class DataError(RetrogradError, ValueError):
    """Data that cannot be trained on: empty, ragged, NaN, unknown columns, wrong labels."""


class FileFormatError(RetrogradError, ValueError):
    """A file that is truncated, damaged or of another kind."""


class ModelFileError(FileFormatError):
    """A model file that does not fit the model."""


class SaveError(RetrogradError, OSError):
    """A file that could not be written. The earlier file, if any, is untouched."""


class DownloadError(RetrogradError, OSError):
    """A download that failed or arrived damaged."""


class RetraceWarning(UserWarning):
    """A compiled function is traced again and again, because an argument keeps changing."""


class MissingDependencyError(RetrogradError, ImportError):
    """An optional package that is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed.",
            fix=f'pip install "retrograd[{extra}]"  (or: pip install {package})',
        )


def suggest(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a hint, or all of them when none is near."""
    from difflib import get_close_matches  # here, as importing retrograd shall stay quick

    names = [str(item) for item in known]
    near = get_close_matches(str(name), names, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {near[0]!r}?"
    if not names:
        return ""
    shown = ", ".join(repr(item) for item in names[:20])
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"Known: {shown}{more}."


def hide_internal_frames(error: BaseException) -> None:
    """Take retrograd's own frames out of the traceback, so that the user's lines are what is seen.

    `RETROGRAD_FULL_TRACEBACK=1` keeps them, for work on retrograd itself.
    """
    if os.environ.get("RETROGRAD_FULL_TRACEBACK") == "1":
        return
    kept: list[types.TracebackType] = []
    entry = error.__traceback__
    while entry is not None:
        if not is_internal(entry.tb_frame.f_code.co_filename):
            kept.append(entry)
        entry = entry.tb_next
    chain: types.TracebackType | None = None
    for entry in reversed(kept):
        chain = types.TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    error.__traceback__ = chain

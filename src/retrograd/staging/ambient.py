"""Hidden state of the library that programs may use: the default random generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..trace import Array


@dataclass(slots=True)
class AmbientSource:
    """Hidden state of the library (the default random generator) that programs may use."""

    read: Callable[[], Array]
    write: Callable[[Array], None]


AMBIENT: list[AmbientSource] = []


def register_ambient(read: Callable[[], Array], write: Callable[[Array], None]) -> None:
    """Make a piece of hidden state an input and an output of every program that changes it."""
    AMBIENT.append(AmbientSource(read, write))

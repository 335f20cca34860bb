"""The programs of a compiled function: of many, those that were used least recently go."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

from .ir import Graph
from .staging import Staged

Executor = Callable[[Graph, Sequence[Any]], list[Any]]

MOST_PROGRAMS = 128
"""Programs of one compiled function, at the most."""

MOST_BYTES = 1 << 30
"""Bytes that they keep for their work, at the most; the one used last may take more alone."""


@dataclass(slots=True, eq=False)
class Program:
    """A traced call: its staged form and the executor that runs it."""

    staged: Staged
    execute: Executor
    seconds: float  # that tracing took
    used: int = 0  # when, as a number that grows

    @property
    def bytes(self) -> int:
        """The memory that it keeps for its work."""
        native = self.staged.graph.cache.get("native")
        return 0 if native is None else int(native.arena.size)


@final
class Programs:
    """Programs by what they were traced for.

    A program that goes is freed when no call runs it any more: its machine code, its memory and
    what it knows of the caller's objects.
    """

    def __init__(self) -> None:
        self._held: dict[Hashable, Program] = {}
        self._uses = itertools.count(1)
        self.traced = 0

    def get(self, key: Hashable) -> Program | None:
        """The program for a key; this counts as a use."""
        program = self._held.get(key)
        if program is not None:
            self.use(program)
        return program

    def use(self, program: Program) -> None:
        program.used = next(self._uses)

    def add(self, key: Hashable, program: Program) -> list[Program]:
        """Hold one more program.

        Returns:
            Those that went for it.
        """
        self.use(program)
        self._held[key] = program
        self.traced += 1
        total, gone = 0, []
        found = sorted(self._held.items(), key=lambda item: -item[1].used)
        for order, (other, held) in enumerate(found):
            total += held.bytes
            if order and (order >= MOST_PROGRAMS or total > MOST_BYTES):
                self._held.pop(other, None)
                gone.append(held)
        return gone

    def values(self) -> Iterator[Program]:
        return iter(list(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)

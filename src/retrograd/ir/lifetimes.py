"""When a program uses its inputs and outputs, and which outputs may be written over inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """For each input its last use, for each output its making, as numbers of kernels.

    Args:
        inputs: (bytes, the kernel that reads it last; -1 if none does) of each input; None for
            one that is an output as well.
        outputs: (bytes, the only kernel that writes it) of each output; None for one that has no
            memory of its own.
        matched: the (input, output) of one kernel that reads the input only at the place where it
            writes the output.
    """

    inputs: tuple[tuple[int, int] | None, ...]
    outputs: tuple[tuple[int, int] | None, ...]
    matched: frozenset[tuple[int, int]]

    def select(self, pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
        """The pairs (input, output) in which the output may be written over the input."""
        found = set()
        for source, target in pairs:
            old, new = self.inputs[source], self.outputs[target]
            if old is None or new is None or old[0] != new[0]:
                continue
            if old[1] < new[1] or (source, target) in self.matched:
                found.add((source, target))
        return found

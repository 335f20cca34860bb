"""The variables of a reduction while its loops run: near sums, flushed into far ones.

A near result takes a chunk of terms, a far one the near results: the sum of many terms then loses
few digits. Copies that run side by side have near results of their own; where they walk along a
reduced axis they are folded into one at the end, in a fixed tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..ir.loops import LoopNest, Store
from .accumulators import Accumulator
from .emit import Function
from .moments import Moments
from .vectors import Value


class Running(Protocol):
    """One or several stores whose results are computed together.

    Args:
        stores: where the results go.
        parts: the expressions whose values are added.
    """

    stores: list[Store]
    parts: list[int]

    def add(self, copy: int, values: list[Value], tail: str | None, terms: int | str) -> None:
        """Take in the values of a copy: lanes outside of the tail's mask do not count.

        Args:
            terms: how many terms these are for each result: a number or the name of an i64.
        """

    def flush(self) -> None:
        """The end of a chunk."""

    def results(self) -> list[list[Value]]:
        """For each store the value of each copy that is kept."""


class RunningSum:
    """One store with an associative operation.

    Args:
        sum_: the operation.
        lanes: of the variables.
        copies: how many run side by side.
        folded: whether copies are of a reduced axis.
        across: whether lanes are.
        chunked: whether there are chunks.
    """

    def __init__(
        self, sum_: Accumulator, lanes: int, copies: int, folded: bool, across: bool, chunked: bool
    ) -> None:
        self.sum, self.lanes, self.folded, self.across = sum_, lanes, folded, across
        self.stores, self.parts = [sum_.store], sum_.parts
        self.near = [sum_.reserve(lanes) for _ in range(copies)]
        self.far = [sum_.reserve(lanes) for _ in range(copies)] if chunked else []
        for slots in (*self.near, *self.far):
            sum_.write(slots, sum_.neutral(lanes))

    def add(self, copy: int, values: list[Value], tail: str | None, terms: int | str) -> None:
        sum_ = self.sum
        if tail is not None:
            values = sum_.only(tail, values)
        slots = self.near[copy]
        sum_.write(slots, sum_.combine(sum_.read(slots, self.lanes), values))

    def flush(self) -> None:
        sum_ = self.sum
        for near, far in zip(self.near, self.far, strict=True):
            total = sum_.combine(sum_.read(far, self.lanes), sum_.read(near, self.lanes))
            sum_.write(far, total)
            sum_.write(near, sum_.neutral(self.lanes))

    def results(self) -> list[list[Value]]:
        sum_ = self.sum
        found = [sum_.read(slots, self.lanes) for slots in self.far or self.near]
        if self.folded:
            found = [fold(found, sum_.combine)]
        if self.across:
            found = [sum_.across(values) for values in found]
        return [[values[-1] for values in found]]


def fold(results: list[list[Value]], combine: Callable[..., list[Value]]) -> list[Value]:
    """A power of two of results, combined in pairs."""
    while len(results) > 1:
        pairs = zip(results[::2], results[1::2], strict=True)
        results = [combine(a, b) for a, b in pairs]
    return results[0]


def start_reductions(
    nest: LoopNest,
    function: Function,
    lanes: int,
    copies: int,
    folded: bool,
    across: bool,
    chunked: bool,
    value_of: Callable[[int, int, int], Value],
) -> list[Running]:
    """The variables for all reductions of a nest, in the order of its stores.

    Args:
        value_of: the value of an expression for a copy, in so many lanes.
    """
    found: list[Running] = []
    moments: dict[tuple[int, int | None], list[Store]] = {}
    for store in nest.stores:
        if store.reduction in ("mean", "variance"):
            moments.setdefault((store.expression, store.position), []).append(store)
        elif store.reduction is not None:
            sum_ = Accumulator(nest, store, function)
            found.append(RunningSum(sum_, lanes, copies, folded, across, chunked))
    for (_, near), stores in moments.items():
        assert near is not None
        kept = range(1 if folded else copies)
        shifts: Sequence[Value] = [value_of(near, copy, lanes) for copy in kept]
        found.append(Moments(function, stores, shifts, copies, folded, across, chunked))
    return found

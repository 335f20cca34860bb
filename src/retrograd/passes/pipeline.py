"""The passes over a Graph before it is lowered to kernels, and over the kernels, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from ..config import get_config
from ..errors import ArgumentError, suggest
from ..ir import Graph, verify
from ..ir.loops import Schedule
from .block_loops import block_loops
from .dead_stores import drop_dead_stores
from .epilogues import fuse_epilogues
from .fold_constants import fold_constants
from .hoisting import hoist
from .inner_programs import inline
from .join_parts import join_parts
from .merge_equal import merge_equal
from .remove_dead_code import remove_dead_code
from .save_sums import save_sums
from .scalars_first import scalars_first
from .simplify import simplify
from .sink_gathers import sink_gathers
from .split_contractions import split_contractions
from .split_dots import split_dots
from .split_reductions import split_reductions
from .turn_dots import turn_dots
from .write_around import write_around

PASSES: tuple[Callable[[Graph], Graph], ...] = (
    inline,
    save_sums,
    join_parts,
    fold_constants,
    simplify,
    merge_equal,
    hoist,
    sink_gathers,
    remove_dead_code,
    scalars_first,
    turn_dots,
    block_loops,
    split_dots,
)
"""Each takes a Graph and gives one that computes the same; any may be left out."""

SCHEDULE_PASSES: tuple[Callable[[Schedule], Schedule], ...] = (
    drop_dead_stores,
    fuse_epilogues,
    split_contractions,
    split_reductions,
    write_around,
)
"""Each takes a Schedule, of a program or of one inside of it, and gives one that does the same."""

OPTIMISATIONS = ("merge_nests", "place_parts", "in_place", "share_memory")
"""What else can be left out: loops over the same space made one while they are lowered, parts of a
joined value made in their places, outputs written over inputs, and places in the arena that several
values use one after the other."""


def list_names() -> tuple[str, ...]:
    """Everything that can be left out, in the order in which it is applied."""
    return (*[apply.__name__ for apply in (*PASSES, *SCHEDULE_PASSES)], *OPTIMISATIONS)


def check_names(without: Iterable[str]) -> frozenset[str]:
    """The names as a set.

    Raises:
        ArgumentError: one of them is no name of a pass.
    """
    chosen, known = frozenset(without), list_names()
    for name in sorted(chosen - set(known)):
        raise ArgumentError(
            f"There is no pass {name!r} that could be left out. {suggest(name, known)}",
            fix="RETROGRAD_WITHOUT_PASSES holds names of passes, separated by commas",
        )
    return chosen


def prepare(graph: Graph, without: frozenset[str] = frozenset()) -> Graph:
    """The Graph after all passes but those left out; verified after each if that is wanted."""
    for _, after, _ in walk_passes(graph, without):
        graph = after
    return graph


def walk_passes(graph: Graph, without: frozenset[str]) -> Iterator[tuple[str, Graph, float]]:
    """After each pass but those left out: its name, the Graph, and the seconds that it took."""
    for apply in PASSES:
        if apply.__name__ in without:
            continue
        begin = time.perf_counter()
        graph = apply(graph)
        seconds = time.perf_counter() - begin
        if get_config().verify:
            verify(graph, apply.__name__)
        yield apply.__name__, graph, seconds

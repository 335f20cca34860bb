"""The passes over a Graph before it is lowered to kernels, in order."""

from __future__ import annotations

from collections.abc import Callable

from ..config import get_config
from ..ir import Graph, verify
from .fold_constants import fold_constants
from .hoisting import hoist
from .inner_programs import inline
from .merge_equal import merge_equal
from .remove_dead_code import remove_dead_code
from .save_sums import save_sums
from .scalars_first import scalars_first
from .simplify import simplify
from .sink_gathers import sink_gathers
from .turn_dots import turn_dots

PASSES: tuple[Callable[[Graph], Graph], ...] = (
    inline,
    save_sums,
    fold_constants,
    simplify,
    merge_equal,
    hoist,
    sink_gathers,
    remove_dead_code,
    scalars_first,
    turn_dots,
)
"""Each takes a Graph and gives one that computes the same; any may be left out but `inline`."""


def prepare(graph: Graph) -> Graph:
    """The Graph after all passes; verified after each if that is wanted."""
    for apply in PASSES:
        graph = apply(graph)
        if get_config().verify:
            verify(graph, apply.__name__)
    return graph

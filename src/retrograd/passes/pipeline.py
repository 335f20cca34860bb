"""The passes over a Graph before it is lowered to kernels, in order."""

from __future__ import annotations

from collections.abc import Callable

from ..config import get_config
from ..ir import Graph, verify
from .inner_programs import inline
from .turn_dots import turn_dots

PASSES: tuple[Callable[[Graph], Graph], ...] = (inline, turn_dots)
"""Each takes a Graph and gives one that computes the same; any may be left out but `inline`."""


def prepare(graph: Graph) -> Graph:
    """The Graph after all passes; verified after each if that is wanted."""
    for apply in PASSES:
        graph = apply(graph)
        if get_config().verify:
            verify(graph, apply.__name__)
    return graph

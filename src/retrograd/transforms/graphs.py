"""What primitives that hold Graphs are given, and how a Graph is applied to values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import backprop, batching, forward_mode, interpret
from ..ir import Graph
from ..trace import Array, Tracer, install_transforms, replay


class _Transforms:
    """What primitives that hold Graphs are given."""

    def evaluate(self, graph: Graph, arrays: Sequence[Any]) -> list[Any]:
        return interpret.run(graph, arrays)

    def split(self, graph: Graph, wanted: Sequence[int]) -> tuple[Graph, Graph, int]:
        key = f"split {tuple(wanted)}"
        if key not in graph.cache:
            graph.cache[key] = backprop.split(graph, wanted, once=True)
        return graph.cache[key]

    def jvp(self, graph: Graph, active: Sequence[int]) -> tuple[Graph, tuple[int, ...]]:
        key = f"jvp {tuple(active)}"
        if key not in graph.cache:
            graph.cache[key] = forward_mode.jvp_graph(graph, active)
        return graph.cache[key]

    def batch(
        self, graph: Graph, mapped: Sequence[bool], size: int, wanted: Sequence[bool] = ()
    ) -> tuple[Graph, tuple[bool, ...]]:
        key = f"batch {tuple(mapped)} {size} {tuple(wanted)}"
        if key not in graph.cache:
            graph.cache[key] = batching.batch_graph(graph, mapped, size, wanted)
        return graph.cache[key]


install_transforms(_Transforms())


def apply_graph(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """Run a program: with NumPy on plain Arrays, node by node when a value is being traced."""
    if any(isinstance(value, Tracer) for value in inputs):
        return replay(graph, inputs)
    return [Array(value) for value in interpret.run(graph, [x.concrete() for x in inputs])]

"""The program form: an immutable list of nodes in evaluation order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import SourceLine
from .primitive import Primitive
from .types import ArrayType


@dataclass(frozen=True, eq=False, slots=True)
class Variable:
    """A value that an input or a node gives. Two Variables are the same only if identical."""

    type: ArrayType
    name: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Constant:
    """A value that is known when the program is made. Its array is read-only."""

    value: np.ndarray[Any, Any]
    type: ArrayType


Atom = Variable | Constant


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One operation: a primitive, its inputs, its static parameters and its outputs."""

    primitive: Primitive
    inputs: tuple[Atom, ...]
    parameters: Mapping[str, Any]
    outputs: tuple[Variable, ...]
    source: SourceLine | None = None
    path: str = ""

    def graphs(self) -> Iterator[Graph]:
        """The Graphs that this node holds in its parameters."""
        if self.primitive.holds_graphs:
            for value in self.parameters.values():
                if isinstance(value, Graph):
                    yield value


@dataclass(frozen=True, eq=False, slots=True)
class Graph:
    """A program: inputs, nodes in evaluation order, outputs."""

    inputs: tuple[Variable, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Atom, ...]
    name: str = "program"
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def input_types(self) -> tuple[ArrayType, ...]:
        return tuple(variable.type for variable in self.inputs)

    @property
    def output_types(self) -> tuple[ArrayType, ...]:
        return tuple(atom.type for atom in self.outputs)

    def walk(self) -> Iterator[Node]:
        """All nodes, those of the Graphs inside nodes included."""
        for node in self.nodes:
            yield node
            for graph in node.graphs():
                yield from graph.walk()

    def __str__(self) -> str:
        from .text import format_graph

        return format_graph(self)


def prune(graph: Graph) -> Graph:
    """The graph without the nodes that no output depends on. The inputs stay as they are."""
    needed: set[int] = {id(atom) for atom in graph.outputs}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if any(id(variable) in needed for variable in node.outputs):
            kept.append(node)
            needed.update(id(atom) for atom in node.inputs)
    if len(kept) == len(graph.nodes):
        return graph
    return Graph(graph.inputs, tuple(reversed(kept)), graph.outputs, graph.name)

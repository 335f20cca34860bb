"""What passes are written with: a walk that replaces values, and the Graphs inside of nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np

from ..ir import Atom, Constant, Graph, Node, Variable
from ..ir.primitive import PRIMITIVES
from ..ir.types import ArrayType

Pass = Callable[[Graph], Graph]


def inside_too(apply: Pass) -> Pass:
    """The pass, applied to the Graphs that nodes hold as well, the innermost first.

    A Graph that several nodes hold stays one Graph.
    """

    @wraps(apply)
    def everywhere(graph: Graph) -> Graph:
        # The Graphs are kept with their results: an id stands for one only as long as it lives.
        seen: dict[int, tuple[Graph, Graph]] = {}

        def once(inner: Graph) -> Graph:
            if id(inner) not in seen:
                seen[id(inner)] = (inner, apply(_replace_inner(inner, once)))
            return seen[id(inner)][1]

        return once(graph)

    return everywhere


def _replace_inner(graph: Graph, once: Pass) -> Graph:
    """The Graph with other Graphs in its nodes."""
    nodes: list[Node] = []
    changed = False
    for node in graph.nodes:
        if node.primitive.holds_graphs:
            parameters = {
                key: once(value) if isinstance(value, Graph) else value
                for key, value in node.parameters.items()
            }
            if any(parameters[key] is not value for key, value in node.parameters.items()):
                changed = True
                node = replace(node, parameters=parameters)
        nodes.append(node)
    return Graph(graph.inputs, tuple(nodes), graph.outputs, graph.name) if changed else graph


class Rewriter:
    """Walks a Graph in order and puts other values in the place of those that a rule knows.

    A rule sees a node whose inputs are already the new ones, and gives the value that stands for
    its only output, or None. What it makes on the way goes through the rules, too.

    Args:
        rules: by the name of the primitive, tried in order; each must make the program simpler,
            so that the walk ends.
    """

    def __init__(self, rules: Mapping[str, Sequence[Rule]]) -> None:
        self.rules = rules
        self.nodes: list[Node] = []
        self._makers: dict[int, Node] = {}
        self._readers: dict[int, list[str]] = {}
        self._graph: Graph | None = None
        self._current: Node | None = None

    def rewrite(self, graph: Graph) -> Graph:
        """The new Graph; the same one if no rule has found anything."""
        self._graph = graph
        replaced: dict[int, Atom] = {}
        for node in graph.nodes:
            if replaced and any(id(atom) in replaced for atom in node.inputs):
                inputs = tuple(replaced.get(id(atom), atom) for atom in node.inputs)
                node = replace(node, inputs=inputs)
            self._current = node
            found = self._find(node)
            if found is None:
                self._append(node)
            else:
                replaced[id(node.outputs[0])] = found
        if not replaced:
            return graph
        outputs = tuple(replaced.get(id(atom), atom) for atom in graph.outputs)
        return Graph(graph.inputs, tuple(self.nodes), outputs, graph.name)

    def _find(self, node: Node) -> Atom | None:
        for rule in self.rules.get(node.primitive.name, ()):
            found = rule(self, node)
            if found is not None:
                return found
        return None

    def _append(self, node: Node) -> None:
        self.nodes.append(node)
        for variable in node.outputs:
            self._makers[id(variable)] = node

    def maker_of(self, atom: Atom) -> Node | None:
        """The node that gives a value."""
        return self._makers.get(id(atom))

    def maker(self, atom: Atom, name: str) -> Node | None:
        """The node that gives a value, if it is of this primitive."""
        node = self.maker_of(atom)
        return node if node is not None and node.primitive.name == name else None

    def readers(self, atom: Atom) -> list[str]:
        """The primitives that read a value in the Graph as it was; "output" if that does."""
        if not self._readers and self._graph is not None:
            for node in self._graph.nodes:
                for item in node.inputs:
                    self._readers.setdefault(id(item), []).append(node.primitive.name)
            for item in self._graph.outputs:
                self._readers.setdefault(id(item), []).append("output")
        return self._readers.get(id(atom), [])

    def make(self, name: str, *inputs: Atom, **parameters: Any) -> Atom:
        """The output of a new node, on the account of the node that is looked at."""
        primitive = PRIMITIVES[name]
        (type,) = primitive.infer(*(atom.type for atom in inputs), **parameters)
        current = self._current
        assert current is not None
        node = Node(primitive, inputs, parameters, (Variable(type),), current.source, current.path)
        found = self._find(node)
        if found is not None:
            return found
        self._append(node)
        return node.outputs[0]


Rule = Callable[[Rewriter, Node], Atom | None]


def uniform_value(atom: Atom) -> Any:
    """The element that a Constant holds at every place, as a NumPy scalar; None for all else."""
    if not isinstance(atom, Constant):
        return None
    value = atom.value
    if value.size == 0 or (value.size > 1 and any(value.strides)):
        return None
    return value.flat[0]


def make_uniform(value: Any, type: ArrayType) -> Constant:
    """A Constant that holds one value at every place."""
    return Constant(np.broadcast_to(np.asarray(value, type.dtype), type.shape), type)

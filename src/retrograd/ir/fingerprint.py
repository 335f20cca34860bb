"""What identifies a program in another process: all that it computes, nothing of where it stands.

Two Graphs with equal fingerprints compute the same from the same inputs. Names of variables,
source lines and module paths do not count.
"""

from __future__ import annotations

import hashlib
from types import FunctionType
from typing import Any

import numpy as np

from .graph import Atom, Constant, Graph, Node

NumpyArray = np.ndarray[Any, Any]

PLAIN = (bool, int, float, complex, str, bytes, type(None))
"""Types whose repr says all, exactly."""


class Unknown(Exception):
    """A parameter without a form in which it could be compared."""


def fingerprint(graph: Graph) -> tuple[str, list[NumpyArray]] | None:
    """A SHA-256 of the program, and its constants in the order in which it names them.

    None for a program with a parameter that means something in this process only, as a function.
    """
    writer = _Writer()
    try:
        writer.write_graph(graph)
    except Unknown:
        return None
    text = "\n".join(writer.lines)
    return hashlib.sha256(text.encode()).hexdigest(), writer.constants


class _Writer:
    """Writes a program line by line; every value and every inner Graph gets a number."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: list[NumpyArray] = []
        self._atoms: dict[int, str] = {}
        self._graphs: dict[int, int] = {}
        self._digests: dict[int, str] = {}

    def write_graph(self, graph: Graph) -> None:
        self._graphs[id(graph)] = len(self._graphs)
        inputs = " ".join([self._introduce(variable) for variable in graph.inputs])
        lines = self.lines
        lines.append(f"graph {inputs}")
        for node in graph.nodes:
            parameters = self._parameters(node) if node.parameters else ""
            arguments = " ".join([self._name_of(atom) for atom in node.inputs])
            outputs = " ".join([self._introduce(variable) for variable in node.outputs])
            lines.append(f"{outputs} = {node.primitive.name} {arguments} {parameters}")
        lines.append("return " + " ".join([self._name_of(atom) for atom in graph.outputs]))

    def _introduce(self, atom: Atom) -> str:
        name = self._atoms[id(atom)] = str(len(self._atoms))
        return f"{name}:{atom.type.dtype.char}{atom.type.shape}"

    def _name_of(self, atom: Atom) -> str:
        name = self._atoms.get(id(atom))
        if name is None:
            if not isinstance(atom, Constant):
                raise Unknown("a value from outside")
            self.lines.append(f"{self._introduce(atom)} is {self._digest(atom.value)}")
            self.constants.append(atom.value)
            name = self._atoms[id(atom)]
        return name

    def _digest(self, value: NumpyArray) -> str:
        """The elements of an array; one of them where they are all one place in memory."""
        known = self._digests.get(id(value))
        if known is None:
            one = value.size > 0 and not any(value.strides)
            if one or value.size == 1:
                known = value.flat[0].tobytes().hex() + ("*" if one else "")
            else:
                raw = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
                known = hashlib.sha256(raw.data).hexdigest()
            self._digests[id(value)] = known
        return known

    def _parameters(self, node: Node) -> str:
        parts = []
        for key, value in node.parameters.items():
            # Functions beside a Graph are rules for derivatives; what runs is the Graph.
            rule = node.primitive.holds_graphs and isinstance(value, FunctionType)
            parts.append(f"{key}={'rule' if rule else self._parameter(value)}")
        return ",".join(parts)

    def _parameter(self, value: Any) -> str:
        kind = type(value)
        if kind in PLAIN:
            return repr(value)
        if kind is tuple:
            return "(" + ",".join([self._parameter(item) for item in value]) + ")"
        if isinstance(value, np.generic):
            return f"{value.dtype.str} {value.tobytes().hex()}"
        if isinstance(value, np.dtype):
            return f"dtype {value.str}"
        if isinstance(value, Graph):
            number = self._graphs.get(id(value))
            if number is None:
                self.write_graph(value)
                number = self._graphs[id(value)]
            return f"graph {number}"
        raise Unknown(type(value).__name__)

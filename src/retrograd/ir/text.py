"""Prints a Graph as text that can be read, compared and kept as a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .graph import Atom, Constant, Graph, Node, Variable


def format_graph(graph: Graph, *, sources: bool = False) -> str:
    """The program as text, one node a line.

    Args:
        graph: the program.
        sources: append the user's source line and the module path to each node.

    Returns:
        Lines of the form `c: float32[2,3] = multiply(a, b)`.
    """
    return "\n".join(_format_lines(graph, sources, ""))


def format_node(node: Node) -> str:
    """One node as text, with types in the place of names."""
    inputs = ", ".join(str(atom.type) for atom in node.inputs)
    return f"{node.primitive.name}({inputs}{_format_parameters(node.parameters, bool(inputs))})"


def _format_lines(graph: Graph, sources: bool, indent: str) -> list[str]:
    names: dict[int, str] = {}

    def name_of(atom: Atom) -> str:
        if isinstance(atom, Constant):
            return _format_constant(atom)
        return names[id(atom)]

    def introduce(variable: Variable) -> str:
        names[id(variable)] = _letters(len(names))
        return f"{names[id(variable)]}: {variable.type}"

    inputs = []
    for variable in graph.inputs:
        text = introduce(variable)
        inputs.append(f"{text} '{variable.name}'" if variable.name else text)
    lines = [f"{indent}{graph.name}({', '.join(inputs)}):"]
    for node in graph.nodes:
        arguments = [name_of(atom) for atom in node.inputs]
        left = ", ".join(introduce(variable) for variable in node.outputs)
        parameters = _format_parameters(node.parameters, bool(arguments))
        line = f"{indent}  {left} = {node.primitive.name}({', '.join(arguments)}{parameters})"
        if sources:
            notes = [text for text in (node.path, str(node.source or "")) if text]
            if notes:
                line += f"    # {' | '.join(notes)}"
        lines.append(line)
        for inner in node.graphs():
            lines.extend(_format_lines(inner, sources, indent + "    "))
    lines.append(f"{indent}  return {', '.join(name_of(atom) for atom in graph.outputs)}")
    return lines


def _format_parameters(parameters: Mapping[str, Any], after_inputs: bool) -> str:
    parts = []
    for key, value in parameters.items():
        if isinstance(value, Graph):
            text = value.name
        elif isinstance(value, np.dtype):
            text = value.name
        elif callable(value):
            text = getattr(value, "__name__", type(value).__name__)
        else:
            text = str(value).replace(" ", "")
        parts.append(f"{key}={text}")
    if not parts:
        return ""
    return (", " if after_inputs else "") + ", ".join(parts)


def _format_constant(constant: Constant) -> str:
    if constant.type.size == 1 or (constant.type.size and not any(constant.value.strides)):
        value = constant.value.flat[0].item()
        return f"{value!r}:{constant.type}"
    return f"constant:{constant.type}"


def _letters(index: int) -> str:
    text = ""
    index += 1
    while index > 0:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("a") + rest) + text
    return text

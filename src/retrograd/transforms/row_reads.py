"""Gradients of large tables: taken by the rows that a program reads, not by the whole table.

The rows are values inside of the program, and the chain rule is applied to them as to inputs: no
zeros of the table's size are ever written down. What is read at which indices leaves the program
as further outputs, and is merged into one RowGradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import backprop
from ..ir import Graph, Node, Variable
from ..ops.row_gradient import RowGradient, merge_rows
from ..trace import Array
from .graphs import apply_graph


@dataclass(frozen=True, slots=True)
class Table:
    """An input that is read by rows.

    Args:
        reads: the nodes that read rows.
        skipped: the row that has no gradient.
    """

    reads: list[Node]
    skipped: int | None


def find_reads(graph: Graph, variable: Variable) -> list[Node] | None:
    """The nodes that read rows of an input; None if it is used in any other way."""
    found = []
    for node in graph.nodes:
        if not any(atom is variable for atom in node.inputs):
            continue
        by_rows = node.primitive.name == "gather" and node.parameters["axis"] == 0
        if not by_rows:
            return None
        found.append(node)
    return None if any(atom is variable for atom in graph.outputs) else found


def evaluate_gradients(
    graph: Graph,
    count: int,
    marked: dict[int, int | None],
    inputs: Sequence[Array],
    seeds: Sequence[Array],
) -> tuple[list[Array], list[Array | RowGradient]]:
    """The outputs of a program, and its gradients.

    Args:
        graph: the program.
        count: by how many of its inputs, the first, it is differentiated.
        marked: the positions of those whose gradient shall be a RowGradient, with the row that
            has none. An input that is not only read by rows gets an Array all the same.
        inputs: a value for each input.
        seeds: a cotangent for each floating output.
    """
    tables: dict[int, Table] = {}
    for position, skipped in marked.items():
        reads = find_reads(graph, graph.inputs[position])
        if reads is not None:
            tables[position] = Table(reads, skipped)
    wanted = [v for position, v in enumerate(graph.inputs[:count]) if position not in tables]
    rows = [node.outputs[0] for table in tables.values() for node in table.reads]
    places = [node.inputs[1] for table in tables.values() for node in table.reads]
    extended = Graph(graph.inputs, graph.nodes, (*graph.outputs, *places), graph.name)
    program = backprop.differentiate(extended if places else graph, [*wanted, *rows])
    results = iter(apply_graph(program, [*inputs, *seeds]))
    outputs = [next(results) for _ in graph.outputs]
    indices = iter([next(results) for _ in places])
    dense = {id(variable): next(results) for variable in wanted}
    gradients: list[Array | RowGradient] = []
    for position, variable in enumerate(graph.inputs[:count]):
        if position not in tables:
            gradients.append(dense[id(variable)])
            continue
        table = tables[position]
        read = [next(indices) for _ in table.reads]
        parts = [next(results) for _ in table.reads]
        gradients.append(merge_rows(read, parts, inputs[position], table.skipped))
    return outputs, gradients

"""No primitive without a rule, a row of gradients and a row of values."""

from __future__ import annotations

from collections import Counter

import pytest

import retrograd as rg
from retrograd.ir import NONDIFFERENTIABLE, PRIMITIVES, Graph
from retrograd.trace import Array
from tests.gradient_table.rows import ROWS
from tests.gradient_table.table import Row
from tests.gradient_table.test_values import ROWS as VALUES


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_primitive_is_in_the_tables(name: str) -> None:
    primitive = PRIMITIVES[name]
    assert (primitive.jvp == NONDIFFERENTIABLE) == (primitive.backward == NONDIFFERENTIABLE), (
        f"{name} says NONDIFFERENTIABLE in one rule only"
    )
    rows = [row for row in ROWS if row.primitive == name]
    if primitive.differentiable:
        assert rows, f"{name} has no row in the gradient table: add one in tests/gradient_table"
        assert any(0 in shape for row in rows for shape in row.shapes), f"{name}: no empty shape"
        assert any(
            () in row.shapes or all(n == 1 for shape in row.shapes for n in shape) for row in rows
        ), f"{name}: no shape of size 1"
    else:
        assert not rows, f"{name} is nondifferentiable but has a row of gradients"
    assert any(row.primitive == name for row in VALUES), (
        f"{name} has no row in the table of values: add one in tests/gradient_table/*_values.py"
    )


def test_every_row_applies_its_primitive() -> None:
    """A row whose function takes another way (a shortcut) would check nothing."""
    for row in ROWS:
        graph = trace_row(row)
        used = {node.primitive.name for node in graph.walk()}
        assert row.primitive in used, f"{row.name} does not use {row.primitive}, but {used}"


def trace_row(row: Row) -> Graph:
    arrays: list[Array] = [rg.array(value) for value in row.draw()]
    graph: Graph = rg.compile(lambda *values: row.function(*values)).graph(*arrays)
    return graph


def test_names_of_rows_are_unique() -> None:
    twice = [name for name, count in Counter(row.name for row in ROWS).items() if count > 1]
    assert not twice
    twice = [name for name, count in Counter(row.name for row in VALUES).items() if count > 1]
    assert not twice

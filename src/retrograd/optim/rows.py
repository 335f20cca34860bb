"""Rules applied leaf by leaf; to a RowGradient row by row, and to nothing else of its table.

A rule is written for a gradient and what is kept beside it (parameter, moments), all of one shape.
For a RowGradient it gets the rows that occur, and what it gives replaces these rows alone. So each
row is treated as if it were a parameter that is left alone in the steps in which it does not occur:
its momentum does not fade, its moments stay, it does not decay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError
from ..ops.row_gradient import RowGradient
from ..ops.table_rows import clear_others, put_rows, take_rows
from ..tree import flatten, paths, unflatten

Tree = Any


def is_row_gradient(value: Any) -> bool:
    """Whether a tree ends here, though a RowGradient is a tree of two Arrays itself."""
    return isinstance(value, RowGradient)


def map_rows(rule: Callable[..., Any], gradients: Tree, *tables: Tree) -> Tree:
    """The updates `rule(gradient, *leaves)` for each leaf.

    Args:
        rule: gives the update of a gradient and of the leaves beside it.
        gradients: a tree of Arrays and RowGradients.
        tables: trees of Arrays with the same leaves.

    Returns:
        The tree of updates; a RowGradient where there was one.

    Example:
        >>> from retrograd import optim
        >>> optim.map_rows(lambda gradient: 0.5 * gradient, {"w": 4.0})
        {'w': 2.0}
    """
    return step_rows(lambda *parts: (rule(*parts), *parts[1:]), gradients, *tables)[0]


def step_rows(rule: Callable[..., Any], gradients: Tree, *states: Tree) -> tuple[Tree, ...]:
    """The updates and new states `rule(gradient, *states)` for each leaf.

    Args:
        rule: gives the update and as many new states as it gets, as a tuple.
        gradients: a tree of Arrays and RowGradients.
        states: trees of Arrays with the same leaves.

    Returns:
        The tree of updates, and for each of the states the tree of new ones, in which rows that
        do not occur are as they were.

    Example:
        >>> from retrograd import optim
        >>> optim.step_rows(lambda g, s: (0.5 * g, s + g), {"w": 3.0}, {"w": 1.0})
        ({'w': 1.5}, {'w': 4.0})
    """
    leaves, structure = flatten(gradients, is_row_gradient)
    columns = []
    for state in states:
        column, other = flatten(state)
        if other != structure:
            raise ArgumentError(
                "The gradients do not have the tree of what is kept for them: gradients "
                f"{paths(gradients, is_row_gradient)[:8]}, kept {paths(state)[:8]}."
            )
        columns.append(column)
    results = [_apply(rule, leaf, kept) for leaf, *kept in zip(leaves, *columns, strict=True)]
    return tuple(
        unflatten(structure, [result[order] for result in results])
        for order in range(1 + len(states))
    )


def _apply(rule: Callable[..., Any], gradient: Any, kept: list[Any]) -> tuple[Any, ...]:
    if not isinstance(gradient, RowGradient):
        return tuple(rule(gradient, *kept))
    indices = gradient.indices
    before = [take_rows(table, indices) for table in kept]
    update, *after = rule(gradient.rows, *before)
    tables = [
        table if new is old else put_rows(table, new, indices)
        for table, old, new in zip(kept, before, after, strict=True)
    ]
    return RowGradient(indices, clear_others(update, indices)), *tables

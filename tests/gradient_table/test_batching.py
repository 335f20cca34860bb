"""Every primitive under vmap against a Python loop, each input mapped or shared."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import tree
from retrograd.ir import PRIMITIVES
from tests.gradient_table.rows import ROWS
from tests.gradient_table.table import NumpyArray, Row
from tests.gradient_table.test_values import ROWS as VALUES
from tests.gradient_table.values import Value

EXAMPLES = 3


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_primitive_has_a_batching_rule(name: str) -> None:
    assert callable(PRIMITIVES[name].batch), (
        f"{name} has no batching rule: name one of ops/batch_rules.py in its declaration "
        "(one_by_one always works), or write one"
    )


def choices_of_axes(count: int) -> list[tuple[int | None, ...]]:
    """Every input with its examples in front or shared, and once all with them behind."""
    mixed = [
        axes for axes in itertools.product((0, None), repeat=count) if any(a == 0 for a in axes)
    ]
    return [*mixed, (-1,) * count]


def assert_is_the_loop(
    function: Callable[..., Any], sets: Sequence[Sequence[NumpyArray]], axes: Sequence[int | None]
) -> None:
    """vmap over the sets of inputs gives what the function gives for each of them."""
    stacked = [
        sets[0][position] if axis is None else np.stack([s[position] for s in sets], axis)
        for position, axis in enumerate(axes)
    ]
    result = rg.vmap(function, in_axes=tuple(axes))(*map(rg.array, stacked))
    for number, inputs in enumerate(sets):
        mixed = [
            sets[0][position] if axis is None else inputs[position]
            for position, axis in enumerate(axes)
        ]
        expected = function(*map(rg.array, mixed))
        for got, wanted in zip(tree.leaves(result), tree.leaves(expected), strict=True):
            value = got.numpy()[number]
            assert value.dtype == wanted.dtype and value.shape == wanted.shape
            if wanted.dtype.kind == "f":
                scale = 1e-5 if wanted.dtype == np.float32 else 1e-12
                np.testing.assert_allclose(value, wanted.numpy(), rtol=scale, atol=scale)
            else:
                np.testing.assert_array_equal(value, wanted.numpy())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_of_gradients(row: Row) -> None:
    random = np.random.default_rng(zlib.crc32(row.name.encode()))
    sets = [
        [np.asarray(d(random, shape)) for d, shape in zip(row.domains, row.shapes, strict=True)]
        for _ in range(EXAMPLES)
    ]
    for axes in choices_of_axes(len(row.shapes)):
        assert_is_the_loop(row.function, sets, axes)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if "reverse" in row.modes], ids=lambda row: row.name
)
def test_gradients_of_each_example(row: Row) -> None:
    """vmap of a pullback, and the pullback of a vmap, are the gradients of a loop."""
    random = np.random.default_rng(zlib.crc32(row.name.encode()))
    sets = [
        [np.asarray(d(random, shape)) for d, shape in zip(row.domains, row.shapes, strict=True)]
        for _ in range(EXAMPLES)
    ]

    def total(*values: Any) -> Any:
        outputs = [y for y in tree.leaves(row.function(*values)) if y.dtype.kind == "f"]
        return sum((rg.sin(y).sum() for y in outputs), start=rg.array(np.zeros(())))

    count = len(row.shapes)
    each = rg.grad(total, argnums=tuple(range(count)))
    assert_is_the_loop(each, sets, (0,) * count)
    stacked = [rg.array(np.stack([s[p] for s in sets])) for p in range(count)]
    together = rg.grad(lambda *v: rg.vmap(total)(*v).sum(), argnums=tuple(range(count)))(*stacked)
    for number, inputs in enumerate(sets):
        for got, wanted in zip(together, each(*map(rg.array, inputs)), strict=True):
            np.testing.assert_allclose(got.numpy()[number], wanted.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("row", VALUES, ids=lambda row: row.name)
def test_rows_of_values(row: Value) -> None:
    """All dtypes, integer inputs too; the examples are the inputs with their elements moved on."""
    sets = [[np.roll(x.ravel(), n).reshape(x.shape) for x in row.inputs] for n in range(EXAMPLES)]
    for axes in choices_of_axes(len(row.inputs)):
        assert_is_the_loop(row.function, sets, axes)

"""What simplify removes, with every bit kept, and what it must leave alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.ir.primitive import PRIMITIVES
from retrograd.passes.fold_constants import fold_constants
from retrograd.passes.remove_dead_code import remove_dead_code
from retrograd.passes.simplify import simplify
from retrograd.trace import Array, bind
from tests.passes.helpers import assert_same_bits, count, run_both, trace

SPECIAL = np.array(
    [0.0, -0.0, 1.5, -2.25, np.inf, -np.inf, np.nan, 1e-40, -3e38, 3e38, 1.0, -1.0], np.float32
)
MATRIX = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 11.5


def apply(name: str, *values: Any, **parameters: Any) -> Any:
    return bind(PRIMITIVES[name], *values, **parameters)[0]


def always(value: bool, like: Any) -> Array:
    return Array(np.broadcast_to(np.array(value), like.shape))


def full(value: float, like: Any) -> Any:
    return rg.full(like.shape, value, dtype=like.dtype)


GONE: list[tuple[str, Callable[[Any], Any], Any, str]] = [
    ("times 1", lambda x: x * 1.0, SPECIAL, "multiply"),
    ("1 times", lambda x: 1.0 * x, SPECIAL, "multiply"),
    ("plus -0", lambda x: x + -0.0, SPECIAL, "add"),
    ("minus 0", lambda x: x - 0.0, SPECIAL, "subtract"),
    ("integers plus 0", lambda x: x + 0, np.arange(5, dtype=np.int32), "add"),
    ("divided by 1", lambda x: x / 1.0, SPECIAL, "divide"),
    ("divided by 8", lambda x: x / 8.0, SPECIAL, "divide"),
    ("divided by -1/4", lambda x: x / -0.25, SPECIAL, "divide"),
    ("twice negative", lambda x: rg.negative(-x), SPECIAL, "negative"),
    ("minus negative", lambda x: 2.0 - (-x), SPECIAL, "negative"),
    ("plus negative", lambda x: rg.sin(x) + (-x), SPECIAL, "negative"),
    ("negatives multiplied", lambda x: (-x) * (-rg.sin(x)), SPECIAL, "negative"),
    ("negative times a constant", lambda x: (-x) * 3.0, SPECIAL, "negative"),
    ("power 0", lambda x: apply("power", x, full(0, x)), SPECIAL, "power"),
    ("power 1", lambda x: apply("power", x, full(1, x)), SPECIAL, "power"),
    ("power 2", lambda x: apply("power", x, full(2, x)), SPECIAL, "power"),
    ("stop_gradient", lambda x: rg.stop_gradient(x) + 1, SPECIAL, "stop_gradient"),
    ("cast to the same", lambda x: apply("cast", x, dtype=x.dtype), SPECIAL, "cast"),
    ("cast and back", lambda x: x.astype("float64").astype("float32"), SPECIAL, "cast"),
    ("where with one branch", lambda x: apply("where", x > 0, x, x), SPECIAL, "where"),
    ("where always", lambda x: rg.where(always(True, x), x, 2.0), SPECIAL, "where"),
    ("where never", lambda x: rg.where(always(False, x), 2.0, x), SPECIAL, "where"),
    ("reshape back", lambda x: x.reshape(6, 4).reshape(2, 3, 4), MATRIX, "reshape"),
    ("transpose back", lambda x: x.T.T, MATRIX, "transpose"),
    ("cycle", lambda x: x.transpose((1, 2, 0)).transpose((2, 0, 1)), MATRIX, "transpose"),
    ("ones moved", lambda x: x[:, None].transpose((0, 2, 1, 3)), MATRIX, "transpose"),
    ("flip back", lambda x: rg.flip(rg.flip(x, (0, 2)), (0, 2)), MATRIX, "flip"),
    ("flip of one", lambda x: rg.flip(x[:1], 0), MATRIX, "flip"),
    (
        "all of it",
        lambda x: apply("slice", x, starts=(0, 0, 0), stops=(2, 3, 4), steps=(1, 1, 1)),
        MATRIX,
        "slice",
    ),
    (
        "no padding",
        lambda x: apply("pad", x, low=(0, 0, 0), high=(0, 0, 0), interior=(0, 0, 0)),
        MATRIX,
        "pad",
    ),
    (
        "nothing repeated",
        lambda x: apply("broadcast", x, shape=(2, 1, 3, 4), axes=(1,)),
        MATRIX,
        "broadcast",
    ),
    ("empty parts", lambda x: rg.concatenate([x[:0], x, x[2:]]), MATRIX, "concatenate"),
]


@pytest.mark.parametrize(
    ("name", "function", "array", "primitive"), GONE, ids=lambda v: str(v)[:24]
)
def test_what_goes_leaves_every_bit(
    name: str, function: Callable[[Any], Any], array: Any, primitive: str
) -> None:
    graph = fold_constants(trace(function, array))
    assert count(graph)[primitive], "there is nothing to simplify"
    changed = remove_dead_code(simplify(graph))
    assert not count(changed)[primitive]
    assert_same_bits(run_both(graph, changed, [array]))


LEFT: list[tuple[str, Callable[[Any], Any], str]] = [
    ("plus 0 changes -0", lambda x: x + 0.0, "add"),
    ("minus -0 changes -0", lambda x: x - -0.0, "subtract"),
    ("0 minus", lambda x: 0.0 - x, "subtract"),
    ("times 0 keeps NaN", lambda x: x * 0.0, "multiply"),
    ("divided by 3", lambda x: x / 3.0, "divide"),
    ("no exact inverse", lambda x: x / np.float32(2.0**127), "divide"),
    ("power 1/2 of -inf", lambda x: apply("power", x, full(0.5, x)), "power"),
    ("power 5", lambda x: apply("power", x, full(5, x)), "power"),
    ("cast that rounds", lambda x: x.astype("int32").astype("float32"), "cast"),
]


@pytest.mark.parametrize(("name", "function", "primitive"), LEFT, ids=[row[0] for row in LEFT])
def test_what_would_change_bits_stays(
    name: str, function: Callable[[Any], Any], primitive: str
) -> None:
    graph = trace(function, SPECIAL)
    assert count(simplify(graph))[primitive] == count(graph)[primitive] > 0


def test_powers_become_products() -> None:
    array = np.linspace(-3, 3, 31).astype(np.float32)
    for exponent, products in ((3, 2), (4, 2)):
        graph = trace(lambda x, n=exponent: apply("power", x, full(n, x)), array)  # type: ignore[misc]
        changed = simplify(graph)
        assert count(changed) == {"multiply": products}
        for before, after in run_both(graph, changed, [array]):
            np.testing.assert_allclose(after, before, rtol=3e-7)


@pytest.mark.parametrize("seed", range(8))
def test_slices_and_broadcasts_of_each_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    start, step = random.integers(0, 3, 2), random.integers(1, 4, 2)
    array = random.standard_normal((7, 9)).astype(np.float32)

    def function(x: Any) -> Any:
        inner = x[start[0] :: step[0], start[1] : 8 : step[1]]
        sliced = inner[1 :: step[1], : inner.shape[1] : step[0]]
        wide = rg.broadcast_to(rg.broadcast_to(x[:, None, :], (7, 3, 9))[None], (2, 7, 3, 9))
        return sliced, wide

    graph = trace(function, array)
    changed = remove_dead_code(simplify(graph))
    assert count(changed)["slice"] <= 1 and count(changed)["broadcast"] == 1
    assert_same_bits(run_both(graph, changed, [array]))

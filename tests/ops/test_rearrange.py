"""moveaxis, split, unstack, tile, repeat, flip, pad, roll, tril, triu."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import retrograd as rg
from retrograd.ops.rearrange import (
    flip,
    moveaxis,
    pad,
    repeat,
    roll,
    split,
    tile,
    tril,
    triu,
    unstack,
)
from tests.ops.derivatives import check_derivatives

X = np.random.default_rng(0).normal(size=(3, 4, 5))

CALLS: list[tuple[Any, Any, tuple[Any, ...]]] = [
    (moveaxis, np.moveaxis, (0, -1)),
    (moveaxis, np.moveaxis, (2, 0)),
    (moveaxis, np.moveaxis, ([0, 1], [2, 0])),
    (moveaxis, np.moveaxis, ((2, 0, 1), (0, 1, 2))),
    (tile, np.tile, (2,)),
    (tile, np.tile, ((2, 1, 3),)),
    (tile, np.tile, ((2, 1, 1, 2),)),
    (tile, np.tile, (0,)),
    (repeat, np.repeat, (2,)),
    (repeat, np.repeat, (3, 1)),
    (repeat, np.repeat, ([2, 0, 1], 0)),
    (repeat, np.repeat, ([2], -1)),
    (repeat, np.repeat, (0, 2)),
    (flip, np.flip, ()),
    (flip, np.flip, (1,)),
    (flip, np.flip, ((0, -1),)),
    (pad, np.pad, (1,)),
    (pad, np.pad, ((1, 2),)),
    (pad, np.pad, (((0, 1), (2, 0), (1, 1)), "constant", 7)),
    (pad, np.pad, (((0, 0), (0, 3), (0, 0)), "constant", -0.5)),
    (pad, np.pad, (((1,), (0,), (2,)),)),
    (pad, np.pad, (0, "constant", 3)),
    (roll, np.roll, (1,)),
    (roll, np.roll, (-2, 1)),
    (roll, np.roll, ((1, 7), (0, 2))),
    (roll, np.roll, (2, (0, 1))),
    (roll, np.roll, ((1, 2), 1)),
    (tril, np.tril, ()),
    (tril, np.tril, (-1,)),
    (tril, np.tril, (2,)),
    (triu, np.triu, ()),
    (triu, np.triu, (1,)),
    (triu, np.triu, (-2,)),
]
NAMES = [f"{function.__name__}{arguments}" for function, _, arguments in CALLS]


@pytest.mark.parametrize(("ours", "numpy", "arguments"), CALLS, ids=NAMES)
def test_values_and_derivatives(ours: Any, numpy: Any, arguments: tuple[Any, ...]) -> None:
    for dtype in ("float64", "float32", "int32"):
        x = (X * 9).astype(dtype)
        if dtype == "int32" and arguments[-1:] == (-0.5,):
            continue
        named = dict(zip(("mode", "constant_values"), arguments[1:], strict=False))
        expected = numpy(x, arguments[0], **named) if numpy is np.pad else numpy(x, *arguments)
        np.testing.assert_array_equal(ours(x, *arguments).numpy(), expected, strict=True)
    check_derivatives(lambda x: ours(x, *arguments) ** 3, X)


@pytest.mark.parametrize("where", [1, 2, 4, [1], [1, 3], [3, 1], [-1], [2, 9], [], [0, 0]], ids=str)
def test_split(where: Any) -> None:
    expected = np.split(X, where, 1)
    parts = split(X, where, 1)
    assert len(parts) == len(expected)
    for part, wanted in zip(parts, expected, strict=True):
        np.testing.assert_array_equal(part.numpy(), wanted, strict=True)
    scales = range(2, 2 + len(expected))

    def joined(x: Any) -> Any:
        pieces = [part**n for part, n in zip(split(x, where, 1), scales, strict=True)]
        return rg.concatenate(pieces, 1)

    check_derivatives(joined, X)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unstack(axis: int) -> None:
    parts = unstack(X, axis)
    np.testing.assert_array_equal(np.stack([part.numpy() for part in parts], axis), X)
    check_derivatives(lambda x: unstack(x, axis)[1] ** 3, X)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_pad_of_any_shape(data: Any) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    pairs = st.tuples(st.integers(0, 2), st.integers(0, 2))
    widths = data.draw(st.lists(pairs, min_size=len(shape), max_size=len(shape)))
    value = data.draw(st.sampled_from([0, 1, -2, 0.0, 2.5]))
    x = np.random.default_rng(1).normal(size=shape)
    expected = np.pad(x, widths, constant_values=value) if shape else x
    result = pad(x, widths, constant_values=value)
    np.testing.assert_array_equal(result.numpy(), expected, strict=True)


def test_pad_keeps_special_values_and_the_dtype() -> None:
    x = np.array([np.nan, np.inf, -0.0], np.float32)
    for value in (0, 5, float("-inf"), np.float64(2)):
        result = pad(x, (1, 2), constant_values=value).numpy()
        np.testing.assert_array_equal(result, np.pad(x, (1, 2), constant_values=value), strict=True)
        assert np.signbit(result[3])


def test_pad_value_can_be_traced() -> None:
    gradient = rg.grad(lambda v: rg.sum(pad(rg.array([1.0, 2.0]), (1, 2), constant_values=v)))
    assert float(gradient(rg.array(4.0))) == 3


def test_triangles_do_not_let_nan_through() -> None:
    x = np.full((3, 3), np.nan)
    assert (triu(x, 3).numpy() == 0).all()
    assert np.isnan(tril(x).numpy()).sum() == 6
    assert tril(np.ones((2, 2), bool)).numpy().tolist() == [[True, False], [True, True]]


def test_empty_arrays() -> None:
    empty = np.zeros((0, 2))
    for function, numpy, arguments in (
        (roll, np.roll, (1, 0)),
        (tile, np.tile, ((2, 2),)),
        (repeat, np.repeat, (2, 0)),
        (flip, np.flip, ()),
        (tril, np.tril, ()),
        (pad, np.pad, (1,)),
        (roll, np.roll, (3,)),
    ):
        np.testing.assert_array_equal(
            function(empty, *arguments).numpy(), numpy(empty, *arguments), strict=True
        )
    assert unstack(empty) == []


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: moveaxis(X, 3, 0), "ShapeError", "moveaxis: axis 3"),
        (lambda: moveaxis(X, (0, 1), 0), "ShapeError", "same number"),
        (lambda: moveaxis(X, (0, 0), (1, 2)), "ShapeError", "each once"),
        (lambda: split(X, 3, 1), "ShapeError", "axis 1 of .* 3 equal pieces"),
        (lambda: split(X, 0), "ShapeError", "0 equal pieces"),
        (lambda: split(X, 1.5), "ArgumentTypeError", "number of pieces must be an integer"),
        (lambda: split(X, [0.5]), "ArgumentTypeError", "each index must be an integer"),
        (lambda: tile(X, -1), "ArgumentError", "cannot be negative"),
        (lambda: tile(X, 1.0), "ArgumentTypeError", "reps must be an integer"),
        (lambda: repeat(X, -1), "ArgumentError", "cannot be negative"),
        (lambda: repeat(X, [1, 2], 0), "ShapeError", "2 numbers of repeats .* size 3"),
        (lambda: flip(X, 5), "ShapeError", "flip: axis 5"),
        (lambda: pad(X, -1), "ArgumentError", "cannot be negative"),
        (lambda: pad(X, ((1, 2), (3, 4))), "ShapeError", "one pair for each of the 3 axes"),
        (lambda: pad(X, 0.5), "ShapeError", "pad_width must be"),
        (lambda: pad(X, [(1, 2), 3, (4, 5)]), "ShapeError", "pad_width must be"),
        (lambda: pad(X, 1, "reflect"), "ArgumentError", 'mode must be "constant"'),
        (lambda: pad(X, 1, constant_values=(1, 2)), "ArgumentError", "one number"),
        (lambda: pad(X.astype(np.uint8), 1, constant_values=-1), "ArgumentTypeError", "fit"),
        (lambda: roll(X, (1, 2, 3), (0, 1)), "ShapeError", "3 shifts for 2 axes"),
        (lambda: roll(X, 0.5, 0), "ArgumentTypeError", "shift must be an integer"),
        (lambda: tril(X[0, 0]), "ShapeError", "tril needs at least two axes"),
        (lambda: triu(X, 0.5), "ArgumentTypeError", "k must be an integer"),
        (lambda: unstack(X, 3), "ShapeError", "unstack: axis 3"),
    ],
)
def test_errors(call: Any, error: str, words: str) -> None:
    with pytest.raises(getattr(rg.errors, error), match=words):
        call()

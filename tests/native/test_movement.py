"""Machine code for what moves elements: chains, shapes, aliases, and kernels that overlap."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from tests.gradient_table.table import primitive
from tests.native.helpers import check, with_gradients

SHAPES = [
    (),
    (1,),
    (7,),
    (16,),
    (17,),
    (0, 3),
    (3, 0),
    (1, 1),
    (5, 1),
    (1, 5),
    (16, 16),
    (33, 17),
    (2, 3, 5),
    (3, 1, 4),
    (2, 0, 4),
    (3001, 7),
    (7, 3001),
]
DTYPES = ("float32", "float64", "int32", "int64", "uint8", "uint32", "bool")


def draw(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> np.ndarray[Any, Any]:
    values = np.random.default_rng([seed, *shape]).uniform(-4, 4, shape)
    if dtype == "bool":
        return np.asarray(values > 0)
    return np.asarray(np.abs(values) if dtype.startswith("u") else values).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_chain_of_movements(shape: tuple[int, ...]) -> None:
    """Transpose of slice of flip of pad of broadcast, with arithmetic in between."""

    def chain(x: Any) -> Any:
        whole = rg.broadcast_to(x + 1, (2, *shape))
        padded = rg.pad(whole, [(1, 2)] + [(0, 1)] * len(shape))
        turned = rg.flip(padded * 2, tuple(range(padded.ndim)))
        part = turned[(slice(None, None, 2), *([slice(1, None)] * len(shape)))]
        moved = rg.transpose(part, tuple(reversed(range(part.ndim))))
        return moved, moved.reshape(-1), rg.sin(moved).sum(0), x

    check(with_gradients(chain), [draw(shape)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7,), (5, 1), (33, 17), (2, 3, 5), (3, 0)], ids=str)
def test_movement_of_every_dtype(shape: tuple[int, ...], dtype: str) -> None:
    def chain(x: Any) -> Any:
        padded = rg.pad(x, [(1, 2)] * len(shape))
        cropped = padded[tuple(slice(0, n + 2) for n in shape)]
        return rg.flip(cropped, 0).T, rg.concatenate(
            [x, x, cropped.reshape(-1)[:0].reshape((0, *shape[1:]))]
        ) if 0 not in shape else cropped

    check(chain, [draw(shape, dtype)])


@pytest.mark.parametrize(
    ("low", "high", "interior"),
    list(itertools.product((-2, 0, 3), (-1, 0, 2), (0, 2))),
)
def test_pads_of_either_sign(low: int, high: int, interior: int) -> None:
    pads = {"low": (low, 1), "high": (high, -1), "interior": (interior, 0)}
    for shape in ((5, 4), (17, 3)):
        check(with_gradients(primitive("pad", **pads)), [draw(shape)])
        check(lambda x: rg.sin(primitive("pad", **pads)(x * 2)).sum(1), [draw(shape)])


@pytest.mark.parametrize("shape", [(4, 6), (17, 33), (3, 4, 5)], ids=str)
def test_axes_in_every_order(shape: tuple[int, ...]) -> None:
    def orders(x: Any) -> Any:
        return [
            rg.transpose(x, order) * (place + 1)
            for place, order in enumerate(itertools.permutations(range(len(shape))))
        ]

    check(orders, [draw(shape)])


def test_outputs_that_are_one_value_or_an_input_or_a_constant() -> None:
    def aliases(x: Any, y: Any) -> Any:
        z = x + y
        same = z.reshape(2, 3)
        zeros, table = rg.zeros((2, 3)), rg.array(np.arange(6.0).reshape(2, 3))
        return x, z, z, same, same.reshape(6), z[:3], x.reshape(3, 2).T, zeros, table, table.T, y

    check(aliases, [draw((6,)), draw((6,), seed=1)])


def test_results_of_earlier_calls_stay() -> None:
    step = rg.compile(lambda x: (x + 1, x), executor="native")
    first = step(rg.array([1.0, 2.0]))
    kept = [value.numpy().copy() for value in first]
    step(rg.array([5.0, 6.0]))
    for value, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(value.numpy(), copy)


@pytest.mark.parametrize("count", [1, 2, 7, 16, 40])
def test_a_value_that_is_read_through_several_views(count: int) -> None:
    """Reads of the whole beside reads of parts: kernels that must not run as one."""

    def views(x: Any) -> Any:
        y = rg.exp(x) + 1
        back = y[::-1] * y + rg.concatenate([y[count // 2 :], y[: count // 2]])
        z = back * back
        return z - z[::-1], z.sum(), (y * z[::-1]).max()

    check(with_gradients(views), [draw((count,))], 200.0)


def test_inputs_that_are_not_contiguous() -> None:
    function = rg.compile(lambda x: x * 2, executor="native")
    x = draw((6, 8))
    for view in (x.T, x[::2, ::-1], np.broadcast_to(x[:1], (3, 8)), x[:, 3]):
        np.testing.assert_array_equal(function(rg.array(view)).numpy(), view * 2)


def test_uniform_constants_and_large_constants() -> None:
    table = rg.array(draw((40, 30)))

    def constants(x: Any) -> Any:
        ones = rg.ones((40, 30))
        return x + ones, (ones * 3).T @ x, table.T[2:, ::3] + x[:28, :14], rg.zeros((3, 4)).sum(0)

    check(constants, [draw((40, 30))], 64.0)

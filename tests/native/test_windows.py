"""Machine code for windows: large ones, padding, cropping, dilation, ties, NaN and infinities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.native import NativeProgram
from tests.native.helpers import check, trace, with_gradients
from tests.native.test_movement import draw

POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((3, 8, 8, 16), {"size": 2}),
    ((2, 9, 7, 5), {"size": 2}),
    ((1, 28, 28, 1), {"size": 2}),
    ((2, 9, 9, 3), {"size": 3, "stride": 2, "padding": 1}),
    ((2, 11, 9, 17), {"size": 3, "stride": 1, "padding": ((0, 2), (1, -1))}),
    ((2, 12, 12, 4), {"size": 5, "stride": 2, "padding": 2}),
    ((1, 14, 14, 3), {"size": 5, "stride": 5}),
    ((1, 14, 14, 3), {"size": (7, 6), "stride": (6, 7), "padding": 3}),
    ((1, 20, 20, 2), {"size": 6, "stride": 1, "dilation": 2}),
    ((1, 16, 3), {"size": 3, "stride": 4}),
    ((2, 40, 3), {"size": 20, "stride": 3}),
    ((1, 6, 5, 4, 2), {"size": (2, 3, 2), "stride": (1, 2, 3)}),
    ((2, 13, 13, 4), {"size": 13}),
    ((2, 8, 8, 4), {"size": 2, "padding": -1}),
]


def name(pool: Any) -> str:
    return str(pool).replace(" ", "")


@pytest.mark.parametrize("pool", POOLS, ids=name)
def test_pools_and_their_gradients(pool: tuple[tuple[int, ...], dict[str, Any]]) -> None:
    shape, options = pool
    averaged = {key: value for key, value in options.items() if key != "dilation"}

    def both(x: Any) -> Any:
        return rg.max_pool(x, **options), rg.avg_pool(x, **averaged), rg.max_pool(-x * x, **options)

    check(with_gradients(both), [draw(shape)], 64.0, wide=True)
    second = with_gradients(lambda x: with_gradients(lambda v: rg.max_pool(v * v, **options))(x)[1])
    check(second, [draw(shape)], 64.0)


@pytest.mark.parametrize("pool", POOLS, ids=name)
def test_ties_nan_and_infinity(pool: tuple[tuple[int, ...], dict[str, Any]]) -> None:
    """The first of equals wins; NaN wins over numbers, the first NaN over the others."""
    shape, options = pool
    few = draw(shape).round(0)
    random = np.random.default_rng(0)
    some = np.where(random.uniform(size=shape) < 0.3, np.nan, few).astype(np.float32)
    lowest = np.where(random.uniform(size=shape) < 0.7, -np.inf, few).astype(np.float32)
    whole = np.full(shape, -np.inf, np.float32)
    for values in (few, some, lowest, whole, draw(shape, "int32"), draw(shape, "uint8")):
        graph = check(lambda x: (rg.max_pool(x, **options), _winners(x, options)), [values])
        assert not NativeProgram(graph).callbacks


def _winners(x: Any, options: dict[str, Any]) -> Any:
    from retrograd.ir import PRIMITIVES
    from retrograd.trace import bind

    rank = x.ndim - 2

    def each(value: Any) -> tuple[Any, ...]:
        return value if isinstance(value, tuple) else (value,) * rank

    size = each(options["size"])
    padding = tuple(p if isinstance(p, tuple) else (p, p) for p in each(options.get("padding", 0)))
    return bind(
        PRIMITIVES["window_max"],
        x,
        size=size,
        stride=each(options.get("stride", size)),
        padding=padding,
        dilation=each(options.get("dilation", 1)),
    )[1]


def test_no_window_calls_back() -> None:
    x = draw((2, 8, 8, 4))
    graph = trace(with_gradients(lambda v: rg.max_pool(v, 3, 2, 1) * rg.avg_pool(v, 3, 2, 1)), [x])
    assert not NativeProgram(graph).callbacks

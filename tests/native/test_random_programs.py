"""Programs drawn by hypothesis: elementwise work, movement, reductions and dots, mixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import retrograd as rg
from tests.native.helpers import check, with_gradients

Step = Callable[[list[Any]], Any]


def bounded(x: Any) -> Any:
    """Keeps values of order 1, so that errors do not grow along the program."""
    return rg.tanh(x)


@st.composite
def draw_step(draw: st.DrawFn) -> tuple[str, Step]:
    """A step makes a value of the earlier ones; numbers choose which, and how."""
    kind = draw(
        st.sampled_from(
            [
                "unary", "binary", "where", "transpose", "slice", "flip", "pad", "reshape",
                "broadcast", "concatenate", "sum", "max", "cumsum", "dot", "window", "roll",
            ]
        )
    )  # fmt: skip
    a, b, c = draw(st.tuples(*[st.integers(0, 1000)] * 3))

    def pick(values: list[Any], number: int) -> Any:
        return values[-1 - number % min(len(values), 4)]

    def apply(values: list[Any]) -> Any:
        x, y = pick(values, a), pick(values, b)
        axis = c % x.ndim if x.ndim else 0
        if kind == "unary":
            return [rg.sin, rg.abs, bounded, lambda v: -v, lambda v: v * v][c % 5](x)
        if kind == "binary":
            y = y if y.shape == x.shape else y.sum()
            return bounded([x + y, x - y, x * y, rg.maximum(x, y), rg.minimum(x, y)][c % 5])
        if kind == "where":
            return rg.where(x > 0.1, x * 2, rg.sin(x) - 1)
        if x.ndim == 0:
            return rg.broadcast_to(x, (c % 5 + 1, 3))
        if kind == "transpose":
            return rg.moveaxis(x, axis, 0) if c % 2 else x.T
        if kind == "slice":
            size = x.shape[axis]
            start, step = b % (size + 1), a % 3 + 1
            key = [slice(None)] * x.ndim
            key[axis] = slice(start, None, step) if c % 2 else slice(None, None, -step)
            return x[tuple(key)]
        if kind == "flip":
            return rg.flip(x, axis)
        if kind == "pad":
            widths = [(0, 0)] * x.ndim
            widths[axis] = (a % 3, b % 4)
            return rg.pad(x, widths)
        if kind == "reshape":
            return x.reshape(-1) if c % 2 and x.size else x[None]
        if kind == "broadcast":
            return rg.broadcast_to(x, (b % 4, *x.shape)) if x.ndim < 4 else x
        if kind == "concatenate":
            return rg.concatenate([x, rg.sin(x), x[::-1]], axis)
        if kind == "sum":
            return bounded(rg.sum(x, axis, keepdims=bool(b % 2)))
        if kind == "max":
            return x.max(axis) if x.shape[axis] else x
        if kind == "cumsum":
            return bounded(rg.cumsum(x, axis))
        if kind == "roll":
            split = b % (x.shape[0] + 1)
            return rg.concatenate([x[split:], x[:split]], 0) * x
        if kind == "window":
            if x.ndim != 3 or min(x.shape) < 2:
                return x + 1
            return rg.max_pool(x, 2, 1) + rg.avg_pool(x, 2, 1)
        return bounded(rg.tensordot(x, x, ([axis], [axis])) * 0.1) if x.ndim < 3 else x * 0.5

    return kind, apply


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    shape=st.lists(st.sampled_from([0, 1, 2, 3, 5, 17, 33]), min_size=1, max_size=3),
    steps=st.lists(draw_step(), min_size=1, max_size=10),
    seed=st.integers(0, 99),
)
def test_random_programs(shape: list[int], steps: list[tuple[str, Step]], seed: int) -> None:
    x = np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)

    def program(value: Any) -> Any:
        values = [value]
        for _, step in steps:
            result = step(values)
            if result.size < 20_000:
                values.append(result)
        return values[-3:]

    # float64: what float32 rounds could put a comparison on another side.
    check(with_gradients(program), [x.astype(np.float64)], 1e5)
    check(program, [x], 1e5)

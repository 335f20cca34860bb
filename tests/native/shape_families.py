"""All primitives over arrays of any size, a family of them in one program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

import retrograd as rg
from retrograd import nn
from retrograd.ir import PRIMITIVES
from retrograd.trace import bind
from tests.native.helpers import NumpyArray, with_gradients


@dataclass(frozen=True)
class Sizes:
    """Extents of the arrays: rows and columns of matrices, depth where there is a third axis.

    `image` is the side of images, `channels` theirs; `batch` counts images and sequences.
    """

    depth: int
    rows: int
    columns: int
    batch: int
    image: int
    channels: int


SIZES = {
    "empty": Sizes(depth=3, rows=0, columns=5, batch=0, image=6, channels=2),
    "one": Sizes(depth=1, rows=1, columns=1, batch=1, image=1, channels=1),
    "odd": Sizes(depth=3, rows=7, columns=37, batch=3, image=11, channels=5),
    "large": Sizes(depth=2, rows=67, columns=1543, batch=5, image=35, channels=33),
}


def apply(name: str, *values: Any, **parameters: Any) -> Any:
    """The outputs of a primitive: one, or a list."""
    outputs = bind(PRIMITIVES[name], *values, **parameters)
    return outputs[0] if len(outputs) == 1 else outputs


def draw(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> NumpyArray:
    values = np.random.default_rng(seed).uniform(low, high, shape)
    return values.astype(np.float32)


def whole(*shape: int, seed: int = 0, low: int = -50, high: int = 50, dtype: Any = np.int32) -> Any:
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


Case = tuple[Callable[..., Any], list[NumpyArray]]

UNARY = (
    *("abs", "cos", "erf", "exp", "expm1", "floor", "log", "log1p", "negative", "rsqrt"),
    *("sigmoid", "sign", "sin", "sqrt", "stop_gradient", "tanh"),
)
BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "remainder")
COMPARED = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


def elementwise(size: Sizes) -> Case:
    """Of floats; what is not defined below 0 sees sizes."""

    def function(x: Any, y: Any) -> Any:
        positive = apply("abs", x) + 0.1
        outputs = [
            apply(name, positive if "log" in name or "sqrt" in name else x) for name in UNARY
        ]
        outputs += [apply(name, positive, y) for name in BINARY]
        tests = [apply(name, x, y) for name in COMPARED]
        outputs += [apply("where", test, x, y) for test in tests]
        logic = [apply(f"logical_{name}", tests[2], tests[5]) for name in ("and", "or", "xor")]
        casts = [apply("cast", x * 30.0, dtype=np.dtype(name)) for name in ("int32", "bool")]
        return outputs, tests, logic, ~tests[0], apply("is_finite", x / (x - x)), casts

    x, y = draw(size.rows, size.columns), draw(size.rows, size.columns, seed=1, low=0.2, high=0.9)
    return function, [x, y]


def integers(size: Sizes) -> Case:
    def function(*pairs: Any) -> Any:
        found = []
        for x, y in zip(pairs[::2], pairs[1::2], strict=True):
            found += [x + y, x - y, x * y, x // y, x % y, apply("maximum", x, y), x < y, x == y]
            found += [x.astype("float32"), apply("where", x > y, x, y), rg.sum(x, 0)]
            found += [apply("narrow", x % y, dtype=np.dtype("uint8")) + 1]
        return found

    arrays: list[NumpyArray] = []
    for dtype, low in (("int32", -50), ("int64", -50), ("uint8", 0), ("uint32", 0)):
        shape = (size.rows, size.columns)
        arrays += [whole(*shape, low=low, dtype=dtype), whole(*shape, low=1, seed=1, dtype=dtype)]
    return function, arrays


def reductions(size: Sizes) -> Case:
    """Over each set of axes that is not empty."""

    def function(x: Any) -> Any:
        found: list[Any] = []
        for axes in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)):
            found.append(rg.sum(x, axes))
            if all(x.shape[axis] for axis in axes):
                found += [rg.max(x, axes), rg.min(x, axes), *apply("moments", x, axes=axes)]
        for axis in range(3):
            found.append(rg.cumsum(x, axis))
            found.append(rg.prod(1.0 + x / 1000.0, axis))
            if x.shape[axis]:
                found += [rg.argmax(x, axis), rg.argmin(x, axis)]
        return found

    return function, [draw(size.depth, size.rows, size.columns)]


def order(size: Sizes) -> Case:
    def function(x: Any) -> Any:
        return rg.sort(x, 0), rg.sort(x, 1), rg.top_k(x, (size.columns + 1) // 2)

    return function, [draw(size.rows, size.columns)]


def movement(size: Sizes) -> Case:
    def function(x: Any) -> Any:
        found = [rg.transpose(x, axes) for axes in permutations(range(3))]
        found += [rg.flip(x, axis) for axis in range(3)]
        found += [x[:, ::2, 1:], x[::-1, :, ::3], rg.transpose(x, (2, 0, 1)).reshape(-1)]
        found += [rg.broadcast_to(x[:, None], (x.shape[0], 2, *x.shape[1:]))]
        found += [rg.pad(x, [(1, 0), (0, 2), (3, 1)]), rg.concatenate([x, x[:, ::-1]], 1)]
        inside = tuple(min(n, 1) for n in x.shape)
        found.append(apply("pad", x, low=(0, -inside[1], 2), high=(1, 3, 0), interior=(0, 1, 2)))
        return found

    return function, [draw(size.depth, size.rows, size.columns)]


def indexing(size: Sizes) -> Case:
    """A table is never empty: without rows there is nothing that an index could name."""
    rows, columns = max(size.rows, 1), size.columns
    places = whole(size.rows, 3, low=0, high=rows)
    along = whole(rows, 2, low=0, high=columns, seed=1)

    def function(table: Any, places: Any, along: Any) -> Any:
        taken = apply("gather", table, places, axis=0)
        picked = apply("gather_along", table, along, axis=1)
        added = apply("scatter_add", taken, places, axis=0, size=rows)
        spread = apply("scatter_add_along", picked, along, axis=1, size=columns)
        first = apply("scatter_add_along", picked[:, :1], along[:, :1], axis=1, size=columns)
        outside = places.reshape(-1) * 2 - 1  # some of them; those inside not only once
        rows_there = apply("take_rows", table, outside)
        new = taken.reshape(-1, columns)
        replaced = apply("put_rows", table, new, outside)
        one = apply("put_rows", table[:, :1], new[:3, :1], outside[:3])
        return taken, picked, added, spread, first, rows_there, replaced, one

    return function, [draw(rows, columns), places, along]


def products(size: Sizes) -> Case:
    """With either operand transposed, with batches, and of vectors."""

    def function(a: Any, b: Any, c: Any) -> Any:
        pairs = [(a, b), (a, b.T.reshape(b.shape)), (b.T, a.T)]
        found = [x @ y for x, y in pairs]
        found += [a.T @ a, a @ a.T, rg.dot(a[0], a[0]) if a.shape[0] else a]
        return [*found, c @ rg.swapaxes(c, 1, 2), rg.einsum("brc,rc->br", c, a)]

    rows, columns = size.rows, size.columns
    a, b = draw(rows, columns), draw(columns, 19, seed=1)
    return with_gradients(function), [a / 8, b / 8, draw(size.depth, rows, columns, seed=2) / 8]


def convolutions(size: Sizes) -> Case:
    channels = size.channels

    def function(x: Any, w: Any, v: Any) -> Any:
        same = rg.conv(x, w, padding="same")
        strided = rg.conv(same, v, stride=2, padding=1, groups=channels)
        return strided, rg.conv(x[:, 0], w[0], padding=3, dilation=2)

    x = draw(size.batch, size.image, size.image, channels)
    w, v = draw(3, 3, channels, channels, seed=1) / 8, draw(3, 3, 1, 2 * channels, seed=2) / 8
    return with_gradients(function), [x, w, v]


def windows(size: Sizes) -> Case:
    """Twice differentiated: gathers from the winners as well as scatters to them."""

    def function(x: Any) -> Any:
        return rg.max_pool(x, 3, 2, padding=1) ** 2, rg.avg_pool(x, 2, 1, padding=1)

    second = with_gradients(with_gradients(function))
    return second, [draw(size.batch, size.image, size.image, size.channels)]


def attention(size: Sizes) -> Case:
    def function(q: Any, k: Any, v: Any) -> Any:
        return nn.scaled_dot_product_attention(q, k, v, causal=True)

    shape = (size.batch, 2, size.image, min(size.image, 9))
    return with_gradients(function), [draw(*shape, seed=n) for n in range(3)]


def loops(size: Sizes) -> Case:
    """scan, checkpoint and custom_gradient, over the rows."""
    double = rg.custom_gradient(
        lambda x: x * 2.0, lambda x: (x * 2.0, None), lambda _, g: (g * 3.0,)
    )

    def function(xs: Any, start: Any) -> Any:
        step = rg.checkpoint(lambda carry, x: rg.tanh(carry * 0.5 + double(x)))

        def body(carry: Any, x: Any) -> Any:
            moved = step(carry, x)
            return moved, moved * x

        return rg.scan(body, start, xs)

    return with_gradients(function), [draw(size.rows, size.columns), draw(size.columns, seed=1)]


def branches(size: Sizes) -> Case:
    """cond, both ways, and while_loop."""

    def function(x: Any, yes: Any, no: Any) -> Any:
        first = rg.cond(yes > 0, lambda v: rg.sin(v) * 2.0, lambda v: v * v, x)
        second = rg.cond(no > 0, lambda v: rg.sin(v) * 2.0, lambda v: v * v, x)
        last, count = rg.while_loop(
            lambda state: state[1] < 5,
            lambda state: (rg.tanh(state[0]) + 0.1, state[1] + 1),
            (x, no),
        )
        return first, second, last, count

    numbers = [np.array(n, np.int32) for n in (1, 0)]
    return function, [draw(size.rows, size.columns), *numbers]


def random(size: Sizes) -> Case:
    def function(x: Any, state: Any) -> Any:
        shape = (size.rows, size.columns)
        folded = apply("random_fold", state, x)
        return apply("random_bits", state, shape=shape), apply("random_bits", folded, shape=shape)

    return function, [np.array(7, np.int32), whole(4, low=0, high=2**31, dtype=np.uint32)]


FAMILIES: dict[str, Callable[[Sizes], Case]] = {
    "elementwise": elementwise,
    "integers": integers,
    "reductions": reductions,
    "order": order,
    "movement": movement,
    "indexing": indexing,
    "products": products,
    "convolutions": convolutions,
    "windows": windows,
    "attention": attention,
    "loops": loops,
    "branches": branches,
    "random": random,
}

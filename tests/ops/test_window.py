"""Windows and pooling against naive loops, finite differences and their own transposes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from retrograd.ops.pooling import avg_pool, max_pool
from retrograd.ops.window import (
    window_gather_p,
    window_max_p,
    window_scatter_p,
    window_sum_p,
)
from retrograd.trace import bind

# (x shape, size, stride, padding, dilation)
TABLE: list[tuple[Any, ...]] = [
    ((2, 6, 3), (2,), (2,), ((0, 0),), (1,)),
    ((2, 7, 3), (2,), (2,), ((0, 0),), (1,)),
    ((2, 7, 3), (2,), (2,), ((0, 1),), (1,)),
    ((2, 7, 3), (3,), (1,), ((1, 1),), (1,)),
    ((2, 7, 3), (3,), (2,), ((2, 1),), (2,)),
    ((2, 9, 3), (3,), (2,), ((1, 0),), (1,)),
    ((2, 5, 4, 2), (2, 2), (1, 1), ((0, 0), (1, 1)), (1, 1)),
    ((2, 7, 3), (2,), (3,), ((-1, 1),), (1,)),
    ((2, 7, 3), (2,), (4,), ((0, -2),), (3,)),
    ((2, 4, 6, 3), (2, 3), (2, 3), ((0, 0), (0, 0)), (1, 1)),
    ((2, 5, 7, 3), (2, 3), (2, 3), ((0, -1), (0, 0)), (1, 1)),
    ((2, 5, 6, 3), (3, 2), (1, 2), ((1, 1), (1, 0)), (1, 2)),
    ((1, 5, 5, 1), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((0, 4, 4, 3), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((2, 4, 3, 5, 2), (2, 2, 2), (2, 1, 3), ((0, 1), (1, 0), (-1, 2)), (1, 1, 2)),
    ((2, 4, 4, 4, 2), (2, 2, 2), (2, 2, 2), ((0, 0), (0, 0), (0, 0)), (1, 1, 1)),
]


def name_parameters(row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(("size", "stride", "padding", "dilation"), row[1:], strict=True))


def draw(row: tuple[Any, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(row[0])


def list_windows(row: tuple[Any, ...]) -> list[tuple[tuple[int, ...], list[Any]]]:
    """For each output its elements: (number of the place, position in x or None in padding)."""
    shape, size, stride, padding, dilation = row
    rank = len(size)
    counts = []
    for axis in range(rank):
        padded = shape[1 + axis] + sum(padding[axis])
        counts.append((padded - (size[axis] - 1) * dilation[axis] - 1) // stride[axis] + 1)
    result = []
    for p in itertools.product(*map(range, counts)):
        members: list[Any] = []
        for number, k in enumerate(itertools.product(*map(range, size))):
            u = tuple(p[a] * stride[a] + k[a] * dilation[a] - padding[a][0] for a in range(rank))
            inside = all(0 <= v < n for v, n in zip(u, shape[1:-1], strict=True))
            members.append((number, u if inside else None))
        result.append((p, members))
    return result


def pool_naively(x: np.ndarray, row: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Sums, maxima and winners of all windows."""
    windows = list_windows(row)
    shape = (x.shape[0], *(n + 1 for n in windows[-1][0]), x.shape[-1])
    total, value, winner = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int32)
    for p, members in windows:
        for n, c in itertools.product(range(x.shape[0]), range(x.shape[-1])):
            real = [(number, x[(n, *u, c)]) for number, u in members if u is not None]
            best = next((pair for pair in real if np.isnan(pair[1])), None)
            if best is None:
                best = max(real, key=lambda pair: (pair[1], -pair[0]))
            total[(n, *p, c)] = sum(element for _, element in real)
            winner[(n, *p, c)], value[(n, *p, c)] = best
    return total, value, winner


@pytest.mark.parametrize("row", TABLE, ids=str)
@pytest.mark.parametrize("coarse", [False, True], ids=["distinct", "ties"])
def test_values_equal_naive_loops(row: tuple[Any, ...], coarse: bool) -> None:
    x = np.round(draw(row)) if coarse else draw(row)
    total, value, winner = pool_naively(x, row)
    parameters = name_parameters(row)
    summed = bind(window_sum_p, rg.array(x), **parameters)[0]
    np.testing.assert_allclose(summed.numpy(), total, rtol=0, atol=1e-13)
    actual = bind(window_max_p, rg.array(x), **parameters)
    np.testing.assert_array_equal(actual[0].numpy(), value)
    np.testing.assert_array_equal(actual[1].numpy(), winner)
    assert actual[1].dtype == np.int32


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_scatter_and_gather_are_transposes(row: tuple[Any, ...]) -> None:
    parameters = name_parameters(row)
    x = rg.array(draw(row))
    value, winner = bind(window_max_p, x, **parameters)
    gathered = bind(window_gather_p, x, winner, **parameters)[0]
    np.testing.assert_array_equal(gathered.numpy(), value.numpy())
    v = np.random.default_rng(1).standard_normal(value.shape)
    scattered = bind(window_scatter_p, rg.array(v), winner, space=x.shape[1:-1], **parameters)[0]
    expected = np.zeros(x.shape)
    for p, members in list_windows(row):
        for n, c in itertools.product(range(x.shape[0]), range(x.shape[-1])):
            u = members[int(winner.numpy()[(n, *p, c)])][1]
            expected[(n, *u, c)] += v[(n, *p, c)]
    np.testing.assert_allclose(scattered.numpy(), expected, rtol=0, atol=1e-13)
    left, right = (v * gathered.numpy()).sum(), (scattered.numpy() * x.numpy()).sum()
    assert abs(left - right) <= 1e-12 * max(1.0, abs(v).sum())


OPERATIONS = {
    "sum": lambda x, row: bind(window_sum_p, x, **name_parameters(row))[0],
    "max": lambda x, row: bind(window_max_p, x, **name_parameters(row))[0],
}


@pytest.mark.parametrize("row", TABLE, ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients(row: tuple[Any, ...], name: str) -> None:
    """Backward against forward, both against finite differences, and once more for order two."""
    operation = OPERATIONS[name]
    x, direction = draw(row), draw(row, seed=1)

    def f(x: Any) -> Any:
        return operation(x, row)

    y, pull = rg.vjp(f, rg.array(x))
    _, tangent = rg.jvp(f, (rg.array(x),), (rg.array(direction),))
    v = np.random.default_rng(2).standard_normal(y.shape)
    gradient = pull(rg.array(v))[0].numpy()
    left, right = (v * tangent.numpy()).sum(), (gradient * direction).sum()
    assert abs(left - right) <= 1e-12 * max(1.0, abs(v).sum())
    step = 1e-7
    slope = f(rg.array(x + step * direction)).numpy() - f(rg.array(x - step * direction)).numpy()
    np.testing.assert_allclose(tangent.numpy(), slope / (2 * step), rtol=0, atol=1e-6)

    def gradients(x: Any) -> Any:
        return rg.grad(lambda x: rg.sum(f(x) * f(x) * f(x)))(x)

    twice = rg.grad(lambda x: rg.sum(gradients(x) * direction))(rg.array(x)).numpy()
    _, forward = rg.jvp(gradients, (rg.array(x),), (rg.array(direction),))
    np.testing.assert_allclose(twice, forward.numpy(), rtol=1e-11, atol=1e-11)
    above = gradients(rg.array(x + step * direction)).numpy()
    below = gradients(rg.array(x - step * direction)).numpy()
    np.testing.assert_allclose(twice, (above - below) / (2 * step), rtol=1e-4, atol=1e-4)


def test_gradients_of_scatter_and_gather_by_themselves() -> None:
    row = ((2, 5, 6, 3), (3, 2), (1, 2), ((1, 1), (1, 0)), (1, 2))
    parameters = name_parameters(row)
    x = rg.array(draw(row))
    value, winner = bind(window_max_p, x, **parameters)

    def scatter(g: Any) -> Any:
        return bind(window_scatter_p, g, winner, space=(5, 6), **parameters)[0]

    def gather(x: Any) -> Any:
        return bind(window_gather_p, x, winner, **parameters)[0]

    for f, point in ((scatter, value), (gather, x)):
        direction = rg.array(np.random.default_rng(3).standard_normal(point.shape))
        y, pull = rg.vjp(f, point)
        _, tangent = rg.jvp(f, (point,), (direction,))
        np.testing.assert_allclose(tangent.numpy(), f(direction).numpy(), atol=1e-14)
        v = rg.array(np.random.default_rng(4).standard_normal(y.shape))
        left = (v.numpy() * tangent.numpy()).sum()
        assert abs(left - (pull(v)[0].numpy() * direction.numpy()).sum()) < 1e-12


# -- what users call ------------------------------------------------------------------------------


def test_first_of_equals_gets_the_gradient() -> None:
    x = rg.array(np.ones((1, 4, 4, 1)))
    gradient = rg.grad(lambda x: rg.sum(max_pool(x, 2)))(x).numpy()[0, :, :, 0]
    np.testing.assert_array_equal(gradient, np.tile([[1, 0], [0, 0]], (2, 2)))


@pytest.mark.parametrize("size", [2, 3])
def test_nan_in_a_window_gives_nan(size: int) -> None:
    x = np.arange(8.0).reshape(1, 8, 1)
    x[0, 3] = x[0, 4] = np.nan
    value, winner = bind(
        window_max_p, rg.array(x), size=(size,), stride=(1,), padding=((0, 0),), dilation=(1,)
    )
    expected = [any(p + k in (3, 4) for k in range(size)) for p in range(9 - size)]
    np.testing.assert_array_equal(np.isnan(value.numpy()[0, :, 0]), expected)
    # The first NaN wins.
    for p in np.flatnonzero(expected):
        assert p + winner.numpy()[0, p, 0] == max(3, p)


def test_padding_never_wins() -> None:
    x = np.full((1, 2, 2, 1), -np.inf, np.float32)
    value, winner = bind(
        window_max_p,
        rg.array(x),
        size=(2, 2),
        stride=(1, 1),
        padding=((1, 1), (1, 1)),
        dilation=(1, 1),
    )
    assert (value.numpy() == -np.inf).all()
    np.testing.assert_array_equal(winner.numpy()[0, :, :, 0], [[3, 2, 2], [1, 0, 0], [1, 0, 0]])
    assert (max_pool(x - 5, 2, padding=1).numpy() == -np.inf).all()
    whole = max_pool(np.full((1, 3, 1), -7), 2, padding=((1, 0),))
    np.testing.assert_array_equal(whole.numpy()[0, :, 0], [-7, -7])


def test_infinite_cotangents_do_not_spread() -> None:
    x = rg.array(np.arange(4.0).reshape(1, 4, 1))
    _, pull = rg.vjp(lambda x: max_pool(x, 2), x)
    gradient = pull(rg.array([[[np.inf], [np.nan]]], dtype="float64"))[0].numpy()[0, :, 0]
    np.testing.assert_array_equal(gradient, [0, np.inf, 0, np.nan])


def test_arguments_and_defaults() -> None:
    x = np.random.default_rng(0).standard_normal((2, 6, 8, 3))
    assert max_pool(x, 2).shape == avg_pool(x, 2).shape == (2, 3, 4, 3)
    assert max_pool(x, (2, 3), stride=(1, 2)).shape == (2, 5, 3, 3)
    assert max_pool(x, 3, stride=1, padding=((1, 1), (0, 2)), dilation=(1, 2)).shape == (2, 6, 6, 3)
    assert avg_pool(x, 2, padding=(0, 1)).shape == (2, 3, 5, 3)
    assert max_pool(x.astype(np.float32), 2).dtype == np.float32


def test_average_with_and_without_padding() -> None:
    x = np.array([[[1.0], [2.0], [3.0], [4.0]]])
    counted = avg_pool(x, 2, padding=1).numpy()[0, :, 0]
    np.testing.assert_array_equal(counted, [0.5, 2.5, 2.0])
    real = avg_pool(x, 2, padding=1, count_include_pad=False).numpy()[0, :, 0]
    np.testing.assert_array_equal(real, [1.0, 2.5, 4.0])
    image = np.ones((1, 5, 5, 2))
    inside = avg_pool(image, 3, stride=2, padding=1, count_include_pad=False)
    np.testing.assert_array_equal(inside.numpy(), np.ones((1, 3, 3, 2)))
    gradient = rg.grad(lambda x: rg.sum(avg_pool(x, 2, padding=1, count_include_pad=False)))(
        rg.array(x)
    )
    np.testing.assert_array_equal(gradient.numpy()[0, :, 0], [1.0, 0.5, 0.5, 1.0])


def test_integers() -> None:
    x = np.arange(4, dtype=np.uint8).reshape(1, 4, 1)
    assert max_pool(x, 2).dtype == np.uint8
    mean = avg_pool(x, 2)
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean.numpy()[0, :, 0], [0.5, 2.5])


X = np.ones((2, 5, 5, 3), np.float32)

ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: max_pool(X, 6), ShapeError, r"covers 6 places.*only 5"),
    (lambda: max_pool(X, 2, padding=2), ShapeError, r"window 0.*wholly in the padding"),
    (lambda: max_pool(X, 2, 3, padding=((0, 0), (0, 3))), ShapeError, r"window 2 along axis 1"),
    (lambda: avg_pool(X, 2, padding=2, count_include_pad=False), ShapeError, r"wholly in the pad"),
    (lambda: max_pool(X[0, 0], 2), ShapeError, r"\(batch, \*space, channels\)"),
    (lambda: max_pool(X, (2, 2, 2)), ShapeError, r"3 entries.*2 axes"),
    (lambda: max_pool(X, 0), ArgumentError, r"size must be at least 1"),
    (lambda: max_pool(X, 2, stride=0), ArgumentError, r"stride must be at least 1"),
    (lambda: max_pool(X, 2.0), ArgumentTypeError, r"size takes integers"),
    (lambda: max_pool(X, 2, padding="same"), ArgumentError, r"padding='same'"),
    (lambda: max_pool(X > 0, 2), DTypeError, r"received bool"),
    (lambda: max_pool(X[:, :0], 1, padding=1), ShapeError, r"covers 1 places"),
    (
        lambda: bind(
            window_sum_p, rg.array(X), size=(2,), stride=(2,), padding=((0, 0),), dilation=(1,)
        ),
        ShapeError,
        r"3 axes, received \(2, 5, 5, 3\)",
    ),
    (
        lambda: bind(
            window_gather_p,
            rg.array(X),
            rg.array(X),
            size=(5, 5),
            stride=(1, 1),
            padding=((0, 0), (0, 0)),
            dilation=(1, 1),
        ),
        ShapeError,
        r"winners must be int32",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors_say_what_is_wrong(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()

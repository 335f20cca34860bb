"""conv and conv_transpose against naive loops, finite differences and their own transposes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from retrograd.ops import convolution_numpy
from retrograd.ops.convolution import conv_p
from retrograd.ops.convolve import conv, conv_transpose
from retrograd.ops.sliding import meet
from retrograd.trace import bind

# (x shape, w shape, stride, padding, input dilation, kernel dilation, feature and batch groups)
TABLE: list[tuple[Any, ...]] = [
    ((2, 7, 3), (3, 3, 4), (1,), ((0, 0),), (1,), (1,), 1, 1),
    ((2, 7, 3), (3, 3, 4), (2,), ((2, 1),), (1,), (1,), 1, 1),
    ((2, 9, 4), (3, 2, 6), (2,), ((-1, 2),), (1,), (2,), 2, 1),
    ((2, 5, 3), (2, 3, 4), (3,), ((4, -2),), (3,), (2,), 1, 1),
    ((4, 5, 3), (2, 3, 4), (2,), ((0, 3),), (3,), (1,), 1, 2),
    ((2, 3, 2), (2, 2, 3), (1,), ((5, 6),), (1,), (3,), 1, 1),
    ((2, 3, 2), (2, 2, 3), (1,), ((-5, 9),), (1,), (1,), 1, 1),
    ((2, 3, 2), (2, 2, 3), (1,), ((9, -5),), (2,), (1,), 1, 1),
    ((1, 6, 6), (4, 1, 6), (1,), ((2, 1),), (1,), (1,), 6, 1),
    ((1, 6, 3), (4, 1, 6), (2,), ((2, 1),), (1,), (1,), 3, 1),
    ((3, 1, 2), (1, 2, 2), (1,), ((0, 0),), (1,), (1,), 1, 1),
    ((2, 4, 2), (4, 2, 5), (1,), ((0, 0),), (1,), (1,), 1, 1),
    ((0, 4, 2), (3, 2, 5), (1,), ((1, 1),), (1,), (1,), 1, 1),
    ((2, 6, 5, 3), (3, 2, 3, 4), (1, 1), ((1, 1), (0, 1)), (1, 1), (1, 1), 1, 1),
    ((2, 7, 6, 1), (3, 3, 1, 4), (2, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 1, 1),
    ((2, 7, 6, 5), (3, 3, 5, 4), (2, 3), ((1, 2), (-1, 3)), (1, 1), (2, 1), 1, 1),
    ((2, 5, 6, 4), (3, 2, 2, 6), (2, 1), ((-1, 2), (2, 0)), (1, 1), (1, 2), 2, 1),
    ((2, 5, 4, 4), (2, 3, 2, 6), (2, 3), ((1, -1), (3, 2)), (2, 3), (2, 1), 2, 1),
    ((4, 5, 4, 4), (2, 3, 4, 6), (3, 2), ((1, -1), (3, 2)), (2, 3), (1, 2), 1, 2),
    ((6, 5, 4, 2), (2, 2, 2, 3), (1, 1), ((0, 1), (1, 0)), (1, 1), (1, 1), 1, 3),
    ((2, 6, 6, 4), (3, 3, 1, 4), (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 4, 1),
    ((1, 6, 6, 4), (3, 3, 1, 4), (2, 2), ((1, 0), (0, 1)), (1, 1), (2, 1), 4, 1),
    ((2, 6, 6, 4), (1, 1, 4, 3), (2, 2), ((0, 0), (0, 0)), (1, 1), (1, 1), 1, 1),
    (
        (2, 4, 3, 5, 2),
        (2, 3, 2, 2, 4),
        (1, 1, 1),
        ((0, 0), (1, 1), (1, 0)),
        (1, 1, 1),
        (1, 1, 1),
        1,
        1,
    ),
    (
        (2, 3, 4, 3, 4),
        (2, 2, 2, 2, 4),
        (2, 1, 2),
        ((1, 1), (-1, 2), (2, 1)),
        (1, 2, 1),
        (1, 1, 2),
        2,
        1,
    ),
    (
        (2, 3, 4, 3, 2),
        (2, 2, 1, 2, 4),
        (1, 2, 3),
        ((1, 1), (0, -1), (2, 1)),
        (2, 1, 2),
        (2, 1, 1),
        1,
        2,
    ),
]


def name_parameters(row: tuple[Any, ...]) -> dict[str, Any]:
    names = (
        "stride",
        "padding",
        "input_dilation",
        "kernel_dilation",
        "feature_groups",
        "batch_groups",
    )
    return dict(zip(names, row[2:], strict=True))


def draw(row: tuple[Any, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.standard_normal(row[0]), generator.standard_normal(row[1])


def convolve_naively(x: np.ndarray, w: np.ndarray, row: tuple[Any, ...]) -> np.ndarray:
    """Four loops, straight from the definition, on an input that really is dilated and padded."""
    stride, padding, input_dilation, kernel_dilation, feature_groups, batch_groups = row[2:]
    rank = w.ndim - 2
    space = []
    for axis in range(rank):
        size = (x.shape[1 + axis] - 1) * input_dilation[axis] + 1
        padded = size + sum(padding[axis])
        span = (w.shape[axis] - 1) * kernel_dilation[axis] + 1
        space.append((padded - span) // stride[axis] + 1)
    batch = x.shape[0] // batch_groups
    y = np.zeros((batch, *space, w.shape[-1]))
    groups = max(feature_groups, batch_groups)
    size = w.shape[-1] // groups
    for p in itertools.product(*map(range, space)):
        for k in itertools.product(*map(range, w.shape[:rank])):
            u = []
            for axis in range(rank):
                place = p[axis] * stride[axis] + k[axis] * kernel_dilation[axis]
                u.append((place - padding[axis][0]) / input_dilation[axis])
            if any(v != int(v) or not 0 <= v < n for v, n in zip(u, x.shape[1:-1], strict=True)):
                continue
            for group in range(groups):
                values = x[(slice(None), *(int(v) for v in u))]
                if feature_groups > 1:
                    values = np.split(values, groups, axis=1)[group]
                elif batch_groups > 1:
                    values = np.split(values, groups, axis=0)[group]
                outs = slice(group * size, (group + 1) * size)
                y[(slice(None), *p, outs)] += values @ w[k][:, outs]
    return y


def apply(x: Any, w: Any, row: tuple[Any, ...]) -> Any:
    return bind(conv_p, x, w, **name_parameters(row))[0]


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_value_equals_naive_loops(row: tuple[Any, ...]) -> None:
    x, w = draw(row)
    y = apply(rg.array(x), rg.array(w), row).numpy()
    expected = convolve_naively(x, w, row)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_slices_and_patches_agree(row: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """One image at a time, all by slices: the same numbers in every way of computing them."""
    x, w = draw(row)

    def f(x: Any, w: Any) -> Any:
        return rg.sum(apply(x, w, row) ** 2)

    expected = rg.grad(f, argnums=(0, 1))(rg.array(x), rg.array(w))
    for name, limit in (("CHUNK", 1), ("LARGEST_PATCHES", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(convolution_numpy, name, limit)
            actual = rg.grad(f, argnums=(0, 1))(rg.array(x), rg.array(w))
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_backward_is_the_transpose_of_forward(row: tuple[Any, ...]) -> None:
    """<v, J u> = <J^T v, u>, and J u is the naive convolution of the tangents."""
    (x, w), (dx, dw) = draw(row), draw(row, seed=1)

    def f(x: Any, w: Any) -> Any:
        return apply(x, w, row)

    point = (rg.array(x), rg.array(w))
    _, tangent = rg.jvp(f, point, (rg.array(dx), rg.array(dw)))
    expected = convolve_naively(dx, w, row) + convolve_naively(x, dw, row)
    np.testing.assert_allclose(tangent.numpy(), expected, rtol=0, atol=1e-12)
    y, pull = rg.vjp(f, *point)
    v = np.random.default_rng(2).standard_normal(y.shape)
    gx, gw = pull(rg.array(v))
    left = (v * expected).sum()
    right = (gx.numpy() * dx).sum() + (gw.numpy() * dw).sum()
    assert abs(left - right) <= 1e-12 * max(1.0, abs(v * expected).sum())
    # Each gradient by itself, element by element: conv is linear in each operand.
    gx_expected = np.zeros_like(x)
    for place in itertools.islice(np.ndindex(*x.shape), 0, None, 7):
        unit = np.zeros_like(x)
        unit[place] = 1
        gx_expected[place] = (v * convolve_naively(unit, w, row)).sum()
        assert abs(gx.numpy()[place] - gx_expected[place]) < 1e-11


@pytest.mark.parametrize("row", TABLE[1::4], ids=str)
def test_gradient_equals_finite_differences(row: tuple[Any, ...]) -> None:
    x, w = draw(row)

    def f(x: Any, w: Any) -> Any:
        return rg.sum(rg.tanh(apply(x, w, row)))

    gradients = rg.grad(f, argnums=(0, 1))(rg.array(x), rg.array(w))
    dx, dw = draw(row, seed=3)
    step = 1e-6
    above = float(f(rg.array(x + step * dx), rg.array(w + step * dw)))
    below = float(f(rg.array(x - step * dx), rg.array(w - step * dw)))
    slope = (gradients[0].numpy() * dx).sum() + (gradients[1].numpy() * dw).sum()
    assert abs((above - below) / (2 * step) - slope) < 1e-7 * max(1.0, abs(slope))


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_second_order(row: tuple[Any, ...]) -> None:
    """The Hessian-vector product, backward over backward, against the jvp of the gradient."""
    (x, w), (dx, dw) = draw(row), draw(row, seed=4)

    def gradients(x: Any, w: Any) -> Any:
        return rg.grad(lambda x, w: rg.sum(rg.square(apply(x, w, row))), argnums=(0, 1))(x, w)

    def along(x: Any, w: Any) -> Any:
        gx, gw = gradients(x, w)
        return rg.sum(gx * dx) + rg.sum(gw * dw)

    point, direction = (rg.array(x), rg.array(w)), (rg.array(dx), rg.array(dw))
    twice = rg.grad(along, argnums=(0, 1))(*point)
    _, forward = rg.jvp(gradients, point, direction)
    step = 1e-5
    above = gradients(rg.array(x + step * dx), rg.array(w + step * dw))
    below = gradients(rg.array(x - step * dx), rg.array(w - step * dw))
    for a, b, high, low in zip(twice, forward, above, below, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-9)
        slope = (high.numpy() - low.numpy()) / (2 * step)
        np.testing.assert_allclose(a.numpy(), slope, rtol=1e-5, atol=1e-5)


def test_meet_equals_a_search() -> None:
    values = itertools.product(range(-7, 8), (1, 2, 3, 4), (1, 5), (1, 2, 3, 6), (1, 4))
    for offset, step, count, dilation, size in values:
        found = [
            (p, u) for p in range(count) for u in range(size) if p * step + offset == u * dilation
        ]
        met = meet(offset, step, count, dilation, size)
        actual = (
            [] if met is None else list(zip(range(count)[met[0]], range(size)[met[1]], strict=True))
        )
        assert actual == found, (offset, step, count, dilation, size)


# -- what users call ------------------------------------------------------------------------------


def test_conv_takes_numbers_tuples_and_pairs() -> None:
    row = ((2, 7, 8, 4), (3, 2, 2, 6), (2, 1), ((1, 2), (0, 3)), (1, 1), (2, 3), 2, 1)
    x, w = draw(row)
    y = conv(x, w, stride=(2, 1), padding=((1, 2), (0, 3)), dilation=(2, 3), groups=2)
    np.testing.assert_allclose(y.numpy(), convolve_naively(x, w, row), atol=1e-13)
    one = conv(x, w, stride=2, padding=1, groups=2)
    each = conv(x, w, stride=(2, 2), padding=((1, 1), (1, 1)), groups=2)
    np.testing.assert_array_equal(one.numpy(), each.numpy())
    np.testing.assert_array_equal(
        conv(x, w, padding=(1, -1), groups=2).numpy(),
        conv(x, w, padding=((1, 1), (-1, -1)), groups=2).numpy(),
    )


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (2, 1), (3, 1), (4, 1), (2, 3), (3, 2)])
def test_same_keeps_the_size(kernel: int, dilation: int) -> None:
    x, w = np.ones((1, 9, 2)), np.ones((kernel, 2, 3))
    total = (kernel - 1) * dilation
    low = total // 2
    y = conv(x, w, padding="same", dilation=dilation)
    assert y.shape == (1, 9, 3)
    expected = conv(x, w, padding=((low, total - low),), dilation=dilation)
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    valid = conv(x, w, padding="valid", dilation=dilation)
    assert valid.shape == (1, 9 - total, 3)


def test_dtypes() -> None:
    x, w = np.ones((1, 4, 2), np.float32), np.ones((2, 2, 3), np.float64)
    assert conv(x, w.astype(np.float32)).dtype == np.float32
    assert conv(x, w).dtype == np.float64
    assert conv(x.astype(np.uint8), w.astype(np.float32)).dtype == np.float32
    integers = conv(np.arange(8).reshape(1, 4, 2), np.ones((2, 2, 1), np.int64))
    np.testing.assert_array_equal(integers.numpy()[0, :, 0], [6, 14, 22])


def test_float32_is_as_exact_as_float32_sums_can_be() -> None:
    row = ((4, 9, 9, 16), (3, 3, 16, 8), (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 1, 1)
    x, w = draw(row)
    x, w = x.astype(np.float32), w.astype(np.float32)
    y = conv(x, w, padding=1).numpy()
    exact = convolve_naively(x.astype(np.float64), w.astype(np.float64), row)
    terms = convolve_naively(abs(x).astype(np.float64), abs(w).astype(np.float64), row)
    assert (abs(y - exact) <= 16 * np.finfo(np.float32).eps * terms).all()


TRANSPOSES: list[dict[str, Any]] = [
    {},
    {"stride": 2},
    {"stride": 3, "padding": 1, "output_padding": 2},
    {"stride": 2, "padding": 1, "dilation": 2, "output_padding": 1},
    {"stride": 2, "padding": ((0, 1), (2, -1)), "groups": 2},
    {"padding": "same"},
    {"stride": (3, 2), "dilation": (2, 1), "output_padding": (2, 1), "groups": 2},
]


@pytest.mark.parametrize("options", TRANSPOSES, ids=str)
def test_conv_transpose_is_the_gradient_of_conv(options: dict[str, Any]) -> None:
    generator = np.random.default_rng(5)
    groups = options.get("groups", 1)
    x, w = generator.standard_normal((2, 4, 5, 6)), generator.standard_normal((3, 2, 6, 4))
    y = conv_transpose(x, w, **options)
    out = 4 * groups
    assert y.shape[-1] == out
    # The kernel (*kernel, in, out / groups) as conv's, which goes the other way: out -> in.
    kernel = np.swapaxes(w, 2, 3)
    forward = {key: value for key, value in options.items() if key != "output_padding"}
    image = rg.array(np.zeros(y.shape))
    _, pull = rg.vjp(lambda image: conv(image, rg.array(kernel), **forward), image)
    np.testing.assert_allclose(y.numpy(), pull(rg.array(x))[0].numpy(), rtol=0, atol=1e-12)


def test_conv_transpose_by_hand() -> None:
    y = conv_transpose(np.array([[[1.0], [2.0]]]), np.array([[[1.0]], [[10.0]], [[100.0]]]), 2)
    np.testing.assert_array_equal(y.numpy()[0, :, 0], [1, 10, 102, 20, 200])


X, W = np.ones((2, 5, 5, 3), np.float32), np.ones((3, 3, 3, 4), np.float32)

ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: conv(X, np.ones((3, 3, 2, 4))), ShapeError, r"has 3 channels.*takes 2"),
    (lambda: conv(X, W, groups=3), ShapeError, r"3 channels.*takes 3 in each of 3 groups"),
    (lambda: conv(X, W, groups=2), ShapeError, r"2 groups do not divide the 3 channels"),
    (lambda: conv(X, np.ones((3, 3, 1, 4)), groups=3), ShapeError, r"3 groups.*4 output"),
    (lambda: conv(X, np.ones((7, 7, 3, 4))), ShapeError, r"covers 7 places.*only 5"),
    (lambda: conv(X, W, padding=-2), ShapeError, r"covers 3 places.*only 1"),
    (lambda: conv(X, W, dilation=3), ShapeError, r"covers 7 places.*only 5"),
    (lambda: conv(X[0], W), ShapeError, r"as many axes"),
    (lambda: conv(X, W[0, 0]), ShapeError, r"as many axes"),
    (lambda: conv(X[:, :0], W, padding=3), ShapeError, r"axis 0 of space is empty"),
    (lambda: conv(X, W, stride=2, padding="same"), ArgumentError, r"stride \(2, 2\)"),
    (lambda: conv(X, W, padding="full"), ArgumentError, r"'full'"),
    (lambda: conv(X, W, stride=0), ArgumentError, r"stride must be at least 1"),
    (lambda: conv(X, W, groups=0), ArgumentError, r"groups must be at least 1"),
    (lambda: conv(X, W, stride=1.5), ArgumentTypeError, r"stride takes integers"),
    (lambda: conv(X, W, dilation=True), ArgumentTypeError, r"dilation takes integers"),
    (lambda: conv(X, W, stride=(1, 1, 1)), ShapeError, r"3 entries.*2 axes"),
    (lambda: conv(X, W, padding=(1, 1, 1, 1)), ShapeError, r"4 entries"),
    (lambda: conv(X, W, padding=((1, 1, 1), 1)), ShapeError, r"\(low, high\) pair"),
    (lambda: conv(X > 0, W > 0), DTypeError, r"received bool"),
    (lambda: conv_transpose(X, np.ones((3, 3, 2, 4))), ShapeError, r"3 channels.*takes 2"),
    (lambda: conv_transpose(X, W, groups=2), ShapeError, r"2 groups do not divide the 3"),
    (lambda: conv_transpose(X, W, output_padding=1), ArgumentError, r"output_padding"),
    (lambda: conv_transpose(X, W, output_padding=-1), ArgumentError, r"output_padding"),
    (lambda: conv_transpose(X, W, padding=4), ShapeError, r"crops all of the 7"),
    (lambda: conv_transpose(X, W, 2, "same"), ArgumentError, r"padding='same'"),
    (lambda: conv_transpose(X[0], W), ShapeError, r"as many axes"),
    (
        lambda: apply(
            rg.array(X), rg.array(W), (0, 0, (1, 1), ((0, 0),) * 2, (1, 1), (1, 1), 3, 2)
        ),
        ShapeError,
        r"exclude each other",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors_say_what_is_wrong(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()

"""What the layers compute, against sums written out in NumPy with float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from tests.nn.helpers import draw, to_float64


def close(ours: Any, expected: Any, tolerance: float = 1e-13) -> None:
    ours = np.asarray(ours)
    assert ours.shape == np.shape(expected)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


def test_linear() -> None:
    layer = to_float64(nn.Linear(3, 2))
    x = draw(4, 5, 3)
    weight, bias = np.asarray(layer.weight), np.asarray(layer.bias)
    close(layer(x), np.einsum("abi,io->abo", x, weight) + bias)
    close(nn.Sequential(layer)(x[0, 0]), x[0, 0] @ weight + bias)


def test_embedding() -> None:
    layer = to_float64(nn.Embedding(5, 3))
    weight, places = np.asarray(layer.weight), np.array([[4, 0], [0, 2]])
    close(layer(places), weight[places])
    close(layer(places.astype("uint8")), weight[places])
    gradient = rg.grad(lambda layer: (layer(places) * np.arange(12).reshape(2, 2, 3)).sum())(layer)
    expected = np.zeros((5, 3))
    np.add.at(expected, places, np.arange(12).reshape(2, 2, 3))
    close(gradient["weight"], expected)
    for wrong in (5, -1):
        with pytest.raises(rg.errors.IndexRangeError, match=str(wrong)):
            layer(np.array([0, wrong]))
    with pytest.raises(rg.errors.DTypeError, match="Embedding: expected integer"):
        layer([0.0, 1.0])
    with pytest.raises(rg.errors.DTypeError):
        layer([True])


def test_embedding_starts_normal() -> None:
    rg.seed(0)
    weight = np.asarray(nn.Embedding(300, 100).weight)
    assert abs(weight.mean()) < 0.03
    assert abs(weight.std() - 1.0) < 0.03


def convolve(x: Any, w: Any, stride: Any, low: Any, high: Any, dilation: Any, groups: int) -> Any:
    """The sum in the docstring, one product at a time."""
    rank, (outputs,) = x.ndim - 2, w.shape[-1:]
    x = np.pad(x, [(0, 0), *zip(low, high, strict=True), (0, 0)])
    kernel = w.shape[:rank]
    sizes = [
        (n - d * (k - 1) - 1) // s + 1
        for n, d, k, s in zip(x.shape[1:-1], dilation, kernel, stride, strict=True)
    ]
    y = np.zeros((x.shape[0], *sizes, outputs))
    inner, outer = w.shape[-2], outputs // groups
    for place in itertools.product(*map(range, sizes)):
        for tap in itertools.product(*map(range, kernel)):
            source = tuple(
                p * s + t * d for p, s, t, d in zip(place, stride, tap, dilation, strict=True)
            )
            for g in range(groups):
                part = x[(slice(None), *source, slice(g * inner, (g + 1) * inner))]
                weights = w[(*tap, slice(None), slice(g * outer, (g + 1) * outer))]
                y[(slice(None), *place, slice(g * outer, (g + 1) * outer))] += part @ weights
    return y


@pytest.mark.parametrize(
    ("rank", "arguments", "low", "high"),
    [
        (1, {}, (0,), (0,)),
        (1, {"stride": 2, "padding": ((2, 1),), "dilation": 2, "groups": 2}, (2,), (1,)),
        (2, {"padding": "same", "kernel_size": (3, 2)}, (1, 0), (1, 1)),
        (2, {"padding": "valid", "bias": False}, (0, 0), (0, 0)),
        (2, {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}, (1, 2), (1, 2)),
        (2, {"groups": 4, "padding": 1}, (1, 1), (1, 1)),
        (3, {"stride": 2, "padding": 1, "kernel_size": 2}, (1, 1, 1), (1, 1, 1)),
    ],
)
def test_convolution(rank: int, arguments: dict[str, Any], low: Any, high: Any) -> None:
    arguments = {"kernel_size": 3, **arguments}
    layer: Any = to_float64(getattr(nn, f"Conv{rank}d")(4, 8, **arguments))
    x = draw(2, *(5, 6, 4)[:rank], 4)
    expected = convolve(
        x, np.asarray(layer.weight), layer.stride, low, high, layer.dilation, layer.groups
    )
    if layer.bias is not None:
        expected = expected + np.asarray(layer.bias)
    close(layer(x), expected)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"stride": (1, 3), "dilation": (2, 1), "groups": 2, "bias": False},
        {"padding": ((1, 0), (2, 1))},
    ],
)
def test_transposed_convolution(arguments: dict[str, Any]) -> None:
    layer: Any = to_float64(nn.ConvTranspose2d(4, 6, (3, 2), **arguments))
    x, weight = draw(2, 3, 4, 4), np.asarray(layer.weight)
    full = [
        (n - 1) * s + d * (k - 1) + 1 + extra
        for n, s, d, k, extra in zip(
            x.shape[1:3],
            layer.stride,
            layer.dilation,
            weight.shape[:2],
            layer.output_padding,
            strict=True,
        )
    ]
    y = np.zeros((2, *full, 6))
    inner, outer = 4 // layer.groups, 6 // layer.groups
    for i, j, a, b, g in itertools.product(
        range(3), range(4), range(3), range(2), range(layer.groups)
    ):
        row = i * layer.stride[0] + a * layer.dilation[0]
        column = j * layer.stride[1] + b * layer.dilation[1]
        taken = slice(g * inner, (g + 1) * inner)
        y[:, row, column, g * outer : (g + 1) * outer] += x[:, i, j, taken] @ weight[a, b, taken]
    (top, bottom), (left, right) = (p if isinstance(p, tuple) else (p, p) for p in layer.padding)
    y = y[:, top : full[0] - bottom, left : full[1] - right]
    close(layer(x), y if layer.bias is None else y + np.asarray(layer.bias))


def test_pooling() -> None:
    x = draw(2, 5, 6, 3)
    blocks = x[:, :4].reshape(2, 2, 2, 3, 2, 3)
    close(nn.MaxPool2d(2)(x), blocks.max((2, 4)))
    close(nn.AvgPool2d(2)(x), blocks.mean((2, 4)))
    line = x[:, 0]
    padded = np.pad(line, [(0, 0), (1, 1), (0, 0)], constant_values=np.nan)
    windows = np.stack([padded[:, i : i + 3] for i in range(0, 6, 2)], 1)
    close(nn.MaxPool1d(3, 2, 1)(line), np.nanmax(windows, 2))
    close(nn.AvgPool1d(3, 2, 1)(line), np.nansum(windows, 2) / 3)
    inside = nn.AvgPool1d(3, 2, 1, count_include_pad=False)
    close(inside(line), np.nanmean(windows, 2))
    assert np.asarray(nn.MaxPool2d(2)(np.full((1, 2, 2, 1), 200, "uint8"))).tolist() == [[[[200]]]]


def test_the_first_of_equals_gets_the_gradient() -> None:
    gradient = rg.grad(lambda x: nn.MaxPool1d(3)(x).sum())(rg.array(np.ones((1, 3, 1))))
    assert np.asarray(gradient).ravel().tolist() == [1.0, 0.0, 0.0]


def test_flatten_keeps_the_order() -> None:
    x = draw(2, 3, 4, 5)
    close(nn.Flatten()(x), x.reshape(2, 60))


def test_rescale() -> None:
    pixels = np.array([[0, 51, 255]], "uint8")
    y = np.asarray(nn.Rescale(1 / 255)(pixels))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, [[0.0, 0.2, 1.0]], rtol=1e-6)
    mean, std = np.array([0.5, 1.0, 2.0]), np.array([2.0, 4.0, 5.0])
    x = draw(2, 2, 3)
    close(nn.Rescale(1 / std, -mean / std)(x), (x - mean) / std)
    assert nn.Rescale(rg.array([1.0, 2.0])).scale == (1.0, 2.0)
    assert np.asarray(nn.Rescale(2.0, 1)(np.array([True, False]))).tolist() == [3.0, 1.0]


class TestDropout:
    def test_share_and_scale(self) -> None:
        rg.seed(0)
        y = np.asarray(nn.Dropout(0.3)(np.ones((200, 500), "float32")))
        assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}
        n = y.size
        assert abs((y == 0).mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / n)
        assert abs(y.mean() - 1.0) < 0.01

    def test_gradient_has_the_same_mask(self) -> None:
        rg.seed(4)
        y, pullback = rg.vjp(nn.Dropout(0.5), rg.array(np.ones(50)))
        assert np.array_equal(np.asarray(pullback(rg.array(np.ones(50)))[0]), np.asarray(y))

    def test_repeats_with_the_seed_and_differs_from_call_to_call(self) -> None:
        layer, x = nn.Dropout(0.5), np.ones(100, "float32")
        step = rg.compile(lambda layer, x: layer(x))
        for call in (layer, lambda x: step(layer, x)):
            runs = []
            for _ in range(2):
                rg.seed(7)
                runs.append([np.asarray(call(x)) for _ in range(2)])
            assert np.array_equal(runs[0], runs[1])
            assert not np.array_equal(runs[0][0], runs[0][1])

    def test_the_ends(self) -> None:
        x = np.array([1.0, np.nan, np.inf])
        assert np.asarray(nn.Dropout(1.0)(x)).tolist() == [0.0, 0.0, 0.0]
        np.testing.assert_array_equal(np.asarray(nn.Dropout(0.0)(x)), x)
        state = rg.random.default_generator().state
        nn.Dropout(0.5).eval()(x)
        nn.Dropout(0.0)(x)
        assert rg.random.default_generator().state is state


class TestBatchNorm:
    def test_training_and_running_statistics(self) -> None:
        layer: Any = to_float64(nn.BatchNorm(3, momentum=0.2, eps=1e-3))
        layer.weight, layer.bias = rg.array(draw(3, seed=5)), rg.array(draw(3, seed=6))
        weight, bias = np.asarray(layer.weight), np.asarray(layer.bias)
        mean, var = np.zeros(3), np.ones(3)
        for seed in range(3):
            x = draw(4, 2, 5, 3, seed=seed) * 3 + 1
            rows = x.reshape(-1, 3)
            standard = (x - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-3)
            close(layer(x), standard * weight + bias)
            mean = 0.8 * mean + 0.2 * rows.mean(0)
            var = 0.8 * var + 0.2 * rows.var(0, ddof=1)
            close(layer.running_mean, mean)
            close(layer.running_var, var)
        x = draw(2, 3, seed=9)
        close(layer.eval()(x), (x - mean) / np.sqrt(var + 1e-3) * weight + bias)
        close(layer.running_mean, mean)
        assert "running_mean" not in layer.parameters()
        layer(x[:1])  # one row is fine in evaluation mode

    def test_gradients_do_not_flow_into_the_running_statistics(self) -> None:
        layer: Any = to_float64(nn.BatchNorm(2))

        def loss(layer: Any, x: Any) -> Any:
            layer(x)
            return layer.running_mean.sum() + layer.running_var.sum()

        gradient = rg.grad(loss, argnums=1)(layer, rg.array(draw(4, 2)))
        assert not np.asarray(gradient).any()

    def test_one_value_for_each_channel(self) -> None:
        layer = nn.BatchNorm(2)
        with pytest.raises(rg.errors.ShapeError, match="more than one value"):
            layer(np.zeros((1, 2), "float32"))
        layer(np.zeros((1, 2, 2), "float32"))

    def test_updates_once_inside_compile_and_value_and_grad(self) -> None:
        layer: Any = nn.BatchNorm(2, momentum=1.0)

        def loss(layer: Any, x: Any) -> Any:
            return (layer(x) ** 3).sum()

        step = rg.compile(lambda layer, x: rg.value_and_grad(loss)(layer, x))
        x = draw(8, 2, dtype="float32")
        step(layer, x)
        np.testing.assert_allclose(np.asarray(layer.running_mean), x.mean(0), rtol=1e-5)
        halved: Any = nn.BatchNorm(2, momentum=0.5)
        step(halved, x)
        np.testing.assert_allclose(np.asarray(halved.running_mean), x.mean(0) / 2, rtol=1e-5)

    def test_a_loss_that_raises_leaves_the_statistics(self) -> None:
        layer: Any = nn.BatchNorm(2)
        before = layer.running_mean

        def loss(layer: Any, x: Any) -> Any:
            layer(x)
            raise KeyError("stop")

        with pytest.raises(KeyError):
            rg.value_and_grad(loss)(layer, draw(4, 2))
        assert layer.running_mean is before

    def test_large_offsets(self) -> None:
        """The variance comes from centred values: an offset of 1000 in float32 costs little."""
        x = draw(64, 1, dtype="float32") + np.float32(1000.0)
        exact = x.astype("float64")
        expected = (exact - exact.mean()) / np.sqrt(exact.var() + 1e-5)
        np.testing.assert_allclose(np.asarray(nn.BatchNorm(1)(x)), expected, atol=2e-4)


def test_layer_norm() -> None:
    layer: Any = to_float64(nn.LayerNorm(5, eps=1e-2))
    layer.weight, layer.bias = rg.array(draw(5, seed=1)), rg.array(draw(5, seed=2))
    x = draw(2, 3, 5)
    standard = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-2)
    close(layer(x), standard * np.asarray(layer.weight) + np.asarray(layer.bias))
    # A constant row has variance 0; eps keeps it finite, and gradients too.
    flat = rg.grad(lambda x: layer(x).sum())(rg.array(np.ones((1, 5))))
    assert np.isfinite(np.asarray(flat)).all()


def test_prelu() -> None:
    layer: Any = to_float64(nn.PReLU(2, slope=0.5))
    layer.weight = rg.array(np.array([0.5, 0.1]))
    x = np.array([[-1.0, -1.0], [0.0, 2.0]])
    close(layer(x), [[-0.5, -0.1], [0.0, 2.0]])
    gradients = rg.grad(lambda layer, x: layer(x).sum(), argnums=(0, 1))(layer, rg.array(x))
    close(gradients[0]["weight"], [-1.0, -1.0])
    close(gradients[1], [[0.5, 0.1], [0.5, 1.0]])


class TestSequential:
    def test_order_and_functions(self) -> None:
        model = nn.Sequential(lambda x: x + 1.0, nn.Rescale(3.0), nn.relu)
        assert np.asarray(model(np.array([1.0, -4.0]))).tolist() == [6.0, 0.0]
        x = object()
        assert nn.Sequential()(x) is x

    def test_index_length_iteration(self) -> None:
        layers = [nn.Linear(2, 3), nn.relu, nn.Linear(3, 1)]
        model = nn.Sequential(*layers)
        assert len(model) == 3
        assert model[0] is layers[0] and model[-1] is layers[2]
        assert list(model) == layers
        assert isinstance(model[1:], nn.Sequential)
        assert list(model[1:]) == layers[1:]
        for wrong in (3, -4):
            with pytest.raises(IndexError, match="3 layers"):
                model[wrong]
        with pytest.raises(rg.errors.ArgumentTypeError):
            model["first"]  # type: ignore[index]

    def test_paths(self) -> None:
        model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.relu, nn.Linear(3, 1)))
        assert list(model.named_state()) == [
            "layers.0.bias",
            "layers.0.weight",
            "layers.1.layers.1.bias",
            "layers.1.layers.1.weight",
        ]
        assert len(model.parameters()["layers"]) == 2

"""Initialisers: their distributions, the fans of each layout, names, and repetition by the seed."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.nn.init import CLASSES, NAMES

SHAPE = (3, 3, 20, 40)  # fan_in 180, fan_out 360
FAN_IN, FAN_OUT = 180, 360
ROOT = math.sqrt

# Initialiser, the expected standard deviation, and the bound of a uniform one.
DISTRIBUTIONS: list[tuple[Any, float, float | None]] = [
    (nn.init.Normal(), 0.01, None),
    (nn.init.Normal(std=0.5), 0.5, None),
    (nn.init.Uniform(-0.3, 0.3), 0.3 / ROOT(3), 0.3),
    (nn.init.FanInUniform(), 1 / ROOT(3 * FAN_IN), 1 / ROOT(FAN_IN)),
    (nn.init.XavierUniform(), ROOT(2 / 540), ROOT(6 / 540)),
    (nn.init.XavierUniform(gain=5 / 3), 5 / 3 * ROOT(2 / 540), 5 / 3 * ROOT(6 / 540)),
    (nn.init.XavierNormal(), ROOT(2 / 540), None),
    (nn.init.XavierNormal(gain=2.0), 2 * ROOT(2 / 540), None),
    (nn.init.HeUniform(), ROOT(2 / FAN_IN), ROOT(6 / FAN_IN)),
    (nn.init.HeNormal(), ROOT(2 / FAN_IN), None),
    (nn.init.HeNormal(mode="fan_out"), ROOT(2 / FAN_OUT), None),
    (nn.init.HeUniform(mode="fan_out", gain=1.0), ROOT(1 / FAN_OUT), ROOT(3 / FAN_OUT)),
    (nn.init.LeCunUniform(), ROOT(1 / FAN_IN), ROOT(3 / FAN_IN)),
    (nn.init.LeCunNormal(), ROOT(1 / FAN_IN), None),
]


@pytest.mark.parametrize(("initialiser", "std", "bound"), DISTRIBUTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distribution(initialiser: Any, std: float, bound: float | None, dtype: str) -> None:
    rg.seed(3)
    values = np.asarray(initialiser(SHAPE, dtype)).astype("float64").ravel()
    assert initialiser(SHAPE, dtype).dtype == np.dtype(dtype)
    n = values.size
    # Five standard errors; the fourth moment is 3 for a normal, 9/5 for a uniform distribution.
    kurtosis = 1.8 if bound else 3.0
    assert abs(values.mean()) < 5 * std / ROOT(n)
    assert abs(values.var() / std**2 - 1) < 5 * ROOT((kurtosis - 1) / n)
    assert abs((values**4).mean() / std**4 / kurtosis - 1) < 0.1
    if bound:
        assert np.abs(values).max() <= bound * (1 + 1e-6)
        assert np.abs(values).max() > 0.99 * bound
    else:
        assert 3 < np.abs(values).max() / std < 6


def test_constant_ones() -> None:
    assert np.array_equal(np.asarray(nn.init.Zeros()((2, 3))), np.zeros((2, 3)))
    assert np.array_equal(np.asarray(nn.init.Constant(2)((2,), "float64")), [2.0, 2.0])
    mean = np.asarray(nn.init.Normal(std=0.1, mean=3.0)((1000,))).mean()
    assert abs(mean - 3.0) < 0.02


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (3, 3, 2, 7), (2, 2, 1, 9)])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonal(shape: tuple[int, ...], gain: float) -> None:
    weight = np.asarray(nn.init.Orthogonal(gain)(shape, "float64")).reshape(-1, shape[-1])
    small = weight.T @ weight if weight.shape[0] >= weight.shape[1] else weight @ weight.T
    np.testing.assert_allclose(small, gain**2 * np.eye(len(small)), atol=1e-12)


def test_orthogonal_is_uniform_over_rotations() -> None:
    # Without the signs of R, the first element would be negative only (or positive only).
    first = [float(nn.init.Orthogonal()((2, 2))[0, 0]) for _ in range(40)]
    assert min(first) < -0.3
    assert max(first) > 0.3


@pytest.mark.parametrize("name", sorted(NAMES))
def test_names_and_repetition(name: str) -> None:
    def draw(seed: int) -> Any:
        rg.seed(seed)
        return np.asarray(nn.Linear(6, 5, init=name).weight)

    assert np.array_equal(draw(1), draw(1))
    assert name == "zeros" or not np.array_equal(draw(1), draw(2))
    generators = [rg.random.Generator(5), rg.random.Generator(5)]
    first, second = (NAMES[name]()((3, 2), generator=g) for g in generators)
    assert np.array_equal(np.asarray(first), np.asarray(second))


def test_every_initialiser_has_its_place() -> None:
    found = {
        name
        for name in nn.init.__all__
        if inspect.isclass(getattr(nn.init, name)) and name != "Initialiser"
    }
    assert found == set(CLASSES)
    assert {type(make()).__name__ for make in NAMES.values()} == found - {"Constant"}


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (lambda init: nn.Linear(30, 200, init=init), 30),
        (lambda init: nn.Conv1d(8, 64, 5, init=init), 40),
        (lambda init: nn.Conv2d(8, 64, (3, 2), groups=4, init=init), 12),
        (lambda init: nn.Conv3d(4, 32, 2, init=init), 32),
        # As PyTorch counts: kernel * out / groups.
        (lambda init: nn.ConvTranspose2d(64, 8, 3, groups=2, init=init), 36),
    ],
)
def test_layers_use_their_fan_in(layer: Any, fan_in: int) -> None:
    rg.seed(0)
    made = layer("default")
    bound = 1 / ROOT(fan_in)
    weight, bias = np.asarray(made.weight), np.asarray(made.bias)
    for values in (weight, bias):
        assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert np.abs(weight).max() > 0.97 * bound
    assert np.abs(bias).max() > 0.6 * bound
    other = layer("he_normal")
    assert np.asarray(other.weight).std() == pytest.approx(ROOT(2 / fan_in), rel=0.1)
    assert not np.asarray(other.bias).any()


def test_fans() -> None:
    assert nn.init.compute_fans((7, 4)) == (7, 4)
    assert nn.init.compute_fans((5, 3, 2)) == (15, 10)
    assert nn.init.compute_fans([3, 3, 16, 32]) == (144, 288)
    with pytest.raises(rg.errors.ShapeError, match="fan"):
        nn.init.HeNormal()((3,))
    with pytest.raises(rg.errors.ShapeError, match="fan"):
        nn.init.Orthogonal()(())


def test_gains_against_an_integral() -> None:
    nodes, weights = np.polynomial.legendre.leggauss(400)
    # One piece between any two corners of the hard variants.
    edges = [-14.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0, 14.0]
    for name in (
        "elu",
        "gelu",
        "silu",
        "mish",
        "softplus",
        "softsign",
        "relu6",
        "hard_tanh",
        "hard_sigmoid",
        "hard_swish",
        "relu",
    ):
        moment = 0.0
        for low, high in zip(edges, edges[1:], strict=False):
            z = (high - low) / 2 * nodes + (high + low) / 2
            density = np.exp(-z * z / 2) / ROOT(2 * math.pi)
            values = np.asarray(getattr(nn, name)(z))
            moment += float((weights * density * values**2).sum() * (high - low) / 2)
        assert nn.init.calculate_gain(name) == pytest.approx(1 / ROOT(moment), rel=1e-9), name


def test_customary_gains() -> None:
    gain = nn.init.calculate_gain
    assert gain("linear") == gain("sigmoid") == gain("identity") == 1.0
    assert gain("tanh") == 5 / 3
    assert gain("selu") == 0.75
    assert gain("leaky_relu", 0.2) == pytest.approx(ROOT(2 / 1.04))
    assert gain("leaky_relu", 0.0) == gain("relu")
    with pytest.raises(rg.errors.ArgumentError, match="'silu'"):
        gain("silo")
    with pytest.raises(rg.errors.ArgumentTypeError):
        gain("leaky_relu", "a")  # type: ignore[arg-type]


def test_signal_keeps_its_size_through_deep_layers() -> None:
    rg.seed(0)
    for name, function in (("he_normal", nn.relu), ("lecun_normal", nn.selu)):
        x = rg.random.normal((64, 256))
        for _ in range(20):
            x = function(nn.Linear(256, 256, init=name)(x))
        size = float((x * x).mean())
        assert 0.3 < size < 3.0, name


def test_a_function_of_a_shape() -> None:
    layer = nn.Linear(2, 3, init=lambda shape: np.full(shape, 7.0))
    assert np.array_equal(np.asarray(layer.weight), np.full((2, 3), 7.0))
    assert not np.asarray(layer.bias).any()
    assert nn.Linear(2, 3, init=lambda shape: np.ones(shape, int)).weight.dtype == np.float32
    assert layer.config()["init"] == "default"


def test_config_of_initialisers() -> None:
    for initialiser, form in (
        ("he_normal", "he_normal"),
        ("kaiming_normal", "he_normal"),
        (nn.init.HeNormal(), "he_normal"),
        (
            nn.init.HeNormal(mode="fan_out"),
            {"name": "HeNormal", "mode": "fan_out", "gain": ROOT(2)},
        ),
        (nn.init.Constant(2), {"name": "Constant", "value": 2.0}),
        (nn.init.FanInUniform(), "default"),
    ):
        layer = nn.Linear(2, 3, init=initialiser)
        assert layer.config()["init"] == form
        assert nn.Linear(**layer.config())._init == layer._init


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.init.Normal(std=-1.0),
        lambda: nn.init.Uniform(1.0, 0.0),
        lambda: nn.init.Constant(float("nan")),
        lambda: nn.init.Constant("1"),
        lambda: nn.init.HeNormal(mode="fan"),
        lambda: nn.init.HeUniform(gain=-1.0),
        lambda: nn.init.XavierUniform(gain=None),
        lambda: nn.init.Orthogonal(gain=float("inf")),
        lambda: nn.init.Zeros()(2.5),
        lambda: nn.init.Normal()((2,), "int32"),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(rg.RetrogradError):
        make()

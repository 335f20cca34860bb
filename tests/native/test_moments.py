"""Machine code for mean and variance: axes, sizes, large means, long rows, terms far away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.ir.loops import LoopNest
from retrograd.native import NativeProgram
from retrograd.ops.moments import moments
from tests.native.helpers import NumpyArray, check, run_natively, trace
from tests.native.test_movement import draw
from tests.native.test_reductions import SHAPES

EPS = {"float32": 2.0**-23, "float64": 2.0**-52}


def size_of(kernel: Any) -> int:
    """The points of a loop nest."""
    return int(np.prod(kernel.extents)) if isinstance(kernel, LoopNest) else 0


def errors(x: NumpyArray, axes: Any) -> tuple[float, float]:
    """Of the mean, relative to its size, and of the variance, relative to the variance."""
    outputs = run_natively(trace(lambda v: moments(v, axes), [x]), [x])
    wide = x.astype(np.longdouble)
    mean, variance = wide.mean(axes), wide.var(axes)
    off = np.abs(outputs[0] - mean).max() / max(1.0, float(np.abs(mean).max()))
    return float(off), float((np.abs(outputs[1] - variance) / variance).max())


@pytest.mark.parametrize(("shape", "axes"), [s for s in SHAPES if 0 not in s[0]], ids=str)
def test_against_numpy(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    for dtype in ("float32", "float64"):
        check(lambda x: moments(x, axes), [draw(shape, dtype)], 64.0)
        check(lambda x: moments(x * x + 1, axes)[1], [draw(shape, dtype)], 256.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1e4, -3e6])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((4096, 16), 0), ((30_000, 3), 0), ((9, 700), 1), ((3, 20_000), 1), ((5, 70, 33), (0, 2))],
)
def test_a_large_mean_costs_no_digits(
    shape: tuple[int, ...], axes: Any, offset: float, dtype: str
) -> None:
    x = (np.random.default_rng(0).normal(size=shape) + offset).astype(dtype)
    mean, variance = errors(x, axes)
    assert mean < 16 * EPS[dtype]
    assert variance < 64 * EPS[dtype]


@pytest.mark.parametrize(("terms", "limit"), [(1, 2e-6), (3, 2e-3)])
@pytest.mark.parametrize("shape", [(20_000, 8), (4, 200_000)])
def test_first_terms_far_away(shape: tuple[int, ...], terms: int, limit: float) -> None:
    """The distances start from one of the first three; later they follow the mean."""
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    axis = int(np.argmax(shape))
    first: Any = slice(terms) if axis == 0 else (slice(None), slice(terms))
    x[first] = 1000.0
    assert errors(x, axis)[1] < limit


def test_drifting_terms() -> None:
    """Each half has a variance of 1 around a mean of its own."""
    x = np.random.default_rng(0).normal(size=(60_000, 4)).astype(np.float32)
    x[30_000:] += 1e4
    assert errors(x, 0)[1] < 1e-5


@pytest.mark.parametrize("shape", [(33, 8), (8, 33), (40, 300), (5000, 3)])
def test_equal_terms_have_no_variance(shape: tuple[int, ...]) -> None:
    x = np.full(shape, 0.1, np.float32)
    for axis in (0, 1):
        mean, variance = run_natively(trace(lambda v, a=axis: moments(v, a), [x]), [x])
        assert (mean == np.float32(0.1)).all()
        assert (variance == 0).all()


@pytest.mark.parametrize("place", [0, 3, -1])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_terms_that_are_not_finite(place: int, value: float) -> None:
    for shape in ((40, 5), (3000, 5)):
        x = draw(shape)
        x[place] = value
        for array, axis in ((x, 0), (np.ascontiguousarray(x.T), 1)):
            graph = trace(lambda v, a=axis: moments(v, a), [array])
            mean, variance = run_natively(graph, [array])
            np.testing.assert_array_equal(mean, np.full(5, value, np.float32))
            assert np.isnan(variance).all()


@pytest.mark.parametrize("layer", [nn.BatchNorm(16), nn.LayerNorm(16)], ids=["batch", "layer"])
def test_a_layer_reads_its_input_twice(layer: Any) -> None:
    """Once for mean and variance together, once to normalise."""
    x = draw((8, 9, 16))
    graph = rg.compile(lambda module, v: module(v)).graph(layer, rg.array(x))
    program = NativeProgram(graph)
    assert not program.callbacks
    assert sum(size_of(kernel) >= x.size for kernel in program.schedule.kernels) == 2


def test_variance_and_deviation_have_gradients_in_machine_code() -> None:
    def loss(x: Any) -> Any:
        return rg.grad(lambda v: (rg.std(v, 0, ddof=1) * rg.var(v, 0)).sum())(x)

    check(loss, [draw((40, 7))], 64.0, wide=True)


def test_the_gradient_of_batch_norm_reads_twice() -> None:
    """All sums in one nest, with the gradient of relu on the way; then the gradient of the input.

    What relu was applied to is computed again from the input: it never lies in memory.
    """
    x, cotangent = draw((64, 8, 8, 16)), draw((64, 8, 8, 16))

    def step(layer: Any, v: Any, given: Any) -> Any:
        loss = lambda layer, v: (nn.relu(layer(v)) * given).sum()  # noqa: E731
        return rg.grad(loss, argnums=(0, 1))(layer, v)

    graph = rg.compile(step).graph(nn.BatchNorm(16), rg.array(x), rg.array(cotangent))
    program = NativeProgram(graph)
    large = [kernel for kernel in program.schedule.kernels if size_of(kernel) >= x.size]
    sums = [store.reduction for kernel in large for store in kernel.stores]
    assert len(large) == 3, "mean and variance, the sums, the gradient"
    assert sums[:2] == ["mean", "variance"]
    assert set(sums[2:-1]) == {"sum"}
    assert sums[-1] is None

"""The vector math against NumPy in a wider format and against the math module: errors, special
values, the same bits on vectors and scalars."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from retrograd.codegen.elementwise import ROWS
from retrograd.codegen.emit import Module
from retrograd.codegen.functions import FUNCTIONS
from retrograd.codegen.loops import LoopEmitter
from retrograd.codegen.nest_plan import plan_nest
from retrograd.codegen.table import FIRST
from retrograd.ir import PRIMITIVES
from retrograd.ir.loops import Access, Expression, LoopNest, Store
from retrograd.ir.types import DTYPES
from retrograd.runtime import jit
from retrograd.runtime.target import Target, host_target, initialise

Array = np.ndarray[Any, Any]
FLOATS = ("float32", "float64")
SPECIAL = (0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0)
# Floats between the result and the rounded reference. The promise is 2, and 4 for tanh, erf and
# power; where the functions do better, the tests hold them to it.
BOUNDS = {"exp": 1, "log": 1, "log1p": 2, "tanh": 3, "erf": 3, "power": 1}


def write(
    name: str, dtype: str, arguments: int, count: int, width: int
) -> tuple[str, list[Access]]:
    """The function as a loop over arrays, as LLVM text; one lane where the width is an item."""
    kind = DTYPES[dtype]
    loads = [Expression("load", kind, access=Access(n, 0, (1,))) for n in range(arguments)]
    apply = Expression(name, kind, tuple(range(arguments)))
    nest = LoopNest(
        (count,), (False,), (*loads, apply), (Store(Access(arguments, 0, (1,)), arguments),)
    )
    emitter = LoopEmitter(nest, replace(plan_nest(nest, width), free=None), "kernel")
    module = Module()
    module.functions.append(emitter.emit())
    return module.text(), emitter.accesses


def run(name: str, inputs: list[Array], width: int = 0, chosen: Target | None = None) -> Array:
    """The function compiled for a target and called."""
    made_for = chosen or host_target()
    dtype, count = inputs[0].dtype.name, len(inputs[0])
    text, accesses = write(name, dtype, len(inputs), count, width or made_for.vector_bytes)
    library = jit.load(jit.assemble(text, made_for), ["kernel"])
    call = jit.function(library, "kernel", 2)
    buffers = [np.ascontiguousarray(array) for array in inputs] + [np.empty_like(inputs[0])]
    table = np.array([0] * FIRST + [buffer.ctypes.data for buffer in buffers], np.int64)
    words = [word for access in accesses for word in (8 * (FIRST + access.buffer), 0)]
    call(table.ctypes.data, np.array(words, np.int64).ctypes.data)
    return buffers[-1]


def order_of(values: Array) -> Array:
    """Integers that count the floats from the least to the greatest; both zeros are 0."""
    wide = values.view(f"i{values.dtype.itemsize}").astype(np.int64)
    least = np.int64(-(1 << (8 * values.dtype.itemsize - 1)))
    return np.where(wide < 0, least - wide, wide)


def whole_bits(values: Array) -> Array:
    return values.view(f"i{values.itemsize}")


def distance(actual: Array, expected: Array) -> Array:
    """Floats between the two; NaN is only near NaN."""
    steps = np.abs(order_of(actual) - order_of(expected))
    both, either = np.isnan(actual) & np.isnan(expected), np.isnan(actual) | np.isnan(expected)
    return np.where(both, 0, np.where(either, 1 << 40, steps))


def sample(dtype: str) -> Array:
    """Special values, every power of two with its neighbours, random bits and usual sizes."""
    generator = np.random.default_rng(0)
    format_ = np.finfo(dtype)
    lowest, highest = format_.minexp - format_.nmant, format_.maxexp
    powers = np.ldexp(np.ones(highest - lowest, dtype), np.arange(lowest, highest)).astype(dtype)
    bits = powers.view(f"i{powers.itemsize}")
    near = np.concatenate([bits + step for step in range(-3, 4)]).view(dtype)
    near = near[np.isfinite(near)]
    span = -math.log(float(format_.smallest_subnormal))
    pieces = [
        np.array(SPECIAL, dtype),
        near,
        -near,
        generator.integers(0, 1 << 8 * powers.itemsize, 40_000, f"u{powers.itemsize}").view(dtype),
        generator.normal(size=20_000),
        generator.uniform(-span - 1, span + 1, 20_000),
        1 + generator.normal(size=20_000) * 0.2,
        np.linspace(-6, 6, 20_011),
        np.arange(-3000, 3000) * (math.pi / 2),
        np.log(float(format_.max)) + np.arange(-50, 50) * 1e-5 * span,
    ]
    return np.concatenate([np.asarray(piece, dtype) for piece in pieces])


def sigmoid(x: Array) -> Array:
    z = np.exp(-np.abs(x))
    return np.where(x < 0, z, 1) / (1 + z)


def erf(x: Array) -> Array:
    return np.array([math.erf(value) for value in x.tolist()]).astype(x.dtype)


REFERENCES: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "erf": erf,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
}


def reference(name: str, *inputs: Array) -> Array:
    """In a wider format, rounded: float64, or long double where the platform has a wider one."""
    wide: Any = np.float64 if inputs[0].dtype == np.float32 else np.longdouble
    # Only in float64: the long double sin of large arguments is not sound on every platform.
    if name in ("erf", "sin", "cos"):
        wide = np.float64
    function = np.power if name == "power" else REFERENCES[name]
    with np.errstate(all="ignore"):
        return function(*(x.astype(wide) for x in inputs)).astype(inputs[0].dtype)


def check(name: str, *inputs: Array) -> None:
    actual, expected = run(name, list(inputs)), reference(name, *inputs)
    steps = distance(actual, expected)
    worst = int(steps.argmax())
    at = [repr(x[worst]) for x in inputs]
    assert steps[worst] <= BOUNDS.get(name, 2), (name, at, actual[worst], expected[worst])
    zero = expected == 0
    assert np.array_equal(np.signbit(actual[zero]), np.signbit(expected[zero])), name


def check_lanes(name: str, *inputs: Array) -> None:
    """One lane, half the lanes and all lanes give the same bits."""
    full = host_target().vector_bytes
    whole = run(name, list(inputs))
    for width in {inputs[0].itemsize, full // 2}:
        narrow = run(name, list(inputs), width)
        same = (whole_bits(whole) == whole_bits(narrow)) | (np.isnan(whole) & np.isnan(narrow))
        assert np.all(same), (name, width)


NUMPYS = {"remainder"}
"""Elementwise primitives that NumPy computes in the middle of a step: an exact remainder of floats
takes as many steps as the exponents differ."""


def test_every_elementwise_primitive_has_a_row() -> None:
    listed = {name for name, primitive in PRIMITIVES.items() if primitive.elementwise}
    assert listed - NUMPYS == (set(ROWS) | {"cast"}) & listed
    assert not NUMPYS & set(ROWS)
    assert set(FUNCTIONS) == {*REFERENCES, "power", "floor_divide"}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", REFERENCES)
def test_error_of_one_argument(name: str, dtype: str) -> None:
    check(name, sample(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", REFERENCES)
def test_vectors_and_scalars_agree(name: str, dtype: str) -> None:
    check_lanes(name, sample(dtype)[::7])


@pytest.mark.parametrize("dtype", FLOATS)
def test_results_that_are_exact(dtype: str) -> None:
    def at(name: str, *values: float) -> list[float]:
        return run(name, [np.array([value], dtype) for value in values]).tolist()

    assert at("exp", 0.0) == at("exp", -0.0) == at("cos", 0.0) == at("cos", -0.0) == [1.0]
    assert at("exp", -math.inf) == at("log", 1.0) == at("sigmoid", -math.inf) == [0.0]
    assert at("exp", math.inf) == at("expm1", math.inf) == at("log", math.inf) == [math.inf]
    assert at("log", 0.0) == at("log", -0.0) == at("log1p", -1.0) == [-math.inf]
    assert at("expm1", -math.inf) == at("tanh", -math.inf) == at("erf", -math.inf) == [-1.0]
    assert at("sigmoid", 0.0) == [0.5]
    assert at("sigmoid", math.inf) == at("tanh", math.inf) == at("erf", math.inf) == [1.0]
    for name, value in (("log", -1.0), ("log1p", -1.5), ("sin", math.inf), ("cos", -math.inf)):
        assert math.isnan(at(name, value)[0]), name
    tiny = float(np.finfo(dtype).smallest_subnormal)
    for name in ("expm1", "tanh", "log1p", "sin"):
        for value in (0.0, -0.0, tiny, -tiny, 3 * tiny):
            found = at(name, value)[0]
            assert (found, math.copysign(1, found)) == (value, math.copysign(1, value)), name


@pytest.mark.parametrize("dtype", FLOATS)
def test_overflow_happens_where_it_must(dtype: str) -> None:
    largest = np.log(np.finfo(dtype).max).astype(dtype)
    around = np.array([np.nextafter(largest, dtype_inf) for dtype_inf in (-np.inf, np.inf)], dtype)
    values = np.concatenate([around, np.nextafter(around, np.array(np.inf, dtype))])
    for name in ("exp", "expm1"):
        found, expected = run(name, [values]), reference(name, values)
        assert np.array_equal(np.isinf(found), np.isinf(expected)), name


def test_large_arguments_of_sin_and_cos() -> None:
    # The double that comes closest to a multiple of pi/2, and one near the largest.
    # 40 digits by mpmath.
    hardest, far = 6381956970095103.0 * 2.0**797, 1.7976931348623157e308
    values = np.array([hardest, far, -far, 1e22])
    sines = [1.0, 0.004961954789184062, -0.004961954789184062, -0.8522008497671888]
    cosines = [-4.687165924254628e-19, -0.9999876894265599, -0.9999876894265599, 0.523214785395139]
    assert distance(run("sin", [values]), np.array(sines)).max() <= 1
    assert distance(run("cos", [values]), np.array(cosines)).max() <= 1


def power_inputs(dtype: str) -> tuple[Array, Array]:
    generator = np.random.default_rng(1)
    special = [*SPECIAL, 1e-40, -1e-40, 1e30, -1e30, 4503599627370497.0, 16777217.0, 8388607.5]
    special += [float(np.finfo(dtype).max), float(np.finfo(dtype).smallest_subnormal), -3.0, -2.0]
    first, second = np.meshgrid(np.array(special, dtype), np.array(special, dtype))
    span = 100.0 if dtype == "float32" else 740.0
    x = np.exp(generator.normal(size=30_000) * 3)
    x[::3] = generator.uniform(0.7, 1.42, 10_000)
    near = 1 + generator.normal(size=20_000) * 1e-4
    size = np.dtype(dtype).itemsize
    bits = generator.integers(0, 1 << 8 * size, 30_000, f"u{size}").view(dtype)
    exponents = generator.uniform(-span, span, 30_000) / np.log(x)
    bases = [first.ravel(), x, near, bits]
    seconds = [
        second.ravel(),
        exponents,
        generator.uniform(-1e5, 1e5, 20_000),
        generator.normal(size=30_000) * 3,
    ]
    with np.errstate(all="ignore"):
        joined = [
            np.concatenate([part.astype(dtype) for part in side]) for side in (bases, seconds)
        ]
    return joined[0], joined[1]


@pytest.mark.parametrize("dtype", FLOATS)
def test_power(dtype: str) -> None:
    x, y = power_inputs(dtype)
    check("power", x, y)
    check_lanes("power", x[::9], y[::9])


@pytest.mark.parametrize("dtype", FLOATS)
def test_whole_powers_are_exact(dtype: str) -> None:
    limit = 1 << (np.finfo(dtype).nmant + 1)
    pairs = [(b, e) for b in range(-60, 61) for e in range(0, 30) if abs(b) ** e <= limit]
    bases, exponents = np.array(pairs, dtype).T.copy()
    expected = np.array([float(b**e) for b, e in pairs], dtype)
    assert np.array_equal(run("power", [bases, exponents]), expected)
    # Powers of two down to the least denormal number.
    least = np.finfo(dtype).minexp - np.finfo(dtype).nmant
    steps = np.arange(least, np.finfo(dtype).maxexp).astype(dtype)
    expected = np.ldexp(np.ones(len(steps), dtype), steps.astype(np.int32))
    assert np.array_equal(run("power", [np.full_like(steps, 2), steps]), expected)


@pytest.mark.parametrize("dtype", ("uint8", "int32", "uint32", "int64"))
def test_floor_divide(dtype: str) -> None:
    generator = np.random.default_rng(2)
    limits = np.iinfo(dtype)
    edges = [limits.min, limits.min + 1, 0, 1, 2, 3, limits.max - 1, limits.max]
    edges += [-1, -2] if limits.min else []
    first, second = np.meshgrid(np.array(edges, dtype), np.array(edges, dtype))
    count = 20_000
    a = generator.integers(limits.min, limits.max, count, dtype, endpoint=True)
    b = generator.integers(max(limits.min, -9), 10, count).astype(dtype)
    wide = generator.integers(limits.min, limits.max, count, dtype, endpoint=True)
    # Multiples of the divisor and their neighbours.
    quotients = a // np.where(b == 0, 1, b).astype(dtype)
    multiples = quotients * b - (np.arange(count) % 2).astype(dtype)
    x = np.concatenate([first.ravel(), a, a, multiples])
    y = np.concatenate([second.ravel(), b, wide, b])
    with np.errstate(all="ignore"):
        expected = np.floor_divide(x, np.where(y == 0, np.ones_like(y), y))
    assert np.array_equal(run("floor_divide", [x, y]), expected)
    assert np.array_equal(run("floor_divide", [x, y], max(4, x.itemsize)), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("cpu", "features", "width"), [("haswell", "+avx2,+fma", 32), ("x86-64", "", 16)]
)
def test_older_processors_give_the_same_bits(
    cpu: str, features: str, width: int, dtype: str
) -> None:
    host = host_target()
    if not host.triple.startswith("x86_64") or host.vector_bytes <= width:
        pytest.skip("the host does not run this code, or runs it in the other tests")
    chosen = Target(host.triple, cpu, features, width, 16)
    values = sample(dtype)[::23]
    for name in (*REFERENCES, "power"):
        inputs = [values, np.abs(values[::-1])] if name == "power" else [values]
        wide, narrow = run(name, inputs), run(name, inputs, chosen=chosen)
        same = (whole_bits(wide) == whole_bits(narrow)) | (np.isnan(wide) & np.isnan(narrow))
        assert np.all(same), name


def test_neon_assembles() -> None:
    llvm = initialise()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    chosen = Target("aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32)
    for name in FUNCTIONS:
        dtypes = ("int32", "int64") if name == "floor_divide" else FLOATS
        for dtype in dtypes:
            arguments = 2 if name in ("power", "floor_divide") else 1
            text, _ = write(name, dtype, arguments, 37, 16)
            assert jit.assemble(text, chosen)

"""Casts of floats to integers mean the same for every executor and processor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import interpret
from retrograd.codegen.program import ProgramWriter
from retrograd.native import NativeProgram
from retrograd.runtime import jit
from retrograd.runtime.target import Target, initialise
from tests.native.test_other_targets import TARGETS, find_target

INTEGERS = ("int32", "int64", "uint8", "uint32")
FLOATS = ("float32", "float64")
NEAR = [0.0, 0.5, 1.0, 1.9, 127.5, 128.0, 254.9, 255.0, 255.5, 256.0, 300.0, 1e30, math.inf]
LIMITS = [2.0**power for power in (8, 23, 24, 31, 32, 52, 53, 63, 64)]


def draw(dtype: str) -> Any:
    """Values around every limit, with both signs, and NaN."""
    points = np.array([*NEAR, *LIMITS], dtype)
    around = [points, np.nextafter(points, points.dtype.type(0))]
    around.append(np.nextafter(points, points.dtype.type(np.inf)))
    values = np.concatenate(around)
    return np.concatenate([values, -values, np.array([math.nan, -math.nan], dtype)])


def convert(value: float, dtype: str) -> int:
    """Cut towards zero, the nearest limit beyond them, 0 for NaN."""
    limits = np.iinfo(dtype)
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return int(limits.max if value > 0 else limits.min)
    return int(min(max(math.trunc(value), limits.min), limits.max))


def trace(values: Any, dtype: str) -> Any:
    return rg.compile(lambda x: x.astype(dtype)).graph(rg.array(values))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("source", FLOATS)
def test_every_way_gives_the_defined_value(source: str, dtype: str) -> None:
    values = draw(source)
    expected = np.array([convert(float(value), dtype) for value in values], dtype)
    for found in (
        rg.array(values).astype(dtype),
        rg.array(values, dtype),
        rg.array(values.tolist(), dtype) if source == "float64" else rg.array(values, dtype),
    ):
        assert np.array_equal(found, expected)
    for count in (len(values), 7, 1):
        graph = trace(values[-count:], dtype)
        assert np.array_equal(interpret.run(graph, [values[-count:]])[0], expected[-count:])
        for target in (None, *TARGETS):
            program = NativeProgram(graph, target=target and find_target(target))
            found = program.run([values[-count:]])[0]
            assert np.array_equal(found, expected[-count:]), (target, count)


@pytest.mark.parametrize("executor", ["numpy", "native"])
def test_constants_and_wider_floats_on_the_way(executor: str) -> None:
    """What passes do with casts changes nothing."""
    values = draw("float32")
    expected = [convert(float(value), "int32") for value in values]
    wide = rg.compile(lambda x: x.astype("float64").astype("int32"), executor=executor)
    assert wide(values).tolist() == expected
    folded = rg.compile(lambda x: rg.array(values).astype("int32") + x, executor=executor)
    assert folded(0).tolist() == expected


def test_division_of_integers_wraps_as_numpy_does() -> None:
    least = rg.array(np.array([-(2**31), 7, -7], np.int32))
    by = rg.array(np.array([-1, 0, 2], np.int32))
    divide = [rg.compile(lambda a, b: a // b, executor=e) for e in ("numpy", "native")]
    for function in (*divide, divide[0].function):
        assert function(least, by).tolist() == [-(2**31), 7, -4]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_neon_assembles(dtype: str) -> None:
    llvm = initialise()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    chosen = Target("aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32)
    for source in FLOATS:
        program = NativeProgram(trace(draw(source), dtype))
        text = ProgramWriter(program.schedule, program.plan.places, chosen).text()
        assert jit.assemble(text, chosen)

"""Runs sums of products natively and holds the error against the sum of their terms' sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

import retrograd as rg
from retrograd import interpret
from retrograd.native import NativeProgram
from retrograd.runtime.target import Target, host_target

NumpyArray = np.ndarray[Any, Any]
FACTOR = 8.0
"""Roundings in an error, in multiples of eps * sum of |terms|: chunks keep it far below the
number of terms."""


def check_terms(function: Callable[..., Any], arrays: Sequence[NumpyArray]) -> NativeProgram:
    """`|native - float64 result| <= FACTOR * eps * sum |terms|` everywhere, in poisoned memory.

    The function must be a sum of products of elements of its arguments, so that it gives the sum
    of the terms' sizes for the sizes of the arguments.
    """
    graph = rg.compile(lambda *values: function(*values)).graph(*map(rg.array, arrays))
    program = NativeProgram(graph, poison=True)
    assert not program.callbacks, "NumPy computes it"
    got = program.run(arrays)
    wide = [np.asarray(array, np.float64) for array in arrays]
    exact_graph = rg.compile(lambda *values: function(*values)).graph(*map(rg.array, wide))
    exact = interpret.run(exact_graph, wide)
    sizes = interpret.run(exact_graph, [np.abs(array) for array in wide])
    for result, value, size in zip(got, exact, sizes, strict=True):
        assert result.dtype == arrays[0].dtype and result.shape == value.shape
        allowed = FACTOR * float(np.finfo(result.dtype).eps) * size
        wrong = ~(np.abs(result - value) <= allowed)
        assert not wrong.any(), (np.argwhere(wrong)[:3], result[wrong][:3], value[wrong][:3])
    return program


def draw(*shape: int, dtype: Any = np.float32, seed: int = 0) -> NumpyArray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+popcnt,+lzcnt"


def narrower_target() -> Target | None:
    """This machine with AVX2 and nothing wider; None where it has no AVX2."""
    target = host_target()
    enabled = target.features.split(",")
    if not {"+avx2", "+fma", "+bmi2"} <= set(enabled):
        return None
    return replace(target, cpu="haswell", features=AVX2, vector_bytes=32, registers=16)


@contextmanager
def compile_for(target: Target) -> Iterator[None]:
    """Programs that are compiled inside are for this target."""
    with (
        mock.patch("retrograd.native.host_target", lambda: target),
        mock.patch("retrograd.runtime.jit.host_target", lambda: target),
    ):
        yield

"""Runs programs natively, with poisoned memory, and compares them with NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import retrograd as rg
from retrograd import interpret, tree
from retrograd.ir import Graph
from retrograd.native import NativeProgram
from retrograd.runtime.target import Target
from retrograd.trace import Array

NumpyArray = np.ndarray[Any, Any]


def trace(function: Callable[..., Any], arrays: Sequence[NumpyArray]) -> Graph:
    """The program of a function for arguments of these types."""
    graph: Graph = rg.compile(lambda *values: function(*values)).graph(*map(rg.array, arrays))
    return graph


def run_natively(
    graph: Graph, arrays: Sequence[NumpyArray], target: Target | None = None
) -> list[NumpyArray]:
    """The outputs of machine code: twice as usual, and with memory that is poisoned and guarded.

    All three must give the same bits, and leave the inputs alone.
    """
    before = [np.array(array) for array in arrays]
    usual, guarded = (NativeProgram(graph, poison=p, target=target) for p in (False, True))
    usual.memory.fill([(0, usual.arena.size)])
    first, second, third = usual.run(arrays), usual.run(arrays), guarded.run(arrays)
    for array, copy in zip(arrays, before, strict=True):
        assert same_bits(array, copy), "an input has changed"
    for one, two, three in zip(first, second, third, strict=True):
        assert same_bits(one, two), "a second run gives other bits"
        assert same_bits(one, three), "poisoned memory gives other bits"
    return first


def same_bits(a: NumpyArray, b: NumpyArray) -> bool:
    same = a.dtype == b.dtype and a.shape == b.shape
    return same and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


def check(
    function: Callable[..., Any],
    arrays: Sequence[NumpyArray],
    factor: float = 8.0,
    target: Target | None = None,
    wide: bool = False,
) -> Graph:
    """Native against NumPy: exact for integers and bools.

    For floats |native - float64 result| <= factor * eps * max(1, largest float64 result), where
    the float64 result is that of the same program traced with float64 inputs, and eps that of the
    narrowest dtype that is computed with. With `wide` that float64 program runs natively too.
    """
    arrays = [np.asarray(array) for array in arrays]
    graph = trace(function, arrays)
    outputs = run_natively(graph, arrays, target)
    expected = interpret.run(graph, arrays)
    precise = expected
    if any(a.dtype == np.float32 for a in arrays):
        doubles = [np.asarray(a, np.float64) if a.dtype == np.float32 else a for a in arrays]
        in_doubles = trace(function, doubles)
        precise = interpret.run(in_doubles, doubles)
        if wide:
            found = NativeProgram(in_doubles, poison=False, target=target).run(doubles)
            compare(found, precise, precise, factor * epsilon_of(in_doubles))
    compare(outputs, expected, precise, factor * epsilon_of(graph))
    return graph


def epsilon_of(graph: Graph) -> float:
    """The unit of rounding of the narrowest floats that a program computes with."""
    dtypes = {variable.type.dtype for node in graph.walk() for variable in node.outputs}
    return 2.0**-23 if np.dtype(np.float32) in dtypes else 2.0**-52


def compare(
    outputs: Sequence[NumpyArray],
    expected: Sequence[NumpyArray],
    precise: Sequence[NumpyArray],
    tolerance: float,
) -> None:
    """Types as `expected`; floats near `precise`, all else equal to `expected`.

    The tolerance is relative to the largest element.
    """
    for got, wanted, exact in zip(outputs, expected, precise, strict=True):
        assert got.dtype == wanted.dtype and got.shape == wanted.shape
        if got.dtype.kind != "f":
            np.testing.assert_array_equal(got, wanted)
            continue
        finite = np.abs(exact[np.isfinite(exact)])
        scale = max(1.0, float(finite.max())) if finite.size else 1.0
        allowed = tolerance * scale
        with np.errstate(invalid="ignore", over="ignore"):
            target = exact.astype(got.dtype) if not np.isfinite(exact).all() else exact
            np.testing.assert_allclose(got, target, rtol=0, atol=allowed)


def with_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that gives the values, and the cotangents of the inputs for fixed ones."""

    def both(*values: Any) -> Any:
        outputs, pullback = rg.vjp(function, *values)
        random = np.random.default_rng(0)

        def cotangent(output: Array) -> Any:
            given = random.uniform(-1.0, 1.0, output.type.shape).astype(np.float32)
            return rg.array(given.astype(output.type.dtype)) if output.type.floating else None

        return function(*values), pullback(tree.map(cotangent, outputs))

    return both

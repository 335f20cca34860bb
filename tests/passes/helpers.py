"""Runs a program before and after a pass with NumPy, and counts its operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import retrograd as rg
from retrograd import interpret
from retrograd.ir import Graph, verify

NumpyArray = np.ndarray[Any, Any]


def trace(function: Callable[..., Any], *arrays: NumpyArray) -> Graph:
    """The program of a function for arguments of these types."""
    graph: Graph = rg.compile(lambda *values: function(*values)).graph(*map(rg.array, arrays))
    return graph


def count(graph: Graph) -> Counter[str]:
    """How often each primitive occurs, inner programs included."""
    return Counter(node.primitive.name for node in graph.walk())


def run_both(
    graph: Graph, changed: Graph, arrays: Sequence[NumpyArray]
) -> list[tuple[NumpyArray, NumpyArray]]:
    """The outputs of both programs, in pairs; the second is verified."""
    verify(changed, "a pass")
    assert changed.inputs == graph.inputs
    return list(zip(interpret.run(graph, arrays), interpret.run(changed, arrays), strict=True))


def assert_same_bits(pairs: Sequence[tuple[NumpyArray, NumpyArray]]) -> None:
    for before, after in pairs:
        assert before.dtype == after.dtype and before.shape == after.shape
        nan = np.isnan(before) if before.dtype.kind == "f" else np.zeros(before.shape, bool)
        np.testing.assert_array_equal(nan, np.isnan(after) if before.dtype.kind == "f" else nan)
        kept = np.where(nan, 0, before), np.where(nan, 0, after)
        assert np.array_equal(*kept)
        if before.dtype.kind == "f":
            assert np.array_equal(*map(np.signbit, kept)), "the sign of a zero has changed"

"""Every primitive against NumPy or plain Python, by itself and inside a program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import tree
from retrograd.ops.random import philox
from tests.gradient_table import (
    attention_values,
    control_values,
    elementwise_values,
    moving_values,
    window_values,
)
from tests.gradient_table.control_values import philox_by_hand
from tests.gradient_table.table import NumpyArray
from tests.gradient_table.values import Value

ROWS: list[Value] = [
    *elementwise_values.VALUES,
    *moving_values.VALUES,
    *control_values.VALUES,
    *window_values.VALUES,
    *attention_values.VALUES,
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_values_are_those_of_the_reference(row: Value) -> None:
    """The same dtype and shape; exact, or within `tolerance` units of rounding of the largest."""
    with np.errstate(all="ignore"):
        expected = row.reference(*row.inputs)
    expected = list(expected) if isinstance(expected, tuple) else [expected]
    compare(row, row.function(*map(rg.array, row.inputs)), expected)
    compare(row, rg.compile(row.function)(*map(rg.array, row.inputs)), expected)


def compare(row: Value, actual: Any, expected: list[NumpyArray]) -> None:
    for got, wanted in zip(tree.leaves(actual), expected, strict=True):
        value = got.numpy()
        assert value.dtype == wanted.dtype and value.shape == wanted.shape
        if row.tolerance and wanted.dtype.kind == "f" and wanted.size:
            allowed = row.tolerance * np.finfo(wanted.dtype).eps * max(1.0, np.abs(wanted).max())
            np.testing.assert_allclose(value, wanted, rtol=0, atol=float(allowed))
        else:
            np.testing.assert_array_equal(value, wanted)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_published_vectors(
    counter: list[int], key: list[int], expected: list[int]
) -> None:
    """The known answers that the authors of Random123 publish for philox4x32-10."""
    assert philox_by_hand(counter, key) == expected
    words = philox([np.array([word], np.uint64) for word in counter], (key[0], key[1]))
    assert [int(word[0]) for word in words] == expected

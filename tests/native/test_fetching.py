"""Memory is asked for before it is needed: results do not change, and only where it pays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.codegen.batch_plan import plan_batch
from retrograd.codegen.fetching import _list_new_places
from retrograd.codegen.kernels import normalise
from retrograd.ir.loops import Access, Contraction
from retrograd.ir.types import float32
from retrograd.native import NativeProgram
from retrograd.runtime.target import host_target
from tests.native.helpers import check, with_gradients
from tests.native.terms import narrower_target
from tests.native.test_movement import draw


def convolve(**arguments: Any) -> Any:
    """A convolution, and something elementwise with another array behind it."""

    def function(x: Any, w: Any, other: Any) -> Any:
        return rg.tanh(rg.conv(x, w, **arguments) + other)

    return with_gradients(function)


def list_fetching(graph: Any) -> Counter[str]:
    """What is asked for by the contractions of a program."""
    target = host_target()
    kernels = [k for k in NativeProgram(graph).schedule.kernels if isinstance(k, Contraction)]
    plans = [normalise(kernel)[0] for kernel in kernels]
    return Counter(
        plan_batch(c, target.vector_bytes, target.registers, None).fetched
        for c in plans
        if isinstance(c, Contraction)
    )


CASES = {
    "plain": ((8, 24, 24, 16), (3, 3, 16, 16), {"padding": 1}),
    "wide": ((8, 16, 16, 32), (3, 3, 32, 64), {"padding": 1}),
    "strided": ((8, 33, 33, 16), (3, 3, 16, 32), {"padding": 1, "stride": 2}),
    "large steps": ((16, 64, 64, 16), (3, 3, 16, 32), {"stride": 3}),
    "dilated": ((8, 24, 24, 16), (3, 3, 16, 16), {"padding": 2, "dilation": 2}),
    "one axis": ((8, 700, 16), (5, 16, 16), {"padding": 2}),
    "three axes": ((4, 8, 10, 12, 16), (3, 3, 3, 16, 16), {"padding": 1}),
    "odd": ((7, 23, 29, 24), (3, 3, 24, 40), {"padding": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_convolutions_and_their_gradients(name: str) -> None:
    image, kernel, arguments = CASES[name]
    x, w = draw(image), draw(kernel) * np.float32(0.1)
    shape = rg.conv(rg.array(x), rg.array(w), **arguments).shape
    graph = check(convolve(**arguments), [x, w, draw(shape)], 400.0)
    if host_target().vector_bytes == 64 and name != "one axis":
        assert sum(n for what, n in list_fetching(graph).items() if what)


def test_on_a_narrower_target() -> None:
    image, kernel, arguments = CASES["plain"]
    arrays = [draw(image), draw(kernel) * np.float32(0.1), draw(image)]
    check(convolve(**arguments), arrays, 400.0, target=narrower_target())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products(dtype: Any) -> None:
    """With an epilogue; and over many terms, which are summed in strips."""

    def function(x: Any, w: Any, other: Any) -> Any:
        return rg.maximum(x @ w, 0) * other

    arrays = [draw((512, 160)), draw((160, 192)), draw((512, 192))]
    check(with_gradients(function), [a.astype(dtype) for a in arrays], 400.0)


def test_small_arrays_are_near() -> None:
    arrays = [draw((2, 8, 8, 16)), draw((3, 3, 16, 16)), draw((2, 8, 8, 16))]
    graph = check(convolve(padding=1), arrays, 400.0)
    assert set(list_fetching(graph)) == {""}


def test_gradients_of_kernels_ask_for_strips() -> None:
    if host_target().vector_bytes != 64:
        pytest.skip("tiles of other targets are smaller")
    image, kernel, arguments = (32, 16, 16, 32), (3, 3, 32, 32), {"padding": 1}
    shape = (32, 16, 16, 32)
    graph = check(convolve(**arguments), [draw(image), draw(kernel) * 0.1, draw(shape)], 800.0)
    assert list_fetching(graph)["strips"] == 1


@pytest.mark.parametrize(
    ("stride", "places"), [(1, [2 * 96]), (2, [96, 2 * 96]), (3, [0, 96, 2 * 96])]
)
def test_rows_that_a_window_reads_first(stride: int, places: list[int]) -> None:
    """A window of three rows of 96 elements that moves on by so many."""
    c = Contraction(
        (8, 8, 16, 3, 48),
        (False, False, False, True, True),
        float32,
        Access(0, 0, (96 * stride, 16, 0, 96, 1)),
        Access(1, 0, (0, 0, 1, 768, 16)),
        Access(2, 0, (128, 16, 1, 0, 0)),
    )
    target = host_target()
    plan = plan_batch(c, target.vector_bytes, target.registers, None)
    assert _list_new_places(c, plan) == places

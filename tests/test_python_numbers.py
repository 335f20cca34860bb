"""Python numbers that compiled functions receive: as without compilation, or an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.errors import ArgumentTypeError

FAR = 2**40
SMALL = rg.array([1, 2])
BYTES = rg.array(np.array([1, 2], np.uint8))
for_each_executor = pytest.mark.parametrize("executor", [None, "numpy", "native"])


def make(function: Callable[..., Any], executor: str | None) -> Callable[..., Any]:
    return rg.compile(function, executor=executor) if executor else function


BEYOND: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "an argument": (lambda x, n: x + n, (SMALL, FAR)),
    "the smallest": (lambda x, n: x + n, (SMALL, -(2**31) - 1)),
    "the largest": (lambda x, n: x + n, (SMALL, 2**31)),
    "bytes": (lambda x, n: x * n, (BYTES, 256)),
    "below zero": (lambda x, n: x * n, (BYTES, -1)),
    "computed": (lambda x, n: x + n * 2, (SMALL, 2**30)),
    "closed over": (lambda x: x + FAR, (SMALL,)),
    "in a tree": (lambda x, tree: x + tree["a"][0], (SMALL, {"a": [FAR]})),
    "with bools": (lambda x, n: x + n, (rg.array([True]), FAR)),
    "compared": (lambda x, n: x < n, (SMALL, FAR)),
    "chosen": (lambda x, n: rg.where(x > 1, x, n), (SMALL, FAR)),
    "converted": (lambda n: rg.array(n, "int32"), (FAR,)),
    "filled": (lambda n: rg.full((3,), n, "int32"), (FAR,)),
    "in a scan": (
        lambda x, n: rg.scan(lambda c, _: (c + n, None), x, rg.zeros(3))[0],
        (SMALL, FAR),
    ),
    "in a loop": (
        lambda x, n: rg.while_loop(lambda c: c.sum() < 10, lambda c: c + n, x),
        (SMALL, FAR),
    ),
    "in a branch": (
        lambda x, n: rg.cond(x.sum() < 9, lambda c: c + n, lambda c: c, x),
        (SMALL, FAR),
    ),
    "for each example": (lambda x, n: rg.vmap(lambda x: x + n)(x), (SMALL, FAR)),
}


@for_each_executor
@pytest.mark.parametrize("name", BEYOND)
def test_a_number_beyond_the_dtype_is_an_error(name: str, executor: str | None) -> None:
    function, arguments = BEYOND[name]
    with pytest.raises(ArgumentTypeError, match="does not fit into u?int"):
        make(function, executor)(*arguments)


@pytest.mark.parametrize("executor", ["numpy", "native"])
def test_a_number_that_leaves_must_fit_into_int32(executor: str) -> None:
    give = make(lambda n: (n, n > 3), executor)
    number, above = give(7)
    assert (number.dtype, above.dtype) == (np.dtype("int32"), np.dtype("bool"))
    with pytest.raises(ArgumentTypeError, match="does not fit into int32"):
        give(FAR)


@for_each_executor
def test_numbers_up_to_the_limits(executor: str | None) -> None:
    add = make(lambda x, n: x * 0 + n, executor)
    for dtype in ("int32", "uint8", "uint32", "int64"):
        limits = np.iinfo(dtype)
        for number in (int(limits.min), 0, int(limits.max)):
            found = add(rg.array(np.zeros(3, dtype)), number)
            assert found.dtype == dtype
            assert found.tolist() == [number] * 3


@for_each_executor
def test_array_of_a_number_is_an_array_of_its_own(executor: str | None) -> None:
    """`rg.array(n)` widens, as it does without compilation; a number does not."""
    wide = make(lambda x, n: (x + rg.array(n), x + rg.array(n, "int64"), x + n), executor)
    dtypes = [found.dtype.name for found in wide(BYTES, 5)]
    assert dtypes == ["int32", "int64", "uint8"]
    far = make(lambda x, n: x + rg.array(n, "int64"), executor)
    assert far(SMALL, FAR).tolist() == [FAR + 1, FAR + 2]


@for_each_executor
def test_a_float_beyond_float32_is_infinite_without_a_warning(executor: str | None) -> None:
    assert make(lambda x, n: x + n, executor)(rg.array([1.0]), 1e300).tolist() == [np.inf]


class Counted(nn.Module):
    def __init__(self) -> None:
        self.total = nn.Buffer(rg.array([0, 0]))
        self.weight = rg.zeros(2)


def test_a_step_that_fails_changes_nothing() -> None:
    @rg.compile(executor="native")
    def step(model: Counted, n: int) -> None:
        model.weight = model.weight + 1.0
        model.total = model.total + n

    model = Counted()
    for _ in range(3):
        step(model, 2)
    with pytest.raises(ArgumentTypeError, match="does not fit into int32"):
        step(model, FAR)
    assert (model.weight.tolist(), np.asarray(model.total).tolist()) == ([3.0, 3.0], [6, 6])
    step(model, -6)
    assert (model.weight.tolist(), np.asarray(model.total).tolist()) == ([4.0, 4.0], [0, 0])

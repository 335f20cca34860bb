"""Under vmap, what an example does not take may not fail for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses
from retrograd.errors import IndexRangeError

TABLE = rg.array([10.0, 20.0, 30.0])
PLACES = rg.array([0, 7, 2, -9])
for_each_executor = pytest.mark.parametrize("executor", [None, "numpy", "native"])


def is_row(place: Any) -> Any:
    return rg.logical_and(place >= 0, place < 3)


def read_again(place: Any) -> Any:
    def read(place: Any) -> Any:
        return TABLE[place]

    def keep(place: Any) -> tuple[Any, None]:
        return TABLE[place], None

    return rg.custom_gradient(read, keep, lambda kept, cotangent: (None,))(place)


def add_rows(place: Any) -> Any:
    return rg.scan(lambda total, _: (total + TABLE[place], None), rg.array(0.0), rg.zeros(3))[0]


def sum_from(place: Any) -> Any:
    carry = (place, rg.array(0.0))
    ended = rg.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + TABLE[c[0]]), carry)
    return ended[1]


READERS: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "index": (lambda place: TABLE[place], [10.0, 30.0]),
    "one_hot": (lambda place: (rg.one_hot(place, 3) * TABLE).sum(), [10.0, 30.0]),
    "along": (lambda place: rg.take_along_axis(TABLE, place[None], 0)[0], [10.0, 30.0]),
    "several": (lambda place: TABLE[rg.stack([place, place * 0])].sum(), [20.0, 40.0]),
    "scan": (add_rows, [30.0, 90.0]),
    "checkpoint": (lambda place: rg.checkpoint(lambda p: TABLE[p])(place), [10.0, 30.0]),
    "custom_gradient": (read_again, [10.0, 30.0]),
    "loop": (sum_from, [60.0, 30.0]),
    "labels": (
        lambda place: losses.cross_entropy(TABLE[None] * 0.1, place[None]),
        [2.4076, 0.4076],
    ),
    "branch": (
        lambda place: rg.cond(place > 1, lambda p: TABLE[p], lambda p: TABLE[p + 1], place),
        [20.0, 30.0],
    ),
}


@for_each_executor
@pytest.mark.parametrize("name", READERS)
def test_an_index_of_the_other_branch_is_no_error(name: str, executor: str | None) -> None:
    read, (first, last) = READERS[name]
    each = rg.vmap(lambda p: rg.cond(is_row(p), read, lambda p: p * -1.0, p))
    run = rg.compile(each, executor=executor) if executor else each
    np.testing.assert_allclose(run(PLACES), [first, -7.0, last, 9.0], rtol=1e-4)
    wrong = rg.vmap(lambda p: rg.cond(p < 100, read, lambda p: p * -1.0, p))
    wrong = rg.compile(wrong, executor=executor) if executor else wrong
    if name != "loop":
        with pytest.raises(IndexRangeError):
            wrong(PLACES)


@for_each_executor
def test_examples_that_are_done_read_nothing(executor: str | None) -> None:
    """The body runs for all examples as long as one goes on: those that are done are at row 3."""
    each = rg.vmap(sum_from)
    run = rg.compile(each, executor=executor) if executor else each
    np.testing.assert_array_equal(run(rg.array([0, 1, 2, 3])), [60.0, 50.0, 30.0, 0.0])


@for_each_executor
def test_a_loop_of_the_other_branch_does_not_run(executor: str | None) -> None:
    """Doubling 0 would never end."""

    def grow(x: Any) -> Any:
        return rg.while_loop(lambda x: x < 10, lambda x: x * 2, x)

    each = rg.vmap(lambda x: rg.cond(x > 0, grow, lambda x: x, x))
    run = rg.compile(each, executor=executor) if executor else each
    np.testing.assert_array_equal(run(rg.array([1.0, 0.0, 3.0])), [16.0, 0.0, 12.0])


@for_each_executor
def test_gradients_and_two_levels(executor: str | None) -> None:
    def total(weight: Any) -> Any:
        each = rg.vmap(lambda p: rg.cond(is_row(p), lambda p: (weight * TABLE)[p], abs_of, p))
        return rg.vmap(each)(PLACES.reshape(2, 2)).sum()

    def abs_of(place: Any) -> Any:
        return abs(place) * 1.0

    run = rg.value_and_grad(total)
    run = rg.compile(run, executor=executor) if executor else run
    assert [float(x) for x in run(rg.array(2.0))] == [96.0, 40.0]


def test_branches_that_cannot_fail_stay_as_they_are() -> None:
    each = rg.vmap(lambda x: rg.cond(x > 0, rg.sin, rg.cos, x))
    names = [node.primitive.name for node in rg.compile(each).graph(rg.ones(3)).walk()]
    assert sorted(names) == ["cos", "greater", "sin", "where"]

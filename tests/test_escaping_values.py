"""Values of a traced program do not leave it by other ways than its outputs."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.errors import ArgumentTypeError, TracingError

X = rg.array([1.0, 2.0])


class Box:
    def __init__(self, value: Any) -> None:
        self.value = value

    def read(self) -> Any:
        return self.value


TRANSFORMS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "numpy": lambda f: rg.compile(f, executor="numpy")(X),
    "native": lambda f: rg.compile(f, executor="native")(X),
    "grad": lambda f: rg.grad(lambda x: (x.sum(), f(x)), has_aux=True)(X)[1],
    "scan": lambda f: rg.scan(lambda carry, _: (carry, f(carry)), X, rg.zeros(2))[1],
    "vmap": lambda f: rg.vmap(f)(X),
}
for_each_transform = pytest.mark.parametrize("transform", TRANSFORMS)

ITERATORS: dict[str, Callable[[Any], Any]] = {
    "generator": lambda x: (x * n for n in range(3)),
    "map": lambda x: map(functools.partial(rg.multiply, x), range(3)),
    "zip": lambda x: zip([x], [x], strict=True),
    "filter": lambda x: filter(None, [x]),
    "iter": lambda x: iter([x]),
    "enumerate": lambda x: {"deep": [enumerate([x])]},
    "nothing traced": lambda x: iter(range(3)),
}
HOLDERS: dict[str, Callable[[Any], Any]] = {
    "lambda": lambda x: lambda y: x + y,
    "default": lambda x: lambda y, x=x: x + y,
    "keyword": lambda x: lambda y, *, x=x: x + y,
    "partial": lambda x: functools.partial(rg.add, x),
    "method": lambda x: Box(x).read,
    "method of an array": lambda x: (x * 2).sum,
    "object": lambda x: {"deep": (Box([x]), 1)},
    "object in an object": lambda x: Box({"a": Box(lambda: x)}),
    "set": lambda x: {x},
    "deque": lambda x: deque([x]),
    "values of a dict": lambda x: {"a": x}.values(),
}


@for_each_transform
@pytest.mark.parametrize("name", ITERATORS)
def test_iterators_are_refused(name: str, transform: str) -> None:
    with pytest.raises(ArgumentTypeError, match="returned an iterator") as caught:
        TRANSFORMS[transform](ITERATORS[name])
    assert "return a list" in str(caught.value)


@for_each_transform
@pytest.mark.parametrize("name", HOLDERS)
def test_what_holds_a_traced_value_is_refused(name: str, transform: str) -> None:
    with pytest.raises(ArgumentTypeError, match="holds a value of the traced program"):
        TRANSFORMS[transform](HOLDERS[name])


def test_what_holds_none_is_returned() -> None:
    y = rg.array(3.0)
    double = rg.compile(lambda x: (lambda z: z * y, range(3), "a", {1, 2}, Box(y), len))(X)
    assert float(double[0](2.0)) == 6.0
    assert double[1:4] == (range(3), "a", {1, 2})
    assert double[4].value is y


def test_a_function_of_an_outer_program_may_hold_its_values() -> None:
    def total(x: Any) -> Any:
        gradient, shift = rg.grad(lambda w: ((w * w).sum(), lambda y: y + x), has_aux=True)(x)
        return shift(gradient).sum()

    assert float(rg.compile(total)(X)) == 9.0
    assert rg.grad(total)(X).tolist() == [3.0, 3.0]


USES: dict[str, Callable[[Any], Any]] = {
    "operator": lambda kept: kept + 1,
    "number": lambda kept: float(kept[0]),
    "asarray": np.asarray,
    "numpy": lambda kept: kept.numpy(),
    "tolist": lambda kept: kept.tolist(),
    "iteration": list,
    "ufunc": lambda kept: np.add(kept, 1),
    "array": rg.array,
    "stack": lambda kept: rg.stack([kept, kept]),
    "compiled": lambda kept: rg.compile(lambda x: x)(kept),
    "closed over": lambda kept: rg.compile(lambda x: x * kept)(X),
    "grad": lambda kept: rg.grad(lambda x: x.sum())(kept),
    "vmap": lambda kept: rg.vmap(lambda x: x)(kept),
    "weight": lambda kept: setattr(nn.Linear(1, 2), "bias", kept),
}


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("transform", ["native", "grad"])
def test_a_value_that_was_kept_cannot_be_used(name: str, transform: str) -> None:
    kept: list[Any] = []
    TRANSFORMS[transform](lambda x: kept.append(x * 2))
    assert "Tracer" in repr(kept[0])
    assert kept[0].shape == (2,)
    with pytest.raises(TracingError, match="kept and used after the function"):
        USES[name](kept[0])

"""What usual mistakes with transforms are answered with."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.errors import ArgumentError, DTypeError, TracingError


@pytest.mark.parametrize("show", [print, str, "{}".format, "value: %s".__mod__])
def test_printing_inside_a_compiled_function_says_what_to_do(show: Any) -> None:
    def loss(x: Any) -> Any:
        show(x)
        return x

    with pytest.raises(TracingError, match="only its type is known") as caught:
        rg.compile(loss)(rg.ones(2))
    assert "return values instead of printing" in str(caught.value)
    assert float(rg.grad(loss)(2.0)) == 1.0  # it prints while learning, without compilation


def test_the_name_of_a_traced_value_is_no_error_in_a_compiled_function() -> None:
    names: list[str] = []

    def loss(x: Any) -> Any:
        names.append(repr(x))
        return x.sum()

    rg.compile(rg.grad(loss))(rg.ones(2))
    assert names == ["Tracer(float32[2])"]


@pytest.mark.parametrize(
    "expression",
    [
        lambda: ~rg.array([1]),
        lambda: rg.array([1]) & rg.array([3]),
        lambda: np.array([1]) | rg.array([3]),
        lambda: rg.array([True]) ^ 1.5,
    ],
)
def test_bit_operators_on_numbers_are_refused(expression: Any) -> None:
    with pytest.raises(DTypeError, match="takes bools, received"):
        expression()


@pytest.mark.parametrize(
    ("function", "argument", "message"),
    [
        (lambda x: None, 1.0, "scalar Array, received None"),
        (lambda x: (x, x), 1.0, "scalar Array, received a tuple"),
        (lambda x: 3.5, 1.0, "scalar Array, received 3.5"),
        (lambda x: x, 3, "^grad: argument 'x' is the integer 3"),
        (lambda x: x > 0, 1.0, "argmax, comparisons and integers"),
    ],
)
def test_grad_says_what_it_received(function: Any, argument: Any, message: str) -> None:
    with pytest.raises(rg.RetrogradError) as caught:
        rg.grad(function)(argument)
    assert re.search(message, str(caught.value))


@pytest.mark.parametrize("argnums", ["x", 1.5, 1])
def test_argnums_that_are_no_position(argnums: Any) -> None:
    with pytest.raises(ArgumentError, match="names an argument that is not there"):
        rg.grad(lambda x: x, argnums=argnums)(1.0)

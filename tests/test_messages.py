"""What usual mistakes with transforms are answered with."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.errors import (
    ArgumentError,
    ArgumentTypeError,
    ClosureError,
    DTypeError,
    NotDifferentiableError,
    ShapeError,
    TracingError,
)


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


class Plain:
    """A newcomer's model, whose class should be an nn.Module."""

    def __init__(self) -> None:
        self.weight = rg.ones(3)

    def __call__(self, x: Any) -> Any:
        return (self.weight * x).sum()


@pytest.mark.parametrize("argument", [Plain(), "relu", True], ids=["object", "text", "bool"])
def test_there_is_no_gradient_by_what_holds_no_numbers(argument: Any) -> None:
    with pytest.raises(NotDifferentiableError, match="^grad: argument 0 is"):
        rg.grad(lambda first, x: x.sum())(argument, rg.ones(3))
    # By keyword, or beside the differentiated argument, it is fine.
    assert rg.grad(lambda x, first: x.sum())(rg.ones(3), argument).shape == (3,)


class Holder(nn.Module):
    def __init__(self) -> None:
        self.plain = Plain()

    def __call__(self, x: Any) -> Any:
        return self.plain(x)


@pytest.mark.parametrize("model", [Plain(), [Plain()], Holder()], ids=["object", "list", "Module"])
def test_arrays_in_an_object_that_is_no_module_are_not_frozen(model: Any) -> None:
    run = rg.compile(lambda model, x: x.sum())
    with pytest.raises(ClosureError, match="received a Plain that holds an Array"):
        run(model, rg.ones(3))


def test_a_custom_forward_rule_returns_a_pair() -> None:
    doubled = rg.custom_gradient(lambda x: 2 * x, lambda x: 2 * x, lambda _, g: (2 * g,))
    with pytest.raises(ArgumentTypeError, match=r"must return \(outputs, residuals\), received"):
        rg.grad(lambda x: doubled(x).sum())(rg.ones(2))  # two elements unpack like a pair


@pytest.mark.parametrize("draw", [rg.random.normal, rg.random.uniform])
def test_random_numbers_of_a_negative_size(draw: Any) -> None:
    with pytest.raises(ShapeError, match="cannot be negative"):
        draw((2, -1))


@pytest.mark.parametrize(("values", "dtype"), [([300], "uint8"), (-1, "uint32"), (2**40, "int32")])
def test_numbers_that_do_not_fit_into_the_dtype(values: Any, dtype: str) -> None:
    with pytest.raises(ArgumentTypeError, match="does not fit into"):
        rg.array(values, dtype=dtype)

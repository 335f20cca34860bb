"""The tester is tested: wrong rules of every kind are caught, right ones are not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.errors import ArgumentError, DTypeError, GradientCheckError
from retrograd.ir import PRIMITIVES, Primitive, declare
from retrograd.ops.contract import contract_axes
from retrograd.ops.elementwise import zeros_like
from retrograd.ops.shape import transpose
from retrograd.testing import check_gradients
from retrograd.trace import bind

POINT = np.array([0.3, -0.7, 1.1])
MATRIX = np.array([[0.3, -0.7], [1.1, 0.4]])
Planter = Callable[..., Callable[..., Any]]


@pytest.fixture
def plant() -> Iterator[Planter]:
    """Declares throw-away primitives, and takes them out of the table afterwards."""
    before = dict(PRIMITIVES)

    def make(evaluate: Any, backward: Any, jvp: Any) -> Callable[..., Any]:
        name = f"planted_{len(PRIMITIVES)}"
        primitive: Primitive = declare(
            name,
            infer=lambda *types: (types[0],),
            evaluate=lambda *arrays: (np.asarray(evaluate(*arrays)),),
            jvp=lambda primals, tangents, outputs: [jvp(primals, tangents)],
            backward=lambda residuals, cotangents, needed: backward(residuals[0], cotangents[0]),
        )
        return lambda *values: bind(primitive, *values)[0]

    yield make
    PRIMITIVES.clear()
    PRIMITIVES.update(before)


def square(plant: Planter, backward: Any = None, jvp: Any = None) -> Callable[..., Any]:
    """x^2 with the right rules, or with others in their place."""
    right_backward = lambda inputs, g: [g * 2.0 * inputs[0]]  # noqa: E731
    right_jvp = lambda primals, tangents: tangents[0] * 2.0 * primals[0]  # noqa: E731
    return plant(lambda x: x * x, backward or right_backward, jvp or right_jvp)


def test_right_rules_pass(plant: Planter) -> None:
    check_gradients(square(plant), POINT, order=3)


WRONG_FACTORS = {
    "wrong sign": -2.0,
    "missing factor": 1.0,
    "2.001 for 2": 2.001,
    "nearly right": 2.00001,
    "zero": 0.0,
    "not a number": float("nan"),
    "infinite": float("inf"),
}


@pytest.mark.parametrize("factor", WRONG_FACTORS.values(), ids=WRONG_FACTORS.keys())
def test_a_wrong_factor_is_caught_in_either_mode(plant: Planter, factor: float) -> None:
    backward = square(plant, backward=lambda inputs, g: [g * factor * inputs[0]])
    with pytest.raises(GradientCheckError, match=r"order 1 \(reverse\)"):
        check_gradients(backward, POINT)
    with pytest.raises(GradientCheckError, match="order 1"):
        check_gradients(backward, POINT, modes=("reverse",), order=1)
    check_gradients(backward, POINT, modes=("forward",))
    forward = square(plant, jvp=lambda primals, tangents: tangents[0] * factor * primals[0])
    with pytest.raises(GradientCheckError, match=r"order 1 \(forward\)"):
        check_gradients(forward, POINT)
    check_gradients(forward, POINT, modes="reverse")


def test_an_error_below_the_tolerance_of_differences_is_caught_by_the_other_mode(
    plant: Planter,
) -> None:
    function = square(plant, backward=lambda inputs, g: [g * 2.0000002 * inputs[0]])
    check_gradients(function, POINT, modes="reverse", order=1)
    with pytest.raises(GradientCheckError, match="Reverse and forward mode disagree in order 1"):
        check_gradients(function, POINT, order=1)


def test_a_dropped_gradient_is_caught(plant: Planter) -> None:
    product = plant(
        lambda a, b: a * b,
        lambda inputs, g: [g * inputs[1], None],
        lambda primals, tangents: None if tangents[0] is None else tangents[0] * primals[1],
    )
    with pytest.raises(GradientCheckError, match=r"argument 'second' .*reverse mode gives 0,"):
        check_gradients(lambda first, second: product(first, second), POINT, POINT + 1)
    with pytest.raises(GradientCheckError, match=r"argument 'second' .*forward mode gives 0,"):
        check_gradients(lambda first, second: product(first, second), POINT, POINT, modes="forward")


def test_one_wrong_element_of_many_is_caught(plant: Planter) -> None:
    spoiled = np.ones(1000)
    spoiled[417] = 1.01
    function = square(plant, backward=lambda inputs, g: [g * 2.0 * inputs[0] * rg.array(spoiled)])
    with pytest.raises(GradientCheckError):
        check_gradients(function, np.linspace(0.5, 1.5, 1000), order=1)


def test_a_missing_transpose_is_caught(plant: Planter) -> None:
    """x @ x: the gradient without its transposes, on a square matrix, where shapes do not tell."""
    times = lambda a, b: contract_axes(a, b, ((1,), (0,)))  # noqa: E731
    jvp = lambda primals, t: times(t[0], primals[0]) + times(primals[0], t[0])  # noqa: E731
    right = plant(
        lambda x: x @ x,
        lambda inputs, g: [times(g, transpose(inputs[0])) + times(transpose(inputs[0]), g)],
        jvp,
    )
    check_gradients(right, MATRIX)
    wrong = plant(
        lambda x: x @ x, lambda inputs, g: [times(g, inputs[0]) + times(inputs[0], g)], jvp
    )
    with pytest.raises(GradientCheckError, match="reverse"):
        check_gradients(wrong, MATRIX)


def test_a_rule_that_is_wrong_in_the_second_order_only_is_caught(plant: Planter) -> None:
    """The factor 2x is a constant for the next derivative: order 1 is right, order 2 is not."""
    function = square(
        plant,
        backward=lambda inputs, g: [g * rg.stop_gradient(2.0 * inputs[0])],
    )
    check_gradients(function, POINT, order=1)
    with pytest.raises(GradientCheckError, match=r"order 2 \(reverse over reverse\)"):
        check_gradients(function, POINT, order=2)
    forward = square(
        plant, jvp=lambda primals, tangents: tangents[0] * rg.stop_gradient(2.0 * primals[0])
    )
    check_gradients(forward, POINT, order=1)
    with pytest.raises(GradientCheckError, match=r"order 2 \(reverse over forward\)"):
        check_gradients(forward, POINT, order=2)
    with pytest.raises(GradientCheckError, match=r"order 2 \(forward over forward\)"):
        check_gradients(forward, POINT, order=2, modes="forward")


def test_a_rule_that_is_wrong_in_the_third_order_only_needs_order_3(plant: Planter) -> None:
    def backward(inputs: Any, g: Any) -> Any:
        slope, at = rg.stop_gradient(3.0 * inputs[0] * inputs[0]), rg.stop_gradient(inputs[0])
        return [g * (slope + 6.0 * at * (inputs[0] - at))]

    function = plant(lambda x: x**3, backward, lambda primals, t: t[0] * 3.0 * primals[0] ** 2)
    check_gradients(function, POINT, order=2, modes="reverse")
    with pytest.raises(GradientCheckError, match="order 3"):
        check_gradients(function, POINT, order=3, modes="reverse")


def test_the_message_says_what_and_how_much(plant: Planter) -> None:
    function = square(plant, backward=lambda inputs, g: [g * inputs[0]])
    with pytest.raises(GradientCheckError) as caught:
        check_gradients(lambda weights: function(weights["b"]), {"a": 1.0, "b": POINT})
    text = str(caught.value)
    assert "argument 'weights.b' (float64[3])" in text
    assert "order 1 (reverse)" in text and "allowed is 1e-06" in text
    numbers = re.search(r"gives (\S+), differences (\S+); the relative error is (\S+),", text)
    assert numbers is not None
    half, full, error = map(float, numbers.groups())
    assert half == pytest.approx(full / 2) and error == pytest.approx(0.5, abs=0.1)


def test_a_kink_is_told_from_a_wrong_rule() -> None:
    with pytest.raises(GradientCheckError, match="away from kinks, ties and poles"):
        check_gradients(rg.abs, np.array([1e-9, 1.0]))
    check_gradients(rg.abs, np.array([1e-2, 1.0]))


def test_a_pole_inside_the_first_step_costs_only_halvings() -> None:
    check_gradients(rg.log, np.array([0.004, 1.0]))
    check_gradients(lambda x: 1.0 / x, np.array([0.004, 1.0]))


def test_float32_arguments_are_checked_in_float64() -> None:
    check_gradients(lambda x, y: rg.exp(x) * y, POINT.astype(np.float32), rg.array(2.0))


class Affine(nn.Module):
    """A Module with a parameter, a Buffer that it changes, and a constant."""

    def __init__(self) -> None:
        self.weight = rg.array(np.array([[0.5, -0.2], [0.3, 0.7], [-0.4, 0.1]], np.float32))
        self.calls = nn.Buffer(rg.array(2.0))
        self.offset = np.ones(2)

    def __call__(self, x: Any) -> Any:
        self.calls = self.calls + 1
        return x @ self.weight * self.calls + self.offset


def test_trees_modules_and_integers() -> None:
    def function(batch: dict[str, Any], model: Any, labels: Any, power: int) -> Any:
        hidden = model(batch["x"]) ** power
        return {"loss": hidden[labels].sum(), "count": labels + 1, "nothing": None}

    model = Affine()
    batch = {"x": np.ones((4, 3), np.float32), "name": "batch"}
    check_gradients(function, batch, model, np.array([0, 3, 3]), 3)
    assert model.weight.dtype == np.float32 and float(model.calls) == 2.0
    wrong = rg.custom_gradient(lambda w: w * w, lambda w: (w * w, w), lambda w, g: (g * w,))
    with pytest.raises(GradientCheckError, match="argument 'weight'"):
        check_gradients(lambda m: wrong(m.weight), model, modes="reverse")


def test_random_numbers_are_the_same_in_every_evaluation_and_are_not_used_up() -> None:
    rg.seed(3)
    before = rg.random.uniform((3,)).tolist()
    rg.seed(3)
    check_gradients(lambda x: x * x * rg.random.normal((3,), dtype="float64"), POINT)
    assert rg.random.uniform((3,)).tolist() == before


def test_what_does_not_matter_has_the_gradient_zero() -> None:
    check_gradients(lambda x, y: x * x, POINT, POINT)
    check_gradients(lambda x: zeros_like(x), POINT)
    check_gradients(lambda x: x * 2, np.zeros((0, 3)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, "order is 1, 2"),
        ({"order": True}, "order is 1, 2"),
        ({"modes": ("backward",)}, "modes are 'reverse' and 'forward'"),
        ({"modes": ()}, "modes are"),
        ({"tolerance": 0.0}, "tolerance must be above 0"),
        ({"step": -1.0}, "step must be above 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        check_gradients(rg.sin, POINT, **options)


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no argument is floating"):
        check_gradients(lambda x: x * 2, 3)
    with pytest.raises(ArgumentError, match="returns no floating Array"):
        check_gradients(lambda x: x > 0, POINT)
    with pytest.raises(ArgumentError, match="value of the function is not finite"):
        check_gradients(rg.log, np.array([0.0, 1.0]))
    with pytest.raises(GradientCheckError, match="reverse mode gives -?inf"):
        check_gradients(rg.sqrt, np.array([0.0, 1.0]))
    with pytest.raises(DTypeError, match="returns float32"):
        check_gradients(lambda x: x.astype("float32"), POINT)

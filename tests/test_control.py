"""scan, checkpoint and custom_gradient: nodes that hold a program, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import tree
from retrograd.backprop import differentiate
from retrograd.errors import (
    ArgumentError,
    ArgumentTypeError,
    NotDifferentiableError,
    ShapeError,
    TracingError,
)
from retrograd.ir import Graph

Function = Callable[..., Any]


def as_float64(value: Any) -> Any:
    return rg.array(np.asarray(value, np.float64))


def assert_close(left: Any, right: Any) -> None:
    for a, b in zip(tree.leaves(left), tree.leaves(right), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-13)
        assert a.dtype == b.dtype and a.shape == b.shape


def count(graph: Graph, name: str) -> int:
    return sum(node.primitive.name == name for node in graph.walk())


# -- scan equals the loop that it stands for ------------------------------------------------------


def unroll(function: Function, init: Any, xs: Any, length: int, reverse: bool = False) -> Any:
    """The same with a Python loop."""
    carry, outputs = init, []
    for step in reversed(range(length)) if reverse else range(length):
        carry, output = function(carry, tree.map(lambda x, t=step: x[t], xs))
        outputs.append(output)
    ordered = outputs[::-1] if reverse else outputs
    return carry, tree.map(lambda *parts: rg.stack(parts), *ordered)


def recurrent(w: Any) -> Function:
    """A captured weight, a carry of two parts, a tree of outputs."""

    def step(carry: Any, x: Any) -> Any:
        hidden = rg.tanh(carry["h"] @ w + x["a"] * x["b"])
        return {"h": hidden, "c": carry["c"] * rg.cos(hidden).sum()}, (hidden, carry["c"] + x["b"])

    return step


def looped(w: Any, h: Any, a: Any, b: Any, loop: Function, **options: Any) -> Any:
    carry, outputs = loop(recurrent(w), {"h": h, "c": h[0]}, {"a": a, "b": b}, **options)
    return carry, outputs


RANDOM = np.random.default_rng(5)
ARGUMENTS = [as_float64(RANDOM.normal(size=shape)) for shape in ((2, 2), (2,), (4, 2), (4,))]


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_equals_the_unrolled_loop(reverse: bool) -> None:
    def scanned(*arguments: Any) -> Any:
        return looped(*arguments, loop=rg.scan, reverse=reverse)

    def unrolled(*arguments: Any) -> Any:
        return looped(*arguments, loop=unroll, length=4, reverse=reverse)

    assert_close(scanned(*ARGUMENTS), unrolled(*ARGUMENTS))
    tangents = [as_float64(RANDOM.normal(size=x.shape)) for x in ARGUMENTS]
    assert_close(rg.jvp(scanned, ARGUMENTS, tangents), rg.jvp(unrolled, ARGUMENTS, tangents))
    value, pullback = rg.vjp(scanned, *ARGUMENTS)
    _, other = rg.vjp(unrolled, *ARGUMENTS)
    cotangents = tree.map(lambda y: as_float64(RANDOM.normal(size=y.shape)), value)
    assert_close(pullback(cotangents), other(cotangents))

    def energy(function: Function) -> Function:
        return lambda *xs: sum((y * y).sum() for y in tree.leaves(function(*xs)))

    for transform in (rg.jvp, None):

        def second(function: Function, transform: Any = transform) -> Any:
            gradient = rg.grad(energy(function), argnums=(0, 1, 2, 3))
            if transform is rg.jvp:
                return rg.jvp(gradient, ARGUMENTS, tangents)[1]
            return rg.vjp(gradient, *ARGUMENTS)[1](tuple(tangents))

        assert_close(second(scanned), second(unrolled))
    assert_close(rg.compile(scanned)(*ARGUMENTS), unrolled(*ARGUMENTS))


def test_the_gradient_of_scan_is_a_scan_of_any_length() -> None:
    def function(c: Any, xs: Any) -> Any:
        return rg.scan(lambda c, x: (rg.sin(c * x), None), c, xs)[0]

    counts = []
    for length in (3, 300):
        graph = rg.compile(function).graph(as_float64(0.5), as_float64(np.ones(length)))
        gradient = differentiate(graph, [0, 1])
        assert count(gradient, "scan") == 2
        counts.append(len(list(gradient.walk())))
    assert counts[0] == counts[1]


def test_scan_without_xs_without_output_and_without_steps() -> None:
    carry, none = rg.scan(lambda c, _: (c * 2, None), as_float64(1.0), None, length=5)
    assert float(carry) == 32.0 and none is None
    carry, outputs = rg.scan(lambda c, x: (c + x, x), as_float64(1.0), as_float64(np.zeros((0,))))
    assert float(carry) == 1.0 and outputs.shape == (0,)
    _, squares = rg.scan(lambda c, x: (c, x * x), None, as_float64([1.0, 2.0]))
    assert squares.tolist() == [1.0, 4.0]
    assert float(rg.grad(lambda x: rg.scan(lambda c, _: (c * x, None), x, None, 4)[0])(2.0)) == 80.0


def test_scan_of_integers_beside_floats() -> None:
    def function(x: Any) -> Any:
        def step(carry: Any, index: Any) -> Any:
            total, number = carry
            return (total + x * index, number + 1), number

        (total, number), numbers = rg.scan(step, (x * 0, rg.array(10)), rg.array([1, 2, 3]))
        return total, (number, numbers)

    gradient, (number, numbers) = rg.grad(function, has_aux=True)(as_float64(2.0))
    assert float(gradient) == 6.0 and int(number) == 13 and numbers.tolist() == [10, 11, 12]


def test_scan_in_scan_captures_from_all_levels() -> None:
    def function(x: Any, ys: Any) -> Any:
        def outer(a: Any, y: Any) -> Any:
            def inner(b: Any, _: None) -> Any:
                return b * x + a * y, None

            return rg.scan(inner, a, None, length=2)[0], a

        return rg.scan(outer, x, ys)[0]

    def by_hand(x: Any, ys: Any) -> Any:
        a = x
        for step in range(3):
            b = a
            for _ in range(2):
                b = b * x + a * ys[step]
            a = b
        return a

    x, ys = as_float64(0.8), as_float64([0.5, -1.0, 2.0])
    for transform in (lambda f: f, lambda f: rg.grad(f, (0, 1)), rg.hessian):
        assert_close(transform(function)(x, ys), transform(by_hand)(x, ys))


def test_scan_refuses_what_is_not_a_loop() -> None:
    x = as_float64([1.0, 2.0])
    with pytest.raises(ArgumentTypeError, match="returns \\(carry, output\\)"):
        rg.scan(lambda c, x: c, as_float64(0.0), x)
    with pytest.raises(ShapeError, match="carry is float64\\[\\] and becomes float64\\[2\\]"):
        rg.scan(lambda c, t: (c + x, None), as_float64(0.0), x)
    with pytest.raises(ShapeError, match="not the tree"):
        rg.scan(lambda c, x: ((c, c), None), as_float64(0.0), x)
    with pytest.raises(ShapeError, match="steps differ"):
        rg.scan(lambda c, x: (c, None), as_float64(0.0), (x, as_float64([1.0])))
    with pytest.raises(ShapeError, match="leading axis"):
        rg.scan(lambda c, x: (c, None), as_float64(0.0), as_float64(1.0))
    with pytest.raises(ArgumentError, match="needs xs or length"):
        rg.scan(lambda c, x: (c, None), as_float64(0.0), None)
    with pytest.raises(TracingError):
        rg.scan(lambda c, x: (c if x > 0 else -c, None), as_float64(0.0), x)


# -- checkpoint -----------------------------------------------------------------------------------


def layers(x: Any) -> Any:
    for _ in range(3):
        x = rg.tanh(rg.sin(x) * 1.5)
    return x.sum()


def test_checkpoint_has_the_same_values_and_gradients() -> None:
    x = as_float64([0.3, -1.2, 2.0])
    kept = rg.checkpoint(layers)
    for transform in (lambda f: f, rg.grad, rg.hessian, rg.value_and_grad, rg.compile):
        assert_close(transform(kept)(x), transform(layers)(x))
    assert_close(rg.jvp(kept, (x,), (x,)), rg.jvp(layers, (x,), (x,)))


def test_checkpoint_computes_again_and_keeps_its_arguments_only() -> None:
    x = as_float64([0.3, -1.2, 2.0])

    def applied(graph: Graph) -> dict[str, int]:
        return {name: count(graph, name) for name in ("sin", "tanh", "cos")}

    plain = differentiate(rg.compile(layers).graph(x), [0])
    kept = differentiate(rg.compile(rg.checkpoint(layers)).graph(x), [0])
    assert applied(plain) == {"sin": 3, "tanh": 3, "cos": 3}
    assert applied(kept) == {"sin": 6, "tanh": 6, "cos": 3}
    first, second = [node for node in kept.nodes if node.primitive.name == "checkpoint"]
    between = {id(atom) for atom in second.inputs} - {id(variable) for variable in kept.inputs}
    assert not between & {id(variable) for variable in first.outputs}


def test_checkpoint_with_integers_and_static_arguments() -> None:
    def function(x: Any, index: Any, name: str, factor: int) -> Any:
        return {"value": (x * factor)[index], "index": index + 1, "name": name}

    x, index = as_float64([1.0, 2.0]), rg.array([1, 1])
    result = rg.checkpoint(function)(x, index, "a", 3)
    assert result["name"] == "a" and result["index"].tolist() == [2, 2]
    gradient = rg.grad(lambda x: rg.checkpoint(function)(x, index, "a", factor=3)["value"].sum())(x)
    assert gradient.tolist() == [0.0, 6.0]


def test_checkpoint_draws_the_same_numbers_again() -> None:
    def noisy(x: Any) -> Any:
        return (x * rg.random.normal((3,), dtype="float64")).sum()

    x = as_float64([1.0, 2.0, 3.0])
    rg.seed(1)
    expected = rg.grad(noisy)(x)
    rg.seed(1)
    value, gradient = rg.value_and_grad(rg.checkpoint(noisy))(x)
    assert_close(gradient, expected)
    np.testing.assert_allclose(float(value), x.numpy() @ gradient.numpy(), rtol=1e-12)
    assert rg.random.uniform((2,)).tolist() != rg.random.uniform((2,)).tolist()


# -- custom_gradient ------------------------------------------------------------------------------


def test_custom_gradient_is_used_only_for_gradients() -> None:
    calls: list[str] = []

    def function(x: Any) -> Any:
        calls.append("function")
        return x * x

    def forward(x: Any) -> Any:
        calls.append("forward")
        return x * x, x

    def backward(x: Any, g: Any) -> Any:
        calls.append("backward")
        return (g * x * 100,)

    custom = rg.custom_gradient(function, forward, backward)
    assert float(custom(as_float64(3.0))) == 9.0 and calls == ["function"]
    assert float(rg.grad(custom)(as_float64(3.0))) == 300.0
    assert calls == ["function", "function", "forward", "backward"]
    assert float(rg.grad(rg.grad(custom))(as_float64(3.0))) == 100.0
    assert float(rg.compile(rg.grad(custom))(as_float64(3.0))) == 300.0


def test_custom_gradient_takes_trees_numbers_and_integers() -> None:
    def forward(pair: Any, power: Any, index: Any) -> Any:
        return {"y": pair[0] ** 2 * pair[1]}, (pair, index)

    def backward(residuals: Any, g: Any) -> Any:
        (a, b), _ = residuals
        return (g["y"] * 2 * a * b, None), None, None

    custom = rg.custom_gradient(lambda *args: forward(*args)[0], forward, backward)
    gradient = rg.grad(lambda p: custom(p, 2.0, rg.array([1, 2]))["y"])(
        (as_float64(3.0), as_float64(5.0))
    )
    assert [float(g) for g in gradient] == [30.0, 0.0]


def test_custom_gradient_inside_scan_checkpoint_and_where() -> None:
    clipped = rg.custom_gradient(
        lambda x: x, lambda x: (x, None), lambda _, g: (rg.clip(g, -1.0, 1.0),)
    )
    assert float(rg.grad(lambda x: 5 * clipped(x))(as_float64(3.0))) == 1.0
    assert float(rg.grad(rg.checkpoint(lambda x: 5 * clipped(x)))(as_float64(3.0))) == 1.0
    loop = lambda x: rg.scan(lambda c, _: (clipped(c) * 5, None), x, None, length=3)[0]  # noqa: E731
    assert float(rg.grad(loop)(as_float64(3.0))) == 1.0


def test_custom_gradient_errors() -> None:
    def custom(backward: Any, forward: Any = lambda x: (x * x, x)) -> Function:
        return rg.custom_gradient(lambda x: x * x, forward, backward)

    x = as_float64([1.0, 2.0])

    def differentiate_it(function: Function) -> Any:
        return rg.grad(lambda x: function(x).sum())(x)

    with pytest.raises(ArgumentError, match="tuple of 1 cotangents.*received an Array"):
        differentiate_it(custom(lambda x, g: g * x))
    with pytest.raises(ArgumentError, match="received a tuple of 2"):
        differentiate_it(custom(lambda x, g: (g, g)))
    with pytest.raises(ArgumentError, match=r"gives float64\[\] for an argument"):
        differentiate_it(custom(lambda x, g: (g.sum(),)))
    with pytest.raises(ArgumentError, match="a tuple of 2 as the cotangent of an Array"):
        differentiate_it(custom(lambda x, g: ((g, g),)))
    with pytest.raises(ArgumentTypeError, match="forward rule gives"):
        differentiate_it(custom(lambda x, g: (g,), forward=lambda x: (x.sum(), x)))
    with pytest.raises(NotDifferentiableError, match="forward mode"):
        rg.jvp(custom(lambda x, g: (g * x,)), (x,), (x,))

    def captures(y: Any) -> Any:
        inner = rg.custom_gradient(lambda x: x * y, lambda x: (x * y, None), lambda _, g: (g,))
        return inner(x).sum()

    with pytest.raises(NotDifferentiableError, match="not one of its arguments"):
        rg.grad(captures)(as_float64(2.0))

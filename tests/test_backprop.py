"""The reverse walk and what is built on it: grad, vjp, jacobian, hessian, nested to any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.backprop import differentiate, split
from retrograd.errors import (
    ArgumentError,
    ArgumentTypeError,
    NotDifferentiableError,
    ShapeError,
    TracingError,
)
from retrograd.ir import format_graph, verify
from tests.gradient_table.rows import ROWS
from tests.gradient_table.table import Row
from tests.gradient_table.test_completeness import trace_row

Function = Callable[[Any], Any]


def as_float64(value: Any) -> Any:
    return rg.array(np.asarray(value, np.float64))


X = as_float64([0.3, -1.2, 2.0])


# -- the walk -------------------------------------------------------------------------------------


def test_fan_out_adds_up() -> None:
    """x is used five times, one of them through a shared intermediate value."""

    def function(x: Any) -> Any:
        shared = x * x
        return (shared * x + shared + x + x).sum()

    expected = 3 * X.numpy() ** 2 + 2 * X.numpy() + 2
    np.testing.assert_allclose(rg.grad(function)(X).numpy(), expected, rtol=1e-15)


def test_one_value_as_both_operands() -> None:
    np.testing.assert_allclose(rg.grad(lambda x: (x / x).sum())(X).numpy(), 0, atol=1e-15)
    np.testing.assert_array_equal(rg.grad(lambda x: (x - x).sum())(X).numpy(), 0)
    np.testing.assert_array_equal(rg.grad(lambda x: x @ x)(X).numpy(), 2 * X.numpy())


def test_arguments_that_are_not_used_get_zeros() -> None:
    gradients = rg.grad(lambda x, unused: x.sum(), argnums=(0, 1))(X, rg.array([[1.0, 2.0]]))
    assert gradients[1].dtype == np.float32
    np.testing.assert_array_equal(gradients[1].numpy(), np.zeros((1, 2)))
    constant = rg.grad(lambda x: as_float64(3.0))(X)
    np.testing.assert_array_equal(constant.numpy(), np.zeros(3))
    through_integers = rg.grad(lambda x: x.astype("int32").astype("float64").sum())(X)
    np.testing.assert_array_equal(through_integers.numpy(), np.zeros(3))


def test_the_argument_itself_and_the_same_output_twice() -> None:
    assert float(rg.grad(lambda x: x)(3.0)) == 1.0
    value, pullback = rg.vjp(lambda x: (x, x, x * 2), X)
    one = as_float64(np.ones(3))
    assert [part.shape for part in value] == [(3,)] * 3
    np.testing.assert_array_equal(pullback((one, one * 10, one * 100))[0].numpy(), [211.0] * 3)


def test_nodes_that_the_value_does_not_need_are_not_in_the_program() -> None:
    def function(x: Any) -> Any:
        rg.exp(x)
        return rg.sin(x)

    graph = rg.compile(function).graph(X)
    assert [node.primitive.name for node in graph.nodes] == ["sin"]
    gradient = differentiate(graph, [0])
    assert [node.primitive.name for node in gradient.nodes] == ["sin", "cos", "multiply"]


def test_only_wanted_gradients_are_computed() -> None:
    graph = rg.compile(lambda a, b: a @ b).graph(as_float64(np.ones((2, 3))), X)
    for wanted in ([0], [1], [0, 1], []):
        names = [node.primitive.name for node in differentiate(graph, wanted).nodes]
        assert names.count("dot") == 1 + len(wanted)


@pytest.mark.parametrize("row", ROWS[::7], ids=lambda row: row.name)
def test_gradient_programs_are_well_formed(row: Row) -> None:
    """Gradients, and their two halves, are ordinary Graphs, from which gradients can be taken."""
    graph = trace_row(row)
    wanted = range(len(row.shapes))
    first = differentiate(graph, wanted)
    verify(first, "differentiate")
    verify(differentiate(first, wanted), "differentiate twice")
    for half in split(graph, wanted)[:2]:
        verify(half, "split")
    assert format_graph(first).startswith(f"{first.name}(")


def test_gradients_of_a_graph_carry_the_line_they_come_from() -> None:
    graph = rg.compile(lambda x: rg.sin(x)).graph(X)
    lines = {node.source for node in differentiate(graph, [0]).nodes}
    assert len(lines) == 1 and "rg.sin(x)" in str(lines.pop())


# -- arguments ------------------------------------------------------------------------------------


def weighted(a: Any, b: Any, c: Any) -> Any:
    return (a * 2 + b * 3 + c * 5).sum()


def test_argnums() -> None:
    arguments = (as_float64(1.0), as_float64(1.0), as_float64(1.0))
    assert float(rg.grad(weighted)(*arguments)) == 2.0
    assert float(rg.grad(weighted, argnums=1)(*arguments)) == 3.0
    assert float(rg.grad(weighted, argnums=-1)(*arguments)) == 5.0
    alone = rg.grad(weighted, argnums=(2,))(*arguments)
    assert isinstance(alone, tuple) and [float(g) for g in alone] == [5.0]
    assert [float(g) for g in rg.grad(weighted, argnums=(2, 0))(*arguments)] == [5.0, 2.0]
    assert [float(g) for g in rg.grad(weighted, argnums=[0, 1])(*arguments)] == [2.0, 3.0]
    for wrong in (3, -4, (0, 7)):
        with pytest.raises(ArgumentError, match="argnums"):
            rg.grad(weighted, argnums=wrong)(*arguments)


def test_has_aux() -> None:
    def function(x: Any) -> Any:
        return (x * x).sum(), {"double": x * 2, "name": "aux", "count": 3}

    (value, aux), gradient = rg.value_and_grad(function, has_aux=True)(X)
    np.testing.assert_allclose(float(value), (X.numpy() ** 2).sum())
    np.testing.assert_array_equal(aux["double"].numpy(), X.numpy() * 2)
    assert aux["name"] == "aux" and int(aux["count"]) == 3
    np.testing.assert_array_equal(gradient.numpy(), 2 * X.numpy())
    gradient, aux = rg.grad(function, has_aux=True)(X)
    np.testing.assert_array_equal(gradient.numpy(), 2 * X.numpy())
    assert aux["name"] == "aux"
    with pytest.raises(ArgumentTypeError, match="has_aux"):
        rg.grad(lambda x: x.sum(), has_aux=True)(X)
    with pytest.raises(ArgumentTypeError, match="scalar"):
        rg.grad(function)(X)


def test_aux_in_nested_gradients() -> None:
    """The aux of the inner gradient is a value of the outer program."""

    def outer(x: Any) -> Any:
        gradient, aux = rg.grad(lambda y: (y**3, y * x), has_aux=True)(x)
        return gradient + aux

    assert float(rg.grad(outer)(as_float64(2.0))) == 6 * 2 + 2 * 2


def test_trees_in_trees_out() -> None:
    tree = {"w": [X, as_float64(2.0)], "nested": ({"b": X * 2}, None)}
    gradient = rg.grad(lambda t: (t["w"][0] * t["w"][1] + t["nested"][0]["b"]).sum())(tree)
    assert set(gradient) == {"w", "nested"} and gradient["nested"][1] is None
    np.testing.assert_array_equal(gradient["w"][0].numpy(), [2.0, 2.0, 2.0])
    np.testing.assert_allclose(float(gradient["w"][1]), X.numpy().sum())
    np.testing.assert_array_equal(gradient["nested"][0]["b"].numpy(), [1.0, 1.0, 1.0])


def test_numbers_and_numpy_arrays() -> None:
    assert float(rg.grad(lambda x: x**3)(2.0)) == 12.0
    gradient = rg.grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
    assert gradient.dtype == np.float64 and gradient.tolist() == [2.0, 4.0]


def test_what_has_no_gradient_is_refused() -> None:
    with pytest.raises(NotDifferentiableError, match="integer 3"):
        rg.grad(lambda x: x * 1.0)(3)
    with pytest.raises(NotDifferentiableError, match="dtype int32"):
        rg.grad(lambda x: x.sum())(rg.array([1, 2]))
    with pytest.raises(ShapeError, match=r"received shape \(3,\)"):
        rg.grad(lambda x: x * x)(X)
    with pytest.raises(NotDifferentiableError, match="dtype bool"):
        rg.grad(lambda x: (x > 0).all())(X)
    with pytest.raises(ArgumentTypeError, match="takes a function"):
        rg.grad(3.0)
    _, pullback = rg.vjp(rg.sin, X)
    with pytest.raises(ShapeError, match=r"expected shape \(3,\)"):
        pullback(as_float64(1.0))
    with pytest.raises(ArgumentError, match="1 primals, but 2 tangents"):
        rg.jvp(rg.sin, (X,), (X, X))
    with pytest.raises(ShapeError, match="jvp"):
        rg.jvp(rg.sin, (X,), (as_float64([1.0]),))


def test_a_value_that_leaked_out_is_named() -> None:
    kept = []

    def function(x: Any) -> Any:
        kept.append(x * 2)
        return x.sum()

    rg.grad(function)(X)
    with pytest.raises(TracingError, match="kept and used after"):
        kept[0] + 1.0


# -- nesting --------------------------------------------------------------------------------------

ANALYTIC: dict[str, tuple[Function, list[Callable[[float], float]]]] = {
    "sin": (rg.sin, [np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin]),
    "exp_2x": (lambda x: rg.exp(x * 2), [lambda x, n=n: 2**n * np.exp(2 * x) for n in range(5)]),
    "x_to_5": (
        lambda x: x**5,
        [
            lambda x: x**5,
            lambda x: 5 * x**4,
            lambda x: 20 * x**3,
            lambda x: 60 * x**2,
            lambda x: 120 * x,
        ],
    ),
    "log": (
        rg.log,
        [np.log, lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3, lambda x: -6 / x**4],
    ),
    "reciprocal": (
        lambda x: 1 / x,
        [
            lambda x: 1 / x,
            lambda x: -1 / x**2,
            lambda x: 2 / x**3,
            lambda x: -6 / x**4,
            lambda x: 24 / x**5,
        ],
    ),
}


def by_grad(function: Function) -> Function:
    return rg.grad(function)


def by_jvp(function: Function) -> Function:
    return lambda x: rg.jvp(function, (x,), (as_float64(1.0),))[1]


def by_vjp(function: Function) -> Function:
    return lambda x: rg.vjp(function, x)[1](as_float64(1.0))[0]


def by_compiled_grad(function: Function) -> Function:
    return rg.compile(rg.grad(function))  # type: ignore[no-any-return]


WAYS = [by_grad, by_jvp, by_vjp, by_compiled_grad]


@pytest.mark.parametrize("name", ANALYTIC)
@pytest.mark.parametrize("shift", range(len(WAYS)))
def test_transforms_nest_to_order_four(name: str, shift: int) -> None:
    """Each order by another transform, in four different sequences, and all by the same one."""
    function, derivatives = ANALYTIC[name]
    for step in (0, 1):
        current = function
        for order in range(5):
            expected = derivatives[order](0.7)
            np.testing.assert_allclose(float(current(as_float64(0.7))), expected, rtol=1e-13)
            current = WAYS[(shift + step * order) % len(WAYS)](current)


def test_perturbations_are_not_confused() -> None:
    """d/dx [x * d/dy (x + y)] = 1: the inner derivative must not see the outer direction.

    Source: J. Siskind, B. Pearlmutter, Perturbation confusion and referential transparency (2005).
    """
    for outer in WAYS[:3]:
        for inner in WAYS[:3]:
            function = outer(lambda x, inner=inner: x * inner(lambda y: x + y)(as_float64(1.0)))
            assert float(function(as_float64(1.0))) == 1.0
            nested = outer(lambda x, inner=inner: inner(lambda y: x * y * y)(x * x))
            assert float(nested(as_float64(2.0))) == 6 * 2.0**2


def test_closures_over_outer_values() -> None:
    def outer(a: Any) -> Any:
        scale = rg.exp(a)

        def middle(b: Any) -> Any:
            return rg.grad(lambda c: scale * b * c * c)(b)

        return rg.grad(middle)(as_float64(3.0))

    np.testing.assert_allclose(float(outer(as_float64(0.5))), 4 * np.exp(0.5) * 3, rtol=1e-15)
    np.testing.assert_allclose(float(rg.grad(outer)(as_float64(0.5))), 12 * np.exp(0.5), rtol=1e-15)


def test_a_pullback_used_twice_and_inside_another_gradient() -> None:
    value, pullback = rg.vjp(lambda x: x**3, as_float64(2.0))
    assert [float(pullback(as_float64(g))[0]) for g in (1.0, 10.0)] == [12.0, 120.0]
    by_cotangent = rg.grad(lambda g: pullback(g)[0] * g)(as_float64(5.0))
    assert float(by_cotangent) == 2 * 5 * 12


def test_python_control_flow_sees_values() -> None:
    def function(x: Any) -> Any:
        total = x
        while total < 100:
            total = total * (2.0 if x > 0 else 3.0)
        return total

    assert float(rg.grad(function)(as_float64(3.0))) == 64.0

    def polynomial(x: Any) -> Any:
        return x**3 if x > 0 else x**2

    assert float(rg.grad(rg.grad(polynomial))(as_float64(2.0))) == 12.0
    assert float(rg.grad(rg.grad(polynomial))(as_float64(-2.0))) == 2.0
    assert float(by_jvp(rg.grad(polynomial))(as_float64(2.0))) == 12.0


def test_stop_gradient() -> None:
    assert float(rg.grad(lambda x: x * rg.stop_gradient(x))(as_float64(3.0))) == 3.0
    _, tangent = rg.jvp(lambda x: x * rg.stop_gradient(x), (as_float64(3.0),), (as_float64(1.0),))
    assert float(tangent) == 3.0
    assert float(rg.grad(lambda x: rg.stop_gradient(x * x))(as_float64(3.0))) == 0.0
    second = rg.grad(rg.grad(lambda x: rg.stop_gradient(x) * x * x))(as_float64(3.0))
    assert float(second) == 2 * 3.0
    assert float(rg.grad(rg.checkpoint(lambda x: x * rg.stop_gradient(x)))(as_float64(3.0))) == 3.0
    loop = lambda x: rg.scan(lambda c, _: (rg.stop_gradient(c) * x, c), x, None, length=2)[0]  # noqa: E731
    assert float(rg.grad(loop)(as_float64(3.0))) == 3.0 * 3.0


# -- jacobian and hessian -------------------------------------------------------------------------


def rosenbrock(x: Any) -> Any:
    return (1.0 - x[0]) ** 2 + 100.0 * (x[1] - x[0] * x[0]) ** 2


def test_rosenbrock_by_hand() -> None:
    a, b = -1.2, 1.0
    x = as_float64([a, b])
    gradient = [-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)]
    hessian = [[2 - 400 * (b - 3 * a * a), -400 * a], [-400 * a, 200.0]]
    np.testing.assert_allclose(rg.grad(rosenbrock)(x).numpy(), gradient, rtol=1e-14)
    np.testing.assert_allclose(rg.hessian(rosenbrock)(x).numpy(), hessian, rtol=1e-14)
    compiled = rg.compile(rg.hessian(rosenbrock))
    np.testing.assert_allclose(compiled(x).numpy(), hessian, rtol=1e-14)


def test_jacobian_shapes_and_values() -> None:
    weights = as_float64(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(rg.jacobian(lambda x: weights @ x)(X).numpy(), weights.numpy())
    found = rg.jacobian(lambda w: w @ X)(weights).numpy()
    expected = np.einsum("ij,k->ijk", np.eye(2), X.numpy())
    np.testing.assert_array_equal(found, expected)
    assert rg.jacobian(lambda x, y: x * y, argnums=1)(2.0, X).shape == (3, 3)
    assert rg.jacobian(lambda x: x.sum())(X).shape == (3,)
    assert rg.jacobian(lambda x: x * x)(as_float64(np.zeros((0,)))).shape == (0, 0)
    with pytest.raises(ArgumentTypeError, match="one Array to one Array"):
        rg.jacobian(lambda x: (x, x))(X)


def test_jacobian_of_jacobian_and_of_a_spherical_map() -> None:
    r, t, p = 2.0, 0.7, -0.4

    def to_cartesian(s: Any) -> Any:
        return rg.stack(
            [
                s[0] * rg.sin(s[1]) * rg.cos(s[2]),
                s[0] * rg.sin(s[1]) * rg.sin(s[2]),
                s[0] * rg.cos(s[1]),
            ]
        )

    matrix = rg.jacobian(to_cartesian)(as_float64([r, t, p])).numpy()
    np.testing.assert_allclose(np.linalg.det(matrix), r * r * np.sin(t), rtol=1e-14)
    third = rg.jacobian(rg.jacobian(lambda x: x**3))(X).numpy()
    expected = np.zeros((3, 3, 3))
    expected[range(3), range(3), range(3)] = 6 * X.numpy()
    np.testing.assert_allclose(third, expected, rtol=1e-14)


def test_hessian_is_symmetric_and_agrees_with_forward_over_reverse() -> None:
    def function(x: Any) -> Any:
        return rg.tanh(x @ rg.sin(x)) * rg.exp(x[0] * x[1]) + (x**4).sum()

    matrix = rg.hessian(function)(X).numpy()
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-13)
    for column, direction in enumerate(np.eye(3)):
        _, product = rg.jvp(rg.grad(function), (X,), (as_float64(direction),))
        np.testing.assert_allclose(product.numpy(), matrix[:, column], rtol=1e-12)


def test_float32_stays_float32() -> None:
    x = rg.array([1.0, 2.0])
    assert rg.grad(lambda x: (x**3 / 7).sum())(x).dtype == np.float32
    assert rg.hessian(lambda x: rg.tanh(x * 3).sum())(x).dtype == np.float32
    assert rg.jvp(lambda x: rg.exp(x) * 2.5, (x,), (x,))[1].dtype == np.float32

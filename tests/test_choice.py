"""cond and while_loop: control flow that depends on values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.errors import (
    ArgumentTypeError,
    DTypeError,
    IndexRangeError,
    NotDifferentiableError,
    ShapeError,
    StateError,
    TracingError,
)
from retrograd.ir import Graph

EXECUTORS = pytest.mark.parametrize("executor", ["numpy", "native"])


def names(graph: Graph) -> set[str]:
    return {node.primitive.name for node in graph.walk()}


def absolute(x: Any) -> Any:
    return rg.cond(x.sum() > 0, lambda x: x * x, lambda x: -x, x)


# -- cond ------------------------------------------------------------------------------------------


@EXECUTORS
def test_a_branch_is_chosen_when_the_program_runs(executor: str) -> None:
    step = rg.compile(rg.value_and_grad(lambda x: absolute(x).sum()), executor=executor)
    for values, total, gradient in (([1.0, 2.0], 5.0, [2.0, 4.0]), ([-1.0, -2.0], 3.0, [-1.0] * 2)):
        value, found = step(rg.array(values))
        assert float(value) == total
        np.testing.assert_array_equal(found.numpy(), np.float32(gradient))
    assert step.trace_count == 1


@EXECUTORS
def test_only_the_chosen_branch_runs(executor: str) -> None:
    """The other one would read outside of the table."""

    def read(flag: Any, table: Any, index: Any) -> Any:
        return rg.cond(flag, lambda t, i: rg.take(t, i, axis=0), lambda t, i: t[0], table, index)

    compiled = rg.compile(read, executor=executor)
    table, outside = rg.array([3.0, 4.0]), rg.array([9])[0]
    assert float(compiled(rg.array(False), table, outside)) == 3.0
    assert float(compiled(rg.array(True), table, rg.array(1))) == 4.0
    with pytest.raises(IndexRangeError):
        compiled(rg.array(True), table, outside)


@EXECUTORS
def test_a_compiled_update_that_is_left_out_where_the_loss_is_not_finite(executor: str) -> None:
    @rg.compile(executor=executor)
    def step(w: Any, x: Any) -> Any:
        loss, gradient = rg.value_and_grad(lambda w: (w * x).sum())(w)
        return rg.cond(rg.is_finite(loss), lambda w, g: w - g, lambda w, g: w, w, gradient)

    w = rg.array([1.0, 2.0])
    np.testing.assert_array_equal(step(w, rg.array([1.0, 1.0])).numpy(), [0.0, 1.0])
    np.testing.assert_array_equal(step(w, rg.array([np.inf, 1.0])).numpy(), [1.0, 2.0])


def test_modules_and_numbers_as_operands() -> None:
    model = nn.Linear(2, 2)
    x = rg.ones((1, 2))

    def loss(model: Any, x: Any, flag: Any) -> Any:
        return rg.cond(flag, lambda m, k: m(x).sum() * k, lambda m, k: x.sum() * 0, model, 3)

    value, gradient = rg.value_and_grad(loss)(model, x, rg.array(True))
    np.testing.assert_allclose(float(value), 3 * float(model(x).sum()), rtol=1e-6)
    np.testing.assert_array_equal(gradient["weight"].numpy(), np.full((2, 2), 3.0))
    _, gradient = rg.value_and_grad(loss)(model, x, rg.array(False))
    assert not gradient["weight"].numpy().any()


def test_each_example_takes_its_own_branch() -> None:
    xs = rg.array([[1.0, 2.0], [-1.0, -2.0], [3.0, -1.0]])
    expected = np.stack([absolute(x).numpy() for x in rg.unstack(xs)])
    np.testing.assert_array_equal(rg.vmap(absolute)(xs).numpy(), expected)
    shared = rg.vmap(lambda p, x: rg.cond(p, rg.sin, rg.cos, x), in_axes=(None, 0))
    assert "where" not in names(rg.compile(shared).graph(rg.array(True), xs))
    np.testing.assert_array_equal(shared(rg.array(True), xs).numpy(), rg.sin(xs).numpy())


def test_draws_of_a_branch() -> None:
    def noisy(flag: Any) -> Any:
        return rg.cond(flag, lambda: rg.random.uniform((2,)), lambda: rg.zeros(2))

    rg.seed(0)
    first = noisy(rg.array(True)).numpy()
    second = noisy(rg.array(True)).numpy()
    assert (first != second).all()
    rg.seed(0)
    compiled = rg.compile(noisy, executor="native")
    np.testing.assert_array_equal(compiled(rg.array(True)).numpy(), first)


def test_places_of_residuals_are_shared() -> None:
    def f(x: Any) -> Any:
        return rg.cond(x.sum() > 0, lambda x: rg.exp(rg.exp(x)), lambda x: rg.tanh(rg.tanh(x)), x)

    graph = rg.compile(rg.grad(lambda x: f(x).sum())).graph(rg.ones(3))
    forward = next(node for node in graph.nodes if node.primitive.name == "cond")
    assert len(forward.outputs) <= 3


@pytest.mark.parametrize(
    ("predicate", "branches", "error", "words"),
    [
        ([True, False], (rg.sin, rg.cos), ShapeError, "must be one bool.*rg.where"),
        (1.0, (rg.sin, rg.cos), DTypeError, "must be a bool"),
        (True, (rg.sin, lambda x: x[:1]), ShapeError, r"place 0: float32\[2\] if true"),
        (True, (rg.sin, lambda x: x.astype("int32")), DTypeError, "int32"),
        (True, (rg.sin, lambda x: (x, x)), ShapeError, "an Array and a tuple of 2"),
        (True, (rg.sin, 3.0), ArgumentTypeError, "false_function must be a function"),
    ],
)
def test_what_cond_refuses(predicate: Any, branches: Any, error: Any, words: str) -> None:
    import re

    with pytest.raises(error) as info:
        rg.cond(rg.array(predicate), *branches, rg.ones(2))
    assert re.search(words, str(info.value), re.DOTALL)


def test_state_cannot_change_in_a_branch() -> None:
    layer = nn.BatchNorm(2)
    with pytest.raises(StateError, match="cond"):
        rg.cond(True, lambda m: m(rg.ones((4, 2))), lambda m: rg.ones((4, 2)), layer)


def test_if_in_a_compiled_program_names_cond() -> None:
    with pytest.raises(TracingError) as info:
        rg.compile(lambda x: x if x.sum() > 0 else -x)(rg.ones(2))
    assert "rg.where" in str(info.value) and "rg.cond" in str(info.value)


# -- while_loop ------------------------------------------------------------------------------------


def newton(x: Any) -> Any:
    """The square root of x, and how many steps it took."""

    def step(carry: Any) -> Any:
        guess, count = carry
        return (guess + x / guess) * 0.5, count + 1

    start = (x * 0 + 1, 0)
    return rg.while_loop(lambda c: rg.abs(c[0] * c[0] - x) > 1e-5 * x, step, start)


@EXECUTORS
def test_a_loop_runs_as_often_as_it_must(executor: str) -> None:
    compiled = rg.compile(newton, executor=executor)
    counts = set()
    for number in (1.0, 2.0, 1e4):
        root, count = compiled(rg.array(number))
        np.testing.assert_allclose(float(root), np.sqrt(number), rtol=1e-4)
        counts.add(int(count))
    assert 0 in counts and len(counts) == 3


@EXECUTORS
def test_examples_that_are_done_keep_their_values(executor: str) -> None:
    numbers = rg.array([1.0, 2.0, 1e4])
    roots, counts = rg.compile(rg.vmap(newton), executor=executor)(numbers)
    alone = [newton(x) for x in rg.unstack(numbers)]
    np.testing.assert_allclose(roots.numpy(), [float(root) for root, _ in alone], rtol=1e-6)
    assert counts.tolist() == [int(count) for _, count in alone]


def test_a_shared_condition_stays_shared() -> None:
    run = rg.vmap(
        lambda x: rg.while_loop(lambda c: c[1] < 3, lambda c: (c[0] * x, c[1] + 1), (x, 0))
    )
    last, count = run(rg.array([2.0, 3.0]))
    assert last.tolist() == [16.0, 81.0] and count.tolist() == [3, 3]
    assert "where" not in names(rg.compile(run).graph(rg.array([2.0, 3.0])))


def test_forward_mode_and_no_gradient() -> None:
    root = rg.compile(lambda x: rg.jvp(lambda x: newton(x)[0], (x,), (rg.ones(()),))[1])
    np.testing.assert_allclose(float(root(rg.array(4.0))), 0.25, rtol=1e-3)
    with pytest.raises(NotDifferentiableError, match="while_loop has no gradient") as info:
        rg.grad(lambda x: newton(x)[0])(4.0)
    assert "rg.scan" in str(info.value)
    gradient = rg.grad(lambda x: x * rg.stop_gradient(newton(x)[0]))(rg.array(4.0))
    np.testing.assert_allclose(float(gradient), 2.0, rtol=1e-4)


@EXECUTORS
def test_draws_differ_from_step_to_step(executor: str) -> None:
    def run() -> Any:
        def step(carry: Any) -> Any:
            values, count = carry
            return rg.where(rg.arange(4) == count, rg.random.uniform(()), values), count + 1

        return rg.while_loop(lambda c: c[1] < 4, step, (rg.zeros(4), 0))[0]

    rg.seed(2)
    values = rg.compile(run, executor=executor)().numpy()
    assert len(np.unique(values)) == 4
    rg.seed(2)
    np.testing.assert_array_equal(run().numpy(), values)


@EXECUTORS
def test_errors_inside_the_loop_end_it(executor: str) -> None:
    def run(table: Any) -> Any:
        return rg.while_loop(lambda i: i >= 0, lambda i: rg.take(table, i, axis=0), rg.array(0))

    assert int(rg.compile(run, executor=executor)(rg.array([1, 2, -1]))) == -1
    with pytest.raises(IndexRangeError):
        rg.compile(run, executor=executor)(rg.array([1, 2, 7]))


@pytest.mark.parametrize(
    ("condition", "body", "init", "error", "words"),
    [
        (lambda x: x > 0, lambda x: x, rg.ones(2), ShapeError, "one bool, received shape"),
        (lambda x: x, lambda x: x, 1.0, DTypeError, "received float32"),
        (lambda x: None, lambda x: x, 1.0, ArgumentTypeError, "received NoneType"),
        (lambda x: x < 3, lambda x: (x, x), 1.0, ShapeError, "a tuple of 2"),
        (lambda x: x < 3, lambda x: x + 0.5, 1, ShapeError, "becomes float32"),
        (lambda x: True, lambda x: x, None, ArgumentTypeError, "holds no Array"),
        (True, lambda x: x, 1.0, ArgumentTypeError, "condition must be a function"),
    ],
)
def test_what_while_loop_refuses(
    condition: Any, body: Any, init: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        rg.while_loop(condition, body, init)

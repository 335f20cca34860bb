"""vmap: what it is given and gives, and how it goes together with the other transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, tree
from retrograd.errors import (
    ArgumentError,
    ArgumentTypeError,
    ClosureError,
    IndexRangeError,
    ShapeError,
    StateError,
    TracingError,
)

RANDOM = np.random.default_rng(0)
W = rg.array(RANDOM.normal(size=(3, 2)))
XS = rg.array(RANDOM.normal(size=(5, 3)))
YS = rg.array(RANDOM.normal(size=(5, 2)))


def loss(w: Any, x: Any, y: Any) -> Any:
    return ((rg.tanh(x @ w) - y) ** 2).sum()


def assert_close(left: Any, right: Any) -> None:
    for a, b in zip(tree.leaves(left), tree.leaves(right), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12)


def loop(function: Any, *columns: Any) -> Any:
    results = [function(*row) for row in zip(*columns, strict=True)]
    return tree.map(lambda *parts: rg.stack(parts), *results)


# -- with other transforms -------------------------------------------------------------------------


def test_gradients_of_each_example() -> None:
    each = rg.vmap(rg.grad(loss), in_axes=(None, 0, 0))(W, XS, YS)
    assert_close(each, loop(lambda x, y: rg.grad(loss)(W, x, y), XS, YS))
    together = rg.grad(lambda w: rg.vmap(loss, in_axes=(None, 0, 0))(w, XS, YS).sum())(W)
    assert_close(together, each.sum(axis=0))


@pytest.mark.parametrize("executor", ["numpy", "native"])
def test_compiled_inside_and_outside(executor: str) -> None:
    expected = loop(lambda x, y: rg.grad(loss)(W, x, y), XS, YS)
    per_example = rg.vmap(rg.grad(loss), in_axes=(None, 0, 0))
    assert_close(rg.compile(per_example, executor=executor)(W, XS, YS), expected)
    inner = rg.compile(rg.grad(loss), executor=executor)
    assert_close(rg.vmap(inner, in_axes=(None, 0, 0))(W, XS, YS), expected)


def test_derivatives_of_all_kinds() -> None:
    def f(x: Any) -> Any:
        return rg.sin(x) * x[0]

    xs = XS
    assert_close(rg.vmap(rg.jacobian(f))(xs), loop(rg.jacobian(f), xs))
    assert_close(
        rg.vmap(rg.hessian(lambda x: f(x).sum()))(xs),
        loop(rg.hessian(lambda x: f(x).sum()), xs),
    )
    assert_close(
        rg.vmap(lambda x, v: rg.jvp(f, (x,), (v,)))(xs, 2 * xs),
        loop(lambda x, v: rg.jvp(f, (x,), (v,)), xs, 2 * xs),
    )
    value, tangent = rg.jvp(rg.vmap(f), (xs,), (2 * xs,))
    assert_close((value, tangent), loop(lambda x, v: rg.jvp(f, (x,), (v,)), xs, 2 * xs))
    _, pullback = rg.vjp(rg.vmap(f), xs)
    assert_close(pullback(xs)[0], loop(lambda x, v: rg.vjp(f, x)[1](v)[0], xs, xs))
    assert_close(rg.jacobian(rg.vmap(f))(xs[:2])[1, :, 1], rg.jacobian(f)(xs[1]))


def test_nested() -> None:
    table = rg.vmap(rg.vmap(rg.subtract, in_axes=(None, 0)), in_axes=(0, None))
    a, b = rg.array([1.0, 2.0]), rg.array([10.0, 20.0, 30.0])
    np.testing.assert_array_equal(table(a, b).numpy(), a.numpy()[:, None] - b.numpy())
    pairs = rg.vmap(rg.vmap(lambda x, w: rg.tanh(x @ w), (0, None)), (None, 0), out_axes=1)
    ws = rg.stack([W, 2 * W])
    expected = rg.stack([rg.tanh(XS @ W), rg.tanh(XS @ (2 * W))], axis=1)
    assert_close(pairs(XS, ws), expected)


def test_scan_checkpoint_and_custom_gradient() -> None:
    clipped = rg.custom_gradient(
        lambda x: x, lambda x: (x, x), lambda kept, g: (rg.clip(g, -1, 1) * kept,)
    )

    def run(w: Any, x: Any) -> Any:
        body = rg.checkpoint(lambda c, t: rg.tanh(c * w + clipped(t)))
        last, count = rg.scan(lambda c, t: ((body(c[0], t), c[1] + 1), c[1]), (w * 0, 0), x)
        return (last[0] ** 2).sum() + last[1]

    xs = rg.array(RANDOM.normal(size=(5, 4, 3)))
    w = rg.array(RANDOM.normal(size=3))
    assert_close(rg.vmap(run, (None, 0))(w, xs), loop(lambda x: run(w, x), xs))
    gradient = rg.grad(run, argnums=(0, 1))
    each = loop(lambda x: gradient(w, x), xs)
    assert_close(rg.vmap(gradient, (None, 0))(w, xs), each)
    together = rg.grad(lambda w, xs: rg.vmap(run, (None, 0))(w, xs).sum(), argnums=(0, 1))(w, xs)
    assert_close(together, (each[0].sum(axis=0), each[1]))


# -- arguments and results -------------------------------------------------------------------------


def test_modules_are_shared_unless_asked_for() -> None:
    model = nn.Linear(3, 2)
    xs = rg.array(RANDOM.normal(size=(5, 3)).astype(np.float32))
    np.testing.assert_allclose(rg.vmap(lambda m, x: m(x))(model, xs).numpy(), model(xs).numpy())
    assert rg.vmap(lambda x, model: model(x))(xs, model=model).shape == (5, 2)
    gradients = rg.vmap(rg.grad(lambda m, x: m(x).sum()))(model, xs)
    assert gradients["weight"].shape == (5, 3, 2)
    np.testing.assert_allclose(gradients["weight"].numpy()[:, :, 0], xs.numpy())
    ensemble = nn.Linear(3, 2)
    ensemble.weight = rg.stack([model.weight, 2 * model.weight])
    ensemble.bias = rg.stack([model.bias, 2 * model.bias])
    outputs = rg.vmap(lambda m, x: m(x), in_axes=(0, None))(ensemble, xs).numpy()
    np.testing.assert_allclose(outputs[0], model(xs).numpy(), rtol=1e-6)
    np.testing.assert_allclose(outputs[1], 2 * model(xs).numpy(), rtol=1e-6)


def test_axes_of_trees() -> None:
    batch = {"x": XS, "shift": rg.array(np.arange(5.0)), "scale": rg.array(2.0)}
    function = rg.vmap(
        lambda b: {"y": b["x"] * b["scale"], "z": (b["shift"], b["scale"])},
        in_axes=({"x": 0, "shift": -1, "scale": None},),
        out_axes={"y": 1, "z": (0, None)},
    )
    result = function(batch)
    np.testing.assert_array_equal(result["y"].numpy(), 2 * XS.numpy().T)
    np.testing.assert_array_equal(result["z"][0].numpy(), np.arange(5.0))
    assert result["z"][1].shape == ()


def test_shared_results_are_repeated() -> None:
    same, name = rg.vmap(lambda x, w: (w * 2, "kept"), in_axes=(0, None))(XS, YS)
    assert same.shape == (5, 5, 2) and name == "kept"


def test_no_examples() -> None:
    assert rg.vmap(lambda x: rg.max_pool(x[None], 2)[0].sum())(rg.zeros((0, 4, 4, 1))).shape == (0,)


def test_numbers_and_numpy_arrays() -> None:
    function = rg.vmap(lambda x, k: x * k, in_axes=(0, None))
    np.testing.assert_array_equal(function(np.arange(3.0), 2).numpy(), [0.0, 2.0, 4.0])


# -- random numbers --------------------------------------------------------------------------------


def test_draws_are_independent_for_each_example() -> None:
    def noisy(x: Any) -> Any:
        return x + rg.random.normal((2,)), rg.random.uniform(())

    rg.seed(3)
    first, second = rg.vmap(noisy)(rg.zeros((4, 2)))
    assert len(np.unique(first.numpy())) == 8 and len(np.unique(second.numpy())) == 4
    again, _ = rg.vmap(noisy)(rg.zeros((4, 2)))
    assert not np.isin(again.numpy(), first.numpy()).any()
    rg.seed(3)
    np.testing.assert_array_equal(rg.vmap(noisy)(rg.zeros((4, 2)))[0].numpy(), first.numpy())
    rg.seed(3)
    compiled = rg.compile(rg.vmap(noisy), executor="native")
    np.testing.assert_array_equal(compiled(rg.zeros((4, 2)))[1].numpy(), second.numpy())


def test_dropout_differs_from_example_to_example() -> None:
    layer = nn.Dropout(0.5)
    kept = rg.vmap(layer)(rg.ones((8, 16))).numpy() > 0
    assert len(np.unique(kept, axis=0)) == 8


# -- errors ----------------------------------------------------------------------------------------


def test_numbers_of_examples_must_agree() -> None:
    def pair(x: Any, y: Any) -> Any:
        return x + y

    with pytest.raises(
        ShapeError, match=r"'x' has 5 along axis 0 .*'y' has 3 along axis 1"
    ) as info:
        rg.vmap(pair, in_axes=(0, 1))(XS, rg.zeros((2, 3)))
    assert "in_axes" in str(info.value)


@pytest.mark.parametrize(
    ("in_axes", "error", "words"),
    [
        ((0, 0), ArgumentError, "2 entries.*1 positional"),
        ((2,), ShapeError, "no axis 2"),
        ("x", ArgumentTypeError, "in_axes is an axis"),
        (({"a": 0},), ArgumentTypeError, "not a tree like argument 0"),
        (None, ArgumentError, "no argument has examples"),
        (True, ArgumentTypeError, "in_axes is an axis"),
    ],
)
def test_axes_that_do_not_fit(in_axes: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        rg.vmap(lambda x: x, in_axes=in_axes)(XS)


def test_numbers_have_no_axis() -> None:
    with pytest.raises(ArgumentTypeError, match=r"'k' is the number 2"):
        rg.vmap(lambda x, k: x * k)(XS, 2)


def test_results_that_differ_need_an_axis() -> None:
    with pytest.raises(ArgumentError, match="differs from example to example"):
        rg.vmap(lambda x: x, out_axes=None)(XS)
    with pytest.raises(ShapeError, match="out_axes: axis 3"):
        rg.vmap(lambda x: x, out_axes=3)(XS)
    with pytest.raises(ArgumentTypeError, match="not a tree like"):
        rg.vmap(lambda x: (x, x), out_axes=(0,))(XS)


def test_state_cannot_change() -> None:
    layer = nn.BatchNorm(3)
    before, xs = layer.running_mean, rg.ones((5, 4, 3))
    with pytest.raises(StateError, match="vmap"):
        rg.vmap(lambda m, x: m(x), in_axes=(None, 0))(layer, xs)
    assert layer.running_mean is before
    with pytest.raises(ClosureError, match="running_mean"):
        rg.vmap(lambda x: layer(x))(xs)
    assert layer.running_mean is before
    layer.eval()
    assert rg.vmap(lambda x: layer(x))(xs).shape == (5, 4, 3)


def test_values_are_not_known() -> None:
    with pytest.raises(TracingError, match="a function under vmap"):
        rg.vmap(lambda x: x if x.sum() > 0 else -x)(XS)


def test_an_index_out_of_range_is_not_another_examples_row() -> None:
    tables = rg.zeros((2, 3, 4))
    for executor in ("numpy", "native"):
        read = rg.compile(rg.vmap(lambda t, i: rg.take(t, i, axis=0)), executor=executor)
        with pytest.raises(IndexRangeError, match="3"):
            read(tables, rg.array([0, 3]))


def test_it_takes_a_function() -> None:
    with pytest.raises(ArgumentTypeError, match="vmap takes a function"):
        rg.vmap(XS)  # type: ignore[arg-type]

"""RowGradient: what value_and_grad gives for sparse tables, and what optimizers do with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim
from retrograd.ir.loops import Callback, Routine
from retrograd.ops.row_gradient import merge_rows
from tests.nn.helpers import assert_trees_equal, draw, snapshot, to_float64


class Words(nn.Module):
    """Reads one table twice, with a layer behind it."""

    def __init__(self, n: int = 9, sparse: bool = True, padding: int | None = None) -> None:
        self.table = nn.Embedding(n, 3, padding_index=padding, sparse=sparse)
        self.head = nn.Linear(3, 2)

    def __call__(self, first: Any, second: Any) -> Any:
        return self.head(self.table(first)).sum() + (self.table(second) ** 3).sum()


def pair(padding: int | None = None, n: int = 9) -> tuple[Any, Any]:
    """A sparse and a dense model with the same weights."""
    sparse, dense = (to_float64(Words(n, flag, padding)) for flag in (True, False))
    dense.load_state(sparse.named_state())
    return sparse, dense


FIRST, SECOND = np.array([[1, 7, 1], [0, 4, 7]]), np.array([7, 7, 2])


def loss(model: Any, *arguments: Any) -> Any:
    return model(*arguments)


# -- the gradient ---------------------------------------------------------------------------------


def test_the_rows_are_those_of_the_dense_gradient() -> None:
    sparse, dense = pair()
    value, gradients = rg.value_and_grad(loss)(sparse, FIRST, SECOND)
    expected, others = rg.value_and_grad(loss)(dense, FIRST, SECOND)
    found = gradients["table"]["weight"]
    assert isinstance(found, rg.RowGradient)
    assert found.indices.tolist() == [0, 1, 2, 4, 7, -1, -1, -1, -1]
    assert not np.asarray(found.rows)[5:].any()
    assert_trees_equal(value, expected)
    assert_trees_equal(gradients["head"], others["head"])
    np.testing.assert_allclose(found.to_dense(9), others["table"]["weight"], rtol=1e-14)


@pytest.mark.parametrize("executor", ["numpy", "native"])
def test_it_leaves_and_enters_compiled_functions(executor: str) -> None:
    sparse, _ = pair()
    expected = rg.grad(loss)(sparse, FIRST, SECOND)
    take = rg.compile(lambda m, a, b: rg.grad(loss)(m, a, b), executor=executor)
    gradients = take(sparse, FIRST, SECOND)
    for ours, others in zip(rg.tree.leaves(gradients), rg.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(others), rtol=1e-14)
    dense = rg.compile(lambda row: row.to_dense(9), executor=executor)(gradients["table"]["weight"])
    np.testing.assert_allclose(dense, expected["table"]["weight"].to_dense(9), rtol=1e-14)


def test_the_padding_row_has_no_gradient_and_starts_at_zero() -> None:
    sparse, dense = pair(padding=7)
    assert not np.asarray(sparse.table.weight)[7].any()
    gradients = rg.grad(loss)(sparse, FIRST, SECOND)["table"]["weight"]
    others = rg.grad(loss)(dense, FIRST, SECOND)["table"]["weight"]
    assert gradients.indices.tolist() == [-1, 0, 1, 2, 4, -1, -1, -1, -1]
    assert not np.asarray(others)[7].any()
    np.testing.assert_allclose(gradients.to_dense(9), others, rtol=1e-14)
    full = to_float64(nn.Embedding(9, 3, padding_index=7))
    full.weight = rg.array(draw(9, 3))
    assert_trees_equal(full(FIRST), rg.take(full.weight, FIRST, 0))  # what was loaded is read


def test_rows_are_merged_in_the_order_in_which_they_were_read() -> None:
    """(1e16 + 1) - 1e16 is 0 and (1e16 - 1e16) + 1 is 1: the bits tell the order."""
    table = rg.zeros((5, 1), "float64")
    places = rg.array([3, 1, 3, 3])
    rows = rg.array(np.array([[1e16], [5.0], [1.0], [-1e16]]))
    for executor in ("numpy", "native"):
        merge = rg.compile(lambda i, r: merge_rows([i], [r], table), executor=executor)
        merged = merge(places, rows)
        assert merged.indices.tolist() == [1, 3, -1, -1]
        assert merged.rows.tolist() == [[5.0], [0.0], [0.0], [0.0]]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "uint32"])
def test_indices_of_any_dtype(dtype: str) -> None:
    model = nn.Embedding(200, 2, sparse=True)
    places = rg.array(np.array([199, 0, 199], dtype))
    gradient = rg.grad(lambda m, i: m(i).sum())(model, places)["weight"]
    assert gradient.indices.tolist() == [0, 199, -1]
    assert gradient.rows.tolist() == [[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]]


def test_nothing_read_and_nothing_used() -> None:
    model = nn.Embedding(4, 2, sparse=True)
    before = snapshot(model)
    empty = rg.array(np.zeros((0, 3), np.int32))
    for function in (lambda m, i: m(i).sum(), lambda m, i: rg.array(1.0)):
        gradients = rg.grad(function)(model, empty)
        assert gradients["weight"].rows.shape == (0, 2)
        optim.AdamW(0.1).update(model, gradients)
        assert np.array_equal(snapshot(model)["weight"], before["weight"])


class Tied(nn.Module):
    def __init__(self) -> None:
        self.table = nn.Embedding(5, 3, sparse=True)

    def __call__(self, places: Any) -> Any:
        return (self.table(places) @ self.table.weight.T).sum()


def read_in_a_loop(model: Any, places: Any) -> Any:
    return rg.scan(lambda c, i: (c + model.table(i).sum(), None), rg.zeros(()), places)[0]


@pytest.mark.parametrize("function", [loss, read_in_a_loop])
def test_a_table_used_in_another_way_has_a_whole_gradient(function: Callable[..., Any]) -> None:
    model, places = Tied(), rg.array([1, 3, 1])
    found = rg.grad(function)(model, places)["table"]["weight"]
    assert found.shape == (5, 3)
    model.table.sparse = False
    assert_trees_equal(found, rg.grad(function)(model, places)["table"]["weight"])


def test_a_frozen_table_and_other_transforms() -> None:
    sparse, dense = pair()
    sparse.table.freeze()
    assert rg.grad(loss)(sparse, FIRST, SECOND)["table"] == {}
    sparse.table.unfreeze()
    pulled = [rg.vjp(lambda m: m(FIRST, SECOND), m)[1](rg.array(1.0))[0] for m in (sparse, dense)]
    assert_trees_equal(*pulled)
    rg.testing.check_gradients(lambda m: m(FIRST, SECOND), sparse)
    by_head = rg.grad(lambda head, model: model(FIRST, SECOND) + head.weight.sum())
    assert by_head(nn.Linear(2, 3), sparse)["weight"].tolist() == [[1.0] * 3] * 2


# -- optimizers -----------------------------------------------------------------------------------

MAKERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: optim.SGD(0.1),
    "sgd decay": lambda: optim.SGD(0.1, weight_decay=0.1),
    "momentum": lambda: optim.SGD(0.1, momentum=0.9),
    "nesterov": lambda: optim.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda: optim.Adam(0.1),
    "adamw": lambda: optim.AdamW(0.1, weight_decay=0.3),
    "adagrad": lambda: optim.Adagrad(0.1),
    "clipped": lambda: optim.chain(optim.clip_by_global_norm(0.5), optim.Adam(0.1)),
    "scheduled": lambda: optim.SGD(lambda step: 0.1 / (step + 1.0).astype("float64"), 0.5),
}
for_each_optimizer = pytest.mark.parametrize("name", MAKERS)


def train(model: Any, optimizer: Any, batches: Any, executor: str | None) -> None:
    def step(model: Any, optimizer: Any, first: Any, second: Any) -> None:
        gradients = rg.grad(loss)(model, first, second)
        optimizer.update(model, gradients)

    run = rg.compile(step, executor=executor) if executor else step
    for first, second in batches:
        run(model, optimizer, first, second)


@for_each_optimizer
@pytest.mark.parametrize("executor", [None, "numpy", "native"])
def test_where_all_rows_occur_it_is_the_dense_optimizer(name: str, executor: str | None) -> None:
    sparse, dense = pair()
    random = np.random.default_rng(1)
    batches = [(random.permutation(9), random.integers(0, 9, 4)) for _ in range(4)]
    train(sparse, MAKERS[name](), batches, executor)
    train(dense, MAKERS[name](), batches, executor)
    for path, value in snapshot(dense).items():
        np.testing.assert_allclose(snapshot(sparse)[path], value, rtol=1e-12, atol=1e-13)


@for_each_optimizer
def test_a_row_is_as_if_the_steps_without_it_had_not_been(name: str) -> None:
    """Row 5 alone, in a table of one row, in the steps in which it occurs; Adam counts all."""
    if name == "clipped":
        pytest.skip("its factor depends on the other rows")
    table = to_float64(nn.Embedding(8, 3, sparse=True))
    optimizer = MAKERS[name]()
    one: Any = to_float64(nn.Embedding(1, 3))
    one.weight = table.weight[5:6]
    alone = MAKERS[name]()
    for step, places in enumerate([[5, 1], [2, 2], [5, 5], [0, 3], [4, 5]]):
        before, kept = snapshot(table)["weight"], None
        if step:
            kept = [np.array(leaf) for leaf in rg.tree.leaves(optimizer.state)]
        target = draw(len(places), 3, seed=step)

        def distance(m: Any, i: Any, target: Any = target) -> Any:
            return ((m(i) - target) ** 2).sum()

        optimizer.update(table, rg.grad(distance)(table, rg.array(places)))
        untouched = sorted(set(range(8)) - set(places))
        assert np.array_equal(snapshot(table)["weight"][untouched], before[untouched])
        for old, new in zip(kept or [], rg.tree.leaves(optimizer.state), strict=False):
            if new.shape == (8, 3):
                assert np.array_equal(old[untouched], np.asarray(new)[untouched])
        if 5 in places:
            own = [order for order, place in enumerate(places) if place == 5]
            gradient = rg.grad(distance)(one, rg.array([0] * len(own)), target[own])
            alone.update(one, gradient)
        elif name in ("adam", "adamw", "scheduled"):
            count_a_step(alone)
    np.testing.assert_allclose(table.weight[5], one.weight[0], rtol=1e-12)


def count_a_step(optimizer: Any) -> None:
    """The step counters go on, as they count steps of the whole table."""
    leaves, structure = rg.tree.flatten(optimizer.state)
    counted = [leaf + 1 if leaf.dtype == np.int32 else leaf for leaf in leaves]
    optimizer.state = rg.tree.unflatten(structure, counted)


def test_clipping_sees_merged_rows() -> None:
    gradient = merge_rows(
        [rg.array([2, 0, 2])], [rg.array([[3.0], [0.0], [1.0]])], rg.zeros((4, 1))
    )
    assert float(optim.global_norm({"a": gradient, "b": rg.array([3.0])})) == 5.0
    rule = optim.clip_by_global_norm(2.5)
    clipped, _ = rule.update({"a": gradient, "b": rg.array([3.0])}, (), None)
    np.testing.assert_allclose(clipped["a"].rows, [[0.0], [2.0], [0.0]], rtol=1e-6)


def test_gradients_that_do_not_fit() -> None:
    model = nn.Embedding(4, 2, sparse=True)
    good = rg.grad(lambda m: m(rg.array([1, 2])).sum())(model)["weight"]
    wrong = rg.RowGradient(good.indices, good.rows[:, :1])
    with pytest.raises(rg.errors.ShapeError, match="weight"):
        optim.SGD(0.1).update(model, {"weight": wrong})
    with pytest.raises(rg.errors.IndexRangeError):
        optim.SGD(0.1).update(model, {"weight": rg.RowGradient(good.indices + 3, good.rows)})
    with pytest.raises(rg.errors.ArgumentError):
        optim.SGD(0.1).update(model, good)
    before = snapshot(model)
    for executor in ("numpy", "native"):
        step = rg.compile(lambda m, o, g: o.update(m, {"weight": g}) and None, executor=executor)
        with pytest.raises(rg.errors.IndexRangeError):
            step(model, optim.Adam(0.1), rg.RowGradient(good.indices + 3, good.rows))
        assert np.array_equal(snapshot(model)["weight"], before["weight"])
    rule = optim.scale_by_adam()
    with pytest.raises(rg.errors.ArgumentError, match="kept"):
        rule.update({"other": good}, rule.init({"weight": model.weight}), None)


def test_a_sparse_model_learns_in_a_trainer() -> None:
    rg.seed(0)
    model = nn.Sequential(
        nn.Embedding(30, 8, padding_index=0, sparse=True), nn.Flatten(), nn.Linear(16, 1)
    )
    x = np.random.default_rng(0).integers(0, 30, (256, 2))
    y = (np.sin(x[:, :1]) + np.cos(x[:, 1:])).astype("float32")
    trainer = rg.Trainer(model, loss="mse", optimizer=optim.Adam(5e-2))
    history = trainer.fit(x, y, epochs=30, verbose=False)
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert not np.asarray(model.layers[0].weight)[0].any()


# -- made by somebody else ------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [None, "numpy", "native"])
def test_rows_of_one_index_are_added(executor: str | None) -> None:
    """A RowGradient that the user made may name a row twice, and have anything beside -1."""
    gradient = rg.RowGradient(rg.array([2, -1, 0, 2]), rg.array([[1.0], [100.0], [3.0], [10.0]]))

    def spread(gradient: Any) -> Any:
        return gradient.to_dense(4)

    def update(table: Any, optimizer: Any, gradient: Any) -> Any:
        return optimizer.update({"w": table}, {"w": gradient})["w"]

    if executor:
        spread, update = (rg.compile(f, executor=executor) for f in (spread, update))
    assert spread(gradient).tolist() == [[3.0], [0.0], [11.0], [0.0]]
    table = rg.zeros((4, 1))
    assert update(table, optim.SGD(1.0), gradient).tolist() == [[-3.0], [0.0], [-11.0], [0.0]]
    clipped = optim.chain(optim.clip_by_global_norm(1e9), optim.Adagrad(1.0))
    found = update(table, clipped, gradient)
    np.testing.assert_allclose(found, [[-1.0], [0.0], [-1.0], [0.0]], rtol=1e-6)
    slope = rg.grad(lambda rows: (rg.RowGradient(gradient.indices, rows).to_dense(4) ** 2).sum())
    assert slope(gradient.rows).tolist() == [[22.0], [0.0], [6.0], [22.0]]


@pytest.mark.parametrize("executor", [None, "numpy", "native"])
@pytest.mark.parametrize("index", [4, -2])
def test_an_index_that_is_no_row_is_an_error(executor: str | None, index: int) -> None:
    gradient = rg.RowGradient(rg.array([1, index]), rg.ones((2, 1)))

    def spread(gradient: Any) -> Any:
        return gradient.to_dense(4)

    run = rg.compile(spread, executor=executor) if executor else spread
    with pytest.raises(rg.errors.IndexRangeError, match=f"index {index} "):
        run(gradient)


def test_indices_without_a_sign_and_shapes_that_do_not_fit() -> None:
    spread = rg.compile(lambda g: g.to_dense(3))
    twice = rg.RowGradient(rg.array(np.array([1, 1], np.uint8)), rg.ones((2, 2)))
    for function in (spread, spread.function):
        assert function(twice).tolist() == [[0.0, 0.0], [2.0, 2.0], [0.0, 0.0]]
        with pytest.raises(rg.errors.ShapeError, match="one index for each row"):
            function(rg.RowGradient(rg.array([1]), rg.ones((2, 2))))
        with pytest.raises(rg.errors.DTypeError):
            function(rg.RowGradient(rg.array([1.0]), rg.ones((1, 2))))
    with pytest.raises(rg.errors.ShapeError, match="'w'"):
        optim.SGD(1.0).update({"w": rg.array(1.0)}, {"w": twice})
    assert rg.RowGradient(rg.array([-1]), rg.ones((1, 2))).to_dense(0).shape == (0, 2)


# -- in place -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw", "adagrad"])
def test_a_native_step_writes_into_the_table(name: str) -> None:
    """Parameters and moments stay where they are, and no kernel goes over the table."""
    count = 5000
    model, optimizer = nn.Embedding(count, 4, sparse=True), MAKERS[name]()

    @rg.compile(executor="native")
    def step(model: Any, optimizer: Any, places: Any) -> Any:
        value, gradients = rg.value_and_grad(lambda m, i: (m(i) ** 2).sum())(model, places)
        optimizer.update(model, gradients)
        return value

    twin, other = nn.Embedding(count, 4, sparse=True), MAKERS[name]()
    twin.weight = rg.array(np.array(model.weight))  # memory of its own
    random = np.random.default_rng(0)

    def addresses() -> list[int]:
        tables = [model.weight, *rg.tree.leaves(optimizer.state)]
        return [t.numpy().ctypes.data for t in tables if t.size == count * 4]

    optimizer.init(model)
    for _ in range(4):
        places = rg.array(random.integers(0, count, 16))
        before = addresses()
        step(model, optimizer, places)
        other.update(twin, rg.grad(lambda m, i: (m(i) ** 2).sum())(twin, places))
        assert before == addresses()
        np.testing.assert_allclose(model.weight, twin.weight, rtol=1e-6, atol=1e-7)
    held = model.weight.numpy()
    copy_of_it = held.copy()
    step(model, optimizer, rg.array([1, 2, 3, 3] * 4))
    program = next(iter(step.programs.values()))
    for kernel in program.staged.graph.cache["native"].schedule.kernels:
        assert isinstance(kernel, (Callback, Routine)) or np.prod(kernel.extents) < count
    assert np.array_equal(held, copy_of_it)  # what somebody holds is not written over
    assert not np.array_equal(model.weight.numpy(), copy_of_it)


def test_the_old_table_can_be_read_after_the_update() -> None:
    """Then it cannot be written over: the program gives both."""
    model = nn.Embedding(50, 4, sparse=True)

    @rg.compile(executor="native")
    def step(model: Any, optimizer: Any, places: Any) -> Any:
        old = model.weight
        optimizer.update(model, rg.grad(lambda m, i: m(i).sum())(model, places))
        return (old * 2.0).sum(axis=0), old[:3] - model.weight[:3]

    optimizer = optim.SGD(1.0)
    for _ in range(4):
        before = np.asarray(model.weight).copy()
        sums, moved = step(model, optimizer, rg.array([1, 1, 7]))
        np.testing.assert_allclose(sums, 2 * before.sum(0), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(moved, [[0.0] * 4, [2.0] * 4, [0.0] * 4], atol=1e-6)

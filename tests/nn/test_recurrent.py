"""Recurrent layers: against loops by hand, lengths and masks, states, weights of PyTorch's form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from tests.nn.helpers import assert_trees_equal, draw, to_float64

NAMES = ("RNN", "LSTM", "GRU")
for_each = pytest.mark.parametrize("name", NAMES)


def build(name: str, *sizes: int, **arguments: Any) -> Any:
    return to_float64(getattr(nn, name)(*sizes, **arguments))


def parts_of(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def run_by_hand(cell: Any, x: Any, steps: Any, state: Any = None) -> tuple[list[Any], Any]:
    """A cell over some steps of one sequence, one call after the other."""
    outputs = []
    for step in steps:
        state = cell(x[step], state)
        outputs.append(parts_of(state)[0])
    return outputs, state


def close(a: Any, b: Any) -> None:
    ours, others = rg.tree.leaves(a), rg.tree.leaves(b)
    for left, right in zip(ours, others, strict=True):
        np.testing.assert_allclose(np.asarray(left), np.asarray(right), rtol=1e-12, atol=1e-13)


# -- formulas ---------------------------------------------------------------------------------


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def test_the_formula_of_the_lstm_with_everything() -> None:
    cell: Any = to_float64(nn.LSTMCell(3, 4, peepholes=True, projection=2))
    w, u, p, r = (
        np.asarray(getattr(cell, name))
        for name in ("input_weight", "hidden_weight", "peephole_weight", "projection_weight")
    )
    bias = np.asarray(cell.input_bias) + np.asarray(cell.hidden_bias)
    x, h, c = draw(2, 3), draw(2, 2, seed=1), draw(2, 4, seed=2)
    i, f, g, o = np.split(x @ w + h @ u + bias, 4, -1)
    after = sigmoid(f + p[1] * c) * c + sigmoid(i + p[0] * c) * np.tanh(g)
    expected = (sigmoid(o + p[2] * after) * np.tanh(after)) @ r
    close(cell(x, (h, c)), (expected, after))


def test_the_formula_of_the_gru() -> None:
    cell: Any = to_float64(nn.GRUCell(3, 4))
    x, h = draw(2, 3), draw(2, 4, seed=1)
    x_r, x_z, x_n = np.split(x @ np.asarray(cell.input_weight) + np.asarray(cell.input_bias), 3, -1)
    inner = h @ np.asarray(cell.hidden_weight) + np.asarray(cell.hidden_bias)
    h_r, h_z, h_n = np.split(inner, 3, -1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    close(cell(x, h), (1 - z) * np.tanh(x_n + r * h_n) + z * h)


def test_the_formula_of_the_rnn() -> None:
    for activation, function in (("tanh", np.tanh), ("relu", lambda v: np.maximum(v, 0))):
        cell: Any = to_float64(nn.RNNCell(3, 4, activation=activation))
        x, h = draw(2, 3), draw(2, 4, seed=1)
        inner = x @ np.asarray(cell.input_weight) + h @ np.asarray(cell.hidden_weight)
        close(cell(x, h), function(inner + cell.input_bias.numpy() + cell.hidden_bias.numpy()))


# -- layers are cells in loops ------------------------------------------------------------------


@for_each
@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_are_cells_one_after_the_other(name: str, bidirectional: bool) -> None:
    """Also with lengths: each sequence by itself, without its padding."""
    layer = build(name, 3, 4, layers=2, bidirectional=bidirectional)
    lengths = [5, 1, 3, 0]
    x = draw(4, 5, 3)
    outputs, state = layer(x, lengths=lengths)
    assert outputs.shape == (4, 5, 8 if bidirectional else 4)
    directions = 2 if bidirectional else 1
    for row, length in enumerate(lengths):
        values = list(x[row, :length])
        for level in range(2):
            columns = []
            for direction in range(directions):
                cell = layer.cells[level * directions + direction]
                steps = range(length)[::-1] if direction else range(length)
                found, end = run_by_hand(cell, values, steps)
                columns.append(found[::-1] if direction else found)
                if length:
                    for part, whole in zip(parts_of(end), parts_of(state), strict=True):
                        close(whole[level * directions + direction, row], part)
            values = [np.concatenate([np.asarray(v) for v in step]) for step in zip(*columns)]
        for step in range(5):
            close(outputs[row, step], values[step] if step < length else np.zeros(4 * directions))


@for_each
def test_a_first_state_is_the_end_of_what_came_before(name: str) -> None:
    layer = build(name, 3, 4, layers=2)
    x = draw(2, 7, 3)
    whole, end = layer(x)
    first, middle = layer(x[:, :4])
    second, last = layer(x[:, 4:], middle)
    close(rg.concatenate([first, second], 1), whole)
    close(last, end)


@for_each
def test_returns(name: str) -> None:
    layer = build(name, 3, 4, layers=2, bidirectional=True)
    x = draw(2, 5, 3)
    outputs, state = layer(x, lengths=[5, 2])
    ends = parts_of(state)[0]
    layer.returns = "outputs"
    assert_trees_equal(layer(x, lengths=[5, 2]), outputs)
    layer.returns = "last"
    assert_trees_equal(layer(x, lengths=[5, 2]), rg.concatenate([ends[2], ends[3]], -1))


@pytest.mark.parametrize(("name", "count"), [("RNN", 300), ("LSTM", 1000), ("GRU", 300)])
def test_a_thousand_steps_are_the_unrolled_loop(name: str, count: int) -> None:
    layer = build(name, 2, 3)
    cell = layer.cells[0]
    # So that something of the gradient comes through many steps.
    cell.hidden_weight = cell.hidden_weight * 2.5
    x, weights = draw(1, count, 2), draw(1, count, 3, seed=1)

    def scanned(layer: Any, x: Any) -> Any:
        return (layer(x)[0] * weights).sum()

    def unrolled(layer: Any, x: Any) -> Any:
        state, total = None, 0.0
        for step in range(count):
            state = layer.cells[0](x[:, step], state)
            total = total + (parts_of(state)[0] * weights[:, step]).sum()
        return total

    ours = rg.value_and_grad(scanned, argnums=(0, 1))(layer, rg.array(x))
    others = rg.value_and_grad(unrolled, argnums=(0, 1))(layer, rg.array(x))
    for a, b in zip(rg.tree.leaves(ours), rg.tree.leaves(others), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-10, atol=1e-11)


def test_the_program_does_not_grow_with_the_steps() -> None:
    layer = nn.LSTM(3, 4)
    step = rg.compile(rg.value_and_grad(lambda layer, x: layer(x)[0].sum()))
    sizes = [len(list(step.graph(layer, np.ones((2, n, 3), "float32")).walk())) for n in (5, 500)]
    assert sizes[0] == sizes[1]


@for_each
@pytest.mark.parametrize("bidirectional", [False, True])
def test_truncated_gradients_are_those_of_pieces(name: str, bidirectional: bool) -> None:
    whole = build(name, 2, 3, bidirectional=bidirectional, truncate=3)
    x, weights = draw(2, 8, 2), draw(2, 8, 6, seed=1)

    def by_hand(layer: Any, x: Any) -> Any:
        total = 0.0
        for direction, cell in enumerate(layer.cells):
            state = None
            for done, step in enumerate(range(8)[::-1] if direction else range(8)):
                if done % 3 == 0 and done:
                    state = rg.tree.map(rg.stop_gradient, state)
                state = cell(x[:, step], state)
                columns = weights[:, step, 3 * direction : 3 * direction + 3]
                total = total + (parts_of(state)[0] * columns).sum()
        return total

    def by_layer(layer: Any, x: Any) -> Any:
        outputs = layer(x)[0]
        return (outputs * weights[..., : outputs.shape[-1]]).sum()

    found, expected = (
        rg.value_and_grad(f, argnums=(0, 1))(whole, rg.array(x)) for f in (by_layer, by_hand)
    )
    close(found, expected)


@for_each
def test_checkpoints_change_no_gradient(name: str) -> None:
    plain = build(name, 2, 3, layers=2)
    sparing = build(name, 2, 3, layers=2, checkpoint_every=3)
    sparing.load_state(plain.named_state())
    x = draw(2, 8, 2)

    def loss(layer: Any) -> Any:
        return (layer(x, lengths=[8, 5])[0] ** 2).sum()

    close(rg.value_and_grad(loss)(sparing), rg.value_and_grad(loss)(plain))


# -- lengths and masks ----------------------------------------------------------------------------


@for_each
@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("form", ["lengths", "mask"])
def test_padding_has_no_influence(name: str, junk: float, form: str) -> None:
    layer = build(name, 3, 4, layers=2, bidirectional=True)
    lengths = np.array([4, 2, 6, 0])
    mask = np.arange(6) < lengths[:, None]
    clean, weights = draw(4, 6, 3), draw(4, 6, 8, seed=1)
    dirty = np.where(mask[..., None], clean, junk)
    given = {"lengths": lengths} if form == "lengths" else {"mask": mask}

    def loss(layer: Any, x: Any) -> Any:
        outputs, state = layer(x, **given)
        ends = sum((part**2).sum() for part in parts_of(state))
        return (outputs * weights).sum() + ends, (outputs, state)

    both = [
        rg.value_and_grad(loss, argnums=(0, 1), has_aux=True)(layer, rg.array(x))
        for x in (clean, dirty)
    ]
    assert_trees_equal(both[0], both[1])
    (_, (outputs, _)), (_, by_x) = both[1]
    assert np.isfinite(np.asarray(by_x)).all()
    assert not np.asarray(by_x)[~mask].any()
    assert not np.asarray(outputs)[~mask].any()
    assert np.asarray(outputs)[mask].all()


@for_each
def test_a_mask_may_have_gaps(name: str) -> None:
    layer = build(name, 3, 4, bidirectional=True)
    x = draw(1, 6, 3)
    mask = np.array([[True, False, True, True, False, True]])
    outputs, state = layer(x, mask=mask)
    kept, end = layer(x[:, mask[0]])
    close(outputs[:, np.flatnonzero(mask[0])], kept)
    close(state, end)


@for_each
def test_lengths_are_not_constants_of_a_compiled_program(name: str) -> None:
    layer = build(name, 3, 4)
    program = rg.compile(lambda layer, x, lengths: layer(x, lengths=lengths))
    x = draw(2, 5, 3)
    for lengths in ([5, 2], [1, 4]):
        array = rg.array(np.array(lengths))
        close(program(layer, x, array), layer(x, lengths=lengths))
    assert program.trace_count == 1
    for wrong in ([6, 1], [2, -1]):
        with pytest.raises(rg.errors.IndexRangeError):
            program(layer, x, rg.array(np.array(wrong)))


@for_each
def test_native_is_numpy(name: str) -> None:
    layer = build(name, 3, 4, layers=2, bidirectional=True)

    def loss(layer: Any, x: Any, lengths: Any) -> Any:
        outputs, state = layer(x, lengths=lengths)
        return (outputs**2).sum() + sum(part.sum() for part in parts_of(state))

    arguments = (layer, draw(3, 5, 3), rg.array(np.array([5, 2, 0])))
    expected = rg.value_and_grad(loss)(*arguments)
    native = rg.compile(rg.value_and_grad(loss), executor="native")(*arguments)
    for a, b in zip(rg.tree.leaves(native), rg.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-11, atol=1e-12)


def test_wrong_lengths_masks_and_states() -> None:
    layer, x = nn.LSTM(3, 4), np.zeros((2, 5, 3), "float32")
    errors = rg.errors
    state = np.zeros((1, 2, 4), "float32")
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (errors.IndexRangeError, "sequence 1 is 6", {"lengths": [5, 6]}),
        (errors.IndexRangeError, "sequence 0 is -1", {"lengths": [-1, 5]}),
        (errors.ShapeError, "(2,)", {"lengths": [5, 5, 5]}),
        (errors.DTypeError, "integers", {"lengths": [5.0, 2.0]}),
        (errors.DTypeError, "bools", {"mask": np.ones((2, 5), "float32")}),
        (errors.ShapeError, "(2, 5)", {"mask": np.ones((5, 2), bool)}),
        (errors.ArgumentError, "both", {"mask": np.ones((2, 5), bool), "lengths": [1, 2]}),
        (errors.ArgumentTypeError, "(h, c)", {"state": state}),
        (errors.ShapeError, "state c", {"state": (state, state[:, :1])}),
        (errors.ShapeError, "state h", {"state": (state[0], state)}),
    ]
    for kind, words, arguments in cases:
        with pytest.raises(kind) as caught:
            layer(x, **arguments)
        assert words in str(caught.value)
        assert "LSTM" in str(caught.value)


# -- options --------------------------------------------------------------------------------------


def test_forget_bias() -> None:
    layer = nn.LSTM(3, 4, layers=2, forget_bias=1.5)
    for cell in layer.cells:
        total = np.asarray(cell.input_bias) + np.asarray(cell.hidden_bias)
        assert np.array_equal(total[4:8], np.full(4, 1.5, "float32"))
        assert np.abs(total[:4]).max() < 1.0


def test_recurrent_weights_are_orthogonal_gate_by_gate() -> None:
    cell = nn.LSTMCell(3, 4, recurrent_init="orthogonal")
    for gate in np.split(np.asarray(cell.hidden_weight, "float64"), 4, -1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(4), atol=1e-6)


@for_each
def test_dropout_is_between_layers_only(name: str) -> None:
    x = draw(2, 5, 3)
    one = build(name, 3, 4, dropout=0.5)
    assert_trees_equal(one(x), one.eval()(x))
    two = build(name, 3, 4, layers=2, dropout=0.5)
    assert not np.array_equal(np.asarray(two(x)[0]), np.asarray(two(x)[0]))
    assert_trees_equal(parts_of(two(x)[1])[0][0], parts_of(two(x)[1])[0][0])
    assert_trees_equal(two.eval()(x), two(x))

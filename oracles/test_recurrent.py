"""Recurrent layers and cells against PyTorch's in float64: outputs, states and all gradients.

On the inputs of PyTorch's own module tests (packed sequences included), and on cases by hand.
"""

from __future__ import annotations

import collections
import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import retrograd as rg
from retrograd import nn, tree
from test_operators import check_close

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_modules import module_db

TOLERANCE = 1e-9
SMALLEST_NUMBER_OF_CASES = 150
CELLS = (torch.nn.RNNCell, torch.nn.LSTMCell, torch.nn.GRUCell)
LAYERS = (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU)
INFOS = {info.module_cls: info for info in module_db if info.module_cls in (*CELLS, *LAYERS)}
COUNTS: dict[str, collections.Counter[str]] = {}


def convert(theirs: Any) -> Any:
    """Our layer with PyTorch's weights."""
    arguments: dict[str, Any] = {"bias": bool(theirs.bias)}
    if getattr(theirs, "nonlinearity", None):
        arguments["activation"] = theirs.nonlinearity
    if isinstance(theirs, LAYERS):
        arguments |= {
            "layers": theirs.num_layers,
            "bidirectional": theirs.bidirectional,
            "dropout": theirs.dropout,
        }
        if theirs.proj_size:
            arguments["projection"] = theirs.proj_size
    cls = getattr(nn, type(theirs).__name__)
    layer = cls(theirs.input_size, theirs.hidden_size, **arguments).astype("float64")
    nn.load_torch_state(layer, {k: v.numpy() for k, v in theirs.state_dict().items()})
    for name, value in nn.torch_state(layer).items():
        assert np.array_equal(value, theirs.state_dict()[name].numpy())
    return layer


def gradients_as_torch(layer: Any, gradients: Any) -> dict[str, Any]:
    """Our gradients under PyTorch's names: put into a copy of the layer, and read as weights."""
    new = dict(zip(tree.paths(gradients), tree.leaves(gradients), strict=True))
    layer.load_state(new)
    return nn.torch_state(layer)


def leaves_of(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


def compare(theirs: Any, x: Any, state: Any, training: bool) -> None:
    """One call of both sides, forward and backward, by input, first state and weights."""
    theirs = theirs.to(torch.float64).train(training)
    ours = convert(theirs).train(training)
    cell = isinstance(theirs, CELLS)
    packed = isinstance(x, PackedSequence)
    batch_first = cell or theirs.batch_first
    states = [] if state is None else [s.detach().clone() for s in leaves_of(state)]
    lengths = None
    if packed:
        data, lengths = pad_packed_sequence(x, batch_first=True)
        data = data.detach().clone().requires_grad_(True)
        given: Any = pack_padded_sequence(data, lengths, batch_first=True, enforce_sorted=False)
        array = data
    else:
        given = data = x.detach().clone().requires_grad_(True)
        array = data if batch_first else data.transpose(0, -2)
    alone = data.ndim == (1 if cell else 2)
    if alone and not cell:
        array = data[None]
    for s in states:
        s.requires_grad_(True)
    theirs_state = None if not states else tuple(states) if len(states) == 2 else states[0]
    result = theirs(given) if theirs_state is None else theirs(given, theirs_state)
    if cell:
        expected = leaves_of(result)
    else:
        outputs, after = result
        if packed:
            outputs, _ = pad_packed_sequence(outputs, batch_first=True)
        elif alone:
            outputs = outputs[None]
        elif not batch_first:
            outputs = outputs.transpose(0, 1)
        expected = [outputs, *(s[:, None] if alone else s for s in leaves_of(after))]
    generator = np.random.default_rng(0)
    cotangents = [generator.standard_normal(tuple(value.shape)) for value in expected]
    torch.autograd.backward(expected, [torch.from_numpy(c) for c in cotangents])

    def call(layer: Any, x: Any, *states: Any) -> Any:
        if alone and not cell:
            states = tuple(rg.expand_dims(s, 1) for s in states)
        state = None if not states else states if len(states) == 2 else states[0]
        if cell:
            return tree.leaves(layer(x, state))
        return tree.leaves(layer(x, state, lengths=None if lengths is None else lengths.numpy()))

    arguments = [rg.array(v.detach().numpy().copy()) for v in (array, *states)]
    values, pullback = rg.vjp(call, ours, *arguments)
    weights, by_x, *by_states = pullback([rg.array(c) for c in cotangents])
    for place, (value, other) in enumerate(zip(values, expected, strict=True)):
        check_close(value, other, f"output {place}", TOLERANCE)
    theirs_by_x = data.grad
    if not packed:
        theirs_by_x = theirs_by_x if batch_first else theirs_by_x.transpose(0, -2)
        theirs_by_x = theirs_by_x[None] if alone and not cell else theirs_by_x
    check_close(by_x, theirs_by_x, "gradient by the input", TOLERANCE)
    for gradient, s in zip(by_states, states, strict=True):
        check_close(gradient, s.grad, "gradient by the state", TOLERANCE)
    named = gradients_as_torch(ours, weights)
    for name, parameter in theirs.named_parameters():
        check_close(named[name], parameter.grad, f"gradient by {name}", TOLERANCE)


def count(name: str, outcome: str) -> None:
    COUNTS.setdefault(name, collections.Counter())[outcome] += 1


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cls", sorted(INFOS, key=lambda cls: cls.__name__))
def test_the_inputs_of_pytorch_s_tests(cls: Any, training: bool) -> None:
    torch.manual_seed(0)
    info = INFOS[cls]
    inputs = info.module_inputs_func(
        info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
    )
    for given in inputs:
        arguments, keywords = given.constructor_input.args, given.constructor_input.kwargs
        x, *state = given.forward_input.args
        compare(cls(*arguments, **keywords), x, state[0] if state else None, training)
        count(cls.__name__, "compared")


def normal(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize(
    ("layers", "bidirectional", "projection"),
    [(1, False, 0), (1, True, 0), (3, True, 0), (2, False, 3), (2, True, 2)],
)
def test_layers_by_hand(cls: Any, layers: int, bidirectional: bool, projection: int) -> None:
    if projection and cls is not torch.nn.LSTM:
        pytest.skip("only an LSTM has a projection")
    torch.manual_seed(3)
    for bias, with_state, lengths in itertools.product(
        (True, False), (True, False), (None, [7, 4, 6, 1], [2, 2, 5, 3])
    ):
        arguments: dict[str, Any] = {"proj_size": projection} if projection else {}
        theirs = cls(
            5, 4, layers, bias=bias, bidirectional=bidirectional, batch_first=True, **arguments
        )
        x: Any = normal(4, 7 if lengths is None else max(lengths), 5) * 2
        if lengths is not None:
            x = pack_padded_sequence(x, torch.tensor(lengths), True, enforce_sorted=False)
        cells = layers * (2 if bidirectional else 1)
        state: Any = None
        if with_state:
            state = normal(cells, 4, projection or 4)
            if cls is torch.nn.LSTM:
                state = (state, normal(cells, 4, 4) * 3)
        compare(theirs, x, state, True)
        count(cls.__name__, "compared")


@pytest.mark.parametrize("cls", CELLS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
def test_cells_by_hand(cls: Any, bias: bool, with_state: bool) -> None:
    torch.manual_seed(3)
    state: Any = normal(6, 4) if with_state else None
    if with_state and cls is torch.nn.LSTMCell:
        state = (state, normal(6, 4) * 3)
    compare(cls(5, 4, bias=bias), normal(6, 5) * 2, state, True)
    count(cls.__name__, "compared")


def test_dropout_between_layers_is_scaled_as_pytorch_s() -> None:
    """The masks differ; their share and their scale do not."""
    layer = nn.RNN(4, 400, layers=2, dropout=0.25, activation="relu")
    cell = layer.cells[1]
    cell.input_weight = rg.eye(400)
    cell.hidden_weight = rg.zeros((400, 400))
    cell.input_bias = cell.hidden_bias = rg.zeros((400,))
    x = normal(8, 5, 4).numpy()
    kept = np.asarray(layer.eval()(x)[0])
    dropped = np.asarray(layer.train()(x)[0])
    there = kept > 0
    gone = (dropped == 0)[there].mean()
    assert 0.23 < gone < 0.27
    survivors = there & (dropped != 0)
    assert np.allclose(dropped[survivors], kept[survivors] / 0.75)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_initial_distributions(name: str) -> None:
    ours = nn.torch_state(getattr(nn, name)(20, 60, layers=2))
    theirs = getattr(torch.nn, name)(20, 60, 2).state_dict()
    assert sorted(ours) == sorted(theirs)
    for key, value in ours.items():
        assert value.shape == tuple(theirs[key].shape)
        assert value.std() == pytest.approx(float(theirs[key].std()), rel=0.2)
        assert np.abs(value).max() == pytest.approx(60**-0.5, rel=0.12)
        assert np.abs(value).max() <= 60**-0.5


def test_the_comparison_can_fail() -> None:
    theirs = torch.nn.LSTM(3, 4, batch_first=True).to(torch.float64)
    original = convert

    def wrong(module: Any) -> Any:
        layer = original(module)
        layer.cells[0].hidden_weight = layer.cells[0].hidden_weight * (1 + 1e-7)
        return layer

    globals()["convert"] = wrong
    try:
        with pytest.raises(AssertionError):
            compare(theirs, normal(2, 6, 3), None, True)
    finally:
        globals()["convert"] = original


def test_enough_is_compared(tables: dict[str, list[str]]) -> None:
    """The last of this file: what was compared, and that it was enough."""
    lines = [f"{name:24} {outcomes['compared']:9}" for name, outcomes in sorted(COUNTS.items())]
    compared = sum(outcomes["compared"] for outcomes in COUNTS.values())
    lines.append(f"{len(COUNTS)} modules; cases compared: {compared}")
    tables["recurrent layers against PyTorch"] = lines
    if len(COUNTS) < len(CELLS) + len(LAYERS):
        pytest.skip("only a part of the modules was run")
    assert compared >= SMALLEST_NUMBER_OF_CASES

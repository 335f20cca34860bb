"""What every layer must do. Layers are found by themselves; the table must name each of them."""

from __future__ import annotations

import copy
import inspect
import json
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.nn.layer import Layer
from retrograd.testing import check_gradients
from tests.nn import examples
from tests.nn.attention_examples import ATTENTION
from tests.nn.examples import Example
from tests.nn.helpers import (
    assert_same_state,
    assert_trees_equal,
    snapshot,
    to_float64,
)
from tests.nn.recurrent_examples import RECURRENT

TABLE = examples.TABLE | RECURRENT | ATTENTION
LAYERS = sorted(
    name
    for name in nn.__all__
    if inspect.isclass(getattr(nn, name))
    and issubclass(getattr(nn, name), nn.Module)
    and getattr(nn, name) is not nn.Module
)
CASES = [
    pytest.param(name, example, id=f"{name}-{number}")
    for name, examples in sorted(TABLE.items())
    for number, example in enumerate(examples)
]
for_every_layer = pytest.mark.parametrize(("name", "example"), CASES)


def build(name: str, arguments: dict[str, Any]) -> Layer:
    if name == "Sequential":
        return nn.Sequential(*copy.deepcopy(arguments["layers"]))
    return getattr(nn, name)(**arguments)


def make_input(name: str, example: Example, dtype: str = "float64", seed: int = 1) -> Any:
    if name == "Embedding":
        return np.random.default_rng(seed).integers(0, 7, example.input)
    return example.shaped(dtype, seed)


def main_output(result: Any) -> Any:
    """The outputs of a layer that returns a state beside them."""
    return rg.tree.leaves(result)[0]


def apply(layer: Any, x: Any) -> Any:
    """The layer's value; a decoder's memory is its input."""
    if isinstance(layer, (nn.TransformerDecoder, nn.TransformerDecoderLayer)):
        return layer(x, x)
    return layer(x)


def flat(module: nn.Module, trainable: bool) -> dict[str, tuple[int, ...]]:
    wanted = module.parameters() if trainable else module.state()
    paths = rg.tree.paths(wanted)
    return {path: leaf.shape for path, leaf in zip(paths, rg.tree.flatten(wanted)[0], strict=True)}


def test_the_table_names_every_layer() -> None:
    assert LAYERS == sorted(TABLE)


@for_every_layer
def test_every_layer_is_final_and_says_what_it_is(name: str, example: Example) -> None:
    cls = getattr(nn, name)
    assert cls.__name__ == name
    assert not cls.__subclasses__()
    assert ">>>" in cls.__doc__
    assert list(inspect.signature(cls.__init__).parameters)[0] == "self"


@for_every_layer
def test_parameters_and_buffers(name: str, example: Example) -> None:
    layer = build(name, example.arguments)
    assert flat(layer, True) == example.parameters
    assert flat(layer, False) == dict(sorted({**example.parameters, **example.buffers}.items()))
    assert flat(layer.freeze(), True) == {}
    assert all(array.dtype == np.float32 for array in layer.named_state().values())


@for_every_layer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_output_shape_and_dtype(name: str, example: Example, dtype: str) -> None:
    layer = build(name, example.arguments)
    if dtype == "float64":
        to_float64(layer)
    x = make_input(name, example, dtype)
    for mode in (True, False):
        y = main_output(apply(layer.train(mode), x))
        assert y.shape == example.output
        assert y.dtype == np.dtype(dtype)


@for_every_layer
def test_inputs_are_cast_to_the_dtype_of_the_parameters(name: str, example: Example) -> None:
    if name == "Embedding":
        pytest.skip("takes integers only")
    layer = build(name, example.arguments)
    x = np.round(make_input(name, example) * 3)
    expected = np.asarray(main_output(apply(layer.eval(), x.astype("float32"))))
    others = ["int32", "int64"] + (["float64"] if example.parameters else [])
    for dtype in others:
        y = main_output(apply(layer, x.astype(dtype)))
        assert np.array_equal(np.asarray(y), expected), dtype
        keeps_integers = name in ("Identity", "ReLU", "ReLU6", "HardTanh", "Flatten")
        if not keeps_integers and "MaxPool" not in name and example.arguments != {"layers": []}:
            assert y.dtype == np.float32, dtype


@for_every_layer
@pytest.mark.parametrize("training", [True, False])
def test_gradients(name: str, example: Example, training: bool) -> None:
    if not np.prod(example.output):
        pytest.skip("no elements")
    layer = build(name, example.arguments).train(training)
    x = make_input(name, example)
    if not example.parameters and name == "Embedding":
        pytest.skip("nothing floating")
    # That scan is right in second order is tested where scan is.
    # The parts of a transformer have their second derivatives checked by themselves.
    first = name in ("Conv3d", "RNN", "LSTM", "GRU") or name.startswith("Transformer")
    order = 1 if first else 2

    def call(layer: nn.Module, x: Any) -> Any:
        return apply(layer, x)

    if name == "BatchNorm" and training:
        # Its running statistics change, which is an error inside the second derivative.
        order = 1
    check_gradients(call, layer, x, order=order)


@for_every_layer
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("executor", ["numpy", "native"])
def test_compiled_is_eager(name: str, example: Example, training: bool, executor: str) -> None:
    rounding = 0.0 if executor == "numpy" else 1e-5
    eager = build(name, example.arguments).train(training)
    compiled = copy.deepcopy(eager)
    program = rg.compile(apply, executor=executor)
    for seed in (1, 2):
        x = make_input(name, example, "float32", seed)
        rg.seed(seed)
        expected = apply(eager, x)
        rg.seed(seed)
        assert_trees_equal(program(compiled, x), expected, rounding)
        assert_same_state(snapshot(compiled), snapshot(eager), rounding)
    assert program.trace_count == 1


@for_every_layer
def test_modes(name: str, example: Example) -> None:
    layer = build(name, example.arguments)
    x = make_input(name, example)
    assert layer.training
    first, second = apply(layer, x), apply(layer, x)
    if example.random and example.arguments.get("p", 0) < 1:
        assert not np.array_equal(np.asarray(first), np.asarray(second))
    else:
        assert_trees_equal(first, second)
    assert not layer.eval().training
    assert all(not inner.training for _, inner in layer.modules())
    assert_trees_equal(apply(layer, x), apply(layer, x))


@for_every_layer
@pytest.mark.parametrize("training", [True, False])
def test_a_call_changes_nothing_but_buffers_while_training(
    name: str, example: Example, training: bool
) -> None:
    layer = build(name, example.arguments).train(training)
    before, attributes = snapshot(layer), set(layer.__dict__)
    x = make_input(name, example)
    kept = x.copy()
    apply(layer, x)
    after = snapshot(layer)
    assert np.array_equal(x, kept)
    assert set(layer.__dict__) == attributes
    for path, value in before.items():
        changed = not np.array_equal(value, after[path])
        assert changed == (training and path in example.buffers), path


@for_every_layer
def test_config_builds_the_same_layer(name: str, example: Example) -> None:
    layer = build(name, example.arguments)
    form = json.loads(json.dumps(nn.describe_layer(layer)))
    state = rg.random.default_generator().state
    built = nn.build_layer(form)
    assert rg.random.default_generator().state is state
    assert type(built) is type(layer)
    assert built.config() == layer.config()
    built.load_state(layer.named_state())
    x = make_input(name, example)
    assert_trees_equal(apply(built.eval(), x), apply(layer.eval(), x))
    if name != "Sequential":
        # All arguments of the constructor, by name.
        bare = type(layer).__init__ is object.__init__
        signature = [] if bare else list(inspect.signature(type(layer).__init__).parameters)[1:]
        assert sorted(layer.config()) == sorted(signature)
        assert type(layer)(**layer.config()).config() == layer.config()


@for_every_layer
def test_state_round_trip_and_deepcopy(name: str, example: Example) -> None:
    layer, other = build(name, example.arguments), build(name, example.arguments)
    x = make_input(name, example)
    apply(layer.train(), x)  # moves the running statistics
    other.load_state(layer.named_state())
    assert_same_state(snapshot(layer), snapshot(other))
    assert_trees_equal(apply(layer.eval(), x), apply(other.eval(), x))
    twin = copy.deepcopy(layer)
    assert_same_state(snapshot(layer), snapshot(twin))
    assert_trees_equal(apply(layer, x), apply(twin, x))
    twin.replace_arrays({id(a): a + 1.0 for a in twin.named_state().values()})
    assert_same_state(snapshot(layer), snapshot(other))


@for_every_layer
def test_wrong_inputs(name: str, example: Example) -> None:
    layer = build(name, example.arguments)
    before = snapshot(layer)
    for shape in example.wrong_inputs:
        with pytest.raises(rg.errors.ShapeError) as caught:
            apply(layer, np.zeros(shape, "float32"))
        assert not shape or str(shape) in str(caught.value)
        if name not in ("Softmax", "Sequential") and "Pool" not in name:
            assert name in str(caught.value) or "conv" in str(caught.value)
    for wrong in (None, "text", object()):
        if name != "Sequential" or example.arguments["layers"]:
            with pytest.raises(rg.RetrogradError):
                apply(layer, wrong)
    assert_same_state(before, snapshot(layer))


@for_every_layer
def test_wrong_arguments(name: str, example: Example) -> None:
    for arguments in example.wrong_arguments:
        with pytest.raises(rg.RetrogradError) as caught:
            build(name, arguments)
        assert name in str(caught.value), arguments


def test_the_path_is_named_where_it_is_known() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.relu, nn.Linear(7, 3)))
    with pytest.raises(rg.errors.ShapeError) as caught:
        rg.compile(lambda model, x: model(x))(model, np.ones((2, 4), "float32"))
    message = str(caught.value)
    assert "Linear (layers.1.layers.1)" in message
    assert "(..., 7)" in message
    assert "(2, 8)" in message
    assert "test_contract.py" in message

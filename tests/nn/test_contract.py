"""What every layer must do. Layers are found by themselves; the table must name each of them."""

from __future__ import annotations

import copy
import inspect
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from retrograd.nn.layer import Layer
from retrograd.testing import check_gradients
from tests.nn.helpers import (
    assert_same_state,
    assert_trees_equal,
    draw,
    snapshot,
    to_float64,
)


@dataclass(frozen=True)
class Example:
    """How to build a layer, what it takes and gives, and what it must refuse."""

    arguments: dict[str, Any]
    input: tuple[int, ...]
    output: tuple[int, ...]
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)
    buffers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    wrong_inputs: tuple[tuple[int, ...], ...] = ()
    wrong_arguments: tuple[dict[str, Any], ...] = ()
    random: bool = False
    name: str = ""

    def shaped(self, dtype: str = "float64", seed: int = 1) -> Any:
        # Away from corners of activations, and no ties for a maximum.
        return draw(*self.input, seed=seed, dtype=dtype) * 1.7 + 0.013


def activation(**arguments: Any) -> Example:
    return Example(arguments, (3, 4), (3, 4))


SIZES = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
BAD_SIZES = (
    {**SIZES, "kernel_size": 0},
    {**SIZES, "kernel_size": 2.5},
    {**SIZES, "in_channels": True},
    {**SIZES, "out_channels": -1},
    {**SIZES, "stride": 0},
    {**SIZES, "dilation": 0},
    {**SIZES, "groups": 3},
    {**SIZES, "groups": 0},
    {**SIZES, "bias": 1},
    {**SIZES, "init": "he"},
    {**SIZES, "init": 3},
    {**SIZES, "init": nn.init.Zeros},
    {**SIZES, "padding": "full"},
    {**SIZES, "padding": "same", "stride": 2},
)

TABLE: dict[str, list[Example]] = {
    "AvgPool1d": [
        Example({"kernel_size": 2}, (2, 7, 3), (2, 3, 3), wrong_inputs=((2, 7), (2, 1, 3))),
        Example({"kernel_size": 3, "stride": 2, "padding": 1}, (2, 7, 3), (2, 4, 3)),
        Example(
            {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
            (2, 7, 3),
            (2, 4, 3),
            wrong_arguments=(
                {"kernel_size": 2, "padding": 2},
                {"kernel_size": 0},
                {"kernel_size": 2, "count_include_pad": 1},
            ),
        ),
    ],
    "AvgPool2d": [
        Example({"kernel_size": 2}, (2, 4, 6, 3), (2, 2, 3, 3), wrong_inputs=((2, 4, 6), (4,))),
        Example(
            {"kernel_size": [3, 2], "stride": 1, "padding": [1, 0]}, (2, 4, 5, 2), (2, 4, 4, 2)
        ),
    ],
    "BatchNorm": [
        Example(
            {"features": 3},
            (5, 3),
            (5, 3),
            {"bias": (3,), "weight": (3,)},
            {"running_mean": (3,), "running_var": (3,)},
            wrong_inputs=((5, 4), (), (1, 3), (0, 3)),
            wrong_arguments=(
                {"features": 0},
                {"features": 3, "momentum": 2.0},
                {"features": 3, "eps": -1.0},
                {"features": 3, "momentum": float("nan")},
                {"features": 3, "momentum": None},
            ),
        ),
        Example(
            {"features": 2, "momentum": 0.3, "eps": 1e-3},
            (3, 2, 4, 2),
            (3, 2, 4, 2),
            {"bias": (2,), "weight": (2,)},
            {"running_mean": (2,), "running_var": (2,)},
        ),
    ],
    "Conv1d": [
        Example(
            SIZES,
            (2, 7, 4),
            (2, 5, 6),
            {"bias": (6,), "weight": (3, 4, 6)},
            wrong_inputs=((2, 7, 5), (7, 4), (2, 4, 7), (2, 2, 4)),
            wrong_arguments=BAD_SIZES,
        ),
        Example(
            {**SIZES, "stride": 2, "padding": [[1, 0]], "dilation": 2, "groups": 2, "bias": False},
            (2, 8, 4),
            (2, 3, 6),
            {"weight": (3, 2, 6)},
        ),
    ],
    "Conv2d": [
        Example(
            {**SIZES, "padding": "same"},
            (2, 4, 5, 4),
            (2, 4, 5, 6),
            {"bias": (6,), "weight": (3, 3, 4, 6)},
            wrong_inputs=((2, 4, 5, 3), (4, 5, 4), (2, 4, 5, 6, 4)),
            wrong_arguments=BAD_SIZES,
        ),
        Example(
            {
                **SIZES,
                "kernel_size": [3, 2],
                "stride": [2, 1],
                "padding": [1, 0],
                "groups": 2,
                "init": "he_normal",
            },
            (2, 5, 4, 4),
            (2, 3, 3, 6),
            {"bias": (6,), "weight": (3, 2, 2, 6)},
        ),
    ],
    "Conv3d": [
        Example(
            {**SIZES, "in_channels": 2, "out_channels": 2, "kernel_size": 2, "stride": 2},
            (1, 4, 3, 2, 2),
            (1, 2, 1, 1, 2),
            {"bias": (2,), "weight": (2, 2, 2, 2, 2)},
            wrong_inputs=((1, 4, 3, 2, 3), (4, 3, 2, 2)),
            wrong_arguments=BAD_SIZES,
        ),
    ],
    "ConvTranspose2d": [
        Example(
            {**SIZES, "stride": 2, "padding": 1, "output_padding": 1},
            (2, 3, 2, 4),
            (2, 6, 4, 6),
            {"bias": (6,), "weight": (3, 3, 4, 6)},
            wrong_inputs=((2, 3, 2, 3), (3, 2, 4)),
            wrong_arguments=(*BAD_SIZES, {**SIZES, "output_padding": 1}),
        ),
        Example(
            {**SIZES, "groups": 2, "bias": False, "dilation": 2},
            (1, 2, 2, 4),
            (1, 6, 6, 6),
            {"weight": (3, 3, 4, 3)},
        ),
    ],
    "Dropout": [
        Example(
            {"p": 0.4},
            (6, 5),
            (6, 5),
            random=True,
            wrong_arguments=({"p": -0.1}, {"p": 1.1}, {"p": "0.5"}, {"p": float("nan")}),
        ),
        Example({"p": 0.0}, (3,), (3,)),
        Example({"p": 1.0}, (3,), (3,), random=True),
    ],
    "ELU": [
        activation(),
        Example({"alpha": 0.5}, (4,), (4,), wrong_arguments=({"alpha": "a"},)),
    ],
    "Embedding": [
        Example(
            {"n": 7, "features": 3},
            (2, 4),
            (2, 4, 3),
            {"weight": (7, 3)},
            wrong_arguments=({"n": 0, "features": 3}, {"n": 3, "features": 1.5}),
        ),
        Example({"n": 7, "features": 2, "init": "zeros"}, (), (2,), {"weight": (7, 2)}),
    ],
    "Flatten": [
        Example({}, (2, 3, 4), (2, 12), wrong_inputs=((),)),
        Example({}, (2,), (2, 1)),
        Example({}, (0, 3, 2), (0, 6)),
    ],
    "GELU": [
        activation(),
        Example({"approximate": "tanh"}, (4,), (4,), wrong_arguments=({"approximate": "yes"},)),
    ],
    "HardSigmoid": [activation()],
    "HardSwish": [activation()],
    "HardTanh": [activation()],
    "Identity": [activation()],
    "LayerNorm": [
        Example(
            {"features": 4},
            (2, 3, 4),
            (2, 3, 4),
            {"bias": (4,), "weight": (4,)},
            wrong_inputs=((2, 3), ()),
            wrong_arguments=({"features": -1}, {"features": 3, "eps": float("inf")}),
        ),
        Example({"features": 4}, (0, 4), (0, 4), {"bias": (4,), "weight": (4,)}),
    ],
    "LeakyReLU": [
        activation(),
        Example({"negative_slope": 0.3}, (4,), (4,), wrong_arguments=({"negative_slope": None},)),
    ],
    "Linear": [
        Example(
            {"in_features": 4, "out_features": 3},
            (5, 4),
            (5, 3),
            {"bias": (3,), "weight": (4, 3)},
            wrong_inputs=((5, 3), ()),
            wrong_arguments=(
                {"in_features": 0, "out_features": 3},
                {"in_features": 2, "out_features": 3.0},
                {"in_features": 2, "out_features": True},
                {"in_features": 2, "out_features": 3, "bias": None},
                {"in_features": 2, "out_features": 3, "init": "unknown"},
                {"in_features": 2, "out_features": 3, "init": lambda shape: np.zeros(shape[::-1])},
                {"in_features": 2, "out_features": 3, "init": {"name": "Linear"}},
            ),
        ),
        Example(
            {"in_features": 4, "out_features": 3, "bias": False, "init": "orthogonal"},
            (2, 1, 4),
            (2, 1, 3),
            {"weight": (4, 3)},
        ),
        Example(
            {"in_features": 4, "out_features": 3}, (4,), (3,), {"bias": (3,), "weight": (4, 3)}
        ),
        Example(
            {"in_features": 4, "out_features": 3}, (0, 4), (0, 3), {"bias": (3,), "weight": (4, 3)}
        ),
    ],
    "LogSoftmax": [activation(), activation(axis=0)],
    "MaxPool1d": [
        Example({"kernel_size": 2}, (2, 7, 3), (2, 3, 3), wrong_inputs=((2, 7), (2, 1, 3))),
        Example(
            {"kernel_size": 3, "stride": 1, "padding": 1},
            (2, 5, 2),
            (2, 5, 2),
            wrong_arguments=({"kernel_size": 2, "padding": -1}, {"kernel_size": 2, "stride": 0}),
        ),
    ],
    "MaxPool2d": [
        Example({"kernel_size": 2}, (2, 4, 6, 3), (2, 2, 3, 3), wrong_inputs=((2, 4, 6), (4,))),
        Example(
            {"kernel_size": [3, 2], "stride": 1, "padding": [1, 0]}, (2, 4, 5, 2), (2, 4, 4, 2)
        ),
    ],
    "Mish": [activation()],
    "PReLU": [
        Example({}, (3, 4), (3, 4), {"weight": (1,)}),
        Example(
            {"features": 4, "slope": 0.1},
            (3, 4),
            (3, 4),
            {"weight": (4,)},
            wrong_inputs=((4, 3),),
            wrong_arguments=({"features": 0}, {"slope": "a"}),
        ),
    ],
    "ReLU": [activation()],
    "ReLU6": [activation()],
    "Rescale": [
        Example({"scale": 2.0}, (3, 4), (3, 4)),
        Example(
            {"scale": [1.0, 2.0, 4.0], "offset": [0.5, 0.0, -1.0]},
            (2, 3),
            (2, 3),
            wrong_inputs=((2, 4), ()),
            wrong_arguments=({"scale": "1"}, {"scale": []}, {"scale": 1.0, "offset": float("inf")}),
        ),
    ],
    "SELU": [activation()],
    "Sequential": [
        Example(
            {"layers": [nn.Linear(4, 5), nn.tanh, nn.Linear(5, 2)]},
            (3, 4),
            (3, 2),
            {
                "layers.0.bias": (5,),
                "layers.0.weight": (4, 5),
                "layers.2.bias": (2,),
                "layers.2.weight": (5, 2),
            },
            wrong_inputs=((3, 5),),
            wrong_arguments=(
                {"layers": [nn.ReLU]},
                {"layers": [[nn.ReLU()]]},
                {"layers": [3]},
                {"layers": [None]},
                {"layers": [rg.array(1.0)]},
            ),
        ),
        Example({"layers": []}, (2,), (2,)),
    ],
    "SiLU": [activation()],
    "Sigmoid": [activation()],
    "Softmax": [
        activation(),
        Example({"axis": 0}, (3, 2), (3, 2), wrong_arguments=({"axis": 1.5},), wrong_inputs=((),)),
    ],
    "Softplus": [
        activation(),
        Example({"beta": 2.0}, (4,), (4,), wrong_arguments=({"beta": 0}, {"beta": -1})),
    ],
    "Softsign": [activation()],
    "Tanh": [activation()],
}

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
        y = layer.train(mode)(x)
        assert y.shape == example.output
        assert y.dtype == np.dtype(dtype)


@for_every_layer
def test_inputs_are_cast_to_the_dtype_of_the_parameters(name: str, example: Example) -> None:
    if name == "Embedding":
        pytest.skip("takes integers only")
    layer = build(name, example.arguments)
    x = np.round(make_input(name, example) * 3)
    expected = np.asarray(layer.eval()(x.astype("float32")))
    others = ["int32", "int64"] + (["float64"] if example.parameters else [])
    for dtype in others:
        y = layer(x.astype(dtype))
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
    order = 1 if name == "Conv3d" else 2

    def call(layer: nn.Module, x: Any) -> Any:
        return layer(x)

    if name == "BatchNorm" and training:
        # Its running statistics change, which is an error inside the second derivative.
        order = 1
    check_gradients(call, layer, x, order=order)


@for_every_layer
@pytest.mark.parametrize("training", [True, False])
def test_compiled_is_eager(name: str, example: Example, training: bool) -> None:
    eager = build(name, example.arguments).train(training)
    compiled = copy.deepcopy(eager)
    program = rg.compile(lambda layer, x: layer(x))
    for seed in (1, 2):
        x = make_input(name, example, "float32", seed)
        rg.seed(seed)
        expected = eager(x)
        rg.seed(seed)
        assert_trees_equal(program(compiled, x), expected)
        assert_same_state(snapshot(compiled), snapshot(eager))
    assert program.trace_count == 1


@for_every_layer
def test_modes(name: str, example: Example) -> None:
    layer = build(name, example.arguments)
    x = make_input(name, example)
    assert layer.training
    first, second = layer(x), layer(x)
    if example.random and example.arguments["p"] < 1:
        assert not np.array_equal(np.asarray(first), np.asarray(second))
    else:
        assert_trees_equal(first, second)
    assert not layer.eval().training
    assert all(not inner.training for _, inner in layer.modules())
    assert_trees_equal(layer(x), layer(x))


@for_every_layer
@pytest.mark.parametrize("training", [True, False])
def test_a_call_changes_nothing_but_buffers_while_training(
    name: str, example: Example, training: bool
) -> None:
    layer = build(name, example.arguments).train(training)
    before, attributes = snapshot(layer), set(layer.__dict__)
    x = make_input(name, example)
    kept = x.copy()
    layer(x)
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
    assert_trees_equal(built.eval()(x), layer.eval()(x))
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
    layer.train()(x)  # moves the running statistics
    other.load_state(layer.named_state())
    assert_same_state(snapshot(layer), snapshot(other))
    assert_trees_equal(layer.eval()(x), other.eval()(x))
    twin = copy.deepcopy(layer)
    assert_same_state(snapshot(layer), snapshot(twin))
    assert_trees_equal(layer(x), twin(x))
    twin.replace_arrays({id(a): a + 1.0 for a in twin.named_state().values()})
    assert_same_state(snapshot(layer), snapshot(other))


@for_every_layer
def test_wrong_inputs(name: str, example: Example) -> None:
    layer = build(name, example.arguments)
    before = snapshot(layer)
    for shape in example.wrong_inputs:
        with pytest.raises(rg.errors.ShapeError) as caught:
            layer(np.zeros(shape, "float32"))
        assert not shape or str(shape) in str(caught.value)
        if name not in ("Softmax", "Sequential") and "Pool" not in name:
            assert name in str(caught.value) or "conv" in str(caught.value)
    for wrong in (None, "text", object()):
        if name != "Sequential" or example.arguments["layers"]:
            with pytest.raises(rg.RetrogradError):
                layer(wrong)
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

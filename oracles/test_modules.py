"""Our layers against PyTorch's modules in float64: values, gradients, running statistics.

On the inputs of PyTorch's own module tests and on cases by hand, among them the corners of the
activations. Gradients are those of a random cotangent, by the input and by every parameter.
"""

from __future__ import annotations

import collections
import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import retrograd as rg
from adapters import Skip
from modules import CONVERTERS, RANKS, kernel_order
from retrograd import nn
from test_operators import check_close

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_modules import module_db

TOLERANCE = 1e-12
SMALLEST_NUMBER_OF_CASES = 250
INFOS = {info.module_cls: info for info in module_db if info.module_cls in CONVERTERS}
COUNTS: dict[str, collections.Counter[str]] = {}
# Where PyTorch's own float64 gradient is less exact.
LOOSER_TOLERANCES = {
    "Hardsigmoid": 1e-7,  # it multiplies by 1/6 rounded to float32
    "Hardswish": 1e-7,  # it multiplies by 1/3 rounded to float32
    "Softplus": 3e-9,  # it is the identity above 20, where log(1 + exp(-20)) is left out
}


def to_channels_last(x: Any, cls: type) -> Any:
    """Our layout of an input: a batch axis where it is missing, channels last."""
    rank = RANKS.get(cls)
    if rank is None or x.ndim < 2:
        return x
    if x.ndim == rank + 1 and rank and not issubclass(cls, torch.nn.BatchNorm1d):
        x = rg.expand_dims(x, 0)
    return rg.moveaxis(x, 1, -1)


def to_channels_first(y: Any, shape: tuple[int, ...], cls: type) -> Any:
    """PyTorch's layout of an output."""
    if RANKS.get(cls) is None or y.ndim < 2:
        return y
    y = rg.moveaxis(y, -1, 1)
    return rg.squeeze(y, axis=0) if y.ndim > len(shape) else y


def gradients_of(theirs: torch.nn.Module) -> dict[str, torch.Tensor]:
    """PyTorch's gradients by our names and in our layout."""
    found = {}
    for name, parameter in theirs.named_parameters():
        gradient = parameter.grad
        assert gradient is not None
        if name == "weight" and isinstance(theirs, torch.nn.Linear):
            gradient = gradient.permute(1, 0)
        elif name == "weight" and isinstance(theirs, torch.nn.modules.conv._ConvNd):
            transposed = isinstance(theirs, torch.nn.ConvTranspose2d)
            gradient = gradient.permute(kernel_order(RANKS[type(theirs)], transposed))
        found[name] = gradient
    return found


def compare(theirs: Any, x: torch.Tensor, training: bool) -> None:
    """One call of both sides, forward and backward."""
    cls = type(theirs)
    theirs = copy.deepcopy(theirs).to(torch.float64).train(training)
    tolerance = LOOSER_TOLERANCES.get(cls.__name__, TOLERANCE)
    ours: Any = CONVERTERS[cls](theirs).train(training)
    floating = x.dtype == torch.float64
    x = x.detach().clone().requires_grad_(floating)
    array = rg.array(x.detach().numpy().copy())
    if array.ndim == 0 and hasattr(ours, "axis"):
        raise Skip("an axis of a single number")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # uneven padding costs PyTorch a copy
        expected = theirs(x)
    shape = tuple(expected.shape)

    def call(layer: Any, array: Any) -> Any:
        return to_channels_first(layer(to_channels_last(array, cls)), shape, cls)

    cotangent = np.random.default_rng(0).standard_normal(shape)
    if floating or list(theirs.parameters()):
        expected.backward(torch.from_numpy(np.asarray(cotangent)))
    if floating:
        value, pullback = rg.vjp(call, ours, array)
        parameter_gradients, gradient = pullback(rg.array(cotangent))
        check_close(gradient, x.grad, "gradient by the input", tolerance)
    else:
        value, pullback = rg.vjp(lambda layer: call(layer, array), ours)
        (parameter_gradients,) = pullback(rg.array(cotangent))
    check_close(value, expected, "value", tolerance)
    for name, gradient in gradients_of(theirs).items():
        check_close(parameter_gradients[name], gradient, f"gradient by {name}", tolerance)
    for name in ("running_mean", "running_var"):
        if hasattr(theirs, name):
            check_close(getattr(ours, name), getattr(theirs, name), name, tolerance)


def count(name: str, outcome: str) -> None:
    COUNTS.setdefault(name, collections.Counter())[outcome] += 1


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cls", sorted(INFOS, key=lambda cls: cls.__name__))
def test_the_inputs_of_pytorch_s_tests(cls: type, training: bool) -> None:
    torch.manual_seed(0)
    info = INFOS[cls]
    inputs = info.module_inputs_func(
        info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
    )
    for given in inputs:
        arguments, keywords = given.constructor_input.args, given.constructor_input.kwargs
        described = f"{arguments} {keywords}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                forward = given.forward_input
                x = forward.args[0] if forward.args else forward.kwargs["input"]
                compare(cls(*arguments, **keywords), x, training)
        except Skip as reason:
            count(cls.__name__, str(reason))
        except Exception as error:
            pytest.fail(f"{cls.__name__} {described}: {type(error).__name__}: {error}")
        else:
            count(cls.__name__, "compared")


def normal(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


T = torch.nn
BY_HAND: list[tuple[Any, torch.Tensor]] = [
    (T.Linear(3, 4), normal(2, 5, 3)),
    (T.Linear(3, 4, bias=False), normal(3)),
    (T.Conv1d(4, 6, 5, stride=3, padding=4, dilation=2, groups=2), normal(2, 4, 11)),
    (T.Conv1d(2, 3, 4, padding="same", dilation=3), normal(2, 2, 9)),
    (
        T.Conv2d(3, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 3), groups=3),
        normal(2, 3, 8, 7),
    ),
    (T.Conv2d(4, 4, 3, groups=4, bias=False), normal(1, 4, 5, 5)),
    (T.Conv2d(1, 2, (4, 3), padding="same"), normal(2, 1, 6, 5)),
    (
        T.Conv3d(2, 4, (2, 3, 1), stride=(1, 2, 1), padding=(0, 1, 2), groups=2),
        normal(2, 2, 4, 5, 3),
    ),
    (
        T.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        normal(2, 4, 4, 3),
    ),
    (
        T.ConvTranspose2d(3, 2, (2, 3), stride=(1, 3), dilation=(3, 2), padding=(2, 0), bias=False),
        normal(2, 3, 3, 4),
    ),
    (T.MaxPool1d(3, 2, 1), normal(2, 3, 10)),
    (T.MaxPool2d((3, 2), (1, 2), (1, 0)), normal(2, 3, 6, 7)),
    (T.MaxPool2d(2), torch.ones(1, 1, 4, 4, dtype=torch.float64)),  # ties
    (T.AvgPool1d(3, 2, 1), normal(2, 3, 10)),
    (T.AvgPool1d(3, 2, 1, count_include_pad=False), normal(2, 3, 10)),
    (T.AvgPool2d((3, 2), (1, 2), (1, 1)), normal(2, 3, 6, 7)),
    (T.AvgPool2d(3, 2, 1, count_include_pad=False), normal(2, 3, 6, 7)),
    (T.BatchNorm1d(4), normal(6, 4)),
    (T.BatchNorm1d(4, eps=1e-3, momentum=0.3), normal(3, 4, 5) * 10 + 3),
    (T.BatchNorm2d(3), normal(4, 3, 2, 5)),
    (T.LayerNorm(7), normal(2, 3, 7) * 5 - 1),
    (T.LayerNorm(4, eps=1e-2), normal(4)),
    (T.Embedding(9, 4), torch.tensor([[1, 8, 1], [0, 1, 5]])),
    (T.Embedding(9, 4, padding_idx=5), torch.tensor([[1, 8, 1], [0, 5, 5]])),
    (T.Flatten(), normal(2, 3, 4)),
    (T.PReLU(), normal(3, 4)),
    (T.PReLU(3), normal(2, 3, 4)),
    (T.Softmax(dim=1), normal(2, 3, 4) * 50),
    (T.LogSoftmax(dim=-1), normal(2, 3, 4) * 50),
]
CORNERS = torch.tensor(
    [
        -1e4,
        -100.0,
        -19.0,
        -6.0,
        -3.0,
        -1.0,
        -0.5,
        -1e-8,
        0.0,
        1e-8,
        0.5,
        1.0,
        3.0,
        6.0,
        19.0,
        100.0,
        1e4,
    ],
    dtype=torch.float64,
)
ACTIVATIONS: list[Any] = [
    T.ELU(), T.ELU(0.5), T.GELU(), T.GELU("tanh"), T.Hardsigmoid(), T.Hardswish(), T.Hardtanh(),
    T.Identity(), T.LeakyReLU(), T.LeakyReLU(0.3), T.Mish(), T.PReLU(), T.ReLU(), T.ReLU6(),
    T.SELU(), T.SiLU(), T.Sigmoid(), T.Softplus(), T.Softplus(2.0), T.Softsign(), T.Tanh(),
]  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("theirs", "x"), BY_HAND, ids=lambda value: type(value).__name__)
def test_by_hand(theirs: Any, x: torch.Tensor, training: bool) -> None:
    compare(theirs, x, training)
    count(type(theirs).__name__, "compared")


@pytest.mark.parametrize("theirs", ACTIVATIONS, ids=repr)
def test_corners_of_activations(theirs: Any) -> None:
    compare(theirs, CORNERS, True)
    count(type(theirs).__name__, "compared")


@pytest.mark.parametrize("momentum", [0.1, 0.4])
def test_running_statistics_over_three_steps(momentum: float) -> None:
    theirs = T.BatchNorm2d(3, momentum=momentum, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight.copy_(normal(3))
        theirs.bias.copy_(normal(3) * 2)
    ours: Any = CONVERTERS[T.BatchNorm2d](theirs)
    step = rg.compile(lambda layer, x: layer(x))
    for number in range(4):
        x = normal(5, 3, 4, 2) * (number + 1) + number
        if number == 3:
            theirs.eval()
            ours.eval()
        value = rg.moveaxis(step(ours, x.numpy().transpose(0, 2, 3, 1)), -1, 1)
        check_close(value, theirs(x), f"step {number}", TOLERANCE)
        for name in ("running_mean", "running_var"):
            check_close(getattr(ours, name), getattr(theirs, name), name, TOLERANCE)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nn.Linear(60, 400), T.Linear(60, 400)),
        (nn.Conv1d(12, 200, 7), T.Conv1d(12, 200, 7)),
        (nn.Conv2d(8, 128, (3, 5), groups=4), T.Conv2d(8, 128, (3, 5), groups=4)),
        (nn.Conv3d(4, 64, 3), T.Conv3d(4, 64, 3)),
        (nn.ConvTranspose2d(64, 32, 3, groups=2), T.ConvTranspose2d(64, 32, 3, groups=2)),
        (nn.Embedding(200, 100), T.Embedding(200, 100)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_initial_distributions(ours: Any, theirs: Any) -> None:
    for name, parameter in theirs.named_parameters():
        a, b = np.asarray(getattr(ours, name)), parameter.detach().numpy()
        assert a.size == b.size
        rough = 0.04 if a.size > 2000 else 0.25
        assert a.std() == pytest.approx(b.std(), rel=rough)
        if type(ours) is not nn.Embedding:
            assert np.abs(a).max() == pytest.approx(np.abs(b).max(), rel=rough / 2)


@pytest.mark.parametrize("shape", [(40, 300), (3, 3, 20, 64)])
def test_initialisers(shape: tuple[int, ...]) -> None:
    order = tuple(reversed(range(len(shape))))  # (out, in, *kernel)
    for ours, theirs in (
        (nn.init.XavierUniform(2.0), lambda w: T.init.xavier_uniform_(w, 2.0)),
        (nn.init.XavierNormal(), T.init.xavier_normal_),
        (nn.init.HeUniform(), lambda w: T.init.kaiming_uniform_(w, nonlinearity="relu")),
        (nn.init.HeNormal("fan_out"), lambda w: T.init.kaiming_normal_(
            w, mode="fan_out", nonlinearity="relu")),
        (nn.init.HeNormal(gain=1.0), lambda w: T.init.kaiming_normal_(w, nonlinearity="linear")),
    ):  # fmt: skip
        expected = theirs(torch.empty([shape[axis] for axis in order], dtype=torch.float64))
        assert np.asarray(ours(shape)).std() == pytest.approx(float(expected.std()), rel=0.04)


def test_gains() -> None:
    for name in ("linear", "sigmoid", "tanh", "relu", "selu"):
        assert nn.init.calculate_gain(name) == pytest.approx(T.init.calculate_gain(name))
    for slope in (0.01, 0.3):
        expected = T.init.calculate_gain("leaky_relu", slope)
        assert nn.init.calculate_gain("leaky_relu", slope) == pytest.approx(expected)


def test_the_comparison_can_fail() -> None:
    theirs = T.Linear(3, 2).to(torch.float64)
    good = CONVERTERS[T.Linear]
    for change, message in (
        ("weight", "value|gradient by the input"),
        ("bias", "value"),
    ):

        def wrong(module: Any, change: str = change) -> Any:
            layer = good(module)
            setattr(layer, change, getattr(layer, change) * (1.0 + 1e-9))
            return layer

        CONVERTERS[T.Linear] = wrong
        try:
            with pytest.raises(AssertionError, match=message):
                compare(theirs, normal(2, 3), True)
        finally:
            CONVERTERS[T.Linear] = good


def test_enough_is_compared(tables: dict[str, list[str]]) -> None:
    """The last of this file: what was compared, and that it was enough."""
    lines = [f"{'module':24} {'compared':>9} {'skipped':>8}  reasons"]
    for name, outcomes in sorted(COUNTS.items()):
        reasons = {reason: n for reason, n in outcomes.items() if reason != "compared"}
        listed = "; ".join(f"{reason} ({n})" for reason, n in reasons.items())
        skipped = sum(reasons.values())
        lines.append(f"{name:24} {outcomes['compared']:9} {skipped:8}  {listed}")
    compared = sum(outcomes["compared"] for outcomes in COUNTS.values())
    lines.append(f"{len(COUNTS)} modules; cases compared: {compared}")
    tables["modules against PyTorch"] = lines
    if {cls.__name__ for cls in CONVERTERS} - set(COUNTS):
        pytest.skip("only a part of the modules was run")
    assert compared >= SMALLEST_NUMBER_OF_CASES

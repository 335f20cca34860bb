"""Fifty steps of a small MLP in float64 with every combination of options, against PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import retrograd as rg
from retrograd import nn, optim

# Each case is a program of its own, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::retrograd.errors.RetraceWarning")
STEPS = 50
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(STEPS, 16, 6))
Y = np.sin(X[..., :2] * 2) + 0.1 * RANDOM.normal(size=(STEPS, 16, 2))
WEIGHTS = {
    "first": RANDOM.normal(size=(6, 8)) * 0.5,
    "first_bias": RANDOM.normal(size=8) * 0.1,
    "second": RANDOM.normal(size=(8, 2)) * 0.5,
    "second_bias": np.zeros(2),
}


class Perceptron(nn.Module):
    def __init__(self) -> None:
        self.first = rg.array(WEIGHTS["first"])
        self.first_bias = rg.array(WEIGHTS["first_bias"])
        self.second = rg.array(WEIGHTS["second"])
        self.second_bias = rg.array(WEIGHTS["second_bias"])

    def __call__(self, x: Any) -> Any:
        return rg.tanh(x @ self.first + self.first_bias) @ self.second + self.second_bias


@rg.compile
def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
    def loss_of(model: Any) -> Any:
        return ((model(x) - y) ** 2).mean()

    loss, gradients = rg.value_and_grad(loss_of)(model)
    optimizer.update(model, gradients)
    return loss


def compare(ours: Any, make_theirs: Any, clip: float | None = None, schedule: Any = None) -> None:
    """The same loss at each step and the same weights at the end, to 1e-9 relative."""
    model = Perceptron()
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in WEIGHTS.items()}
    theirs = make_theirs(leaves.values())
    scheduler = None if schedule is None else torch.optim.lr_scheduler.LambdaLR(theirs, schedule)
    for x, y in zip(X, Y, strict=True):
        loss = float(step(model, ours, x, y))
        hidden = torch.tanh(torch.tensor(x) @ leaves["first"] + leaves["first_bias"])
        outputs = hidden @ leaves["second"] + leaves["second_bias"]
        expected = ((outputs - torch.tensor(y)) ** 2).mean()
        theirs.zero_grad()
        expected.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(list(leaves.values()), clip)
        theirs.step()
        if scheduler is not None:
            scheduler.step()
        assert loss == pytest.approx(expected.item(), rel=1e-9)
    for name, leaf in leaves.items():
        wanted = leaf.detach().numpy()
        scale = np.abs(wanted).max()
        difference = np.abs(getattr(model, name).numpy() - wanted).max()
        assert difference <= 1e-9 * scale, name
        assert np.abs(wanted - WEIGHTS[name]).max() > 1e-3  # it has moved


@pytest.mark.parametrize(
    ("momentum", "nesterov", "weight_decay"),
    [
        options
        for options in itertools.product((0.0, 0.9), (False, True), (0.0, 0.05))
        if options[0] or not options[1]  # Nesterov's needs a momentum, in PyTorch too
    ],
)
def test_sgd(momentum: float, nesterov: bool, weight_decay: float) -> None:
    options: dict[str, Any] = {
        "momentum": momentum,
        "nesterov": nesterov,
        "weight_decay": weight_decay,
    }
    compare(optim.SGD(0.05, **options), lambda p: torch.optim.SGD(p, 0.05, **options))


ADAM_OPTIONS = list(
    itertools.product((1e-3, 0.05), ((0.9, 0.999), (0.0, 0.9)), (1e-8, 1e-3), (0.0, 0.05))
)


@pytest.mark.parametrize(("rate", "betas", "eps", "weight_decay"), ADAM_OPTIONS)
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_adam(name: str, rate: float, betas: Any, eps: float, weight_decay: float) -> None:
    options: dict[str, Any] = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
    compare(
        getattr(optim, name)(rate, **options),
        lambda p: getattr(torch.optim, name)(p, rate, **options),
    )


@pytest.mark.parametrize("initial", [0.0, 0.3])
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_adagrad(initial: float, weight_decay: float) -> None:
    compare(
        optim.Adagrad(0.05, initial=initial, weight_decay=weight_decay),
        lambda p: torch.optim.Adagrad(
            p, 0.05, initial_accumulator_value=initial, weight_decay=weight_decay
        ),
    )


SPARSE: dict[str, tuple[Any, Any]] = {
    "SGD": (lambda: optim.SGD(0.05), lambda p: torch.optim.SGD(p, 0.05)),
    "Adagrad": (lambda: optim.Adagrad(0.05), lambda p: torch.optim.Adagrad(p, 0.05)),
    # Its eps is not corrected for the start at zero, as in the paper's second form: hence so small.
    "Adam": (
        lambda: optim.Adam(0.05, eps=1e-15),
        lambda p: torch.optim.SparseAdam(list(p), 0.05, eps=1e-15),
    ),
}


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_sparse_embeddings(name: str) -> None:
    """Rows that do not occur stay, as with PyTorch's sparse gradients."""
    theirs = torch.nn.Embedding(12, 3, sparse=True, dtype=torch.float64)
    ours: Any = nn.Embedding(12, 3, sparse=True)
    start = theirs.weight.detach().numpy().copy()
    ours.weight = rg.array(start)
    optimizer, other = SPARSE[name][0](), SPARSE[name][1](theirs.parameters())

    @rg.compile
    def run(model: Any, optimizer: Any, places: Any, target: Any) -> Any:
        gradients = rg.grad(lambda m: ((m(places) - target) ** 2).sum())(model)
        optimizer.update(model, gradients)

    for step in range(STEPS):
        random = np.random.default_rng(step)
        places, target = random.integers(0, 9, (2, 3)), random.normal(size=(2, 3, 3))
        run(ours, optimizer, places, target)
        other.zero_grad()
        ((theirs(torch.tensor(places)) - torch.tensor(target)) ** 2).sum().backward()
        other.step()
    found, wanted = ours.weight.numpy(), theirs.weight.detach().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11)
    assert np.array_equal(found[9:], start[9:])


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_defaults_are_pytorchs(name: str) -> None:
    compare(getattr(optim, name)(), lambda p: getattr(torch.optim, name)(p))


@pytest.mark.parametrize("maximum", [0.05, 0.3, 100.0])
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "Adam", "AdamW"])
def test_clipping_by_the_global_norm(name: str, maximum: float) -> None:
    compare(
        optim.chain(optim.clip_by_global_norm(maximum), getattr(optim, name)(0.05)),
        lambda p: getattr(torch.optim, name)(p, lr=0.05),
        clip=maximum,
    )


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_schedule(name: str) -> None:
    compare(
        getattr(optim, name)(lambda step: 0.05 / (1.0 + 0.1 * step.astype("float64"))),
        lambda p: getattr(torch.optim, name)(p, lr=0.05),
        schedule=lambda step: 1.0 / (1.0 + 0.1 * step),
    )

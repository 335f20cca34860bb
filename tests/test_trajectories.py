"""Ten training losses of an MLP and a CNN against those of PyTorch (tests/fixtures).

The fixtures were written by oracles/make_fixtures.py: the same initial weights and batches, the
losses of each step, and the final weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses, nn, optim

FIXTURES = Path(__file__).parent / "fixtures"
EXECUTORS = ("numpy", "native")


class MLP(nn.Module):
    def __init__(self) -> None:
        self.hidden = nn.Linear(64, 32)
        self.output = nn.Linear(32, 10)

    def __call__(self, x: Any) -> Any:
        return self.output(nn.relu(self.hidden(x)))


class CNN(nn.Module):
    def __init__(self) -> None:
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 16, 3, padding=1)
        self.output = nn.Linear(64, 10)

    def __call__(self, x: Any) -> Any:
        x = rg.max_pool(nn.relu(self.first(x)), 2)
        x = rg.max_pool(nn.relu(self.second(x)), 2)
        return self.output(x.reshape(x.shape[0], -1))


MODELS = {
    "mlp": (MLP, lambda: optim.SGD(learning_rate=0.1, momentum=0.9)),
    "cnn": (CNN, lambda: optim.Adam(learning_rate=1e-3)),
}


def read_fixture(name: str) -> dict[str, Any]:
    with np.load(FIXTURES / f"trajectory_{name}.npz", allow_pickle=False) as file:
        return dict(file)


def train(name: str, dtype: str, executor: str) -> tuple[dict[str, Any], list[float], nn.Module]:
    fixture = read_fixture(name)
    make_model, make_optimizer = MODELS[name]
    model = make_model().astype(dtype)
    model.load_state(
        {
            path.removeprefix("parameters/"): value.astype(dtype)
            for path, value in fixture.items()
            if path.startswith("parameters/")
        }
    )
    optimizer = make_optimizer()

    @rg.compile(executor=executor)
    def step(model: nn.Module, optimizer: optim.Optimizer, x: Any, labels: Any) -> Any:
        def loss_of(model: nn.Module) -> Any:
            return losses.cross_entropy(model(x), labels)

        loss, gradients = rg.value_and_grad(loss_of)(model)
        optimizer.update(model, gradients)
        return loss

    found = [
        float(step(model, optimizer, x.astype(dtype), labels))
        for x, labels in zip(fixture["x"], fixture["labels"], strict=True)
    ]
    assert step.trace_count == 1
    return fixture, found, model


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", MODELS)
def test_the_first_ten_losses_are_those_of_pytorch(name: str, executor: str) -> None:
    fixture, found, _ = train(name, "float32", executor)
    np.testing.assert_allclose(found, fixture["losses_float32"], rtol=1e-5)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", MODELS)
def test_in_float64_losses_and_final_weights_agree_much_closer(name: str, executor: str) -> None:
    fixture, found, model = train(name, "float64", executor)
    # The fixture's losses are those of float64 weights that were rounded to float32 once.
    np.testing.assert_allclose(found, fixture["losses_float64"], rtol=1e-6)
    for path, array in model.named_state().items():
        np.testing.assert_allclose(
            array.numpy(), fixture[f"final/{path}"], rtol=1e-5, atol=1e-7, err_msg=path
        )

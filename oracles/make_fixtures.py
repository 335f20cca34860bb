"""Writes the frozen PyTorch trajectories of tests/fixtures: trajectory_mlp.npz, trajectory_cnn.npz.

Run with PyTorch and scikit-learn: python oracles/make_fixtures.py

Each file holds one training run of ten steps on the real 8x8 digits, in our layout:

- `parameters/NAME`: the initial weights, float32; both runs start from these. Linear weights are
  (in, out), convolution weights (height, width, in, out), images (batch, height, width, channel).
- `x` (10, 32, ...) float32 and `labels` (10, 32) int64: the batch of each step.
- `losses_float64`, `losses_float32` (10,): the mean cross-entropy of each batch, before its step.
- `final/NAME`: the weights after the ten steps of the float64 run.
- `optimizer/NAME`: its numbers.

The layers have the names `hidden` and `output` (MLP), `first`, `second` and `output` (CNN).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

FOLDER = Path(__file__).parent.parent / "tests" / "fixtures"
STEPS = 10
BATCH = 32
LARGEST_FILE = 300_000


class Perceptron(nn.Module):
    """64-32-10 with ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 32)
        self.output = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(torch.relu(self.hidden(x.flatten(1))))


class ConvolutionalNetwork(nn.Module):
    """Two times 3x3 convolution, ReLU and 2x2 max pooling, then a linear layer; channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 16, 3, padding=1)
        self.output = nn.Linear(16 * 2 * 2, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 3, 1, 2)
        x = nn.functional.max_pool2d(torch.relu(self.first(x)), 2)
        x = nn.functional.max_pool2d(torch.relu(self.second(x)), 2)
        # Flattened as (height, width, channel): the order of a channels-last image.
        return self.output(x.permute(0, 2, 3, 1).flatten(1))


def to_our_layout(model: nn.Module) -> dict[str, np.ndarray]:
    """The weights by name, as retrograd stores them."""
    arrays: dict[str, np.ndarray] = {}
    for name, parameter in model.named_parameters():
        value = parameter.detach()
        if value.ndim == 2:
            value = value.T
        elif value.ndim == 4:
            value = value.permute(2, 3, 1, 0)
        arrays[name] = value.contiguous().numpy()
    return arrays


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, labels: torch.Tensor
) -> np.ndarray:
    """One step for each batch; the loss of each batch before its step."""
    losses = []
    for batch, batch_labels in zip(x, labels, strict=True):
        loss = nn.functional.cross_entropy(model(batch), batch_labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def write_trajectory(
    path: Path,
    build: Callable[[], nn.Module],
    make_optimizer: Callable[..., torch.optim.Optimizer],
    numbers: dict[str, float],
    x: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Train in both precisions from the same float32 weights and write one file."""
    torch.manual_seed(0)
    initial = build().state_dict()
    arrays: dict[str, np.ndarray] = {"x": x, "labels": labels}
    for dtype in (torch.float32, torch.float64):
        model = build().to(dtype)
        model.load_state_dict(initial)
        if dtype == torch.float32:
            for name, value in to_our_layout(model).items():
                arrays[f"parameters/{name}"] = value.copy()
        losses = train(
            model,
            make_optimizer(model.parameters(), **numbers),
            torch.from_numpy(x).to(dtype),
            torch.from_numpy(labels),
        )
        arrays[f"losses_{str(dtype).removeprefix('torch.')}"] = losses
    arrays |= {f"final/{name}": value for name, value in to_our_layout(model).items()}
    arrays |= {f"optimizer/{name}": np.array(value) for name, value in numbers.items()}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    size = path.stat().st_size
    print(f"{path.name}: {size} bytes; losses {arrays['losses_float64'].round(4).tolist()}")
    if size > LARGEST_FILE:
        raise SystemExit(f"{path}: {size} bytes, at most {LARGEST_FILE} wanted")


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    rows = np.random.default_rng(0).permutation(len(digits.target))[: STEPS * BATCH]
    images = (digits.images[rows] / 16).astype(np.float32)
    labels = digits.target[rows].astype(np.int64).reshape(STEPS, BATCH)
    write_trajectory(
        FOLDER / "trajectory_mlp.npz",
        Perceptron,
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9},
        images.reshape(STEPS, BATCH, 64),
        labels,
    )
    write_trajectory(
        FOLDER / "trajectory_cnn.npz",
        ConvolutionalNetwork,
        torch.optim.Adam,
        {"lr": 1e-3},
        images.reshape(STEPS, BATCH, 8, 8, 1),
        labels,
    )


if __name__ == "__main__":
    main()

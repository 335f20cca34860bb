"""The side of PyTorch: eager training steps with the fused Adam, data in memory, no DataLoader.

Settings that are tried: threads, channels_last for convolutions, and torch.compile where that is
asked for. Runs in an environment without retrograd.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.protocol import Session, serve
from benchmarks.rivals.sizes import LEARNING_RATE, WORKLOADS, Workload, list_resnet_blocks


def convolve(inner: int, outer: int, kernel: int, stride: int) -> list[nn.Module]:
    padding = (kernel - 1) // 2
    layer = nn.Conv2d(inner, outer, kernel, stride, padding, bias=False)
    return [layer, nn.BatchNorm2d(outer)]


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolve(inner, outer, 3, stride), nn.ReLU(), *convolve(outer, outer, 3, 1)
        )
        kept = (inner, stride) == (outer, 1)
        self.shortcut = nn.Identity() if kept else nn.Sequential(*convolve(inner, outer, 1, stride))

    def forward(self, x: Any) -> Any:
        return functional.relu(self.body(x) + self.shortcut(x))


def make_model(workload: Workload) -> nn.Module:
    if workload.kind == "mlp":
        activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[workload.activation]
        layers: list[nn.Module] = []
        for inner, outer in zip(workload.widths, workload.widths[1:]):
            layers += [nn.Linear(inner, outer), activation()]
        return nn.Sequential(*layers[:-1])
    if workload.kind == "cnn":
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(1568, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )
    return nn.Sequential(
        *convolve(3, 16, 3, 1),
        nn.ReLU(),
        *[Block(*sizes) for sizes in list_resnet_blocks()],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


class TorchStep(Session):
    """A training step in PyTorch."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.workload = WORKLOADS[settings["workload"]]

    def prepare(self) -> dict[str, Any]:
        threads = self.settings["threads"]
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        workload = self.workload
        model = make_model(workload)
        sample = (*workload.sample[-1:], *workload.sample[:-1])  # channels first
        x = torch.randn(workload.batch, *sample)
        y = torch.randint(0, workload.classes, (workload.batch,))
        if self.settings.get("channels_last"):
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            x = x.to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
        called: Callable[[Any], Any] = model
        if self.settings.get("compile"):
            called = torch.compile(model)

        def step() -> Any:
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(called(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        self.step = step
        begin = time.perf_counter()
        first_loss = float(step())
        first = time.perf_counter() - begin
        return {
            "first": first,
            "losses": [first_loss, float(step())],
            "threads": threads,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        }

    def run(self, steps: int) -> int:
        for _ in range(steps):
            self.step()
        return steps


if __name__ == "__main__":
    serve(TorchStep)

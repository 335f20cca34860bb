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
from benchmarks.rivals.sizes import (
    GATES,
    LEARNING_RATE,
    TOKEN_SPREAD,
    WORKLOADS,
    Workload,
    list_resnet_blocks,
)


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


class Recurrent(nn.Module):
    """The class from the last output of an RNN, GRU or LSTM."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        features, hidden, classes = workload.widths
        layer = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[workload.kind]
        self.layer = layer(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Any) -> Any:
        outputs, _state = self.layer(x)
        return self.head(outputs[:, -1])


class Decoder(nn.Module):
    """A block of a GPT: causal attention and a feed-forward network, each after a LayerNorm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_network = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.network = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def attend(self, x: Any) -> Any:
        batch, steps, width = x.shape
        parts = self.project(x).view(batch, steps, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.merge(found.transpose(1, 2).reshape(batch, steps, width))

    def forward(self, x: Any) -> Any:
        x = x + self.attend(self.before_attention(x))
        return x + self.network(self.before_network(x))


class GPT(nn.Module):
    """Logits of the next token at each place; a token for each row, as cross_entropy wants them."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        (width,), (steps,) = workload.widths, workload.sample
        self.tokens = nn.Embedding(workload.classes, width)
        self.positions = nn.Parameter(torch.empty(steps, width))
        for weight in (self.tokens.weight, self.positions):
            nn.init.normal_(weight, std=TOKEN_SPREAD)
        blocks = [Decoder(width, workload.heads) for _ in range(workload.blocks)]
        self.body = nn.Sequential(
            *blocks, nn.LayerNorm(width), nn.Linear(width, workload.classes), nn.Flatten(0, 1)
        )

    def forward(self, tokens: Any) -> Any:
        return self.body(self.tokens(tokens) + self.positions)


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
    if workload.kind in GATES:
        return Recurrent(workload)
    if workload.kind == "gpt":
        return GPT(workload)
    return nn.Sequential(
        *convolve(3, 16, 3, 1),
        nn.ReLU(),
        *[Block(*sizes) for sizes in list_resnet_blocks()],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def draw_data(workload: Workload) -> tuple[Any, Any]:
    """A batch, channels first for images; the labels of all places in one row."""
    batch, sample, classes = workload.batch, workload.sample, workload.classes
    if workload.reads_tokens:
        x = torch.randint(0, classes, (batch, *sample))
    elif workload.reads_images:
        x = torch.randn(batch, *sample[-1:], *sample[:-1])
    else:
        x = torch.randn(batch, *sample)
    return x, torch.randint(0, classes, (batch, *workload.targets)).flatten()


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
        x, y = draw_data(workload)
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
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "threads": threads,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        }

    def run(self, steps: int) -> int:
        for _ in range(steps):
            self.step()
        return steps


if __name__ == "__main__":
    serve(TorchStep)

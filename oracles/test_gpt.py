"""GPT against the same network of PyTorch's layers in float64: losses over steps of Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import retrograd as rg
from retrograd import losses, models, nn, optim

SIZES = {"vocabulary": 13, "features": 16, "heads": 4, "layers": 2, "context": 12}
STEPS = 8


class Theirs(torch.nn.Module):
    """Token and position embeddings, causal layers that normalise first, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        width = SIZES["features"]
        self.token = torch.nn.Embedding(SIZES["vocabulary"], width)
        self.position = torch.nn.Embedding(SIZES["context"], width)
        layer = torch.nn.TransformerEncoderLayer(
            width, SIZES["heads"], 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        norm = torch.nn.LayerNorm(width)
        self.blocks = torch.nn.TransformerEncoder(
            layer, SIZES["layers"], norm, enable_nested_tensor=False
        )
        for parameter in self.blocks.parameters():  # PyTorch copies one layer
            torch.nn.init.normal_(parameter, std=0.2)
        self.head = torch.nn.Linear(width, SIZES["vocabulary"])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        time = tokens.shape[1]
        hidden = torch.ones(time, time, dtype=torch.bool).triu(1)
        x = self.token(tokens) + self.position.weight[:time]
        result: torch.Tensor = self.head(self.blocks(x, mask=hidden, is_causal=True))
        return result


def convert(theirs: Theirs) -> models.GPT:
    ours = models.GPT(**SIZES).astype("float64")
    ours.embedding.weight = rg.array(theirs.token.weight.detach().numpy().copy())
    assert ours.positions is not None and ours.head is not None
    ours.positions.weight = rg.array(theirs.position.weight.detach().numpy().copy())
    for layer, module in ((ours.blocks, theirs.blocks), (ours.head, theirs.head)):
        state = {name: value.numpy() for name, value in module.state_dict().items()}
        nn.load_torch_state(layer, state)
    return ours


def test_losses_over_steps() -> None:
    torch.manual_seed(0)
    theirs = Theirs().to(torch.float64)
    ours, ours_optimizer = convert(theirs), optim.Adam(1e-2)
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-2)
    random = np.random.default_rng(0)
    batches = random.integers(0, SIZES["vocabulary"], (STEPS, 3, SIZES["context"] + 1))

    @rg.compile(executor="numpy")
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        def loss(model: Any) -> Any:
            logits = model(x)
            return losses.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))

        value, gradients = rg.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    for rows in batches:
        x, y = rows[:, :-1], rows[:, 1:]
        optimizer.zero_grad()
        logits = theirs(torch.from_numpy(x.copy()))
        expected = functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(y.copy()).flatten()
        )
        expected.backward()
        optimizer.step()
        found = float(step(ours, ours_optimizer, x.astype("int32"), y.astype("int32")))
        assert found == pytest.approx(float(expected.detach()), rel=1e-8)
    assert step.trace_count == 1

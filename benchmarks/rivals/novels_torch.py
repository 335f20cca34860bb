"""The side of PyTorch in `novels.py`: its own layers, fused AdamW, data in memory.

A line of JSON for each segment and each measurement. Runs in an environment without retrograd and
NumPy.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class GPT(nn.Module):
    """Embeddings of tokens and places, causal layers that normalise first, a linear layer."""

    def __init__(self, vocabulary: int, sizes: dict[str, Any]) -> None:
        super().__init__()
        width = sizes["features"]
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(sizes["context"], width)
        layer = nn.TransformerEncoderLayer(
            width,
            sizes["heads"],
            4 * width,
            sizes["dropout"],
            "gelu",
            batch_first=True,
            norm_first=True,
        )
        norm = nn.LayerNorm(width)
        self.blocks = nn.TransformerEncoder(
            layer, sizes["layers"], norm, enable_nested_tensor=False
        )
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Any, state: Any = None) -> tuple[Any, Any]:
        steps = tokens.shape[1]
        hidden = torch.ones(steps, steps, dtype=torch.bool).triu(1)
        x = self.embedding(tokens) + self.positions.weight[:steps]
        return self.head(self.blocks(x, mask=hidden, is_causal=True)), None


class CharacterLSTM(nn.Module):
    """An LSTM between an embedding and a linear layer; the state goes on from call to call."""

    def __init__(self, vocabulary: int, sizes: dict[str, Any]) -> None:
        super().__init__()
        assert sizes["dropout"] == 0.0
        self.embedding = nn.Embedding(vocabulary, sizes["features"])
        self.lstm = nn.LSTM(
            sizes["features"], sizes["hidden_features"], sizes["layers"], batch_first=True
        )
        self.head = nn.Linear(sizes["hidden_features"], vocabulary)

    def forward(self, tokens: Any, state: Any = None) -> tuple[Any, Any]:
        outputs, state = self.lstm(self.embedding(tokens), state)
        return self.head(outputs), state


def read_plan(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plan and its arrays."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    content = bytearray((folder / "arrays.bin").read_bytes())
    arrays = {}
    for name, (dtype, shape, offset) in plan["arrays"].items():
        kind, count = getattr(torch, dtype), math.prod(shape)
        arrays[name] = torch.frombuffer(content, dtype=kind, offset=offset, count=count)
        arrays[name] = arrays[name].reshape(shape)
    return plan, arrays


def find_loss(model: Any, x: Any, y: Any, state: Any = None) -> tuple[Any, Any]:
    logits, state = model(x, state)
    return functional.cross_entropy(logits.flatten(0, 1), y.flatten().long()), state


def measure(model: Any, x: Any, y: Any) -> None:
    """Bits per character of the test part."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for inputs, targets in zip(x.split(64), y.split(64)):
            total += len(inputs) * float(find_loss(model, inputs, targets)[0])
    model.train()
    print(json.dumps({"test": total / len(x) / math.log(2.0)}), flush=True)


def main() -> None:
    plan, arrays = read_plan(Path(sys.argv[1]))
    x, y, x_test, y_test = (arrays.pop(name) for name in ("x", "y", "x_test", "y_test"))
    make = GPT if plan["network"] == "gpt" else CharacterLSTM
    model = make(plan["vocabulary"], plan["options"])
    model.load_state_dict(arrays)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-3, weight_decay=0.01, fused=True)
    measure(model, x_test, y_test)
    done, state = 0, None
    for steps, rate, restart in plan["segments"]:
        start = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate
        if restart:
            state = None
        total = torch.zeros(())
        for inputs, targets in zip(x[done : done + steps], y[done : done + steps]):
            optimizer.zero_grad(set_to_none=True)
            loss, state = find_loss(model, inputs, targets, state)
            state = None if state is None else tuple(part.detach() for part in state)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            total += loss.detach()
        done += steps
        bits, seconds = float(total) / steps / math.log(2.0), time.perf_counter() - start
        print(json.dumps({"steps": steps, "bits": bits, "seconds": seconds}), flush=True)
    measure(model, x_test, y_test)


if __name__ == "__main__":
    main()

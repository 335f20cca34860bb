"""The side of PyTorch in `fashion.py`: channels_last, fused Adam, data in memory, no DataLoader.

A line with the accuracy for each epoch. Runs in an environment without retrograd and NumPy.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from benchmarks.rivals.peer_torch import make_model
from benchmarks.rivals.sizes import LEARNING_RATE, WORKLOADS


def read(folder: Path, name: str, start: int) -> Any:
    path = folder / name
    content = path.read_bytes() if path.exists() else gzip.open(f"{path}.gz").read()
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)[start:]


def load(folder: Path, part: str) -> tuple[Any, Any]:
    images = read(folder, f"{part}-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    images = (images.float() / 255).contiguous(memory_format=torch.channels_last)
    return images, read(folder, f"{part}-labels-idx1-ubyte", 8).long()


def main() -> None:
    settings = json.loads(sys.argv[1])
    folder = Path(settings["data"])
    (x, y), (x_test, y_test) = load(folder, "train"), load(folder, "t10k")
    torch.manual_seed(settings["seed"])
    network = WORKLOADS["cnn"]
    model = make_model(network).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
    for _ in range(settings["epochs"]):
        model.train()
        for rows in torch.randperm(len(y)).split(network.batch):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            parts = zip(x_test.split(1000), y_test.split(1000), strict=True)
            right = sum(int((model(a).argmax(1) == b).sum()) for a, b in parts)
        print(right / len(y_test), flush=True)


if __name__ == "__main__":
    main()

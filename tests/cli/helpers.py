"""Small tables, and the command line called in this process."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.cli.main import main


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)


class Runner:
    """Calls commands and captures what they print."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: object) -> Outcome:
        self._capture.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = self._capture.readouterr()
        return Outcome(code, printed.out, printed.err)


def write_table(path: Path, columns: dict[str, Sequence[Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))
    return path


def read_column(path: Path, name: str) -> list[str]:
    with path.open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def make_flowers(rows: int = 90, seed: int = 0) -> dict[str, Sequence[Any]]:
    """Three kinds told by two numbers and a colour; an identifier and a constant besides."""
    generator = np.random.default_rng(seed)
    kind = np.arange(rows) % 3
    return {
        "flower id": [f"F{place:04d}" for place in range(rows)],
        "length": (kind + 0.2 * generator.normal(size=rows)).round(3).tolist(),
        "width": (kind % 2 + 0.2 * generator.normal(size=rows)).round(3).tolist(),
        "colour": [("red", "blue")[place] for place in generator.integers(0, 2, rows)],
        "garden": ["north"] * rows,
        "kind": [("rose", "lily", "iris")[place] for place in kind],
    }


def make_houses(rows: int = 80, seed: int = 0) -> dict[str, Sequence[Any]]:
    """A price in thousands that grows with the area."""
    generator = np.random.default_rng(seed)
    area = generator.uniform(50, 250, rows).round(1)
    age = generator.uniform(0, 60, rows).round(1)
    price = (3000 * area - 900 * age + 2000 * generator.normal(size=rows)).round(0)
    return {"area": area.tolist(), "age": age.tolist(), "price": price.tolist()}

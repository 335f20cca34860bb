"""What both sides of `novels.py` do, in a folder: weights at first, batches, learning rates.

`plan.json` holds the network, the segments of the training (steps, learning rate, whether a carried
state begins anew) and where each array lies in `arrays.bin`: all is read without NumPy as well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from retrograd import models, nn
from retrograd.cli.tasks.language.fit import LanguageRecipe, Pieces, choose_language_recipe
from retrograd.cli.tasks.language.model import cut_for_measuring
from retrograd.cli.tasks.learning import find_rate
from retrograd.cli.tasks.rounds import ROUNDS
from retrograd.data.corpus import read_corpus
from retrograd.data.text import Characters
from retrograd.ops import random

NumpyArray = np.ndarray[Any, Any]
Segment = tuple[int, float, bool]


class Restarts:
    """Stands for a network whose state is carried, and counts its beginnings."""

    context = None

    def __init__(self) -> None:
        self.count = 0

    def carry(self, streams: int) -> None:
        self.count += 1


def write_plan(folder: Path, texts: Path, network: str, steps: int, seed: int) -> dict[str, Any]:
    """Draw the weights and the batches as `retrograd train --task language` does.

    Returns:
        what `plan.json` holds.
    """
    corpus = read_corpus(texts)
    vocabulary = Characters.of(corpus.train)
    train, test = (vocabulary.encode(part) for part in (corpus.train, corpus.test))
    recipe = choose_language_recipe(network, len(train))
    random.seed(seed)
    model = recipe.make(len(vocabulary))
    x, y, segments = draw_batches(recipe, train, steps, seed)
    x_test, y_test = cut_for_measuring(model, test)
    arrays = {"x": x, "y": y, "x_test": x_test, "y_test": y_test} | name_weights(model)
    plan = {
        "network": network,
        "vocabulary": len(vocabulary),
        "options": recipe.options,
        "numbers": sum(array.size for array in name_weights(model).values()),
        "batch": [recipe.batch_size, x.shape[-1]],
        "test_characters": int(y_test.size),
        "segments": segments,
    }
    write_arrays(folder, plan, arrays)
    return plan


def draw_batches(
    recipe: LanguageRecipe, train: NumpyArray, steps: int, seed: int
) -> tuple[NumpyArray, NumpyArray, list[Segment]]:
    """The batches of all steps, (steps, rows, time), and the segments that share a rate."""
    restarts = Restarts()
    # Windows are drawn for a network with a context, streams are followed for one without.
    reader = restarts if recipe.network == "lstm" else models.GPT(2, 4, 1, 1, recipe.steps)
    pieces = Pieces(train, recipe, reader, seed)
    parts, segments, done = [], [], 0
    while done < steps:
        rate = recipe.learning_rate * find_rate(done / steps)
        end = min(steps, done + max(1, steps // ROUNDS))
        while done < end:
            before = restarts.count
            parts.append(pieces.take(end - done))
            taken = len(parts[-1][0]) // recipe.batch_size
            segments.append((taken, rate, restarts.count > before))
            done += taken
    x, y = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    shape = (steps, recipe.batch_size, -1)
    return x.reshape(shape), y.reshape(shape), segments


def name_weights(model: Any) -> dict[str, NumpyArray]:
    """The weights by the names and in the layout of the network in `rivals/novels_torch.py`."""
    parts = {"head": model.head}
    named = {"embedding.weight": np.asarray(model.embedding.weight)}
    if isinstance(model, models.GPT):
        assert model.positions is not None
        named["positions.weight"] = np.asarray(model.positions.weight)
        parts["blocks"] = model.blocks
    else:
        parts["lstm"] = model.lstm
    for part, layer in parts.items():
        named |= {f"{part}.{name}": value for name, value in nn.torch_state(layer).items()}
    return named


def write_arrays(folder: Path, plan: dict[str, Any], arrays: dict[str, NumpyArray]) -> None:
    places, offset = {}, 0
    with open(folder / "arrays.bin", "wb") as file:
        for name, array in arrays.items():
            content = np.ascontiguousarray(array).tobytes()
            places[name] = [array.dtype.name, list(array.shape), offset]
            file.write(content)
            offset += len(content)
    text = json.dumps(plan | {"arrays": places})
    (folder / "plan.json").write_text(text, encoding="utf-8")


def read_plan(folder: Path) -> tuple[dict[str, Any], dict[str, NumpyArray]]:
    """The plan and its arrays."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    content = np.fromfile(folder / "arrays.bin", np.uint8)
    arrays = {}
    for name, (dtype, shape, offset) in plan["arrays"].items():
        end = offset + int(np.prod(shape)) * np.dtype(dtype).itemsize
        arrays[name] = content[offset:end].view(dtype).reshape(shape)
    return plan, arrays

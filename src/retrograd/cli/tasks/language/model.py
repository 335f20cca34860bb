"""A trained language model: the network, its characters, and how it was trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import models
from ....data.sequences import cut_windows
from ....data.text import Characters, load_vocabulary
from ....nn import Module
from ....ops import random
from ....train.saving import load_model, save_model
from .. import rounds
from ..sections import read_section, tell_damaged, tell_mismatch

NumpyArray = np.ndarray[Any, Any]

SECTION = "language"
VERSION = 1
READING = 256
"""Steps of a window in which a model without a context is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class LanguageModel:
    """A network that predicts the next character.

    Args:
        network: a GPT or a CharacterLSTM.
        vocabulary: its characters.
        report: how it was trained and tested, as plain values.
    """

    network: Any
    vocabulary: Characters
    report: dict[str, Any]

    def write(
        self,
        prompt: str,
        length: int,
        temperature: float | None,
        top_k: int | None,
        top_p: float | None,
        seed: int,
    ) -> Iterator[str]:
        """The characters that follow a prompt, one after the other."""
        random.seed(seed)
        numbers = self.vocabulary.encode(prompt or self.vocabulary.symbols[0])
        if top_k is not None:
            top_k = min(top_k, len(self.vocabulary))
        tokens = models.stream(self.network, numbers, length, temperature, top_k, top_p)
        return (self.vocabulary.decode([token]) for token in tokens)

    def save(self, path: str) -> None:
        """Write the model directory, whole or not at all."""
        section = {
            "version": VERSION,
            "vocabulary": self.vocabulary.describe(),
            "report": self.report,
        }
        save_model(self.network, path, extra={SECTION: section})


def load_language_model(path: str) -> LanguageModel:
    """Read a directory that `retrograd train --task language` wrote.

    Raises:
        FileFormatError: not such a directory, damaged, or of a later version.
    """
    section = read_section(path, SECTION, VERSION, "language model")
    vocabulary, report = load_vocabulary(section.get("vocabulary")), section.get("report")
    network = load_model(path)
    if not isinstance(vocabulary, Characters) or not isinstance(report, dict):
        raise tell_damaged(path, SECTION)
    fits = isinstance(network, (models.GPT, models.CharacterLSTM))
    if not fits or network.vocabulary != len(vocabulary):
        raise tell_mismatch(path, f"predict its {len(vocabulary)} characters")
    return LanguageModel(network, vocabulary, report)


def cut_for_measuring(network: Module, numbers: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
    """A text as windows in which each character is predicted once, from those of its window."""
    steps = getattr(network, "context", None) or READING
    return cut_windows(numbers, max(1, min(steps, len(numbers) - 1)))


def measure_bits(model: Any, numbers: NumpyArray) -> float:
    """Bits for each character of a text, each predicted from those before it in its window."""
    return rounds.measure_bits(model, *cut_for_measuring(model, numbers))

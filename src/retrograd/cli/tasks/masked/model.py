"""A pretrained encoder: the network, its vocabulary, and how it was trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import losses, models, optim
from ....data.text import Symbols, load_vocabulary
from ....train.saving import load_model, save_model
from ....train.trainer import Trainer
from ..rounds import as_bits
from ..sections import read_section, tell_damaged, tell_mismatch
from .fit import cut_and_mask

NumpyArray = np.ndarray[Any, Any]

SECTION = "masked"
VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class MaskedModel:
    """An encoder that finds hidden tokens.

    Args:
        network: a MaskedLanguageModel.
        vocabulary: its characters or words.
        report: how it was trained and tested, as plain values.
    """

    network: models.MaskedLanguageModel
    vocabulary: Symbols
    report: dict[str, Any]

    @property
    def noun(self) -> str:
        """What a token is: "character" or "word"."""
        return self.vocabulary.kind.removesuffix("s")

    def copy_encoder(self, dropout: float) -> models.TextEncoder:
        """The encoder with its weights, for a network that goes on to train it.

        Args:
            dropout: of the copy, in training mode.
        """
        encoder = self.network.encoder
        copy = models.TextEncoder(**{**encoder.config(), "dropout": dropout})
        copy.load_state(encoder.named_state())
        return copy

    def save(self, path: str) -> None:
        """Write the model directory, whole or not at all."""
        section = {
            "version": VERSION,
            "vocabulary": self.vocabulary.describe(),
            "report": self.report,
        }
        save_model(self.network, path, extra={SECTION: section})


def load_masked_model(path: str) -> MaskedModel:
    """Read a directory that `retrograd train --task masked` wrote.

    Raises:
        FileFormatError: not such a directory, damaged, or of a later version.
    """
    section = read_section(path, SECTION, VERSION, "encoder that was pretrained")
    vocabulary, report = load_vocabulary(section.get("vocabulary")), section.get("report")
    network = load_model(path)
    if not isinstance(vocabulary, Symbols) or not isinstance(report, dict):
        raise tell_damaged(path, SECTION)
    fits = isinstance(network, models.MaskedLanguageModel)
    if not fits or network.vocabulary != len(vocabulary):
        raise tell_mismatch(path, f"know its {len(vocabulary)} tokens")
    return MaskedModel(network, vocabulary, report)


def measure_masked(network: models.MaskedLanguageModel, numbers: NumpyArray) -> dict[str, float]:
    """Bits and accuracy at hidden tokens of a text, and how many these are."""
    masked = cut_and_mask(numbers, network.vocabulary, network.encoder.context)
    trainer = Trainer(network, losses.cross_entropy, optim.SGD(0.0), ["accuracy"])
    found = trainer.evaluate(masked.inputs, masked.targets, 64, masked.weights)
    return {"bits": as_bits(found["loss"]), "accuracy": found["accuracy"]}

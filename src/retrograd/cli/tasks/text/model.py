"""A trained classifier of texts: the network, its vocabulary and its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import models
from ....data.target_encoders import ClassTarget, target_from_json
from ....data.text import Vocabulary, load_vocabulary
from ....train.saving import load_model, save_model
from ...run import Output, count
from ..networks import find_probabilities
from ..sections import read_section, tell_damaged, tell_mismatch
from .fit import find_logits

NumpyArray = np.ndarray[Any, Any]

SECTION = "text"
VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class TextModel:
    """A network that tells the classes of texts.

    Args:
        network: tokens to logits.
        vocabulary: texts to tokens.
        target: the column of classes, and the classes.
        column: the column of texts.
        longest: tokens that are read of a text.
        report: how it was trained and tested, as plain values.
    """

    network: models.TextClassifier
    vocabulary: Vocabulary
    target: ClassTarget
    column: str
    longest: int
    report: dict[str, Any]

    def encode(self, texts: Sequence[str]) -> list[NumpyArray]:
        """The tokens of each text."""
        return encode_texts(self.vocabulary, texts, self.longest)

    def find_probabilities(self, rows: Sequence[NumpyArray]) -> NumpyArray:
        """The probability of each class, (rows, classes)."""
        return find_probabilities(find_logits(self.network, rows))

    def save(self, path: str) -> None:
        """Write the model directory, whole or not at all."""
        section = {
            "version": VERSION,
            "vocabulary": self.vocabulary.describe(),
            "target": self.target.to_json(),
            "column": self.column,
            "longest": self.longest,
            "report": self.report,
        }
        save_model(self.network, path, extra={SECTION: section})


def encode_texts(vocabulary: Vocabulary, texts: Sequence[str], longest: int) -> list[NumpyArray]:
    """The tokens of each text, the first `longest` of them."""
    return [vocabulary.encode(text)[:longest] for text in texts]


def tell_cut(vocabulary: Vocabulary, texts: Sequence[str], longest: int, output: Output) -> None:
    """Say how many texts are longer than what is read of them."""
    cut = sum(len(vocabulary.encode(text)) > longest for text in texts)
    if cut:
        output.warn(f"{count(cut, 'text')} cut off after {longest:,} tokens")


def load_text_model(path: str) -> TextModel:
    """Read a directory that `retrograd train --task text` wrote.

    Raises:
        FileFormatError: not such a directory, damaged, or of a later version.
    """
    section = read_section(path, SECTION, VERSION, "classifier of texts")
    try:
        vocabulary = load_vocabulary(section["vocabulary"])
        target, column = target_from_json(section["target"]), section["column"]
        longest, report = section["longest"], dict(section["report"])
        if not isinstance(target, ClassTarget) or not isinstance(column, str):
            raise TypeError("a column is named by a string, and the target has classes")
        if isinstance(longest, bool) or not isinstance(longest, int) or longest < 1:
            raise TypeError("longest is a whole number from 1 on")
    except (KeyError, TypeError, ValueError) as error:
        raise tell_damaged(path, SECTION, error) from None
    network = load_model(path)
    if (
        not isinstance(network, models.TextClassifier)
        or network.classes != len(target.classes)
        or network.encoder.vocabulary < len(vocabulary)
    ):
        raise tell_mismatch(path, f"take {len(vocabulary)} tokens to {len(target.classes)} classes")
    return TextModel(network, vocabulary, target, column, longest, report)

"""A trained translator: the network, its subwords, and how it was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import models
from ....data.text import Subwords, Vocabulary, load_vocabulary
from ....train.saving import load_model, save_model
from ..sections import read_section, tell_damaged, tell_mismatch
from .batches import encode_source

NumpyArray = np.ndarray[Any, Any]

SECTION = "translation"
VERSION = 1
ROWS = 32
"""Texts that are translated at once."""
STEP = 8
"""Sources are filled up to a multiple of this length, so that there are few shapes."""


@dataclass(frozen=True, slots=True, eq=False)
class TranslationModel:
    """A network that translates texts.

    Args:
        network: a Translator.
        vocabulary: the subwords of both languages.
        source, target: the names of the columns that it learnt.
        longest: the most subwords of a text; what is longer is cut off.
        beams: of the search.
        report: how it was trained and tested, as plain values.
    """

    network: models.Translator
    vocabulary: Vocabulary
    source: str
    target: str
    longest: int
    beams: int
    report: dict[str, Any]

    def translate(
        self,
        texts: Sequence[str],
        beams: int | None = None,
        tell: Callable[[float], None] | None = None,
    ) -> list[str]:
        """The translations of texts; "" of an empty one.

        Args:
            texts: in the language of the source.
            beams: of the search; those of the model when None.
            tell: is told the share that is done.
        """
        found = [""] * len(texts)
        numbers = [encode_source(text, self.vocabulary) for text in texts]
        order = sorted(
            (place for place, text in enumerate(texts) if text.strip()),
            key=lambda place: len(numbers[place]),
        )
        for start in range(0, len(order), ROWS):
            places = order[start : start + ROWS]
            written = self._search([numbers[place] for place in places], beams or self.beams)
            for place, tokens in zip(places, written):
                found[place] = self.vocabulary.decode(tokens).strip()
            if tell is not None:
                tell(min(1.0, (start + ROWS) / len(order)))
        return found

    def is_too_long(self, text: str) -> bool:
        """Whether a text has more subwords than are read."""
        return len(encode_source(text, self.vocabulary)) > self.longest

    def _search(self, sources: list[NumpyArray], beams: int) -> list[NumpyArray]:
        vocabulary = self.vocabulary
        length = min(self.longest, max(map(len, sources)))
        length = -(-length // STEP) * STEP
        # A small last group has a shape of its own, and is not worth the time to compile for it.
        batch = np.full((ROWS, length), vocabulary.padding, np.int32)
        batch[:, 0] = vocabulary.end
        for row, numbers in zip(batch, sources):
            kept = numbers[:length]
            kept[-1] = vocabulary.end
            row[: len(kept)] = kept
        return models.search(
            self.network,
            batch,
            vocabulary.start,
            vocabulary.end,
            2 * length + 8,
            beams,
            forbidden=(vocabulary.padding, vocabulary.unknown),
        )[: len(sources)]

    def save(self, path: str) -> None:
        """Write the model directory, whole or not at all."""
        section = {
            "version": VERSION,
            "vocabulary": self.vocabulary.describe(),
            "source": self.source,
            "target": self.target,
            "longest": self.longest,
            "beams": self.beams,
            "report": self.report,
        }
        save_model(self.network, path, extra={SECTION: section})


def load_translation_model(path: str) -> TranslationModel:
    """Read a directory that `retrograd train --task translation` wrote.

    Raises:
        FileFormatError: not such a directory, damaged, or of a later version.
    """
    section = read_section(path, SECTION, VERSION, "translator")
    vocabulary, report = load_vocabulary(section.get("vocabulary")), section.get("report")
    names: list[Any] = [section.get(name) for name in ("source", "target")]
    sizes: list[Any] = [section.get(name) for name in ("longest", "beams")]
    network = load_model(path)
    if (
        not isinstance(report, dict)
        or not all(isinstance(name, str) for name in names)
        or not all(type(size) is int and 1 <= size <= 10_000 for size in sizes)
    ):
        raise tell_damaged(path, SECTION)
    if (
        not isinstance(network, models.Translator)
        or not isinstance(vocabulary, Subwords)
        or network.vocabulary != len(vocabulary)
    ):
        raise tell_mismatch(path, f"write its {len(vocabulary)} subwords")
    source, target, longest, beams = names + sizes
    return TranslationModel(network, vocabulary, source, target, longest, beams, report)

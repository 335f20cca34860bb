"""A trained tagger: the network, how words become numbers, and how it was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import losses, models
from ....data.tag_counts import FrequentTags
from ....data.tag_encoder import EncodedWords, TagEncoder
from ....data.tagged import TaggedText, count_columns
from ....errors import DataError
from ....ops.arithmetic import maximum
from ....ops.comparison import greater
from ....ops.promotion import as_array, convert
from ....optim import SGD
from ....train.saving import load_model, save_model
from ....train.trainer import Trainer
from ..networks import check_outputs
from ..sections import read_section, tell_damaged, tell_mismatch

NumpyArray = np.ndarray[Any, Any]

SECTION = "tags"
VERSION = 1
ROWS, BATCHES = 32, 8
"""Rows of a batch in which tags are found, and batches at a time."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a file were learned.

    Args:
        words, tags: their names, or their numbers from 1.
        width: how many columns there were.
    """

    words: str
    tags: str
    width: int

    @staticmethod
    def find(text: TaggedText, words: str | None, tags: str | None) -> Columns:
        """The columns that are asked for, or what is usual.

        Raises:
            DataError: there are no such columns, or both are the same.
        """
        first, second = text.find_column(words, "words"), text.find_column(tags, "tags")
        if first == second:
            raise DataError(
                f"Words and tags are both column {first + 1} of {text.source}.",
                fix="give a file with words and tags side by side, and name their columns with "
                "--text and --target",
            )
        named = [text.names[place] if text.names else str(place + 1) for place in (first, second)]
        return Columns(named[0], named[1], text.width)

    def find_words(self, text: TaggedText) -> int:
        """The place of the words in another file, which may lack the tags.

        Raises:
            DataError: the file has other columns.
        """
        if text.width == 1:
            return 0
        if text.names:
            return text.find_column(self.words if not self.words.isdigit() else None, "words")
        lacks_tags = text.width == self.width - 1 and self.tags == str(self.width)
        if not self.words.isdigit() or not (text.width == self.width or lacks_tags):
            raise DataError(
                f"{text.source} has {count_columns(text.width)}; the model learned the words "
                f"in column {self.words} of {self.width}.",
                fix="give a file with the same columns, or with one word a line and nothing else",
            )
        return text.find_column(self.words, "words")

    def find_tags(self, text: TaggedText) -> int:
        """The place of the tags in another file.

        Raises:
            DataError: the file has none.
        """
        if text.width == self.width or (text.names and not self.tags.isdigit()):
            return text.find_column(self.tags, "tags")
        raise DataError(
            f"{text.source} has {count_columns(text.width)}; the tags were in column "
            f"{self.tags} of {self.width}.",
            fix="give a file with the columns of the one that was learned",
        )


@dataclass(frozen=True, slots=True, eq=False)
class TagModel:
    """A network that finds the tags of words.

    Args:
        network: a SequenceTagger.
        encoder: how words and tags become numbers.
        columns: which columns were learned.
        counted: what counting alone says, and which words were learned.
        report: how it was trained and tested, as plain values.
    """

    network: Any
    encoder: TagEncoder
    columns: Columns
    counted: FrequentTags
    report: dict[str, Any]

    def find(self, words: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of the words of sequences."""
        trainer = Trainer(self.network, choose_loss(self.network), SGD(0.0))
        numbers = find_numbers(trainer, self.encoder.encode(words))
        return self.encoder.decode(numbers, words)

    def save(self, path: str) -> None:
        """Write the model directory, whole or not at all."""
        columns = self.columns
        section = {
            "version": VERSION,
            "encoder": self.encoder.to_json(),
            "columns": {"words": columns.words, "tags": columns.tags, "width": columns.width},
            "counted": self.counted.to_json(),
            "report": self.report,
        }
        save_model(self.network, path, extra={SECTION: section})


def load_tag_model(path: str) -> TagModel:
    """Read a directory that `retrograd train --task tags` wrote.

    Raises:
        FileFormatError: not such a directory, damaged, or of a later version.
    """
    section = read_section(path, SECTION, VERSION, "tagger")
    encoder, report = TagEncoder.from_json(section.get("encoder")), section.get("report")
    counted = FrequentTags.from_json(section.get("counted"))
    columns = _read_columns(section.get("columns"))
    if columns is None or not isinstance(report, dict):
        raise tell_damaged(path, SECTION)
    network = load_model(path)
    sizes = encoder.sizes
    fits = isinstance(network, models.SequenceTagger)
    if not fits or any(getattr(network, name) != size for name, size in sizes.items()):
        raise tell_mismatch(path, f"know its {len(encoder.tags)} tags and its words")
    return TagModel(network, encoder, columns, counted, report)


def _read_columns(found: Any) -> Columns | None:
    if not isinstance(found, dict) or set(found) != {"words", "tags", "width"}:
        return None
    names = isinstance(found["words"], str) and isinstance(found["tags"], str)
    return Columns(**found) if names and type(found["width"]) is int else None


def choose_loss(network: models.SequenceTagger) -> Callable[..., Any]:
    """What a tagger is trained with."""
    return cross_entropy_of_words if network.chain is None else models.chain_cross_entropy


def cross_entropy_of_words(logits: Any, tags: Any) -> Any:
    """The mean cross-entropy of the words of a batch; where the tag is 0 there is none.

    Args:
        logits: (batch, time, tags).
        tags: (batch, time), from 1 on.
    """
    wanted = as_array(tags)
    known = convert(greater(wanted, 0), logits.type.dtype)
    return losses.cross_entropy(logits, maximum(wanted - 1, 0), sample_weight=known)


def find_numbers(trainer: Trainer, words: EncodedWords) -> NumpyArray:
    """The number of the tag of each word, from 1 on, int32 (words,)."""
    found = np.zeros(len(words.words), np.int32)
    for places, inputs, _ in words.make_batches(ROWS, most=BATCHES):
        outputs, known = trainer.predict(inputs, batch_size=ROWS), places >= 0
        logits, *chain = outputs if isinstance(outputs, tuple) else (outputs,)
        check_outputs(np.asarray(logits)[known])
        if chain:
            check_outputs(np.asarray(chain[0])[0])
            tags = models.find_best_tags(outputs, known.sum(axis=1))
        else:
            tags = np.asarray(logits).argmax(axis=-1)
        found[places[known]] = tags[known] + 1
    return found

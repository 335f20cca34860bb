"""A text to learn and the parts of it that are held out, and what simple models make of it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .text import read_text

NumpyArray = np.ndarray[Any, Any]

LEAST_CHARACTERS = 1_000
TEST_SHARE, VALIDATION_SHARE = 0.10, 0.05


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts, each cut into three parts that lie one after the other.

    Args:
        train: to learn.
        validation: to stop on: what follows the part to learn in each text.
        test: to report: the last tenth of each text.
        files: the names of the files.
    """

    train: str
    validation: str
    test: str
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.train) + len(self.validation) + len(self.test)


def read_corpus(path: str | os.PathLike[str]) -> Corpus:
    """A text file, or all `.txt` files of a folder in the order of their names.

    The last tenth of each file is for testing, the twentieth before it for validation.

    Raises:
        DataError: there is no such file, it is no text, or there is too little of it.
    """
    texts = read_texts(path)
    parts: tuple[list[str], ...] = ([], [], [])
    for text in texts.values():
        for part, piece in zip(parts, split_text(text)):
            part.append(piece)
    train, validation, test = ("".join(part) for part in parts)
    corpus = Corpus(train, validation, test, tuple(texts))
    if len(corpus) < LEAST_CHARACTERS:
        raise DataError(
            f"{str(path)!r} has {len(corpus)} characters; a language model takes at least "
            f"{LEAST_CHARACTERS:,}, and learns little from fewer than 100,000.",
            fix="give a longer text, or a folder of .txt files",
        )
    return corpus


def read_texts(path: str | os.PathLike[str]) -> dict[str, str]:
    """A text file, or all `.txt` files of a folder in the order of their names, by their names.

    Raises:
        DataError: there is no such file, or it is no text.
    """
    place = Path(path)
    files = [place]
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if file.suffix.lower() == ".txt")
        if not files:
            raise DataError(
                f"The folder {str(place)!r} holds no file that ends in .txt.",
                fix="name a text file, or a folder of text files",
            )
    return {file.name: read_text(file) for file in files}


def split_text(text: str) -> tuple[str, str, str]:
    """The parts to learn, to stop on and to report, in the order of the text.

    Example:
        >>> [len(part) for part in split_text("x" * 1000)]
        [850, 50, 100]
    """
    test = len(text) - round(len(text) * TEST_SHARE)
    validation = test - round(len(text) * VALIDATION_SHARE)
    return text[:validation], text[validation:test], text[test:]


def measure_entropy(train: NumpyArray, test: NumpyArray, classes: int, order: int) -> float:
    r"""Bits for each symbol of a text, by the counts of another.

    .. math:: p(c \mid h) = \frac{n(h, c) + s \, p(c)}{n(h) + s}

    for the symbol h before it (order 1), with s = 1 and :math:`p(c) = (n(c) + 1) / (n + classes)`,
    or by p(c) alone (order 0).

    Args:
        train: what is counted, integers (length,).
        test: what is measured, integers (length,), at least 2.
        classes: how many different symbols there are.
        order: 0 or 1.

    Example:
        >>> measure_entropy(np.array([0, 1] * 500), np.array([0, 1] * 50), 2, 0)
        1.0
        >>> round(measure_entropy(np.array([0, 1] * 500), np.array([0, 1] * 50), 2, 1), 2)
        0.0
    """
    single = (np.bincount(train, minlength=classes) + 1.0) / (len(train) + classes)
    following = test[1:].astype(np.int64)
    shares = single[following]
    if order:
        before = train[:-1].astype(np.int64)
        pairs = before * classes + train[1:]
        keys, counts = np.unique(pairs, return_counts=True)
        wanted = test[:-1].astype(np.int64) * classes + following
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        together = np.where(keys[found] == wanted, counts[found], 0)
        alone = np.bincount(before, minlength=classes)[test[:-1]]
        shares = (together + shares) / (alone + 1.0)
    return float(-np.log(shares).mean() / math.log(2.0))

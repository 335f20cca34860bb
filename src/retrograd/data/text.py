"""Text as numbers: vocabularies of bytes, of characters, of words, and of subwords."""

from __future__ import annotations

import json
import operator
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DataError, FileFormatError
from .decoding import decode_text
from .sequences import as_count

NumpyArray = np.ndarray[Any, Any]

PADDING, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"
SPECIAL = (PADDING, UNKNOWN, START, END)
"""The first numbers of every vocabulary: filling after the end, what is not known, both ends."""

WORD = re.compile(r"\w+|[^\w\s]")


class Vocabulary(ABC):
    """Turns text into numbers and back. The numbers 0 to 3 stand for `SPECIAL`.

    Example:
        >>> words = Characters.of("abracadabra")
        >>> words.encode("cab").tolist(), words.decode([6, 4, 5])
        ([6, 4, 5], 'cab')
    """

    kind: ClassVar[str]
    padding, unknown, start, end = range(4)

    @abstractmethod
    def __len__(self) -> int:
        """How many numbers there are; the classes of a language model."""

    @abstractmethod
    def encode(self, text: str, ends: bool = False) -> NumpyArray:
        """The numbers of a text, int32 (length,).

        Args:
            text: what to encode. What the vocabulary does not hold becomes `unknown`.
            ends: put `start` before it and `end` behind it.
        """

    @abstractmethod
    def decode(self, numbers: Iterable[Any]) -> str:
        """The text of numbers; special ones are left out.

        Raises:
            ArgumentTypeError: they are no integers.
            DataError: a number is none of this vocabulary.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """All that makes the vocabulary, for JSON; `load_vocabulary` reads it."""

    def _with_ends(self, numbers: Sequence[int] | NumpyArray, ends: bool) -> NumpyArray:
        found = np.asarray(numbers, np.int32)
        return np.concatenate([[self.start], found, [self.end]]).astype(np.int32) if ends else found

    def _check(self, numbers: Iterable[Any]) -> list[int]:
        try:
            found = [operator.index(number) for number in numbers]
        except TypeError:
            raise ArgumentTypeError(
                f"expected integers to decode, received {numbers!r:.60}."
            ) from None
        for place, number in enumerate(found):
            if not 0 <= number < len(self):
                raise DataError(
                    f"The number {number} at {place} is none of this vocabulary of {len(self)}."
                )
        return [number for number in found if number >= len(SPECIAL)]


@final
class Bytes(Vocabulary):
    """The bytes of the text in UTF-8: 256 of them, so that nothing is unknown.

    Example:
        >>> Bytes().decode(Bytes().encode("mañana"))
        'mañana'
    """

    kind = "bytes"

    def __len__(self) -> int:
        return 256 + len(SPECIAL)

    def encode(self, text: str, ends: bool = False) -> NumpyArray:
        content = np.frombuffer(check_text(text).encode("utf-8", "replace"), np.uint8)
        return self._with_ends(content.astype(np.int32) + len(SPECIAL), ends)

    def decode(self, numbers: Iterable[Any]) -> str:
        content = bytes(number - len(SPECIAL) for number in self._check(numbers))
        return content.decode("utf-8", "replace")

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind}


class Symbols(Vocabulary):
    """A vocabulary that is a list of symbols.

    Args:
        symbols: each once, in the order of their numbers, from `len(SPECIAL)` on.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = list(symbols)
        if not self.symbols:
            raise DataError(
                "The vocabulary is empty.",
                fix="pass a text that holds something, or count what occurs less often",
            )
        self._number_of = {s: n for n, s in enumerate(self.symbols, len(SPECIAL))}
        if len(self._number_of) != len(self.symbols):
            twice = Counter(self.symbols).most_common(1)[0][0]
            raise DataError(f"The symbol {twice!r} stands twice in the vocabulary.")

    def __len__(self) -> int:
        return len(self.symbols) + len(SPECIAL)

    @staticmethod
    @abstractmethod
    def cut(text: str) -> Sequence[str]:
        """The symbols of a text in order."""

    joint: ClassVar[str]

    def encode(self, text: str, ends: bool = False) -> NumpyArray:
        number_of, unknown = self._number_of, self.unknown
        numbers = [number_of.get(symbol, unknown) for symbol in self.cut(check_text(text))]
        return self._with_ends(numbers, ends)

    def decode(self, numbers: Iterable[Any]) -> str:
        return self.joint.join(self.symbols[n - len(SPECIAL)] for n in self._check(numbers))

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "symbols": self.symbols}


@final
class Characters(Symbols):
    """The characters that a text holds.

    Example:
        >>> vocabulary = Characters.of("to be or not to be")
        >>> len(vocabulary), vocabulary.decode(vocabulary.encode("tent"))
        (11, 'tent')
    """

    kind = "characters"
    joint = ""

    @staticmethod
    def cut(text: str) -> Sequence[str]:
        return text

    @staticmethod
    def of(*texts: str, at_least: int = 1) -> Characters:
        """The characters of texts that occur often enough, in their order in Unicode.

        Args:
            texts: what is counted.
            at_least: how often a character must occur.

        Raises:
            ArgumentError: `at_least` is no whole number of at least 1.
            DataError: no character is left.
        """
        at_least = as_count(at_least, "at_least")
        counts = Counter("".join(check_text(text) for text in texts))
        return Characters(sorted(symbol for symbol, n in counts.items() if n >= at_least))


@final
class Words(Symbols):
    """Words in lower case, and single punctuation marks.

    Decoding puts a space between all of them.

    Example:
        >>> Words.of("The cat. The dog.", most=3).symbols
        ['.', 'the', 'cat']
    """

    kind = "words"
    joint = " "

    @staticmethod
    def cut(text: str) -> Sequence[str]:
        return WORD.findall(text.lower())

    @staticmethod
    def of(*texts: str, most: int | None = None, at_least: int = 1) -> Words:
        """The words of texts, the most frequent first, equally frequent ones in alphabetic order.

        Args:
            texts: what is counted.
            most: how many words at the most; None for all.
            at_least: how often a word must occur.

        Raises:
            ArgumentError: `most` or `at_least` is no whole number of at least 1.
            DataError: no word is left.
        """
        at_least = as_count(at_least, "at_least")
        most = None if most is None else as_count(most, "most")
        counts = Counter(symbol for text in texts for symbol in Words.cut(check_text(text)))
        frequent = [symbol for symbol, n in counts.items() if n >= at_least]
        return Words(sorted(frequent, key=lambda symbol: (-counts[symbol], symbol))[:most])


@final
class Subwords(Vocabulary):
    """Parts of words that byte-pair encoding finds, by the package `tokenizers`.

    Args:
        tokenizer: a `tokenizers.Tokenizer` whose first numbers are `SPECIAL`.

    Source: R. Sennrich, B. Haddow, A. Birch, "Neural Machine Translation of Rare Words with Subword
    Units", ACL 2016.
    """

    kind = "subwords"

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        for number, symbol in enumerate(SPECIAL):
            if tokenizer.token_to_id(symbol) != number:
                raise ArgumentError(
                    f"The tokenizer's number {number} is not {symbol}.",
                    fix="make it with Subwords.of(texts, size)",
                )

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    @staticmethod
    def of(*texts: str, size: int = 4096) -> Subwords:
        """Learn the parts from texts.

        Args:
            texts: what is counted.
            size: how many numbers there are in all, special ones and 256 bytes included.

        Raises:
            ArgumentError: the package `tokenizers` is missing, or size is too small.
        """
        size = as_count(size, "size")
        if size < 256 + len(SPECIAL):
            raise ArgumentError(f"size is {size}; bytes alone need {256 + len(SPECIAL)}.")
        package = _import_tokenizers()
        tokenizer = package.Tokenizer(package.models.BPE(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = package.decoders.ByteLevel()
        trainer = package.trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list(SPECIAL),
            initial_alphabet=package.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator([check_text(text) for text in texts], trainer)
        return Subwords(tokenizer)

    def encode(self, text: str, ends: bool = False) -> NumpyArray:
        numbers = self.tokenizer.encode(check_text(text), add_special_tokens=False).ids
        return self._with_ends(numbers, ends)

    def decode(self, numbers: Iterable[Any]) -> str:
        return str(self.tokenizer.decode(self._check(numbers)))

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "tokenizer": json.loads(self.tokenizer.to_str())}


def load_vocabulary(description: Any) -> Vocabulary:
    """The vocabulary that `describe` has described.

    Raises:
        FileFormatError: it is no description of one.

    Example:
        >>> len(load_vocabulary(Characters.of("aab").describe()))
        6
    """
    kind = description.get("kind") if isinstance(description, dict) else None
    try:
        if kind == Bytes.kind:
            return Bytes()
        for symbols in (Characters, Words):
            if kind == symbols.kind:
                return symbols(_read_symbols(description))
        if kind == "ngrams":
            from .ngrams import NGrams  # it builds on this module

            return NGrams(
                _read_symbols(description), description["longest"], description["beginning"]
            )
        if kind == Subwords.kind:
            return Subwords(_read_tokenizer(description["tokenizer"]))
    except (KeyError, TypeError, ValueError, ArgumentError, DataError) as error:
        raise FileFormatError(
            f"The vocabulary is damaged ({type(error).__name__}: {error}).",
            fix="train the model again",
        ) from None
    raise FileFormatError(
        f"There is no vocabulary of the kind {kind!r:.60}.",
        fix="it may come from a newer version of retrograd; else train the model again",
    )


def _read_symbols(description: dict[str, Any]) -> list[str]:
    listed = description["symbols"]
    if not isinstance(listed, list) or not all(isinstance(symbol, str) for symbol in listed):
        raise TypeError("symbols are strings")
    return listed


def _read_tokenizer(description: Any) -> Any:
    package = _import_tokenizers()
    try:
        return package.Tokenizer.from_str(json.dumps(description))
    except Exception as error:  # the package has no class of its own for what it cannot read
        raise ValueError(str(error)) from None


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file in UTF-8, with line ends as they are read on any system.

    Raises:
        DataError: there is no such file, it is empty, or it is no text in UTF-8.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise DataError(f"{os.fspath(path)!r} cannot be read: {error.strerror}.") from None
    if not content.strip():
        raise DataError(f"{os.fspath(path)!r} holds no text.")
    return decode_text(content, repr(os.fspath(path)))


def check_text(text: Any) -> str:
    """The text, if it is one."""
    if not isinstance(text, str):
        raise ArgumentTypeError(
            f"expected a string, received {type(text).__name__}.",
            fix="pass several texts one by one: of(*texts)" if isinstance(text, list) else None,
        )
    return text


def _import_tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise ArgumentError(
            "Subwords need the package tokenizers.", fix="pip install 'retrograd[text]'"
        ) from None
    return tokenizers

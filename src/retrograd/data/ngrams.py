"""NGrams: a vocabulary of words and of words that stand together, for the classes of texts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from .sequences import as_count
from .text import NumpyArray, Symbols, check_text

# Scripts that put no space between words: each of their characters is a word of its own.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
# Marks that belong to the letter before them, which \w leaves out.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
_TOKEN = re.compile(
    rf"[{_UNSPACED}]|[^\W{_UNSPACED}](?:[^\W{_UNSPACED}]|[{_MARKS}]|['’](?=\w))*|[^\w\s]"
)


@final
class NGrams(Symbols):
    """Words in lower case, punctuation marks, and up to `longest` of them one after the other.

    A text becomes the numbers of the n-grams that it holds, each once, in the order in which they
    first occur; what is not known is left out. "not good" is then another feature than "good",
    though the order of the text is lost otherwise. With `beginning=5`, a longer word counts by its
    first 5 letters as well ("disappointed" and "disappointing" as "disap-"), which tells what a
    word means that was hardly ever seen.

    Args:
        symbols: the n-grams, their words separated by a space, in the order of their numbers.
        longest: how many words an n-gram has at the most.
        beginning: the letters of a beginning; 0 for none.

    Example:
        >>> vocabulary = NGrams.of("not good", "good, not bad", at_least=1)
        >>> [vocabulary.symbols[number - 4] for number in vocabulary.encode("Not good!")]
        ['not', 'good', 'not good']

    Source: S. Wang, C. Manning, Baselines and bigrams: simple, good sentiment and topic
    classification, ACL 2012; A. Joulin et al., Bag of tricks for efficient text classification,
    EACL 2017.
    """

    kind = "ngrams"
    joint = ", "

    def __init__(self, symbols: Sequence[str], longest: int = 2, beginning: int = 0) -> None:
        super().__init__(symbols)
        self.longest = as_count(longest, "longest")
        self.beginning = as_count(beginning, "beginning", least=0)

    @staticmethod
    def cut(text: str) -> Sequence[str]:
        """The words and punctuation marks of a text in order."""
        return _TOKEN.findall(unicodedata.normalize("NFC", text).lower())

    @staticmethod
    def find(text: str, longest: int = 2, beginning: int = 0) -> list[str]:
        """The n-grams of a text, each once: words, their beginnings, then longer ones."""
        words = NGrams.cut(check_text(text))
        found = dict.fromkeys(words)
        if beginning:
            found |= dict.fromkeys(f"{w[:beginning]}-" for w in words if len(w) > beginning)
        for length in range(2, longest + 1):
            for start in range(len(words) - length + 1):
                found[" ".join(words[start : start + length])] = None
        return list(found)

    @staticmethod
    def of(
        *texts: str,
        longest: int = 2,
        beginning: int = 0,
        most: int | None = None,
        at_least: int = 2,
    ) -> NGrams:
        """The n-grams that occur in enough of the texts, those in the most texts first.

        Args:
            texts: what is counted.
            longest: how many words an n-gram has at the most.
            beginning: the letters of a beginning; 0 for none.
            most: how many n-grams at the most; None for all.
            at_least: in how many texts an n-gram must occur.

        Raises:
            ArgumentError: an option is no count.
            DataError: there is no n-gram.
        """
        as_count(longest, "longest")
        as_count(beginning, "beginning", least=0)
        as_count(at_least, "at_least")
        if most is not None:
            as_count(most, "most")
        counts = Counter(s for text in texts for s in NGrams.find(text, longest, beginning))
        frequent = [symbol for symbol, number in counts.items() if number >= at_least]
        ordered = sorted(frequent, key=lambda symbol: (-counts[symbol], symbol))
        return NGrams(ordered[:most], longest, beginning)

    def encode(self, text: str, ends: bool = False) -> NumpyArray:
        number_of = self._number_of
        found = NGrams.find(text, self.longest, self.beginning)
        return self._with_ends([number_of[s] for s in found if s in number_of], ends)

    def describe(self) -> dict[str, Any]:
        sizes = {"longest": self.longest, "beginning": self.beginning}
        return {"kind": self.kind, **sizes, "symbols": self.symbols}


def weigh_by_rarity(rows: Sequence[NumpyArray], vocabulary: int) -> NumpyArray:
    r"""The inverse document frequency of each number, float32 (vocabulary,).

    .. math:: 1 + \log \frac{1 + n}{1 + n_t}

    for n rows, of which :math:`n_t` hold the number t.

    Args:
        rows: numbers of texts, each at most once in a row.
        vocabulary: how many numbers there are.
    """
    counts = np.zeros(vocabulary)
    for row in rows:
        counts[row] += 1
    found: NumpyArray = (1.0 + np.log((1.0 + len(rows)) / (1.0 + counts))).astype(np.float32)
    return found

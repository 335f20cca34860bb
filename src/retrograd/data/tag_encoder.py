"""Words as numbers for a tagger: the word, its letters, and the tag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import DataError, FileFormatError

NumpyArray = np.ndarray[Any, Any]
Sentence = Sequence[str]

PADDING, UNKNOWN, START, END = range(4)
LEAST_TIMES = 2
MOST_WORDS, MOST_CHARACTERS, MOST_TAGS = 50_000, 4_000, 1_000
MOST_AFFIXES, PREFIXES, SUFFIXES = 10_000, 3, 5
MOST_LETTERS, MOST_BUCKETS = 20, 4
MOST_LENGTH = 256
HARDLY_MORE = 1.15


@dataclass(frozen=True, slots=True)
class TagEncoder:
    """How words and tags become numbers. 0 fills up, 1 is a word or character that is not known.

    2 and 3 stand before and behind the characters of a word, so that a network sees where it begins
    and ends.

    Args:
        words: those with a number of their own, in lower case: the ones that occur at least twice,
            so that a network learns what words are like that it does not know.
        characters: that occur in the words.
        affixes: beginnings of up to three characters (`<un`) and ends of up to five (`ing>`) that
            occur at least twice.
        tags: all of them.
        letters: how many characters of a word are seen; of longer words both ends.
        lengths: of the rows into which sequences are filled; longer ones are cut into pieces.
    """

    words: tuple[str, ...]
    characters: tuple[str, ...]
    affixes: tuple[str, ...]
    tags: tuple[str, ...]
    letters: int
    lengths: tuple[int, ...]

    @staticmethod
    def fit(words: Sequence[Sentence], tags: Sequence[Sentence]) -> TagEncoder:
        """What the sequences to learn hold.

        Raises:
            DataError: there are fewer than two tags, or so many that they are no tags.

        Example:
            >>> encoder = TagEncoder.fit([["a", "dog"], ["a", "cat"]], [["D", "N"], ["D", "N"]])
            >>> encoder.words, encoder.tags
            (('a',), ('D', 'N'))
        """
        counts = Counter(word for sentence in words for word in sentence)
        lowered, letters, affixes = Counter[str](), Counter[str](), Counter[str]()
        for word, times in counts.items():
            lowered[word.lower()] += times
            for letter in word:
                letters[letter] += times
            for affix in find_affixes(word):
                affixes[affix] += times
        found = sorted({tag for sentence in tags for tag in sentence})
        if len(found) < 2:
            raise DataError(
                f"All words have the tag {found[0]!r}." if found else "There are no tags.",
                fix="name the column of the tags with --target",
            )
        if len(found) > MOST_TAGS:
            raise DataError(
                f"There are {len(found):,} different tags, such as {found[0]!r:.40}; a tagger "
                f"takes at most {MOST_TAGS:,}.",
                fix="name the column of the tags with --target",
            )
        sizes = [len(word) for sentence in words for word in sentence]
        longest = int(np.clip(np.quantile(sizes, 0.99, method="higher"), 4, MOST_LETTERS))
        return TagEncoder(
            words=find_frequent(lowered, LEAST_TIMES, MOST_WORDS),
            characters=find_frequent(letters, 1, MOST_CHARACTERS),
            affixes=find_frequent(affixes, LEAST_TIMES, MOST_AFFIXES),
            tags=tuple(found),
            letters=longest,
            lengths=choose_lengths([len(sentence) for sentence in words]),
        )

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers of words, tags, characters and affixes there are; for SequenceTagger."""
        return {
            "words": len(self.words) + UNKNOWN + 1,
            "tags": len(self.tags),
            "characters": len(self.characters) + END + 1,
            "affixes": len(self.affixes) + UNKNOWN + 1,
        }

    def decode(self, numbers: NumpyArray, words: Sequence[Sentence]) -> list[list[str]]:
        """The tags of sequences.

        Args:
            numbers: of the tags of all words one after the other, from 1 on.
            words: the sequences.
        """
        ends = np.cumsum([len(sentence) for sentence in words])[:-1]
        return [[self.tags[n - 1] for n in part.tolist()] for part in np.split(numbers, ends)]

    def encode(
        self, words: Sequence[Sentence], tags: Sequence[Sentence] | None = None
    ) -> EncodedWords:
        """The numbers of sequences; tags that are not known become 0."""
        known = {word: number for number, word in enumerate(self.words, UNKNOWN + 1)}
        characters = {letter: number for number, letter in enumerate(self.characters, END + 1)}
        affixes = {affix: number for number, affix in enumerate(self.affixes, UNKNOWN + 1)}
        flat = [word for sentence in words for word in sentence]
        different, places = np.unique(np.array(flat, object), return_inverse=True)
        spelled = np.zeros((len(different), self.letters + 2), np.int32)
        ends = np.zeros((len(different), PREFIXES + SUFFIXES), np.int32)
        for row, word in enumerate(different):
            seen = [characters.get(letter, UNKNOWN) for letter in shorten(word, self.letters)]
            spelled[row, : len(seen) + 2] = [START, *seen, END]
            ends[row] = [affixes.get(affix, UNKNOWN) for affix in find_affixes(word)]
        numbers = [known.get(word.lower(), UNKNOWN) for word in different]
        marks = np.zeros(len(flat), np.int32)
        if tags is not None:
            classes = {tag: number for number, tag in enumerate(self.tags, 1)}
            marks[:] = [classes.get(tag, 0) for sentence in tags for tag in sentence]
        starts, sizes = self._cut(words)
        listed = np.array(numbers, np.int32)[places]
        return EncodedWords(self, listed, spelled[places], ends[places], marks, starts, sizes)

    def _cut(self, words: Sequence[Sentence]) -> tuple[NumpyArray, NumpyArray]:
        """Where pieces begin, and their lengths: whole sequences, but for very long ones."""
        starts, sizes, place, most = [], [], 0, self.lengths[-1]
        for sentence in words:
            for start in range(0, len(sentence), most):
                starts.append(place + start)
                sizes.append(min(most, len(sentence) - start))
            place += len(sentence)
        return np.array(starts, np.int64), np.array(sizes, np.int64)

    def to_json(self) -> dict[str, Any]:
        """All that makes it, for JSON; `from_json` reads it."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @staticmethod
    def from_json(description: Any) -> TagEncoder:
        """What `to_json` has described.

        Raises:
            FileFormatError: it is no such description.
        """
        try:
            lists = {
                name: _read_list(description[name], str)
                for name in ("words", "characters", "affixes", "tags")
            }
            lengths = _read_list(description["lengths"], int)
            letters = description["letters"]
            fits = type(letters) is int and letters > 0 and len(lists["tags"]) > 1
            if not fits or not lengths or min(lengths) < 1 or sorted(lengths) != [*lengths]:
                raise ValueError("numbers are out of range")
            return TagEncoder(**lists, letters=letters, lengths=lengths)
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(
                f"The words of the tagger are damaged: {error}.", fix="train the model again"
            ) from None


def _read_list(found: Any, kind: type) -> tuple[Any, ...]:
    if not isinstance(found, list) or not all(type(item) is kind for item in found):
        raise TypeError(f"expected a list of {kind.__name__}")
    if len(set(found)) != len(found):
        raise ValueError("something stands twice")
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedWords:
    """Sequences as numbers, one after the other.

    Args:
        encoder: which made them.
        words: int32 (words,).
        characters: int32 (words, letters + 2).
        affixes: int32 (words, 8).
        tags: int32 (words,); 0 where the tag is not known.
        starts, sizes: of the pieces that fill rows, int64 (pieces,).
    """

    encoder: TagEncoder
    words: NumpyArray
    characters: NumpyArray
    affixes: NumpyArray
    tags: NumpyArray
    starts: NumpyArray
    sizes: NumpyArray

    def make_batches(
        self, batch_size: int, generator: np.random.Generator | None = None, most: int = 64
    ) -> Iterator[tuple[NumpyArray, tuple[NumpyArray, ...], NumpyArray]]:
        """Pieces of about the same length, filled up to a few shapes.

        Args:
            batch_size: rows come in multiples of it; empty ones fill up.
            generator: mixes pieces and shapes; None leaves them in order.
            most: batches at a time.

        Yields:
            The place of each word, int64 (rows, time), -1 where there is none; its number (rows,
            time), its characters (rows, time, letters + 2) and affixes (rows, time, 8); its tag
            (rows, time).
        """
        lengths = np.array(self.encoder.lengths)
        bucket = np.searchsorted(lengths, self.sizes)
        chunks = []
        for number, length in enumerate(lengths.tolist()):
            rows = np.flatnonzero(bucket == number)
            if generator is not None:
                rows = generator.permutation(rows)
            step = most * batch_size
            chunks += [(length, rows[start : start + step]) for start in range(0, len(rows), step)]
        order = range(len(chunks)) if generator is None else generator.permutation(len(chunks))
        for number in order:
            length, rows = chunks[number]
            filled = -(-len(rows) // batch_size) * batch_size
            steps = np.arange(length)
            places = np.full((filled, length), -1, np.int64)
            inside = steps < self.sizes[rows, None]
            places[: len(rows)] = np.where(inside, self.starts[rows, None] + steps, -1)
            yield places, *self._fill(places)

    def _fill(self, places: NumpyArray) -> tuple[tuple[NumpyArray, ...], NumpyArray]:
        known = places >= 0
        words, characters, affixes, tags = (
            np.where(known.reshape(known.shape + (1,) * (part.ndim - 1)), part[places], PADDING)
            for part in (self.words, self.characters, self.affixes, self.tags)
        )
        return (words, characters, affixes), tags


def find_affixes(word: str) -> list[str]:
    """How a word begins and how it ends.

    Example:
        >>> find_affixes("Unseen")
        ['<U', '<Un', '<Uns', 'n>', 'en>', 'een>', 'seen>', 'nseen>']
    """
    marked = f"<{word}>"
    begins = [marked[: length + 1] for length in range(1, PREFIXES + 1)]
    return begins + [marked[-length - 1 :] for length in range(1, SUFFIXES + 1)]


def find_frequent(counts: Counter[str], least: int, most: int) -> tuple[str, ...]:
    """What occurs often enough, the most frequent first, at most so many.

    Example:
        >>> find_frequent(Counter("abracadabra"), 2, 2)
        ('a', 'b')
    """
    often = [item for item, times in counts.items() if times >= least]
    return tuple(sorted(often, key=lambda item: (-counts[item], item))[:most])


def shorten(word: str, letters: int) -> str:
    """The word, or both its ends if it is long.

    Example:
        >>> shorten("incomprehensibilities", 8)
        'incoties'
    """
    if len(word) <= letters:
        return word
    first = (letters + 1) // 2
    return word[:first] + word[len(word) - (letters - first) :]


def choose_lengths(sizes: Sequence[int], most: int = MOST_BUCKETS) -> tuple[int, ...]:
    """The lengths of rows with which little is filled up.

    Args:
        sizes: of the sequences.
        most: how many lengths there may be; a step is compiled for each. Fewer do where they fill
            up hardly more.

    Returns:
        The lengths, in order; behind that of the longest sequence come longer ones, for sequences
        to be met later.

    Example:
        >>> choose_lengths([3, 4, 4, 30, 100], most=3)
        (4, 30, 100, 200, 256)
    """
    limited = np.clip(sizes, 1, MOST_LENGTH)
    ends, counts = np.unique(limited, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])
    cost = np.full((most + 1, len(ends) + 1), np.inf)
    cost[0, 0] = 0.0
    before = np.zeros(cost.shape, np.int64)
    for used in range(1, most + 1):
        for end in range(1, len(ends) + 1):
            # The sequences above each earlier end are filled up to this one.
            tried = cost[used - 1, :end] + (below[end] - below[:end]) * ends[end - 1]
            before[used, end] = tried.argmin()
            cost[used, end] = tried.min()
    used = int(np.flatnonzero(cost[:, -1] <= HARDLY_MORE * cost[:, -1].min())[0])
    end, chosen = len(ends), []
    while end:
        chosen.append(int(ends[end - 1]))
        end, used = int(before[used, end]), used - 1
    chosen.sort()
    while chosen[-1] < MOST_LENGTH:
        chosen.append(min(2 * chosen[-1], MOST_LENGTH))
    return tuple(chosen)

"""Files with one word a line and its tags beside it, as of CoNLL's shared tasks."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, suggest
from .text import read_text

SUFFIXES = (".conll", ".conllu", ".conllup", ".iob", ".iob2", ".bio", ".bioes", ".tsv", ".txt")
CONLLU = tuple("ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC".split())
WORD, TAG = "FORM", "UPOS"
"""The columns of CoNLL-U that are read if none is named."""

GLOBAL_COLUMNS = re.compile(r"#\s*global\.columns\s*=\s*(.+)")
BLANKS = re.compile(r"[ \t]+")
NUMBER = re.compile(r"[0-9]+([.-][0-9]+)?")
SINGLE = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, eq=False)
class TaggedText:
    """The lines of a file, and which of them are the words of which sequence.

    Args:
        source: the name of the file.
        lines: all lines as they stand, without their ends.
        rows: for each line its columns; None for an empty line, a comment, and what stands beside
            the words (of CoNLL-U: words that are written as one, "3-4", and words left out, "8.1").
        sequences: for each sequence the numbers of its lines.
        separator: what stands between columns.
        names: of the columns; () if the file does not tell.
    """

    source: str
    lines: list[str]
    rows: list[list[str] | None]
    sequences: list[list[int]]
    separator: str
    names: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(next(row for row in self.rows if row is not None))

    def __len__(self) -> int:
        return len(self.sequences)

    def find_column(self, asked: str | None, what: str) -> int:
        """The place of a column, from 0.

        Args:
            asked: its name, or its number from 1; None for what is usual: FORM and UPOS of
                CoNLL-U, else the first column for "words" and the last for "tags".
            what: "words" or "tags".

        Raises:
            DataError: there is no such column.
        """
        if asked is None:
            usual = WORD if what == "words" else TAG
            if usual in self.names:
                return self.names.index(usual)
            return 0 if what == "words" else self.width - 1
        upper = {name.upper(): place for place, name in enumerate(self.names)}
        if asked.upper() in upper:
            return upper[asked.upper()]
        if SINGLE.fullmatch(asked) and 1 <= int(asked) <= self.width:
            return int(asked) - 1
        have = suggest(asked, self.names) if self.names else "The columns have no names."
        raise DataError(
            f"{self.source} has no column {asked!r} for the {what}: it has "
            f"{count_columns(self.width)}. {have}",
            fix=f"give a number from 1 to {self.width}" + (" or a name" if self.names else ""),
        )

    def read_column(self, column: int) -> list[list[str]]:
        """What stands in a column: the words, or the tags, of each sequence."""
        rows = self.rows
        return [[rows[line][column] for line in lines] for lines in self.sequences]  # type: ignore[index]

    def add_column(self, values: Sequence[Sequence[str]]) -> str:
        """The file with another column behind the others: one value for each word.

        Lines that are no words stay as they are; in CoNLL-U those beside words get "_".
        """
        added: dict[int, str] = {}
        for lines, listed in zip(self.sequences, values, strict=True):
            added.update(zip(lines, listed, strict=True))
        written = []
        for number, line in enumerate(self.lines):
            if number in added:
                line = f"{line.rstrip()}{self.separator}{added[number]}"
            elif line.strip() and not line.startswith("#"):
                line = f"{line.rstrip()}{self.separator}_"
            written.append(line)
        return "\n".join(written) + "\n"


def read_tagged(path: str | os.PathLike[str]) -> list[TaggedText]:
    """A file with one word a line, or all such files of a folder in the order of their names.

    Columns stand apart by tabs, or else by blanks. An empty line ends a sequence. Lines that begin
    with # and do not have as many columns as the others are comments; in CoNLL-U, which is known by
    its ten columns of which the first are numbers, all of them.

    Raises:
        DataError: there is no such file, it is no text, it has no words, or its lines do not have
            the same number of columns.
    """
    place = Path(path)
    files = [place]
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if file.suffix.lower() in SUFFIXES)
        if not files:
            raise DataError(
                f"The folder {str(place)!r} holds no file that ends in {', '.join(SUFFIXES)}.",
                fix="name a file, or a folder of such files",
            )
    texts = [parse_tagged(read_text(file), str(file)) for file in files]
    for text in texts[1:]:
        if text.width != texts[0].width:
            raise DataError(
                f"{text.source} has {count_columns(text.width)}, but {texts[0].source} has "
                f"{texts[0].width}.",
                fix="put files of one kind into the folder",
            )
    return texts


def parse_tagged(text: str, source: str = "the text") -> TaggedText:
    """The sequences of a text with one word a line.

    Args:
        text: the content of a file.
        source: its name, for errors.

    Example:
        >>> text = parse_tagged("The DT\\ndog NN\\n\\nIt PRP\\n")
        >>> text.read_column(0), text.read_column(1)
        ([['The', 'dog'], ['It']], [['DT', 'NN'], ['PRP']])
    """
    if "\0" in text:
        raise DataError(
            f"{source} is no text: it holds zero bytes.",
            fix="give plain text; convert UTF-16 with iconv -f UTF-16 -t UTF-8",
        )
    lines = text.split("\n")
    if lines[-1] == "":
        del lines[-1]
    full = [line for line in lines if line.strip()]
    told = [line for line in full if not line.startswith("#")]
    if not told:
        raise DataError(f"{source} holds no words.", fix="give a file with one word a line")
    by_tabs = all("\t" in line for line in told)
    width = Counter(len(_cut(line, by_tabs)) for line in told).most_common(1)[0][0]
    separator = "\t" if by_tabs or width == 1 else " "
    names = _find_names(full, told, by_tabs, width)
    with_ids = names[:1] == ("ID",)
    rows: list[list[str] | None] = []
    sequences: list[list[int]] = []
    inside = False
    for number, line in enumerate(lines):
        row = None
        if not line.strip():
            inside = False
        elif not line.startswith("#") or (not names and len(_cut(line, by_tabs)) == width):
            row = _cut(line, by_tabs)
            _check_row(row, width, with_ids, number + 1, source)
            if with_ids and not SINGLE.fullmatch(row[0]):
                row = None
        rows.append(row)
        if row is not None:
            if not inside:
                sequences.append([])
            inside = True
            sequences[-1].append(number)
    if not sequences:
        raise DataError(f"{source} holds no words.", fix="give a file with one word a line")
    return TaggedText(source, lines, rows, sequences, separator, names)


def count_columns(number: int) -> str:
    """`1 column`, `2 columns`."""
    return f"{number:,} column{'' if number == 1 else 's'}"


def _cut(line: str, by_tabs: bool) -> list[str]:
    return line.split("\t") if by_tabs else BLANKS.split(line.strip(" \t"))


def _find_names(full: list[str], told: list[str], by_tabs: bool, width: int) -> tuple[str, ...]:
    """The names of the columns, if the file tells them or is CoNLL-U."""
    for line in full:
        if found := GLOBAL_COLUMNS.match(line):
            names = tuple(name.upper() for name in found[1].split())
            return names if len(names) == width else ()
    if width != len(CONLLU):
        return ()
    first = [_cut(line, by_tabs)[0] for line in told[:1000]]
    return CONLLU if all(NUMBER.fullmatch(item) for item in first) else ()


def _check_row(row: list[str], width: int, with_ids: bool, number: int, source: str) -> None:
    if len(row) != width:
        raise DataError(
            f"Line {number} of {source} has {count_columns(len(row))}, most lines have {width}: "
            f"{' '.join(row)!r:.80}.",
            fix="write one word a line, as many columns on each, and an empty line between "
            "sequences",
        )
    if "" in row and not with_ids:
        raise DataError(
            f"Line {number} of {source} has nothing in column {row.index('') + 1}.",
            fix="write a word and a tag on each line; _ or O stand for none",
        )
    if with_ids and not NUMBER.fullmatch(row[0]):
        raise DataError(
            f"Line {number} of {source} begins with {row[0]!r:.40}, no number of a word as in "
            "CoNLL-U."
        )

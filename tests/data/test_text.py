"""Vocabularies: what is encoded comes back, what is unknown is told, descriptions are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.text import (
    SPECIAL,
    Bytes,
    Characters,
    Subwords,
    Vocabulary,
    Words,
    load_vocabulary,
    read_text,
)
from retrograd.errors import ArgumentError, ArgumentTypeError, DataError, FileFormatError

TEXT = "It is a truth universally acknowledged, that a single man..."


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_bytes_hold_every_text(text: str) -> None:
    numbers = Bytes().encode(text, ends=True)
    assert numbers.dtype == np.int32
    assert numbers[0] == Vocabulary.start and numbers[-1] == Vocabulary.end
    assert Bytes().decode(numbers) == text
    assert numbers.max() < len(Bytes())


@given(st.text(min_size=1))
def test_characters_hold_the_text_they_are_made_of(text: str) -> None:
    vocabulary = Characters.of(text)
    numbers = vocabulary.encode(text)
    assert vocabulary.decode(numbers) == text
    assert len(vocabulary) == len(set(text)) + len(SPECIAL)
    assert (numbers >= len(SPECIAL)).all()


def test_what_is_unknown_has_its_number_and_is_left_out_of_the_text() -> None:
    vocabulary = Characters.of("abc")
    assert vocabulary.encode("axb").tolist() == [4, Vocabulary.unknown, 5]
    assert vocabulary.decode([4, Vocabulary.unknown, 5, Vocabulary.padding]) == "ab"


def test_rare_symbols_are_left_out() -> None:
    assert Characters.of("aab", at_least=2).symbols == ["a"]
    assert Words.of("b b a a c", most=2).symbols == ["a", "b"]


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "3"])
def test_options_that_are_no_counts(wrong: Any) -> None:
    """A negative number would leave the last words out, as a slice does."""
    makers = [
        lambda: Words.of(TEXT, most=wrong),
        lambda: Words.of(TEXT, at_least=wrong),
        lambda: Characters.of(TEXT, at_least=wrong),
        lambda: Subwords.of(TEXT, size=wrong),
    ]
    for make in makers:
        with pytest.raises(ArgumentError, match=r"(most|at_least|size) is .*at least 1"):
            make()


def test_texts_are_passed_one_by_one() -> None:
    with pytest.raises(ArgumentTypeError, match="one by one"):
        Words.of(["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="empty"):
        Characters.of("abc", at_least=2)


def test_words_and_marks() -> None:
    vocabulary = Words.of(TEXT)
    assert vocabulary.decode(vocabulary.encode("a truth, a man")) == "a truth , a man"


@pytest.mark.parametrize(
    "make", [lambda: Bytes(), lambda: Characters.of(TEXT), lambda: Words.of(TEXT)]
)
def test_descriptions_are_read_again_from_json(make: Any) -> None:
    vocabulary = make()
    again = load_vocabulary(json.loads(json.dumps(vocabulary.describe())))
    np.testing.assert_array_equal(again.encode(TEXT), vocabulary.encode(TEXT))


def test_subwords() -> None:
    pytest.importorskip("tokenizers")
    vocabulary = Subwords.of(TEXT * 10, size=300)
    assert len(vocabulary) <= 300
    numbers = vocabulary.encode(TEXT, ends=True)
    assert vocabulary.decode(numbers) == TEXT
    assert len(numbers) < len(TEXT)
    again = load_vocabulary(json.loads(json.dumps(vocabulary.describe())))
    np.testing.assert_array_equal(again.encode(TEXT, ends=True), numbers)
    with pytest.raises(ArgumentError, match="260"):
        Subwords.of(TEXT, size=100)
    for damaged in ({}, "text", None):
        with pytest.raises(FileFormatError, match="damaged"):
            load_vocabulary({"kind": "subwords", "tokenizer": damaged})


@pytest.mark.parametrize(
    "description",
    [
        None,
        [],
        {},
        {"kind": "letters"},
        {"kind": "characters"},
        {"kind": "characters", "symbols": "abc"},
        {"kind": "words", "symbols": [1]},
        {"kind": "words", "symbols": ["a", "a"]},
        {"kind": "words", "symbols": []},
    ],
)
def test_damaged_descriptions_are_told(description: Any) -> None:
    with pytest.raises(FileFormatError):
        load_vocabulary(description)


@pytest.mark.parametrize("number", [-1, 7, 10**12])
def test_numbers_outside_are_told(number: int) -> None:
    with pytest.raises(DataError, match=f"The number {number} at 1 "):
        Characters.of("abc").decode([4, number])


def test_what_is_no_text_is_told() -> None:
    for make in (Characters.of, Words.of, Bytes().encode):
        with pytest.raises(ArgumentTypeError, match="string"):
            make(b"bytes")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="empty"):
        Characters.of("")
    for numbers in ([4.7], ["4"]):
        with pytest.raises(ArgumentTypeError, match="integers to decode"):
            Characters.of("ab").decode(numbers)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("\ufeffuno\r\ndos\rtrés".encode())
    assert read_text(path) == "uno\ndos\ntrés"
    path.write_bytes(b"one\ntwo \xe9")
    with pytest.raises(DataError, match="byte 8 in line 2"):
        read_text(path)
    path.write_bytes(b" \n")
    with pytest.raises(DataError, match="no text"):
        read_text(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_text(tmp_path / "missing")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("día\n".encode("utf-16"), "iconv -f UTF-16 -t"),
        ("día\n".encode("utf-32"), "iconv -f UTF-32 -t"),
        ("some words\n".encode("utf-16-le"), "iconv -f UTF-16LE"),
        ("some words\n".encode("utf-16-be"), "iconv -f UTF-16BE"),
        (b"PK\x03\x04\x14\x00\xff", "zip archive"),
        (b"\x7fELF\x02\x01\x00\x00\x00\x00", "zero bytes"),
        ("día\n".encode("latin-1"), "iconv -f LATIN1"),
    ],
)
def test_files_in_other_encodings_and_no_texts(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_text(path)
    assert words in f"{caught.value.message} {caught.value.fix}"
    assert ("LATIN1" in str(caught.value.fix)) == ("LATIN1" in words)

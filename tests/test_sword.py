"""The reader of SWORD modules, and the pairs of verses that are made of them."""

from __future__ import annotations

import struct
import zlib

import pytest

from applications.sword import clean, read_verses
from applications.verses import choose_test
from retrograd.data.pairs import as_key
from retrograd.errors import DataError


def make_module(halves: dict[str, list[list[str]]]) -> dict[str, bytes]:
    """Blocks of verses as the files of a module."""
    files = {}
    for half, texts in halves.items():
        packed, blocks, entries = b"", b"", b""
        for number, verses in enumerate(texts):
            whole = b""
            for verse in verses:
                content = verse.encode()
                entries += struct.pack("<IIH", number, len(whole), len(content))
                whole += content
            block = zlib.compress(whole)
            blocks += struct.pack("<III", len(packed), len(block), len(whole))
            packed += block
        for suffix, content in (("bzz", packed), ("bzs", blocks), ("bzv", entries)):
            files[f"texts/{half}.{suffix}"] = content
    return files


MODULE = make_module({"ot": [["", "One ñ"], ["<b>Two</b>"]], "nt": [["Three&amp;four", ""]]})


def test_verses_come_in_their_order() -> None:
    assert read_verses(MODULE, "texts") == ["", "One ñ", "Two", "Three&four", ""]


def test_markup_notes_and_titles_are_left_out() -> None:
    text = (
        '<title type="x">A Psalm</title>¶ <w lemma="H1">The</w>\n<divineName>Lord</divineName>'
        '<note n="1">or <i>master</i></note>, <milestone/>said'
    )
    assert clean(text) == "The Lord, said"


@pytest.mark.parametrize(
    "change, words",
    [
        ({"texts/ot.bzv": MODULE["texts/ot.bzv"][:-1]}, "in the middle of an entry"),
        ({"texts/ot.bzs": MODULE["texts/ot.bzs"][:-12]}, "outside of its block"),
        ({"texts/ot.bzz": b"y" + MODULE["texts/ot.bzz"][1:]}, "cannot be unpacked"),
        ({"texts/nt.bzv": struct.pack("<IIH", 0, 10, 90)}, "outside of its block"),
    ],
)
def test_damaged_files(change: dict[str, bytes], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_verses(MODULE | change, "texts")


def test_the_test_pairs_are_short_and_in_no_other_part() -> None:
    short = [(f"verse {n} is here", f"versículo {n} aquí") for n in range(700)]
    twice = [(f"Verse {n}, is here!", f"otra vez {n}") for n in range(700)]
    long = [(f"a longer verse {n} " + "word " * 12, f"más {n}") for n in range(50)]
    learnt, test = choose_test([*short, *twice, *long])
    assert len(test) == len({as_key(a) for a, _ in test}) == 500
    assert all(max(len(text.split()) for text in pair) <= 12 for pair in test)
    for side in (0, 1):
        held = {as_key(pair[side]) for pair in test}
        assert held.isdisjoint(as_key(pair[side]) for pair in learnt)
    assert set(long) <= set(learnt) and len(learnt) == 200 + 200 + 50
    assert choose_test([*short, *twice, *long]) == (learnt, test)

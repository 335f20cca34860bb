"""Files with one word a line, spans that tags mark, words as numbers, and counted tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrograd.data.spans import find_spans, mark_spans, score_spans
from retrograd.data.tag_counts import FrequentTags, split_sequences
from retrograd.data.tag_encoder import TagEncoder, choose_lengths
from retrograd.data.tagged import parse_tagged, read_tagged
from retrograd.errors import DataError, FileFormatError

CONLLU = """# sent_id = 1
# text = Vámonos al mar
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\tV\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tP\t_\t1\tobj\t_\t_
2.1\tida\tir\tVERB\tV\t_\t_\t_\t_\t_
3\tal mar\tmar\tNOUN\tN\t_\t1\tobl\t_\t_

1\t#\t#\tSYM\tS\t_\t0\troot\t_\t_
"""


def test_columns_by_tabs_or_blanks_and_comments() -> None:
    text = parse_tagged("-X- O\n\n# a comment of five words\nAda  B-PER\n# O\n\n\n#tag O\n")
    assert text.read_column(0) == [["-X-"], ["Ada", "#"], ["#tag"]]
    assert text.read_column(1) == [["O"], ["B-PER", "O"], ["O"]]
    tabs = parse_tagged("New York\tB\r\n\t\n".replace("\r", ""))
    assert tabs.read_column(0) == [["New York"]]
    single = parse_tagged("one\ntwo\n\nthree")
    assert single.width == 1 and single.add_column([["a", "b"], ["c"]]) == (
        "one\ta\ntwo\tb\n\nthree\tc\n"
    )


def test_conllu_by_name() -> None:
    text = parse_tagged(CONLLU)
    words, tags = text.find_column(None, "words"), text.find_column(None, "tags")
    assert text.read_column(words) == [["Vamos", "nos", "al mar"], ["#"]]
    assert text.read_column(tags) == [["VERB", "PRON", "NOUN"], ["SYM"]]
    assert text.find_column("xpos", "tags") == 4 == text.find_column("5", "tags")
    written = text.add_column([["a", "b", "c"], ["d"]]).split("\n")
    assert written[0] == "# sent_id = 1" and written[2].endswith("\t_\t_")
    assert written[3].endswith("\t_\ta") and written[-2] == "1\t#\t#\tSYM\tS\t_\t0\troot\t_\t_\td"
    plus = parse_tagged("# global.columns = FORM NER\nAda\tB-PER\n")
    assert plus.names == ("FORM", "NER") and plus.find_column("ner", "tags") == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no text"),
        (b"# only\n# comments\n", "holds no words"),
        (b"a N\nb\nc N\n", "Line 2 of .* has 1 column, most lines have 2"),
        (b"a\tN\n\tN\n", "Line 2 of .* has nothing in column 1"),
        (b"a\xff N\n", "not UTF-8"),
        (b"a\0 N\n", "zero bytes"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "words.conll").write_bytes(content)
    with pytest.raises(DataError, match=told):
        read_tagged(tmp_path / "words.conll")


def test_folders_and_columns_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file that ends in \.conll"):
        read_tagged(tmp_path)
    (tmp_path / "b.conll").write_text("b N\n")
    (tmp_path / "a.conll").write_text("a N\n")
    (tmp_path / "notes.md").write_text("no words")
    texts = read_tagged(tmp_path)
    assert [text.read_column(0) for text in texts] == [[["a"]], [["b"]]]
    for asked in ("3", "0", "pos"):
        with pytest.raises(DataError, match=f"no column '{asked}'"):
            texts[0].find_column(asked, "tags")
    (tmp_path / "c.conll").write_text("c N O\n")
    with pytest.raises(DataError, match=r"c\.conll has 3 columns"):
        read_tagged(tmp_path)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-A I-A O B-A", [("A", 0, 2), ("A", 3, 4)]),
        ("B-A B-A I-B", [("A", 0, 1), ("A", 1, 2), ("B", 2, 3)]),
        ("I-A I-A O I-B I-A", [("A", 0, 2), ("B", 3, 4), ("A", 4, 5)]),
        ("B-A I-A E-A S-A S-B", [("A", 0, 3), ("A", 3, 4), ("B", 4, 5)]),
        ("B-A L-A U-B O", [("A", 0, 2), ("B", 2, 3)]),
        ("E-A E-A O", [("A", 0, 1), ("A", 1, 2)]),
        ("I-A-b I-A-b X -", [("A-b", 0, 2)]),
        ("", []),
    ],
)
def test_spans(tags: str, spans: list[tuple[str, int, int]]) -> None:
    assert find_spans(tags.split()) == spans


def test_scores_of_spans() -> None:
    wanted = [["B-A", "I-A", "O", "B-B"], ["B-A"]]
    found = [["B-A", "O", "O", "B-B"], ["B-A"]]
    overall, kinds = score_spans(wanted, found)
    assert overall == {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "spans": 3}
    assert kinds["A"]["f1"] == 0.5 and kinds["B"]["f1"] == 1.0
    # A span does not go on in the next sequence.
    assert score_spans([["B-A"], ["I-A"]], [["B-A"], ["I-A"]])[0]["spans"] == 2
    assert score_spans([["O"]], [["O"]])[0]["f1"] == 0.0
    assert mark_spans(["S-A", "B-A"]) and not mark_spans(["S-A", "O"]) and not mark_spans(["O"])
    assert not mark_spans(["B-A", "NN"]) and not mark_spans(["B-"])


def make_sentences(count: int, seed: int = 0) -> list[list[str]]:
    random = np.random.default_rng(seed)
    return [
        [f"word{random.integers(0, 30)}" for _ in range(random.integers(1, 90))]
        for _ in range(count)
    ]


def test_every_word_stands_once_in_the_batches() -> None:
    words = [*make_sentences(60), ["long"] * 700]
    tags = [["A" if word.endswith("1") else "B" for word in sentence] for sentence in words]
    encoder = TagEncoder.fit(words, tags)
    encoded = encoder.encode(words, tags)
    for generator in (None, np.random.default_rng(1)):
        seen = np.zeros(len(encoded.words), np.int64)
        for places, (numbers, letters, affixes), marks in encoded.make_batches(8, generator, 2):
            known = places >= 0
            assert len(places) % 8 == 0 and len(places) <= 16
            seen[places[known]] += 1
            np.testing.assert_array_equal(numbers[known], encoded.words[places[known]])
            np.testing.assert_array_equal(marks[known], encoded.tags[places[known]])
            for array in (numbers, letters, affixes, marks):
                assert not array[~known].any()
        assert (seen == 1).all()
    assert encoder.decode(encoded.tags, words) == tags


def test_words_and_tags_that_are_not_known() -> None:
    encoder = TagEncoder.fit([["Ada", "ada", "ran"]], [["N", "N", "V"]])
    encoded = encoder.encode([["ADA", "ran", "Zoë"]], [["N", "V", "X"]])
    assert encoded.words.tolist() == [2, 1, 1] and encoded.tags.tolist() == [1, 2, 0]
    assert encoded.characters[2].tolist() == [2, 1, 1, 1, 3, 0]
    assert TagEncoder.from_json(encoder.to_json()) == encoder


@pytest.mark.parametrize(
    "damage", [{"words": [1]}, {"tags": ["N"]}, {"letters": 0}, {"lengths": []}]
)
def test_damaged_words(damage: dict[str, object]) -> None:
    description = TagEncoder.fit([["a", "b"]], [["N", "V"]]).to_json()
    with pytest.raises(FileFormatError, match="damaged"):
        TagEncoder.from_json(description | damage)


def test_lengths_fill_up_little() -> None:
    sizes = np.random.default_rng(0).integers(1, 60, 200)

    def fill(*ends: int) -> int:
        return int(np.array(ends)[np.searchsorted(ends, sizes)].sum())

    best = min(fill(a, b, 59) for a in range(1, 58) for b in range(a + 1, 59))
    chosen = choose_lengths(sizes.tolist(), most=3)
    assert best <= fill(*chosen) <= 1.15 * best and chosen[-2:] == (236, 256)
    assert choose_lengths([20] * 100 + [21] * 100 + [22]) == (22, 44, 88, 176, 256)
    assert choose_lengths([5000, 3]) == (3, 256)


def test_no_sequence_is_tested_that_was_learned() -> None:
    words = make_sentences(40) * 2
    parts = split_sequences(words, seed=0)
    assert sorted(number for part in parts for number in part) == list(range(80))
    sets = [{tuple(words[number]) for number in part} for part in parts]
    assert all(sets) and not (sets[0] & sets[2] or sets[0] & sets[1] or sets[1] & sets[2])
    with pytest.raises(DataError, match="are 1 different sequence|is 1 different sequence"):
        split_sequences([["a"]] * 50, seed=0)


def test_counted_tags() -> None:
    counted = FrequentTags.count([["a", "a", "b"], ["a"]], [["X", "Y", "X"], ["Y"]])
    assert counted.find([["a", "b", "c"]]) == [["Y", "X", "X"]]
    assert FrequentTags.from_json(counted.to_json()) == counted
    for damaged in ({}, {"words": {"X": [1]}, "otherwise": "X"}, {"words": [], "otherwise": "X"}):
        with pytest.raises(FileFormatError):
            FrequentTags.from_json(damaged)

"""N-grams, the column of texts, and the linear model beside which networks are shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retrograd.data.baseline import fit_logistic
from retrograd.data.ngrams import NGrams, weigh_by_rarity
from retrograd.data.sparse_rows import SparseRows, fit_sparse_logistic, weigh_rows
from retrograd.data.table import Table
from retrograd.data.text import load_vocabulary
from retrograd.data.texts import find_text_column, read_labelled_texts
from retrograd.errors import ArgumentError, DataError, FileFormatError


@pytest.mark.parametrize(
    "text, words",
    [
        ("Don't  STOP, it's 5% off!", ["don't", "stop", ",", "it's", "5", "%", "off", "!"]),
        ("¿Qué tal, señor?", ["¿", "qué", "tal", ",", "señor", "?"]),
        ("很好吃 ok", ["很", "好", "吃", "ok"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("Привет, мир", ["привет", ",", "мир"]),
        ("", []),
        ("\x00 \t\n", ["\x00"]),
    ],
)
def test_words_of_many_languages(text: str, words: list[str]) -> None:
    assert NGrams.cut(text) == words


def test_an_ngram_counts_once_a_text() -> None:
    assert NGrams.find("a b a b a", 3) == ["a", "b", "a b", "b a", "a b a", "b a b"]
    vocabulary = NGrams.of("a b", "a b a b", "a c c c", at_least=2)
    assert vocabulary.symbols == ["a", "a b", "b"]
    assert vocabulary.encode("b a b ?").tolist() == [6, 4, 5]
    assert vocabulary.decode([5, 6]) == "a b, b"
    assert NGrams.of("a b", "a b a b", most=1).symbols == ["a"]
    assert NGrams.find("tasty taste", 1, beginning=4) == ["tasty", "taste", "tast-"]


def test_the_vocabulary_is_described_and_read_again() -> None:
    vocabulary = NGrams.of("x y z", "xyzzy y", longest=3, beginning=4, at_least=1)
    read = load_vocabulary(vocabulary.describe())
    assert isinstance(read, NGrams) and read.longest == 3 and read.beginning == 4
    assert read.encode("x y z xyzzle").tolist() == vocabulary.encode("x y z xyzzle").tolist()
    for damaged in (
        {"longest": 0},
        {"longest": None},
        {"beginning": True},
        {"symbols": "ab"},
        {"symbols": [1]},
    ):
        with pytest.raises(FileFormatError):
            load_vocabulary({**vocabulary.describe(), **damaged})
    with pytest.raises(DataError, match="empty"):
        NGrams.of("a", "b")
    options: list[dict[str, Any]] = [
        {"longest": 0},
        {"beginning": -1},
        {"most": -1},
        {"at_least": 0},
    ]
    for wrong in options:
        with pytest.raises(ArgumentError):
            NGrams.of("a", "a", **wrong)


def make_table(**columns: Any) -> Table:
    said = [f"word number {n} was said here" for n in range(12)]
    return Table.from_columns({"id": list(range(12)), "said": said, **columns})


def test_the_column_of_texts_is_the_one_with_the_most_words() -> None:
    table = make_table(kind=["a", "b"] * 6, short=["two words"] * 12)
    assert find_text_column(table, "kind")[0] == "said"
    assert find_text_column(table, "kind", "short")[0] == "short"
    data = read_labelled_texts(table, "kind")
    assert (data.column, data.target, len(data.texts)) == ("said", "kind", 12)
    for target, column, message in (
        ("knd", None, "knd"),
        ("kind", "sad", "sad"),
        ("kind", "kind", "--text"),
    ):
        with pytest.raises(DataError, match=message):
            read_labelled_texts(table, target, column)
    with pytest.raises(DataError, match="words in a row"):
        read_labelled_texts(Table.from_columns({"n": range(12), "kind": ["a", "b"] * 6}), "kind")


def test_rows_without_text_or_class_are_left_out_and_told() -> None:
    texts = ["one two three", None, "four five six", "seven eight"] * 3
    table = Table.from_columns({"said": texts, "kind": ["a", "a", "b", None] * 3})
    data = read_labelled_texts(table, "kind")
    assert len(data.table) == 6 and len(data.notes) == 2
    nothing = Table.from_columns({"said": [None, "x y z"] * 5, "kind": ["a", None] * 5})
    with pytest.raises(DataError):
        read_labelled_texts(nothing, "kind", "said")


def test_sparse_rows_are_matrices() -> None:
    random = np.random.default_rng(0)
    rows = [np.sort(random.choice(9, n, replace=False)) for n in (3, 0, 5, 9, 1)]
    sparse = weigh_rows(rows, random.uniform(1, 2, 9))
    dense = np.zeros((5, 9))
    for place, row in enumerate(rows):
        here = slice(sparse.starts[place], sparse.starts[place + 1])
        dense[place, row] = sparse.values[here]
    norms = np.sqrt((dense**2).sum(1))
    np.testing.assert_allclose(norms, [1, 0, 1, 1, 1], atol=1e-12)
    for width in (2, 20):
        matrix = random.normal(size=(9, width))
        np.testing.assert_allclose(sparse.times(matrix), dense @ matrix, atol=1e-12)
        other = random.normal(size=(5, width))
        np.testing.assert_allclose(sparse.transpose().times(other), dense.T @ other, atol=1e-12)


def test_large_products_are_cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    rows = [np.sort(random.choice(30, n, replace=False)) for n in (3, 0, 15, 0, 0, 9, 1, 30, 0)]
    sparse = weigh_rows(rows, np.ones(30))
    matrix = random.normal(size=(30, 20))
    whole = sparse.times(matrix)
    monkeypatch.setattr("retrograd.data.sparse_rows.LARGEST_PIECE", 100)
    np.testing.assert_allclose(sparse.times(matrix), whole, atol=1e-12)


def test_the_sparse_model_is_the_dense_one() -> None:
    random = np.random.default_rng(0)
    rows = [np.sort(random.choice(12, 4, replace=False)) for _ in range(60)]
    labels = np.array([min(int(row[0]), 2) for row in rows])
    sparse = weigh_rows(rows, weigh_by_rarity(rows, 12))
    dense = np.zeros((60, 12))
    for place, row in enumerate(rows):
        dense[place, row] = sparse.values[sparse.starts[place] : sparse.starts[place + 1]]
    found = fit_sparse_logistic(sparse, labels, 3, penalty=0.5)
    expected = fit_logistic(dense, labels, 3, penalty=0.5)
    np.testing.assert_allclose(
        sparse.times(found.weights) + found.bias, expected.outputs(dense), atol=0.02
    )
    assert isinstance(sparse, SparseRows)

"""Padding, buckets, and texts in pieces: nothing is lost, doubled or out of order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.sequences import cut_streams, cut_windows, make_buckets, pad_sequences
from retrograd.errors import ArgumentError, DataError, ShapeError


@given(st.lists(st.lists(st.integers(0, 9)), min_size=1), st.none() | st.integers(0, 6))
def test_padding_keeps_what_fits_and_fills_the_rest(
    sequences: list[list[int]], length: int | None
) -> None:
    padded, lengths = pad_sequences(sequences, value=-1, length=length)
    longest = max(map(len, sequences)) if length is None else length
    assert padded.shape == (len(sequences), longest)
    for row, count, sequence in zip(padded, lengths, sequences, strict=True):
        assert row[:count].tolist() == sequence[:longest]
        assert (row[count:] == -1).all()


def test_integers_stay_integers_beside_an_empty_sequence() -> None:
    assert pad_sequences([[], [1]])[0].dtype.kind == "i"


def test_features_are_kept() -> None:
    padded, lengths = pad_sequences([np.ones((2, 3), np.float32), np.ones((1, 3), np.float32)])
    assert padded.shape == (2, 2, 3) and padded.dtype == np.float32
    assert lengths.tolist() == [2, 1]
    with pytest.raises(ShapeError, match=r"Sequence 1 has the shape \(1, 2\)"):
        pad_sequences([np.ones((2, 3)), np.ones((1, 2))])
    with pytest.raises(DataError):
        pad_sequences([])


@given(st.lists(st.integers(1, 40), min_size=1), st.integers(1, 5), st.integers(1, 9))
def test_every_sequence_is_in_one_bucket_that_it_fits(
    lengths: list[int], size: int, step: int
) -> None:
    for seed in (None, 3):
        seen: list[int] = []
        for length, rows in make_buckets(lengths, size, step, seed):
            assert 1 <= len(rows) <= size
            assert all(length - step < lengths[row] <= length for row in rows)
            seen += rows.tolist()
        assert sorted(seen) == list(range(len(lengths)))


def test_buckets_are_mixed_by_a_seed() -> None:
    lengths = np.arange(1, 200)
    orders = [[r.tolist() for _, r in make_buckets(lengths, 4, 8, seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 80))
def test_streams_go_on_from_piece_to_piece(streams: int, steps: int, more: int) -> None:
    text = np.arange(streams * steps + 1 + more)
    x, y = cut_streams(text, streams, steps)
    assert x.shape == y.shape and x.shape[1:] == (streams, steps)
    np.testing.assert_array_equal(y, x + 1)
    for stream in range(streams):
        whole = x[:, stream].reshape(-1)
        np.testing.assert_array_equal(np.diff(whole), 1)
    assert len(text) - 1 - x.size < streams * steps
    windows, targets = cut_windows(text, steps)
    np.testing.assert_array_equal(windows.reshape(-1), np.arange(windows.size))
    np.testing.assert_array_equal(targets, windows + 1)


def test_short_texts_and_bad_numbers_are_told() -> None:
    with pytest.raises(DataError, match="has 6 symbols; 2 streams of 3 steps take at least 7"):
        cut_streams(np.arange(6), 2, 3)
    with pytest.raises(ArgumentError):
        cut_streams(np.arange(9), 0, 3)
    with pytest.raises(ShapeError):
        cut_streams(np.ones((3, 3)), 1, 1)
    for bad in (0, 1.5, "2", None):
        with pytest.raises(ArgumentError, match="batch_size is"):
            make_buckets([1], bad)  # type: ignore[arg-type]
    for lengths in ([1.5], ["a"], [-3, 2]):
        with pytest.raises(DataError, match="whole numbers from 0 on"):
            make_buckets(lengths, 1)
    with pytest.raises(ArgumentError, match="length is 1.5"):
        pad_sequences([[1]], length=1.5)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="Sequence 1 has parts of different shapes"):
        pad_sequences([[1], [2, [3]]])


def test_unsigned_lengths_are_rounded_up_too() -> None:
    ((length, rows),) = make_buckets(np.array([3], np.uint8), 1, step=4)
    assert length == 4 and rows.tolist() == [0]

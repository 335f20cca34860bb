"""Sequences of different lengths in arrays: padding, buckets, and a long text as streams."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError, ShapeError

NumpyArray = np.ndarray[Any, Any]


def pad_sequences(
    sequences: Sequence[Any], value: Any = 0, length: int | None = None
) -> tuple[NumpyArray, NumpyArray]:
    """Sequences of different lengths as one array, filled up at the end.

    Args:
        sequences: arrays (time, ...), alike but for their lengths.
        value: what fills them up.
        length: of all; None for that of the longest. Longer ones are cut off.

    Returns:
        The array (sequences, length, ...), and the lengths, int32 (sequences,).

    Raises:
        ArgumentError: length is no whole number from 0 on.
        DataError: there are none.
        ShapeError: they differ in more than their lengths.

    Example:
        >>> pad_sequences([[1, 2, 3], [4]])
        (array([[1, 2, 3],
               [4, 0, 0]]), array([3, 1], dtype=int32))
    """
    arrays = [_as_array(sequence, place) for place, sequence in enumerate(sequences)]
    if not arrays:
        raise DataError("There are no sequences to pad.")
    for place, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != arrays[0].shape[1:]:
            raise ShapeError(
                f"Sequence {place} has the shape {array.shape}, the first {arrays[0].shape}; only "
                "the first axis may differ."
            )
    longest = max(map(len, arrays)) if length is None else as_count(length, "length", least=0)
    filled = [array for array in arrays if array.size]  # an empty list is of floats
    dtype = np.result_type(*filled) if filled else arrays[0].dtype
    padded = np.full((len(arrays), longest, *arrays[0].shape[1:]), value, dtype)
    lengths = np.array([min(len(array), longest) for array in arrays], np.int32)
    for row, array, count in zip(padded, arrays, lengths):
        row[:count] = array[:count]
    return padded, lengths


def make_buckets(
    lengths: Any, batch_size: int, step: int = 8, seed: int | None = None
) -> Iterator[tuple[int, NumpyArray]]:
    """Batches of sequences of about the same length, so that little is filled up.

    Lengths are rounded up to a multiple of `step`, so that there are few shapes: a compiled step is
    compiled once for each.

    Args:
        lengths: of the sequences, (sequences,).
        batch_size: sequences in a batch; the last one of a length may have fewer.
        step: lengths in a bucket.
        seed: mixes sequences and batches; None leaves them in order.

    Returns:
        For each batch its padded length, and the numbers of its sequences, int64.

    Raises:
        ArgumentError: batch_size or step is no whole number from 1 on.
        DataError: lengths are not whole numbers from 0 on.
        ShapeError: lengths have another number of axes than 1.

    Example:
        >>> [(n, rows.tolist()) for n, rows in make_buckets([3, 9, 4, 12], 2, step=4)]
        [(4, [0, 2]), (12, [1, 3])]
    """
    batch_size, step = as_count(batch_size, "batch_size"), as_count(step, "step")
    counts = np.asarray(lengths)
    if counts.ndim != 1:
        raise ShapeError(f"lengths have the shape {counts.shape}; expected (sequences,).")
    if counts.size and (counts.dtype.kind not in "iu" or counts.min() < 0):
        raise DataError(f"lengths are whole numbers from 0 on; received {lengths!r:.60}.")
    rounded = -(-counts.astype(np.int64) // step) * step
    generator = None if seed is None else np.random.default_rng(seed)
    batches = []
    for length in np.unique(rounded):
        rows = np.flatnonzero(rounded == length)
        if generator is not None:
            rows = generator.permutation(rows)
        for start in range(0, len(rows), batch_size):
            batches.append((int(length), rows[start : start + batch_size]))
    order: Any = range(len(batches))
    if generator is not None:
        order = generator.permutation(len(batches))
    return iter([batches[number] for number in order])


def cut_streams(numbers: Any, streams: int, steps: int) -> tuple[NumpyArray, NumpyArray]:
    """A long text as parallel streams for truncated backpropagation through time.

    The text is cut into `streams` parts of equal length, and these into pieces of `steps`. Row s of
    piece p goes on in row s of piece p + 1, so that a hidden state can be carried on.

    Args:
        numbers: the text, (length,).
        streams: rows of a piece: the batch.
        steps: columns of a piece.

    Returns:
        Inputs and targets, each (pieces, streams, steps); a target is the number after the input.
        What is left over at the end is dropped.

    Raises:
        DataError: the text is too short for one piece.

    Example:
        >>> x, y = cut_streams(np.arange(13), streams=2, steps=3)
        >>> x.tolist(), y[0].tolist()
        ([[[0, 1, 2], [6, 7, 8]], [[3, 4, 5], [9, 10, 11]]], [[1, 2, 3], [7, 8, 9]])
    """
    text = _check_flat(numbers, streams, steps)
    pieces = (len(text) - 1) // (streams * steps)
    if not pieces:
        raise DataError(
            f"The text has {len(text)} symbols; {streams} streams of {steps} steps take at least "
            f"{streams * steps + 1}."
        )
    used = pieces * streams * steps
    parts = [part.reshape(streams, pieces, steps) for part in (text[:used], text[1 : used + 1])]
    inputs, targets = (np.ascontiguousarray(part.swapaxes(0, 1)) for part in parts)
    return inputs, targets


def cut_windows(numbers: Any, steps: int) -> tuple[NumpyArray, NumpyArray]:
    """A long text as windows that do not overlap, for models without a carried state.

    Args:
        numbers: the text, (length,).
        steps: the length of a window.

    Returns:
        Inputs and targets, each (windows, steps); a target is the number after the input.

    Raises:
        DataError: the text is too short for one window.

    Example:
        >>> x, y = cut_windows(np.arange(8), 3)
        >>> x.tolist(), y.tolist()
        ([[0, 1, 2], [3, 4, 5]], [[1, 2, 3], [4, 5, 6]])
    """
    inputs, targets = cut_streams(numbers, 1, steps)
    return inputs[:, 0], targets[:, 0]


def _check_flat(numbers: Any, streams: int, steps: int) -> NumpyArray:
    as_count(streams, "streams")
    as_count(steps, "steps")
    text = np.asarray(numbers)
    if text.ndim != 1:
        raise ShapeError(f"The text has the shape {text.shape}; expected (length,).")
    return text


def as_count(number: Any, name: str, least: int = 1) -> int:
    """A whole number that is not too small; an error if it is none."""
    try:
        count = least - 1 if isinstance(number, bool) else operator.index(number)
    except TypeError:
        count = least - 1
    if count < least:
        raise ArgumentError(f"{name} is {number!r:.60}; expected a whole number, at least {least}.")
    return count


def _as_array(sequence: Any, place: int) -> NumpyArray:
    try:
        return np.asarray(sequence)
    except ValueError:
        raise ShapeError(
            f"Sequence {place} has parts of different shapes; expected an array (time, ...)."
        ) from None

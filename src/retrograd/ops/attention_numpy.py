"""The NumPy meaning of attention and its gradient: in blocks of rows, so that memory is linear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .random import bits_from

ROWS = 128
"""Queries that are computed at once."""


def padded(keys: int) -> int:
    """Random words for one row of scores: whole blocks of the generator."""
    return -(-keys // 4) * 4


def threshold_of(dropout: float) -> int:
    """A weight is dropped where its random word is below this."""
    return min(round(dropout * 2.0**32), 2**32 - 1)


def keeping_factor(dropout: float) -> float:
    """What is kept is multiplied by this."""
    return 1.0 / (1.0 - dropout) if dropout < 1.0 else 0.0


@dataclass(slots=True)
class Block:
    """The scores of some rows: `scores` (batch, heads, rows, keys), -inf where nothing is seen.

    `kept` is the factor of each weight by dropout, or None; `keys` counts the keys that these rows
    can see.
    """

    rows: slice
    keys: int
    scores: Any
    kept: Any


def walk_blocks(
    q: Any,
    k: Any,
    extra: Sequence[Any],
    *,
    scale: float,
    causal: bool,
    dropout: float,
    has_mask: bool,
    has_bias: bool,
) -> Iterator[Block]:
    """The scores, block after block."""
    batch, heads, queries, _ = q.shape
    keys = k.shape[2]
    mask = extra[0] if has_mask else None
    bias = extra[int(has_mask)] if has_bias else None
    for start in range(0, queries, ROWS):
        rows = slice(start, min(start + ROWS, queries))
        seen = min(keys, rows.stop) if causal else keys
        scores = multiply(q[:, :, rows], np.swapaxes(k[:, :, :seen], 2, 3))
        scores *= q.dtype.type(scale)
        if bias is not None:
            scores += _part(bias, rows)[..., :seen]
        if mask is not None:
            scores[~np.broadcast_to(_part(mask, rows)[..., :seen], scores.shape)] = -np.inf
        if causal:
            ahead = np.arange(seen) > np.arange(rows.start, rows.stop)[:, None]
            scores[:, :, ahead] = -np.inf
        kept = None
        if dropout:
            words = np.empty((batch, heads, rows.stop - start, padded(keys)), np.uint32)
            for i in range(batch):
                for j in range(heads):
                    first = ((i * heads + j) * queries + start) * padded(keys) // 4
                    words[i, j] = bits_from(extra[-1], first, words.shape[2:])
            factor = q.dtype.type(keeping_factor(dropout))
            kept = (words[..., :seen] >= threshold_of(dropout)) * factor
        yield Block(rows, seen, scores, kept)


def _part(whole: Any, rows: slice) -> Any:
    return whole if whole.shape[2] == 1 else whole[:, :, rows]


def multiply(a: Any, b: Any) -> Any:
    """`a @ b`, where a has a multiple of the heads of b: neighbours share one."""
    batch, heads, rows, inner = a.shape
    groups = b.shape[1]
    folded = a.reshape(batch, groups, heads // groups * rows, inner)
    return np.matmul(folded, b).reshape(batch, heads, rows, b.shape[3])


def multiply_transposed(a: Any, b: Any, groups: int) -> Any:
    """`a^T @ b`, summed over the heads that share a group."""
    batch, heads, rows, first = a.shape
    shape = (batch, groups, heads // groups * rows)
    return np.matmul(np.swapaxes(a.reshape(*shape, first), 2, 3), b.reshape(*shape, b.shape[3]))


def evaluate_attention(q: Any, k: Any, v: Any, *extra: Any, **options: Any) -> tuple[Any, Any]:
    """The outputs, and the logarithm of the sum of exponentials of each row (0 without a key)."""
    out = np.zeros((*q.shape[:3], v.shape[3]), q.dtype)
    log_sums = np.zeros(q.shape[:3], q.dtype)
    with np.errstate(all="ignore"):
        for block in walk_blocks(q, k, extra, **options):
            highest = block.scores.max(axis=3, keepdims=True, initial=-np.inf)
            highest[highest == -np.inf] = 0.0
            weights = np.exp(block.scores - highest)
            sums = weights.sum(axis=3, keepdims=True)
            sums[sums == 0.0] = 1.0
            log_sums[:, :, block.rows] = (highest + np.log(sums))[..., 0]
            weights /= sums
            if block.kept is not None:
                weights *= block.kept
            out[:, :, block.rows] = multiply(weights, v[:, :, : block.keys])
    return out, log_sums


def evaluate_gradient(
    q: Any, k: Any, v: Any, *extra: Any, with_scores: bool, **options: Any
) -> tuple[Any, ...]:
    """The cotangents of q, k and v, and of the scores if they are wanted."""
    *extra_inputs, log_sums, cotangent, delta = extra
    groups, keys = k.shape[1], k.shape[2]
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    scores = np.zeros((*q.shape[:3], keys), q.dtype) if with_scores else None
    scale = q.dtype.type(options["scale"])
    with np.errstate(all="ignore"):
        for block in walk_blocks(q, k, extra_inputs, **options):
            rows, seen = block.rows, slice(0, block.keys)
            weights = np.exp(block.scores - log_sums[:, :, rows, None])
            arriving = cotangent[:, :, rows]
            leaving = multiply(arriving, np.swapaxes(v[:, :, seen], 2, 3))
            used = weights
            if block.kept is not None:
                leaving *= block.kept
                used = weights * block.kept
            dv[:, :, seen] += multiply_transposed(used, arriving, groups)
            change = weights * (leaving - delta[:, :, rows, None])
            if scores is not None:
                scores[:, :, rows, seen] = change
            change *= scale
            dq[:, :, rows] = multiply(change, k[:, :, seen])
            dk[:, :, seen] += multiply_transposed(change, q[:, :, rows], groups)
    return (dq, dk, dv) if scores is None else (dq, dk, dv, scores)

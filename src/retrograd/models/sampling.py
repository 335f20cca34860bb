"""Drawing the next token from scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..ir.types import int32
from ..ops.arithmetic import clip, maximum
from ..ops.comparison import where
from ..ops.composite import softmax
from ..ops.creation import full
from ..ops.index import take_along_axis
from ..ops.order import cumsum, sort
from ..ops.promotion import as_array, convert
from ..ops.random import uniform
from ..ops.reduce import argmax, min
from ..ops.shape import broadcast_to
from ..ops.transcendental import log, log1p
from ..trace import Array, Tracer

__all__ = ["sample"]


def sample(
    logits: Any,
    temperature: Any = 1.0,
    top_k: Any = None,
    top_p: Any = None,
) -> Array:
    """Draws an index for each row, with probabilities `softmax(logits / temperature)`.

    With top_k or top_p, only the most probable indices are drawn: the k largest, or the fewest of
    which the probabilities sum to at least p. Ties at the limit stay in. The numbers may be
    Arrays: a compiled step takes new ones without another trace.

    Args:
        logits: (..., n).
        temperature: a positive number; None takes the index of the largest logit.
        top_k: from 1 to n; None for all.
        top_p: above 0, at most 1; None for all.

    Returns:
        Indices, int32 (...), from the default random generator.

    Raises:
        ArgumentError: a number lies outside its limits.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import models
        >>> models.sample(rg.array([[0.0, 3.0, 1.0]]), temperature=None).tolist()
        [1]
        >>> models.sample(rg.array([[0.0, 9.0, 8.0]] * 4), top_k=2).shape
        (4,)

    Source: A. Holtzman et al., The curious case of neural text degeneration, ICLR 2020 (top_p);
    A. Fan et al., Hierarchical neural story generation, ACL 2018 (top_k).
    """
    scores = as_array(logits)
    if scores.type.ndim == 0 or scores.type.shape[-1] == 0 or not scores.type.floating:
        raise ShapeError(f"sample: expected floating logits (..., n), received {scores.type}.")
    count = scores.type.shape[-1]
    check_numbers(temperature, top_k, top_p, count)
    if temperature is None:
        return argmax(scores, axis=-1)
    scores = scores / convert(as_array(temperature), scores.type.dtype)
    if top_k is not None or top_p is not None:
        ordered = sort(scores, axis=-1, descending=True)
        rows = (*scores.type.shape[:-1], 1)
        least = full(rows, -math.inf, scores.type.dtype)
        if top_k is not None:
            place = clip(convert(as_array(top_k), int32) - 1, 0, count - 1)
            places = broadcast_to(place, rows)
            least = maximum(least, take_along_axis(ordered, places, axis=-1))
        if top_p is not None:
            weights = softmax(ordered, axis=-1)
            before = cumsum(weights, axis=-1) - weights
            limit = convert(as_array(top_p), scores.type.dtype)
            inside = where(before < limit, ordered, ordered[..., :1])
            least = maximum(least, min(inside, axis=-1, keepdims=True))
        scores = where(scores >= least, scores, -math.inf)
    # The largest of scores with Gumbel noise is a draw from their softmax. The noise is finite, as
    # infinite noise would choose what has no probability: of a uniform 0, half a step is taken.
    dtype = scores.type.dtype
    drawn = maximum(uniform(scores.type.shape, dtype=dtype), float(np.finfo(dtype).eps) / 4)
    noise = -log(-log1p(-drawn))
    return argmax(scores + noise, axis=-1)


def check_numbers(temperature: Any, top_k: Any, top_p: Any, count: int) -> None:
    """Refuse numbers outside their limits; Arrays are taken as they are.

    Args:
        temperature, top_k, top_p: as in `sample`.
        count: of indices to choose from.
    """
    limits = {
        "temperature": (temperature, lambda x: 0.0 < x < math.inf, "a positive number"),
        "top_k": (top_k, lambda x: isinstance(x, int) and 1 <= x <= count, f"from 1 to {count}"),
        "top_p": (top_p, lambda x: 0.0 < x <= 1.0, "above 0 and at most 1"),
    }
    for name, (value, holds, words) in limits.items():
        if value is None or isinstance(value, (Array, Tracer)):
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not holds(value):
            raise ArgumentError(f"sample: {name} is {words}, or None; received {value!r:.60}.")

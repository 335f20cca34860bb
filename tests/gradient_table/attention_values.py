"""Values of attention and of its gradient, by the formulas with all weights in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.gradient_table.attention_rows import MASK, STATE, options
from tests.gradient_table.control_values import philox_by_hand
from tests.gradient_table.table import NumpyArray, primitive
from tests.gradient_table.values import Value, numbers


def weights_of(
    q: NumpyArray, k: NumpyArray, mask: Any, bias: Any, causal: bool
) -> tuple[NumpyArray, NumpyArray]:
    """The weights and the log-sums, in float64."""
    keys = np.repeat(k, q.shape[1] // k.shape[1], axis=1).astype(np.float64)
    scores = 0.7 * np.einsum("bhid,bhjd->bhij", q.astype(np.float64), keys)
    if bias is not None:
        scores = scores + bias
    seen = np.ones(scores.shape, bool) if mask is None else np.broadcast_to(mask, scores.shape)
    if causal:
        seen = seen & np.tri(scores.shape[2], scores.shape[3], dtype=bool)
    sums = np.where(seen, np.exp(scores), 0.0).sum(axis=3)
    log_sums = np.log(np.where(sums == 0.0, 1.0, sums))
    return np.where(seen, np.exp(scores - log_sums[..., None]), 0.0), log_sums


def kept_by_hand(shape: tuple[int, ...], dropout: float) -> NumpyArray:
    """The factor of each weight: word j of row i of the draw, rows padded to four words."""
    padded = -(-shape[3] // 4) * 4
    rows = shape[0] * shape[1] * shape[2]
    words = [
        word
        for block in range(rows * padded // 4)
        for word in philox_by_hand([block, 0, int(STATE[2]), int(STATE[3])], [1, 2])
    ]
    drawn = np.array(words, np.uint64).reshape(*shape[:3], padded)[..., : shape[3]]
    return np.where(drawn >= dropout * 2.0**32, 1.0 / (1.0 - dropout), 0.0)


def reference(dropout: float = 0.0, causal: bool = False, mask: Any = None) -> Any:
    def function(q: Any, k: Any, v: Any, *rest: Any) -> tuple[Any, Any]:
        weights, log_sums = weights_of(q, k, mask, rest[0] if rest else None, causal)
        if dropout:
            weights = weights * kept_by_hand(weights.shape, dropout)
        values = np.repeat(v, q.shape[1] // v.shape[1], axis=1).astype(np.float64)
        out = np.einsum("bhij,bhje->bhie", weights, values)
        return out.astype(q.dtype), log_sums.astype(q.dtype)

    return function


def gradient_reference(q: Any, k: Any, v: Any, log_sums: Any, given: Any, delta: Any) -> Any:
    """Without mask, heads in groups."""
    heads, groups = q.shape[1], k.shape[1]
    wide = [np.repeat(x, heads // groups, axis=1).astype(np.float64) for x in (k, v)]
    scores = 0.7 * np.einsum("bhid,bhjd->bhij", q.astype(np.float64), wide[0])
    weights = np.exp(scores - log_sums[..., None])
    change = weights * (np.einsum("bhie,bhje->bhij", given, wide[1]) - delta[..., None])

    def gather(x: NumpyArray) -> NumpyArray:
        shape = (x.shape[0], groups, heads // groups, *x.shape[2:])
        return x.reshape(shape).sum(axis=2).astype(q.dtype)

    return (
        (0.7 * np.einsum("bhij,bhjd->bhid", change, wide[0])).astype(q.dtype),
        gather(0.7 * np.einsum("bhij,bhid->bhjd", change, q)),
        gather(np.einsum("bhij,bhie->bhje", weights, given)),
    )


def _values() -> list[Value]:
    rows = []
    for dtype in ("float32", "float64"):
        q = numbers(dtype, (2, 2, 5, 3), -1.0, 1.0)
        k = numbers(dtype, (2, 1, 3, 3), -1.2, 1.1)
        v = numbers(dtype, (2, 1, 3, 4), -1.5, 1.4)
        bias = numbers(dtype, (1, 2, 5, 3), -1.0, 2.0)
        log_sums, delta = numbers(dtype, (2, 2, 5), 0.5, 1.5), numbers(dtype, (2, 2, 5))
        given = numbers(dtype, (2, 2, 5, 4))
        simple = primitive("attention", **options())
        causal = primitive("attention", **options(causal=True))
        masked = primitive("attention", after=[MASK], **options(has_mask=True))
        dropped = primitive("attention", after=[STATE], **options(dropout=0.3))
        biased = primitive("attention", **options(has_bias=True))
        backward = primitive("attention_gradient", with_scores=False, **options())
        long = tuple(numbers(dtype, (1, 1, 300, 2), -1.0, high) for high in (1.0, 1.1, 1.2))
        rows += [
            Value("attention", simple, reference(), (q, k, v), 16.0),
            Value("attention", causal, reference(causal=True), (q, k, v), 16.0, "causal"),
            Value("attention", causal, reference(causal=True), long, 64.0, "causal"),
            Value("attention", masked, reference(mask=MASK), (q, k, v), 16.0, "masked"),
            Value("attention", dropped, reference(0.3), (q, k, v), 16.0, "dropout"),
            Value("attention", biased, reference(), (q, k, v, bias), 16.0, "bias"),
            Value(
                "attention_gradient",
                backward,
                gradient_reference,
                (q, k, v, log_sums, given, delta),
                16.0,
            ),
        ]
    return rows


VALUES: list[Value] = _values()

"""Attention as one primitive, which keeps its outputs and the log-sum-exp of its scores.

With queries q (batch, heads, queries, features), keys k and values v (batch, groups, keys, ...):

    s = scale * q k^T + bias, -inf where the mask is false (and, if causal, for key j > query i)
    w = softmax(s) = exp(s - l) with l = log(sum(exp(s)))
    out = dropout(w) v

Heads `h * groups // heads` of k and v serve head h of q. The gradient computes the weights again,
block by block, from q, k and l: no executor holds all weights at once, so that memory is linear in
the number of queries and of keys.

The node `attention` gives out and l (0 where nothing may be seen; out is 0 there too). The node
`attention_gradient` takes l, the cotangent of out and `delta = sum(cotangent * out)`, and gives the
cotangents of q, k and v. Both are differentiated through the same formulas in plain operations.

Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017; T. Dao et al., FlashAttention,
NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import DTypeError, ShapeError
from ..ir import ArrayType, Graph, Primitive, declare, prune
from ..ir.types import bool_, uint32
from ..trace import Array, Recorder, bind, get_transforms, recording, replay
from . import batch_rules
from .attention_numpy import (
    evaluate_attention,
    evaluate_gradient,
    keeping_factor,
    padded,
    threshold_of,
)
from .comparison import stop_gradient, where
from .contract import contract_axes
from .creation import arange, zeros
from .promotion import convert
from .random import random_bits_p
from .reduce import max, sum
from .shape import broadcast_to, expand_dims, reshape
from .transcendental import exp, log

NAMES = ("q", "k", "v")


def _infer(*types: ArrayType, **options: Any) -> tuple[ArrayType, ArrayType]:
    q, k, v = types[:3]
    for name, type in zip(NAMES, (q, k, v), strict=True):
        if type.ndim != 4 or not type.floating or type.dtype != q.dtype:
            raise ShapeError(
                f"attention: {name} is a floating array (batch, heads, time, features) of the "
                f"dtype of q, received {type}."
            )
    batch, heads, queries, features = q.shape
    groups, keys = k.shape[1:3]
    if k.shape[0] != batch or v.shape[:3] != k.shape[:3] or k.shape[3] != features:
        raise ShapeError(
            f"attention: q {q.shape}, k {k.shape} and v {v.shape} do not go together: k and v need "
            "the batch of q and equal heads and times, k the features of q."
        )
    if heads % groups if groups else heads:
        raise ShapeError(f"attention: {heads} heads of q cannot share {groups} heads of k and v.")
    extra = list(types[3:])
    if options["has_mask"]:
        _check_scores("the mask", extra.pop(0), bool_, (batch, heads, queries, keys))
    if options["has_bias"]:
        _check_scores("the bias", extra.pop(0), q.dtype, (batch, heads, queries, keys))
    if extra != ([ArrayType(uint32, (4,))] if options["dropout"] else []):
        raise ShapeError(f"attention: {len(extra)} inputs too many, or no state for dropout.")
    return q.with_shape((*q.shape[:3], v.shape[3])), q.with_shape(q.shape[:3])


def _check_scores(name: str, type: ArrayType, dtype: Any, full: tuple[int, ...]) -> None:
    if type.dtype != dtype:
        raise DTypeError(f"attention: {name} is of {dtype.name}, received {type}.")
    sizes = zip(type.shape[:3], full[:3])
    if type.ndim != 4 or type.shape[3] != full[3] or any(n not in (1, size) for n, size in sizes):
        raise ShapeError(f"attention: {name} {type.shape} does not broadcast to {full}.")


def _infer_gradient(*types: ArrayType, with_scores: bool, **options: Any) -> tuple[ArrayType, ...]:
    out, log_sums = _infer(*types[:-3], **options)
    if types[-3:] != (log_sums, out, log_sums):
        raise ShapeError(f"attention_gradient: expected {log_sums}, {out}, received {types[-3:]}.")
    q, k, v = types[:3]
    scores = (q.with_shape((*q.shape[:3], k.shape[2])),) if with_scores else ()
    return (q, k, v, *scores)


# -- the same in plain operations -----------------------------------------------------------------


def _fold(x: Array, groups: int) -> Array:
    """(batch, heads, rows, n) as (batch, groups, heads / groups * rows, n)."""
    batch, heads, rows, last = x.type.shape
    return x if heads == groups else reshape(x, (batch, groups, heads // groups * rows, last))


def multiply(a: Array, b: Array, axis: int) -> Array:
    """a (batch, heads, rows, n) times b over its axis, with the heads of a in the groups of b."""
    rest = b.type.shape[5 - axis]
    both = (0, 1)
    product = contract_axes(_fold(a, b.type.shape[1]), b, ((3,), (axis,)), batch=(both, both))
    return reshape(product, (*a.type.shape[:3], rest))


def multiply_transposed(a: Array, b: Array, groups: int) -> Array:
    """a^T b, summed over rows and over the heads of each group."""
    both = (0, 1)
    return contract_axes(_fold(a, groups), _fold(b, groups), ((2,), (2,)), batch=(both, both))


def compute_scores(
    products: Array,
    extra: Sequence[Array],
    *,
    scale: float,
    causal: bool,
    has_mask: bool,
    has_bias: bool,
    first: Array | int = 0,
    **options: Any,
) -> Array:
    """The scores from the products of q and k, -inf where nothing is seen.

    Row 0 is the query number `first`.
    """
    scores = products * scale
    shape = scores.type.shape
    if has_bias:
        scores = scores + broadcast_to(extra[int(has_mask)], shape)
    if has_mask:
        scores = where(broadcast_to(extra[0], shape), scores, -math.inf)
    if causal:
        places = expand_dims(arange(shape[2]) + first, 1)
        scores = where(places >= arange(shape[3]), scores, -math.inf)
    return scores


def compute_kept(words: Array, keys: int, dtype: Any, dropout: float) -> Array:
    """The factor of each weight by dropout, from random words."""
    kept = words[..., :keys] >= threshold_of(dropout)
    return convert(kept, dtype) * keeping_factor(dropout)


def draw_kept(q: Array, keys: int, extra: Sequence[Array], dropout: float) -> Array | None:
    """The factors for all queries; None without dropout."""
    if not dropout:
        return None
    words = bind(random_bits_p, extra[-1], shape=(*q.type.shape[:3], padded(keys)))[0]
    return compute_kept(words, keys, q.type.dtype, dropout)


def attend(scores: Array, v: Array, kept: Array | None) -> list[Array]:
    """The outputs and log-sums of scores."""
    highest = stop_gradient(max(scores, axis=3, keepdims=True))
    highest = where(highest == -math.inf, 0.0, highest)
    weights = exp(scores - highest)
    sums = sum(weights, axis=3, keepdims=True)
    sums = where(sums == 0.0, 1.0, sums)
    log_sums = reshape(highest + log(sums), scores.type.shape[:3])
    if kept is not None:
        weights = weights * kept
    return [multiply(weights, v, 2) / sums, log_sums]


def attend_backward(
    scores: Array,
    leaving: Array,
    q: Array,
    k: Array,
    kept: Array | None,
    log_sums: Array,
    cotangent: Array,
    delta: Array,
    scale: float,
) -> list[Array]:
    """The cotangents of q, k, v and of the scores; `leaving` is `cotangent v^T`."""
    groups = k.type.shape[1]
    weights = exp(scores - expand_dims(log_sums, 3))
    used = weights
    if kept is not None:
        leaving, used = leaving * kept, weights * kept
    change = weights * (leaving - expand_dims(delta, 3))
    scaled = change * scale
    return [
        multiply(scaled, k, 2),
        multiply_transposed(scaled, q, groups),
        multiply_transposed(used, cotangent, groups),
        change,
    ]


def in_plain_operations(*inputs: Array, **options: Any) -> list[Array]:
    """What the node `attention` computes, with all weights in memory."""
    q, k, v, *extra = inputs
    if 0 in (*q.type.shape, *v.type.shape):
        dtype = q.type.dtype
        return [zeros((*q.type.shape[:3], v.type.shape[3]), dtype), zeros(q.type.shape[:3], dtype)]
    kept = draw_kept(q, k.type.shape[2], extra, options["dropout"])
    return attend(compute_scores(multiply(q, k, 3), extra, **options), v, kept)


def gradient_in_plain_operations(*inputs: Array, with_scores: bool, **options: Any) -> list[Array]:
    """What the node `attention_gradient` computes, with all weights in memory."""
    q, k, v, *extra, log_sums, cotangent, delta = inputs
    kept = draw_kept(q, k.type.shape[2], extra, options["dropout"])
    scores = compute_scores(multiply(q, k, 3), extra, **options)
    arriving = multiply(cotangent, v, 3)
    leaving = attend_backward(
        scores, arriving, q, k, kept, log_sums, cotangent, delta, options["scale"]
    )
    return leaving if with_scores else leaving[:3]


# -- rules ----------------------------------------------------------------------------------------


def _record(formula: Callable[..., list[Array]], inputs: Sequence[Array], **options: Any) -> Graph:
    recorder = Recorder(formula.__name__, abstract="a gradient program")
    with recording(recorder):
        variables: list[Array] = [recorder.add_input(x.type, "x") for x in inputs]
        return prune(recorder.finish(formula(*variables, **options)))


def _jvp_through(formula: Callable[..., list[Array]]) -> Callable[..., list[Array | None]]:
    def jvp(
        primals: Sequence[Array],
        tangents: Sequence[Array | None],
        outputs: Sequence[Array],
        **options: Any,
    ) -> list[Array | None]:
        graph = _record(formula, primals, **options)
        active = [position for position, tangent in enumerate(tangents) if tangent is not None]
        both, _ = get_transforms().jvp(graph, active)
        moving = [tangent for tangent in tangents if tangent is not None]
        return list(replay(both, [*primals, *moving])[len(outputs) :])

    return jvp


def _backward(
    residuals: Any, cotangents: Sequence[Any], needed: Sequence[bool], **options: Any
) -> list[Array | None]:
    inputs, (out, log_sums) = residuals
    arriving, arriving_log_sums = cotangents
    delta = sum(arriving * out, axis=3) - arriving_log_sums
    bias = 3 + int(options["has_mask"]) if options["has_bias"] else None
    with_scores = bias is not None and needed[bias]
    leaving = bind(
        attention_gradient_p,
        *inputs,
        log_sums,
        arriving,
        delta,
        with_scores=with_scores,
        **options,
    )
    found: list[Array | None] = [*leaving[:3], *([None] * (len(inputs) - 3))]
    if bias is not None and with_scores:
        shape = inputs[bias].type.shape
        axes = [axis for axis, n in enumerate(shape[:3]) if n != leaving[3].type.shape[axis]]
        found[bias] = sum(leaving[3], axis=tuple(axes), keepdims=True) if axes else leaving[3]
    return found


def _gradient_backward(
    residuals: Any, cotangents: Sequence[Any], needed: Sequence[bool], **options: Any
) -> list[Array | None]:
    inputs, _ = residuals
    graph = _record(gradient_in_plain_operations, inputs, **options)
    wanted = [position for position, flag in enumerate(needed) if flag]
    forward, backward, count = get_transforms().split(graph, wanted)
    kept = replay(forward, inputs)
    gradients = replay(backward, [*kept[len(kept) - count :], *cotangents])
    found: list[Array | None] = [None] * len(inputs)
    for position, gradient in zip(wanted, gradients, strict=True):
        found[position] = gradient
    return found


def _batch(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    **options: Any,
) -> batch_rules.Batched:
    """The examples join the batch; with dropout, where each has the same words, one by one."""
    if options["dropout"]:
        return batch_rules.one_by_one(primitive, inputs, mapped, size, **options)
    batch = inputs[0].type.shape[int(mapped[0])]
    given = [
        broadcast_to(x, (size, batch, *x.type.shape[2:]))
        for x in batch_rules.repeat_unmapped(inputs, mapped, size)
    ]
    return batch_rules.into_batch(primitive, given, [True] * len(given), size, **options)


attention_p = declare(
    "attention",
    infer=_infer,
    evaluate=evaluate_attention,
    jvp=_jvp_through(in_plain_operations),
    backward=_backward,
    batch=_batch,
)

attention_gradient_p = declare(
    "attention_gradient",
    infer=_infer_gradient,
    evaluate=evaluate_gradient,
    jvp=_jvp_through(gradient_in_plain_operations),
    backward=_gradient_backward,
    batch=_batch,
)

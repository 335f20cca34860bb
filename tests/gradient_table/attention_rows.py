"""Rows of attention and of its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import retrograd as rg
from tests.gradient_table.table import Row, anywhere, primitive

STATE = np.array([1, 2, 0, 0], np.uint32)
MASK = np.array([[True, True, False], [False, False, False]])[:, None, None, :]
Shape = tuple[int, ...]


def options(**others: Any) -> dict[str, Any]:
    given = {"scale": 0.7, "causal": False, "dropout": 0.0, "has_mask": False, "has_bias": False}
    return {**given, **others}


def shapes(q: Shape, keys: int, groups: int, width: int) -> tuple[Shape, Shape, Shape]:
    batch, _, _, features = q
    return q, (batch, groups, keys, features), (batch, groups, keys, width)


def gradient(mask: Any = None, bias: bool = False, **others: Any) -> Callable[..., Any]:
    """The gradient node as a function of q, k, v, [bias], log_sums, cotangent and delta."""
    given = options(has_mask=mask is not None, has_bias=bias, **others)
    fixed = [] if mask is None else [mask]

    def function(q: Any, k: Any, v: Any, *rest: Any) -> Any:
        # Far from the true log-sums the weights would be large.
        inner = [*fixed, *rest[: int(bias)]]
        state = [STATE] if given["dropout"] else []
        log_sums, cotangent, delta = rest[int(bias) :]
        apply = primitive("attention_gradient", with_scores=bias, **given)
        return apply(q, k, v, *map(rg.array, inner), *map(rg.array, state),
                     log_sums + 2.0, cotangent, delta)  # fmt: skip

    return function


SMALL = shapes((2, 2, 4, 2), 3, 2, 3)
GROUPED = shapes((1, 4, 2, 3), 3, 2, 1)
ONE = shapes((1, 1, 1, 1), 1, 1, 1)
EMPTY = shapes((2, 1, 0, 2), 3, 1, 2)
NO_KEYS = shapes((2, 1, 2, 2), 0, 1, 2)


def _attention() -> list[Row]:
    three = (anywhere,) * 3
    plain = primitive("attention", **options())
    causal = primitive("attention", **options(causal=True))
    masked = primitive("attention", after=[MASK], **options(has_mask=True))
    dropped = primitive("attention", after=[STATE], **options(dropout=0.4))
    biased = primitive("attention", **options(has_bias=True, causal=True))
    return [
        Row("attention", plain, three, SMALL),
        Row("attention", plain, three, GROUPED, "grouped"),
        Row("attention", plain, three, ONE),
        Row("attention", plain, three, EMPTY, "empty"),
        Row("attention", causal, three, NO_KEYS, "no_keys"),
        Row("attention", causal, three, SMALL, "causal"),
        Row("attention", causal, three, shapes((1, 1, 3, 2), 5, 1, 2), "more_keys"),
        Row("attention", masked, three, SMALL, "masked"),
        Row("attention", dropped, three, SMALL, "dropout"),
        Row("attention", biased, (*three, anywhere), (*SMALL, (1, 2, 4, 3)), "bias"),
        Row("attention", biased, (*three, anywhere), (*GROUPED, (1, 1, 1, 3)), "one_bias"),
    ]


def _gradient() -> list[Row]:
    def row(
        function: Callable[..., Any],
        given: tuple[Shape, Shape, Shape],
        note: str = "",
        bias: tuple[Shape, ...] = (),
    ) -> Row:
        q, _, v = given
        rest = (q[:3], (*q[:3], v[3]), q[:3])
        domains = (anywhere,) * (6 + len(bias))
        return Row("attention_gradient", function, domains, (*given, *bias, *rest), note)

    return [
        row(gradient(), SMALL),
        row(gradient(), GROUPED, "grouped"),
        row(gradient(), ONE),
        row(gradient(), EMPTY, "empty"),
        row(gradient(causal=True), SMALL, "causal"),
        row(gradient(mask=MASK), SMALL, "masked"),
        row(gradient(dropout=0.4), SMALL, "dropout"),
        row(gradient(bias=True), SMALL, "bias", bias=((2, 1, 4, 3),)),
    ]


ROWS: list[Row] = [*_attention(), *_gradient()]

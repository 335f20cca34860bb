"""Rows of the elementwise primitives."""

from __future__ import annotations

from typing import Any

import numpy as np

import retrograd as rg
from tests.gradient_table.table import (
    Domain,
    Row,
    Shape,
    anywhere,
    between,
    between_distinct,
    curved,
    distinct,
    nonzero,
    positive,
    primitive,
    zeros,
)

UNARY: dict[str, Domain] = {
    "negative": anywhere,
    "abs": nonzero,
    "exp": anywhere,
    "log": positive,
    "log1p": between(-0.6, 2.0),
    "expm1": anywhere,
    "sqrt": positive,
    "rsqrt": positive,
    "sin": anywhere,
    "cos": anywhere,
    "tanh": anywhere,
    "sigmoid": between(-5.0, 5.0),
    "erf": anywhere,
}
BINARY: dict[str, tuple[Domain, Domain]] = {
    "add": (anywhere, anywhere),
    "subtract": (anywhere, anywhere),
    "multiply": (anywhere, anywhere),
    "divide": (anywhere, nonzero),
    "remainder": (between(0.1, 0.9), between(1.1, 1.9)),
    "power": (positive, anywhere),
    "maximum": (distinct, between_distinct),
    "minimum": (distinct, between_distinct),
}
SHAPES: tuple[Shape, ...] = ((), (1,), (5,), (2, 3), (0, 3))
BROADCAST: tuple[tuple[Shape, Shape], ...] = (
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((3, 1), (1, 4)),
    ((), (2,)),
    ((1,), (1, 1, 1)),
    ((1,), (0,)),
)


def _unary() -> list[Row]:
    return [
        Row(name, getattr(rg, name), (domain,), (shape,))
        for name, domain in UNARY.items()
        for shape in SHAPES
    ]


def _binary() -> list[Row]:
    rows = []
    for name, domains in BINARY.items():
        function = getattr(rg, name)
        rows += [Row(name, function, domains, shapes) for shapes in BROADCAST]
        rows.append(Row(name, lambda x, f=function: f(x * x, x + 3), (positive,), ((4,),), "both"))
    return rows


def _power() -> list[Row]:
    def to(exponent: float) -> Any:
        return lambda x: rg.power(x, rg.array(np.full((), exponent)))

    rows = [
        Row(
            "power",
            to(exponent),
            (nonzero if exponent == int(exponent) else positive,),
            ((5,),),
            f"to_{exponent}",
        )
        for exponent in (-2.0, -0.5, 0.0, 1.0, 1.5, 2.0, 3.0)
    ]
    rows += [
        Row("power", to(exponent), (zeros,), ((2,),), f"zero_to_{exponent}")
        for exponent in (0.0, 1.0, 2.0, 3.0)
    ]
    rows.append(Row("power", lambda x: rg.power(2.5, x), (anywhere,), ((5,),), "of_number"))
    return rows


def _where() -> list[Row]:
    mask = np.array([[True, False, True], [False, False, True]])
    rows = [
        Row("where", lambda a, b: rg.where(mask, a, b), (anywhere, anywhere), shapes)
        for shapes in (((2, 3), (2, 3)), ((3,), (2, 1)), ((), (2, 3)))
    ]
    rows += [
        Row(
            "where",
            curved(lambda a, b: rg.where(mask, a, b)),
            (anywhere, anywhere),
            ((2, 3), (2, 3)),
            "curved",
        ),
        Row("where", lambda a: rg.where(a > 0, a * a, rg.exp(a)), (nonzero,), ((5,),), "own_sign"),
        Row("where", lambda a: rg.where(mask, 1.0, a) * a, (anywhere,), ((2, 3),), "number"),
        Row("where", lambda a: rg.where(mask[:0], a, 2.0), (anywhere,), ((0, 3),), "empty"),
    ]
    return rows


def _cast() -> list[Row]:
    cast = primitive("cast", dtype=np.dtype("float64"))
    rows = [Row("cast", cast, (anywhere,), (shape,)) for shape in ((), (3,), (0,))]
    rows.append(Row("cast", curved(cast), (anywhere,), ((2, 3),), "curved"))
    rows.append(
        Row(
            "cast",
            lambda x: x * (x * 4).astype("int32"),
            (between(0.55, 0.7),),
            ((3,),),
            "through_integers",
        )
    )
    return rows


ROWS: list[Row] = [*_unary(), *_binary(), *_power(), *_where(), *_cast()]

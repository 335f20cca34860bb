"""Values of the elementwise primitives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tests.gradient_table.table import primitive
from tests.gradient_table.values import ALL, FLOATS, NUMBERS, Value, numbers

EXACT_UNARY: dict[str, tuple[Any, tuple[str, ...]]] = {
    "negative": (np.negative, ("float32", "float64", "int32", "int64")),
    "abs": (np.abs, NUMBERS),
    "sign": (np.sign, NUMBERS),
    "floor": (np.floor, FLOATS),
    "is_finite": (np.isfinite, FLOATS),
    "logical_not": (np.logical_not, ("bool",)),
    "stop_gradient": (lambda x: x, ALL),
}
BINARY: dict[str, tuple[Any, tuple[str, ...]]] = {
    "add": (np.add, NUMBERS),
    "subtract": (np.subtract, NUMBERS),
    "multiply": (np.multiply, NUMBERS),
    "divide": (np.divide, FLOATS),
    "remainder": (np.remainder, NUMBERS),
    "maximum": (np.maximum, NUMBERS),
    "minimum": (np.minimum, NUMBERS),
    "equal": (np.equal, ALL),
    "not_equal": (np.not_equal, ALL),
    "less": (np.less, ALL),
    "less_equal": (np.less_equal, ALL),
    "greater": (np.greater, ALL),
    "greater_equal": (np.greater_equal, ALL),
    "logical_and": (np.logical_and, ("bool",)),
    "logical_or": (np.logical_or, ("bool",)),
    "logical_xor": (np.logical_xor, ("bool",)),
}
MATH: dict[str, tuple[Callable[[float], float], float, float]] = {
    "exp": (math.exp, -5.0, 5.0),
    "log": (math.log, 0.01, 9.0),
    "log1p": (math.log1p, -0.9, 9.0),
    "expm1": (math.expm1, -5.0, 5.0),
    "sqrt": (math.sqrt, 0.0, 9.0),
    "rsqrt": (lambda x: 1.0 / math.sqrt(x), 0.01, 9.0),
    "sin": (math.sin, -9.0, 9.0),
    "cos": (math.cos, -9.0, 9.0),
    "tanh": (math.tanh, -5.0, 5.0),
    "sigmoid": (lambda x: 1.0 / (1.0 + math.exp(-x)), -9.0, 9.0),
    "erf": (math.erf, -5.0, 5.0),
}
SHAPES: tuple[tuple[int, ...], ...] = ((), (7,), (2, 3), (0, 2), (70,))


def _elementwise() -> Iterable[Value]:
    for name, (reference, dtypes) in (*EXACT_UNARY.items(), *BINARY.items()):
        count = 2 if name in BINARY else 1
        for dtype, shape in itertools.product(dtypes, SHAPES):
            inputs = (numbers(dtype, shape), numbers(dtype, shape, -2.0, 3.0))[:count]
            if name in ("divide", "remainder"):
                inputs = (inputs[0], np.asarray(np.where(inputs[1] == 0, 1, inputs[1]), dtype))
            yield Value(name, primitive(name), reference, inputs)
    for name, (function, low, high) in MATH.items():
        for dtype, shape in itertools.product(FLOATS, SHAPES):
            inputs = (numbers(dtype, shape, low, high),)
            each = np.vectorize(function, otypes=["float64"])
            reference = lambda x, f=each: f(x.astype("float64")).astype(x.dtype)  # noqa: E731
            yield Value(name, primitive(name), reference, inputs, tolerance=4.0)
    for dtype in FLOATS:
        inputs = (numbers(dtype, (9,), 0.1, 4.0), numbers(dtype, (9,)))
        reference = lambda a, b: np.array(  # noqa: E731
            [float(p) ** float(q) for p, q in zip(a, b)], "float64"
        ).astype(a.dtype)
        yield Value("power", primitive("power"), reference, inputs, tolerance=4.0)
    for dtype in ("int32", "int64", "uint8"):
        a, b = numbers(dtype, (9,), -9.0, 9.0), numbers(dtype, (9,), 1.0, 4.0)
        reference = lambda a, b: np.array(  # noqa: E731
            [int(p) // int(q) for p, q in zip(a, b)], a.dtype
        )
        yield Value("floor_divide", primitive("floor_divide"), reference, (a, b))
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300])
    yield Value("is_finite", primitive("is_finite"), np.isfinite, (special,), note="special")
    yield Value(
        "where",
        primitive("where"),
        np.where,
        (numbers("bool", (2, 3)), numbers("float32", (2, 3)), -numbers("float32", (2, 3))),
    )
    for dtype, other in itertools.product(ALL, ALL):
        yield Value(
            "cast",
            primitive("cast", dtype=np.dtype(other)),
            lambda x, t=other: x.astype(t),
            (numbers(dtype, (5,), 0.0, 9.0),),
            note=f"to_{other}",
        )
    for dtype, shape in itertools.product(("int32", "uint8", "uint32"), SHAPES):
        yield Value(
            "narrow",
            primitive("narrow", dtype=np.dtype(dtype)),
            lambda x, t=dtype: x.astype(t),
            (numbers("int64", shape, 0.0, 9.0),),
            note=f"to_{dtype}",
        )


VALUES: list[Value] = list(_elementwise())

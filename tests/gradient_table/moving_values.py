"""Values of what moves, reduces, contracts, orders and indexes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np

from tests.gradient_table.table import NumpyArray, primitive
from tests.gradient_table.values import NUMBERS, Value, numbers


def _shapes() -> Iterable[Value]:
    for dtype in ("float32", "int32", "bool"):
        x, empty = numbers(dtype, (2, 3, 5)), numbers(dtype, (0, 3))
        yield Value("reshape", primitive("reshape", shape=(5, 6)), lambda x: x.reshape(5, 6), (x,))
        yield Value(
            "reshape", primitive("reshape", shape=(3, 0)), lambda x: x.reshape(3, 0), (empty,)
        )
        yield Value(
            "transpose",
            primitive("transpose", axes=(2, 0, 1)),
            lambda x: x.transpose(2, 0, 1),
            (x,),
        )
        yield Value(
            "broadcast",
            primitive("broadcast", shape=(2, 4, 3, 5), axes=(1,)),
            lambda x: np.repeat(x[:, None], 4, 1),
            (x,),
        )
        yield Value(
            "slice",
            primitive("slice", starts=(0, 1, 0), stops=(2, 3, 5), steps=(1, 1, 2)),
            lambda x: x[0:2, 1:3, ::2],
            (x,),
        )
        yield Value("flip", primitive("flip", axes=(0, 2)), lambda x: x[::-1, :, ::-1], (x,))
        yield Value(
            "concatenate",
            primitive("concatenate", axis=1),
            lambda a, b: np.concatenate([a, b], 1),
            (x, x[:, :1]),
        )
        yield Value(
            "pad",
            primitive("pad", low=(1, -1), high=(0, 2), interior=(0, 1)),
            pad_by_hand,
            (numbers(dtype, (2, 3)),),
        )


def pad_by_hand(x: NumpyArray) -> NumpyArray:
    """Rows: one of zeros above. Columns: a zero between all, one cropped, two zeros behind."""
    result = np.zeros((3, 6), x.dtype)
    result[1:, 1], result[1:, 3] = x[:, 1], x[:, 2]
    return result


def _reductions() -> Iterable[Value]:
    for dtype, axes in itertools.product(NUMBERS, ((0,), (1,), (0, 2), (0, 1, 2))):
        x = numbers(dtype, (2, 3, 4))
        note = "axes" + "".join(map(str, axes))
        yield Value(
            "sum",
            primitive("sum", axes=axes),
            lambda x, a=axes: np.sum(x, a, dtype=x.dtype),
            (x,),
            4.0,
            note,
        )
        yield Value(
            "max", primitive("max", axes=axes), lambda x, a=axes: np.max(x, a), (x,), note=note
        )
        yield Value(
            "min", primitive("min", axes=axes), lambda x, a=axes: np.min(x, a), (x,), note=note
        )
        if dtype.startswith("float"):
            yield Value(
                "moments",
                primitive("moments", axes=axes),
                lambda x, a=axes: (
                    np.mean(x, a, np.float64).astype(x.dtype),
                    np.var(x, a, np.float64).astype(x.dtype),
                ),
                (x,),
                4.0,
                note,
            )
    for dtype, axis in itertools.product(NUMBERS, (0, 2)):
        x = numbers(dtype, (2, 3, 4))
        note = f"axis{axis}"
        yield Value(
            "prod",
            primitive("prod", axis=axis),
            lambda x, a=axis: np.prod(x, a, dtype=x.dtype),
            (x,),
            4.0,
            note,
        )
        for name, reference in (("argmax", np.argmax), ("argmin", np.argmin)):
            yield Value(
                name,
                primitive(name, axis=axis),
                lambda x, f=reference, a=axis: f(x, a).astype(np.int32),
                (x,),
                note=note,
            )
        for reverse in (False, True):

            def running(x: NumpyArray, a: int = axis, r: bool = reverse) -> NumpyArray:
                source = np.flip(x, a) if r else x
                total = np.cumsum(source, a, dtype=x.dtype)
                return np.flip(total, a) if r else total

            yield Value(
                "cumsum",
                primitive("cumsum", axis=axis, reverse=reverse),
                running,
                (x,),
                4.0,
                f"{note}_{reverse}",
            )
        yield Value(
            "sort",
            primitive("sort", axis=axis),
            lambda x, a=axis: (np.sort(x, a), np.argsort(x, a, kind="stable").astype(np.int32)),
            (x,),
            note=note,
        )
        yield Value(
            "top_k",
            primitive("top_k", axis=axis, k=2),
            lambda x, a=axis: largest(x, a, 2),
            (x,),
            note=note,
        )
    for dtype in ("float32", "float64", "int32"):
        a, b = numbers(dtype, (3, 2, 4)), numbers(dtype, (4, 5, 2))
        yield Value(
            "dot",
            primitive("dot", contract=((2,), (0,)), batch=((1,), (2,))),
            lambda a, b: np.einsum("ibk,kjb->bij", a, b),
            (a, b),
            16.0,
        )
        yield Value(
            "dot",
            primitive("dot", contract=((), ()), batch=((), ())),
            lambda a, b: np.multiply.outer(a, b),
            (a, b),
            0.0,
            "outer",
        )


def largest(x: NumpyArray, axis: int, k: int) -> tuple[NumpyArray, NumpyArray]:
    """The k largest, the lower position first on ties, by Python's sort of each row."""
    rows = np.moveaxis(x, axis, -1)
    places = np.zeros((*rows.shape[:-1], k), np.int32)
    for row in np.ndindex(*rows.shape[:-1]):
        order = sorted(range(rows.shape[-1]), key=lambda i: (-float(rows[row][i]), i))
        places[row] = order[:k]
    values = np.take_along_axis(rows, places.astype(np.intp), -1)
    return np.moveaxis(values, -1, axis), np.moveaxis(places, -1, axis)


def _indices() -> Iterable[Value]:
    places = np.array([[2, 0], [1, 2]], np.int32)

    def add(x: NumpyArray, i: NumpyArray) -> NumpyArray:
        result = np.zeros((4, x.shape[-1]), x.dtype)
        for row in np.ndindex(*i.shape):
            result[i[row]] += x[row]
        return result

    def add_along(x: NumpyArray, i: NumpyArray) -> NumpyArray:
        result = np.zeros((x.shape[0], 3), x.dtype)
        for row in np.ndindex(*i.shape):
            result[row[0], i[row]] += x[row]
        return result

    for dtype in ("float32", "float64", "int32", "bool"):
        x = numbers(dtype, (2, 3, 2))
        yield Value("gather", primitive("gather", axis=1), lambda x, i: x[:, i], (x, places))
        yield Value(
            "gather_along",
            primitive("gather_along", axis=1),
            lambda x, i: np.take_along_axis(x, i, 1),
            (x[..., 0], places),
        )

    def put(table: NumpyArray, rows: NumpyArray, i: NumpyArray) -> NumpyArray:
        result = table.copy()
        for place, row in zip(i, rows, strict=True):
            if 0 <= place < len(table):
                result[place] = row
        return result

    def take(table: NumpyArray, i: NumpyArray) -> NumpyArray:
        nothing = np.zeros(table.shape[1:], table.dtype)
        return np.stack([table[p] if 0 <= p < len(table) else nothing for p in i])

    for dtype in ("float32", "float64", "int32", "bool"):
        inputs = (numbers(dtype, (4, 3)), numbers(dtype, (5, 3), -2.0, 1.0))
        for note, i in (("repeated", [3, -1, 1, 3, 4]), ("none", [-1] * 5)):
            yield Value(
                "take_rows", primitive("take_rows"), take, (inputs[0], np.array(i)), note=note
            )
            yield Value(
                "put_rows", primitive("put_rows"), put, (*inputs, np.array(i, np.int32)), note=note
            )
    for dtype in ("float32", "float64", "int32"):
        yield Value(
            "scatter_add",
            primitive("scatter_add", axis=0, size=4),
            add,
            (numbers(dtype, (2, 2, 3)), places),
            4.0,
        )
        yield Value(
            "scatter_add_along",
            primitive("scatter_add_along", axis=1, size=3),
            add_along,
            (numbers(dtype, (2, 2)), places),
            4.0,
        )


VALUES: list[Value] = [*_shapes(), *_reductions(), *_indices()]

"""Rows of reductions and contractions."""

from __future__ import annotations

import retrograd as rg
from tests.gradient_table.table import (
    Row,
    Shape,
    anywhere,
    curved,
    distinct,
    nonzero,
    one_zero_in_rows,
    primitive,
    zeros,
)

REDUCED: tuple[tuple[Shape, Shape], ...] = (
    ((5,), (0,)),
    ((2, 3), (0,)),
    ((2, 3), (1,)),
    ((2, 3), (0, 1)),
    ((3, 1, 4), (0, 2)),
    ((1,), (0,)),
    ((0, 3), (1,)),
)


def _axes_note(axes: Shape) -> str:
    return "axes" + "".join(map(str, axes))


def _sum() -> list[Row]:
    cases = (*REDUCED, ((0, 3), (0,)))
    rows = []
    for shape, axes in cases:
        function = primitive("sum", axes=axes)
        rows.append(Row("sum", function, (anywhere,), (shape,), _axes_note(axes)))
        rows.append(
            Row("sum", curved(function), (anywhere,), (shape,), _axes_note(axes) + "_curved")
        )
    rows.append(
        Row(
            "sum",
            lambda x: rg.sum(x * x, axis=-1, keepdims=True) * x,
            (anywhere,),
            ((2, 3),),
            "keepdims",
        )
    )
    return rows


def _moments() -> list[Row]:
    """Both outputs, and each alone."""
    rows = []
    cases = (((5,), (0,)), ((2, 3), (0,)), ((2, 3), (1,)), ((3, 1, 4), (0, 2)), ((1,), (0,)))
    for shape, axes in (*cases, ((0, 3), (1,))):
        function = primitive("moments", axes=axes)
        note = _axes_note(axes)
        rows.append(Row("moments", function, (anywhere,), (shape,), note))
        for output, name in enumerate(("mean", "variance")):
            bent = lambda x, f=function, o=output: f(x * x * x + x)[o]  # noqa: E731
            rows.append(Row("moments", bent, (anywhere,), (shape,), f"{note}_{name}"))
    return rows


def _extrema() -> list[Row]:
    rows = []
    for name in ("max", "min"):
        for shape, axes in REDUCED:
            function = primitive(name, axes=axes)
            rows.append(Row(name, function, (distinct,), (shape,), _axes_note(axes)))
            bent = lambda x, f=function: f(x * x * x + x)  # noqa: E731  keeps the order of values
            rows.append(Row(name, bent, (distinct,), (shape,), _axes_note(axes) + "_curved"))
    return rows


def _prod() -> list[Row]:
    cases: tuple[tuple[Shape, int], ...] = (
        ((1,), 0),
        ((2,), 0),
        ((5,), 0),
        ((2, 3), 0),
        ((2, 3), 1),
        ((0, 3), 1),
        ((3, 0), 1),
        ((2, 8), 1),
    )
    rows = [
        Row("prod", primitive("prod", axis=axis), (nonzero,), (shape,), f"axis{axis}")
        for shape, axis in cases
    ]
    rows += [
        Row("prod", primitive("prod", axis=1), (one_zero_in_rows,), ((2, 4),), "one_zero"),
        Row("prod", primitive("prod", axis=0), (zeros,), ((2,),), "two_zeros"),
        Row("prod", primitive("prod", axis=0), (zeros,), ((3,),), "three_zeros"),
        Row("prod", rg.prod, (nonzero,), ((2, 3),), "all_axes"),
    ]
    return rows


def _dot() -> list[Row]:
    cases: tuple[tuple[str, Shape, Shape, tuple[Shape, Shape], tuple[Shape, Shape]], ...] = (
        ("matrices", (2, 3), (3, 4), ((1,), (0,)), ((), ())),
        ("first_transposed", (3, 2), (3, 4), ((0,), (0,)), ((), ())),
        ("second_transposed", (2, 3), (4, 3), ((1,), (1,)), ((), ())),
        ("vectors", (3,), (3,), ((0,), (0,)), ((), ())),
        ("outer", (2,), (3,), ((), ()), ((), ())),
        ("scalars", (), (), ((), ()), ((), ())),
        ("size_one", (1, 1), (1, 1), ((1,), (0,)), ((), ())),
        ("batch", (2, 3, 4), (2, 4, 5), ((2,), (1,)), ((0,), (0,))),
        ("batch_in_the_middle", (3, 2, 4), (4, 5, 2), ((2,), (0,)), ((1,), (2,))),
        ("two_contracted_crossed", (2, 3, 4), (4, 3, 5), ((1, 2), (1, 0)), ((), ())),
        ("two_contracted_swapped", (2, 3, 4), (3, 4, 5), ((2, 1), (1, 0)), ((), ())),
        ("two_batches_crossed", (2, 3, 4), (3, 2, 4), ((2,), (2,)), ((0, 1), (1, 0))),
        ("all_axes", (2, 3), (3, 2), ((0, 1), (1, 0)), ((), ())),
        ("only_batch", (2, 3), (2, 3), ((), ()), ((0, 1), (0, 1))),
        ("batch_and_two_free", (5, 2, 3, 4), (4, 6, 5), ((3,), (0,)), ((0,), (2,))),
        ("three_contracted", (2, 3, 4, 5), (5, 3, 2, 2), ((3, 0, 1), (0, 2, 1)), ((), ())),
        ("empty_contracted", (2, 0), (0, 3), ((1,), (0,)), ((), ())),
        ("empty_free", (0, 2), (2, 3), ((1,), (0,)), ((), ())),
        ("empty_batch", (0, 2, 3), (0, 3, 2), ((2,), (1,)), ((0,), (0,))),
    )
    rows = [
        Row(
            "dot",
            primitive("dot", contract=contract, batch=batch),
            (anywhere, anywhere),
            (a, b),
            note,
        )
        for note, a, b, contract, batch in cases
    ]
    rows += [
        Row("dot", rg.matmul, (anywhere, anywhere), shapes, "matmul")
        for shapes in (((2, 3), (3,)), ((3,), (3, 2)), ((5, 1, 2, 3), (4, 3, 2)), ((3,), (2, 3, 2)))
    ]
    rows.append(Row("dot", lambda x: x @ x @ x.T, (anywhere,), ((3, 3),), "with_itself"))
    return rows


ROWS: list[Row] = [*_sum(), *_moments(), *_extrema(), *_prod(), *_dot()]

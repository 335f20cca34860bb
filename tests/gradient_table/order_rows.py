"""Rows of cumsum, sort and top_k."""

from __future__ import annotations

import retrograd as rg
from tests.gradient_table.table import Row, Shape, anywhere, curved, distinct, primitive

CASES: tuple[tuple[Shape, int], ...] = (
    ((5,), 0),
    ((1,), 0),
    ((2, 4), 1),
    ((4, 2), 0),
    ((2, 3, 2), 1),
    ((0, 3), 1),
    ((3, 0), 1),
)


def _cumsum() -> list[Row]:
    rows = []
    for shape, axis in CASES:
        for reverse in (False, True):
            function = primitive("cumsum", axis=axis, reverse=reverse)
            note = f"axis{axis}_{'reverse' if reverse else 'forward'}"
            rows.append(Row("cumsum", function, (anywhere,), (shape,), note))
            rows.append(Row("cumsum", curved(function), (anywhere,), (shape,), f"{note}_curved"))
    return rows


def _ordered() -> list[Row]:
    rows = []
    for shape, axis in CASES:
        counts = sorted({min(2, shape[axis]), shape[axis]})
        for name, options in (("sort", {}), *(("top_k", {"k": count}) for count in counts)):
            function = primitive(name, axis=axis, **options)
            note = f"axis{axis}" + (f"_k{options['k']}" if options else "")
            rows.append(Row(name, function, (distinct,), (shape,), note))
            rows.append(
                Row(
                    name,
                    lambda x, f=function: f(x * x * x + x)[0],
                    (distinct,),
                    (shape,),
                    f"{note}_curved",
                )
            )
    rows += [
        Row(
            "sort", lambda x: rg.sort(x, descending=True) * x, (distinct,), ((2, 3),), "descending"
        ),
        Row("top_k", lambda x: rg.top_k(x, 0)[0], (distinct,), ((3,),), "none"),
    ]
    return rows


ROWS: list[Row] = [*_cumsum(), *_ordered()]

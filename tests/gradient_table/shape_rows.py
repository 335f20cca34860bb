"""Rows of the primitives that move elements."""

from __future__ import annotations

from typing import Any

import retrograd as rg
from tests.gradient_table.table import Row, Shape, anywhere, curved, primitive


def _linear(name: str, note: str, shapes: tuple[Shape, ...], **parameters: Any) -> list[Row]:
    """The primitive itself, and on bent arguments."""
    function = primitive(name, **parameters)
    domains = (anywhere,) * len(shapes)
    return [
        Row(name, function, domains, shapes, note),
        Row(name, curved(function), domains, shapes, f"{note}_curved"),
    ]


def _reshape() -> list[Row]:
    cases = [((2, 3), (3, 2)), ((6,), (1, 6, 1)), ((1,), ()), ((0, 3), (3, 0)), ((2, 3, 5), (30,))]
    return [
        row
        for before, after in cases
        for row in _linear("reshape", "to_" + "x".join(map(str, after)), (before,), shape=after)
    ]


def _transpose() -> list[Row]:
    cases: list[tuple[Shape, Shape]] = [
        ((2, 3), (1, 0)),
        ((2, 3, 5), (2, 0, 1)),
        ((2, 3, 5), (1, 2, 0)),
        ((2, 1, 3, 2), (3, 1, 0, 2)),
        ((0, 3), (1, 0)),
        ((), ()),
    ]
    return [
        row
        for shape, axes in cases
        for row in _linear("transpose", "".join(map(str, axes)), (shape,), axes=axes)
    ]


def _broadcast() -> list[Row]:
    cases: list[tuple[Shape, Shape, Shape]] = [
        ((), (3,), (0,)),
        ((3,), (2, 3), (0,)),
        ((3,), (3, 2), (1,)),
        ((3, 2), (3, 5, 2, 4), (1, 3)),
        ((2,), (0, 2), (0,)),
        ((1,), (1, 1), (0,)),
        ((0,), (0, 3), (1,)),
    ]
    return [
        row
        for before, after, axes in cases
        for row in _linear(
            "broadcast", "x".join(map(str, after)), (before,), shape=after, axes=axes
        )
    ]


def _slice() -> list[Row]:
    cases: list[tuple[Shape, Shape, Shape, Shape]] = [
        ((7,), (1,), (6,), (1,)),
        ((7,), (1,), (6,), (2,)),
        ((7,), (0,), (7,), (3,)),
        ((7,), (3,), (3,), (1,)),
        ((3, 5), (1, 0), (3, 4), (1, 3)),
        ((3, 5), (0, 4), (3, 5), (2, 1)),
        ((), (), (), ()),
        ((0, 3), (0, 1), (0, 3), (1, 1)),
        ((1,), (0,), (1,), (4,)),
    ]
    return [
        row
        for shape, starts, stops, steps in cases
        for row in _linear(
            "slice",
            f"{starts}{stops}{steps}".replace(" ", ""),
            (shape,),
            starts=starts,
            stops=stops,
            steps=steps,
        )
    ]


def _pad() -> list[Row]:
    cases: list[tuple[Shape, Shape, Shape, Shape]] = [
        ((3,), (1,), (2,), (0,)),
        ((3,), (0,), (0,), (2,)),
        ((5,), (-1,), (-2,), (0,)),
        ((3,), (2,), (-1,), (1,)),
        ((3,), (-2,), (1,), (2,)),
        ((2, 3), (1, 0), (0, 2), (0, 1)),
        ((0,), (2,), (1,), (0,)),
        ((1, 3), (0, -1), (1, 1), (3, 0)),
        ((0, 2), (0, 0), (0, 1), (2, 0)),
        ((4,), (-2,), (-2,), (0,)),
        ((3,), (-1,), (-1,), (1,)),
        ((1,), (1,), (0,), (2,)),
        ((), (), (), ()),
    ]
    return [
        row
        for shape, low, high, interior in cases
        for row in _linear(
            "pad",
            f"{low}{high}{interior}".replace(" ", ""),
            (shape,),
            low=low,
            high=high,
            interior=interior,
        )
    ]


def _flip() -> list[Row]:
    cases: list[tuple[Shape, Shape]] = [
        ((3,), (0,)),
        ((2, 3), (1,)),
        ((2, 3, 1), (0, 2)),
        ((0, 2), (0,)),
        ((2, 3), ()),
        ((1,), (0,)),
    ]
    return [
        row
        for shape, axes in cases
        for row in _linear("flip", "axes" + "".join(map(str, axes)), (shape,), axes=axes)
    ]


def _concatenate() -> list[Row]:
    cases: list[tuple[tuple[Shape, ...], int]] = [
        (((2,), (3,)), 0),
        (((2, 3), (2, 1), (2, 2)), 1),
        (((1, 3), (2, 3)), 0),
        (((0,), (3,)), 0),
        (((2, 2, 3), (2, 5, 3)), 1),
        (((4,),), 0),
        (((1,), (1,)), 0),
    ]
    rows = [
        row
        for shapes, axis in cases
        for row in _linear("concatenate", f"axis{axis}", shapes, axis=axis)
    ]
    twice = Row(
        "concatenate",
        lambda x: rg.concatenate([x * x, rg.sin(x), x], 1),
        (anywhere,),
        ((2, 3),),
        "one_value_in_three_places",
    )
    return [*rows, twice]


def _indexing() -> list[Row]:
    """x[...] as users write it."""
    cases: list[tuple[str, Any, Shape]] = [
        ("integer", lambda x: x[1], (3, 2)),
        ("steps", lambda x: x[..., 1::2], (2, 5)),
        ("new_axis", lambda x: x[:, None, 1:], (3, 2)),
        ("negative_integer", lambda x: x[-1, :, -2:], (2, 3, 4)),
    ]
    rows = [Row("slice", curved(f), (anywhere,), (shape,), note) for note, f, shape in cases]
    rows.append(Row("flip", curved(lambda x: x[::-2]), (anywhere,), ((5,),), "backwards"))
    return rows


ROWS: list[Row] = [
    *_reshape(),
    *_transpose(),
    *_broadcast(),
    *_slice(),
    *_pad(),
    *_flip(),
    *_concatenate(),
    *_indexing(),
]

"""The same programs for AVX2 and for plain 128-bit vectors, run on this machine."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest

from retrograd.runtime.target import Target, host_target
from tests.gradient_table.rows import ROWS
from tests.gradient_table.table import Row
from tests.gradient_table.test_values import ROWS as VALUES
from tests.gradient_table.values import Value
from tests.native.helpers import check, with_gradients
from tests.native.terms import narrower_target


def plain_target() -> Target | None:
    """This machine with the vectors that every x86-64 has."""
    host = host_target()
    if not host.triple.startswith("x86_64"):
        return None
    return replace(host, cpu="x86-64", features="", vector_bytes=16, registers=16)


TARGETS: dict[str, Callable[[], Target | None]] = {"avx2": narrower_target, "plain": plain_target}


def find_target(name: str) -> Target:
    target = TARGETS[name]()
    if target is None:
        pytest.skip(f"this machine cannot run {name}")
    return target


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "row", [r for r in ROWS if not zlib.crc32(r.name.encode()) % 6], ids=lambda row: row.name
)
def test_rows_of_the_gradient_table(name: str, row: Row) -> None:
    """A sixth of the rows, always the same ones."""
    points = [np.asarray(point, np.float32) for point in row.draw()]
    check(with_gradients(row.function), points, 30.0, find_target(name))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "rows",
    [list(group) for _, group in groupby(VALUES, key=lambda value: value.primitive)],
    ids=lambda rows: rows[0].primitive,
)
def test_values_of_every_dtype(name: str, rows: list[Value]) -> None:
    for row in rows[::4]:
        check(row.function, row.inputs, 30.0, find_target(name))

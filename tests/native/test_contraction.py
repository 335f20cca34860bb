"""Products of matrices in machine code, and the plans and packing behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.codegen.tiles import plan_contraction
from retrograd.codegen.transposition import plan_transposition
from retrograd.ir.loops import Access, Contraction, LoopNest
from retrograd.ir.types import float32
from retrograd.native import NativeProgram
from retrograd.ops.contract import dot_p
from retrograd.runtime.target import host_target
from retrograd.trace import bind
from tests.native.terms import check_terms, compile_for, draw, narrower_target

SIZES = [
    (1, 1, 1),
    (1, 16, 3),
    (3, 5, 7),
    (7, 33, 2100),  # more than one chunk
    (5, 1, 64),
    (1, 70, 40),
    (64, 2, 1030),
    (17, 10, 128),
    (33, 100, 5),
    (50, 64, 600),
    (61, 515, 513),  # rows of b far apart: panels, the last one narrow
    (50, 524, 530),  # several panels are filled at once
    (2, 3, 0),
    (0, 3, 2),
    (31, 31, 1),
]


@pytest.mark.parametrize("rows, columns, terms", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("left, right", [(False, False), (True, False), (False, True)])
def test_matmul(rows: int, columns: int, terms: int, dtype: Any, left: bool, right: bool) -> None:
    a = draw(*((terms, rows) if left else (rows, terms)), dtype=dtype)
    b = draw(*((columns, terms) if right else (terms, columns)), dtype=dtype, seed=1)
    check_terms(lambda x, y: (x.T if left else x) @ (y.T if right else y), [a, b])


@pytest.mark.parametrize("rows, columns, terms", [s for s in SIZES if 0 not in s])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matmul_with_fewer_and_narrower_registers(
    rows: int, columns: int, terms: int, dtype: Any
) -> None:
    target = narrower_target()
    if target is None:
        pytest.skip("this machine has no AVX2")
    with compile_for(target):
        a, b = draw(rows, terms, dtype=dtype), draw(terms, columns, dtype=dtype, seed=1)
        program = check_terms(lambda x, y: x @ y, [a, b])
        assert "<16 x float>" not in program.text and "<8 x double>" not in program.text


@pytest.mark.parametrize(
    "shapes, contract, batch",
    [
        (((3, 4, 5), (3, 5, 6)), ((2,), (1,)), ((0,), (0,))),
        (((8, 9, 32), (8, 17, 32)), ((2,), (2,)), ((0,), (0,))),
        (((2, 3, 4, 5), (5, 4, 7)), ((3, 2), (0, 1)), ((), ())),
        (((4, 6), (4, 6)), ((1,), (1,)), ((0,), (0,))),
        (((6, 4), (6, 4)), ((0,), (0,)), ((1,), (1,))),
        (((5,), (7,)), ((), ()), ((), ())),
        (((40, 3), (40, 3)), ((0, 1), (0, 1)), ((), ())),
        (((2, 1, 3), (1, 3, 2)), ((2,), (1,)), ((0,), (2,))),
        (((3, 16, 5), (3, 16, 5)), ((2,), (2,)), ((1,), (1,))),
    ],
)
def test_dot_of_any_axes(shapes: Any, contract: Any, batch: Any) -> None:
    a, b = draw(*shapes[0]), draw(*shapes[1], seed=1)
    check_terms(lambda x, y: bind(dot_p, x, y, contract=contract, batch=batch)[0], [a, b])


def test_operands_that_are_views() -> None:
    a, b = draw(9, 40), draw(20, 37, seed=1)
    check_terms(lambda x, y: x[:, ::2] @ y, [a, b])
    check_terms(lambda x, y: rg.flip(x[:, 20:], axis=1) @ y[:, 3:20], [a, b])
    check_terms(lambda x, y: x[:1, :20] @ y[:, :1], [a, b])


def test_operands_that_do_not_vary_along_an_axis() -> None:
    a, b = draw(1, 1), draw(30, 33, seed=1)
    check_terms(lambda x, y: rg.broadcast_to(x, (20, 30)) @ y, [a, b])
    check_terms(lambda x, y: y @ rg.broadcast_to(x, (33, 18)), [a, b])
    check_terms(lambda x, y: rg.broadcast_to(x, (2, 5)) @ rg.broadcast_to(x, (5, 3)), [a, b])


def test_the_same_operand_twice() -> None:
    check_terms(lambda x: x @ x.T, [draw(33, 20)])
    check_terms(lambda x: x.T @ x, [draw(33, 20)])


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_is_not_finite_stays_where_it_belongs(value: float) -> None:
    """Masked lanes and garbage beside panels must not spread it."""
    for shape in ((5, 37, 11), (60, 300, 530), (6, 2, 37)):
        rows, columns, terms = shape
        a, b = draw(rows, terms), draw(terms, columns, seed=1)
        a[2, 3] = value
        b[4, 1] = value
        graph = rg.compile(lambda x, y: x @ y).graph(rg.array(a), rg.array(b))
        (got,) = NativeProgram(graph, poison=True).run([a, b])
        expected = np.ones((rows, columns), np.bool_)
        expected[2], expected[:, 1] = False, False
        np.testing.assert_array_equal(np.isfinite(got), expected)


def test_an_infinite_constant_times_masked_lanes() -> None:
    """Lanes beyond the sum hold zero in one operand; infinity in the other makes no NaN of it."""
    x, y = np.full((1, 1), np.inf, np.float32), np.ones((37, 1), np.float32)
    function = lambda a, b: rg.broadcast_to(a, (1, 37)) @ b  # noqa: E731
    program = NativeProgram(rg.compile(function).graph(rg.array(x), rg.array(y)), poison=True)
    assert program.run([x, y])[0].item() == np.inf


def test_long_sums_are_added_in_chunks() -> None:
    """The error over 65,536 terms is a fraction of that of one running sum."""
    a = np.full((2, 65536), 0.1, np.float32)
    b = np.full((65536, 20), 0.1, np.float32)
    graph = rg.compile(lambda x, y: x @ y).graph(rg.array(a), rg.array(b))
    (got,) = NativeProgram(graph).run([a, b])
    exact = 65536 * float(np.float32(0.1)) ** 2
    running = np.add.accumulate(a[0] * b[:, 0])[-1]
    assert np.abs(got - exact).max() < abs(running - exact) / 5


def make(rows: int, columns: int, terms: int) -> Contraction:
    return Contraction(
        (rows, columns, terms),
        (False, False, True),
        float32,
        Access(0, 0, (terms, 0, 1)),
        Access(1, 0, (0, 1, columns)),
        Access(2, 0, (columns, 1, 0)),
    )


@pytest.mark.parametrize("vector_bytes, registers", [(64, 32), (32, 16), (16, 32), (16, 16)])
def test_tiles_fit_into_the_registers(vector_bytes: int, registers: int) -> None:
    for rows, columns, terms in SIZES:
        if 0 in (rows, columns, terms):
            continue
        plan = plan_contraction(make(rows, columns, terms), vector_bytes, registers)
        tile = plan.tile
        assert tile[0] * tile[1] + min(tile[0], tile[1]) < registers
    large = plan_contraction(make(512, 512, 512), vector_bytes, registers).tile
    assert large[0] * large[1] > registers / 3, "most registers hold sums"


def test_the_plan_of_an_attention_product_covers_rows_and_columns() -> None:
    plan = plan_contraction(make(64, 32, 64), 64, 32)
    assert plan.lanes == 16 and not plan.across and plan.tile[0] * plan.tile[1] >= 12


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize(
    "shape, axes",
    [
        ((4, 5), (1, 0)),
        ((33, 17), (1, 0)),
        ((64, 48), (1, 0)),
        ((5, 7, 19), (0, 2, 1)),
        ((5, 70, 19), (1, 2, 0)),
        ((6, 5, 16, 20), (2, 0, 3, 1)),
    ],
)
def test_transposing_copies(shape: Any, axes: Any, dtype: Any) -> None:
    x = (100 * draw(*shape)).astype(dtype)
    graph = rg.compile(lambda a: rg.transpose(a, axes)).graph(rg.array(x))
    program = NativeProgram(graph, poison=True)
    np.testing.assert_array_equal(program.run([x])[0], x.transpose(axes))
    nest = program.schedule.kernels[0]
    assert isinstance(nest, LoopNest)
    assert plan_transposition(nest, host_target().vector_bytes) is not None

"""einsum against NumPy."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import retrograd as rg
from retrograd.ops.einsum import einsum
from tests.ops.derivatives import check_derivatives

SIZES = {"i": 2, "j": 3, "k": 4, "l": 5, "b": 2, "h": 3, "A": 2, "z": 1}

CASES = [
    "i->i",
    "ij->ji",
    "ij",
    "ji",
    "ij->",
    "ij->i",
    "ij->j",
    "ijk->ki",
    "->",
    "",
    "ii",
    "ii->i",
    "iji->j",
    "iij->ij",
    "iii->i",
    "iijj->ij",
    "ijij->",
    "ii,ii->i",
    "i,i",
    "i,i->i",
    "i,j",
    "i,j->ji",
    "ij,jk",
    "ij,jk->ki",
    "ij,kj->ik",
    "ji,jk->ik",
    "ij,ij->ij",
    "ij,ij",
    "ij,ij->i",
    "ij,ji->i",
    "ij,j->i",
    "i,ij,j",
    "ij,i->ij",
    "bij,bjk->bik",
    "bij,bkj->bik",
    "bij,jk->bik",
    "bhik,bhjk->bhij",
    "bhij,bjhk->bihk",
    "ij,kl->ijkl",
    "ij,kl->ik",
    "ij,kl->",
    "ij,jk,kl->il",
    "ij,jk,kl",
    "i,j,k->kji",
    "ij,ij,ij->ij",
    "bi,bj,bk->bijk",
    "ijk,jil,kl->li",
    "ij,jk,ki",
    "Ai,iA->A",
    "z,zi->i",
    ",ij->ij",
    ",,i",
    "i,->i",
    "ijk,k->",
    "iik,kj->ij",
    "ij,jj->i",
]


def _draw_operands(subscripts: str, dtype: Any = np.float64) -> list[Any]:
    random = np.random.default_rng(len(subscripts))
    terms = subscripts.split("->")[0].split(",")
    return [
        np.asarray(random.integers(-5, 6, [SIZES[letter] for letter in term]), dtype)
        for term in terms
    ]


@pytest.mark.parametrize("subscripts", CASES)
def test_values_and_derivatives(subscripts: str) -> None:
    for dtype in ("float64", "float32", "int32"):
        operands = _draw_operands(subscripts, dtype)
        expected = np.asarray(np.einsum(subscripts, *operands))
        result = einsum(subscripts, *operands)
        # Whole numbers: every order of summation is exact.
        np.testing.assert_array_equal(result.numpy(), expected, strict=True)
    operands = [operand * 0.3 + 0.05 for operand in _draw_operands(subscripts)]
    check_derivatives(lambda *arrays: einsum(subscripts, *arrays), *operands)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("...ij,jk->...ik", [(6, 5, 2, 3), (3, 4)]),
        ("...ij,...jk->...ik", [(5, 2, 3), (6, 1, 3, 4)]),
        ("...ij,...jk", [(5, 2, 3), (6, 5, 3, 4)]),
        ("...i,...i->...", [(1, 4), (3, 4)]),
        ("...i,...i->...", [(4,), (2, 3, 4)]),
        ("i...,i...->...i", [(2, 1, 3), (2, 4, 1)]),
        ("...,...", [(3, 1), (4,)]),
        ("...->...", [(2, 3)]),
        ("...", [(2, 3)]),
        ("...ii->...i", [(4, 3, 3)]),
        ("...i->i...", [(4, 3, 2)]),
        ("b...,j->j...b", [(2, 3, 4), (5,)]),
        ("...i,i->...", [(2,), (2,)]),
        ("...i,ij->j", [(2,), (2, 3)]),
        ("... i j , j -> ... i", [(2, 2, 3), (3,)]),
        ("...,i,...->i...", [(1, 2), (3,), (4, 1)]),
        ("...i,...->i", [(3,), ()]),
        ("i...j,j->i...", [(2, 1, 1, 3), (3,)]),
        ("ij,jk->ik", [(0, 3), (3, 2)]),
        ("ij,jk->ik", [(2, 0), (0, 3)]),
        ("ii->i", [(0, 0)]),
    ],
)
def test_ellipses_and_empty_axes(subscripts: str, shapes: list[tuple[int, ...]]) -> None:
    random = np.random.default_rng(1)
    operands = [random.normal(size=shape) for shape in shapes]
    expected = np.asarray(np.einsum(subscripts, *operands))
    result = einsum(subscripts, *operands).numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-13, strict=True)
    check_derivatives(lambda *arrays: einsum(subscripts, *arrays), *operands)


@st.composite
def _expressions(draw: Any) -> tuple[str, list[tuple[int, ...]]]:
    sizes = {letter: draw(st.integers(1, 3)) for letter in "abcdef"}
    dotted = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    terms, shapes = [], []
    for _ in range(draw(st.integers(1, 4))):
        letters = draw(st.lists(st.sampled_from("abcdef"), max_size=4))
        shape: list[int] = [sizes[letter] for letter in letters]
        term = "".join(letters)
        if draw(st.booleans()):
            place = draw(st.integers(0, len(letters)))
            used = dotted[draw(st.integers(0, len(dotted))) :]
            shape[place:place] = [size if draw(st.booleans()) else 1 for size in used]
            term = term[:place] + "..." + term[place:]
        terms.append(term)
        shapes.append(tuple(shape))
    text = ",".join(terms)
    if draw(st.booleans()):
        present = sorted(set(text) - set(".,"))
        output = draw(st.permutations(present))[: draw(st.integers(0, len(present)))]
        place = draw(st.integers(0, len(output)))
        text += "->" + "".join(output[:place]) + "..." + "".join(output[place:])
    return text, shapes


@settings(max_examples=300, deadline=None)
@given(_expressions())
def test_any_expression_is_that_of_numpy(case: tuple[str, list[tuple[int, ...]]]) -> None:
    subscripts, shapes = case
    random = np.random.default_rng(0)
    operands = [np.asarray(random.integers(-3, 4, shape), np.float64) for shape in shapes]
    if "->" in subscripts and "..." not in subscripts.split("->")[0]:
        subscripts = subscripts.replace("...", "")
    expected = np.asarray(np.einsum(subscripts, *operands))
    np.testing.assert_array_equal(einsum(subscripts, *operands).numpy(), expected, strict=True)


def test_dtypes_meet_as_elsewhere() -> None:
    floats, doubles = np.ones((2, 3), np.float32), np.ones((3, 4))
    whole = np.ones((3, 4), np.int32)
    assert einsum("ij,jk", floats, doubles).dtype == np.float64
    assert einsum("ij,jk", floats, whole).dtype == np.float32
    assert einsum("ij,", floats, 2).dtype == np.float32
    assert einsum("ij,", whole, 0.5).dtype == np.float32
    assert einsum("ij->i", whole).dtype == np.int32
    flags = np.array([[True, False], [True, True]])
    np.testing.assert_array_equal(
        einsum("ij,jk", flags, flags).numpy(), np.einsum("ij,jk", flags, flags), strict=True
    )


def test_a_chain_is_multiplied_in_the_cheap_order() -> None:
    shapes = [(64, 64), (64, 64), (64, 1)]
    graph_sizes = []

    def largest(*arrays: Any) -> Any:
        return einsum("ij,jk,kl->il", *arrays)

    from retrograd.trace import Recorder, recording

    recorder = Recorder("chain", abstract="a test")
    with recording(recorder):
        arrays = [recorder.add_input(rg.array(np.ones(shape, np.float32)).type) for shape in shapes]
        graph = recorder.finish([largest(*arrays)])
    for node in graph.nodes:
        graph_sizes.extend(output.type.size for output in node.outputs)
    assert max(graph_sizes) == 64  # never the 64 x 64 product of the two matrices


def test_compiled() -> None:
    a, b = np.ones((2, 3)), np.ones((3, 4))
    run = rg.compile(lambda a, b: einsum("ij,jk->ki", a, b), executor="numpy")
    np.testing.assert_array_equal(run(rg.array(a), rg.array(b)).numpy(), 3 * np.ones((4, 2)))


@pytest.mark.parametrize(
    ("subscripts", "shapes", "error", "words"),
    [
        (
            "ij,jk",
            [(2, 3), (4, 5)],
            "ShapeError",
            r"'j' has size 3 in operand 1 \(2, 3\) and size 4 in operand 2 \(4, 5\)",
        ),
        ("ii", [(2, 3)], "ShapeError", "'i' has size 2 .* size 3"),
        ("ij,jk", [(2, 1), (4, 5)], "ShapeError", "'j' has size 1 .* size 4"),
        ("ij", [(2, 3, 4)], "ShapeError", r"term 'ij' \(number 1 .* names 2 axes.* has 3"),
        ("ijk", [(2, 3)], "ShapeError", "names 3 axes, its operand has 2"),
        ("i...j", [(2,)], "ShapeError", "names 2 axes, its operand has 1"),
        ("...i,...i", [(2, 4), (3, 4)], "ShapeError", "axis 1 from the right of '...' has size 2"),
        ("ij->ik", [(2, 3)], "ArgumentError", "'k' of the output 'ik' is in no input"),
        ("ij->ii", [(2, 3)], "ArgumentError", "'i' occurs twice in the output"),
        ("ij,jk", [(2, 3)], "ArgumentError", "has 2 terms, received 1 operands"),
        ("i", [(2,), (2,)], "ArgumentError", "has 1 terms, received 2 operands"),
        ("i1", [(2, 3)], "ArgumentError", "cannot read the term 'i1'"),
        ("i..j", [(2, 3)], "ArgumentError", r"cannot read the term 'i\.\.j'"),
        ("......", [(2, 3)], "ArgumentError", "cannot read the term"),
        ("ij->i->j", [(2, 3)], "ArgumentError", "cannot read the term"),
        ("...i->i", [(2, 3)], "ArgumentError", "has no '...'"),
    ],
)
def test_errors(subscripts: str, shapes: list[tuple[int, ...]], error: str, words: str) -> None:
    with pytest.raises(getattr(rg.errors, error), match=words):
        einsum(subscripts, *(np.ones(shape) for shape in shapes))


def test_errors_of_arguments() -> None:
    with pytest.raises(rg.errors.ArgumentTypeError, match="must be a string"):
        einsum(np.ones(2), "i")  # type: ignore[arg-type]
    with pytest.raises(rg.errors.ArgumentError, match="at least one operand"):
        einsum("i")

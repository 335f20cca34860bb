"""Convolutions that read an image where it lies: terms in the padding are left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.codegen.lane_sums import add_lanes_of
from retrograd.ir.loops import Contraction, LoopNest
from retrograd.native import NativeProgram, get_program
from retrograd.passes import unpadded
from tests.native.helpers import check, with_gradients
from tests.native.terms import check_terms, compile_for, draw, narrower_target
from tests.native.test_convolution import check_all, forward, settings_of

SAME = settings_of(2, padding=((1, 1), (1, 1)))

CASES: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("3x3", (2, 32, 32, 16), (3, 3, 16, 16), SAME),
    ("a row of several tiles", (2, 5, 75, 16), (3, 3, 16, 16), SAME),
    ("more rows than a chunk has terms", (2, 4, 1100, 8), (3, 3, 8, 8), SAME),
    ("narrow", (3, 5, 9, 8), (3, 3, 8, 40), SAME),
    ("one output channel", (2, 28, 28, 16), (3, 3, 16, 1), SAME),
    ("one input channel", (16, 28, 28, 1), (3, 3, 1, 16), SAME),
    ("odd channels", (9, 12, 13, 11), (3, 3, 11, 9), SAME),
    ("5x5 by 3", (2, 20, 21, 8), (5, 3, 8, 8), settings_of(2, padding=((2, 2), (1, 1)))),
    ("one side", (2, 20, 21, 8), (3, 3, 8, 8), settings_of(2, padding=((2, 0), (0, 1)))),
    ("columns alone", (2, 20, 21, 8), (3, 3, 8, 8), settings_of(2, padding=((0, 0), (1, 1)))),
    ("cut on one side", (2, 20, 21, 8), (3, 3, 8, 8), settings_of(2, padding=((1, 1), (1, -3)))),
    ("outputs without terms", (2, 12, 12, 8), (3, 3, 8, 8),
     settings_of(2, padding=((5, 5), (4, 4)))),
    ("stride", (2, 21, 21, 8), (3, 3, 8, 16), settings_of(2, stride=(2, 2), padding=((1, 1),) * 2)),
    ("dilation", (2, 20, 20, 8), (3, 3, 8, 8),
     settings_of(2, kernel_dilation=(2, 2), padding=((2, 2), (2, 2)))),
    ("rank 1", (2, 50, 8), (3, 8, 16), settings_of(1, padding=((1, 1),))),
    ("rank 3", (2, 6, 7, 12, 8), (3, 3, 3, 8, 8), settings_of(3, padding=((1, 1),) * 3)),
    ("large kernel", (2, 20, 20, 8), (9, 9, 8, 8), settings_of(2, padding=((4, 4), (4, 4)))),
]  # fmt: skip


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small images, too."""
    monkeypatch.setattr(unpadded, "LARGE", 0)
    monkeypatch.setattr(unpadded, "MOST_WORK", 1 << 20)


def find_guards(function: Any, *arrays: Any) -> list[Any]:
    """The guards of all contractions; there is no copy with zeros around."""
    graph = rg.compile(function, executor="native").graph(*map(rg.array, arrays))
    kernels = get_program(graph).schedule.kernels
    contractions = [kernel for kernel in kernels if isinstance(kernel, Contraction)]
    if any(c.a.guards or c.b.guards for c in contractions):
        nests = [kernel for kernel in kernels if isinstance(kernel, LoopNest)]
        assert not any(e.access.guards for n in nests for e in n.expressions if e.access)
    return [guard for c in contractions for guard in (*c.a.guards, *c.b.guards)]


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name, x, w, parameters", CASES, ids=lambda v: v if type(v) is str else "")
def test_forward_and_gradients(name: str, x: Any, w: Any, parameters: Any, dtype: Any) -> None:
    check_all(draw(*x, dtype=dtype), draw(*w, dtype=dtype, seed=1), parameters)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name, x, w, parameters", CASES, ids=lambda v: v if type(v) is str else "")
def test_with_fewer_and_narrower_registers(name: str, x: Any, w: Any, parameters: Any) -> None:
    target = narrower_target()
    if target is None:
        pytest.skip("this machine has no AVX2")
    with compile_for(target):
        check_all(draw(*x), draw(*w, seed=1), parameters)


@pytest.mark.usefixtures("always")
def test_what_follows_is_an_epilogue() -> None:
    """Also one that is written over what it reads, which must not be done twice."""
    x, w, y = draw(2, 9, 21, 16), draw(3, 3, 16, 16, seed=1), draw(2, 9, 21, 16, seed=2)
    bias = draw(16, seed=3)
    convolve = forward(SAME)
    check_terms(lambda x, w, y, b: rg.maximum(convolve(x, w) + b, 0.0) * y, [x, w, y, bias])

    def step(x: Any, w: Any, y: Any) -> Any:
        return y + convolve(x, w)

    assert len(find_guards(step, x, w, y)) == 2
    wanted = np.asarray(rg.compile(step, executor="numpy")(*map(rg.array, (x, w, y))))
    found = np.asarray(rg.compile(step, executor="native")(*map(rg.array, (x, w, y))))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("shape", [(8, 32, 32, 16), (7, 33, 30, 16)])
def test_threads_change_no_bits(shape: tuple[int, ...]) -> None:
    x, w, g = draw(*shape), draw(3, 3, 16, 16, seed=1), draw(*shape, seed=2)
    convolve = forward(SAME)

    def gradients(x: Any, w: Any, g: Any) -> Any:
        return rg.vjp(convolve, x, w)[1](g)

    graph = rg.compile(gradients).graph(*map(rg.array, (x, w, g)))
    found = []
    for threads in (1, 2, 3):
        program = NativeProgram(graph, poison=True)
        assert program.shared
        program.threads = threads
        found.append(program.run([x, w, g]))
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            assert one.tobytes() == other.tobytes()


def test_large_images_alone() -> None:
    """Small ones are copied with zeros around, large ones are not."""
    w = draw(3, 3, 16, 16)
    assert not find_guards(forward(SAME), draw(2, 32, 32, 16), w)
    assert len(find_guards(forward(SAME), draw(16, 32, 32, 16), w)) == 2


class Vectors:
    """Carries out what is emitted."""

    def __init__(self, rows: list[np.ndarray[Any, Any]]) -> None:
        self.values = {f"%x{n}": row for n, row in enumerate(rows)}

    def emit(self, text: str) -> str:
        words = text.replace("<", " ").replace(">", " ").replace(",", " ").split()
        names = [word for word in words if word.startswith("%") or word == "poison"]
        one = self.values[names[0]]
        other = self.values.get(names[1], np.full_like(one, np.nan))
        if words[0] == "fadd":
            value = one + other
        else:
            numbers = text.rsplit("<", 1)[1].strip(">").replace("i32", "").split(",")
            value = np.concatenate([one, other])[[int(number) for number in numbers]]
        self.values[f"%v{len(self.values)}"] = value
        return f"%v{len(self.values) - 1}"


@pytest.mark.parametrize("lanes, size", [(16, 4), (8, 4), (4, 4), (2, 4), (8, 8), (4, 8), (2, 8)])
def test_sums_of_lanes_side_by_side(lanes: int, size: int) -> None:
    """They have the bits of the tree of halves."""
    for count in range(1, lanes + 1):
        rows = list(draw(count, lanes, seed=count))
        vectors: Any = Vectors(rows)
        name = add_lanes_of(vectors, "float", [f"%x{n}" for n in range(count)], lanes, size)
        for row, found in zip(rows, vectors.values[name], strict=False):
            while len(row) > 1:
                row = row[: len(row) // 2] + row[len(row) // 2 :]
            assert found == row[0]


def count_fills(function: Any, *arrays: Any) -> tuple[int, int]:
    """Kernels that write zeros alone, and contractions with guards."""
    graph = rg.compile(function, executor="native").graph(*map(rg.array, arrays))
    kernels = get_program(graph).schedule.kernels
    nests = [kernel for kernel in kernels if isinstance(kernel, LoopNest)]
    fills = sum(all(e.kind == "constant" for e in nest.expressions) for nest in nests)
    return fills, sum(isinstance(k, Contraction) and bool(k.a.guards) for k in kernels)


def test_values_between_convolutions_get_no_zeros_around() -> None:
    def chain(x: Any, w: Any) -> Any:
        return rg.conv(rg.maximum(rg.conv(x, w, padding=1), 0), w, padding=1)

    large = draw(8, 32, 32, 16), draw(3, 3, 16, 16)
    assert count_fills(chain, *large) == (0, 2)
    check_terms_of_gradients(chain, *large)
    small = draw(2, 8, 8, 16), draw(3, 3, 16, 16)
    fills, guarded = count_fills(chain, *small)
    assert fills and not guarded


def test_what_another_convolution_wants_with_zeros_gets_them() -> None:
    """The second one has groups, which are not read without."""

    def both(x: Any, w: Any, v: Any) -> Any:
        hidden = rg.maximum(x, 0)
        return rg.conv(hidden, w, padding=1) + rg.conv(hidden, v, padding=1, groups=16)

    arrays = draw(8, 32, 32, 16), draw(3, 3, 16, 16), draw(3, 3, 1, 16)
    fills, guarded = count_fills(both, *arrays)
    assert fills and not guarded
    check_terms_of_gradients(both, *arrays)


def check_terms_of_gradients(function: Any, *arrays: Any) -> None:
    check(with_gradients(function), list(arrays), 800.0)

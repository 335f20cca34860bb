"""Contractions over many terms in parts: right, shared by threads, the same bits on any number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from retrograd import config
from retrograd.codegen.pieces import cut
from retrograd.codegen.program import ProgramWriter
from retrograd.ir.loops import Contraction
from retrograd.native import NativeProgram
from retrograd.ops.convolution import conv_p
from retrograd.passes.split_contractions import MOST_PARTS
from retrograd.trace import bind
from tests.native.helpers import NumpyArray, same_bits, trace
from tests.native.terms import check_terms

PARAMETERS: dict[str, Any] = {
    "stride": (1, 1),
    "padding": ((1, 1), (1, 1)),
    "input_dilation": (1, 1),
    "kernel_dilation": (1, 1),
    "feature_groups": 1,
    "batch_groups": 1,
}
CASES: dict[str, tuple[tuple[int, ...], int, dict[str, Any], list[int]]] = {
    # The image, output channels, other parameters, and images in each part.
    "one channel": ((64, 28, 28, 1), 16, {}, [4] * 16),
    "half the batch": ((32, 28, 28, 1), 16, {}, [4] * 8),
    "an odd batch": ((45, 28, 28, 1), 16, {}, [4] * 11 + [1]),
    "three channels": ((17, 32, 32, 3), 16, {}, [2] * 8 + [1]),
    "read in place": ((20, 32, 32, 16), 16, {}, [2] * 10),
    "stride": ((46, 32, 32, 4), 8, {"stride": (2, 2)}, [8] * 5 + [6]),
    "large batch": ((640, 8, 8, 2), 8, {"padding": ((0, 0), (0, 0))}, [64] * 10),
    "depthwise": ((8, 32, 32, 32), 32, {"feature_groups": 32}, [2] * 4),
    "too few terms": ((9, 16, 16, 8), 8, {}, []),
    "too little work": ((16, 28, 28, 1), 2, {}, []),
}


def gradient(parameters: dict[str, Any]) -> Callable[..., Any]:
    """By the kernel."""

    def function(x: Any, w: Any, g: Any) -> Any:
        return conv_p.backward(((x, w), ()), [g], (False, True), **parameters)[1]

    return function


def make(name: str) -> tuple[Callable[..., Any], list[NumpyArray]]:
    shape, features, given, _ = CASES[name]
    parameters = PARAMETERS | given
    random = np.random.default_rng(0)
    channels = shape[-1] // parameters["feature_groups"]
    x = random.normal(size=shape).astype(np.float32)
    w = np.zeros((3, 3, channels, features), np.float32)
    out = trace(lambda x, w: bind(conv_p, x, w, **parameters)[0], [x, w]).outputs[0]
    g = random.normal(size=out.type.shape).astype(np.float32)
    return gradient(parameters), [x, w, g]


def list_parts(graph: Any) -> list[int]:
    """How many elements of the axis that is cut each part has."""
    whole = NativeProgram(graph, without=["split_contractions"]).schedule.kernels
    (before,) = (kernel for kernel in whole if isinstance(kernel, Contraction))
    after = [
        kernel
        for kernel in NativeProgram(graph).schedule.kernels
        if isinstance(kernel, Contraction)
    ]
    if len(after[0].extents) == len(before.extents):
        return []
    count = after[0].extents[0]
    sizes = [n for n, reduced in zip(after[0].extents, after[0].reduced) if reduced]
    if len(after) == 1:
        return [sizes[0]] * count
    rest = [n for n, reduced in zip(after[1].extents, after[1].reduced) if reduced]
    return [sizes[0]] * count + [rest[0]]


@pytest.mark.parametrize("name", CASES)
def test_gradients_by_the_kernel(name: str) -> None:
    function, arrays = make(name)
    assert list_parts(trace(function, arrays)) == CASES[name][3]
    check_terms(function, arrays)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    def choose(count: int) -> None:
        monkeypatch.setenv("RETROGRAD_THREADS", str(count))
        config.get_config.cache_clear()

    yield choose
    monkeypatch.undo()
    config.get_config.cache_clear()


@pytest.mark.parametrize("name", ["one channel", "an odd batch", "read in place", "depthwise"])
def test_threads_share_it_without_changing_bits(name: str, threads: Callable[[int], None]) -> None:
    function, arrays = make(name)
    found = []
    for count in (1, 2, 3, 4):
        threads(count)
        program = NativeProgram(trace(function, arrays))
        assert program.shared
        first = next(k for k in program.schedule.kernels if isinstance(k, Contraction))
        pieces = cut(first)
        assert pieces is not None and pieces.axis == 0
        found += program.run(arrays) + program.run(arrays)
    assert all(same_bits(found[0], other) for other in found[1:])


def test_batches_of_whole_parts_share_the_machine_code() -> None:
    random, names = np.random.default_rng(0), []
    for batch in (4 * MOST_PARTS, 32, 24):
        x, g = (random.normal(size=(batch, 28, 28, n)).astype(np.float32) for n in (1, 16))
        w = np.zeros((3, 3, 1, 16), np.float32)
        program = NativeProgram(trace(gradient(PARAMETERS), [x, w, g]))
        writer = ProgramWriter(program.schedule, program.plan.places, program.target)
        forms = writer.kernels.items()
        names.append([name for name, form in forms if isinstance(form.kernel, Contraction)])
    assert names[0] == names[1] == names[2] and len(names[0]) == 1

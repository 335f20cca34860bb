"""Single kernels in retrograd: machine code on fixed memory. Packing and padding count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import retrograd as rg
from retrograd.native import get_program
from retrograd.ops.convolution import conv_p
from retrograd.report.profile import Copies
from retrograd.trace import bind

from .kernel_cases import CASES, Case
from .protocol import Kernels, serve_kernels
from .side_retrograd import describe_retrograd

NumpyArray = np.ndarray[Any, Any]


def draw(*shape: int, dtype: Any = np.float32) -> NumpyArray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32).astype(dtype)


def describe_convolution(case: Case) -> tuple[dict[str, Any], NumpyArray, NumpyArray, NumpyArray]:
    """The parameters of the primitive, the image, the weights and the cotangent of the result."""
    batch, size, inner, outer, kernel, stride, groups = case.sizes
    side = (kernel - 1) // 2
    settings = {
        "stride": (stride, stride),
        "padding": ((side, side), (side, side)),
        "input_dilation": (1, 1),
        "kernel_dilation": (1, 1),
        "feature_groups": groups,
        "batch_groups": 1,
    }
    places = (size + 2 * side - kernel) // stride + 1
    x, w = draw(batch, size, size, inner), draw(kernel, kernel, inner // groups, outer)
    return settings, x, w, draw(batch, places, places, outer)


def make_function(case: Case) -> tuple[Callable[..., Any], Sequence[NumpyArray]]:
    """What is compiled, and its arguments."""
    if case.kind in ("matmul", "batched"):
        *count, rows, columns, terms = case.sizes
        dtype = np.float64 if case.wide else np.float32
        a = draw(*count, *((terms, rows) if case.left else (rows, terms)), dtype=dtype)
        b = draw(*count, *((columns, terms) if case.right else (terms, columns)), dtype=dtype)

        def multiply(x: Any, y: Any) -> Any:
            x = x.swapaxes(-1, -2) if case.left else x
            return x @ (y.swapaxes(-1, -2) if case.right else y)

        return multiply, (a, b)
    if case.kind == "chain":
        return lambda x, y: rg.maximum(x * y + x, 0.0) * 0.5, (draw(*case.sizes),) * 2
    if case.kind == "gate":
        return lambda x, y: rg.sigmoid(x) * y, (draw(*case.sizes),) * 2
    if case.kind == "adam":
        return update_adam, (draw(*case.sizes),) * 3 + (abs(draw(*case.sizes)),)
    settings, x, w, g = describe_convolution(case)
    if case.kind == "forward":
        return lambda x, w: bind(conv_p, x, w, **settings)[0], (x, w)
    needed = (case.kind == "input", case.kind == "kernel")

    def differentiate(x: Any, w: Any, g: Any) -> Any:
        return conv_p.backward(((x, w), ()), [g], needed, **settings)[needed.index(True)]

    return differentiate, (x, w, g)


def update_adam(gradient: Any, parameter: Any, mean: Any, square: Any) -> Any:
    """One step of Adam, with the corrections of its tenth step."""
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient * gradient
    root = rg.sqrt(square) * (1.0 / (1.0 - 0.999**10) ** 0.5) + 1e-8
    return parameter - 1e-3 / (1.0 - 0.9**10) * mean / root, mean, square


class OwnKernels(Kernels):
    """Kernels compiled by retrograd."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.threads = settings["threads"]

    def prepare(self) -> dict[str, Any]:
        return describe_retrograd(rg)

    def load(self, name: str) -> list[Callable[[], Any]]:
        case = CASES[name]
        function, arrays = make_function(case)
        compiled = rg.compile(lambda *values: function(*values), executor="native")
        program = get_program(compiled.graph(*map(rg.array, arrays))).duplicate()
        program.threads = self.threads
        # The three results of Adam are written over what they replace.
        replaced = {0: 1, 1: 2, 2: 3} if case.kind == "adam" else {}
        copies = Copies(program, arrays, replaced, inside=True)
        return [copies.run]


if __name__ == "__main__":
    serve_kernels(OwnKernels)

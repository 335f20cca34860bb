"""Single kernels in NumPy: matrix products of its BLAS, and elementwise work in place."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.kernel_cases import CASES
from benchmarks.protocol import Kernels, serve_kernels


def draw(*shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32).astype(dtype)


class NumpyKernels(Kernels):
    """NumPy; the number of threads of its BLAS comes with the environment."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def prepare(self) -> dict[str, Any]:
        return {"versions": {"python": platform.python_version(), "numpy": np.__version__}}

    def load(self, name: str) -> list[Callable[[], Any]]:
        case = CASES[name]
        if case.kind in ("matmul", "batched"):
            *count, rows, columns, terms = case.sizes
            dtype = np.float64 if case.wide else np.float32
            a = draw(*count, *((terms, rows) if case.left else (rows, terms)), dtype=dtype)
            b = draw(*count, *((columns, terms) if case.right else (terms, columns)), dtype=dtype)
            a = a.swapaxes(-1, -2) if case.left else a
            b = b.swapaxes(-1, -2) if case.right else b
            out = np.empty((*count, rows, columns), dtype)
            return [lambda: np.matmul(a, b, out=out)]
        if case.kind not in ("chain", "gate", "adam"):
            return []  # NumPy has no convolution
        x, y = draw(*case.sizes), draw(*case.sizes)
        out, more = np.empty_like(x), np.empty_like(x)
        if case.kind == "chain":

            def run_chain() -> None:
                np.multiply(x, y, out=out)
                np.add(out, x, out=out)
                np.maximum(out, 0.0, out=out)
                np.multiply(out, 0.5, out=out)

            return [run_chain]
        if case.kind == "gate":

            def run_gate() -> None:
                np.negative(x, out=out)
                np.exp(out, out=out)
                np.add(out, 1.0, out=out)
                np.divide(y, out, out=out)

            return [run_gate]
        mean, square = np.zeros_like(x), np.zeros_like(x)

        def run_adam() -> None:
            np.multiply(mean, 0.9, out=mean)
            np.multiply(y, 0.1, out=out)
            np.add(mean, out, out=mean)
            np.multiply(square, 0.999, out=square)
            np.multiply(y, y, out=out)
            np.multiply(out, 0.001, out=out)
            np.add(square, out, out=square)
            np.sqrt(square, out=out)
            np.add(out, 1e-8, out=out)
            np.divide(mean, out, out=more)
            np.multiply(more, 1e-3, out=more)
            np.subtract(x, more, out=x)

        return [run_adam]


if __name__ == "__main__":
    serve_kernels(NumpyKernels)

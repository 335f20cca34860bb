"""Single kernels in PyTorch: the best of its forms (channels_last or not, written out or fused)."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from benchmarks.kernel_cases import CASES, Case
from benchmarks.protocol import Kernels, serve_kernels


class TorchKernels(Kernels):
    """PyTorch on tensors in memory, without gradients but those that are asked for."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def prepare(self) -> dict[str, Any]:
        torch.set_num_threads(self.settings["threads"])
        torch.set_grad_enabled(False)
        return {"versions": {"python": platform.python_version(), "torch": torch.__version__}}

    def load(self, name: str) -> list[Callable[[], Any]]:
        case = CASES[name]
        if case.kind in ("matmul", "batched"):
            return [load_product(case)]
        if case.kind in ("chain", "gate"):
            return load_chain(case)
        if case.kind == "adam":
            return [load_adam(case)]
        return [load_convolution(case, last) for last in (True, False)]


def load_product(case: Case) -> Callable[[], Any]:
    *count, rows, columns, terms = case.sizes
    dtype = torch.float64 if case.wide else torch.float32
    a = torch.randn(*count, *((terms, rows) if case.left else (rows, terms)), dtype=dtype)
    b = torch.randn(*count, *((columns, terms) if case.right else (terms, columns)), dtype=dtype)
    a = a.transpose(-1, -2) if case.left else a
    b = b.transpose(-1, -2) if case.right else b
    out = torch.empty(*count, rows, columns, dtype=dtype)
    return lambda: torch.matmul(a, b, out=out)


def load_chain(case: Case) -> list[Callable[[], Any]]:
    x, y = torch.randn(*case.sizes), torch.randn(*case.sizes)
    out = torch.empty_like(x)
    if case.kind == "gate":

        def run_gate() -> None:
            torch.sigmoid(x, out=out)
            out.mul_(y)

        return [run_gate]

    def run_chain() -> None:
        torch.mul(x, y, out=out)
        out.add_(x).clamp_(min=0.0).mul_(0.5)

    def run_fused() -> None:
        torch.addcmul(x, x, y, out=out)
        out.clamp_(min=0.0).mul_(0.5)

    return [run_chain, run_fused]


def load_adam(case: Case) -> Callable[[], Any]:
    parameter = torch.nn.Parameter(torch.randn(*case.sizes))
    parameter.grad = torch.randn(*case.sizes)
    return torch.optim.Adam([parameter], 1e-3, fused=True).step


def load_convolution(case: Case, channels_last: bool) -> Callable[[], Any]:
    batch, size, inner, outer, kernel, stride, groups = case.sizes
    side = (kernel - 1) // 2
    places = (size + 2 * side - kernel) // stride + 1
    x = torch.randn(batch, inner, size, size)
    w = torch.randn(outer, inner // groups, kernel, kernel)
    g = torch.randn(batch, outer, places, places)
    if channels_last:
        x, w, g = (t.contiguous(memory_format=torch.channels_last) for t in (x, w, g))
    if case.kind == "forward":
        return lambda: functional.conv2d(x, w, None, stride, side, 1, groups)
    needed = [case.kind == "input", case.kind == "kernel", False]
    return lambda: torch.ops.aten.convolution_backward(
        g, x, w, None, [stride] * 2, [side] * 2, [1, 1], False, [0, 0], groups, needed
    )


if __name__ == "__main__":
    serve_kernels(TorchKernels)

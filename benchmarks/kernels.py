"""Single contraction kernels against the limits of this machine.

    python benchmarks/kernels.py [--only TEXT] [--rounds N] [--numpy] [--json FILE]

Each round measures the FMA peak (multiply-adds between registers, on one core) and then every
kernel once; a kernel's share is the median over the rounds of its speed by the peak of the same
round, so that a busy machine spoils a round and not the result. The clock is the processor time of
this thread (all runs on one core). Packing and padding count; the call from Python does not: the
time of a program that does nothing with the same inputs is subtracted. The result stays in the
program's memory, as in a training step.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import retrograd as rg
from retrograd.native import NativeProgram
from retrograd.ops.convolution import conv_p
from retrograd.report.limits import Peak
from retrograd.runtime.target import host_target
from retrograd.trace import bind

NumpyArray = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """One kernel: its name, the function that is compiled, the inputs and its arithmetic."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[NumpyArray, ...]
    operations: float
    numpy: Callable[..., Any] | None = None


# -- cases ----------------------------------------------------------------------------------------


def draw(*shape: int, dtype: Any = np.float32) -> NumpyArray:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def corner(result: Any) -> Any:
    """One element, so that the result itself stays in the program's memory."""
    return result[(slice(0, 1),) * result.ndim]


def matmul(
    rows: int, columns: int, terms: int, left: bool = False, right: bool = False, wide: bool = False
) -> Case:
    """`left` and `right` say which operand is transposed."""
    dtype = np.float64 if wide else np.float32
    a = draw(*((terms, rows) if left else (rows, terms)), dtype=dtype)
    b = draw(*((columns, terms) if right else (terms, columns)), dtype=dtype)

    def multiply(x: Any, y: Any) -> Any:
        return (x.T if left else x) @ (y.T if right else y)

    name = f"matmul {rows}x{columns}x{terms}" + " A^T" * left + " B^T" * right
    name += " float64" * wide
    return Case(
        name, lambda x, y: corner(multiply(x, y)), (a, b), 2.0 * rows * columns * terms, multiply
    )


def batched(count: int, rows: int, columns: int, terms: int, right: bool = False) -> Case:
    a, b = draw(count, rows, terms), draw(count, *((columns, terms) if right else (terms, columns)))

    def multiply(x: Any, y: Any) -> Any:
        return x @ (y.swapaxes(1, 2) if right else y)

    def compiled(x: Any, y: Any) -> Any:
        return corner(x @ (rg.transpose(y, (0, 2, 1)) if right else y))

    name = f"batched {count} x {rows}x{columns}x{terms}" + " B^T" * right
    return Case(name, compiled, (a, b), 2.0 * count * rows * columns * terms, multiply)


def convolutions(
    batch: int, size: int, inner: int, outer: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> list[Case]:
    """Forward and both gradients of one convolution that keeps the size (but for the stride)."""
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
    x = draw(batch, size, size, inner)
    w = draw(kernel, kernel, inner // groups, outer)
    g = draw(batch, places, places, outer)
    operations = 2.0 * batch * places**2 * kernel**2 * (inner // groups) * outer

    def gradient(*needed: bool) -> Callable[..., Any]:
        def compute(x: Any, w: Any, g: Any) -> Any:
            results = conv_p.backward(((x, w), ()), [g], needed, **settings)
            return corner(results[needed.index(True)])

        return compute

    name = f"conv {kernel}x{kernel} {inner}->{outer} {size}x{size} batch {batch}"
    name += (f" stride {stride}" if stride > 1 else "") + (f" groups {groups}" * (groups > 1))
    forward = lambda x, w: corner(bind(conv_p, x, w, **settings)[0])  # noqa: E731
    return [
        Case(f"{name} forward", forward, (x, w), operations),
        Case(f"{name} by input", gradient(True, False), (x, w, g), operations),
        Case(f"{name} by kernel", gradient(False, True), (x, w, g), operations),
    ]


def list_cases() -> list[Case]:
    cases = [matmul(n, n, n) for n in (512, 1000, 1024, 1536, 2048)]
    cases += [
        matmul(1024, 1024, 1024, left=True),
        matmul(1024, 1024, 1024, right=True),
        matmul(512, 512, 512, wide=True),
        matmul(128, 256, 784),
        matmul(784, 256, 128, left=True),
        matmul(252, 256, 128),
        matmul(128, 128, 256),
        matmul(128, 256, 128, right=True),
        matmul(256, 128, 128, left=True),
        matmul(128, 10, 128),
        matmul(128, 10, 128, left=True),
        matmul(256, 2048, 1024),
        matmul(256, 2048, 2048),
        matmul(256, 2048, 2048, right=True),
        matmul(2048, 2048, 256, left=True),
        matmul(1, 1024, 1024),
        matmul(1024, 1, 1024),
        batched(256, 64, 64, 32, right=True),
        batched(256, 64, 32, 64),
    ]
    for arguments in ((64, 32, 16, 16), (64, 16, 32, 32), (64, 8, 64, 64), (64, 28, 1, 16)):
        cases += convolutions(*arguments)
    cases += convolutions(64, 14, 16, 32)
    cases += convolutions(64, 32, 16, 32, stride=2)
    cases += convolutions(64, 32, 16, 32, kernel=1, stride=2)
    cases += convolutions(16, 32, 64, 64, groups=64)
    cases += convolutions(16, 56, 64, 64)
    return cases


# -- limits ---------------------------------------------------------------------------------------


def measure_bandwidth() -> float:
    """GB/s of a copy that does not fit in the caches (reads and writes)."""
    source, target = np.ones(1 << 25, np.float32), np.empty(1 << 25, np.float32)
    best = float("inf")
    for _ in range(5):
        begin = time.thread_time()
        np.copyto(target, source)
        best = min(best, time.thread_time() - begin)
    return 2 * source.nbytes / best / 1e9


# -- measuring ------------------------------------------------------------------------------------


class Prepared:
    """A compiled case that can be run again and again on the same memory."""

    def __init__(self, case: Case, compare: bool) -> None:
        self.case = case
        graph = rg.compile(lambda *values: case.function(*values)).graph(
            *map(rg.array, case.inputs)
        )
        begin = time.perf_counter()
        self.program = NativeProgram(graph)
        self.compile_time = time.perf_counter() - begin
        nothing = rg.compile(lambda *values: corner(values[0]))
        self.nothing = NativeProgram(nothing.graph(*map(rg.array, case.inputs)))
        self.compare = compare and case.numpy is not None
        self.speeds: list[float] = []
        self.shares: list[float] = []
        self.numpy_speeds: list[float] = []
        once = self._time(lambda: self.program.run(case.inputs), 1)
        self.repeats = max(3, min(200, int(0.02 / max(once, 1e-6))))

    def _time(self, run: Callable[[], Any], repeats: int) -> float:
        best = float("inf")
        for _ in range(repeats):
            begin = time.thread_time()
            run()
            best = min(best, time.thread_time() - begin)
        return best

    def measure(self, peak: float) -> None:
        taken = self._time(lambda: self.program.run(self.case.inputs), self.repeats)
        taken -= self._time(lambda: self.nothing.run(self.case.inputs), self.repeats)
        self.speeds.append(self.case.operations / taken / 1e9)
        width = self.case.inputs[0].itemsize
        self.shares.append(self.speeds[-1] / (peak * 4 / width))
        if self.compare:
            taken = self._time(lambda: self.case.numpy(*self.case.inputs), self.repeats)  # type: ignore[misc]
            self.numpy_speeds.append(self.case.operations / taken / 1e9)

    def summary(self) -> dict[str, Any]:
        result: dict[str, Any] = {
            "name": self.case.name,
            "gflops": statistics.median(self.speeds),
            "share": statistics.median(self.shares),
            "compile_ms": 1e3 * self.compile_time,
            "llvm_ms": 1e3 * self.program.times.llvm,
            "kernels": len(self.program.schedule.kernels),
            "callbacks": len(self.program.callbacks),
        }
        if self.numpy_speeds:
            result["numpy_gflops"] = statistics.median(self.numpy_speeds)
        return result


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--numpy", action="store_true", help="measure NumPy's matmul too")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args(arguments)
    target = host_target()
    peak_of_core = Peak()
    prepared = [Prepared(c, options.numpy) for c in list_cases() if options.only in c.name]
    peaks = []
    for _ in range(options.rounds):
        for item in prepared:
            peaks.append(peak_of_core.measure() / 1e9)
            item.measure(peaks[-1])
    peak, bandwidth = max(peaks, default=peak_of_core.measure() / 1e9), measure_bandwidth()
    print(f"{target.cpu}, {8 * target.vector_bytes} bits, {platform.platform()}")
    print(f"one core: FMA peak {peak:.0f} GFLOP/s in float32; copying {bandwidth:.0f} GB/s")
    results = [item.summary() for item in prepared]
    for result in results:
        line = f"{result['name']:52} {result['gflops']:7.1f} GFLOP/s {100 * result['share']:5.1f} %"
        line += f"  compile {result['compile_ms']:5.1f} ms, {result['kernels']} kernels"
        if result["callbacks"]:
            line += f", {result['callbacks']} in NumPy"
        if "numpy_gflops" in result:
            line += f"  NumPy {result['numpy_gflops']:.0f}"
        print(line)
    if options.json:
        machine = {"cpu": target.cpu, "vector_bits": 8 * target.vector_bytes, "peak": peak}
        machine |= {"bandwidth": bandwidth, "platform": platform.platform()}
        machine |= {"python": platform.python_version(), "numpy": np.__version__}
        options.json.write_text(json.dumps({"machine": machine, "kernels": results}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

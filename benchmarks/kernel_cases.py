"""Single kernels: their sizes and arithmetic. Nothing but Python's own library is imported here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LARGE = 1 << 24
"""Elements of an array that lies in memory and in no cache."""


STREAMS = {"chain": (2, 0, 1), "gate": (2, 0, 1), "adam": (1, 3, 0)}
"""How many arrays a kernel that memory bounds only reads, updates in place, and only writes."""


@dataclass(frozen=True)
class Case:
    """One kernel.

    Args:
        name: what the report says.
        kind: "matmul", "batched", "forward", "input" or "kernel" (of a convolution: the result and
            the two gradients), "chain", "gate" or "adam".
        sizes: of a matmul (rows, columns, terms), with the number of products in front if batched;
            of a convolution (batch, size, inner, outer, kernel, stride, groups); else elements.
        flops: multiplications and additions of contractions.
        bytes: what must be read and written at the least.
        goal: the share of the limit that is wanted; None for those that are only measured.
        left, right: whether an operand of a matmul is transposed.
        wide: float64.
    """

    name: str
    kind: str
    sizes: tuple[int, ...]
    flops: float
    bytes: float
    goal: float | None = None
    left: bool = False
    right: bool = False
    wide: bool = False

    @property
    def bound(self) -> str:
        """What limits it: arithmetic for contractions, memory for all else."""
        return "FLOPs" if self.flops else "bytes"


def matmul(
    rows: int,
    columns: int,
    terms: int,
    left: bool = False,
    right: bool = False,
    wide: bool = False,
    goal: float | None = None,
) -> Case:
    name = f"matmul {rows}x{columns}x{terms}" + " A^T" * left + " B^T" * right + " float64" * wide
    size = (8 if wide else 4) * (rows * terms + terms * columns + rows * columns)
    flops = 2.0 * rows * columns * terms
    return Case(name, "matmul", (rows, columns, terms), flops, size, goal, left, right, wide)


def batched(count: int, rows: int, columns: int, terms: int, right: bool = False) -> Case:
    name = f"batched {count} x {rows}x{columns}x{terms}" + " B^T" * right
    size = 4 * count * (rows * terms + terms * columns + rows * columns)
    flops = 2.0 * count * rows * columns * terms
    return Case(name, "batched", (count, rows, columns, terms), flops, size, right=right)


def convolutions(
    batch: int,
    size: int,
    inner: int,
    outer: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    goal: float | None = None,
) -> Iterator[Case]:
    """The result and both gradients of a convolution that keeps the size (but for the stride)."""
    places = (size + 2 * ((kernel - 1) // 2) - kernel) // stride + 1
    weights = kernel**2 * (inner // groups) * outer
    flops = 2.0 * batch * places**2 * weights
    moved = 4 * (batch * size**2 * inner + weights + batch * places**2 * outer)
    name = f"conv {kernel}x{kernel} {inner}->{outer} {size}x{size} batch {batch}"
    name += f" stride {stride}" * (stride > 1) + f" groups {groups}" * (groups > 1)
    sizes = (batch, size, inner, outer, kernel, stride, groups)
    for kind, part in (("forward", "forward"), ("input", "by input"), ("kernel", "by kernel")):
        yield Case(f"{name} {part}", kind, sizes, flops, moved, goal)


def elementwise(kind: str, name: str, elements: int = LARGE) -> Case:
    read, updated, written = STREAMS[kind]
    moved = 4.0 * elements * (read + 2 * updated + written)
    return Case(name, kind, (elements,), 0.0, moved, 0.80)


def list_main_cases() -> list[Case]:
    """What is held against a goal."""
    cases = [matmul(n, n, n, goal=0.85) for n in (512, 1024, 1536, 2048)]
    for sizes in ((64, 32, 16, 16), (64, 16, 32, 32), (64, 8, 64, 64)):
        cases += convolutions(*sizes, goal=0.75)
    cases += convolutions(64, 28, 1, 16, goal=0.65)
    return [
        *cases,
        elementwise("chain", "relu(x * y + x) * 0.5, 16 M elements"),
        elementwise("gate", "sigmoid(x) * y, 16 M elements"),
        elementwise("adam", "Adam, 16 M parameters, in place"),
    ]


def list_more_cases() -> list[Case]:
    """Shapes that are harder, or smaller."""
    cases = [
        matmul(1000, 1000, 1000),
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
    cases += convolutions(64, 14, 16, 32)
    cases += convolutions(64, 32, 16, 32, stride=2)
    cases += convolutions(64, 32, 16, 32, kernel=1, stride=2)
    cases += convolutions(16, 32, 64, 64, groups=64)
    cases += convolutions(16, 56, 64, 64)
    return cases


CASES = {case.name: case for case in (*list_main_cases(), *list_more_cases())}

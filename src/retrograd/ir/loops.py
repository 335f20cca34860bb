"""What kernels compute, before any machine code: loop nests over buffers.

The passes turn a Graph into these, the code generator turns these into LLVM text. Neither knows
the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .graph import Node
from .types import DType

REDUCTIONS = ("sum", "max", "min", "prod")


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on the loop indices: `0 <= offset + sum(strides * index) < limit`."""

    offset: int
    strides: tuple[int, ...]
    limit: int


@dataclass(frozen=True, slots=True)
class Access:
    """An address in a buffer that is affine in the loop indices, counted in elements.

    Where a guard fails, a load gives zero.
    """

    buffer: int
    offset: int
    strides: tuple[int, ...]
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True)
class Expression:
    """One value at one point of the loop nest.

    Kinds: "load" (access), "gather" (access, inputs[0] times `scale` is added to the address and
    must lie in [0, limit)), "constant" (value), "index" (the loop index of an axis), or the name
    of an elementwise primitive.
    """

    kind: str
    dtype: DType
    inputs: tuple[int, ...] = ()
    access: Access | None = None
    value: Any = None


@dataclass(frozen=True, slots=True)
class Store:
    """Where a value goes; with `reduction` it is combined over the reduced axes first."""

    access: Access
    expression: int
    reduction: str | None = None


@dataclass(frozen=True, slots=True)
class LoopNest:
    """Elementwise work over an iteration space, with reductions over some of its axes.

    Args:
        extents: the size of each axis.
        reduced: whether each axis is reduced.
        expressions: in evaluation order; they refer to each other by position.
        stores: the results.
    """

    extents: tuple[int, ...]
    reduced: tuple[bool, ...]
    expressions: tuple[Expression, ...]
    stores: tuple[Store, ...]


@dataclass(frozen=True, slots=True)
class Contraction:
    """`out[o] = sum over r of a[f(o, r)] * b[g(o, r)]` with affine f and g.

    The strides are counted in elements, one for each axis of `extents`.
    """

    extents: tuple[int, ...]
    reduced: tuple[bool, ...]
    dtype: DType
    a: Access
    b: Access
    out: Access


@dataclass(frozen=True, slots=True, eq=False)
class Callback:
    """A node that runs in Python, with NumPy, in the middle of the native step."""

    node: Node
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Buffer:
    """A piece of memory.

    Args:
        dtype: of its elements.
        shape: its extents; elements lie in row-major order.
        kind: "input", "output", "constant" or "arena".
        position: which input or output it is.
        value: the array of a constant.
    """

    dtype: DType
    shape: tuple[int, ...]
    kind: str
    position: int = -1
    value: Any = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * self.dtype.itemsize


Kernel = LoopNest | Contraction | Callback


@dataclass(slots=True)
class Schedule:
    """A program as kernels in order, over numbered buffers."""

    buffers: list[Buffer] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

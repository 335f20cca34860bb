"""What kernels compute, before any machine code: loop nests over buffers.

The passes turn a Graph into these, the code generator turns these into LLVM text. Neither knows
the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .graph import Graph, Node
from .types import DType

LINE = 64
"""Bytes of a cache line; values in memory that is planned begin at one."""

AROUND = 1 << 26
"""Bytes from which on no cache is likely to hold a result."""

REDUCTIONS = ("sum", "max", "min", "prod", "argmax", "argmin", "mean", "variance")


def aligned(size: int) -> int:
    """Bytes for so many, at least one, so that what follows begins at a cache line."""
    return -(-max(size, 1) // LINE) * LINE


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

    Kinds: "load" (access), "gather" (access; `value` is (scale, limit, strict): inputs[0] times
    scale is added to the address and must lie in [0, limit); elsewhere the value is zero, and if it
    is strict the step fails), "constant" (value), "index" (the loop index
    of axis `value`), "inside" (whether all guards in `value` hold), "sum" (in an epilogue: the sum
    that the contraction gives), or the name of an elementwise primitive.
    """

    kind: str
    dtype: DType
    inputs: tuple[int, ...] = ()
    access: Access | None = None
    value: Any = None


@dataclass(frozen=True, slots=True)
class Store:
    """Where a value goes; with `reduction` it is combined over the reduced axes first.

    Args:
        access: the address.
        expression: the value.
        reduction: one of REDUCTIONS.
        position: the expression that argmax and argmin store, of the best value (the one with
            the least position among equals). For mean and variance a value near the terms, the
            same for all of them: what is summed is the distance from it.
        index: an expression that is added to the address, times `scale`; it must lie in
            [0, limit). The value is then added to what is there, in the order of the loops.
        replaces: with `index`: the value takes the place of what is there instead, and outside of
            [0, limit) nothing is stored.
        around: whether it goes around the caches, where it lies at whole lines.
    """

    access: Access
    expression: int
    reduction: str | None = None
    position: int | None = None
    index: int | None = None
    scale: int = 0
    limit: int = 0
    replaces: bool = False
    around: bool = False

    def moved(self, access: Access, place: Callable[[int], int]) -> Store:
        """The same store elsewhere, with its expressions renumbered."""
        return replace(
            self,
            access=access,
            expression=place(self.expression),
            position=None if self.position is None else place(self.position),
            index=None if self.index is None else place(self.index),
        )


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
class Epilogue:
    """Elementwise work on the sums of a contraction while they are in registers.

    Args:
        expressions: in evaluation order; loads have one stride for each axis of the contraction
            (0 for reduced ones) and no guards.
        stores: the results, all that is written; contiguous along the axis along which `out` is.
    """

    expressions: tuple[Expression, ...]
    stores: tuple[Store, ...]

    @property
    def loads(self) -> tuple[Access, ...]:
        return tuple(e.access for e in self.expressions if e.access is not None)


EPILOGUE_TERMS = 4096
"""Terms of a sum at the most, if it has an epilogue: a tile is then finished at one go."""


@dataclass(frozen=True, slots=True)
class Contraction:
    """`out[o] = sum over r of a[f(o, r)] * b[g(o, r)]` with affine f and g.

    The strides are counted in elements, one for each axis of `extents`. With a `panel`
    (axis, width), b lies in panels of so many columns along that output axis: column n is at
    `n // width * stride + n % width`. With an epilogue `out` is the place of one of its stores,
    and the sums themselves are written only if one of its stores says so. Terms where a guard of a
    or b fails are left out; a guard is about one output axis and, with step 1, one reduced axis.
    """

    extents: tuple[int, ...]
    reduced: tuple[bool, ...]
    dtype: DType
    a: Access
    b: Access
    out: Access
    panel: tuple[int, int] | None = None
    epilogue: Epilogue | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Callback:
    """A node that runs in Python, with NumPy, in the middle of the native step."""

    node: Node
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Routine:
    """Work that is neither a loop nest nor a contraction, written by hand for the generator.

    Args:
        name: which routine of the generator.
        parameters: its static parameters.
        inputs: the memory that it reads.
        outputs: the memory that it writes.
    """

    name: str
    parameters: tuple[Any, ...]
    inputs: tuple[Access, ...]
    outputs: tuple[Access, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A program inside of a program: its kernels, and their own part of the arena.

    Args:
        schedule: the kernels; every output is a buffer of its own.
        places: where the buffers lie in the workspace, in bytes.
        size: the bytes of that workspace.
    """

    schedule: Schedule
    places: dict[int, int]
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """A loop around a program: `carry, ys[t] = body(constants, carry, xs[t])`.

    Args:
        body: one step; its inputs are [constants, carry, x], its outputs [carry, y].
        length: the number of steps, at least 1.
        reverse: whether xs and ys are walked from their end.
        constants: how many inputs are the same in every step.
        carry: how many values go from step to step.
        inputs: buffers [constants, carry, xs].
        outputs: buffers [carry, ys].
        workspace: a buffer for the body's arena and two copies of the carry; one for each piece.
        pieces: how many times all steps run, each time for a part of axis 0 of what is cut; the
            body is that of one part.
        cut: the positions of the inputs that are cut; all outputs are, if there are pieces.
        condition: a buffer of one bool, and which value it must have for anything to run.
        open: the number of steps is not known: the loop goes on as long as the first carried
            value, a bool, is true. `length` is 1 then.
    """

    body: Body
    length: int
    reverse: bool
    constants: int
    carry: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    workspace: int
    pieces: int = 1
    cut: frozenset[int] = frozenset()
    condition: tuple[int, bool] | None = None
    open: bool = False

    @property
    def runs(self) -> int:
        """How often the body runs."""
        return self.length * self.pieces


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The same program at every place of a grid, in any order, by several threads.

    Args:
        body: what is done at a place.
        extents: of the grid's two axes.
        inputs: where the inputs of the body begin, affine in the place.
        outputs: where its outputs begin; different places write different elements.
        pieces: the grid is cut into so many, each of which has a workspace of its own.
        workspace: a buffer of `pieces` times the body's arena.
    """

    body: Body
    extents: tuple[int, int]
    inputs: tuple[Access, ...]
    outputs: tuple[Access, ...]
    pieces: int
    workspace: int

    @property
    def runs(self) -> int:
        """How often the body runs."""
        return math.prod(self.extents)


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


Kernel = LoopNest | Contraction | Routine | Repeat | Grid | Callback


@dataclass(slots=True)
class Schedule:
    """A program as kernels in order, over numbered buffers.

    Args:
        buffers: the memory.
        kernels: the work, in order.
        outputs: the buffers that hold the results.
        origins: the node for which a buffer was made. It says where kernels come from without
            being a part of them: equal kernels stay equal.
        graph: what the kernels compute.
        without: the names of what is left out when it is made better (`passes/pipeline.py`).
    """

    buffers: list[Buffer] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    origins: dict[int, Node] = field(default_factory=dict)
    graph: Graph | None = None
    without: frozenset[str] = frozenset()


def reads(kernel: Kernel) -> set[int]:
    """The buffers that a kernel reads."""
    if isinstance(kernel, LoopNest):
        return {e.access.buffer for e in kernel.expressions if e.access is not None}
    if isinstance(kernel, Contraction):
        loads = kernel.epilogue.loads if kernel.epilogue is not None else ()
        return {kernel.a.buffer, kernel.b.buffer, *(access.buffer for access in loads)}
    if isinstance(kernel, (Routine, Grid)):
        return {access.buffer for access in kernel.inputs}
    if isinstance(kernel, Repeat) and kernel.condition is not None:
        return {*kernel.inputs, kernel.condition[0]}
    return set(kernel.inputs)


def writes(kernel: Kernel) -> set[int]:
    """The buffers that a kernel writes."""
    if isinstance(kernel, LoopNest):
        return {store.access.buffer for store in kernel.stores}
    if isinstance(kernel, Contraction):
        if kernel.epilogue is not None:
            return {store.access.buffer for store in kernel.epilogue.stores}
        return {kernel.out.buffer}
    if isinstance(kernel, Routine):
        return {access.buffer for access in kernel.outputs}
    if isinstance(kernel, Grid):
        return {*(access.buffer for access in kernel.outputs), kernel.workspace}
    if isinstance(kernel, Repeat):
        return {*kernel.outputs, kernel.workspace}
    return set(kernel.outputs)

"""The values of a Graph while it is lowered: in memory, or computed where they are used."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir import Atom, Constant, Graph, Node, Variable
from ..ir.loops import Body, Buffer, Schedule, Store
from ..ir.types import DType
from .merging import append_nest
from .nests import IndexMap, NestBuilder, View, row_major, split_axes

FREE = {
    "transpose",
    "broadcast",
    "slice",
    "flip",
    "reshape",
    "pad",
    "cast",
    "stop_gradient",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_not",
    "logical_and",
    "logical_or",
    "negative",
}
VIEWS = {"transpose", "broadcast", "slice", "flip", "reshape"}
COSTLY = {
    "exp",
    "log",
    "log1p",
    "expm1",
    "tanh",
    "sigmoid",
    "erf",
    "sin",
    "cos",
    "power",
    "divide",
    "sqrt",
    "rsqrt",
    "gather",
    "gather_along",
    "take_rows",
}
COST_OF_COSTLY = 8
COST_TO_SHARE = 1
"""Work that is cheaper than this is repeated where it is used, rather than kept in memory."""
COST_TO_REPEAT = 7
"""Work up to this is repeated too where that moves no more memory than keeping the result."""
LARGE = 8
"""A value counts as small beside one that has so many times as many elements."""
COST_TO_CUT = 32
"""A value that takes more than this gets memory of its own, so that nests stay small."""


@dataclass(slots=True)
class Lazy:
    """A value that is computed where it is used."""

    node: Node
    cost: int
    reads: frozenset[tuple[int, int]] | None = None  # large buffers, and their sizes


Express = Callable[["Values", NestBuilder, Node, IndexMap], int]

EXPRESSIONS: dict[str, Express] = {}
"""How values of primitives that are not elementwise are read at an index, by name."""

MATERIALISERS: dict[str, Callable[[Values, Node], None]] = {}
"""How such values get into memory where that is not done by reading them at every index."""

SPLITS: dict[str, Callable[[Node], dict[int, int]]] = {}
"""Which axes of such a value are better walked as two, and the size of the inner one."""


def span_of(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """The elements from the first to the last one of a view."""
    return 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))


class Values:
    """Where every value of a Graph is, and the Schedule that grows while it is lowered."""

    def __init__(self, graph: Graph, without: frozenset[str] = frozenset()) -> None:
        self.graph = graph
        self.schedule = Schedule(graph=graph, without=without)
        self.node: Node | None = None  # what is being lowered
        self.known: dict[int, View | Lazy] = {}
        self.uses: dict[int, int] = {}
        self.constants: dict[int, View] = {}
        self.lower_inside: Callable[[Graph], Schedule]  # how Graphs inside of nodes are lowered
        self.lower_placed: Callable[..., Schedule]  # the same, with strides of inputs and outputs
        self.placed: dict[int, View] = {}  # where outputs are to be
        self.programs: dict[str, Body] = {}  # inner programs that were made, by what they do
        self.padded: dict[View, Any] = {}  # memory with zeros around, and how many, by view
        self.layouts: dict[int, Callable[[Values, Atom], View]] = {}  # memory of another form
        for node in graph.nodes:
            for atom in node.inputs:
                self.uses[id(atom)] = self.uses.get(id(atom), 0) + 1
        for atom in graph.outputs:
            self.uses[id(atom)] = self.uses.get(id(atom), 0) + 1
        for position, variable in enumerate(graph.inputs):
            buffer = Buffer(variable.type.dtype, variable.type.shape, "input", position)
            self.known[id(variable)] = self.view(self.add(buffer))

    def add(self, buffer: Buffer) -> int:
        number = len(self.schedule.buffers)
        self.schedule.buffers.append(buffer)
        if self.node is not None:
            self.schedule.origins[number] = self.node
        return number

    def view(self, number: int) -> View:
        buffer = self.schedule.buffers[number]
        return View(number, 0, row_major(buffer.shape), buffer.shape, buffer.dtype)

    def new(self, dtype: DType, shape: tuple[int, ...]) -> View:
        return self.view(self.add(Buffer(dtype, shape, "arena")))

    def constant(self, atom: Constant) -> View:
        known = self.constants.get(id(atom))
        if known is None:
            value = np.asarray(atom.value, order="C")
            number = self.add(Buffer(atom.type.dtype, atom.type.shape, "constant", value=value))
            known = self.constants[id(atom)] = self.view(number)
        return known

    def cost_of(self, atom: Atom) -> int:
        value = self.known.get(id(atom))
        return value.cost if isinstance(value, Lazy) else 0

    def later(self, node: Node) -> None:
        """Compute it where it is used, unless it is used often and costs something."""
        name = node.primitive.name
        output = node.outputs[0]
        own = 0 if name in FREE else COST_OF_COSTLY if name in COSTLY else 1
        cost = own + sum(self.cost_of(atom) for atom in node.inputs)
        if name == "broadcast" and cost and output.type.size >= LARGE * node.inputs[0].type.size:
            cost = 0
            if output.type.ndim - 1 not in node.parameters["axes"]:
                self.materialise(node.inputs[0])  # the innermost loop would compute it again
        reads = self._large_reads(node)
        self.known[id(output)] = Lazy(node, cost, reads)
        uses = self.uses.get(id(output), 0)
        shared = uses > 1 and cost > COST_TO_SHARE
        if shared and cost <= COST_TO_REPEAT and reads is not None:
            shared = len(reads) * uses > len(reads) + 1 + uses
        if cost > COST_TO_CUT or shared:
            self.materialise(output)

    def _large_reads(self, node: Node) -> frozenset[tuple[int, int]] | None:
        """The values in memory that computing a node reads, without those that are small.

        None where it reads them in a way that is not to be repeated.
        """
        if not node.primitive.elementwise and node.primitive.name not in VIEWS:
            return None
        found: set[tuple[int, int]] = set()
        for atom in node.inputs:
            if isinstance(atom, Constant) and not any(atom.value.strides):
                continue  # one number
            value = self.constant(atom) if isinstance(atom, Constant) else self.known[id(atom)]
            if isinstance(value, View):
                found.add((value.buffer, self.schedule.buffers[value.buffer].size))
            elif value.reads is None:
                return None
            else:
                found |= value.reads
        size = node.outputs[0].type.size
        return frozenset(item for item in found if item[1] * LARGE > size)

    def materialise(self, atom: Atom) -> View:
        """The value in memory, computed now if it is not there."""
        if isinstance(atom, Constant):
            return self.constant(atom)
        value = self.known[id(atom)]
        if isinstance(value, View):
            return value
        before, self.node = self.node, value.node
        view = self._compute(atom, value.node)
        self.node = before
        return view

    def _compute(self, atom: Atom, node: Node) -> View:
        """The value of a node in memory of its own."""
        special = MATERIALISERS.get(node.primitive.name)
        if special is not None:
            special(self, node)
            return self.materialise(atom)
        if id(atom) in self.layouts:
            return self.layouts[id(atom)](self, atom)
        view = self.new(atom.type.dtype, atom.type.shape)
        self.write(atom, view)
        self.known[id(atom)] = view
        return view

    def write(self, atom: Atom, target: View) -> None:
        """Compute a value into a view."""
        self.fill(
            target,
            lambda builder, index: self.express(builder, atom, index),
            splits=self.splits_of(atom),
        )

    def splits_of(self, atom: Atom) -> dict[int, int]:
        """The axes to walk as two, so that what is computed on the way finds its own index."""
        value = self.known.get(id(atom))
        if not isinstance(value, Lazy):
            return {}
        name = value.node.primitive.name
        if name in SPLITS:
            return SPLITS[name](value.node)
        found: dict[int, int] = {}
        if value.node.primitive.elementwise:
            for item in value.node.inputs:
                found = found or self.splits_of(item)
        return found

    def copy(self, source: View) -> View:
        """The elements of a view in memory of their own, in row-major order."""
        target = self.new(source.dtype, source.shape)
        self.fill(target, lambda builder, index: builder.load(source, index))
        return target

    def fill(
        self,
        target: View,
        express: Callable[[NestBuilder, IndexMap], int],
        merge: bool = True,
        splits: dict[int, int] | None = None,
    ) -> None:
        """Store an expression at every index of a view; axes in `splits` are walked as two."""
        if 0 in target.shape:
            return
        extents, index = split_axes(target.shape, splits or {})
        builder = NestBuilder(extents, [False] * len(extents))
        position = express(builder, index)
        builder.stores.append(Store(builder.access(target, index), position))
        append_nest(self.schedule, builder.build(), merge)

    def is_whole(self, view: View) -> bool:
        """Whether a view is its buffer, all of it in row-major order."""
        buffer = self.schedule.buffers[view.buffer]
        same = view.strides == row_major(view.shape) and view.offset == 0
        return same and math.prod(view.shape) == buffer.size

    def place_inputs(self, strides: Sequence[tuple[int, ...]]) -> None:
        """Say how the elements of the inputs lie."""
        for number, (variable, steps) in enumerate(zip(self.graph.inputs, strides, strict=True)):
            dtype, shape = variable.type.dtype, variable.type.shape
            span = (span_of(shape, steps),)
            self.schedule.buffers[number] = Buffer(dtype, span, "input", number)
            self.known[id(variable)] = View(number, 0, steps, shape, dtype)

    def place_outputs(self, strides: Sequence[tuple[int, ...]]) -> None:
        """Say how the elements of the outputs lie; each has a buffer of its own."""
        for atom, steps in zip(self.graph.outputs, strides, strict=True):
            dtype, shape = atom.type.dtype, atom.type.shape
            number = self.add(Buffer(dtype, (span_of(shape, steps),), "arena"))
            self.schedule.outputs.append(number)
            self.placed.setdefault(id(atom), View(number, 0, steps, shape, dtype))

    def place(self, variable: Variable) -> View:
        """Memory for a value: that of an output if it is one, and can be written in rows."""
        view = self.placed.get(id(variable))
        if view is not None and view.strides and view.strides[-1] == 1:
            if self.node is not None:
                self.schedule.origins.setdefault(view.buffer, self.node)
            return view
        return self.new(variable.type.dtype, variable.type.shape)

    def write_outputs(self, strides: Sequence[tuple[int, ...]]) -> None:
        """Bring the outputs to their places where they are not there yet."""
        for atom, number, steps in zip(
            self.graph.outputs, self.schedule.outputs, strides, strict=True
        ):
            view = View(number, 0, steps, atom.type.shape, atom.type.dtype)
            if self.known.get(id(atom)) != view:
                self.write(atom, view)

    def materialise_output(self, atom: Atom) -> int:
        """A buffer that holds an output, whole and in its shape."""
        view = self.materialise(atom)
        if self.is_whole(view) and view.shape == self.schedule.buffers[view.buffer].shape:
            return view.buffer
        return self.copy(view).buffer

    def whole(self, atom: Atom) -> int:
        """A buffer that holds a value in row-major order; its shape may be another."""
        view = self.materialise(atom)
        return view.buffer if self.is_whole(view) else self.copy(view).buffer

    def express(self, builder: NestBuilder, atom: Atom, index: IndexMap) -> int:
        """The position of the expression that gives a value at an index."""
        if isinstance(atom, Constant):
            if atom.type.size and not any(atom.value.strides):
                return builder.add("constant", atom.type.dtype, value=atom.value.flat[0].item())
            return builder.load(self.constant(atom), index)
        value = self.known[id(atom)]
        if isinstance(value, View):
            return builder.load(value, index)
        node = value.node
        name = node.primitive.name
        if name in EXPRESSIONS:
            return EXPRESSIONS[name](self, builder, node, index)
        inputs = tuple(self.express(builder, item, index) for item in node.inputs)
        return builder.add(name, node.outputs[0].type.dtype, inputs)

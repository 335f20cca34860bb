"""Kernels in words: what each computes, where in the program it comes from, what it costs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..codegen.forms import find_form
from ..codegen.kernels import normalise
from ..codegen.pieces import cut, is_shared
from ..errors import SourceLine
from ..ir import ArrayType, Node
from ..ir.loops import (
    Callback,
    Contraction,
    Epilogue,
    Grid,
    Kernel,
    LoopNest,
    Repeat,
    Schedule,
    writes,
)
from .counts import count_bytes, count_flops, find_width

SILENT = frozenset(("load", "constant", "index", "inside", "sum", "cast", "stop_gradient"))
"""Expressions that a reader does not ask for."""
CONTRACTIONS = frozenset(("dot", "conv"))
MOVES = frozenset(
    ("transpose", "broadcast", "slice", "flip", "reshape", "pad", "cast", "stop_gradient")
)


@dataclass(frozen=True, slots=True)
class KernelReport:
    """One kernel of a compiled program.

    Args:
        number: its place in the order of the kernels, those inside of loops included.
        name: of its function in the LLVM text; kernels that are the same share it.
        kind: "contraction", "loop" (a fused loop), "routine", "repeat" (a loop around kernels),
            "grid" (kernels for each batch and head of an attention) or "callback" (NumPy).
        what: the primitive of a contraction, routine or callback; "fused loop" or "copy".
        operations: the primitives that it computes, with how often each stands in it.
        shape: the shapes that go in and out, or the extents of the loops.
        paths: the modules that it computes for, as "layers.0".
        writes: the inputs of the program for which it makes new values, as "layers.0.weight".
        source: the user's line.
        depth: 0; 1 and more for kernels inside of loops.
        when: "" if it always runs; "each iteration" in a while_loop, whose steps are not known;
            "if true" or "if false" in a branch of cond, of which either runs. All that holds, with
            commas.
        runs: how often it runs in one run of the program, or in one iteration.
        flops: floating-point operations of all these runs.
        bytes: what all these runs must move.
        width: bytes of the numbers that it computes with.
    """

    number: int
    name: str
    kind: str
    what: str
    operations: tuple[tuple[str, int], ...]
    shape: str
    paths: tuple[str, ...]
    writes: tuple[str, ...]
    source: SourceLine | None
    depth: int
    when: str
    runs: int
    flops: int
    bytes: int
    width: int

    @property
    def operations_text(self) -> str:
        """The primitives as text: `add, multiply x3`."""
        return ", ".join(
            name if times == 1 else f"{name} x{times}" for name, times in self.operations
        )

    @property
    def place(self) -> str:
        """Where it comes from: modules, else the user's line."""
        if self.paths:
            return ", ".join(self.paths)
        if self.source is not None:
            return f"{os.path.basename(self.source.file)}:{self.source.line}"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON would have it."""
        line = None
        if self.source is not None:
            line = {"file": self.source.file, "line": self.source.line}
            line |= {"function": self.source.function, "text": self.source.text()}
        return {
            "number": self.number,
            "name": self.name,
            "kind": self.kind,
            "what": self.what,
            "operations": dict(self.operations),
            "shape": self.shape,
            "paths": list(self.paths),
            "writes": list(self.writes),
            "source": line,
            "depth": self.depth,
            "when": self.when,
            "runs": self.runs,
            "flops": self.flops,
            "bytes": self.bytes,
        }


def walk_kernels(schedule: Schedule) -> Iterator[tuple[Kernel, Schedule, int, int]]:
    """All kernels, their schedule, depth and number of runs; a loop before what it runs.

    A body that several loops run is told once, at the first one, with the runs of all.
    """
    runs: dict[int, int] = {}
    _count_runs(schedule, 1, runs)
    yield from _walk(schedule, 0, 1, runs, set())


def _count_runs(schedule: Schedule, times: int, runs: dict[int, int]) -> None:
    for kernel in schedule.kernels:
        if isinstance(kernel, (Repeat, Grid)):
            inside = times * kernel.runs
            runs[id(kernel.body)] = runs.get(id(kernel.body), 0) + inside
            _count_runs(kernel.body.schedule, inside, runs)


def _walk(
    schedule: Schedule, depth: int, times: int, runs: dict[int, int], seen: set[int]
) -> Iterator[tuple[Kernel, Schedule, int, int]]:
    for kernel in schedule.kernels:
        yield kernel, schedule, depth, times
        if isinstance(kernel, (Repeat, Grid)) and id(kernel.body) not in seen:
            seen.add(id(kernel.body))
            body = kernel.body
            yield from _walk(body.schedule, depth + 1, runs[id(body)], runs, seen)


def name_function(kernel: Kernel, shared: bool, target: Any) -> str:
    """The function that runs a kernel, or one of its pieces where threads share it."""
    if isinstance(kernel, (Callback, Repeat, Grid)):
        return ""
    pieces = cut(kernel) if shared else None
    if pieces is None:
        return find_form(normalise(kernel)[0], target)[0].name(target)
    return find_form(normalise(pieces.kernel)[0], target, pieces.least)[0].name(target)


def describe_kernels(
    schedule: Schedule, replaced: dict[int, str], shared: bool, target: Any
) -> list[KernelReport]:
    """Every kernel of a program.

    Args:
        schedule: the kernels.
        replaced: the names of the inputs for which outputs are new values, by output.
        shared: whether threads share the program.
        target: the CPU.
    """
    names = {number: replaced[o] for o, number in enumerate(schedule.outputs) if o in replaced}
    nodes_of = schedule.graph.walk() if schedule.graph is not None else ()
    producers = {id(variable): node for node in nodes_of for variable in node.outputs}
    found = []
    outer: list[tuple[tuple[str, ...], SourceLine | None]] = []  # of the loops around a kernel
    when: list[str] = []  # the same
    together = [shared]  # whether threads share the kernels, by depth
    for number, (kernel, around, depth, runs) in enumerate(walk_kernels(schedule)):
        nodes = _find_nodes(kernel, around, producers)
        what, operations, shape = _describe(kernel, around, nodes)
        written = writes(kernel) if around is schedule else set()
        del outer[depth:], when[depth:], together[depth + 1 :]
        when.append(", ".join(filter(None, (*when[-1:], tell_when(kernel)))))
        paths = tuple(dict.fromkeys(node.path for node in nodes if node.path))
        source = next((node.source for node in nodes if node.source), None)
        if depth and not paths:  # what is inside of a loop is where the loop is
            paths, source = outer[-1]
        outer.append((paths, source))
        loop = isinstance(kernel, Repeat) and kernel.pieces == 1 and is_shared(kernel)
        together.append(together[-1] and loop)
        found.append(
            KernelReport(
                number=number,
                name=name_function(kernel, together[depth], target),
                kind=_kind_of(kernel),
                what=what,
                operations=tuple(operations.items()),
                shape=shape,
                paths=paths,
                # The parameters come before their moments.
                writes=tuple(sorted((names[n] for n in written if n in names), key=len)),
                source=source,
                depth=depth,
                when=when[-1],
                runs=runs,
                flops=runs * count_flops(kernel),
                bytes=runs * count_bytes(kernel, around),
                width=find_width(kernel),
            )
        )
    return found


def tell_when(kernel: Kernel) -> str:
    """When a loop around kernels runs them; "" for always."""
    if not isinstance(kernel, Repeat):
        return ""
    if kernel.condition is not None:
        return "if true" if kernel.condition[1] else "if false"
    return "each iteration" if kernel.open else ""


def _kind_of(kernel: Kernel) -> str:
    if isinstance(kernel, LoopNest):
        return "loop"
    return type(kernel).__name__.lower()


def _find_nodes(kernel: Kernel, schedule: Schedule, producers: dict[int, Node]) -> list[Node]:
    """The nodes that a kernel computes: those of the memory that it writes come first."""
    if isinstance(kernel, Callback):
        return [kernel.node]
    origins = schedule.origins
    written = sorted(writes(kernel))
    if isinstance(kernel, Repeat):
        written = list(kernel.outputs)
    elif isinstance(kernel, Grid):
        written = [access.buffer for access in kernel.outputs]
    nodes = [origins[number] for number in written if number in origins]
    nodes = list({id(node): node for node in nodes}.values())
    work = kernel.epilogue if isinstance(kernel, Contraction) else kernel
    if not isinstance(work, (LoopNest, Epilogue)):
        return nodes
    # Values without memory of their own are computed where they are used.
    kinds = {expression.kind for expression in work.expressions} | MOVES
    in_memory = {id(node) for node in origins.values()}
    absorbed: set[int] = set()
    if isinstance(work, Epilogue):
        others = set().union(*(writes(k) for k in schedule.kernels if k is not kernel))
        absorbed = {
            id(node)
            for number, node in origins.items()
            if number not in others and node.primitive.name in CONTRACTIONS
        }
    seen = {id(node) for node in nodes}
    waiting = list(nodes)
    while waiting:
        for atom in waiting.pop().inputs:
            node = producers.get(id(atom))
            if node is None or id(node) in seen:
                continue
            if id(node) in in_memory:
                if id(node) in absorbed:  # it is this one whose result is worked on
                    nodes.insert(0, node)
                    seen.add(id(node))
                continue
            if node.primitive.name in kinds:
                seen.add(id(node))
                nodes.append(node)
                waiting.append(node)
    return nodes


def _describe(
    kernel: Kernel, schedule: Schedule, nodes: Sequence[Node]
) -> tuple[str, Counter[str], str]:
    """What a kernel is, its primitives and its shape."""
    name = nodes[0].primitive.name if nodes else ""
    if isinstance(kernel, LoopNest):
        return _describe_nest(kernel, name)
    if isinstance(kernel, Contraction):
        shape = _format_types(nodes[0]) if nodes else _format_shape(kernel.extents)
        operations = Counter([name or "contraction"])
        if kernel.epilogue is not None:
            operations.update(e.kind for e in kernel.epilogue.expressions if e.kind not in SILENT)
        return name or "contraction", operations, shape
    if isinstance(kernel, (Repeat, Grid)):
        count = len(kernel.body.schedule.kernels)
        shape = f"{count} kernel{'s' * (count > 1)}"
        known = kernel.runs if not tell_when(kernel) else 0
        return name or "loop", Counter(), f"{known} x {shape}" if known else shape
    if isinstance(kernel, Callback):
        return name, Counter([name]), _format_types(kernel.node)
    shape = _format_shape(schedule.buffers[min(writes(kernel))].shape)
    return kernel.name, Counter([kernel.name]), shape


def _describe_nest(nest: LoopNest, name: str) -> tuple[str, Counter[str], str]:
    operations = Counter(e.kind for e in nest.expressions if e.kind not in SILENT)
    operations.update(store.reduction for store in nest.stores if store.reduction)
    scattered = [store for store in nest.stores if store.index is not None]
    operations.update("put_rows" if s.replaces else "scatter_add" for s in scattered)
    shape = _format_shape(nest.extents)
    if any(nest.reduced):
        over = [extent for extent, is_reduced in zip(nest.extents, nest.reduced) if is_reduced]
        shape += f" over {_format_shape(over)}"
    if operations:
        return "fused loop", operations, shape
    constant = not any(expression.kind == "load" for expression in nest.expressions)
    what = "fill" if constant else "copy"
    # A copy that stands for no primitive of its own brings an operand into another order.
    return (what if name in MOVES or not name else f"{what} for {name}"), operations, shape


def _format_types(node: Node) -> str:
    """Shapes of a node: `128x784 . 784x256 -> 128x256`."""
    inputs = ", ".join(_format_type(atom.type) for atom in node.inputs)
    outputs = ", ".join(_format_type(variable.type) for variable in node.outputs)
    return f"{inputs} -> {outputs}"


def _format_type(kind: ArrayType) -> str:
    return _format_shape(kind.shape)


def _format_shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) if shape else "scalar"

"""Long loops in blocks of steps: what a loop reads and leaves for products stays in the cache.

The products that have left a loop (`hoist`) read what all steps have written, or write what all
steps read: over many steps that goes through memory. A loop over blocks of steps runs the products
before the loop, the loop, and the products behind it, block by block; sums over time are carried
from block to block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..ir import Atom, Constant, Graph, Node, Variable
from ..ir.primitive import PRIMITIVES
from ..ir.types import ArrayType
from .rewriting import inside_too, make_uniform, uniform_value
from .rows import adds_rows, find_rows, with_rows

BLOCK_BYTES = 1 << 20
"""What a block alone writes and reads takes about as much: a part of the second cache, of which
each thread has its own. Smaller blocks are as quick on one thread, and let several meet more often.
"""
LEAST_BYTES = 2 << 20
"""What is no longer written and read for all steps takes at least as much."""
LEAST_ROWS = 256
"""Rows of a product in a block, at the least."""
LARGE = 2
"""A sum over the steps that takes so many times as much as its rows of a block is left behind the
loop: every block reads and writes it."""


@inside_too
def block_loops(graph: Graph) -> Graph:
    """The Graph with long loops as loops over blocks."""
    for node in graph.nodes:
        if node.primitive.name == "scan":
            graph = _Surroundings(graph, node).cut() or graph
    return graph


@dataclass(frozen=True, slots=True)
class _Use:
    """Where a value is read; by a node that is None it leaves the Graph."""

    node: Node | None
    position: int


class _Surroundings:
    """A loop, and which nodes around it go into the loop over blocks."""

    def __init__(self, graph: Graph, loop: Node) -> None:
        self.graph, self.loop = graph, loop
        parameters = loop.parameters
        self.length: int = parameters["length"]
        self.carry: int = parameters["carry"]
        self.first: int = parameters["constants"] + self.carry  # the position of the first x
        self.uses: dict[int, list[_Use]] = {}
        for node in graph.nodes:
            for position, atom in enumerate(node.inputs):
                self.uses.setdefault(id(atom), []).append(_Use(node, position))
        for position, atom in enumerate(graph.outputs):
            self.uses.setdefault(id(atom), []).append(_Use(None, position))
        self.behind: list[Node] = []
        self.totals: set[int] = set()  # the ids of the nodes behind that add rows
        self.before: list[Node] = []

    def cut(self) -> Graph | None:
        """The Graph with the loop in blocks; None where that does not pay."""
        large: set[int] = set()
        while True:
            self.behind = self._find_behind(large)
            self.before = self._find_before()
            part = self._choose_part()
            if part is None:
                return None
            found = {n for n in self.totals if self._is_large(n, part)}
            if not found:
                return _Rewrite(self, part).build()
            large |= found

    # -- which nodes go along -------------------------------------------------------------------

    def _find_before(self) -> list[Node]:
        """Nodes whose rows only the loop reads, and nodes behind it."""
        place = next(n for n, node in enumerate(self.graph.nodes) if node is self.loop)
        chosen: list[Node] = []
        inside = {id(node) for node in self.behind}
        for node in reversed(self.graph.nodes[:place]):
            needs = find_rows(node, self.length)
            uses = [use for variable in node.outputs for use in self.uses.get(id(variable), ())]
            if needs is None or not uses or not all(self._reads_rows(u, inside) for u in uses):
                continue
            chosen.append(node)
            inside.add(id(node))
        return chosen[::-1]

    def _reads_rows(self, use: _Use, inside: set[int]) -> bool:
        """Whether a step reads a row there."""
        if use.node is self.loop:
            return use.position >= self.first
        if use.node is None or id(use.node) not in inside:
            return False
        if id(use.node) in self.totals:
            return True
        needs = find_rows(use.node, self.length)
        return needs is not None and needs[use.position]

    def _find_behind(self, large: set[int]) -> list[Node]:
        """Sums over the steps, products that make rows no larger, and what leads to them.

        Args:
            large: the ids of sums that stay behind the loop.
        """
        self.totals = set()
        rows = {id(variable) for variable in self.loop.outputs[self.carry :]}
        bound = {id(variable) for variable in self.loop.outputs}  # what needs the loop
        possible: list[Node] = []
        for node in self.graph.nodes:
            if not any(id(atom) in bound for atom in node.inputs):
                continue
            bound.update(map(id, node.outputs))
            needs = find_rows(node, self.length)
            if id(node) in large:
                continue
            if adds_rows(node):
                needs = (True,) * len(node.inputs)
            if needs is None:
                continue
            free = [id(atom) not in bound for atom in node.inputs]
            known = [id(atom) in rows for atom in node.inputs]
            if all(f or (k and n) for f, k, n in zip(free, known, needs, strict=True)):
                possible.append(node)
                if adds_rows(node):
                    self.totals.add(id(node))
                else:
                    rows.update(map(id, node.outputs))
        chosen: list[Node] = []
        wanted: set[int] = set()
        for node in reversed(possible):
            if (
                id(node) in self.totals
                or self._shrinks(node)
                or any(id(v) in wanted for v in node.outputs)
            ):
                chosen.append(node)
                wanted.update(map(id, node.inputs))
        return chosen[::-1]

    def _shrinks(self, node: Node) -> bool:
        """Whether a product makes the rows that it reads no larger."""
        if node.primitive.name != "dot":
            return False
        needs = find_rows(node, self.length) or ()
        sizes = [a.type.size for a, row in zip(node.inputs, needs, strict=True) if row]
        return node.outputs[0].type.size <= max(sizes, default=0)

    # -- how many steps a block has -------------------------------------------------------------

    def find_kept(self) -> list[Variable]:
        """The rows of the loop and of nodes behind it that are needed of all steps."""
        inside = {id(node) for node in self.behind}
        made = list(self.loop.outputs[self.carry :])
        made += [v for node in self.behind if id(node) not in self.totals for v in node.outputs]
        return [
            variable
            for variable in made
            if any(
                u.node is None or id(u.node) not in inside for u in self.uses.get(id(variable), ())
            )
        ]

    def _choose_part(self) -> int | None:
        """The steps of a block: a divisor of all of them."""
        kept = {id(variable) for variable in self.find_kept()}
        local = [v for v in self.loop.outputs[self.carry :] if id(v) not in kept]
        made = {id(variable) for node in self.before for variable in node.outputs}
        local += [v for v in self.loop.inputs[self.first :] if id(v) in made]  # type: ignore[misc]
        saved = sum(v.type.size * v.type.dtype.itemsize for v in local)
        if saved < LEAST_BYTES:
            return None
        part = max(1, BLOCK_BYTES * self.length // saved)
        for node in (*self.before, *self.behind):
            if node.primitive.name == "dot":
                part = max(part, -(-LEAST_ROWS * self.length // self._count_rows(node)))
        if 2 * part > self.length:
            return None
        near = [n for n in range(max(2, -(-part // 2)), 2 * part + 1) if self.length % n == 0]
        return min(near, key=lambda n: abs(math.log(n / part)), default=None)

    def _is_large(self, number: int, part: int) -> bool:
        """Whether a sum over the steps takes much more than what it adds in a block."""
        node = next(node for node in self.behind if id(node) == number)
        rows = sum(atom.type.size for atom in node.inputs) * part // self.length
        return node.outputs[0].type.size > LARGE * rows

    def _count_rows(self, node: Node) -> int:
        """The rows of a product over all steps: those of the result, or terms of a sum."""
        first = node.inputs[0].type
        axes = node.parameters["contract"][0]
        terms: int = math.prod(first.shape[axis] for axis in axes)
        if id(node) in self.totals:
            return terms
        moving = [a.type.size for a, r in zip(node.inputs, find_rows(node, self.length) or ()) if r]
        return max(1, max(moving) // max(terms, 1))


class _Rewrite:
    """Builds the loop over blocks, and the Graph around it."""

    def __init__(self, found: _Surroundings, part: int) -> None:
        self.found, self.part = found, part
        self.loop, self.length = found.loop, found.length
        self.count = found.length // part
        self.nodes: list[Node] = []  # of the body
        self.known: dict[int, Atom] = {}  # what stands for a value there
        self.constants: list[tuple[Atom, Variable]] = []
        self.sequences: list[tuple[Atom, Variable]] = []

    def narrowed(self, type: ArrayType) -> ArrayType:
        return type.with_shape((self.part, *type.shape[1:]))

    def build(self) -> Graph:
        found, loop = self.found, self.loop
        constants, carry = loop.parameters["constants"], found.carry
        for node in found.before:
            self._add(node)
        state = [Variable(atom.type) for atom in loop.inputs[constants : found.first]]
        inner = [self._whole(atom) for atom in loop.inputs[:constants]]
        inner += [*state, *(self._rows(atom) for atom in loop.inputs[found.first :])]
        finals = [Variable(v.type, v.name) for v in loop.outputs[:carry]]
        rows = [Variable(self.narrowed(v.type), v.name) for v in loop.outputs[carry:]]
        parameters = {**loop.parameters, "length": self.part}
        self.nodes.append(
            Node(loop.primitive, tuple(inner), parameters, (*finals, *rows), loop.source, loop.path)
        )
        for old, new in zip(loop.outputs[carry:], rows, strict=True):
            self.known[id(old)] = new
        sums: list[tuple[Variable, Variable, Variable]] = []  # in the graph; before, after a block
        for node in found.behind:
            if id(node) not in found.totals:
                self._add(node)
                continue
            partial = self._add_sum(node)
            before, after = Variable(partial.type), Variable(partial.type)
            add = PRIMITIVES["add"]
            self.nodes.append(Node(add, (before, partial), {}, (after,), node.source, node.path))
            sums.append((node.outputs[0], before, after))
        kept = found.find_kept()
        inputs = (
            *(variable for _, variable in self.constants),
            *state,
            *(before for _, before, _ in sums),
            *(variable for _, variable in self.sequences),
        )
        outputs = (*finals, *(after for *_, after in sums), *(self.known[id(v)] for v in kept))
        body = Graph(inputs, tuple(self.nodes), outputs, f"{loop.parameters['body'].name}_block")
        return self._replace(body, sums, kept)

    # -- the body -------------------------------------------------------------------------------

    def _rows(self, atom: Atom) -> Atom:
        """The rows of a block, of a value that has one row for each step."""
        if id(atom) in self.known:
            return self.known[id(atom)]
        value = uniform_value(atom)
        if value is not None:
            return make_uniform(value, self.narrowed(atom.type))
        given = Variable(self.narrowed(atom.type), getattr(atom, "name", None))
        self.sequences.append((atom, given))
        self.known[id(atom)] = given
        return given

    def _whole(self, atom: Atom) -> Atom:
        """A value that all blocks share."""
        if isinstance(atom, Constant):
            return atom
        for outer, inner in self.constants:
            if outer is atom:
                return inner
        self.constants.append((atom, Variable(atom.type, atom.name)))
        return self.constants[-1][1]

    def _add(self, node: Node) -> None:
        """A node for the rows of a block."""
        needs = find_rows(node, self.length)
        assert needs is not None
        inputs = tuple(
            self._rows(atom) if row else self._whole(atom)
            for atom, row in zip(node.inputs, needs, strict=True)
        )
        outputs = tuple(Variable(self.narrowed(v.type), v.name) for v in node.outputs)
        parameters = with_rows(node, self.part)
        self.nodes.append(replace(node, inputs=inputs, parameters=parameters, outputs=outputs))
        for old, new in zip(node.outputs, outputs, strict=True):
            self.known[id(old)] = new

    def _add_sum(self, node: Node) -> Variable:
        """The sum over the rows of a block."""
        partial = Variable(node.outputs[0].type)
        inputs = tuple(self._rows(atom) for atom in node.inputs)
        self.nodes.append(replace(node, inputs=inputs, outputs=(partial,)))
        return partial

    # -- the program around it ------------------------------------------------------------------

    def _replace(
        self,
        body: Graph,
        sums: Sequence[tuple[Variable, Variable, Variable]],
        kept: Sequence[Variable],
    ) -> Graph:
        found, loop = self.found, self.loop
        made: list[Node] = []

        def shape(atom: Atom, new: tuple[int, ...], output: Variable | None = None) -> Variable:
            output = output or Variable(atom.type.with_shape(new))
            parameters = {"shape": new}
            made.append(
                Node(PRIMITIVES["reshape"], (atom,), parameters, (output,), loop.source, loop.path)
            )
            return output

        constants = loop.parameters["constants"]
        inputs: list[Atom] = [atom for atom, _ in self.constants]
        inputs += loop.inputs[constants : found.first]
        inputs += [make_uniform(0, total.type) for total, _, _ in sums]
        for atom, _ in self.sequences:
            inputs.append(shape(atom, (self.count, self.part, *atom.type.shape[1:])))
        rows = [
            Variable(v.type.with_shape((self.count, self.part, *v.type.shape[1:]))) for v in kept
        ]
        outputs = (*loop.outputs[: found.carry], *(total for total, _, _ in sums), *rows)
        parameters = {
            "body": body,
            "constants": len(self.constants),
            "carry": found.carry + len(sums),
            "length": self.count,
            "reverse": loop.parameters["reverse"],
        }
        made.append(
            Node(loop.primitive, tuple(inputs), parameters, outputs, loop.source, loop.path)
        )
        for old, new in zip(kept, rows, strict=True):
            shape(new, old.type.shape, old)
        gone = {id(node) for node in (*found.before, loop, *found.behind)}
        nodes = [node for node in found.graph.nodes if id(node) not in gone]
        return Graph(
            found.graph.inputs, _order([*nodes, *made]), found.graph.outputs, found.graph.name
        )


def _order(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Each node behind those that it needs, else as they stood."""
    nodes = list(nodes)
    makers = {id(variable): node for node in nodes for variable in node.outputs}
    done: set[int] = set()
    result: list[Node] = []
    for start in nodes:
        waiting = [start]
        while waiting:
            node = waiting[-1]
            if id(node) in done:
                waiting.pop()
                continue
            needed = [makers[id(a)] for a in node.inputs if id(a) in makers]
            needed = [other for other in needed if id(other) not in done]
            if needed:
                waiting += needed
            else:
                done.add(id(node))
                result.append(node)
                waiting.pop()
    return tuple(result)

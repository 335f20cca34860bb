"""Sums that a loop only adds up: they become one contraction, or one sum, behind the loop.

The reversed loop of backpropagation through time carries `total += dot(x_t, dy_t)` for every
weight. Nothing in a step reads the total, so that the x_t and dy_t may be kept, and the sum over
time is one product whose contracted axes include time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..ir import Atom, Constant, Graph, Node
from ..ir.primitive import PRIMITIVES
from ..trace import Array, bind

LINEAR = frozenset(("transpose", "reshape", "sum", "negative"))
"""Primitives of one input through which a sum over time may be drawn."""


@dataclass(slots=True)
class Term:
    """A part of a sum over time.

    Args:
        chain: linear nodes of one input that are applied to the sum, in order.
        source: the dot whose operands are kept; or the value that is kept and summed.
    """

    chain: list[Node]
    source: Node | Atom

    @property
    def kept(self) -> tuple[Atom, ...]:
        """The values of each step that are needed behind the loop."""
        return self.source.inputs if isinstance(self.source, Node) else (self.source,)


def find_sums(body: Graph, constants: int, carry: int) -> dict[int, list[Term]]:
    """The carried values that are only added to, by position, and what is added in a step."""
    uses = Counter(id(atom) for node in body.nodes for atom in node.inputs)
    uses.update(id(atom) for atom in body.outputs)
    made = {id(variable): node for node in body.nodes for variable in node.outputs}
    varying = find_varying(body, constants)
    found: dict[int, list[Term]] = {}
    for position in range(carry):
        before, after = body.inputs[constants + position], body.outputs[position]
        node = made.get(id(after))
        if node is None or node.primitive.name != "add" or uses[id(before)] != 1:
            continue
        others = [atom for atom in node.inputs if atom is not before]
        if len(others) != 1 or uses[id(after)] != 1:
            continue
        terms: list[Term] = []
        _collect(others[0], [], made, uses, varying, terms)
        if all(id(term.kept[0]) in varying for term in terms):
            found[position] = terms
    return _without_large(body, constants, carry, found)


def find_varying(body: Graph, constants: int) -> set[int]:
    """The ids of the variables that may differ from step to step."""
    varying = set(map(id, body.inputs[constants:]))
    for node in body.nodes:
        if any(id(atom) in varying for atom in node.inputs):
            varying.update(map(id, node.outputs))
    return varying


def _collect(
    atom: Atom,
    behind: list[Node],
    made: dict[int, Node],
    uses: Counter[int],
    varying: set[int],
    terms: list[Term],
) -> None:
    """Take apart what is added: sums of terms, each a linear chain behind a dot or a value."""
    node = made.get(id(atom))
    if node is not None and uses[id(atom)] == 1:
        name = node.primitive.name
        if name == "add":
            for part in node.inputs:
                _collect(part, behind, made, uses, varying, terms)
            return
        if name in LINEAR:
            _collect(node.inputs[0], [node, *behind], made, uses, varying, terms)
            return
        if name == "dot" and all(id(operand) in varying for operand in node.inputs):
            terms.append(Term(behind, node))
            return
    terms.append(Term(behind, atom))


def _without_large(
    body: Graph, constants: int, carry: int, found: dict[int, list[Term]]
) -> dict[int, list[Term]]:
    """Leave out sums for which more would be kept than the loop keeps in any case.

    Kept are operands of dots, what the loop gives or gets for each step, and values that are not
    larger than those. (The gradient of a table, as large as the table, is added up in the loop.)
    """
    steps = [*body.inputs[constants + carry :], *body.outputs[carry:]]
    steps += [
        atom
        for terms in found.values()
        for term in terms
        if isinstance(term.source, Node)
        for atom in term.kept
    ]
    largest = max((atom.type.size for atom in steps), default=0)
    there = {id(atom) for atom in steps}
    return {
        position: terms
        for position, terms in found.items()
        if all(
            isinstance(term.source, Node)
            or id(term.source) in there
            or term.source.type.size <= largest
            for term in terms
        )
    }


def add_up(terms: Sequence[Term], start: Array | None, stacked: Callable[[Atom], Array]) -> Array:
    """The sum over all steps, from the kept values with time on axis 0."""
    total = start
    for term in terms:
        if isinstance(term.source, Node):
            pairs = {
                name: tuple(tuple(axis + 1 for axis in axes) for axes in pair)
                for name, pair in term.source.parameters.items()
            }
            first, second = pairs["contract"]
            pairs["contract"] = ((0, *first), (0, *second))
            operands = [stacked(atom) for atom in term.kept]
            value = bind(term.source.primitive, *operands, **pairs)[0]
            chain = term.chain
        else:
            axes: tuple[int, ...] = (0,)
            chain = term.chain
            if chain and chain[0].primitive.name == "sum":
                axes += tuple(axis + 1 for axis in chain[0].parameters["axes"])
                chain = chain[1:]
            value = bind(PRIMITIVES["sum"], stacked(term.source), axes=axes)[0]
        for node in chain:
            value = bind(node.primitive, value, **node.parameters)[0]
        total = value if total is None else bind(PRIMITIVES["add"], total, value)[0]
    assert total is not None
    return total


def is_zero(atom: Atom) -> bool:
    """Whether a value is known to be nothing but zeros."""
    return isinstance(atom, Constant) and not atom.value.any()


__all__ = ["Term", "add_up", "find_sums", "find_varying", "is_zero"]

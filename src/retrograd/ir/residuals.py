"""Which values of a forward half are kept for the backward half, and what is computed there.

The backward rules of a program ask for values that follow from others: `1 - y * y` for the gradient
of tanh, a broadcast weight. What is cheap to compute from values that are kept in any case, or from
one that takes no more room, is computed in the backward half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .graph import Atom, Constant, Node, Variable

MOVEMENT = frozenset(("broadcast", "reshape", "transpose", "slice", "flip"))

Captured = list[tuple[Variable, Variable]]
"""Values of the forward half, and what stands for them in the backward half."""


def compute_late(
    late: Sequence[Node], outputs: Sequence[Atom], captured: Captured
) -> tuple[list[Node], Captured]:
    """Move cheap nodes of the forward half to the start of the backward half.

    Args:
        late: nodes of the forward half that only the backward half needs, or that are free, in
            order.
        outputs: of the forward half; they are there in any case.
        captured: what the backward half takes from the forward half.

    Returns:
        The nodes for the backward half, and what it takes from the forward half then.
    """
    made = {id(variable) for node in late for variable in node.outputs}
    there = {id(atom) for atom in outputs}
    there.update(id(value) for value, _ in captured if id(value) not in made)
    moved: dict[int, Node] = {}  # by the ids of their outputs
    for node in late:
        if not (node.primitive.elementwise or node.primitive.name in MOVEMENT):
            continue
        inputs = {id(a): a for a in node.inputs if not isinstance(a, Constant)}
        missing = [a for a in inputs.values() if id(a) not in there and id(a) not in moved]
        if sum(_bytes(atom) for atom in missing) > sum(_bytes(v) for v in node.outputs):
            continue
        if any(id(atom) in made for atom in missing):
            continue  # it follows from a node that stays
        there.update(id(atom) for atom in missing)
        moved.update((id(variable), node) for variable in node.outputs)
    return _rebuild(late, moved, captured)


def _bytes(atom: Atom) -> int:
    return atom.type.size * atom.type.dtype.itemsize


def _rebuild(
    late: Sequence[Node], moved: dict[int, Node], captured: Captured
) -> tuple[list[Node], Captured]:
    """The nodes that are needed there, with the names of values there."""
    names: dict[int, Variable] = {id(value): name for value, name in captured}
    needed = {id(value) for value, _ in captured if id(value) in moved}
    chosen = []
    for node in reversed(late):
        if any(id(v) in needed and id(v) in moved for v in node.outputs):
            chosen.append(node)
            needed.update(id(atom) for atom in node.inputs)
    kept = [(value, name) for value, name in captured if id(value) not in moved]
    nodes = []
    for node in reversed(chosen):
        inputs: list[Atom] = []
        for atom in node.inputs:
            if isinstance(atom, Constant):
                inputs.append(atom)
                continue
            if id(atom) not in names:
                names[id(atom)] = Variable(atom.type, atom.name)
                kept.append((atom, names[id(atom)]))
            inputs.append(names[id(atom)])
        for variable in node.outputs:
            names.setdefault(id(variable), Variable(variable.type, variable.name))
        outputs = tuple(names[id(variable)] for variable in node.outputs)
        nodes.append(replace(node, inputs=tuple(inputs), outputs=outputs))
    return nodes, kept

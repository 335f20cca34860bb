"""Contractions over very many terms are summed in parts, whose operands fit into a core's cache.

The gradient of a weight that a loop uses in a thousand steps is such a contraction: each row of the
result would read operands of many megabytes again.
"""

from __future__ import annotations

import math

from ..ir import Atom, Graph, Node
from .rewriting import Rewriter, Rule, inside_too

TERMS = 512
"""Products of a part for each element of the result."""
LEAST_TERMS = 8192
"""Products from which on a contraction is cut: a shorter one does not leave the cache."""


@inside_too
def split_dots(graph: Graph) -> Graph:
    """The Graph with long contractions as sums of shorter ones."""
    return Rewriter(RULES).rewrite(graph)


def _split(rewriter: Rewriter, node: Node) -> Atom | None:
    """Cut along the longest contracted axis: the parts are a batch, which is summed."""
    first, second = node.inputs
    contract, batch = node.parameters["contract"], node.parameters["batch"]
    sizes = [first.type.shape[axis] for axis in contract[0]]
    terms = math.prod(sizes)
    if terms < LEAST_TERMS:
        return None
    place = max(range(len(sizes)), key=sizes.__getitem__)
    part = _choose_part(node, sizes[place], terms)
    if sizes[place] < 2 * part:
        return None
    count, rest = divmod(sizes[place], part)
    axes = (contract[0][place], contract[1][place])
    whole = [
        _cut(rewriter, atom, axis, count, part)
        for atom, axis in zip((first, second), axes, strict=True)
    ]
    moved = {
        name: tuple(
            tuple(a + (a >= axis) for a in side) for side, axis in zip(pair, axes, strict=True)
        )
        for name, pair in (("contract", contract), ("batch", batch))
    }
    moved["batch"] = tuple((axis, *side) for side, axis in zip(moved["batch"], axes, strict=True))
    total = rewriter.make("sum", rewriter.make("dot", *whole, **moved), axes=(0,))
    if not rest:
        return total
    left = [
        _slice(rewriter, atom, axis, count * part, sizes[place])
        for atom, axis in zip((first, second), axes, strict=True)
    ]
    ending = rewriter.make("dot", *left, contract=contract, batch=batch)
    return rewriter.make("add", total, ending)


def _choose_part(node: Node, size: int, terms: int) -> int:
    """How much of the axis a part has: TERMS products, and sums no larger than the operands."""
    inner = terms // size
    columns = sum(atom.type.size for atom in node.inputs) // terms
    least = max(TERMS, node.outputs[0].type.size // max(columns, 1))
    part = min(max(1, least // inner), size)
    # A divisor leaves no rest.
    return next((n for n in range(part, part // 2, -1) if size % n == 0), part)


def _cut(rewriter: Rewriter, atom: Atom, axis: int, count: int, part: int) -> Atom:
    shape = atom.type.shape
    if shape[axis] != count * part:
        atom = _slice(rewriter, atom, axis, 0, count * part)
    return rewriter.make("reshape", atom, shape=(*shape[:axis], count, part, *shape[axis + 1 :]))


def _slice(rewriter: Rewriter, atom: Atom, axis: int, start: int, stop: int) -> Atom:
    shape = atom.type.shape
    starts = tuple(start if a == axis else 0 for a in range(len(shape)))
    stops = tuple(stop if a == axis else n for a, n in enumerate(shape))
    return rewriter.make("slice", atom, starts=starts, stops=stops, steps=(1,) * len(shape))


RULES: dict[str, tuple[Rule, ...]] = {"dot": (_split,)}

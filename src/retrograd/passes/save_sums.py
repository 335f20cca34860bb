"""Sums that need not be computed, or over less: of broadcasts, of scattered values, of sums.

The gradients of broadcasts, means and losses are such sums. The terms are the same, but in another
order or with one rounding in the place of many, so the last bits may change.
"""

from __future__ import annotations

import math

import numpy as np

from ..ir import Atom, Graph, Node
from .rewriting import Rewriter, Rule, inside_too, make_uniform


@inside_too
def save_sums(graph: Graph) -> Graph:
    """The Graph with smaller sums, or none, in the place of some."""
    return Rewriter(RULES).rewrite(graph)


def _sum_of_nothing(rewriter: Rewriter, node: Node) -> Atom | None:
    """Over no axis, or axes of size 1: the value itself."""
    (atom,), axes = node.inputs, node.parameters["axes"]
    if any(atom.type.shape[axis] != 1 for axis in axes):
        return None
    return rewriter.make("reshape", atom, shape=node.outputs[0].type.shape) if axes else atom


def _sum_of_broadcast(rewriter: Rewriter, node: Node) -> Atom | None:
    """`n` equal terms are `n` times one of them."""
    inner, axes = rewriter.maker(node.inputs[0], "broadcast"), node.parameters["axes"]
    type = node.inputs[0].type
    if inner is None or 0 in type.shape or type.dtype.kind == "b":
        return None
    shape, new = inner.parameters["shape"], inner.parameters["axes"]
    gone = [axis for axis in axes if axis in new]
    places = {
        axis: place for place, axis in enumerate(a for a in range(len(shape)) if a not in new)
    }
    rest = tuple(places[axis] for axis in axes if axis not in new)
    value = inner.inputs[0]
    if rest:
        value = rewriter.make("sum", value, axes=rest)
    count = math.prod(shape[axis] for axis in gone)
    if count != 1:
        factor = np.asarray(count).astype(type.dtype)
        value = rewriter.make("multiply", value, make_uniform(factor, value.type))
    left = [axis for axis in range(len(shape)) if axis not in axes]
    added = tuple(place for place, axis in enumerate(left) if axis in new)
    if not added:
        return value
    return rewriter.make("broadcast", value, shape=node.outputs[0].type.shape, axes=added)


def _sum_of_negative(rewriter: Rewriter, node: Node) -> Atom | None:
    """The sign afterwards, on fewer elements. The sign of a zero may change."""
    inner = rewriter.maker(node.inputs[0], "negative")
    if inner is None or node.inputs[0].type.size < node.outputs[0].type.size:
        return None
    total = rewriter.make("sum", inner.inputs[0], axes=node.parameters["axes"])
    return rewriter.make("negative", total)


def _sum_of_scattered(rewriter: Rewriter, node: Node) -> Atom | None:
    """All that was scattered along an axis, if that axis is summed: what was scattered."""
    inner = rewriter.maker(node.inputs[0], "scatter_add_along")
    if inner is None or inner.parameters["axis"] not in node.parameters["axes"]:
        return None
    if set(rewriter.readers(node.inputs[0])) <= {"sum", "negative"}:
        return None  # it stays where nothing else looks whether its indices are in range
    return rewriter.make("sum", inner.inputs[0], axes=node.parameters["axes"])


def _sum_of_sum(rewriter: Rewriter, node: Node) -> Atom | None:
    """Both at once."""
    inner = rewriter.maker(node.inputs[0], "sum")
    if inner is None:
        return None
    first = inner.parameters["axes"]
    kept = [axis for axis in range(inner.inputs[0].type.ndim) if axis not in first]
    axes = (*first, *(kept[axis] for axis in node.parameters["axes"]))
    return rewriter.make("sum", inner.inputs[0], axes=tuple(sorted(axes)))


RULES: dict[str, tuple[Rule, ...]] = {
    "sum": (
        _sum_of_nothing,
        _sum_of_broadcast,
        _sum_of_negative,
        _sum_of_scattered,
        _sum_of_sum,
    ),
}
"""What is tried on each primitive."""

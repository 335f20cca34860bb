"""A sum of parts that lie side by side, with zeros around each, as the parts joined.

The gradient of a split is such a sum: each part is padded to the size of the whole, and they are
added up. Joined, each element is read once and nothing is added. Of -0 in a part, that sum makes 0,
and this leaves it.
"""

from __future__ import annotations

from ..ir import Atom, Graph, Node
from .rewriting import Rewriter, inside_too


@inside_too
def join_parts(graph: Graph) -> Graph:
    """`pad(a) + pad(b) + ...` as `concatenate(a, b, ...)` where the parts fill the whole."""
    if sum(node.primitive.name == "pad" for node in graph.nodes) < 2:
        return graph
    return Rewriter({"add": (_join,)}).rewrite(graph)


def _join(rewriter: Rewriter, node: Node) -> Atom | None:
    parts: list[Node] = []
    waiting = list(node.inputs)
    while waiting:
        atom = waiting.pop()
        inner = rewriter.maker_of(atom)
        if inner is None:
            return None
        if inner.primitive.name == "pad":
            parts.append(inner)
        elif inner.primitive.name == "add" and len(rewriter.readers(atom)) == 1:
            waiting += inner.inputs
        else:
            return None
    shape = node.outputs[0].type.shape
    axes = {axis for part in parts for axis in _find_padded(part)}
    if len(axes) != 1 or any(any(part.parameters["interior"]) for part in parts):
        return None
    (axis,) = axes
    parts.sort(key=lambda part: (part.parameters["low"][axis], part.inputs[0].type.shape[axis]))
    end = 0
    for part in parts:
        if part.parameters["low"][axis] != end:
            return None
        end += part.inputs[0].type.shape[axis]
    if end != shape[axis]:
        return None
    return rewriter.make("concatenate", *(part.inputs[0] for part in parts), axis=axis)


def _find_padded(part: Node) -> list[int]:
    """The axes along which something is added or cut off."""
    pairs = zip(part.parameters["low"], part.parameters["high"], strict=True)
    return [axis for axis, pair in enumerate(pairs) if any(pair)]

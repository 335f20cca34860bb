"""Elements are taken from what an operation reads, and the operation done on those alone.

The loss of a classifier takes one logarithm of a probability from each row: the others need not be
computed, nor kept. All bits are the same.
"""

from __future__ import annotations

from ..ir import Atom, Graph, Node
from .rewriting import Rewriter, inside_too, make_uniform, uniform_value

CHEAP = {"add", "subtract", "multiply", "negative"}
"""What may be computed twice: in its other readers, and where its elements are taken."""
SHARE = 4
"""At most one of so many elements is taken; else nothing is saved."""


@inside_too
def sink_gathers(graph: Graph) -> Graph:
    """`gather_along(f(x, y))` as `f(gather_along(x), gather_along(y))`."""
    if not any(node.primitive.name == "gather_along" for node in graph.nodes):
        return graph
    return Rewriter({"gather_along": (_sink,)}).rewrite(graph)


def _sink(rewriter: Rewriter, node: Node) -> Atom | None:
    atom, indices = node.inputs
    axis = node.parameters["axis"]
    inner = rewriter.maker_of(atom)
    if inner is None or not inner.primitive.elementwise:
        return None
    if SHARE * indices.type.size > atom.type.size:
        return None
    if inner.primitive.name not in CHEAP and len(rewriter.readers(atom)) > 1:
        return None
    same = [_take_uniform(rewriter, x, indices, axis) for x in inner.inputs]
    if None not in same:
        return None  # something has to look whether the indices are in range
    inputs = [
        rewriter.make("gather_along", x, indices, axis=axis) if found is None else found
        for x, found in zip(inner.inputs, same, strict=True)
    ]
    return rewriter.make(inner.primitive.name, *inputs, **inner.parameters)


def _take_uniform(rewriter: Rewriter, atom: Atom, indices: Atom, axis: int) -> Atom | None:
    """The elements of what is the same all along the axis; None if it is not known to be."""
    type = atom.type.with_shape(indices.type.shape)
    value = uniform_value(atom)
    if value is not None:
        return make_uniform(value, type)
    inner = rewriter.maker(atom, "broadcast")
    if inner is None or axis not in inner.parameters["axes"]:
        return None
    return rewriter.make(
        "broadcast", inner.inputs[0], shape=type.shape, axes=inner.parameters["axes"]
    )

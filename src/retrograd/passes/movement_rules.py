"""Simpler forms of what moves elements: nothing, or one movement in the place of two."""

from __future__ import annotations

from ..ir import Atom, Node
from .rewriting import Rewriter, Rule


def _reshape(rewriter: Rewriter, node: Node) -> Atom | None:
    atom, shape = node.inputs[0], node.parameters["shape"]
    if atom.type.shape == shape:
        return atom
    inner = rewriter.maker(atom, "reshape")
    return None if inner is None else rewriter.make("reshape", inner.inputs[0], shape=shape)


def _transpose(rewriter: Rewriter, node: Node) -> Atom | None:
    """Two as one; none where only axes of size 1 move."""
    atom, axes = node.inputs[0], node.parameters["axes"]
    if axes == tuple(range(len(axes))):
        return atom
    inner = rewriter.maker(atom, "transpose")
    if inner is not None:
        first = inner.parameters["axes"]
        both = tuple(first[axis] for axis in axes)
        return rewriter.make("transpose", inner.inputs[0], axes=both)
    moved = [axis for axis in axes if atom.type.shape[axis] != 1]
    if moved == sorted(moved):
        return rewriter.make("reshape", atom, shape=node.outputs[0].type.shape)
    return None


def _broadcast(rewriter: Rewriter, node: Node) -> Atom | None:
    """Two as one; a reshape where no element is repeated."""
    atom, shape, axes = node.inputs[0], node.parameters["shape"], node.parameters["axes"]
    if not axes:
        return atom
    if all(shape[axis] == 1 for axis in axes):
        return rewriter.make("reshape", atom, shape=shape)
    inner = rewriter.maker(atom, "broadcast")
    if inner is None:
        return None
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    new = {*axes, *(kept[axis] for axis in inner.parameters["axes"])}
    return rewriter.make("broadcast", inner.inputs[0], shape=shape, axes=tuple(sorted(new)))


def _slice(rewriter: Rewriter, node: Node) -> Atom | None:
    """Nothing where all is taken; two as one."""
    atom, parameters = node.inputs[0], node.parameters
    if atom.type.shape == node.outputs[0].type.shape:
        return atom  # with as many elements as there are, every step is 1
    inner = rewriter.maker(atom, "slice")
    if inner is None:
        return None
    triples = []
    for first, step, start, stop, again in zip(
        inner.parameters["starts"],
        inner.parameters["steps"],
        parameters["starts"],
        parameters["stops"],
        parameters["steps"],
        strict=True,
    ):
        length = -(-(stop - start) // again)
        begin = first + start * step
        end = begin + (length - 1) * step * again + 1 if length else begin
        triples.append((begin, end, step * again))
    starts, stops, steps = map(tuple, zip(*triples, strict=True))
    return rewriter.make("slice", inner.inputs[0], starts=starts, stops=stops, steps=steps)


def _flip(rewriter: Rewriter, node: Node) -> Atom | None:
    atom, axes = node.inputs[0], node.parameters["axes"]
    if all(atom.type.shape[axis] <= 1 for axis in axes):
        return atom
    inner = rewriter.maker(atom, "flip")
    if inner is None:
        return None
    left = tuple(sorted(set(axes) ^ set(inner.parameters["axes"])))
    return rewriter.make("flip", inner.inputs[0], axes=left) if left else inner.inputs[0]


def _pad(rewriter: Rewriter, node: Node) -> Atom | None:
    same = node.inputs[0].type.shape == node.outputs[0].type.shape
    return node.inputs[0] if same and not _moves(node) else None


def _moves(node: Node) -> bool:
    parameters = node.parameters
    return any(any(parameters[name]) for name in ("low", "high", "interior"))


def _concatenate(rewriter: Rewriter, node: Node) -> Atom | None:
    """Without the parts that are empty; nothing for one part."""
    axis = node.parameters["axis"]
    parts = [atom for atom in node.inputs if atom.type.shape[axis]]
    if len(parts) == 1:
        return parts[0]
    if len(parts) == len(node.inputs) or not parts:
        return None
    return rewriter.make("concatenate", *parts, axis=axis)


MOVEMENT_RULES: dict[str, tuple[Rule, ...]] = {
    "reshape": (_reshape,),
    "transpose": (_transpose,),
    "broadcast": (_broadcast,),
    "slice": (_slice,),
    "flip": (_flip,),
    "pad": (_pad,),
    "concatenate": (_concatenate,),
}

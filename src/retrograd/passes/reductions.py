"""Lowering of reductions: a loop nest with the reduced axes inside."""

from __future__ import annotations

from ..ir import Atom, Node
from ..ir.loops import Store
from ..ir.types import bool_, int32
from .merging import append_nest
from .nests import Affine, IndexMap, NestBuilder, View, identity
from .values import Values

REDUCTIONS = ("sum", "max", "min", "prod")
POSITIONS = ("argmax", "argmin")


def lower_reduction(values: Values, node: Node) -> bool:
    """Sum, product and extremes; over no elements there is only the neutral element."""
    atom, output = node.inputs[0], node.outputs[0]
    reduction, parameters = node.primitive.name, node.parameters
    axes = parameters["axes"] if "axes" in parameters else (parameters["axis"],)
    shape = atom.type.shape
    target = values.new(output.type.dtype, output.type.shape)
    values.known[id(output)] = target
    if 0 in shape:
        neutral = 1 if reduction == "prod" else 0
        values.fill(target, lambda b, index: b.add("constant", target.dtype, value=neutral))
        return True
    builder = NestBuilder(shape, [axis in axes for axis in range(len(shape))])
    position = values.express(builder, atom, identity(shape))
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    access = builder.access(target, identity(shape, kept))
    builder.stores.append(Store(access, position, reduction))
    append_nest(values.schedule, builder.build())
    return True


def lower_position(values: Values, node: Node) -> bool:
    """argmax and argmin: the best value travels with its index."""
    atom, output = node.inputs[0], node.outputs[0]
    axis, shape = node.parameters["axis"], atom.type.shape
    target = values.new(int32, output.type.shape)
    values.known[id(output)] = target
    if 0 in shape:
        return True
    builder = NestBuilder(shape, [a == axis for a in range(len(shape))])
    value = values.express(builder, atom, identity(shape))
    here = builder.add("index", int32, value=axis)
    kept = [a for a in range(len(shape)) if a != axis]
    access = builder.access(target, identity(shape, kept))
    builder.stores.append(Store(access, value, node.primitive.name, position=here))
    append_nest(values.schedule, builder.build())
    return True


def lower_moments(values: Values, node: Node) -> bool:
    """Mean and variance, from the distances of all terms from one value near them."""
    atom, axes, shape = node.inputs[0], node.parameters["axes"], node.inputs[0].type.shape
    targets = [values.new(output.type.dtype, output.type.shape) for output in node.outputs]
    for output, target in zip(node.outputs, targets, strict=True):
        values.known[id(output)] = target
    if 0 in shape:
        return True
    if all(shape[axis] == 1 for axis in axes):
        _fill_with_single_terms(values, node, targets)
        return True
    builder = NestBuilder(shape, [axis in axes for axis in range(len(shape))])
    position = values.express(builder, atom, identity(shape))
    near = _express_typical(values, builder, atom, axes)
    kept = identity(shape, [axis for axis in range(len(shape)) if axis not in axes])
    for name, target in zip(("mean", "variance"), targets, strict=True):
        access = builder.access(target, kept)
        builder.stores.append(Store(access, position, name, position=near))
    append_nest(values.schedule, builder.build())
    return True


def _express_typical(
    values: Values, builder: NestBuilder, atom: Atom, axes: tuple[int, ...]
) -> int:
    """The median of the first three terms, so that one far away does no harm; 0 if not finite.

    Where there are only two along the innermost reduced axis it is the first.
    """
    shape, dtype = atom.type.shape, atom.type.dtype
    walked = max(axis for axis in axes if shape[axis] > 1)

    def term(order: int) -> int:
        index = list(identity(shape))
        for axis in axes:
            index[axis] = Affine(order if axis == walked else 0, (0,) * len(shape))
        return values.express(builder, atom, tuple(index))

    found = term(0)
    if shape[walked] > 2:
        one, two, three = found, term(1), term(2)
        low = builder.add("minimum", dtype, (one, two))
        high = builder.add("maximum", dtype, (one, two))
        high = builder.add("minimum", dtype, (high, three))
        found = builder.add("maximum", dtype, (low, high))
    finite = builder.add("is_finite", bool_, (found,))
    zero = builder.add("constant", dtype, value=0.0)
    return builder.add("where", dtype, (finite, found, zero))


def _fill_with_single_terms(values: Values, node: Node, targets: list[View]) -> None:
    """One term is its own mean, and its variance is 0 (NaN where it is not finite)."""
    atom, axes = node.inputs[0], node.parameters["axes"]

    def express(builder: NestBuilder, index: IndexMap) -> int:
        found = list(index)
        for axis in sorted(axes):
            found.insert(axis, Affine(0, (0,) * len(builder.extents)))
        return values.express(builder, atom, tuple(found))

    def difference(builder: NestBuilder, index: IndexMap) -> int:
        term = express(builder, index)
        return builder.add("subtract", atom.type.dtype, (term, term))

    values.fill(targets[0], express)
    values.fill(targets[1], difference)

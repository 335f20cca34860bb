"""Batching rules that primitives share: what a primitive does to many examples at once.

A rule is `rule(primitive, inputs, mapped, size, **parameters) -> (outputs, mapped outputs)`. An
input that is mapped has one value for each of `size` examples along a new axis 0, the others have
one value for all; the outputs are told apart in the same way. Rules are called only if an input
is mapped, and are written with primitives, so that what they give can be differentiated, batched
again and compiled. Most primitives take one of the rules below; those of `dot`, `conv`, the
readers at indices and the nodes that hold Graphs stand beside their declarations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir import PRIMITIVES, Graph, Node, Primitive, Variable
from ..trace import Array, bind, get_transforms, origin_of

Batched = tuple[list[Array], list[bool]]


def give_all(outputs: Sequence[Array]) -> Batched:
    """Outputs that all have the axis of the examples."""
    return list(outputs), [True] * len(outputs)


def repeat(x: Array, size: int) -> Array:
    """One value for all examples as one for each, without copies."""
    broadcast = PRIMITIVES["broadcast"]
    return bind(broadcast, x, shape=(size, *x.type.shape), axes=(0,))[0]


def repeat_unmapped(inputs: Sequence[Array], mapped: Sequence[bool], size: int) -> list[Array]:
    """The inputs, each with the axis of the examples."""
    return [x if flag else repeat(x, size) for x, flag in zip(inputs, mapped, strict=True)]


def move_axis(x: Array, source: int, destination: int) -> Array:
    """One axis moved to another place."""
    if source == destination:
        return x
    order = [axis for axis in range(x.type.ndim) if axis != source]
    order.insert(destination, source)
    return bind(PRIMITIVES["transpose"], x, axes=tuple(order))[0]


def merge_axes(x: Array, axis: int, count: int = 2) -> Array:
    """Neighbouring axes as one."""
    shape = x.type.shape
    merged = 1
    for n in shape[axis : axis + count]:
        merged *= n
    return as_shape(x, (*shape[:axis], merged, *shape[axis + count :]))


def as_shape(x: Array, shape: tuple[int, ...]) -> Array:
    """The same elements in another shape."""
    if x.type.shape == shape:
        return x
    return bind(PRIMITIVES["reshape"], x, shape=shape)[0]


def run_node(
    node: Node, inputs: Sequence[Array], mapped: Sequence[bool], size: int
) -> tuple[Sequence[Array], Sequence[bool]]:
    """What a node does to all examples; once for all of them if no input is mapped."""
    primitive = node.primitive
    with origin_of(node):
        if not any(mapped):
            outputs = bind(primitive, *inputs, **node.parameters)
            return outputs, [False] * len(outputs)
        if primitive.batch is None:
            raise AssertionError(f"{primitive.name} has no batching rule.")
        extra = {"transforms": get_transforms()} if primitive.holds_graphs else {}
        batched: Batched = primitive.batch(
            primitive, inputs, mapped, size, **node.parameters, **extra
        )
        return batched


# -- rules that primitives name --------------------------------------------------------------------


def elementwise(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    **parameters: Any,
) -> Batched:
    """All inputs have the axis; the primitive does not ask how many axes there are."""
    return give_all(bind(primitive, *repeat_unmapped(inputs, mapped, size), **parameters))


def one_axis(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    axis: int,
    **parameters: Any,
) -> Batched:
    """The parameter `axis` counts axes: it moves by one."""
    given = repeat_unmapped(inputs, mapped, size)
    return give_all(bind(primitive, *given, axis=axis + 1, **parameters))


def several_axes(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    axes: tuple[int, ...],
    **parameters: Any,
) -> Batched:
    """The parameter `axes` counts axes: all move by one."""
    moved = tuple(axis + 1 for axis in axes)
    return give_all(bind(primitive, *inputs, axes=moved, **parameters))


def leading_axis_stays(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    axes: tuple[int, ...],
) -> Batched:
    """transpose: the axis of the examples stays in front."""
    moved = (0, *(axis + 1 for axis in axes))
    return give_all(bind(primitive, *inputs, axes=moved))


def longer_shape(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    shape: tuple[int, ...],
    axes: tuple[int, ...] | None = None,
) -> Batched:
    """reshape and broadcast: the result's shape gets the axis in front."""
    moved = {} if axes is None else {"axes": tuple(axis + 1 for axis in axes)}
    return give_all(bind(primitive, *inputs, shape=(size, *shape), **moved))


def into_batch(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    **parameters: Any,
) -> Batched:
    """Axis 0 is a batch already, and so is that of the outputs: the examples join it."""
    given = [merge_axes(x, 0) for x in repeat_unmapped(inputs, mapped, size)]
    outputs = bind(primitive, *given, **parameters)
    batch = inputs[0].type.shape[1 if mapped[0] else 0]
    return give_all([as_shape(y, (size, batch, *y.type.shape[1:])) for y in outputs])


def one_by_one(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    **parameters: Any,
) -> Batched:
    """A loop over the examples, for a primitive that cannot take them together."""
    order = [p for p, flag in enumerate(mapped) if not flag]
    constants = len(order)
    order += [p for p, flag in enumerate(mapped) if flag]
    variables = {
        p: Variable(x.type.with_shape(x.type.shape[1:]) if mapped[p] else x.type)
        for p, x in enumerate(inputs)
    }
    types = primitive.infer(*(variables[p].type for p in range(len(inputs))), **parameters)
    outputs = tuple(Variable(type) for type in types)
    arguments = tuple(variables[p] for p in range(len(inputs)))
    node = Node(primitive, arguments, parameters, outputs)
    body = Graph(tuple(variables[p] for p in order), (node,), outputs, primitive.name)
    results = bind(
        PRIMITIVES["scan"],
        *(inputs[p] for p in order),
        body=body,
        constants=constants,
        carry=0,
        length=size,
        reverse=False,
    )
    return give_all(results)

"""Loops that are cut along the batch: each thread runs all steps for some of the examples.

Where every example goes through the steps by itself (a recurrent network whose sums over the batch
have left the loop), the loop is the same program for fewer examples, several times. Threads then
meet once a loop and not once a kernel, and the state of a thread's examples stays in its cache.

`narrow` follows the axis of the examples through the body: axis 0 of all that is carried, and of
what a step gets and gives. What does not have that axis is shared by all examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..ir import ArrayType, Atom, Constant, Graph, Node, Variable

ROWS, FEW_ROWS = 16, 4
"""Examples in a piece: fewer make contractions slower. Two pieces may have FEW_ROWS."""
COUNTS = (8, 4, 2)
LEAST_WORK = 400_000
"""Multiplications and elements of a loop from which on it is cut."""


def cut_loop(
    body: Graph, constants: int, carry: int, length: int
) -> tuple[int, Graph, frozenset[int]]:
    """How many pieces a loop has, the body of a piece, and which inputs have the examples.

    The number of pieces follows from the shapes alone.
    """
    key = f"pieces {constants} {carry} {length}"
    if key not in body.cache:
        body.cache[key] = _cut(body, constants, carry, length)
    return body.cache[key]  # type: ignore[no-any-return]


def _cut(body: Graph, constants: int, carry: int, length: int) -> tuple[int, Graph, frozenset[int]]:
    whole = (1, body, frozenset[int]())
    state = body.inputs[constants : constants + carry]
    sizes = {v.type.shape[:1] for v in (*state, *body.outputs)}
    if not state or len(sizes) != 1 or length * estimate_work(body) < LEAST_WORK:
        return whole
    size = next((n for (n,) in sizes - {()}), 1)
    count = next((n for n in COUNTS if size % n == 0 and size // n >= ROWS), 1)
    if count == 1 and size % 2 == 0 and size // 2 >= FEW_ROWS:
        count = 2
    if count == 1:
        return whole
    mapped = {
        position
        for position, variable in enumerate(body.inputs)
        if position >= constants and variable.type.shape[:1] == (size,)
    }
    while True:
        walk = _Walk(body, size, size // count, mapped)
        found = walk.run()
        if found is not None:
            return count, found, frozenset(mapped)
        # A constant of the loop that meets examples element by element has them too.
        if walk.asked is None or walk.asked in mapped:
            return whole
        mapped.add(walk.asked)


def estimate_work(graph: Graph) -> float:
    """Multiplications of contractions, and elements of all values."""
    total = 0.0
    for node in graph.nodes:
        total += sum(variable.type.size for variable in node.outputs)
        if node.primitive.name == "dot":
            shape, axes = node.inputs[0].type.shape, node.parameters["contract"][0]
            total += node.outputs[0].type.size * math.prod(shape[axis] for axis in axes)
    return total


class _Refused(Exception):
    """The examples do not stay apart here."""


@dataclass(slots=True)
class _Value:
    """An atom of the narrower body; `axis` is that of the examples, None where they share it."""

    atom: Atom
    axis: int | None


class _Walk:
    """One walk through a body, which gives the narrower one.

    Args:
        body: the step.
        size: the number of examples.
        part: the number that is left.
        mapped: the positions of the inputs that have them.
    """

    def __init__(self, body: Graph, size: int, part: int, mapped: set[int]) -> None:
        self.body, self.size, self.part, self.mapped = body, size, part, mapped
        self.values: dict[int, _Value] = {}
        self.asked: int | None = None

    def run(self) -> Graph | None:
        """The body for `part` examples; None where they do not stay apart."""
        inputs = []
        for position, variable in enumerate(self.body.inputs):
            axis = 0 if position in self.mapped else None
            if axis == 0 and variable.type.shape[:1] != (self.size,):
                return None
            given = Variable(self.narrowed(variable.type, axis), variable.name)
            inputs.append(given)
            self.values[id(variable)] = _Value(given, axis)
        nodes = []
        try:
            for node in self.body.nodes:
                nodes.append(self._follow(node))
            outputs = tuple(self.at(atom, 0) for atom in self.body.outputs)
        except _Refused:
            return None
        return Graph(tuple(inputs), tuple(nodes), outputs, f"{self.body.name}_piece")

    def _follow(self, node: Node) -> Node:
        name, found = node.primitive.name, [self.value(atom) for atom in node.inputs]
        rule = RULES.get(name)
        if node.primitive.elementwise:
            rule = _same_axis
        shared = all(value.axis is None for value in found)
        if shared and name == "broadcast":
            repeated = node.parameters["shape"][:1] == (self.size,)
            shared = not (repeated and 0 in node.parameters["axes"])
        if shared:
            axes: list[int | None] = [None] * len(node.outputs)
            atoms, parameters = [value.atom for value in found], dict(node.parameters)
        elif rule is None:
            raise _Refused
        else:
            axis, atoms, parameters = rule(self, node, found, dict(node.parameters))
            axes = [axis] * len(node.outputs)
        outputs = tuple(
            Variable(self.narrowed(v.type, place), v.name)
            for v, place in zip(node.outputs, axes, strict=True)
        )
        for old, new, place in zip(node.outputs, outputs, axes, strict=True):
            self.values[id(old)] = _Value(new, place)
        return replace(node, inputs=tuple(atoms), parameters=parameters, outputs=outputs)

    def narrowed(self, type: ArrayType, axis: int | None) -> ArrayType:
        return type if axis is None else type.with_shape(self.shorter(type.shape, axis))

    def shorter(self, shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
        return (*shape[:axis], self.part, *shape[axis + 1 :])

    def value(self, atom: Atom) -> _Value:
        return _Value(atom, None) if isinstance(atom, Constant) else self.values[id(atom)]

    def at(self, atom: Atom, axis: int) -> Atom:
        """The atom with the examples on this axis."""
        value = self.value(atom)
        if value.axis == axis:
            return value.atom
        if value.axis is None and atom.type.shape[axis : axis + 1] == (self.size,):
            if isinstance(atom, Constant):
                return self._first_rows(atom, axis)
            if axis == 0 and any(atom is variable for variable in self.body.inputs):
                self.asked = next(p for p, v in enumerate(self.body.inputs) if v is atom)
        raise _Refused

    def _first_rows(self, atom: Constant, axis: int) -> Constant:
        """A constant that is the same for all examples, for fewer of them."""
        first = atom.value.take([0], axis)
        if not (atom.value == first).all():
            raise _Refused
        rows = atom.value.take(range(self.part), axis)
        return Constant(rows, self.narrowed(atom.type, axis))


Followed = tuple[int, list[Atom], dict[str, Any]]
Rule = Callable[[_Walk, Node, list[_Value], dict[str, Any]], Followed]


def _axis_of(found: list[_Value]) -> int:
    return next(value.axis for value in found if value.axis is not None)


def _same_axis(
    walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]
) -> Followed:
    """Elementwise: all inputs have the examples in one place."""
    axis = _axis_of(found)
    return axis, [walk.at(atom, axis) for atom in node.inputs], parameters


def _along(walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]) -> Followed:
    """Something happens along another axis, which stays."""
    axis, atoms, parameters = _same_axis(walk, node, found, parameters)
    if axis == parameters["axis"]:
        raise _Refused
    return axis, atoms, parameters


def _flip(walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]) -> Followed:
    if found[0].axis in parameters["axes"]:
        raise _Refused
    return _axis_of(found), [found[0].atom], parameters


def _reduce(walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]) -> Followed:
    """Other axes go."""
    axis = _axis_of(found)
    gone = parameters["axes"] if "axes" in parameters else (parameters["axis"],)
    if axis in gone:
        raise _Refused
    return axis - sum(a < axis for a in gone), [found[0].atom], parameters


def _transpose(
    walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]
) -> Followed:
    return parameters["axes"].index(found[0].axis), [found[0].atom], parameters


def _reshape(walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]) -> Followed:
    """The axes before that of the examples have as many elements before and afterwards."""
    axis, shape = _axis_of(found), node.outputs[0].type.shape
    before = math.prod(node.inputs[0].type.shape[:axis])
    for place in range(len(shape)):
        if shape[place] == walk.size and math.prod(shape[:place]) == before:
            parameters["shape"] = walk.shorter(shape, place)
            return place, [found[0].atom], parameters
    raise _Refused


def _broadcast(
    walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]
) -> Followed:
    """What is repeated for every example is repeated less often."""
    shape, new = parameters["shape"], parameters["axes"]
    if found[0].axis is not None:
        place = [axis for axis in range(len(shape)) if axis not in new][found[0].axis]
    else:
        place = 0
    parameters["shape"] = walk.shorter(shape, place)
    return place, [found[0].atom], parameters


def _slice(walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]) -> Followed:
    axis = _axis_of(found)
    cut = [parameters[name][axis] for name in ("starts", "stops", "steps")]
    if cut != [0, walk.size, 1]:
        raise _Refused
    parameters["stops"] = walk.shorter(parameters["stops"], axis)
    return axis, [found[0].atom], parameters


def _pad(walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]) -> Followed:
    axis = _axis_of(found)
    if any(parameters[name][axis] for name in ("low", "high", "interior")):
        raise _Refused
    return axis, [found[0].atom], parameters


def _gather(walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]) -> Followed:
    """Examples among the indices, of one table."""
    if found[0].axis is not None or found[1].axis is None:
        raise _Refused
    return parameters["axis"] + found[1].axis, [value.atom for value in found], parameters


def _dot(walk: _Walk, node: Node, found: list[_Value], parameters: dict[str, Any]) -> Followed:
    """The examples are a free axis of one operand, or the same batch axis of both."""
    contract, batch = parameters["contract"], parameters["batch"]
    axes = [value.axis for value in found]
    count = len(batch[0])
    if None not in axes:
        if (axes[0], axes[1]) not in zip(*batch, strict=True):
            raise _Refused
        return batch[0].index(axes[0]), [value.atom for value in found], parameters
    side = 0 if axes[0] is not None else 1
    if axes[side] in batch[side]:
        pair = batch[side].index(axes[side])
        return pair, [walk.at(x, batch[s][pair]) for s, x in enumerate(node.inputs)], parameters
    free = [
        [a for a in range(operand.type.ndim) if a not in contract[s] and a not in batch[s]]
        for s, operand in enumerate(node.inputs)
    ]
    if axes[side] not in free[side]:
        raise _Refused
    place = count + free[side].index(axes[side])  # type: ignore[arg-type]
    if side == 1:
        place += len(free[0])
    return place, [value.atom for value in found], parameters


RULES: dict[str, Rule] = {
    **dict.fromkeys(("sum", "max", "min", "prod", "argmax", "argmin"), _reduce),
    **dict.fromkeys(("cumsum", "concatenate", "gather_along", "scatter_add_along"), _along),
    **dict.fromkeys(("sort", "top_k"), _along),
    "moments": _reduce,
    "flip": _flip,
    "transpose": _transpose,
    "reshape": _reshape,
    "broadcast": _broadcast,
    "slice": _slice,
    "pad": _pad,
    "gather": _gather,
    "dot": _dot,
}

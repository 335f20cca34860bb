"""Attention as a program for each batch and key-value head, at every place of a grid.

The program is a Graph of the plain formulas over a block of queries, lowered like any other: its
contractions, loops and memory are of the size of a block. Where one block does not hold all
queries, blocks follow each other in a scan; with causal attention several scans, each over the
keys that its queries can see. So memory is linear in the length of the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir import ArrayType, Atom, Constant, Graph, Node, Variable, prune
from ..ir.loops import Access, Body, Grid, aligned
from ..ir.types import DTYPES, DType, int64, uint32
from ..ops.attention import (
    attend,
    attend_backward,
    compute_kept,
    compute_scores,
    multiply,
)
from ..ops.attention_numpy import padded
from ..ops.creation import zeros
from ..ops.joining import concatenate
from ..ops.promotion import convert
from ..ops.random import random_bits_p
from ..ops.scan import scan_p
from ..ops.shape import reshape, transpose
from ..trace import Array, Recorder, bind, recording
from .arena import plan_arena
from .nests import IndexMap, NestBuilder, View, row_major
from .pipeline import prepare
from .values import Values

SCORES = 65_536
"""Elements of the scores of a block: a quarter of a megabyte in float32, a part of the caches."""
ROWS = (32, 128)
"""The least and the most queries of a block."""
STEPS = 4
"""Scans into which causal blocks are parted: the more, the less is computed above the diagonal."""
PIECES = (8, 4, 2)
WORKSPACE = 1 << 24
"""Bytes that the workspaces of all pieces may take together, for more than two pieces."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Queries from `start` to `stop` in `count` blocks, and the keys that they can see."""

    start: int
    stop: int
    count: int
    keys: int


def part_queries(heads: int, queries: int, keys: int, causal: bool) -> list[Segment]:
    """How the queries of a key-value head are walked."""
    least, most = ROWS
    if causal:  # enough blocks to leave out what lies above the diagonal
        most = min(most, -(-queries // (STEPS * least)) * least)
    rows = max(min(SCORES // max(heads * keys, 1), most), least) // least * least
    if queries <= rows:
        return [Segment(0, queries, 1, min(keys, queries) if causal else keys)]
    whole, rest = divmod(queries, rows)
    parts = min(STEPS, whole) if causal else 1
    edges = sorted({whole * part // parts for part in range(parts + 1)})
    found = []
    for first, last in zip(edges, edges[1:]):
        seen = min(keys, last * rows) if causal else keys
        found.append(Segment(first * rows, last * rows, last - first, seen))
    if rest:
        found.append(Segment(whole * rows, queries, 1, min(keys, queries) if causal else keys))
    return found


Formula = Callable[[Segment, dict[str, Array]], list[Array]]
"""What is computed for a block of a segment, from everything by name."""

MOVING = ("q", "cotangent", "log_sums", "delta")
"""What each block of queries has its own part of; mask and bias too if they have an axis for it."""


def run_blocks(
    segment: Segment, given: dict[str, Array], formula: Formula, sums: Sequence[ArrayType]
) -> list[Array]:
    """A formula over the blocks of a segment.

    Args:
        segment: which queries.
        given: the inputs; "first" is the number of the first random block.
        formula: gives the results of a block, the last ones to be added up over the blocks.
        sums: the types of those that are added up.

    Returns:
        The results, the blocks side by side along axis 2, and the sums.
    """
    queries = given["q"].type.shape[2]
    part, moving = dict(given), []
    for name, x in given.items():
        wide = name in ("mask", "bias") and x.type.shape[2] == queries > 1
        if name in MOVING or wide:
            moving.append(name)
            if segment.stop - segment.start < queries:
                part[name] = x[:, :, segment.start : segment.stop]
    place = np.array(segment.start, np.int32)
    if segment.count == 1:
        return formula(segment, {**part, "place": Array(place)})
    rows = (segment.stop - segment.start) // segment.count
    stacked = {name: _stack(part[name], segment.count) for name in moving}
    places = place + rows * np.arange(segment.count, dtype=np.int32)
    stacked["place"] = Array(places)
    fixed = [name for name in part if name not in moving]
    carry = [zeros(type.shape, type.dtype) for type in sums]
    inputs = [*(part[name] for name in fixed), *carry, *stacked.values()]

    def step(*arrays: Array) -> list[Array]:
        names = [*fixed, *range(len(carry)), *stacked]
        values = dict(zip(names, arrays, strict=True))
        results = formula(segment, values)
        count = len(results) - len(carry)
        added = [values[order] + x for order, x in enumerate(results[count:])]
        return [*added, *results[:count]]

    types = [x.type for x in inputs[: len(fixed) + len(carry)]]
    types += [x.type.with_shape(x.type.shape[1:]) for x in stacked.values()]
    results = bind(
        scan_p,
        *inputs,
        body=record(step, types, "attention_block"),
        constants=len(fixed),
        carry=len(carry),
        length=segment.count,
        reverse=False,
    )
    return [*(_unstack(x) for x in results[len(carry) :]), *results[: len(carry)]]


def _stack(x: Array, count: int) -> Array:
    """Blocks of axis 2 as a new axis in front."""
    shape = x.type.shape
    parts = reshape(x, (*shape[:2], count, shape[2] // count, *shape[3:]))
    return transpose(parts, (2, 0, 1, *range(3, parts.type.ndim)))


def _unstack(x: Array) -> Array:
    """A block's results side by side along axis 2."""
    count, *shape = x.type.shape
    parts = transpose(x, (1, 2, 0, *range(3, x.type.ndim)))
    return reshape(parts, (*shape[:2], count * shape[2], *shape[3:]))


def record(function: Callable[..., list[Array]], types: Sequence[ArrayType], name: str) -> Graph:
    """The program of a function."""
    recorder = Recorder(name, abstract="an attention program")
    with recording(recorder):
        inputs: list[Array] = [recorder.add_input(type, "x") for type in types]
        return prune(recorder.finish(function(*inputs)))


# -- the formulas ---------------------------------------------------------------------------------


def _scores(segment: Segment, given: dict[str, Array], options: dict[str, Any]) -> Array:
    products = multiply(given["q"], given["k_turned"], 2)
    extra = [given[name] for name in ("mask", "bias") if name in given]
    return compute_scores(products, extra, first=given["place"], **options)


def _kept(segment: Segment, given: dict[str, Array], options: dict[str, Any]) -> Array | None:
    if not options["dropout"]:
        return None
    batch, heads, rows, _ = given["q"].type.shape
    width = options["padded"]
    parts = []
    for head in range(heads):
        blocks = (convert(given["place"], int64) + head * options["queries"]) * (width // 4)
        first = given["first"] + blocks
        shape = (batch, 1, rows, width)
        parts.append(bind(random_bits_p, given["state"], first, shape=shape)[0])
    words = parts[0] if heads == 1 else concatenate(parts, axis=1)
    return compute_kept(words, segment.keys, given["q"].type.dtype, options["dropout"])


def _seen(given: dict[str, Array], segment: Segment) -> dict[str, Array]:
    """What a segment sees of keys, values, mask and bias; k and v also turned."""
    found = dict(given)
    for name in ("mask", "bias"):
        if name in given:
            found[name] = given[name][..., : segment.keys]
    for name in ("k", "v"):
        found[name] = given[name][:, :, : segment.keys]
        found[f"{name}_turned"] = transpose(found[name], (0, 1, 3, 2))
    return found


def _forward(options: dict[str, Any], given: dict[str, Array]) -> list[Array]:
    def formula(segment: Segment, values: dict[str, Array]) -> list[Array]:
        scores = _scores(segment, values, options)
        return attend(scores, values["v"], _kept(segment, values, options))

    parts = []
    for segment in _segments(options, given):
        visible = _seen(given, segment)
        del visible["v_turned"], visible["k"]
        parts.append(run_blocks(segment, visible, formula, ()))
    return [_join(list(column)) for column in zip(*parts, strict=True)]


def _backward(options: dict[str, Any], given: dict[str, Array]) -> list[Array]:
    def formula(segment: Segment, values: dict[str, Array]) -> list[Array]:
        scores = _scores(segment, values, options)
        leaving = multiply(values["cotangent"], values["v_turned"], 2)
        dq, dk, dv, change = attend_backward(
            scores,
            leaving,
            values["q"],
            values["k"],
            _kept(segment, values, options),
            values["log_sums"],
            values["cotangent"],
            values["delta"],
            options["scale"],
        )
        return [dq, *([change] if options["with_scores"] else []), dk, dv]

    keys = given["k"].type.shape[2]
    parts = []
    for segment in _segments(options, given):
        visible = _seen(given, segment)
        sums = [visible[name].type for name in ("k", "v")]
        del visible["v"]
        parts.append(run_blocks(segment, visible, formula, sums))
    columns = [list(column) for column in zip(*parts, strict=True)]
    dk, dv = (_add([_widen(x, 2, keys) for x in column]) for column in columns[-2:])
    scores = [_join([_widen(x, 3, keys) for x in column]) for column in columns[1:-2]]
    return [_join(columns[0]), dk, dv, *scores]


def _segments(options: dict[str, Any], given: dict[str, Array]) -> list[Segment]:
    _, heads, queries, _ = given["q"].type.shape
    return part_queries(heads, queries, given["k"].type.shape[2], options["causal"])


def _join(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else concatenate(parts, axis=2)


def _widen(x: Array, axis: int, size: int) -> Array:
    """Zeros behind the elements of an axis, up to a size."""
    shape = x.type.shape
    if shape[axis] == size:
        return x
    missing = (*shape[:axis], size - shape[axis], *shape[axis + 1 :])
    return concatenate([x, zeros(missing, x.type.dtype)], axis=axis)


def _add(parts: list[Array]) -> Array:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


# -- lowering -------------------------------------------------------------------------------------


def lower_attention(values: Values, node: Node) -> bool:
    """A grid over batch and key-value heads."""
    return _lower(values, node, ("q", "k", "v"), (), _forward)


def lower_attention_gradient(values: Values, node: Node) -> bool:
    """The same; a head of keys and values gets the sums over the heads that share it."""
    return _lower(values, node, ("q", "k", "v"), ("log_sums", "cotangent", "delta"), _backward)


def _lower(
    values: Values,
    node: Node,
    front: tuple[str, ...],
    back: tuple[str, ...],
    formula: Callable[[dict[str, Any], dict[str, Array]], list[Array]],
) -> bool:
    options = dict(node.parameters)
    middle = [name for name in ("mask", "bias") if options[f"has_{name}"]]
    middle += ["state"] if options["dropout"] else []
    atoms: dict[str, Atom] = dict(zip([*front, *middle, *back], node.inputs, strict=True))
    batch, heads, queries, _ = atoms["q"].type.shape
    groups, keys = atoms["k"].type.shape[1:3]
    if any(0 in atom.type.shape for atom in node.inputs):
        for variable in node.outputs:
            target = values.new(variable.type.dtype, variable.type.shape)
            values.fill(target, _zero_of(target.dtype))
            values.known[id(variable)] = target
        return True
    options.update(padded=padded(keys), queries=queries)
    extents = (batch, groups)
    views = {name: _tile(values.materialise(atom), extents) for name, atom in atoms.items()}
    if options["dropout"]:
        views["first"] = _tile(values.constant(_number_blocks(atoms, groups)), extents)

    def program(*arrays: Array) -> list[Array]:
        return formula(options, dict(zip(views, arrays, strict=True)))

    types = [ArrayType(tile.view.dtype, tile.view.shape) for tile in views.values()]
    outputs = [_tile(_place(values, variable), extents) for variable in node.outputs]
    strides = [[tile.view.strides for tile in part] for part in (list(views.values()), outputs)]
    key = repr((node.primitive.name, sorted(options.items()), types, strides))
    body = values.programs.get(key)  # layers of one shape share it
    if body is None:
        # What is taken out of a loop over blocks is computed for all of them at once.
        without = values.schedule.without | {"hoist"}
        graph = prepare(record(program, types, node.primitive.name), without)
        schedule = values.lower_placed(graph, *strides)
        arena = plan_arena(schedule)
        body = values.programs[key] = Body(schedule, arena.places, aligned(arena.size))
    pieces = _choose_pieces(batch * groups, body.size)
    workspace = values.new(DTYPES["uint8"], (pieces * body.size,)).buffer
    values.schedule.kernels.append(
        Grid(
            body,
            extents,
            tuple(tile.access for tile in views.values()),
            tuple(tile.access for tile in outputs),
            pieces,
            workspace,
        )
    )
    for variable, tile in zip(node.outputs, outputs, strict=True):
        values.known[id(variable)] = tile.whole
    return True


def _zero_of(dtype: DType) -> Callable[[NestBuilder, IndexMap], int]:
    return lambda builder, index: builder.add("constant", dtype, value=0)


def _choose_pieces(places: int, size: int) -> int:
    for pieces in PIECES:
        if pieces <= places and (pieces * size <= WORKSPACE or pieces == PIECES[-1]):
            return pieces
    return 1


def _number_blocks(atoms: dict[str, Atom], groups: int) -> Constant:
    """The first block of random words of each place."""
    batch, heads, queries, _ = atoms["q"].type.shape
    blocks = padded(atoms["k"].type.shape[2]) // 4
    first = np.arange(batch * groups, dtype=np.int64) * (heads // groups * queries * blocks)
    return Constant(first.reshape(batch, groups), ArrayType(int64, (batch, groups)))


@dataclass(frozen=True, slots=True)
class Tile:
    """A value in memory, and the part of it that the first place of the grid works on."""

    whole: View
    view: View
    access: Access


def _tile(whole: View, extents: tuple[int, int]) -> Tile:
    """The part for a batch and a key-value head: axis 0 and, by equal shares, axis 1."""
    if whole.dtype == uint32:  # the state of the random generator
        return Tile(whole, whole, Access(whole.buffer, whole.offset, (0, 0)))
    if len(whole.shape) == 2:  # one number for each place
        view = View(whole.buffer, whole.offset, (), (), whole.dtype)
        return Tile(whole, view, Access(whole.buffer, whole.offset, whole.strides))
    batch, heads = whole.shape[:2]
    share = -(-heads // extents[1])
    steps = (
        0 if batch == 1 else whole.strides[0],
        0 if heads == 1 else whole.strides[1] * share,
    )
    shape = (1, share, *whole.shape[2:])
    strides = (0, 0 if share == 1 else whole.strides[1], *whole.strides[2:])
    view = View(whole.buffer, whole.offset, strides, shape, whole.dtype)
    return Tile(whole, view, Access(whole.buffer, whole.offset, steps))


def _place(values: Values, variable: Variable) -> View:
    """Memory for an output: of four axes the heads come last but one, as those who use it like."""
    type, shape = variable.type, variable.type.shape
    if id(variable) in values.placed:
        return values.place(variable)
    if len(shape) < 4:
        return values.new(type.dtype, shape)
    batch, heads, rows, last = shape
    number = values.new(type.dtype, (batch, rows, heads, last)).buffer
    steps = row_major((batch, rows, heads, last))
    return View(number, 0, (steps[0], steps[2], steps[1], steps[3]), shape, type.dtype)

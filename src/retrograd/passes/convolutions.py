"""Lowering of conv: contractions that read the input in place, without patches in memory.

    out[n, p, o] = sum over k and c of x[n, p * stride + k * dilation - low, c] * w[k, c, o]

is a contraction with affine addresses once x has its padding in memory. That copy is cheap beside
the arithmetic; the kernel and the gradients share it where they can.

Input dilation (the gradient of a stride) multiplies nothing by the zeros between elements. Outputs
whose places leave the same remainder meet the same places of the kernel: such a phase is a conv
without input dilation, with part of the kernel, into a strided view of the output. Neighbouring
phases with as many places of the kernel are one more axis of the same contraction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from ..ir import Node
from ..ir.loops import Access, Contraction, Guard
from .contractions import append_contraction
from .nests import View, row_major
from .padding import Sides, dilate_view, fill_zeros, find_padded, pad_view, write_bordered
from .unpadded import append_unpadded, arrange_unpadded, is_worth
from .values import Values

MOST_PIECES = 24
"""Contractions for one conv, at the most; beyond, the zeros between elements are written out."""
MOST_GROWTH = 4
"""A value is not written with zeros around where that takes more than this times its memory."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Outputs along one axis of space that meet the kernel in the same way.

    Output `start + run * r + step * q` takes, for `j < taps`, the kernel's element
    `tap + tap_run * r + tap_step * j` times the input's element `first + over_q * q + over_j * j`.
    """

    start: int
    runs: int
    step: int
    count: int
    tap: int
    tap_run: int
    tap_step: int
    taps: int
    first: int
    over_q: int
    over_j: int

    def extremes(self) -> tuple[int, int]:
        """The lowest and the highest element of the input, which may lie outside of it."""
        reach = (self.count - 1) * self.over_q + (self.taps - 1) * self.over_j
        return self.first, self.first + reach


def lower_conv(values: Values, node: Node) -> bool:
    """Pad the input where that is needed, then one contraction for each combination of pieces."""
    output, parameters = node.outputs[0], node.parameters
    if not output.type.floating:
        return False
    x_type, w_type = (atom.type for atom in node.inputs)
    target = new_output(values, node)
    values.known[id(output)] = target
    if 0 in (*output.type.shape, *x_type.shape, *w_type.shape):
        fill_zeros(values, target)
        return True
    x, w = values.materialise(node.inputs[0]), values.materialise(node.inputs[1])
    pieces, low, high = find_pieces(node, parameters["input_dilation"])
    if math.prod(map(len, pieces)) > MOST_PIECES:
        x = dilate_view(values, x, [1, *parameters["input_dilation"], 1])
        pieces, low, high = find_pieces(node, (1,) * len(pieces), x.shape)
    groups = (parameters["feature_groups"], parameters["batch_groups"])
    if _convolve_unpadded(values, x, w, target, pieces, low, high, groups):
        return True
    padded = pad_view(values, x, low, high)
    for chosen in product(*pieces):
        convolve(values, padded, w, target, chosen, low[1:-1], groups)
    return True


def _convolve_unpadded(
    values: Values,
    x: View,
    w: View,
    out: View,
    pieces: list[list[Piece]],
    low: tuple[int, ...],
    high: tuple[int, ...],
    groups: tuple[int, int],
) -> bool:
    """Read x where it lies, with guards, if a copy with zeros around would have to be made."""
    if find_padded(values, x, low, high):
        return False
    found = _find_unpadded(x, w, out, pieces, low, high, groups)
    if found is None:
        return False
    append_unpadded(values, *found)
    return True


def _find_unpadded(
    x: View,
    w: View,
    out: View,
    pieces: list[list[Piece]],
    low: tuple[int, ...],
    high: tuple[int, ...],
    groups: tuple[int, int],
) -> tuple[Contraction, int] | None:
    """The contraction that reads x where it lies; None where a copy is better."""
    alone = [cut[0] for cut in pieces if len(cut) == 1 and cut[0].runs == 1]
    if len(alone) < len(pieces) or groups != (1, 1):
        return None
    c = contract_piece(x, w, out, alone, [0] * len(alone), groups)
    if isinstance(c, View) or not is_worth(c, math.prod(x.shape)):
        return None
    guards = []
    for axis, piece in enumerate(alone):
        if low[1 + axis] or high[1 + axis]:
            # The axes are batch, (places, runs) of each axis, groups, features, taps, channels.
            strides = [0] * len(c.extents)
            strides[1 + 2 * axis] = piece.over_q
            strides[3 + 2 * len(alone) + axis] = piece.over_j
            guards.append(Guard(piece.first, tuple(strides), x.shape[1 + axis]))
    return arrange_unpadded(replace(c, a=replace(c.a, guards=tuple(guards)))) if guards else None


def find_pieces(
    node: Node, between: tuple[int, ...], shape: tuple[int, ...] | None = None
) -> tuple[list[list[Piece]], tuple[int, ...], tuple[int, ...]]:
    """The pieces of each axis of space, and the zeros that they need before and after x.

    Args:
        node: the conv.
        between: the input dilation.
        shape: of x, if it is another than the node's.
    """
    parameters = node.parameters
    shape = node.inputs[0].type.shape if shape is None else shape
    pieces = []
    low, high = [0] * len(shape), [0] * len(shape)
    for axis, step in enumerate(between):
        cut = cut_axis(
            node.outputs[0].type.shape[1 + axis],
            node.inputs[1].type.shape[axis],
            parameters["stride"][axis],
            parameters["kernel_dilation"][axis],
            parameters["padding"][axis][0],
            step,
        )
        pieces.append(cut)
        used = [piece.extremes() for piece in cut if piece.taps]
        if used:
            low[1 + axis] = max(0, -min(first for first, _ in used))
            high[1 + axis] = max(0, max(last for _, last in used) - shape[1 + axis] + 1)
    return pieces, tuple(low), tuple(high)


def plan_borders(values: Values) -> None:
    """Let values that a conv will read be written with zeros around them at once.

    Where all that want zeros can as well do without, the value stays as it is.
    """
    made_by = {id(atom): node for node in values.graph.nodes for atom in node.outputs}
    wanted: dict[int, Sides] = {}
    needed: set[int] = set()
    for node in values.graph.nodes:
        if node.primitive.name != "conv" or 0 in node.inputs[0].type.shape:
            continue
        pieces, low, high = find_pieces(node, node.parameters["input_dilation"])
        if math.prod(map(len, pieces)) > MOST_PIECES:
            continue
        atom, sides = node.inputs[0], list(zip(low, high))
        order = list(range(len(low)))
        maker = made_by.get(id(atom))
        while maker is not None and maker.primitive.name == "transpose":
            axes = maker.parameters["axes"]
            sides = [sides[axes.index(axis)] for axis in range(len(axes))]
            order = [axes[axis] for axis in order]
            atom = maker.inputs[0]
            maker = made_by.get(id(atom))
        before = wanted.get(id(atom), ((0, 0),) * len(sides))
        sides = [(max(a, x), max(b, y)) for (a, b), (x, y) in zip(before, sides)]
        size = math.prod(a + n + b for n, (a, b) in zip(atom.type.shape, sides))
        if maker is not None and any(map(any, sides)) and 0 < size <= MOST_GROWTH * atom.type.size:
            wanted[id(atom)] = tuple(sides)
            steps = row_major(atom.type.shape)
            if not _does_without(node, tuple(steps[axis] for axis in order), pieces, low, high):
                needed.add(id(atom))
    for number, found in wanted.items():
        if number in needed:
            values.layouts[number] = partial(write_bordered, sides=found)


def _does_without(
    node: Node,
    strides: tuple[int, ...],
    pieces: list[list[Piece]],
    low: tuple[int, ...],
    high: tuple[int, ...],
) -> bool:
    """Whether a conv reads its input where it lies, with these strides, or needs no zeros."""
    if not any(low) and not any(high):
        return True
    x, w = (
        View(number, 0, steps, atom.type.shape, atom.type.dtype)
        for number, (atom, steps) in enumerate(
            zip(node.inputs, (strides, row_major(node.inputs[1].type.shape)), strict=True)
        )
    )
    shape = node.outputs[0].type.shape
    steps = row_major(shape)
    if _is_turned(x):
        steps = _turn(row_major((*shape[1:-1], shape[0], shape[-1])))
    out = View(2, 0, steps, shape, x.dtype)
    groups = (node.parameters["feature_groups"], node.parameters["batch_groups"])
    return _find_unpadded(x, w, out, pieces, low, high, groups) is not None


def new_output(values: Values, node: Node) -> View:
    """Memory for the output, in the order of axes that x has.

    In the gradient by the kernel, x comes with batch and channels exchanged, and what comes out is
    transposed afterwards: so it is written as it will be needed.
    """
    output = node.outputs[0]
    shape = output.type.shape
    x = values.known.get(id(node.inputs[0]))
    if isinstance(x, View) and _is_turned(x):
        memory = values.new(output.type.dtype, (*shape[1:-1], shape[0], shape[-1]))
        return View(memory.buffer, 0, _turn(memory.strides), shape, memory.dtype)
    return values.new(output.type.dtype, shape)


def _is_turned(x: View) -> bool:
    """Whether the first axis lies inside of those of space."""
    outer = [step for step, size in zip(x.strides[1:-1], x.shape[1:-1]) if size > 1]
    return x.strides[0] < min(outer, default=0)


def _turn(strides: tuple[int, ...]) -> tuple[int, ...]:
    """The last axis but one comes first."""
    return (strides[-2], *strides[:-2], strides[-1])


# -- phases ---------------------------------------------------------------------------------------


def cut_axis(
    count: int, kernel: int, stride: int, dilation: int, low: int, between: int
) -> list[Piece]:
    """The pieces of an axis: output p and kernel place k meet in `p * stride + k * dilation - low`.

    Args:
        count: outputs.
        kernel: places of the kernel.
        stride: between outputs, in the dilated input.
        dilation: between places of the kernel, in the dilated input.
        low: the padding before the input.
        between: the input dilation.
    """
    phases = between // math.gcd(stride, between)
    tap_step = between // math.gcd(dilation, between)
    found: list[Piece] = []
    for start in range(min(phases, count)):
        tap, taps, first = 0, 0, 0
        for place in range(min(tap_step, kernel)):
            position = start * stride + place * dilation - low
            if position % between == 0:
                tap, taps = place, -(-(kernel - place) // tap_step)
                first = position // between
                break
        piece = Piece(
            start,
            1,
            phases,
            -(-(count - start) // phases),
            tap,
            0,
            tap_step,
            taps,
            first,
            phases * stride // between,
            tap_step * dilation // between,
        )
        joined = join(found[-1], piece) if found else None
        if joined is None:
            found.append(piece)
        else:
            found[-1] = joined
    return found


def join(before: Piece, piece: Piece) -> Piece | None:
    """One piece for both, if the second is one phase further and its places of the kernel too."""
    if (before.count, before.taps) != (piece.count, piece.taps):
        return None
    if piece.taps and before.first != piece.first:
        return None
    move = piece.tap - before.tap - before.tap_run * (before.runs - 1)
    if before.runs > 1 and move != before.tap_run:
        return None
    return Piece(
        before.start,
        before.runs + 1,
        before.step,
        before.count,
        before.tap,
        move,
        before.tap_step,
        before.taps,
        before.first,
        before.over_q,
        before.over_j,
    )


# -- one contraction ------------------------------------------------------------------------------


def convolve(
    values: Values,
    x: View,
    w: View,
    out: View,
    pieces: Sequence[Piece],
    low: Sequence[int],
    groups: tuple[int, int],
) -> None:
    """The outputs of one piece along each axis. x is padded by `low`."""
    found = contract_piece(x, w, out, pieces, low, groups)
    if isinstance(found, View):
        fill_zeros(values, found)
        return
    append_contraction(
        values, found.extents, found.reduced, found.dtype, found.a, found.b, found.out
    )


def contract_piece(
    x: View,
    w: View,
    out: View,
    pieces: Sequence[Piece],
    low: Sequence[int],
    groups: tuple[int, int],
) -> Contraction | View:
    """The contraction for one piece along each axis; outputs without terms are a view."""
    rank = len(pieces)
    feature_groups, batch_groups = groups
    count = max(groups)
    batch, channels, features = out.shape[0], w.shape[-2], out.shape[-1] // count
    over_groups = x.strides[0] * batch if batch_groups > 1 else x.strides[-1] * channels
    # For each axis of the loops: its extent, whether it is reduced, and the strides of x, w, out.
    axes = [(batch, False, x.strides[0], 0, out.strides[0])]
    a = x.offset
    b = w.offset
    c = out.offset
    for axis, piece in enumerate(pieces):
        along_x, along_w, along_out = x.strides[1 + axis], w.strides[axis], out.strides[1 + axis]
        a += (piece.first + low[axis]) * along_x
        b += piece.tap * along_w
        c += piece.start * along_out
        axes += [
            (piece.count, False, piece.over_q * along_x, 0, piece.step * along_out),
            (piece.runs, False, 0, piece.tap_run * along_w, along_out),
        ]
    axes += [
        (count, False, over_groups, w.strides[-1] * features, out.strides[-1] * features),
        (features, False, 0, w.strides[-1], out.strides[-1]),
    ]
    if not all(piece.taps for piece in pieces):
        shape = tuple(extent for extent, *_ in axes)
        strides = tuple(stride for *_, stride in axes)
        return View(out.buffer, c, strides, shape, out.dtype)
    for axis in range(rank):
        piece = pieces[axis]
        step = piece.over_j * x.strides[1 + axis]
        axes.append((piece.taps, True, step, piece.tap_step * w.strides[axis], 0))
    axes.append((channels, True, x.strides[-1], w.strides[-2], 0))
    extents, reduced, over_x, over_w, over_out = zip(*axes)
    return Contraction(
        extents,
        reduced,
        out.dtype,
        Access(x.buffer, a, over_x),
        Access(w.buffer, b, over_w),
        Access(out.buffer, c, over_out),
    )

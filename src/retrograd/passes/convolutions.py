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
from dataclasses import dataclass
from itertools import product

from ..ir import Node
from ..ir.loops import Access, Guard
from .contractions import append_contraction
from .nests import Affine, IndexMap, NestBuilder, View, row_major
from .values import Values

MOST_PIECES = 24
"""Contractions for one conv, at the most; beyond, the zeros between elements are written out."""


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
    rank = x_type.ndim - 2
    along = list(range(1, rank + 1))
    between = list(parameters["input_dilation"])
    lows = [low for low, _ in parameters["padding"]]
    steps = list(
        zip(
            output.type.shape[1:-1],
            w_type.shape[:rank],
            parameters["stride"],
            parameters["kernel_dilation"],
            lows,
        )
    )
    pieces = [cut_axis(*steps[axis], between[axis]) for axis in range(rank)]
    if math.prod(map(len, pieces)) > MOST_PIECES:
        x = dilate_view(values, x, [1, *between, 1])
        pieces = [cut_axis(*steps[axis], 1) for axis in range(rank)]
    low, high = [0] * (rank + 2), [0] * (rank + 2)
    for axis, cut in zip(along, pieces):
        used = [piece.extremes() for piece in cut if piece.taps]
        if used:
            low[axis] = max(0, -min(first for first, _ in used))
            high[axis] = max(0, max(last for _, last in used) - x.shape[axis] + 1)
    # Where outputs meet no element at all, x may be read nowhere.
    padded = pad_view(values, x, tuple(low), tuple(high))
    groups = (parameters["feature_groups"], parameters["batch_groups"])
    for chosen in product(*pieces):
        convolve(values, padded, w, target, chosen, low[1:-1], groups)
    return True


def new_output(values: Values, node: Node) -> View:
    """Memory for the output, in the order of axes that x has.

    In the gradient by the kernel, x comes with batch and channels exchanged, and what comes out is
    transposed afterwards: so it is written as it will be needed.
    """
    output = node.outputs[0]
    shape = output.type.shape
    x = values.known.get(id(node.inputs[0]))
    if isinstance(x, View) and x.strides[0] < min(
        (s for s, n in zip(x.strides[1:-1], x.shape[1:-1]) if n > 1), default=0
    ):
        memory = values.new(output.type.dtype, (*shape[1:-1], shape[0], shape[-1]))
        strides = (memory.strides[-2], *memory.strides[:-2], memory.strides[-1])
        return View(memory.buffer, 0, strides, shape, memory.dtype)
    return values.new(output.type.dtype, shape)


def fill_zeros(values: Values, target: View) -> None:
    values.fill(
        target, lambda builder, index: builder.add("constant", target.dtype, value=0), merge=False
    )


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
    low: list[int],
    groups: tuple[int, int],
) -> None:
    """The outputs of one piece along each axis. x is padded by `low`."""
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
        fill_zeros(values, View(out.buffer, c, strides, shape, out.dtype))
        return
    for axis in range(rank):
        piece = pieces[axis]
        step = piece.over_j * x.strides[1 + axis]
        axes.append((piece.taps, True, step, piece.tap_step * w.strides[axis], 0))
    axes.append((channels, True, x.strides[-1], w.strides[-2], 0))
    extents, reduced, over_x, over_w, over_out = zip(*axes)
    append_contraction(
        values,
        extents,
        reduced,
        out.dtype,
        Access(x.buffer, a, over_x),
        Access(w.buffer, b, over_w),
        Access(out.buffer, c, over_out),
    )


# -- padding --------------------------------------------------------------------------------------


def pad_view(values: Values, x: View, low: tuple[int, ...], high: tuple[int, ...]) -> View:
    """x with zeros around, in the order of memory that it has; a copy with the same padding is
    made once."""
    if not any(low) and not any(high):
        return x
    # The strides of axes of size 1 say nothing: these axes come last, all alike.
    steps = [abs(step) if size > 1 else 0 for step, size in zip(x.strides, x.shape)]
    order = sorted(range(len(x.shape)), key=lambda axis: (-steps[axis], low[axis], high[axis]))
    source = View(
        x.buffer,
        x.offset,
        tuple(x.strides[axis] if x.shape[axis] > 1 else 0 for axis in order),
        tuple(x.shape[axis] for axis in order),
        x.dtype,
    )
    sides = tuple((low[axis], high[axis]) for axis in order)
    key = (source, sides)
    if key not in values.padded:
        values.padded[key] = _pad(values, source, sides)
    made = values.padded[key]
    shape, strides = [0] * len(order), [0] * len(order)
    for place, axis in enumerate(order):
        shape[axis], strides[axis] = made.shape[place], made.strides[place]
    return View(made.buffer, made.offset, tuple(strides), tuple(shape), x.dtype)


def _pad(values: Values, x: View, sides: tuple[tuple[int, int], ...]) -> View:
    shape = tuple(low + size + high for (low, high), size in zip(sides, x.shape))
    target = values.new(x.dtype, shape)
    flat_x, flat_sides, flat_shape = flatten_rows(x, sides, shape)
    into = View(target.buffer, 0, row_major(flat_shape), flat_shape, x.dtype)

    def read(builder: NestBuilder, index: IndexMap) -> int:
        moved: list[Affine] = []
        guards = []
        for affine, (low, high), size in zip(index, flat_sides, flat_x.shape):
            shifted = affine.scaled(1, -low)
            moved.append(shifted)
            if low or high:
                guards.append(Guard(shifted.offset, shifted.coefficients, size))
        return builder.load(flat_x, tuple(moved), tuple(guards))

    values.fill(into, read, merge=False)
    return target


def flatten_rows(
    x: View, sides: tuple[tuple[int, int], ...], shape: tuple[int, ...]
) -> tuple[View, tuple[tuple[int, int], ...], tuple[int, ...]]:
    """The innermost padded axis and all axes inside as one, where x lies so: longer rows."""
    last = max(axis for axis, pair in enumerate(sides) if any(pair))
    inside = math.prod(x.shape[last + 1 :])
    whole = row_major((1, *x.shape[last + 1 :]))
    if x.strides[last:] != whole and x.shape[last] != 1:
        return x, sides, shape
    if x.strides[last + 1 :] != whole[1:]:
        return x, sides, shape
    flat = View(
        x.buffer, x.offset, (*x.strides[:last], 1), (*x.shape[:last], x.shape[last] * inside),
        x.dtype,
    )  # fmt: skip
    low, high = sides[last]
    return (
        flat,
        (*sides[:last], (low * inside, high * inside)),
        (*shape[:last], shape[last] * inside),
    )


def dilate_view(values: Values, x: View, between: list[int]) -> View:
    """x with zeros written between its elements."""
    shape = tuple((size - 1) * step + 1 for size, step in zip(x.shape, between))
    target = values.new(x.dtype, shape)
    fill_zeros(values, target)
    strides = tuple(stride * step for stride, step in zip(target.strides, between))
    inner = View(target.buffer, 0, strides, x.shape, x.dtype)
    values.fill(inner, lambda builder, index: builder.load(x, index), merge=False)
    return target

"""Lowering of reductions and of dot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..ir import Node
from ..ir.loops import Access, Contraction
from ..ir.types import DType
from .nests import View
from .values import Values

PANEL = 256
"""Bytes of a row in a panel: a multiple of every vector."""
FAR = 2048
"""Bytes between rows of an operand above which panels pay off: each row is on another page."""
LARGE, TOGETHER = 1 << 20, 4
"""Bytes from which on an operand comes from memory, and how many panels are then filled at once."""
LANES = 64
"""Bytes of a vector in the choice between two ways to compute; the same for all targets."""


def lower_dot(values: Values, node: Node) -> bool:
    """A contraction over the axes that both operands give up."""
    a, b = node.inputs
    output = node.outputs[0]
    if not output.type.floating:
        return False
    contract, batch = node.parameters["contract"], node.parameters["batch"]
    free_a = [x for x in range(a.type.ndim) if x not in contract[0] and x not in batch[0]]
    free_b = [x for x in range(b.type.ndim) if x not in contract[1] and x not in batch[1]]
    extents = [*output.type.shape, *(a.type.shape[x] for x in contract[0])]
    target = values.place(output)
    values.known[id(output)] = target
    if 0 in extents:
        values.fill(target, lambda b, index: b.add("constant", target.dtype, value=0))
        return True
    left, right = values.materialise(a), values.materialise(b)
    count, rows = len(batch[0]), len(free_a)
    order_a = {axis: place for place, axis in enumerate(batch[0])}
    order_a.update({axis: count + place for place, axis in enumerate(free_a)})
    order_b = {axis: place for place, axis in enumerate(batch[1])}
    order_b.update({axis: count + rows + place for place, axis in enumerate(free_b)})
    for place, (x, y) in enumerate(zip(*contract, strict=True)):
        order_a[x] = order_b[y] = output.type.ndim + place
    out = Access(target.buffer, target.offset, (*target.strides, *([0] * len(contract[0]))))
    reduced = tuple(axis >= output.type.ndim for axis in range(len(extents)))
    accesses = spread(left, order_a, len(extents)), spread(right, order_b, len(extents))
    append_contraction(values, extents, reduced, output.type.dtype, *accesses, out)
    return True


def spread(view: View, order: dict[int, int], count: int) -> Access:
    """The access of a view whose axis x is loop axis order[x]."""
    strides = [0] * count
    for axis, stride in enumerate(view.strides):
        if view.shape[axis] != 1:
            strides[order[axis]] = stride
    return Access(view.buffer, view.offset, tuple(strides))


# -- the form that the code generator likes -------------------------------------------------------


def append_contraction(
    values: Values,
    extents: Sequence[int],
    reduced: Sequence[bool],
    dtype: DType,
    a: Access,
    b: Access,
    out: Access,
) -> None:
    """Add a contraction: with few axes, and an operand that can be read as vectors."""
    c = simplify(Contraction(tuple(extents), tuple(reduced), dtype, a, b, out))
    values.schedule.kernels.append(merge_axes(arrange(values, c)))


def simplify(c: Contraction) -> Contraction:
    """Without axes of size 1, reduced axes by the distance of their elements, neighbours merged."""
    axes = [axis for axis, extent in enumerate(c.extents) if extent != 1]
    axes.sort(key=lambda axis: (c.reduced[axis], c.reduced[axis] and -_distance(c, axis)))
    return merge_axes(choose_axes(c, [(axis,) for axis in axes]))


def merge_axes(c: Contraction) -> Contraction:
    """Axes that can be walked as one, as one."""
    merging = True
    while merging:
        merging = False
        for outer in range(len(c.extents)):
            for inner in range(len(c.extents)):
                if not merging and outer != inner and _merges(c, outer, inner):
                    groups: list[tuple[int, ...]]
                    groups = [(axis,) for axis in range(len(c.extents)) if axis != outer]
                    groups[groups.index((inner,))] = (outer, inner)
                    c = choose_axes(c, groups)
                    merging = True
    return c


def _distance(c: Contraction, axis: int) -> int:
    return max(abs(c.a.strides[axis]), abs(c.b.strides[axis]))


def _merges(c: Contraction, outer: int, inner: int) -> bool:
    """Whether two axes can be walked as one."""
    if c.panel is not None and c.panel[0] in (outer, inner):
        return False
    walks = [access.strides for access in (c.a, c.b, c.out)]
    walks += [guard.strides for guard in (*c.a.guards, *c.b.guards)]
    return c.reduced[outer] == c.reduced[inner] and all(
        strides[outer] == strides[inner] * c.extents[inner] for strides in walks
    )


def choose_axes(c: Contraction, groups: Sequence[tuple[int, ...]]) -> Contraction:
    """The contraction over groups of its axes; each group is walked as one axis."""

    def pick(strides: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(strides[group[-1]] for group in groups)

    def choose(access: Access) -> Access:
        guards = tuple(replace(guard, strides=pick(guard.strides)) for guard in access.guards)
        return replace(access, strides=pick(access.strides), guards=guards)

    panel = c.panel
    if panel is not None:
        panel = (groups.index((panel[0],)), panel[1])
    return replace(
        c,
        panel=panel,
        extents=tuple(math.prod(c.extents[axis] for axis in group) for group in groups),
        reduced=tuple(c.reduced[group[-1]] for group in groups),
        a=choose(c.a),
        b=choose(c.b),
        out=choose(c.out),
    )


def arrange(values: Values, c: Contraction) -> Contraction:
    """Exchange or pack the operands, so that b is contiguous along the output's last axis.

    An operand that has lanes along a reduced axis in both operands needs no packing; that way is
    taken where it costs less.
    """
    if len(c.extents) > 0 and not any(c.out.strides):
        return _arrange_across(values, c, pack_anyway=True)
    lasting = [axis for axis, stride in enumerate(c.out.strides) if stride == 1]
    lasting = [axis for axis in lasting if not c.reduced[axis]]
    if not lasting:
        return _arrange_across(values, c, pack_anyway=False)
    last = max(lasting, key=lambda axis: c.extents[axis])
    if not c.b.strides[last]:
        c = replace(c, a=c.b, b=c.a)
    if c.a.strides[last]:
        return _arrange_both(values, c, last)
    if _is_cheaper_across(c, last):
        return _arrange_across(values, c, pack_anyway=True)
    if c.b.strides[last] != 1 or _is_far_apart(c, last):
        c = pack_panels(values, c, last)
    crowded = _find_crowded(c)
    return c if crowded is None else replace(c, a=pack_rows(values, c, c.a, crowded))


def _rows(c: Contraction) -> int:
    """How often an element of b is used."""
    return math.prod(
        extent
        for axis, extent in enumerate(c.extents)
        if not c.reduced[axis] and not c.b.strides[axis]
    )


def _is_far_apart(c: Contraction, last: int) -> bool:
    """Whether b is read often, and with each row on another page."""
    size = c.dtype.itemsize
    if _rows(c) < 48 or c.extents[last] * size <= PANEL:
        return False
    return any(
        is_reduced and abs(stride) * size >= FAR and extent >= 64
        for is_reduced, stride, extent in zip(c.reduced, c.b.strides, c.extents)
    )


def _find_crowded(c: Contraction) -> int | None:
    """A reduced axis whose elements of a fall into few sets of the caches, if a is read often."""
    size = c.dtype.itemsize
    uses = [n for n, s, reduced in zip(c.extents, c.a.strides, c.reduced) if not (s or reduced)]
    if math.prod(uses) < 256:
        return None
    for axis, (extent, stride) in enumerate(zip(c.extents, c.a.strides)):
        if c.reduced[axis] and extent >= 128 and stride * size >= FAR and stride * size % 1024 == 0:
            return axis
    return None


def _is_cheaper_across(c: Contraction, last: int) -> bool:
    """Whether lanes along a reduced axis cost less, by multiply-adds, lane sums and packing."""
    axis = _common_axis(c)
    if axis is None:
        return False
    lanes = LANES // c.dtype.itemsize
    rows, columns, terms = _rows(c), c.extents[last], c.extents[axis]
    others = math.prod(n for n, is_reduced in zip(c.extents, c.reduced) if is_reduced) // terms
    along = rows * -(-columns // lanes) * terms * others / 2
    across = rows * columns * (-(-terms // lanes) * others * 0.7 + 6)
    size_b = columns * terms * others
    along += 0 if c.b.strides[last] == 1 else 1.2 * size_b
    across += 0 if c.b.strides[axis] == 1 else 1.2 * size_b
    # Few outputs cannot hide the latency of their sums.
    return across < along and terms >= lanes


def _common_axis(c: Contraction) -> int | None:
    """The longest reduced axis along which a is contiguous, and b is or can be packed."""
    found = [
        axis
        for axis, is_reduced in enumerate(c.reduced)
        if is_reduced and c.a.strides[axis] == 1 and c.b.strides[axis]
    ]
    return max(found, key=lambda axis: c.extents[axis], default=None)


def _arrange_across(values: Values, c: Contraction, pack_anyway: bool) -> Contraction:
    """Lanes along a reduced axis, with b packed along it if necessary."""
    if _common_axis(c) is None:
        c = replace(c, a=c.b, b=c.a)
    axis = _common_axis(c)
    if axis is None or c.b.strides[axis] == 1 or not pack_anyway:
        return c
    return replace(c, b=pack_rows(values, c, c.b, axis))


def _arrange_both(values: Values, c: Contraction, last: int) -> Contraction:
    """Both operands have the last axis (depthwise): both must be contiguous along it."""
    axis = _common_axis(c)
    if axis is not None and c.b.strides[axis] == 1 and c.extents[axis] >= c.extents[last]:
        return c
    if c.a.strides[last] != 1:
        c = replace(c, a=pack_rows(values, c, c.a, last))
    if c.b.strides[last] != 1:
        c = replace(c, b=pack_rows(values, c, c.b, last))
    return c


def pack_rows(values: Values, c: Contraction, access: Access, last: int) -> Access:
    """A copy of an operand that is contiguous along an axis."""
    axes = [axis for axis, stride in enumerate(access.strides) if stride and axis != last]
    axes.append(last)
    shape = tuple(c.extents[axis] for axis in axes)
    strides = tuple(access.strides[axis] for axis in axes)
    target = values.new(c.dtype, shape)
    # By itself: a copy that turns its axes has a generator of its own.
    copy_view(values, View(access.buffer, access.offset, strides, shape, c.dtype), target)
    spaced = [0] * len(c.extents)
    for axis, stride in zip(axes, target.strides, strict=True):
        spaced[axis] = stride
    return Access(target.buffer, 0, tuple(spaced))


def pack_panels(values: Values, c: Contraction, last: int) -> Contraction:
    """b in panels of columns: what a tile reads lies together, whatever the distance of rows."""
    width = PANEL // c.dtype.itemsize
    columns = c.extents[last]
    if columns <= width:
        return replace(c, b=pack_rows(values, c, c.b, last))
    outer = [x for x, s in enumerate(c.b.strides) if s and not c.reduced[x] and x != last]
    inner = [x for x, s in enumerate(c.b.strides) if s and c.reduced[x]]
    axes = [*outer, last, *inner]
    count = -(-columns // width)
    shape = tuple(count if axis == last else c.extents[axis] for axis in axes)
    target = values.new(c.dtype, (*shape, width))
    strides = tuple(c.b.strides[axis] * (width if axis == last else 1) for axis in axes)
    step = c.b.strides[last]
    place = axes.index(last)
    whole, rest = divmod(columns, width)
    for start, panels, taken in ((0, whole, width), (whole, int(rest > 0), rest)):
        if not panels:
            continue
        part = (*shape[:place], panels, *shape[place + 1 :], taken)
        source = View(
            c.b.buffer,
            c.b.offset + start * width * step,
            (*strides, step),
            part,
            c.dtype,
        )
        into = View(target.buffer, start * target.strides[place], target.strides, part, c.dtype)
        if step == 1 and place == 0 and c.dtype.itemsize * math.prod(part) >= LARGE:
            source, into = side_by_side(source), side_by_side(into)
        copy_view(values, source, into)
    spaced = [0] * len(c.extents)
    for axis, stride in zip(axes, target.strides):
        spaced[axis] = stride
    return replace(c, b=Access(target.buffer, 0, tuple(spaced)), panel=(last, width))


def side_by_side(view: View) -> View:
    """Panels in another order: so many rows at once that memory is read in longer pieces."""
    panels, *inner, width = view.shape
    if panels % TOGETHER:
        return view
    step, *others, last = view.strides
    return replace(
        view,
        shape=(panels // TOGETHER, *inner, TOGETHER, width),
        strides=(step * TOGETHER, *others, step, last),
    )


def copy_view(values: Values, source: View, target: View) -> None:
    """Copy a view into another of the same shape, as a kernel of its own."""
    values.fill(target, lambda builder, index: builder.load(source, index), merge=False)

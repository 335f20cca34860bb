"""Which outputs may be written over the inputs that they replace.

A training step gives new parameters and new moments for old ones. Where nobody else holds the old
Array, its memory serves for the new one: half the memory traffic, and no allocation. A table of
which few rows change is then not touched but for these rows.
"""

from __future__ import annotations

from collections import Counter

from ..ir.checks import find_last_failure
from ..ir.lifetimes import Lifetimes
from ..ir.loops import (
    Contraction,
    Epilogue,
    Kernel,
    LoopNest,
    Routine,
    Schedule,
    reads,
    writes,
)

Places = set[tuple[int, tuple[int, ...]] | None]


def find_lifetimes(schedule: Schedule) -> Lifetimes:
    """When inputs are read for the last time, and outputs are written."""
    if "in_place" in schedule.without:
        positions = [buffer.position for buffer in schedule.buffers]
        unknown = (None,) * (1 + max(positions, default=-1))
        return Lifetimes(unknown, (None,) * len(schedule.outputs), frozenset())
    last: dict[int, int] = {}
    writers: dict[int, list[int]] = {}
    for time, kernel in enumerate(schedule.kernels):
        last.update(dict.fromkeys(reads(kernel), time))
        for number in writes(kernel):
            writers.setdefault(number, []).append(time)
    kept = Counter(schedule.outputs)
    failure = find_last_failure(schedule)
    count = 1 + max((buffer.position for buffer in schedule.buffers), default=-1)
    inputs: list[tuple[int, int] | None] = [None] * count
    ends: dict[int, list[tuple[int, int]]] = {}  # the inputs that a kernel is the last to read
    for number, buffer in enumerate(schedule.buffers):
        if buffer.kind == "input" and number not in kept:
            end = last.get(number, -1)
            inputs[buffer.position] = (buffer.bytes, end)
            ends.setdefault(end, []).append((buffer.position, number))
    outputs: list[tuple[int, int] | None] = []
    matched: set[tuple[int, int]] = set()
    places: dict[int, tuple[dict[int, Places], dict[int, Places]]] = {}
    for position, number in enumerate(schedule.outputs):
        buffer, times = schedule.buffers[number], writers.get(number, [])
        if times and times[0] <= failure:
            outputs.append(None)  # a step that fails must change nothing
            continue
        writer = schedule.kernels[times[0]] if times else None
        kept_table = _find_kept_table(writer)
        if kept[number] > 1 or buffer.kind != "arena" or (len(times) != 1 and kept_table is None):
            outputs.append(None)
            continue
        outputs.append((buffer.bytes, times[0]))
        matched.update(
            (source, position) for source, old in ends.get(times[0], []) if old == kept_table
        )
        work = writer.epilogue if isinstance(writer, Contraction) else writer
        if not isinstance(work, (LoopNest, Epilogue)):
            continue
        if times[0] not in places:
            places[times[0]] = _find_places(work)
            if isinstance(writer, Contraction):  # the operands are read at many places
                for operand in (writer.a, writer.b):
                    places[times[0]][0].setdefault(operand.buffer, set()).add(None)
        loads, stores = places[times[0]]
        for source, old in ends.get(times[0], []):
            same = schedule.buffers[old].bytes == buffer.bytes
            if (
                same
                and len(stores[number]) == 1
                and None not in stores[number]
                and loads[old] == stores[number]
            ):
                matched.add((source, position))
    return Lifetimes(tuple(inputs), tuple(outputs), frozenset(matched))


def _find_kept_table(kernel: Kernel | None) -> int | None:
    """The table that a kernel keeps: its rows are written afterwards, into the same output."""
    if not isinstance(kernel, Routine) or kernel.name != "keep":
        return None
    return kernel.inputs[0].buffer


def _find_places(nest: LoopNest | Epilogue) -> tuple[dict[int, Places], dict[int, Places]]:
    """Where a nest reads each buffer, and where it stores. None stands for places of which more
    is to be known than an offset and strides."""
    loads: dict[int, Places] = {}
    for expression in nest.expressions:
        access = expression.access
        if access is not None:
            plain = expression.kind == "load" and not access.guards
            place = (access.offset, access.strides) if plain else None
            loads.setdefault(access.buffer, set()).add(place)
    stores: dict[int, Places] = {}
    for store in nest.stores:
        access = store.access
        plain = store.reduction is None and store.index is None
        place = (access.offset, access.strides) if plain else None
        stores.setdefault(access.buffer, set()).add(place)
    return loads, stores

"""The memory plan: one arena, in which places are used again when their values are dead."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from ..ir.loops import Schedule, aligned, reads, writes


@dataclass(frozen=True, slots=True)
class Arena:
    """Where each arena buffer begins, in bytes, and the size of the whole."""

    places: dict[int, int]
    size: int


def plan_arena(schedule: Schedule, guard: int = 0) -> Arena:
    """First-fit by size over lifetimes, from the first kernel that writes a buffer to the last use.

    Outputs are not in the arena.

    Args:
        schedule: the kernels and buffers.
        guard: bytes to leave free behind each buffer; then no place is used twice.
    """
    apart = guard > 0 or "share_memory" in schedule.without
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for time, kernel in enumerate(schedule.kernels):
        for number in (*reads(kernel), *writes(kernel)):
            first.setdefault(number, time)
            last[number] = time
    outside = set(schedule.outputs)
    inside = [
        number
        for number in first
        if schedule.buffers[number].kind == "arena" and number not in outside
    ]
    inside.sort(key=lambda number: -schedule.buffers[number].bytes)
    places: dict[int, int] = {}
    taken: list[tuple[int, int, int, int]] = []  # begin, end, first, last; in order of begin
    size = 0
    for number in inside:
        need = aligned(schedule.buffers[number].bytes) + guard
        born, dies = first[number], last[number]
        place = 0
        for begin, end, other_born, other_dies in taken:
            if apart or (other_born <= dies and born <= other_dies):
                if place + need <= begin:
                    break
                place = max(place, end)
        insort(taken, (place, place + need, born, dies))
        places[number] = place
        size = max(size, place + need)
    return Arena(places, size)

"""The sums of the lanes of several vectors, side by side in one vector.

Two vectors are added half by half in a single vector, and so on: each sum is made in the tree of
halves of `add_lanes`, with the same bits, for one addition and two shuffles a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

from .emit import Function, vector_of

REGISTER_PART = 16
"""Bytes within which elements change places most cheaply."""


def add_lanes_of(f: Function, element: str, names: Sequence[str], lanes: int, size: int) -> str:
    """A vector whose element i is the sum of the lanes of vector i.

    Args:
        f: where the text goes.
        element: the type of an element.
        names: from 1 to `lanes` vectors.
        lanes: elements in a vector, a power of two from 2 on.
        size: bytes of an element.
    """
    kind = vector_of(element, lanes)
    # For each vector: its name, and whose partial sums lie in it, in order.
    found: list[tuple[str, tuple[int, ...]]]
    found = [(name, (number,)) for number, name in enumerate(names)]
    width = lanes
    while width > 1:
        half = width // 2
        following = []
        for place in range(0, len(found), 2):
            name, owners = found[place]
            other, more = found[place + 1] if place + 1 < len(found) else ("poison", owners)
            firsts, joined = _interleave(owners, more, lanes, width, size)
            sides = []
            for shift in (0, half):
                numbers = [first + shift + n for first in firsts for n in range(half)]
                mask = ", ".join(f"i32 {number}" for number in numbers)
                text = f"shufflevector {kind} {name}, {kind} {other}, <{lanes} x i32> <{mask}>"
                sides.append(f.emit(text))
            following.append((f.emit(f"fadd {kind} {sides[0]}, {sides[1]}"), joined))
        found, width = following, half
    ((name, owners),) = found
    # Where a vector had no partner, its own number stands for lanes that mean nothing.
    places = [owners.index(number) if number in owners else 0 for number in range(lanes)]
    if places[: len(names)] == list(range(len(names))):
        return name
    mask = ", ".join(f"i32 {place}" for place in places)
    return f.emit(f"shufflevector {kind} {name}, {kind} poison, <{lanes} x i32> <{mask}>")


def _interleave(
    one: tuple[int, ...], two: tuple[int, ...], lanes: int, width: int, size: int
) -> tuple[list[int], tuple[int, ...]]:
    """Where segments of so many elements begin in two vectors, in their new order; their owners."""
    part = min(lanes, max(width, REGISTER_PART // size))
    each = part // width
    firsts: list[int] = []
    joined: list[int] = []
    for start in range(0, lanes // width, each):
        for owners, offset in ((one, 0), (two, lanes)):
            for segment in range(start, start + each):
                firsts.append(offset + segment * width)
                joined.append(owners[segment])
    if part == width and width * size > REGISTER_PART:  # halves of a register: all of one first
        ordered = [(0, n) for n in range(lanes // width)] + [(1, n) for n in range(lanes // width)]
        firsts = [which * lanes + n * width for which, n in ordered]
        joined = [(one, two)[which][n] for which, n in ordered]
    return firsts, tuple(joined)

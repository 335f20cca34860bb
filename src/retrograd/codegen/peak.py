"""Loops that do nothing but what a machine can do at the most: multiply-adds, and moving memory."""

from __future__ import annotations

from typing import Any

from .emit import Function, Module

CHAINS = 24
"""Independent sums: more than the latency of a multiply-add times those done in one cycle."""
STEPS = 20_000
UNROLLED = 4
"""Vectors that one turn of the loop copies."""


def write_copies(target: Any) -> str:
    """The module of `copy` and `negate`, each of (ptr source, ptr target, i64 bytes, i64 times).

    Whole vectors of floats; where target is source, memory is updated in place.
    """
    module = Module()
    module.functions = [_write_copy(target, name) for name in ("copy", "negate")]
    return module.text()


def _write_copy(target: Any, name: str) -> Function:
    kind, step = f"<{target.lanes(4)} x float>", target.vector_bytes
    arguments = [("ptr", "%source"), ("ptr", "%target"), ("i64", "%bytes"), ("i64", "%times")]
    f = Function(name, arguments, result="i64")
    with f.loop("0", "%times"), f.loop("0", "%bytes", UNROLLED * step) as at:
        places = [f.emit(f"add i64 {at}, {n * step}") for n in range(UNROLLED)]
        values = []
        for place in places:
            address = f.emit(f"getelementptr i8, ptr %source, i64 {place}")
            value = f.emit(f"load {kind}, ptr {address}, align {step}")
            values.append(value if name == "copy" else f.emit(f"fneg {kind} {value}"))
        for place, value in zip(places, values):
            address = f.emit(f"getelementptr i8, ptr %target, i64 {place}")
            f.do(f"store {kind} {value}, ptr {address}, align {step}")
    f.do("ret i64 0")
    return f


def write_streams(target: Any, read: int, updated: int, written: int, around: bool) -> str:
    """The module of `streams`, a job of a team of threads: arrays walked side by side.

    Each thread adds up what it reads, a vector of each array, adds it to the arrays that are
    updated in place, and stores it to those that are written. The table holds the bytes of an
    array and the address of each. What a thread does not share evenly with the others is left out.

    Args:
        target: the CPU.
        read, updated, written: how many arrays; at least one is read or updated.
        around: whether what is written goes around the caches.
    """
    kind, step = f"<{target.lanes(4)} x float>", target.vector_bytes
    arguments = [("ptr", "%table"), ("i64", "%thread"), ("i64", "%threads"), ("ptr", "%team")]
    f = Function("streams", arguments, result="i64")
    size = f.emit("load i64, ptr %table")
    share = f.cut(f.emit(f"udiv i64 {size}, %threads"), step)
    start = f.emit(f"mul i64 {share}, %thread")
    bases = []
    for order in range(read + updated + written):
        place = f.emit(f"getelementptr i64, ptr %table, i64 {order + 1}")
        bases.append(
            f.emit(f"getelementptr i8, ptr {f.emit(f'load ptr, ptr {place}')}, i64 {start}")
        )
    with f.loop("0", share, step) as at:
        places = [f.emit(f"getelementptr i8, ptr {base}, i64 {at}") for base in bases]
        values = [f.emit(f"load {kind}, ptr {p}, align {step}") for p in places[: read + updated]]
        total = values[0]
        for value in values[1:read]:
            total = f.emit(f"fadd {kind} {total}, {value}")
        values[read:] = [f.emit(f"fadd {kind} {total}, {value}") for value in values[read:]]
        for value, place in zip([*values[read:], *[total] * written], places[read:], strict=True):
            hint = ", !nontemporal !0" if around else ""
            f.do(f"store {kind} {value}, ptr {place}, align {step}{hint}")
    f.do("ret i64 0")
    module = Module()
    module.functions.append(f)
    module.globals.append("!0 = !{i32 1}")
    return module.text()


def write_peak(target: Any) -> tuple[str, int, float]:
    """The module of a function `peak` of a pointer to floats: multiply-adds in registers.

    Args:
        target: the CPU.

    Returns:
        The text, how many floats it uses, and the FLOPs of a call.
    """
    lanes = target.lanes(4)
    kind = f"<{lanes} x float>"
    chains = min(CHAINS, target.registers - 2)
    f = Function("peak", [("ptr", "%table")], result="i64")
    slots = [f.reserve(kind) for _ in range(chains)]
    start = f.emit(f"load {kind}, ptr %table, align 4")
    for slot in slots:
        f.do(f"store {kind} {start}, ptr {slot}, align 64")
    with f.loop("0", str(STEPS)):
        for slot in slots:
            before = f.emit(f"load {kind}, ptr {slot}, align 64")
            after = f.call(
                kind, f"llvm.fma.v{lanes}f32", (kind, before), (kind, start), (kind, start)
            )
            f.do(f"store {kind} {after}, ptr {slot}, align 64")
    for order, slot in enumerate(slots):
        value = f.emit(f"load {kind}, ptr {slot}, align 64")
        place = f.emit(f"getelementptr {kind}, ptr %table, i64 {order + 1}")
        f.do(f"store {kind} {value}, ptr {place}, align 4")
    f.do("ret i64 0")
    module = Module()
    module.functions.append(f)
    return module.text(), (chains + 1) * lanes, 2.0 * lanes * chains * STEPS

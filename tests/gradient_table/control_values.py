"""Values of the primitives that hold programs, and of the random numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

import retrograd as rg
from tests.gradient_table.table import NumpyArray, primitive
from tests.gradient_table.values import Value, numbers


def _control() -> Iterable[Value]:
    def loop(start: NumpyArray, xs: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
        carry, outputs = start, []
        for x in xs:
            carry = carry * x + 1
            outputs.append(carry - x)
        return carry, np.stack(outputs)

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        following = carry * x + 1
        return following, following - x

    def reversed_loop(start: NumpyArray, xs: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
        carry, outputs = loop(start, xs[::-1])
        return carry, outputs[::-1]

    custom = rg.custom_gradient(
        lambda x: x * x + 1, lambda x: (x * x + 1, x), lambda x, g: (g * x,)
    )
    for dtype in ("float32", "int32"):
        inputs = (numbers(dtype, (3,)), numbers(dtype, (4, 3)))
        yield Value("scan", lambda c, xs: rg.scan(step, c, xs), loop, inputs, 4.0)
        yield Value(
            "scan",
            lambda c, xs: rg.scan(step, c, xs, reverse=True),
            reversed_loop,
            inputs,
            4.0,
            "reverse",
        )
        yield Value(
            "checkpoint", rg.checkpoint(lambda c: c * c + 1), lambda c: c * c + 1, inputs[:1]
        )
        yield Value("custom_gradient", custom, lambda c: c * c + 1, inputs[:1])


def _choices() -> Iterable[Value]:
    def collatz(start: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
        value, count = int(start), 0
        while value != 1:
            value, count = (value // 2 if value % 2 == 0 else 3 * value + 1), count + 1
        return np.array(value, start.dtype), np.array(count, np.int32)

    def collatz_with_loops(start: Any) -> Any:
        def step(carry: Any) -> Any:
            value, count = carry
            half = rg.cond(value % 2 == 0, lambda v: v // 2, lambda v: 3 * v + 1, value)
            return half, count + 1

        return rg.while_loop(lambda carry: carry[0] != 1, step, (start, 0))

    for start in (1, 2, 6, 27):
        value = np.array(start, np.int64)
        yield Value("while_loop", collatz_with_loops, collatz, (value,), note=f"from_{start}")
    for dtype in ("float32", "bool"):
        for bool_ in (True, False):
            yield Value(
                "cond",
                lambda p, a, b: rg.cond(p, lambda a, b: (b, a), lambda a, b: (a, a), a, b),
                lambda p, a, b: (b, a) if p else (a, a),
                (np.array(bool_), numbers(dtype, (3, 2)), numbers(dtype, (3, 2), 1.0)),
                note=f"{dtype}_{bool_}",
            )


def philox_by_hand(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 on Python integers, as the paper writes it."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def _random() -> Iterable[Value]:
    def bits(state: NumpyArray) -> NumpyArray:
        words = [int(word) for word in state]
        blocks = [philox_by_hand([i, 0, *words[2:]], words[:2]) for i in range(3)]
        return np.array(sum(blocks, [])[:10], np.uint32).reshape(2, 5)

    def fold(state: NumpyArray, number: NumpyArray) -> NumpyArray:
        words = [int(word) for word in state]
        found = philox_by_hand([int(number) % 2**32, 1, *words[2:]], words[:2])
        return np.array([*found[:2], 0, 0], np.uint32)

    zero, other = np.zeros(4, np.uint32), np.array([1, 2**32 - 1, 7, 99], np.uint32)
    for note, state in (("zero", zero), ("other", other)):
        yield Value(
            "random_bits", primitive("random_bits", shape=(2, 5)), bits, (state,), note=note
        )
        yield Value(
            "random_fold",
            primitive("random_fold"),
            fold,
            (state, np.array(-5, np.int32)),
            note=note,
        )


VALUES: list[Value] = [*_control(), *_choices(), *_random()]

"""Random numbers from a counter: the same bits in every executor, blocking and thread.

The generator is Philox4x32-10. The state of four uint32 words is `(key0, key1, draw_low,
draw_high)`; element i of a draw is word `i % 4` of the block with the counter
`(i // 4, 0, draw_low, draw_high)`. Each draw counts the draw up by one. A part of a draw is named
by its first block, a second input of `random_bits`.

Source: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..ir import NONDIFFERENTIABLE, ArrayType, as_dtype, declare
from ..ir.types import DType, Shape, float32, float64, int32, int64, uint32
from ..staging import register_ambient
from ..trace import Array, bind
from ..tree import Stateful
from . import arithmetic, batch_rules, comparison, transcendental
from .joining import concatenate
from .promotion import as_array, convert
from .shape import as_sizes

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
MASK = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox(counter: list[Any], key: tuple[int, int]) -> list[Any]:
    """Ten rounds of Philox4x32 on uint64 arrays that hold uint32 words."""
    c0, c1, c2, c3 = (np.array(word) for word in counter)
    p0, p1 = np.empty_like(c0), np.empty_like(c2)
    k0, k1 = key
    for _ in range(10):
        np.multiply(c0, np.uint64(MULTIPLIERS[0]), out=p0)
        np.multiply(c2, np.uint64(MULTIPLIERS[1]), out=p1)
        np.right_shift(p1, HALF, out=c0)
        c0 ^= c1
        c0 ^= np.uint64(k0)
        np.right_shift(p0, HALF, out=c2)
        c2 ^= c3
        c2 ^= np.uint64(k1)
        np.bitwise_and(p1, MASK, out=c1)
        np.bitwise_and(p0, MASK, out=c3)
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def _infer_bits(state: ArrayType, *first: ArrayType, shape: Shape) -> tuple[ArrayType]:
    if state != ArrayType(uint32, (4,)) or first not in ((), (ArrayType(int64, ()),)):
        raise ShapeError(
            "random_bits takes a state of uint32[4] and the number of the first block, int64[]; "
            f"received {state}, {', '.join(map(str, first))}."
        )
    return (ArrayType(uint32, shape),)


def _evaluate_bits(state: Any, first: Any = 0, *, shape: Shape) -> tuple[Any]:
    return (bits_from(state, int(first), shape),)


def bits_from(state: Any, first: int, shape: Shape) -> Any:
    """The words of a draw from block `first` on, four words a block, as an ndarray of a shape."""
    size = math.prod(shape)
    places = np.arange(first, first - (-size // 4), dtype=np.uint64)
    zeros = np.zeros(len(places), np.uint64)
    counter = [
        places & MASK,
        places >> HALF,
        zeros + np.uint64(state[2]),
        zeros + np.uint64(state[3]),
    ]
    words = philox(counter, (int(state[0]), int(state[1])))
    return np.stack(words, axis=1).reshape(-1)[:size].astype(np.uint32).reshape(shape)


random_bits_p = declare(
    "random_bits",
    infer=_infer_bits,
    evaluate=_evaluate_bits,
    jvp=NONDIFFERENTIABLE,
    backward=NONDIFFERENTIABLE,
    batch=batch_rules.one_by_one,
)


def _evaluate_fold(state: Any, number: Any) -> tuple[Any]:
    words = philox(
        [np.array([int(value)], np.uint64) for value in (int(number) & 0xFFFFFFFF, 1, *state[2:])],
        (int(state[0]), int(state[1])),
    )
    return (np.array([words[0][0], words[1][0], 0, 0], np.uint32),)


random_fold_p = declare(
    "random_fold",
    infer=lambda state, number: (state,),
    evaluate=_evaluate_fold,
    jvp=NONDIFFERENTIABLE,
    backward=NONDIFFERENTIABLE,
    batch=batch_rules.one_by_one,
)


class Generator(Stateful):
    """A stream of random numbers: a seed and a count of draws.

    Args:
        seed: any integer from 0 to 2^64 - 1.

    Example:
        >>> import retrograd as rg
        >>> generator = rg.random.Generator(0)
        >>> rg.random.uniform((2,), generator=generator).shape
        (2,)
    """

    def __init__(self, seed: int) -> None:
        self.state: Array = _state_from_seed(seed)

    def state_items(self) -> list[tuple[str, Any, bool]]:
        return [("state", self.state, False)]

    def advance(self) -> Array:
        """The state for one draw; the generator moves on to the next."""
        state = self.state
        one = Array(np.array([0, 0, 1, 0], np.uint32))
        carry = convert(comparison.equal(state[2:3], 0xFFFFFFFF), uint32)
        zeros = Array(np.zeros(3, np.uint32))
        self.state = state + one + concatenate([zeros, carry])
        return state


def _state_from_seed(seed: int) -> Array:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise ArgumentError(f"A seed is an integer from 0 to 2**64 - 1, received {seed!r}.")
    return Array(np.array([int(seed) & 0xFFFFFFFF, int(seed) >> 32, 0, 0], np.uint32))


class _Current(threading.local):
    """The default generator of this thread; other threads start from the same seed."""

    def __init__(self) -> None:
        self.generator = Generator(0)


_current = _Current()


def default_generator() -> Generator:
    """The generator that is used when none is given.

    Example:
        >>> import retrograd as rg
        >>> rg.random.default_generator().state.shape
        (4,)
    """
    return _current.generator


def _write_state(state: Array) -> None:
    _current.generator.state = state


register_ambient(lambda: _current.generator.state, _write_state)


def seed(number: int) -> None:
    """Start the default random generator anew.

    Args:
        number: an integer from 0 to 2^64 - 1.

    Example:
        >>> import retrograd as rg
        >>> rg.seed(0)
        >>> first = rg.random.normal((3,))
        >>> rg.seed(0)
        >>> bool((rg.random.normal((3,)) == first).all())
        True
    """
    _write_state(_state_from_seed(number))


@contextmanager
def fold_state(number: Array) -> Iterator[list[bool]]:
    """Draws inside come from the state folded with a number (the step of a loop).

    Yields a list that is not empty afterwards if something was drawn. The generator's state is
    then as before; who runs the loop moves it on by one draw.
    """
    outer = _current.generator.state
    inner = bind(random_fold_p, outer, number)[0]
    _current.generator.state = inner
    drawn: list[bool] = []
    try:
        yield drawn
        if _current.generator.state is not inner:
            drawn.append(True)
    finally:
        _current.generator.state = outer


def bits(shape: Any, generator: Generator | None = None) -> Array:
    """Random uint32 numbers, all 32 bits.

    Example:
        >>> import retrograd as rg
        >>> rg.random.bits((2, 3)).dtype
        dtype('uint32')
    """
    source = default_generator() if generator is None else generator
    return bind(random_bits_p, source.advance(), shape=as_sizes(shape, "random"))[0]


def _float_dtype(dtype: Any) -> DType:
    chosen = as_dtype(dtype)
    if chosen.kind != "f":
        raise DTypeError(
            f"Random numbers of dtype {chosen.name} are not floating numbers.",
            fix="use float32 or float64, or rg.random.integers",
        )
    return chosen


def uniform(
    shape: Any = (),
    low: float = 0.0,
    high: float = 1.0,
    dtype: Any = float32,
    generator: Generator | None = None,
) -> Array:
    """Random numbers, uniform in [low, high).

    Args:
        shape: the shape of the result.
        low, high: the interval.
        dtype: float32 (24 random bits) or float64 (53 bits).
        generator: the default one when None.

    Example:
        >>> import retrograd as rg
        >>> rg.random.uniform((2, 3)).shape
        (2, 3)
    """
    wanted, sizes = _float_dtype(dtype), as_sizes(shape, "uniform")
    if wanted == float32:
        unit = convert(bits(sizes, generator) // 256, float32) * 2.0**-24
    else:
        words = bits((*sizes, 2), generator)
        high_part = convert(words[..., 0] // 32, float64)
        low_part = convert(words[..., 1] // 64, float64)
        unit = (high_part * 2.0**26 + low_part) * 2.0**-53
    if low == 0.0 and high == 1.0:
        return unit
    return unit * (high - low) + low


def normal(
    shape: Any = (),
    mean: float = 0.0,
    std: float = 1.0,
    dtype: Any = float32,
    generator: Generator | None = None,
) -> Array:
    """Random numbers from the normal distribution, by the Box-Muller transform.

    Example:
        >>> import retrograd as rg
        >>> rg.random.normal((2, 3)).shape
        (2, 3)
    """
    wanted, sizes = _float_dtype(dtype), as_sizes(shape, "normal")
    pair = uniform((2, *sizes), dtype=wanted, generator=generator)
    radius = transcendental.sqrt(-2.0 * transcendental.log1p(-pair[0]))
    value = radius * transcendental.cos(pair[1] * (2.0 * math.pi))
    if mean == 0.0 and std == 1.0:
        return value
    return value * std + mean


def bernoulli(p: Any = 0.5, shape: Any = None, generator: Generator | None = None) -> Array:
    """Random bools, true with probability p.

    Args:
        p: a number or an Array of probabilities.
        shape: the shape of the result; that of p when None.

    Raises:
        ArgumentError: p is a number outside [0, 1].

    Example:
        >>> import retrograd as rg
        >>> rg.random.bernoulli(0.5, (4,)).dtype
        dtype('bool')
    """
    if isinstance(p, (int, float)) and not 0.0 <= p <= 1.0:
        raise ArgumentError(f"A probability lies between 0 and 1, received {p}.")
    sizes = as_array(p).type.shape if shape is None else as_sizes(shape, "bernoulli")
    return comparison.less(uniform(sizes, generator=generator), p)


def integers(low: int, high: int, shape: Any = (), generator: Generator | None = None) -> Array:
    """Random int32 numbers, uniform in [low, high).

    Example:
        >>> import retrograd as rg
        >>> bool((rg.random.integers(0, 3, (5,)) < 3).all())
        True
    """
    if not (-(2**31) <= low < high <= 2**31):
        raise ArgumentError(f"integers needs low < high inside int32, received {low}, {high}.")
    unit = uniform(shape, dtype=float64, generator=generator)
    return convert(arithmetic.floor(unit * (high - low)) + low, int32)


def permutation(count: Any, generator: Generator | None = None) -> Array:
    """The numbers 0 to count - 1 in random order, or the rows of an Array in random order.

    Example:
        >>> import retrograd as rg
        >>> sorted(rg.random.permutation(4).tolist())
        [0, 1, 2, 3]
    """
    from .index import take
    from .order import argsort

    if isinstance(count, (int, np.integer)) and not isinstance(count, bool):
        if count < 0:
            raise ArgumentError(f"permutation needs a count of at least 0, received {count}.")
        # 53 bits for each: two that are equal, which would keep their order, hardly ever occur.
        words = convert(bits((int(count), 2), generator), float64)
        return argsort(words[:, 0] * 2.0**32 + words[:, 1])
    rows = as_array(count)
    return take(rows, permutation(rows.type.shape[0], generator), axis=0)


__all__ = [
    "Generator",
    "bernoulli",
    "bits",
    "default_generator",
    "integers",
    "normal",
    "permutation",
    "seed",
    "uniform",
]

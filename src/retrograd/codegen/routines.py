"""Machine code of no other kind: random numbers, running sums, tables that are kept."""

from __future__ import annotations

from collections.abc import Callable

from ..ir.loops import Routine
from ..ir.types import DType, float64, int64, uint32
from .elementwise import emit_elementwise
from .emit import Function, kernel_function, memory_type, vector_of
from .vectors import Value, VectorMath

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10


def emit_routine(routine: Routine, name: str, vector_bytes: int) -> Function:
    """The machine code of a routine, as text."""
    count = len(routine.inputs) + len(routine.outputs)
    function = kernel_function(name, [f"%p{order}" for order in range(count)])
    ROUTINES[routine.name](function, routine, vector_bytes)
    function.do("ret void")
    return function


# -- random numbers -------------------------------------------------------------------------------


def _multiply(f: Function, lanes: int, factor: int, word: str) -> tuple[str, str]:
    """The high and the low half of a product of 32-bit words."""
    narrow, wide = vector_of("i32", lanes), vector_of("i64", lanes)
    long = f.emit(f"zext {narrow} {word} to {wide}")
    math_ = VectorMath(f, lanes)
    product = f.emit(f"mul {wide} {long}, {math_.constant(factor, int64).name}")
    shifted = f.emit(f"lshr {wide} {product}, {math_.constant(32, int64).name}")
    high = f.emit(f"trunc {wide} {shifted} to {narrow}")
    return high, f.emit(f"trunc {wide} {product} to {narrow}")


def philox(f: Function, lanes: int, counter: list[str], keys: list[str]) -> list[str]:
    """Ten rounds of Philox4x32 on words in lanes; the keys are scalars.

    Source: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011.
    """
    kind, math_ = vector_of("i32", lanes), VectorMath(f, lanes)
    for round_ in range(ROUNDS):
        high0, low0 = _multiply(f, lanes, MULTIPLIERS[0], counter[0])
        high1, low1 = _multiply(f, lanes, MULTIPLIERS[1], counter[2])
        spread = [math_.splat(key, uint32).name for key in keys]
        first = f.emit(f"xor {kind} {high1}, {counter[1]}")
        third = f.emit(f"xor {kind} {high0}, {counter[3]}")
        counter = [
            f.emit(f"xor {kind} {first}, {spread[0]}"),
            low1,
            f.emit(f"xor {kind} {third}, {spread[1]}"),
            low0,
        ]
        if round_ < ROUNDS - 1:
            keys = [f.emit(f"add i32 {key}, {step}") for key, step in zip(keys, WEYL, strict=True)]
    return counter


def _words(f: Function, count: int) -> list[str]:
    """The words of the state."""
    words = []
    for order in range(count):
        place = f.emit(f"getelementptr i32, ptr %p0, i64 {order}")
        words.append(f.emit(f"load i32, ptr {place}, align 4"))
    return words


def _emit_bits(f: Function, routine: Routine, vector_bytes: int) -> None:
    """Element i is word i % 4 of block i // 4: the words of the blocks interleaved.

    How many there are is given at run time.
    """
    size = f.number(2 * len(routine.inputs) + 2)
    lanes = vector_bytes // 4
    at_once = 4 * lanes
    key0, key1, low, high = _words(f, 4)
    first = f.emit("load i64, ptr %p1, align 8") if len(routine.inputs) == 2 else "0"
    target = f"%p{len(routine.inputs)}"
    whole = f.cut(size, at_once)
    with f.when(f.emit(f"icmp ne i64 {whole}, 0")), f.loop("0", whole, at_once) as start:
        kind, words = _blocks(f, lanes, first, start, (key0, key1, low, high))
        place = f.emit(f"getelementptr i32, ptr {target}, i64 {start}")
        f.do(f"store {kind} {words}, ptr {place}, align 4")
    with f.when(f.emit(f"icmp ult i64 {whole}, {size}")):
        kind, words = _blocks(f, lanes, first, whole, (key0, key1, low, high))
        rest = f.reserve(kind)
        f.do(f"store {kind} {words}, ptr {rest}, align 64")
        with f.loop(whole, size, 1) as number:
            order = f.emit(f"sub i64 {number}, {whole}")
            word = f.emit(f"load i32, ptr {f.emit(f'getelementptr i32, ptr {rest}, i64 {order}')}")
            there = f.emit(f"getelementptr i32, ptr {target}, i64 {number}")
            f.do(f"store i32 {word}, ptr {there}, align 4")


def _blocks(
    f: Function, lanes: int, origin: str, start: str, state: tuple[str, str, str, str]
) -> tuple[str, str]:
    """Four vectors of words for the elements from `start` on behind block `origin`, as one."""
    math_ = VectorMath(f, lanes)
    narrow, wide = vector_of("i32", lanes), vector_of("i64", lanes)
    block = f.emit(f"add i64 {f.emit(f'lshr i64 {start}, 2')}, {origin}")
    first = math_.splat(block, int64).name
    steps = ", ".join(f"i64 {lane}" for lane in range(lanes))
    number = f.emit(f"add {wide} {first}, <{steps}>")
    above = f.emit(f"lshr {wide} {number}, {math_.constant(32, int64).name}")
    counter = [
        f.emit(f"trunc {wide} {number} to {narrow}"),
        f.emit(f"trunc {wide} {above} to {narrow}"),
        math_.splat(state[2], uint32).name,
        math_.splat(state[3], uint32).name,
    ]
    words = philox(f, lanes, counter, list(state[:2]))
    double = ", ".join(f"i32 {n}" for n in range(2 * lanes))
    pairs = [
        f.emit(f"shufflevector {narrow} {a}, {narrow} {b}, <{2 * lanes} x i32> <{double}>")
        for a, b in (words[:2], words[2:])
    ]
    order = ", ".join(f"i32 {word * lanes + lane}" for lane in range(lanes) for word in range(4))
    pair = vector_of("i32", 2 * lanes)
    mixed = f.emit(
        f"shufflevector {pair} {pairs[0]}, {pair} {pairs[1]}, <{4 * lanes} x i32> <{order}>"
    )
    return vector_of("i32", 4 * lanes), mixed


def _emit_fold(f: Function, routine: Routine, vector_bytes: int) -> None:
    """The state of a loop's step: two words of the block that its number names."""
    (dtype,) = routine.parameters
    key0, key1, low, high = _words(f, 4)
    number = f.emit(f"load {memory_type(dtype)}, ptr %p1, align {dtype.itemsize}")
    word = VectorMath(f, 1).cast(Value(number, dtype, 1), uint32).name
    words = philox(f, 1, [word, "1", low, high], [key0, key1])
    for order, value in enumerate([*words[:2], "0", "0"]):
        place = f.emit(f"getelementptr i32, ptr %p2, i64 {order}")
        f.do(f"store i32 {value}, ptr {place}, align 4")


# -- running sums ---------------------------------------------------------------------------------


def _emit_cumsum(f: Function, routine: Routine, vector_bytes: int) -> None:
    """Sums along the middle axis of (outer, count, inner); floats are summed in float64.

    The outer extent is given at run time.
    """
    dtype, count, inner, reverse = routine.parameters
    outer = f.number(4)
    wide = float64 if dtype.kind == "f" else dtype
    lanes = vector_bytes // wide.itemsize
    whole = inner // lanes * lanes
    with f.loop("0", outer, 1, "o") as row:
        start = f.emit(f"mul i64 {row}, {count * inner}")
        if whole:
            with f.loop("0", str(whole), lanes, "c") as column:
                _run_along(f, (dtype, wide), lanes, start, column, (count, inner, reverse))
        if inner > whole:
            with f.loop(str(whole), str(inner), 1, "c") as column:
                _run_along(f, (dtype, wide), 1, start, column, (count, inner, reverse))


def _run_along(
    f: Function,
    dtypes: tuple[DType, DType],
    lanes: int,
    start: str,
    column: str,
    walk: tuple[int, int, bool],
) -> None:
    dtype, wide = dtypes
    count, inner, reverse = walk
    math_ = VectorMath(f, lanes)
    kind, element = vector_of(memory_type(dtype), lanes), memory_type(dtype)
    sum_kind = vector_of(memory_type(wide), lanes)
    slot = f.reserve(sum_kind)
    f.do(f"store {sum_kind} zeroinitializer, ptr {slot}, align 64")
    first = f.emit(f"add i64 {start}, {column}")
    with f.loop("0", str(count), 1, "t") as step:
        at = f.emit(f"sub i64 {count - 1}, {step}") if reverse else step
        offset = f.emit(f"add i64 {first}, {f.emit(f'mul i64 {at}, {inner}')}")
        source = f.emit(f"getelementptr {element}, ptr %p0, i64 {offset}")
        target = f.emit(f"getelementptr {element}, ptr %p1, i64 {offset}")
        loaded = f.emit(f"load {kind}, ptr {source}, align {dtype.itemsize}")
        value = math_.cast(Value(loaded, dtype, lanes), wide)
        before = Value(f.emit(f"load {sum_kind}, ptr {slot}, align 64"), wide, lanes)
        total = emit_elementwise(math_, "add", wide, [before, value])
        f.do(f"store {sum_kind} {total.name}, ptr {slot}, align 64")
        result = math_.cast(total, dtype)
        f.do(f"store {kind} {result.name}, ptr {target}, align {dtype.itemsize}")


# -- tables of which rows are replaced ------------------------------------------------------------


def _emit_keep(f: Function, routine: Routine, vector_bytes: int) -> None:
    """A copy, unless the program was given one place for both: then nothing is touched."""
    (size,) = routine.parameters
    whole = size // 64 * 64
    with f.when(f.emit("icmp ne ptr %p0, %p1")):
        for start, stop, kind, step in ((0, whole, "<16 x i32>", 64), (whole, size, "i8", 1)):
            if start == stop:
                continue
            with f.loop(str(start), str(stop), step) as place:
                source = f.emit(f"getelementptr i8, ptr %p0, i64 {place}")
                target = f.emit(f"getelementptr i8, ptr %p1, i64 {place}")
                value = f.emit(f"load {kind}, ptr {source}, align 1")
                f.do(f"store {kind} {value}, ptr {target}, align 1")


ROUTINES: dict[str, Callable[[Function, Routine, int], None]] = {
    "random_bits": _emit_bits,
    "random_fold": _emit_fold,
    "cumsum": _emit_cumsum,
    "keep": _emit_keep,
}
"""How each routine is written, by its name."""
